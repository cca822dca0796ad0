/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Watches: being told, once, that what was read has changed.
 *
 * A read with ZK_OP_WATCH (op.h) sets a watch together with its answer, so that no change falls
 * between the two; the answer's `watched` tells whether it did. A watch fires once and is gone; the
 * read that finds out what has changed sets it again.
 *
 * What is watched must be wanted, before the read and until it is dropped: by counting, so that
 * several may want the same. A watch that nobody wants is removed from the server, a few at a time. How
 * many the server has is bounded.
 *
 * A lost connection loses no watch: the next server is told what was last seen, and fires those
 * whose znode has changed since. The library does so in one packet, and if that were longer than the
 * server takes it would cut the connection for ever (ZOOKEEPER-706): those that do not fit are
 * missed, and are to be set again by reading. A new session, or a new handle on the same one, has
 * none.
 */

struct zk_client;

enum zk_watch_kind {
	ZK_WATCH_DATA = 1 << 0,     /* of get and exists: set, delete */
	ZK_WATCH_CHILDREN = 1 << 1, /* of children: create and delete of a child, delete */
};

struct zk_watcher {
	/* What the kinds watch has changed, or may have. From zk_client_dispatch, as the next two. */
	void (*fired)(void *userdata, const char *path, unsigned kinds);
	/* These are not set any more, as the connection went. */
	void (*missed)(void *userdata, const char *path, unsigned kinds);
	/* No watch is left of any that was set. */
	void (*lost)(void *userdata);
	/* There is a server again (the first time included). */
	void (*connected)(void *userdata);
	void *userdata;
};

struct zk_watch_info {
	size_t n_wanted, n_armed; /* watches */
	size_t n_leaving;         /* that nobody wants, but the server still has */
	size_t max;
	size_t n_bytes; /* of paths, as the server counts them */
	uint64_t n_fired;
};

/* Who is told; `watcher` must outlive the client. */
void zk_watch_listen(struct zk_client *client, const struct zk_watcher *watcher);

/* Wants watches of these kinds on a path. 0; -ENOSPC: over the budget; -ENOMEM. */
int zk_watch_want(struct zk_client *client, const char *path, unsigned kinds);
/* Takes one such wish back. */
void zk_watch_drop(struct zk_client *client, const char *path, unsigned kinds);

void zk_watch_get_info(const struct zk_client *client, struct zk_watch_info *info);
