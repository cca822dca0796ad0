/* SPDX-License-Identifier: Apache-2.0 */
/* Which inodes are watched, and what happens when a watch fires. */
#include "fs/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/cache.h"
#include "fs/children.h"
#include "fs/clock.h"
#include "fs/container.h"
#include "fs/entry.h"
#include "fs/fill.h"
#include "fs/fs.h"
#include "fs/log.h"
#include "fs/notice.h"
#include "fs/options.h"
#include "fs/request.h"
#include "zk/client.h"
#include "zk/watch.h"

/* A file whose last known data is at most this long is asked for with its data: who is told of a
 * change mostly reads it. */
#define WITH_DATA_MAX 65536

/* Inodes that are asked for their children at the same time in the background: who lists a directory
 * has to do with thousands at once, and is not to wait for it, nor anybody else. */
#define LOADS_MAX 64

struct fs_refetch {
	struct fs_request base;
	struct fs_fetch fetch;
	struct fs_inode *inode; /* a reference */
};

bool fs_watch_is_held(const struct fs_inode *inode)
{
	return inode->n_lookups > 0 || !inode->parent;
}

bool fs_watch_matters(const struct fs_inode *inode)
{
	return fs_watch_is_held(inode) || fs_watch_is_held(inode->parent);
}

static bool can_have_children(const struct fs_inode *inode)
{
	return inode->kind == FS_KIND_DIR ||
	       (inode->kind == FS_KIND_FILE && inode->stat.ephemeral_owner == 0);
}

/* Of a directory only who holds it needs to know the names; a file must still be one. */
static bool needs_children(const struct fs_inode *inode)
{
	if (!inode->linked || !inode->exists || inode->children_current || inode->loading)
		return false;
	if (inode->kind == FS_KIND_DIR)
		return fs_watch_is_held(inode);
	return inode->current && can_have_children(inode) && !inode->unreadable;
}

static void drop_watches(struct fs *fs, struct fs_inode *inode, unsigned kinds)
{
	char *path = fs_inode_path(&fs->inodes, inode);

	if (path)
		zk_watch_drop(fs->zk, path, kinds);
	free(path);
}

static void drop_children_watch(struct fs *fs, struct fs_inode *inode)
{
	if (inode->children_watched)
		drop_watches(fs, inode, ZK_WATCH_CHILDREN);
	inode->children_watched = false;
	inode->children_current = false;
}

/* Nothing of it is watched any more. May free it. */
static void stop_watching(struct fs *fs, struct fs_inode *inode)
{
	drop_children_watch(fs, inode);
	inode->current = false;
	if (!inode->watched)
		return;
	drop_watches(fs, inode, ZK_WATCH_DATA);
	inode->watched = false;
	fs_inode_unref(&fs->inodes, inode);
}

/* And what was told of the names in it is nothing to go by. May free it. */
static void release(struct fs *fs, struct fs_inode *inode)
{
	fs_children_forget(inode);
	stop_watching(fs, inode);
}

int fs_watch_load_children(struct fs *fs, struct fs_inode *inode, struct fs_waiter *waiter)
{
	int r;

	if (inode->loading && waiter)
		return fs_children_load(fs, inode, waiter);
	if (!needs_children(inode))
		return -EALREADY;
	if (inode->kind == FS_KIND_DIR)
		fs_notice_expect_children(fs, inode);
	r = fs_children_load(fs, inode, waiter);
	if (r < 0 && inode->kind == FS_KIND_DIR)
		fs_notice_children_known(fs, inode, r);
	return r;
}

static void start_loads(struct fs *fs)
{
	struct fs_inode *inode;

	while (fs->n_loading < LOADS_MAX && (inode = TAILQ_FIRST(&fs->unloaded))) {
		TAILQ_REMOVE(&fs->unloaded, inode, unloaded_link);
		inode->unloaded = false;
		fs_watch_load_children(fs, inode, NULL);
		fs_inode_unref(&fs->inodes, inode);
	}
}

void fs_watch_load_started(struct fs *fs)
{
	fs->n_loading++;
}

void fs_watch_load_ended(struct fs *fs)
{
	fs->n_loading--;
	start_loads(fs);
}

/* In the background. */
static void load_later(struct fs *fs, struct fs_inode *inode)
{
	if (inode->unloaded || !needs_children(inode))
		return;
	inode->unloaded = true;
	fs_inode_ref(inode);
	TAILQ_INSERT_TAIL(&fs->unloaded, inode, unloaded_link);
	start_loads(fs);
}

/* Of a directory at once: what has changed in it keeps its place among other changes. */
static void load_children(struct fs *fs, struct fs_inode *inode)
{
	if (inode->kind == FS_KIND_DIR)
		fs_watch_load_children(fs, inode, NULL);
	else
		load_later(fs, inode);
}

void fs_watch_take(struct fs *fs, struct fs_inode *inode, struct fs_fetch *fetch)
{
	if (!fetch->watch)
		return;
	/* A rename since then: the path is not the inode's any more. */
	inode->current = fetch->watched && fetch->n_moves == fs->n_moves;
	if (!inode->current)
		return;
	if (!inode->watched) {
		inode->watched = true;
		fs_inode_ref(inode);
		fetch->wants = false;
	}
	if (inode->kind == FS_KIND_FILE)
		load_later(fs, inode);
}

bool fs_watch_want_children(struct fs *fs, struct fs_inode *inode)
{
	char *path;

	if (inode->children_watched)
		return true;
	if (!fs_watch_matters(inode))
		return false;
	path = fs_inode_path(&fs->inodes, inode);
	inode->children_watched = path && zk_watch_want(fs->zk, path, ZK_WATCH_CHILDREN) == 0;
	free(path);
	return inode->children_watched;
}

void fs_watch_held(struct fs *fs, struct fs_inode *inode)
{
	if (inode->listed)
		TAILQ_REMOVE(&fs->held, inode, held_link);
	else
		fs->n_held++;
	TAILQ_INSERT_TAIL(&fs->held, inode, held_link);
	inode->listed = true;
	fs->n_in_use -= inode->in_use ? 1 : 0;
	inode->in_use = false;
	if (inode->kind == FS_KIND_DIR)
		load_later(fs, inode);
}

static void unlist(struct fs *fs, struct fs_inode *inode)
{
	if (!inode->listed)
		return;
	TAILQ_REMOVE(&fs->held, inode, held_link);
	inode->listed = false;
	fs->n_held--;
	fs->n_in_use -= inode->in_use ? 1 : 0;
	inode->in_use = false;
}

/* What is in a directory that nobody holds, but is held itself, stays. */
static void release_children(struct fs *fs, struct fs_inode *dir)
{
	struct fs_inode *child, *next;

	for (child = LIST_FIRST(&dir->children); child; child = next) {
		next = LIST_NEXT(child, sibling);
		if (!fs_watch_is_held(child))
			release(fs, child);
	}
}

void fs_watch_forgotten(struct fs *fs, struct fs_inode *inode)
{
	fs_inode_ref(inode);
	unlist(fs, inode);
	if (inode->kind == FS_KIND_DIR) {
		fs_fill_stop(fs, inode);
		release_children(fs, inode);
		drop_children_watch(fs, inode);
		fs_children_forget(inode);
	}
	if (!fs_watch_matters(inode))
		release(fs, inode);
	fs_inode_unref(&fs->inodes, inode);
}

void fs_watch_gone(struct fs *fs, struct fs_inode *inode)
{
	struct fs_inode *child, *next;

	fs_inode_ref(inode);
	for (child = LIST_FIRST(&inode->children); child; child = next) {
		next = LIST_NEXT(child, sibling);
		if (child->linked && child->exists) {
			if (next)
				fs_inode_ref(next);
			fs_watch_gone(fs, child);
			if (next)
				fs_inode_unref(&fs->inodes, next);
		}
	}
	fs_inode_unlink(&fs->inodes, inode);
	unlist(fs, inode);
	fs_notice_gone(fs, inode);
	release(fs, inode);
	fs_inode_unref(&fs->inodes, inode);
}

static void refetch_free(struct fs_request *request)
{
	struct fs_refetch *refetch = (struct fs_refetch *)request;

	fs_fetch_done(&refetch->fetch);
	refetch->inode->refetch = NULL;
	fs_inode_unref(&request->fs->inodes, refetch->inode);
}

/* The name leads to another znode than before, or to one of another kind. */
static void bind_anew(struct fs *fs, const struct fs_inode *old, struct fs_fetch *fetch)
{
	struct fs_inode *dir = old->parent, *inode;

	/* .data is no name of a znode: what was found of its directory tells (fs_entry_update). */
	if (old->kind == FS_KIND_DATA)
		return;
	if (!dir->linked || fs_inode_by_name(&fs->inodes, dir, old->name->name))
		return;
	inode = fs_entry_bind(fs, dir, old->name->name, fetch->kind, fetch);
	fs_inode_unref(&fs->inodes, inode);
}

static void refetched(struct fs_fetch *fetch, int r)
{
	struct fs_refetch *refetch = fs_container_of(fetch, struct fs_refetch, fetch);
	struct fs *fs = refetch->base.fs;
	struct fs_inode *inode = fs_inode_ref(refetch->inode);
	bool moved = fetch->n_moves != fs->n_moves;

	inode->refetch = NULL;
	if (inode->linked && !moved) {
		if (fs_entry_revalidate(fs, inode, fetch, r) == -ESTALE && r == 0)
			bind_anew(fs, inode, fetch);
	}
	fs_request_end(&refetch->base);
	/* Nothing will tell: the kernel is to ask itself. */
	if (r < 0 && r != -ENOENT && r != -ETIMEDOUT)
		fs_notice_invalidate(fs, inode);
	fs_notice_known(fs, inode);
	if (inode->linked && fs_watch_matters(inode) && zk_client_connected(fs->zk) &&
		(moved || r == -ETIMEDOUT))
		fs_watch_renew(fs, inode);
	fs_inode_unref(&fs->inodes, inode);
}

void fs_watch_renew(struct fs *fs, struct fs_inode *inode)
{
	bool with_data = inode->kind == FS_KIND_FILE && inode->stat.data_length <= WITH_DATA_MAX;
	struct fs_refetch *refetch;
	int r;

	if (inode->refetch || !inode->linked || !inode->exists)
		return;
	refetch = fs_request_new_internal(fs, sizeof(*refetch), refetch_free);
	if (!refetch)
		return;
	refetch->inode = fs_inode_ref(inode);
	fs_entry_prepare_fetch(fs, inode, &refetch->fetch);
	refetch->fetch.flags = 0;
	refetch->fetch.opp = &refetch->base.op;
	refetch->fetch.done = refetched;
	r = fs_fetch_start(&refetch->fetch, with_data ? FS_FETCH_DATA : FS_FETCH_STAT,
		fs_inode_path(&fs->inodes, inode));
	if (r < 0) {
		fs_request_end(&refetch->base);
		return;
	}
	inode->refetch = refetch;
	fs_notice_expect(fs, inode);
}

void fs_watch_retry(struct fs *fs, struct fs_inode *inode)
{
	/* Without a server it is done when there is one. */
	if (inode->linked && fs_watch_matters(inode) && zk_client_connected(fs->zk))
		load_children(fs, inode);
}

static void fired(void *userdata, const char *path, unsigned kinds)
{
	struct fs *fs = userdata;
	struct fs_inode *inode = fs_inode_by_path(&fs->inodes, path);

	if (kinds & ZK_WATCH_DATA)
		fs_ephemeral_fired(fs, path);
	if (!inode || !inode->exists)
		return;
	if (kinds & ZK_WATCH_DATA)
		inode->current = false;
	if (kinds & ZK_WATCH_CHILDREN)
		inode->children_current = false;
	if (!fs_watch_matters(inode)) {
		release(fs, inode);
		return;
	}
	if (kinds == ZK_WATCH_CHILDREN && inode->kind == FS_KIND_DIR)
		load_children(fs, inode);
	else
		fs_watch_renew(fs, inode);
}

static void missed(void *userdata, const char *path, unsigned kinds)
{
	struct fs *fs = userdata;
	struct fs_inode *inode = fs_inode_by_path(&fs->inodes, path);

	if (kinds & ZK_WATCH_DATA)
		fs_ephemeral_missed(fs, path);
	if (inode && (kinds & ZK_WATCH_DATA))
		inode->current = false;
	if (inode && (kinds & ZK_WATCH_CHILDREN))
		inode->children_current = false;
}

static void lost(void *userdata)
{
	struct fs *fs = userdata;
	struct fs_inode *inode, *next;

	fs_ephemerals_lost(fs);
	HASH_ITER (by_id, fs->inodes.by_id, inode, next) {
		inode->current = false;
		inode->children_current = false;
	}
}

static bool is_renamed(const struct fs_inode *inode)
{
	return inode->stat.czxid == 0 && inode->parent;
}

static void connected(void *userdata)
{
	struct fs *fs = userdata;
	struct fs_inode *inode, *next;

	fs_ephemerals_connected(fs); /* before it is asked what has gone */
	HASH_ITER (by_id, fs->inodes.by_id, inode, next) {
		if (!inode->linked || !inode->exists || inode->kind > FS_KIND_FILE)
			continue;
		/* After a rename nothing is watched until the first answer is there. */
		if (!inode->current &&
			(inode->watched || (is_renamed(inode) && fs_watch_is_held(inode))))
			fs_watch_renew(fs, inode);
		if (inode->watched || inode->children_watched)
			load_children(fs, inode);
	}
}

int64_t fs_watch_expire(struct fs *fs)
{
	struct zk_client_info info;
	struct fs_inode *inode, *next;

	if (fs->options->stale == FS_STALE_SERVE || zk_client_connected(fs->zk)) {
		fs->expired = false;
		return INT64_MAX;
	}
	if (fs->expired)
		return INT64_MAX;
	zk_client_get_info(fs->zk, &info);
	if (!info.expired)
		return fs_clock_now() +
		       (info.session_timeout_ms - (int64_t)info.outage_ms + 1) * FS_MS;
	fs->expired = true;
	HASH_ITER (by_id, fs->inodes.by_id, inode, next) {
		inode->current = false;
		inode->children_current = false;
		if (inode->linked && inode->exists)
			fs_notice_invalidate(fs, inode);
	}
	return INT64_MAX;
}

void fs_watch_init(struct fs *fs)
{
	fs->watcher = (struct zk_watcher){

		.fired = fired,
		.missed = missed,
		.lost = lost,
		.connected = connected,
		.userdata = fs
	};
	zk_watch_listen(fs->zk, &fs->watcher);
	fs_watch_renew(fs, fs->inodes.root);
	load_children(fs, fs->inodes.root);
}

/* RENAME */

static void release_tree(struct fs *fs, struct fs_inode *inode)
{
	struct fs_inode *child, *next;

	fs_inode_ref(inode);
	for (child = LIST_FIRST(&inode->children); child; child = next) {
		next = LIST_NEXT(child, sibling);
		if (next)
			fs_inode_ref(next);
		release_tree(fs, child);
		if (next)
			fs_inode_unref(&fs->inodes, next);
	}
	inode->renew = false;
	fs_fill_stop(fs, inode);
	if (fs_watch_is_held(inode))
		stop_watching(fs, inode);
	else
		release(fs, inode);
	fs_inode_unref(&fs->inodes, inode);
}

void fs_watch_moving(struct fs *fs, struct fs_inode *inode)
{
	release_tree(fs, inode);
	fs->n_moves++;
}

void fs_watch_moved(struct fs *fs, struct fs_inode *inode)
{
	struct fs_inode *child;

	if (!fs_watch_is_held(inode) || !inode->linked)
		return;
	fs_watch_renew(fs, inode);
	load_children(fs, inode);
	LIST_FOREACH (child, &inode->children, sibling)
		fs_watch_moved(fs, child);
}
