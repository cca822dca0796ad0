/* SPDX-License-Identifier: Apache-2.0 */
/* See proxy.h. One thread polls all sockets; the mutex guards everything but the listener. */

#include "proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_LINKS 16

struct link {
	int client;
	int server;
};

struct proxy {
	pthread_t thread;
	pthread_mutex_t mutex;
	int listener;
	uint16_t port;
	uint16_t server_port;
	bool stop;
	enum proxy_mode mode;
	uint64_t received;
	size_t n_links;
	struct link links[N_LINKS];
};

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(port),
	};
}

static void take_client(struct proxy *proxy)
{
	struct sockaddr_in address = loopback(proxy->server_port);
	struct link link = { .client = accept(proxy->listener, NULL, NULL), .server = -1 };

	if (link.client < 0)
		return;
	link.server = socket(AF_INET, SOCK_STREAM, 0);
	if (proxy->mode == PROXY_REFUSE || proxy->n_links == N_LINKS ||
		connect(link.server, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(link.client);
		close(link.server);
		return;
	}
	proxy->links[proxy->n_links++] = link;
}

static void drop_link(struct proxy *proxy, size_t i)
{
	close(proxy->links[i].client);
	close(proxy->links[i].server);
	proxy->links[i] = proxy->links[--proxy->n_links];
}

/* False: it has ended. */
static bool carry(struct proxy *proxy, int from, int to, bool request)
{
	char buffer[65536];
	ssize_t n = recv(from, buffer, sizeof(buffer), MSG_DONTWAIT);
	ssize_t sent = 0;

	if (n < 0)
		return true;
	if (n == 0)
		return false;
	if (request)
		proxy->received += (uint64_t)n;
	if (proxy->mode == (request ? PROXY_DROP_REQUESTS : PROXY_DROP_REPLIES))
		return true;
	while (sent < n) {
		ssize_t r = send(to, buffer + sent, (size_t)(n - sent), MSG_NOSIGNAL);

		if (r <= 0)
			return false;
		sent += r;
	}
	return true;
}

static void *proxy_thread(void *userdata)
{
	struct proxy *proxy = userdata;

	for (;;) {
		struct pollfd fds[1 + 2 * N_LINKS] = {
			{ .fd = proxy->listener, .events = POLLIN },
		};
		nfds_t n = 1;

		pthread_mutex_lock(&proxy->mutex);
		for (size_t i = proxy->n_links; i-- > 0;) {
			struct link *link = &proxy->links[i];

			if (!carry(proxy, link->client, link->server, true) ||
				!carry(proxy, link->server, link->client, false))
				drop_link(proxy, i);
		}
		for (size_t i = 0; i < proxy->n_links; i++) {
			fds[n++] = (struct pollfd){ proxy->links[i].client, POLLIN, 0 };
			fds[n++] = (struct pollfd){ proxy->links[i].server, POLLIN, 0 };
		}
		pthread_mutex_unlock(&proxy->mutex);
		poll(fds, n, 5);
		pthread_mutex_lock(&proxy->mutex);
		if (proxy->stop)
			break;
		if (fds[0].revents)
			take_client(proxy);
		pthread_mutex_unlock(&proxy->mutex);
	}
	pthread_mutex_unlock(&proxy->mutex);
	return NULL;
}

struct proxy *proxy_new(uint16_t server_port)
{
	struct proxy *proxy = calloc(1, sizeof(*proxy));
	struct sockaddr_in address = loopback(0);
	socklen_t len = sizeof(address);

	if (!proxy)
		abort();
	proxy->server_port = server_port;
	proxy->listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(proxy->listener, (struct sockaddr *)&address, len) < 0 ||
		listen(proxy->listener, 16) < 0 ||
		getsockname(proxy->listener, (struct sockaddr *)&address, &len) < 0)
		abort();
	proxy->port = ntohs(address.sin_port);
	pthread_mutex_init(&proxy->mutex, NULL);
	if (pthread_create(&proxy->thread, NULL, proxy_thread, proxy) != 0)
		abort();
	return proxy;
}

struct proxy *proxy_free(struct proxy *proxy)
{
	if (!proxy)
		return NULL;
	pthread_mutex_lock(&proxy->mutex);
	proxy->stop = true;
	pthread_mutex_unlock(&proxy->mutex);
	pthread_join(proxy->thread, NULL);
	while (proxy->n_links > 0)
		drop_link(proxy, 0);
	close(proxy->listener);
	pthread_mutex_destroy(&proxy->mutex);
	free(proxy);
	return NULL;
}

uint16_t proxy_port(const struct proxy *proxy)
{
	return proxy->port;
}

void proxy_set(struct proxy *proxy, enum proxy_mode mode)
{
	pthread_mutex_lock(&proxy->mutex);
	proxy->mode = mode;
	pthread_mutex_unlock(&proxy->mutex);
}

void proxy_cut(struct proxy *proxy)
{
	pthread_mutex_lock(&proxy->mutex);
	while (proxy->n_links > 0)
		drop_link(proxy, 0);
	pthread_mutex_unlock(&proxy->mutex);
}

uint64_t proxy_received(struct proxy *proxy)
{
	uint64_t received;

	pthread_mutex_lock(&proxy->mutex);
	received = proxy->received;
	pthread_mutex_unlock(&proxy->mutex);
	return received;
}
