/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commit on close: open…write…close is one write to ZooKeeper.
 *
 * When it happens is decided in io.c (the FLUSH by which the opener lets go, or RELEASE, or fsync);
 * here is how. A new file is one create that carries its data. What was opened with O_TRUNC, or new,
 * is set unconditionally: the last writer wins. An append is set on the version it was appended to,
 * and done again on a conflict. A change in place is set on the version that was opened, or fails.
 *
 * DIR/.data is the data of DIR's znode. If that never had a child, data would make it a file: the
 * write is then one multi with a child that comes and goes, which makes it a directory for good.
 *
 * One commit runs at a time for each file; who comes meanwhile waits for the next.
 */
#include "fs/commit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/cache.h"
#include "fs/clock.h"
#include "fs/container.h"
#include "fs/entry.h"
#include "fs/fetch.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/mark.h"
#include "fs/notice.h"
#include "fs/options.h"
#include "fs/pages.h"
#include "zk/blob.h"
#include "zk/op.h"

/* A znode that was read so recently is not looked at again before it is written. */
#define FRESH_NS (2 * FS_MS)

STAILQ_HEAD(waiters, fs_waiter);

struct fs_commit {
	struct fs *fs;
	struct fs_file *file;
	struct zk_op *op;
	struct fs_fetch fetch;
	char *path;
	struct zk_blob *content; /* being written */
	size_t n_bytes;          /* of the file's bytes, are in it */
	bool touch;
	int64_t deadline; /* for appends that meet one conflict after another */
	struct waiters waiters;
};

static struct fs_commit *commit_new(struct fs_file *file);
static void write_content(struct fs_commit *commit);

static void commit_free(struct fs_commit *commit)
{
	fs_fetch_done(&commit->fetch);
	zk_blob_unref(commit->content);
	free(commit->path);
	free(commit);
}

/* The last waiter may free the file. */
static void tell(struct waiters *waiters, int r)
{
	struct fs_waiter *waiter;

	while ((waiter = STAILQ_FIRST(waiters))) {
		STAILQ_REMOVE_HEAD(waiters, link);
		waiter->done(waiter, r);
	}
}

static void commit_end(struct fs_commit *commit, int r)
{
	struct fs_file *file = commit->file;
	struct fs_commit *next = NULL;

	file->commit = NULL;
	if (r < 0) {
		file->dirty = true;
		file->touch = file->touch || (commit->touch && !file->has_bytes);
	} else {
		file->only_name = false;
	}
	/* Those who came meanwhile share the result, unless there is something newer to commit, or
	 * it is no more than that somebody else did not want to wait. */
	if ((r == 0 || r == -EINTR) && file->dirty && !STAILQ_EMPTY(&file->waiters))
		next = commit_new(file);
	if (!next)
		STAILQ_CONCAT(&commit->waiters, &file->waiters);
	/* Only then does the next one start: it may end at once, and with it the file. */
	tell(&commit->waiters, r);
	commit_free(commit);
	if (next)
		write_content(next);
}

/* What was appended is part of the base now; what came since stays. */
static void consume_appended(struct fs_file *file, size_t n_bytes)
{
	file->n_bytes -= n_bytes;
	if (file->n_bytes > 0)
		memmove(file->bytes, file->bytes + n_bytes, file->n_bytes);
}

/* The data of a directory were written. Where somebody else has cleared them meanwhile, and that is
 * to be told, they are there anew. */
static void update_dir_of(struct fs_commit *commit, const struct zk_stat *stat)
{
	struct fs_inode *file = commit->file->inode, *dir = file->parent;
	struct fs_fetch written = { .stat = *stat, .kind = FS_KIND_DIR, .data = FS_DATA_UNKNOWN };

	if (file->linked || !dir->linked)
		dir->stat = *stat;
	else
		fs_entry_update(commit->fs, dir, &written);
	fs_notice_local(dir);
	fs_notice_invalidate(commit->fs, dir);
}

static void commit_applied(struct fs_commit *commit, const struct zk_stat *stat)
{
	struct fs_file *file = commit->file;
	struct fs_inode *inode = file->inode;

	inode->exists = true;
	inode->stat = *stat;
	inode->grants = 0;
	inode->unreadable = false;
	fs_notice_local(inode);
	if (inode->linked && !inode->told)
		fs_notice_learned(commit->fs, inode, false);
	fs_ephemeral_written(commit->fs, commit->path, commit->content, stat->mzxid);
	fs_pages_changed(commit->fs, inode);
	if (inode->kind == FS_KIND_DATA) {
		update_dir_of(commit, stat);
	}
	fs_cache_put_data(&commit->fs->inodes, inode, commit->content);
	fs_file_set_base(file, commit->content, stat);
	if (file->appends) {
		file->appends = false;
		file->mode = FS_FILE_APPEND;
		file->has_bytes = false;
	}
	if (!file->has_bytes)
		consume_appended(file, commit->n_bytes);
	commit->fs->counters.commits++;
	commit_end(commit, 0);
}

/* The znode is there, although it should be new, or other than it should be. */
static void refetched(struct fs_fetch *fetch, int r)
{
	struct fs_commit *commit = fs_container_of(fetch, struct fs_commit, fetch);
	struct fs_file *file = commit->file;

	if (file->inode->removed) {
		commit_end(commit, 0);
		return;
	}
	if (r == -ENOENT)
		r = -ESTALE;
	if (r == 0 && file->inode->kind != FS_KIND_DATA && fetch->kind != FS_KIND_FILE)
		r = -EISDIR;
	if (r == 0 && fs_clock_now() > commit->deadline)
		r = -ETIMEDOUT;
	if (r == 0 && fetch->data == FS_DATA_DENIED && file->mode == FS_FILE_APPEND)
		r = -EACCES;
	if (r < 0) {
		commit_end(commit, r);
		return;
	}
	fs_entry_update(commit->fs, file->inode, fetch);
	fs_file_set_base(file, fetch->blob, &fetch->stat);
	write_content(commit);
}

static void refetch(struct fs_commit *commit)
{
	struct fs_fetch *fetch = &commit->fetch;
	char *path = fs_inode_path(&commit->fs->inodes, commit->file->inode);
	int r;

	fs_fetch_done(fetch);
	*fetch = (struct fs_fetch){
		.fs = commit->fs, .at = commit->file->inode, .opp = &commit->op, .done = refetched
	};
	fetch->is_root =
		commit->file->inode->kind == FS_KIND_DATA && !commit->file->inode->parent->parent;
	r = fs_fetch_start(fetch, FS_FETCH_DATA, path);
	if (r < 0)
		commit_end(commit, r);
}

/* A rename was under way when this was sent to the old path. */
static bool was_moved(const struct fs_commit *commit)
{
	char *path = fs_inode_path(&commit->fs->inodes, commit->file->inode);
	bool moved = path && strcmp(path, commit->path) != 0;

	free(path);
	return moved;
}

static void create_done(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_commit *commit = userdata;

	commit->op = NULL;
	if (r == 0)
		commit_applied(commit, &reply->stat);
	else if ((r == -ENOENT || r == -EEXIST) && was_moved(commit))
		write_content(commit);
	else if (r == -EEXIST)
		refetch(commit);
	else
		commit_end(commit, r);
}

static void set_done(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_commit *commit = userdata;
	struct fs_file *file = commit->file;

	commit->op = NULL;
	if (r == 0)
		commit_applied(commit, &reply->stat);
	else if ((r == -ENOENT || r == -ESTALE) && file->inode->removed)
		commit_end(commit, 0);
	else if ((r == -ENOENT || r == -ESTALE) && was_moved(commit))
		write_content(commit);
	else if (r == -ENOENT)
		commit_end(commit, -ESTALE);
	else if (r == -ESTALE && file->mode == FS_FILE_APPEND)
		refetch(commit);
	else
		commit_end(commit, r == -ESTALE && commit->touch ? 0 : r);
}

/* A multi tells no Stat. */
static void data_set(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_commit *commit = userdata;

	commit->op = NULL;
	if (r == 0)
		r = zk_exists(commit->fs->zk, commit->path, 0, set_done, commit, &commit->op);
	if (r < 0)
		commit_end(commit, r == -EEXIST || r == -ENOTEMPTY ? -EIO : r);
}

static int start_data_set(struct fs_commit *commit, int32_t version)
{
	struct fs_inode *dir = commit->file->inode->parent;
	struct zk_multi *multi;
	int r;

	if (!dir->parent || dir->stat.cversion != 0)
		return zk_set(commit->fs->zk, commit->path, commit->content, version, &dir->stat, 0,
			set_done, commit, &commit->op);
	multi = zk_multi_new();
	if (!multi)
		return -ENOMEM;
	r = zk_multi_add_set(multi, commit->path, commit->content, version, &dir->stat);
	if (r == 0)
		r = fs_mark_add(commit->fs, multi, commit->path);
	if (r < 0) {
		zk_multi_free(multi);
		return r;
	}
	return zk_multi_start(commit->fs->zk, multi, 0, 0, data_set, commit, &commit->op);
}

/*
 * A set can be made conditional on the version, but that starts at 0 again with a new znode. A base
 * that is not quite fresh may be of a znode that has been deleted and made again since.
 */
static bool needs_recheck(const struct fs_commit *commit)
{
	const struct fs_file *file = commit->file;

	return file->mode != FS_FILE_REPLACE && file->inode->exists &&
	       file->inode->kind != FS_KIND_DATA &&
	       (file->moved ||
		       (!file->inode->current && fs_clock_now() - file->base_time > FRESH_NS));
}

static void rechecked(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_commit *commit = userdata;
	struct fs_file *file = commit->file;

	commit->op = NULL;
	if ((r == 0 || r == -ENOENT) && was_moved(commit)) {
		write_content(commit);
		return;
	}
	if (r == 0 && file->moved)
		fs_file_found(file, &reply->stat);
	if (r == -ENOENT || (r == 0 && reply->stat.czxid != file->base_stat.czxid))
		r = file->inode->removed ? -ENOENT : -ESTALE;
	if (r == 0) {
		file->base_time = fs_clock_now();
		write_content(commit);
	} else {
		commit_end(commit, r == -ENOENT ? 0 : r);
	}
}

static int recheck(struct fs_commit *commit)
{
	return zk_exists(commit->fs->zk, commit->path, 0, rechecked, commit, &commit->op);
}

static int start_write(struct fs_commit *commit)
{
	struct fs *fs = commit->fs;
	struct fs_file *file = commit->file;
	struct fs_inode *inode = file->inode;
	bool any = file->mode == FS_FILE_REPLACE;
	int32_t version = any ? ZK_ANY_VERSION : file->base_stat.version;

	if (inode->kind == FS_KIND_DATA)
		return start_data_set(commit, version);
	if (!inode->exists)
		return zk_create(fs->zk, commit->path, commit->content, fs->acl,
			ZK_CREATE_PERSISTENT, 0, create_done, commit, &commit->op);
	return zk_set(fs->zk, commit->path, commit->content, version,
		any ? &inode->stat : &file->base_stat, 0, set_done, commit, &commit->op);
}

/* Its name has turned out to lead elsewhere; not through this mount. */
static bool is_gone(const struct fs_inode *inode)
{
	return inode->exists && !inode->linked && !inode->removed;
}

static void write_content(struct fs_commit *commit)
{
	struct fs_file *file = commit->file;
	int r = 0;

	/* Somebody else has made it, and nothing was written here: what they wrote stays. And what is
	 * written to a file that has been removed here, goes with it. */
	if ((file->only_name && file->inode->exists) || file->inode->removed) {
		commit_end(commit, 0);
		return;
	}
	/* The znode has come to be since this file was opened: what is appended comes behind it. */
	if (file->mode != FS_FILE_REPLACE && file->inode->exists && !file->has_base) {
		refetch(commit);
		return;
	}
	commit->content = zk_blob_unref(commit->content);
	free(commit->path);
	commit->path = fs_inode_path(&commit->fs->inodes, file->inode);
	commit->content = fs_file_content(file, file->base);
	commit->n_bytes = file->n_bytes;
	if (!commit->path || !commit->content)
		r = -ENOMEM;
	else if (file->too_large)
		r = -EFBIG;
	else if (commit->content->len > fs_max_data(commit->fs, commit->path, !file->inode->exists))
		r = -EFBIG;
	else if (is_gone(file->inode))
		r = -ESTALE;
	if (r == 0)
		r = needs_recheck(commit) ? recheck(commit) : start_write(commit);
	if (r < 0)
		commit_end(commit, r);
}

/* A commit for those who wait for one; write_content starts it. NULL when out of memory. */
static struct fs_commit *commit_new(struct fs_file *file)
{
	struct fs_commit *commit = calloc(1, sizeof(*commit));

	if (!commit)
		return NULL;
	commit->fs = file->fs;
	commit->file = file;
	commit->touch = file->touch;
	commit->n_bytes = file->n_bytes;
	commit->deadline = fs_clock_now() + file->fs->options->op_timeout_ms * FS_MS;
	STAILQ_INIT(&commit->waiters);
	STAILQ_CONCAT(&commit->waiters, &file->waiters);
	file->commit = commit;
	file->dirty = false;
	file->touch = false;
	return commit;
}

bool fs_commit(struct fs_file *file, struct fs_waiter *waiter)
{
	struct fs_commit *commit;

	if (file->inode->removed || file->discarded)
		fs_commit_discard(file);
	if (!file->dirty && !file->commit)
		return false;
	STAILQ_INSERT_TAIL(&file->waiters, waiter, link);
	if (file->commit)
		return true;
	commit = commit_new(file);
	if (commit) {
		write_content(commit);
	} else {
		STAILQ_REMOVE(&file->waiters, waiter, fs_waiter, link);
		waiter->done(waiter, -ENOMEM);
	}
	return true;
}

void fs_commit_cancel(struct fs_file *file, struct fs_waiter *waiter)
{
	struct fs_commit *commit = file->commit;

	if (!commit || STAILQ_FIRST(&commit->waiters) != waiter || STAILQ_NEXT(waiter, link))
		return;
	if (commit->op && zk_op_cancel(commit->op))
		commit_end(commit, -EINTR);
}

void fs_commit_discard(struct fs_file *file)
{
	file->dirty = false;
	file->touch = false;
	file->too_large = false;
	/* What a commit counts on stays: it takes that away itself when it is done. */
	if (!file->has_bytes)
		file->n_bytes = file->commit ? file->commit->n_bytes : 0;
}

void fs_commit_abandon(struct fs_file *file)
{
	if (!file->commit)
		return;
	file->fs->counters.failed_commits++;
	fs_problem(file->fs, "%s: what was written may be lost: no server has answered",
		file->commit->path ? file->commit->path : "?");
	commit_free(file->commit);
	file->commit = NULL;
}
