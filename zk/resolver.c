/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One look-up of all host names, in a detached thread. The thread and its owner share a counted
 * struct: who is done with it last frees it, so that nobody ever waits for a name server, not even
 * at the end. The thread fills in `addresses`, then sets `finished`, then signals; the owner reads
 * them only after it has seen `finished`.
 */

#include "zk/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "zk/hosts.h"

#define ADDRESS_MAX 128 /* ADDRESS:PORT */

struct target {
	char *name;
	uint16_t port;
};

struct zk_resolver {
	atomic_int refs;
	atomic_bool finished;
	int event_fd;
	size_t n_targets;
	struct target *targets;
	size_t n_addresses;
	char **addresses;
};

static void resolver_unref(struct zk_resolver *resolver)
{
	if (atomic_fetch_sub(&resolver->refs, 1) > 1)
		return;
	for (size_t i = 0; i < resolver->n_targets; i++)
		free(resolver->targets[i].name);
	free(resolver->targets);
	for (size_t i = 0; i < resolver->n_addresses; i++)
		free(resolver->addresses[i]);
	free(resolver->addresses);
	if (resolver->event_fd >= 0)
		close(resolver->event_fd);
	free(resolver);
}

static void add_address(struct zk_resolver *resolver, const char *address)
{
	char **addresses;
	char *copy;

	for (size_t i = 0; i < resolver->n_addresses; i++) {
		if (strcmp(resolver->addresses[i], address) == 0)
			return;
	}
	addresses = reallocarray(
		resolver->addresses, resolver->n_addresses + 1, sizeof(*resolver->addresses));
	if (!addresses)
		return;
	resolver->addresses = addresses;
	copy = strdup(address);
	if (copy)
		resolver->addresses[resolver->n_addresses++] = copy;
}

static void look_up(struct zk_resolver *resolver, const struct target *target)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	char host[ADDRESS_MAX - 8];
	char address[ADDRESS_MAX];

	if (getaddrinfo(target->name, NULL, &hints, &found) != 0)
		return;
	for (struct addrinfo *ai = found; ai; ai = ai->ai_next) {
		if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6)
			continue;
		if (getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), NULL, 0,
			    NI_NUMERICHOST) != 0)
			continue;
		snprintf(address, sizeof(address), "%s:%u", host, (unsigned)target->port);
		add_address(resolver, address);
	}
	freeaddrinfo(found);
}

static int compare_addresses(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void *resolver_thread(void *userdata)
{
	struct zk_resolver *resolver = userdata;

	for (size_t i = 0; i < resolver->n_targets; i++)
		look_up(resolver, &resolver->targets[i]);
	/* Name servers rotate their answers: sorted, so that the same set looks the same. */
	if (resolver->n_addresses > 1)
		qsort(resolver->addresses, resolver->n_addresses, sizeof(*resolver->addresses),
			compare_addresses);
	atomic_store(&resolver->finished, true);
	eventfd_write(resolver->event_fd, 1);
	resolver_unref(resolver);
	return NULL;
}

/* Signals are the event loop's: the thread takes none. */
static int start_thread(struct zk_resolver *resolver)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int r = pthread_attr_init(&attr);

	if (r != 0)
		return -r;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	atomic_fetch_add(&resolver->refs, 1);
	r = pthread_create(&thread, &attr, resolver_thread, resolver);
	if (r != 0)
		atomic_fetch_sub(&resolver->refs, 1);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

static int copy_targets(struct zk_resolver *resolver, const struct zk_hosts *hosts)
{
	resolver->targets = calloc(hosts->n_hosts, sizeof(*resolver->targets));
	if (!resolver->targets)
		return -ENOMEM;
	resolver->n_targets = hosts->n_hosts;
	for (size_t i = 0; i < hosts->n_hosts; i++) {
		resolver->targets[i].port = hosts->hosts[i].port;
		resolver->targets[i].name = strdup(hosts->hosts[i].name);
		if (!resolver->targets[i].name)
			return -ENOMEM;
	}
	return 0;
}

int zk_resolver_new(const struct zk_hosts *hosts, struct zk_resolver **resolverp)
{
	struct zk_resolver *resolver = calloc(1, sizeof(*resolver));
	int r;

	if (!resolver)
		return -ENOMEM;
	atomic_init(&resolver->refs, 1);
	resolver->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = resolver->event_fd < 0 ? -errno : copy_targets(resolver, hosts);
	if (r == 0)
		r = start_thread(resolver);
	if (r < 0) {
		resolver_unref(resolver);
		return r;
	}
	*resolverp = resolver;
	return 0;
}

struct zk_resolver *zk_resolver_free(struct zk_resolver *resolver)
{
	if (resolver)
		resolver_unref(resolver);
	return NULL;
}

int zk_resolver_fd(const struct zk_resolver *resolver)
{
	return resolver->event_fd;
}

int zk_resolver_result(struct zk_resolver *resolver, char **addressesp)
{
	size_t size = 1;
	char *text;

	if (!atomic_load(&resolver->finished))
		return -EAGAIN;
	if (resolver->n_addresses == 0)
		return -EHOSTUNREACH;
	for (size_t i = 0; i < resolver->n_addresses; i++)
		size += strlen(resolver->addresses[i]) + 1;
	text = calloc(1, size);
	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < resolver->n_addresses; i++) {
		if (i > 0)
			strcat(text, ",");
		strcat(text, resolver->addresses[i]);
	}
	*addressesp = text;
	return 0;
}
