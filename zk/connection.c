/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's handle, and the session on it. The library reconnects by itself; a handle is
 * replaced only when its session has expired, or when it broke in a way that the library does not
 * notice: a send that fails closes the socket, but keeps the unanswered requests as if they were to
 * be answered on the next connection. The new handle then goes on with the same session.
 *
 * Every connection begins with a sync, the barrier. Its answer comes after those to our
 * credentials, so only then it is known that the server has taken them; and what is read after it
 * is not older than anything read on the connection before. Until then nothing else is sent.
 */

#include "zk/client_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "zk/auth.h"
#include "zk/error.h"

#define PACKETS_PER_DISPATCH 256 /* then others in the loop have their turn */
#define RETRY_MS 20              /* between two attempts to connect that fail at once */
#define REOPEN_MS 1000           /* when a handle cannot even be made */
#define CLOSE_MS 900             /* longest wait for the server's word at the end */

static void swallow(const char *message)
{
	(void)message;
}

static void connection_lost(struct zk_client *client)
{
	if (client->state == ZK_CONNECTED) {
		client->state = ZK_CONNECTING;
		client->outage_at = zk_now_ms();
	}
	if (client->associated) {
		client->associated = false;
		zk_watches_fit(client);
	}
	client->barrier_sent = false;
	zk_client_wake(client);
}

void zk_connection_on_event(zhandle_t *zh, int type, int state, const char *path, void *userdata)
{
	struct zk_client *client = userdata;

	if (zh != client->zh)
		return;
	if (type != ZOO_SESSION_EVENT) {
		if (type != ZOO_NOTWATCHING_EVENT)
			zk_watch_fired(client, path, type);
		return;
	}
	if (state == ZOO_CONNECTED_STATE) {
		client->associated = true;
		client->id = *zoo_client_id(zh);
		client->session_timeout_ms = zoo_recv_timeout(zh);
		zk_client_wake(client);
		return;
	}
	connection_lost(client);
	/* The handle must not be closed from within its own callback: see zk_connection_repair. */
	if (state == ZOO_EXPIRED_SESSION_STATE)
		client->session_gone = true;
	else if (state == ZOO_AUTH_FAILED_STATE)
		client->state = ZK_AUTH_FAILED;
}

static void handle_open(struct zk_client *client)
{
	const struct zk_auth *auth = client->options.auth;
	log_callback_fn log = client->options.debug ? client->options.debug : swallow;

	zoo_set_debug_level(client->options.debug ? ZOO_LOG_LEVEL_INFO : (ZooLogLevel)0);
	client->zh = zookeeper_init2(client->addresses, zk_connection_on_event,
		client->options.session_timeout_ms, client->id.client_id ? &client->id : NULL,
		client, ZOO_NO_LOG_CLIENTENV, log);
	if (!client->zh) {
		client->retry_at = client->now + REOPEN_MS;
		return;
	}
	/* By default every turn would call getaddrinfo, and the addresses are numeric anyway. */
	zoo_set_servers_resolution_delay(client->zh, -1);
	for (size_t i = 0; auth && i < auth->n_entries; i++)
		zoo_add_auth(client->zh, auth->entries[i].scheme, auth->entries[i].credential,
			(int)auth->entries[i].credential_len, NULL, NULL);
}

/* Does not end the session: the library says goodbye only on a connection that is well. */
static void handle_close(struct zk_client *client)
{
	zhandle_t *zh = client->zh;

	client->zh = NULL;
	client->socket_fd = -1;
	client->stale = false;
	client->associated = false;
	client->barrier_sent = false;
	zookeeper_close(zh);
	zk_ops_lose_all(client);
	zk_watches_lost(client);
}

static void on_barrier(int code, const char *path, const void *userdata)
{
	struct zk_client *client = (struct zk_client *)userdata;
	int r = zk_error_to_errno(code);

	(void)path;
	if (client->closing || !client->associated || r == -ENOTCONN)
		return;
	if (r < 0) {
		client->barrier_sent = false;
		client->retry_at = client->now + RETRY_MS;
		return;
	}
	client->state = ZK_CONNECTED;
	client->outage_at = 0;
	client->failures = 0;
	client->reconnects += client->was_connected;
	client->was_connected = true;
	zk_watches_connected(client);
}

static void send_barrier(struct zk_client *client)
{
	client->barrier_sent = true;
	if (zoo_async(client->zh, "/", on_barrier, client) != ZOK)
		client->barrier_sent = false;
	zk_connection_check(client);
}

void zk_connection_repair(struct zk_client *client)
{
	if (client->state == ZK_AUTH_FAILED) {
		if (client->zh)
			handle_close(client);
		zk_ops_fail_all(client, -EACCES);
		return;
	}
	if (client->session_gone) {
		client->session_gone = false;
		client->expiries++;
		client->id = (clientid_t){ 0 };
		client->stale = true;
	}
	if (client->stale && client->zh)
		handle_close(client);
	if (client->now < client->retry_at)
		return;
	if (!client->zh && client->addresses)
		handle_open(client);
	if (client->associated && !client->barrier_sent)
		send_barrier(client);
}

void zk_connection_check(struct zk_client *client)
{
	if (client->zh && zoo_state(client->zh) == ZOO_CONNECTED_STATE)
		return;
	client->stale = true;
	connection_lost(client);
}

/* The library closed its socket, and may open another with the same number. Attempts that fail at
 * once would follow each other without a pause. */
static void socket_failed(struct zk_client *client)
{
	client->socket_fd = -1;
	if (client->failures++ > 0)
		client->retry_at = client->now + RETRY_MS;
}

void zk_connection_process(struct zk_client *client, uint32_t events)
{
	int code = ZOK;
	int mask = 0;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		mask |= ZOOKEEPER_READ;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		mask |= ZOOKEEPER_WRITE;
	for (int i = 0; i < PACKETS_PER_DISPATCH && client->zh && code == ZOK; i++) {
		code = zookeeper_process(client->zh, mask);
		if (code == ZOK && (mask & ZOOKEEPER_READ))
			client->heard_at = client->now;
		mask = ZOOKEEPER_READ;
	}
	if (code != ZOK && code != ZNOTHING)
		socket_failed(client);
}

static void socket_register(struct zk_client *client, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u32 = ZK_WAKER_SOCKET };
	int r;

	if (fd == client->socket_fd && events == client->socket_events)
		return;
	client->socket_fd = fd;
	client->socket_events = events;
	if (fd < 0)
		return;
	r = epoll_ctl(client->epoll_fd, EPOLL_CTL_MOD, fd, &event);
	if (r < 0 && errno == ENOENT)
		r = epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, fd, &event);
	if (r < 0)
		client->socket_fd = -1;
}

void zk_connection_refresh(struct zk_client *client)
{
	int fd = -1;
	int interest = 0;
	struct timeval tv = { 0 };
	uint32_t events = 0;
	int64_t now = zk_now_ms();
	bool was_connected = client->state == ZK_CONNECTED;
	int code;

	client->interest_at = INT64_MAX;
	if (!client->zh || client->stale || client->session_gone || client->state == ZK_AUTH_FAILED)
		return;
	if (now < client->retry_at && client->socket_fd < 0) {
		client->interest_at = client->retry_at;
		return;
	}
	code = zookeeper_interest(client->zh, &fd, &interest, &tv);
	if (code != ZOK) {
		/* No word for 2/3 of the session timeout: it was lost when it fell silent. */
		if (code == ZOPERATIONTIMEOUT && was_connected) {
			client->outage_at = client->heard_at;
			zk_ops_count_from_outage(client);
		}
		socket_failed(client);
		client->interest_at = client->retry_at;
		zk_client_wake_at(client, client->interest_at);
		return;
	}
	if (interest & ZOOKEEPER_READ)
		events |= EPOLLIN;
	if (interest & ZOOKEEPER_WRITE)
		events |= EPOLLOUT;
	socket_register(client, fd, events);
	client->interest_at = now + tv.tv_sec * 1000 + tv.tv_usec / 1000 + 1;
	zk_client_wake_at(client, client->interest_at);
}

/* zookeeper_close waits up to 4.5 s for a server that is silent. Somebody has to cut that short. */
struct watchdog {
	pthread_t thread;
	int socket_fd; /* our own, of the same connection */
	int stop_fd;
};

static void *watchdog_thread(void *userdata)
{
	struct watchdog *dog = userdata;
	struct pollfd stop = { .fd = dog->stop_fd, .events = POLLIN };

	if (poll(&stop, 1, CLOSE_MS) == 0)
		shutdown(dog->socket_fd, SHUT_RDWR);
	return NULL;
}

static bool watchdog_start(struct watchdog *dog, int socket_fd)
{
	sigset_t all, old;
	int r;

	dog->socket_fd = fcntl(socket_fd, F_DUPFD_CLOEXEC, 0);
	dog->stop_fd = eventfd(0, EFD_CLOEXEC);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&dog->thread, NULL, watchdog_thread, dog);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r == 0;
}

static void watchdog_stop(struct watchdog *dog, bool started)
{
	if (started) {
		eventfd_write(dog->stop_fd, 1);
		pthread_join(dog->thread, NULL);
	}
	close(dog->socket_fd);
	close(dog->stop_fd);
}

void zk_connection_close(struct zk_client *client)
{
	zhandle_t *zh = client->zh;
	struct watchdog dog;
	bool started;

	client->closing = true;
	client->zh = NULL;
	if (!zh)
		return;
	if (zoo_state(zh) != ZOO_CONNECTED_STATE) {
		zookeeper_close(zh);
		return;
	}
	started = watchdog_start(&dog, client->socket_fd);
	/* Answers that are unread would be taken for the answer to the close. */
	for (int i = 0; i < PACKETS_PER_DISPATCH; i++) {
		if (zookeeper_process(zh, ZOOKEEPER_READ) != ZOK)
			break;
	}
	zookeeper_close(zh);
	watchdog_stop(&dog, started);
}
