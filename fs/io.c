/* SPDX-License-Identifier: Apache-2.0 */
/*
 * READ, WRITE, FLUSH, FSYNC, RELEASE on open files, and when what was written is committed.
 *
 * A FLUSH comes for every close(2), by any process, of any descriptor of an open file: from a shell
 * that has just dup2()ed it, from each child that exits. The commit belongs to the one by which the
 * process that opened the file gives up its last descriptor of it; close(2) then reports how it
 * went. Where that never comes (the opener has passed the file on) it is RELEASE, when nobody is
 * left to tell.
 *
 * A writer that was killed by a signal has not finished: nothing is published, but for appends.
 */
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/clock.h"
#include "fs/commit.h"
#include "fs/container.h"
#include "fs/entry.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/notice.h"
#include "fs/pages.h"
#include "fs/proc.h"
#include "fs/request.h"
#include "fs/watch.h"
#include "zk/blob.h"

/* A reader keeps its snapshot this long whatever happens, and for as long as it reads on without a
 * gap; then it follows the newest version. */
#define SNAPSHOT_NS (50 * FS_MS)

struct read {
	struct fs_request base;
	struct fs_fetch fetch;
	struct fs_file *file; /* a reference: at the end it is let go with reads in flight */
	size_t size;
	uint64_t offset;
};

static void read_free(struct fs_request *request)
{
	struct read *read = (struct read *)request;

	fs_fetch_done(&read->fetch);
	fs_file_unref(read->file);
}

static void reply_bytes(fuse_req_t req, struct fs_file *file, size_t size, uint64_t offset)
{
	struct fs_span spans[2];
	struct iovec iov[2];
	int n = fs_file_read(file, size, offset, spans);

	file->read_end = offset;
	for (int i = 0; i < n; i++) {
		iov[i] = (struct iovec){ (void *)(uintptr_t)spans[i].data, spans[i].size };
		file->read_end += spans[i].size;
	}
	fuse_reply_iov(req, iov, n);
}

static void refreshed(struct fs_fetch *fetch, int r)
{
	struct read *read = fs_container_of(fetch, struct read, fetch);
	struct fs_file *file = read->file;

	/* Where the znode is gone, another, or out of reach, the reader stays with what it has. */
	if (r == 0)
		r = fs_entry_revalidate(read->base.fs, file->inode, fetch, r);
	if (r == 0 && fetch->data == FS_DATA_PRESENT)
		fs_file_set_base(file, fetch->blob, &fetch->stat);
	if (read->base.req)
		reply_bytes(read->base.req, file, read->size, read->offset);
	read->base.req = NULL;
	fs_request_end(&read->base);
}

static bool wants_refresh(const struct fs_file *file, size_t size, uint64_t offset)
{
	bool reads_on = offset == file->read_end && offset > 0 && offset < fs_file_size(file);

	return file->mode == FS_FILE_READ && !file->direct && !reads_on && file->inode->exists &&
	       file->inode->linked && fs_clock_now() - file->base_time > SNAPSHOT_NS;
}

static void start_read(struct fs *fs, fuse_req_t req, struct fs_file *file, size_t size,
	uint64_t offset, void (*done)(struct fs_fetch *fetch, int r))
{
	struct read *read = fs_request_new(fs, req, sizeof(*read), read_free);
	int r;

	if (!read)
		return;
	read->file = fs_file_ref(file);
	read->size = size;
	read->offset = offset;
	fs_entry_prepare_fetch(fs, file->inode, &read->fetch);
	read->fetch.opp = &read->base.op;
	read->fetch.done = done;
	fs_request_hold(&read->base, file->inode);
	r = fs_fetch_start(&read->fetch, FS_FETCH_DATA, fs_inode_path(&fs->inodes, file->inode));
	if (r < 0)
		fs_request_fail(&read->base, r);
}

static void reply_pages(fuse_req_t req, const struct zk_blob *blob, size_t size, uint64_t offset)
{
	size_t len = blob ? blob->len : 0;

	if (offset > len)
		offset = len;
	if (size > len - offset)
		size = len - offset;
	fuse_reply_buf(req, size ? blob->data + offset : NULL, size);
}

static void pages_fetched(struct fs_fetch *fetch, int r)
{
	struct read *read = fs_container_of(fetch, struct read, fetch);
	struct fs_inode *inode = read->file->inode;
	struct zk_blob *blob = read->file->base;

	if (r == 0)
		r = fs_entry_revalidate(read->base.fs, inode, fetch, r);
	if (r == 0) {
		fs_pages_learned(inode, fetch->blob);
		blob = fetch->blob;
	}
	if (read->base.req)
		reply_pages(read->base.req, blob, read->size, read->offset);
	read->base.req = NULL;
	fs_request_end(&read->base);
}

/* The kernel fills its pages. */
static void read_pages(fuse_req_t req, struct fs_file *file, size_t size, uint64_t offset)
{
	struct zk_blob *blob = file->base;

	if (!fs_pages_bytes(file->inode, &blob) && file->inode->linked && file->inode->exists)
		start_read(file->fs, req, file, size, offset, pages_fetched);
	else
		reply_pages(req, blob, size, offset);
}

/* Through a mapping the kernel's pages are read whatever the handle. These are the inode's: filled from
 * an old snapshot they are wrong for all, and where that is shorter the kernel believes that the file is.
 * Only who reads directly is named. Who has written is given its own bytes until they are committed. */
static bool is_mapped(const struct fs_file *file, const struct fuse_file_info *fi)
{
	enum fs_kind kind = file->inode->kind;

	return fi->lock_owner == 0 && !file->dirty &&
	       (kind == FS_KIND_FILE || kind == FS_KIND_DATA);
}

void fs_op_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct fs_file *file = fs_file_of(fi);
	struct fs_inode *inode = file->inode;

	if (file->cached || is_mapped(file, fi))
		read_pages(req, file, size, (uint64_t)offset);
	else if (!wants_refresh(file, size, (uint64_t)offset))
		reply_bytes(req, file, size, (uint64_t)offset);
	else if (fs_entry_is_current(inode) && inode->has_data && fs_may_tell_known(file->fs)) {
		fs_file_set_base(file, inode->data, &inode->stat);
		reply_bytes(req, file, size, (uint64_t)offset);
	} else
		start_read(file->fs, req, file, size, (uint64_t)offset, refreshed);
}

void fs_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	struct fs_file *file = fs_file_of(fi);
	struct fs *fs = file->fs;
	char *path = fs_inode_path(&fs->inodes, file->inode);
	int r = -ENOMEM;

	if (path)
		r = fs_file_write(file, data, size, (uint64_t)offset, fi->flags & O_APPEND,
			fs_max_data(fs, path, !file->inode->exists));
	free(path);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_write(req, size);
}

/* FLUSH and FSYNC, while they wait for a commit. */
struct flush {
	struct fs_request base;
	struct fs_waiter waiter;
	struct fs_file *file;
	bool is_close;
};

static void flush_committed(struct fs_waiter *waiter, int r)
{
	struct flush *flush = fs_container_of(waiter, struct flush, waiter);

	/* close(2) tells the error, and that was that; after fsync(2) there may be another try. */
	if (r < 0 && flush->is_close)
		fs_commit_discard(flush->file);
	/* What the next open(2) of this thread would ask is known from the reply to the write. */
	if (r == 0)
		fs_inode_grant(flush->file->inode, flush->base.tid, FS_GRANT_OPEN | FS_GRANT_ATTR);
	fs_reply_error(&flush->base, r);
	fs_request_end(&flush->base);
}

static void flush_cancel(struct fs_request *request)
{
	struct flush *flush = (struct flush *)request;

	fs_commit_cancel(flush->file, &flush->waiter);
}

static void start_commit(struct fs *fs, fuse_req_t req, struct fs_file *file, bool is_close)
{
	struct flush *flush = fs_request_new(fs, req, sizeof(*flush), NULL);

	if (!flush)
		return;
	flush->file = file;
	flush->is_close = is_close;
	flush->waiter.done = flush_committed;
	flush->base.cancel = flush_cancel;
	if (!is_close)
		fs_request_hold(&flush->base, file->inode);
	if (!fs_commit(file, &flush->waiter))
		fs_request_fail(&flush->base, 0);
}

/* Is this the close that commits? */
static bool is_last_close(struct fs_file *file, pid_t tid)
{
	struct fs_proc_file shown = { .ino = file->inode->shown_ino,
		.ino_before = file->inode->shown_before,
		.access = file->access,
		.mount = file->fs->mount_id };
	enum fs_proc_close how = fs_proc_close(tid, file->opener, &shown);

	file->killed = how == FS_PROC_KILLED;
	return how == FS_PROC_CLOSES_LAST || (file->killed && file->mode == FS_FILE_APPEND);
}

void fs_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_file *file = fs_file_of(fi);

	/* A rename may be committing it already. */
	if ((file->dirty || file->commit) && is_last_close(file, fuse_req_ctx(req)->pid))
		start_commit(file->fs, req, file, true);
	else
		fuse_reply_err(req, 0);
}

void fs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fs_file *file = fs_file_of(fi);

	start_commit(file->fs, req, file, false);
}

/* The end of an open file, which may still have something to commit. */
static void file_end(struct fs_file *file)
{
	struct fs_inode *inode = file->inode;

	/* A new file that never came to be has no name any more. */
	if (!inode->exists && (inode->kind == FS_KIND_FILE || inode->kind == FS_KIND_DATA) &&
		LIST_FIRST(&inode->files) == file && !LIST_NEXT(file, inode_link))
		fs_watch_gone(file->fs, inode); /* who saw it come, sees it go */
	fs_file_unref(file);
}

static void release_committed(struct fs_waiter *waiter, int r)
{
	struct fs_file *file = fs_container_of(waiter, struct fs_file, release);

	if (r < 0) {
		char *path = fs_inode_path(&file->fs->inodes, file->inode);

		file->fs->counters.failed_commits++;
		fs_problem(file->fs, "%s: what was written is lost: %s", path ? path : "?",
			strerror(-r));
		free(path);
	}
	if (r == 0)
		fs_notice_closed_late(file->fs, file->inode);
	file_end(file);
}

void fs_file_release(struct fs_file *file)
{
	file->released = true;
	if (file->too_large)
		fs_commit_discard(file); /* write(2) has told */
	if (file->dirty && file->killed && file->mode != FS_FILE_APPEND) {
		file->fs->counters.killed_writers++;
		fs_commit_discard(file);
	}
	file->release.done = release_committed;
	if (!fs_commit(file, &file->release))
		file_end(file);
}

void fs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fs_file_release(fs_file_of(fi));
	fuse_reply_err(req, 0);
}
