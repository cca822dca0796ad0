/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of what is wanted and what is armed. The library keeps a list of its own, to set the
 * watches again on the next connection; this one knows who wants them, and is the budget. All
 * watches have one function and one context: the library compares each pair with each other at
 * every event of the session.
 *
 * What nobody wants any more leaves the server a few at a time: the kernel lets go of thousands of
 * inodes at once, and who asks something then is not to wait for all of these. Until it has left a
 * watch counts against the budget; whoever wants it again meanwhile finds it still set. A lost
 * connection takes all of them along: the next server is told of none of these.
 */

#include "zk/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "zk/client_private.h"

#define N_KINDS 2
#define ALL_KINDS (ZK_WATCH_DATA | ZK_WATCH_CHILDREN)

/* Removals that the server is asked for at the same time. */
#define REMOVALS_MAX 64

struct zk_watch {
	UT_hash_handle hh;
	unsigned wanted[N_KINDS];         /* by how many */
	unsigned armed;                   /* kinds */
	unsigned leaving;                 /* kinds that are armed, and nobody wants */
	TAILQ_ENTRY(zk_watch) by_leaving; /* of client->leaving, while there are any */
	char path[];
};

static struct zk_watch *find(const struct zk_client *client, const char *path)
{
	struct zk_watch *watch;

	HASH_FIND_STR(client->watches, path, watch);
	return watch;
}

static struct zk_watch *find_or_add(struct zk_client *client, const char *path)
{
	struct zk_watch *watch = find(client, path);

	if (watch)
		return watch;
	watch = calloc(1, sizeof(*watch) + strlen(path) + 1);
	if (!watch)
		return NULL;
	strcpy(watch->path, path);
	HASH_ADD_STR(client->watches, path, watch);
	return watch;
}

static void free_if_unused(struct zk_client *client, struct zk_watch *watch)
{
	if (watch->wanted[0] || watch->wanted[1] || watch->leaving)
		return;
	HASH_DEL(client->watches, watch);
	free(watch);
}

static size_t wire_size(const char *path)
{
	return 4 + strlen(path);
}

static size_t max_watches(const struct zk_client *client)
{
	return (size_t)client->options.watches_max;
}

static unsigned count_kinds(unsigned kinds)
{
	return (kinds & ZK_WATCH_DATA ? 1 : 0) + (kinds & ZK_WATCH_CHILDREN ? 1 : 0);
}

void zk_watches_init(struct zk_client *client)
{
	TAILQ_INIT(&client->leaving);
}

void zk_watch_listen(struct zk_client *client, const struct zk_watcher *watcher)
{
	client->watcher = watcher;
}

/* What the server still has and nobody wants. Each removal is of one kind or of both. */
static size_t leaving(const struct zk_client *client)
{
	return client->n_leaving + N_KINDS * client->n_removing;
}

/* The kinds among these that nobody has wanted so far. */
static unsigned new_kinds(const struct zk_watch *watch, unsigned kinds)
{
	unsigned new = 0;

	for (int i = 0; i < N_KINDS; i++)
		if ((kinds & 1u << i) && !(watch && watch->wanted[i]))
			new |= 1u << i;
	return new;
}

/* Stays after all, or is gone by itself. */
static void stop_leaving(struct zk_client *client, struct zk_watch *watch, unsigned kinds)
{
	kinds &= watch->leaving;
	if (!kinds)
		return;
	watch->leaving &= ~kinds;
	client->n_leaving -= count_kinds(kinds);
	if (!watch->leaving)
		TAILQ_REMOVE(&client->leaving, watch, by_leaving);
}

int zk_watch_want(struct zk_client *client, const char *path, unsigned kinds)
{
	struct zk_watch *watch = find(client, path);
	unsigned new = new_kinds(watch, kinds);
	size_t n_new = count_kinds(watch ? new & ~watch->leaving : new);
	size_t n_set = client->n_wanted + leaving(client);

	if (n_new > 0 && n_set + n_new > max_watches(client))
		return -ENOSPC;
	watch = find_or_add(client, path);
	if (!watch)
		return -ENOMEM;
	stop_leaving(client, watch, kinds);
	for (int i = 0; i < N_KINDS; i++)
		watch->wanted[i] += kinds & 1u << i ? 1 : 0;
	client->n_wanted += count_kinds(new);
	client->wanted_bytes += count_kinds(new) * wire_size(path);
	return 0;
}

static void disarmed(struct zk_client *client, struct zk_watch *watch, unsigned kinds)
{
	client->n_armed -= count_kinds(watch->armed & kinds);
	watch->armed &= ~kinds;
	stop_leaving(client, watch, kinds);
}

static void removed(void *userdata, int r, const struct zk_reply *reply)
{
	struct zk_client *client = userdata;

	client->n_removing--;
	zk_watches_remove(client);
}

void zk_watches_remove(struct zk_client *client)
{
	struct zk_watch *watch;

	while ((watch = TAILQ_FIRST(&client->leaving)) &&
		(!client->associated || client->n_removing < REMOVALS_MAX)) {
		unsigned kinds = watch->leaving;

		disarmed(client, watch, kinds);
		if (!client->associated && client->zh)
			zk_send_forget_watches(client, watch->path, kinds);
		else if (client->zh && zk_op_unwatch(client, watch->path, kinds, removed) == 0)
			client->n_removing++;
		free_if_unused(client, watch);
	}
}

/* The kinds are armed, and nobody wants them. */
static void leave(struct zk_client *client, struct zk_watch *watch, unsigned kinds)
{
	kinds &= ~watch->leaving;
	if (!kinds || client->closing)
		return;
	if (!watch->leaving)
		TAILQ_INSERT_TAIL(&client->leaving, watch, by_leaving);
	watch->leaving |= kinds;
	client->n_leaving += count_kinds(kinds);
	zk_client_wake(client);
}

void zk_watch_drop(struct zk_client *client, const char *path, unsigned kinds)
{
	struct zk_watch *watch = find(client, path);
	unsigned gone = 0;

	if (!watch)
		return;
	for (int i = 0; i < N_KINDS; i++)
		if ((kinds & 1u << i) && watch->wanted[i] > 0 && --watch->wanted[i] == 0)
			gone |= 1u << i;
	client->n_wanted -= count_kinds(gone);
	client->wanted_bytes -= count_kinds(gone) * wire_size(path);
	leave(client, watch, gone & watch->armed);
	free_if_unused(client, watch);
}

bool zk_watch_armed(struct zk_client *client, const char *path, unsigned kind)
{
	struct zk_watch *watch = find_or_add(client, path);
	bool is_wanted = watch && watch->wanted[kind - 1];

	if (!watch)
		return false;
	client->n_armed += watch->armed & kind ? 0 : 1;
	watch->armed |= kind;
	if (!is_wanted)
		leave(client, watch, kind);
	return is_wanted;
}

void zk_watch_fired(struct zk_client *client, const char *path, int event)
{
	struct zk_watch *watch = find(client, path);
	unsigned kinds = event == ZOO_CHILD_EVENT     ? ZK_WATCH_CHILDREN
			 : event == ZOO_DELETED_EVENT ? ALL_KINDS
						      : ZK_WATCH_DATA;

	client->n_fired++;
	if (!watch)
		return;
	disarmed(client, watch, kinds);
	free_if_unused(client, watch);
	if (client->watcher && !client->closing)
		client->watcher->fired(client->watcher->userdata, path, kinds);
}

/* What goes in the packet that sets them again. */
static size_t armed_bytes(const struct zk_client *client)
{
	const struct zk_watch *watch;
	size_t n_bytes = 0;

	for (watch = client->watches; watch; watch = watch->hh.next)
		n_bytes += count_kinds(watch->armed) * wire_size(watch->path);
	return n_bytes;
}

void zk_watch_forget(struct zk_client *client, const char *path, unsigned kinds)
{
	const struct zk_watch *watch = find(client, path);

	if (watch)
		kinds &= ~watch->armed;
	if (kinds)
		zk_send_forget_watches(client, path, kinds);
}

static void miss(struct zk_client *client, struct zk_watch *watch, unsigned kinds)
{
	zk_send_forget_watches(client, watch->path, kinds);
	disarmed(client, watch, kinds);
	if (client->watcher)
		client->watcher->missed(client->watcher->userdata, watch->path, kinds);
}

void zk_watches_fit(struct zk_client *client)
{
	size_t max = client->options.packet_max - client->options.packet_max / 8;
	size_t n_bytes = client->wanted_bytes;
	struct zk_watch *watch;

	if (client->closing || !client->zh)
		return;
	zk_ops_forget_removals(client);
	zk_watches_remove(client);
	if (n_bytes <= max)
		return;
	n_bytes = armed_bytes(client);
	for (watch = client->watches; watch && n_bytes > max; watch = watch->hh.next) {
		n_bytes -= count_kinds(watch->armed) * wire_size(watch->path);
		if (watch->armed)
			miss(client, watch, watch->armed);
	}
}

void zk_watches_lost(struct zk_client *client)
{
	struct zk_watch *watch, *next;

	HASH_ITER (hh, client->watches, watch, next) {
		disarmed(client, watch, ALL_KINDS);
		free_if_unused(client, watch);
	}
	if (client->watcher && !client->closing)
		client->watcher->lost(client->watcher->userdata);
}

void zk_watches_connected(struct zk_client *client)
{
	if (client->watcher)
		client->watcher->connected(client->watcher->userdata);
}

void zk_watches_done(struct zk_client *client)
{
	struct zk_watch *watch, *next;

	HASH_ITER (hh, client->watches, watch, next) {
		HASH_DEL(client->watches, watch);
		free(watch);
	}
}

void zk_watch_get_info(const struct zk_client *client, struct zk_watch_info *info)
{
	*info = (struct zk_watch_info){
		.n_wanted = client->n_wanted,
		.n_leaving = leaving(client),
		.n_armed = client->n_armed,
		.max = max_watches(client),
		.n_bytes = client->wanted_bytes,
		.n_fired = client->n_fired,
	};
}
