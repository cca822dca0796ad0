/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client as its event loop sees it: one epoll descriptor, in which are the library's socket, a
 * timer, a name look-up that runs, and an eventfd for what must not happen before the next
 * dispatch. A dispatch reads what has come, repairs the connection, sends what waits and calls the
 * callbacks of what has failed; answers call theirs while they are read.
 *
 * The timer is armed lazily: it may go off too early, never too late.
 */

#include "zk/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "zk/client_private.h"
#include "zk/hosts.h"
#include "zk/resolver.h"

#define RESOLVE_MS 5000 /* between two look-ups */
#define N_EVENTS 8

int64_t zk_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void zk_client_wake(struct zk_client *client)
{
	if (client->woken)
		return;
	client->woken = true;
	eventfd_write(client->wake_fd, 1);
}

void zk_client_wake_at(struct zk_client *client, int64_t at)
{
	struct itimerspec spec = { 0 };

	if (at == INT64_MAX || (client->timer_at && client->timer_at <= at))
		return;
	if (at < 1)
		at = 1;
	client->timer_at = at;
	spec.it_value.tv_sec = at / 1000;
	spec.it_value.tv_nsec = at % 1000 * 1000000;
	timerfd_settime(client->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static int client_watch(struct zk_client *client, int fd, enum zk_waker waker)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = waker };

	return epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Names are looked up only while there is no server: the library cannot take new addresses without
 * dropping the connection it has. */
static void resolve(struct zk_client *client)
{
	if (!client->needs_resolving || client->resolver || client->associated)
		return;
	if (client->now < client->resolve_at) {
		zk_client_wake_at(client, client->resolve_at);
		return;
	}
	client->resolve_at = client->now + RESOLVE_MS;
	if (zk_resolver_new(client->options.hosts, &client->resolver) < 0)
		return;
	if (client_watch(client, zk_resolver_fd(client->resolver), ZK_WAKER_RESOLVER) < 0)
		client->resolver = zk_resolver_free(client->resolver);
}

static void drop_resolver(struct zk_client *client)
{
	if (!client->resolver)
		return;
	/* Its thread may still hold the descriptor open. */
	epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, zk_resolver_fd(client->resolver), NULL);
	client->resolver = zk_resolver_free(client->resolver);
}

static void resolved(struct zk_client *client)
{
	char *addresses = NULL;
	int r = client->resolver ? zk_resolver_result(client->resolver, &addresses) : -EAGAIN;

	if (r == -EAGAIN)
		return;
	drop_resolver(client);
	if (r < 0 || client->associated ||
		(client->addresses && strcmp(client->addresses, addresses) == 0)) {
		free(addresses);
		return;
	}
	free(client->addresses);
	client->addresses = addresses;
	client->stale = client->zh != NULL;
}

static void take_event(struct zk_client *client, const struct epoll_event *event)
{
	uint64_t count;

	switch (event->data.u32) {
	case ZK_WAKER_TIMER:
		if (read(client->timer_fd, &count, sizeof(count)) > 0)
			client->timer_at = 0;
		break;
	case ZK_WAKER_WAKE:
		eventfd_read(client->wake_fd, &count);
		client->woken = false;
		break;
	case ZK_WAKER_SOCKET:
		zk_connection_process(client, event->events);
		break;
	case ZK_WAKER_RESOLVER:
		resolved(client);
		break;
	}
}

void zk_client_dispatch(struct zk_client *client)
{
	struct epoll_event events[N_EVENTS];
	int n;

	client->dispatching = true;
	client->round++;
	client->now = zk_now_ms();
	n = epoll_wait(client->epoll_fd, events, N_EVENTS, 0);
	for (int i = 0; i < n; i++)
		take_event(client, &events[i]);
	resolve(client);
	zk_connection_repair(client);
	zk_watches_remove(client);
	zk_ops_flush(client);
	zk_ops_expire(client);
	zk_connection_refresh(client);
	zk_client_wake_at(client, zk_ops_next_deadline(client));
	if (client->retry_at > client->now)
		zk_client_wake_at(client, client->retry_at);
	client->dispatching = false;
}

static bool hosts_are_numeric(const struct zk_hosts *hosts)
{
	for (size_t i = 0; i < hosts->n_hosts; i++) {
		if (!hosts->hosts[i].numeric)
			return false;
	}
	return true;
}

static int client_init(struct zk_client *client, const struct zk_client_options *options)
{
	int r;

	client->options = *options;
	client->socket_fd = -1;
	client->session_timeout_ms = options->session_timeout_ms;
	client->now = zk_now_ms();
	client->outage_at = client->now;
	zk_ops_init(client);
	zk_watches_init(client);
	client->timer_fd = client->wake_fd = -1;
	client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (client->epoll_fd < 0)
		return -errno;
	client->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (client->timer_fd < 0)
		return -errno;
	client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (client->wake_fd < 0)
		return -errno;
	r = client_watch(client, client->timer_fd, ZK_WAKER_TIMER);
	if (r == 0)
		r = client_watch(client, client->wake_fd, ZK_WAKER_WAKE);
	client->needs_resolving = !hosts_are_numeric(options->hosts);
	if (r == 0 && !client->needs_resolving) {
		client->addresses = zk_hosts_join(options->hosts);
		r = client->addresses ? 0 : -ENOMEM;
	}
	return r;
}

int zk_client_new(const struct zk_client_options *options, struct zk_client **clientp)
{
	struct zk_client *client = calloc(1, sizeof(*client));
	int r;

	if (!client)
		return -ENOMEM;
	r = client_init(client, options);
	if (r < 0) {
		zk_client_free(client);
		return r;
	}
	zk_client_wake(client); /* the first dispatch connects */
	*clientp = client;
	return 0;
}

struct zk_client *zk_client_free(struct zk_client *client)
{
	if (!client)
		return NULL;
	zk_connection_close(client);
	zk_ops_done(client);
	zk_sequences_done(client);
	zk_watches_done(client);
	if (client->resolver)
		drop_resolver(client);
	if (client->epoll_fd >= 0)
		close(client->epoll_fd);
	if (client->timer_fd >= 0)
		close(client->timer_fd);
	if (client->wake_fd >= 0)
		close(client->wake_fd);
	free(client->addresses);
	free(client);
	return NULL;
}

int zk_client_fd(const struct zk_client *client)
{
	return client->epoll_fd;
}

bool zk_client_connected(const struct zk_client *client)
{
	return client->state == ZK_CONNECTED;
}

void zk_client_get_info(const struct zk_client *client, struct zk_client_info *info)
{
	*info = (struct zk_client_info){
		.state = client->state,
		.session_id = client->id.client_id,
		.session_timeout_ms = client->session_timeout_ms,
		.last_zxid = client->last_zxid,
		.in_flight = client->counts[ZK_PLACE_SENT],
		.waiting = client->counts[ZK_PLACE_WAITING],
		.reconnects = client->reconnects,
		.expiries = client->expiries,
	};
	for (int i = 0; i < ZK_N_REQUESTS; i++)
		info->requests += client->requests[i];
	if (client->outage_at)
		info->outage_ms = (uint64_t)(zk_now_ms() - client->outage_at);
	info->expired =
		client->was_connected && info->outage_ms >= (uint64_t)client->session_timeout_ms;
	if (client->state == ZK_CONNECTED)
		snprintf(info->server, sizeof(info->server), "%s",
			zoo_get_current_server(client->zh));
}

size_t zk_client_count_requests(
	const struct zk_client *client, struct zk_client_count counts[ZK_CLIENT_COUNTS_MAX])
{
	static const char *const names[ZK_N_REQUESTS] = {
		[ZK_REQUEST_GET] = "get",
		[ZK_REQUEST_EXISTS] = "exists",
		[ZK_REQUEST_CHILDREN] = "children",
		[ZK_REQUEST_ACL_GET] = "get_acl",
		[ZK_REQUEST_SYNC] = "sync",
		[ZK_REQUEST_UNWATCH] = "remove_watches",
		[ZK_REQUEST_CREATE] = "create",
		[ZK_REQUEST_SET] = "set",
		[ZK_REQUEST_DELETE] = "delete",
		[ZK_REQUEST_ACL_SET] = "set_acl",
		[ZK_REQUEST_MULTI] = "multi",
	};

	_Static_assert(ZK_N_REQUESTS <= ZK_CLIENT_COUNTS_MAX, "there is room for all types");
	for (int i = 0; i < ZK_N_REQUESTS; i++)
		counts[i] = (struct zk_client_count){ names[i], client->requests[i] };
	return ZK_N_REQUESTS;
}

static size_t room_for_data(const struct zk_client *client, const struct zk_request *request)
{
	size_t taken = ZK_REQUEST_HEADER_SIZE + zk_request_body_size(request);

	return taken < client->options.packet_max ? client->options.packet_max - taken : 0;
}

size_t zk_client_set_max(const struct zk_client *client, const char *path)
{
	struct zk_request request = { .type = ZK_REQUEST_SET, .path = (char *)path };

	return room_for_data(client, &request);
}

size_t zk_client_create_max(const struct zk_client *client, const char *path, size_t acl_size)
{
	struct zk_request request = { .type = ZK_REQUEST_SET, .path = (char *)path };
	size_t room = room_for_data(client, &request); /* a create is as long, but for its ACL */

	return acl_size < room ? room - acl_size : 0;
}
