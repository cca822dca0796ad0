/* SPDX-License-Identifier: Apache-2.0 */
/* One question to ZooKeeper, and the second one that it sometimes needs. */
#include "fs/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "zk/blob.h"
#include "zk/watch.h"

static int start_get(struct fs_fetch *fetch);
static int start_exists(struct fs_fetch *fetch);

static char *path_now(const struct fs_fetch *fetch)
{
	const struct fs_inodes *inodes = &fetch->fs->inodes;

	return fetch->name ? fs_inode_child_path(inodes, fetch->at, fetch->name)
			   : fs_inode_path(inodes, fetch->at);
}

/* What was asked for has another path by now: the answer is of something else, or of nothing. */
static bool ask_again(struct fs_fetch *fetch, int *r)
{
	char *path = fetch->at ? path_now(fetch) : NULL;

	if (!path || strcmp(path, fetch->path) == 0) {
		free(path);
		return false;
	}
	fs_fetch_done(fetch);
	fetch->data = FS_DATA_UNKNOWN;
	*r = fs_fetch_start(fetch, fetch->what, path);
	return *r == 0;
}

static void finish(struct fs_fetch *fetch, int r)
{
	if (fetch->opp)
		*fetch->opp = NULL;
	if ((r == 0 || r == -ENOENT) && ask_again(fetch, &r))
		return;
	fetch->done(fetch, r);
}

/* Tells the kind from what is known by now. */
static bool classify(struct fs_fetch *fetch)
{
	struct fs_inode *known = fetch->known;

	fetch->kind = fs_kind_of(&fetch->stat, fetch->data, fetch->is_root);
	if (fetch->kind == FS_KIND_UNKNOWN && known && known->exists &&
		zk_stat_same_data(&known->stat, &fetch->stat))
		fetch->kind = known->kind;
	return fetch->kind != FS_KIND_UNKNOWN;
}

static void got_data(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_fetch *fetch = userdata;

	if (r == -EACCES) {
		fetch->data = FS_DATA_DENIED;
		r = start_exists(fetch);
		if (r == 0)
			return;
	} else if (r == 0) {
		fetch->stat = reply->stat;
		fetch->watched = reply->watched;
		fetch->data = reply->data ? FS_DATA_PRESENT : FS_DATA_NULL;
		fetch->blob = zk_blob_ref(reply->data);
		classify(fetch);
	}
	finish(fetch, r);
}

static void got_stat(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_fetch *fetch = userdata;

	if (r == 0) {
		fetch->stat = reply->stat;
		fetch->watched = reply->watched;
		if (!classify(fetch)) {
			r = start_get(fetch);
			if (r == 0)
				return;
		}
	}
	finish(fetch, r);
}

static int start_get(struct fs_fetch *fetch)
{
	return zk_get(fetch->fs->zk, fetch->path, fetch->flags, got_data, fetch, fetch->opp);
}

static int start_exists(struct fs_fetch *fetch)
{
	return zk_exists(fetch->fs->zk, fetch->path, fetch->flags, got_stat, fetch, fetch->opp);
}

int fs_fetch_start(struct fs_fetch *fetch, enum fs_fetch_what what, char *path)
{
	fetch->path = path;
	fetch->what = what;
	if (!path)
		return -ENOMEM;
	fetch->n_moves = fetch->fs->n_moves;
	fetch->wants = fetch->watch && zk_watch_want(fetch->fs->zk, path, ZK_WATCH_DATA) == 0;
	fetch->watched = false;
	fetch->flags &= ~(unsigned)ZK_OP_WATCH;
	if (fetch->wants)
		fetch->flags |= ZK_OP_WATCH;
	return what == FS_FETCH_DATA ? start_get(fetch) : start_exists(fetch);
}

void fs_fetch_done(struct fs_fetch *fetch)
{
	if (fetch->wants)
		zk_watch_drop(fetch->fs->zk, fetch->path, ZK_WATCH_DATA);
	fetch->wants = false;
	free(fetch->path);
	fetch->path = NULL;
	fetch->blob = zk_blob_unref(fetch->blob);
}
