/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SETATTR: truncate and touch, which change data; modes, owners and explicit times, which ZooKeeper
 * cannot keep.
 *
 * On an open file both belong to what its close commits. By path they are done at once: read the
 * znode, write it back on the version that was read, again on a conflict.
 */
#include "fs/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/cache.h"
#include "fs/clock.h"
#include "fs/container.h"
#include "fs/entry.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/notice.h"
#include "fs/options.h"
#include "fs/pages.h"
#include "fs/proc.h"
#include "fs/request.h"
#include "zk/blob.h"

#define SET_OWNER_OR_MODE (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)
#define SET_TIMES (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)
#define SET_NOW (FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW)

struct setattr {
	struct fs_request base;
	struct fs_fetch fetch;
	struct fs_inode *inode; /* a reference */
	struct zk_blob *content;
	char *path;
	struct fs_calm calm;
	bool resize; /* to `size`; otherwise write the same again */
	uint64_t size;
	int64_t deadline;
};

static void setattr_free(struct fs_request *request)
{
	struct setattr *setattr = (struct setattr *)request;

	fs_fetch_done(&setattr->fetch);
	zk_blob_unref(setattr->content);
	free(setattr->path);
	fs_inode_unref(&request->fs->inodes, setattr->inode);
}

static void reply_attr(fuse_req_t req, struct fs *fs, struct fs_inode *inode)
{
	struct stat st;

	fs_attr_show(fs, inode, &st);
	fuse_reply_attr(req, &st, fs_entry_is_certain(inode) ? FS_ENTRY_CERTAIN_TIMEOUT : 0);
}

static void start_fetch(struct setattr *setattr);

/* The same bytes again: whoever has them open has what is there now. */
static void touched(const struct setattr *setattr, const struct zk_stat *stat)
{
	struct fs_file *file;

	LIST_FOREACH (file, &setattr->inode->files, inode_link)
		if (file->has_base && zk_stat_same_data(&file->base_stat, &setattr->fetch.stat))
			file->base_stat = *stat;
}

static void written(void *userdata, int r, const struct zk_reply *reply)
{
	struct setattr *setattr = userdata;
	struct fs *fs = setattr->base.fs;
	struct fs_inode *inode = setattr->inode;

	setattr->base.op = NULL;
	if ((r == -ESTALE || r == -ENOENT) && fs_clock_now() < setattr->deadline) {
		start_fetch(setattr);
		return;
	}
	if (r == 0) {
		/* The kernel tells a touch as no more than that: what was to be told before still is. */
		bool all_told = setattr->resize || fs_notice_was_told(inode, &setattr->fetch.stat);

		if (!setattr->resize)
			touched(setattr, &reply->stat);
		inode->stat = reply->stat;
		if (all_told)
			fs_notice_local(inode);
		else
			fs_notice_learned(fs, inode, false);
		fs_ephemeral_written(fs, setattr->fetch.path, setattr->content, reply->stat.mzxid);
		fs_pages_changed(fs, inode);
		fs_cache_put_data(&fs->inodes, inode, setattr->content);
	}
	if (r == 0 && setattr->base.req) {
		reply_attr(setattr->base.req, fs, inode);
		setattr->base.req = NULL;
	}
	fs_reply_error(&setattr->base, r);
	fs_request_end(&setattr->base);
}

static struct zk_blob *resized(const struct zk_blob *old, uint64_t size)
{
	struct zk_blob *blob = zk_blob_new(NULL, (uint32_t)size);

	if (blob && old)
		memcpy(blob->data, old->data, old->len < size ? old->len : size);
	return blob;
}

static void fetched(struct fs_fetch *fetch, int r)
{
	struct setattr *setattr = fs_container_of(fetch, struct setattr, fetch);
	struct fs *fs = setattr->base.fs;

	r = fs_entry_revalidate(fs, setattr->inode, fetch, r);
	if (r == 0 && fetch->data == FS_DATA_DENIED)
		r = -EACCES;
	if (r == 0) {
		zk_blob_unref(setattr->content);
		setattr->content = setattr->resize ? resized(fetch->blob, setattr->size)
						   : zk_blob_ref(fetch->blob);
		if (setattr->resize && !setattr->content)
			r = -ENOMEM;
	}
	if (r == 0)
		r = zk_set(fs->zk, fetch->path, setattr->content, fetch->stat.version, &fetch->stat,
			0, written, setattr, &setattr->base.op);
	if (r < 0)
		fs_request_fail(&setattr->base, r);
}

static void start_fetch(struct setattr *setattr)
{
	struct fs_fetch *fetch = &setattr->fetch;
	int r;

	fs_fetch_done(fetch);
	*fetch = (struct fs_fetch){ .opp = &setattr->base.op, .done = fetched };
	fs_entry_prepare_fetch(setattr->base.fs, setattr->inode, fetch);
	fetch->flags = 0;
	r = fs_fetch_start(
		fetch, FS_FETCH_DATA, fs_inode_path(&setattr->base.fs->inodes, setattr->inode));
	if (r < 0)
		fs_request_fail(&setattr->base, r);
}

static void calmed(struct fs_calm *calm)
{
	struct setattr *setattr = fs_container_of(calm, struct setattr, calm);

	setattr->base.cancel = NULL;
	start_fetch(setattr);
}

static void cancel_calm(struct fs_request *request)
{
	fs_pages_cancel(request->fs, &((struct setattr *)request)->calm);
	fs_request_end(request);
}

/* Another size pulls the pages away under who reads them: it lets him end first. */
static bool wait_for_calm(struct setattr *setattr)
{
	setattr->calm.inode = setattr->inode;
	setattr->calm.done = calmed;
	if (!setattr->resize || !fs_pages_wait(setattr->base.fs, &setattr->calm))
		return false;
	setattr->base.cancel = cancel_calm;
	return true;
}

/* By path: on what is there now. */
static void rewrite(
	struct fs *fs, fuse_req_t req, struct fs_inode *inode, bool resize, uint64_t size)
{
	struct setattr *setattr = fs_request_new(fs, req, sizeof(*setattr), setattr_free);

	if (!setattr)
		return;
	setattr->inode = fs_inode_ref(inode);
	fs_request_hold(&setattr->base, inode);
	setattr->resize = resize;
	setattr->size = size;
	setattr->deadline = fs_clock_now() + fs->options->op_timeout_ms * FS_MS;
	setattr->path = fs_inode_path(&fs->inodes, inode);
	if (!setattr->path)
		fs_request_fail(&setattr->base, -ENOMEM);
	else if (resize && size > fs_max_data(fs, setattr->path, false))
		fs_request_fail(&setattr->base, -EFBIG);
	else if (!wait_for_calm(setattr))
		start_fetch(setattr);
}

/* A new file, which one that has it open for writing will create. */
static struct fs_file *creator_of(const struct fs_inode *inode)
{
	struct fs_file *file;

	LIST_FOREACH (file, &inode->files, inode_link)
		if (file->mode != FS_FILE_READ)
			break;
	return file;
}

/* futimens(2) comes without the file: does the caller have one open whose close writes anyway? */
static bool has_written(const struct fs_inode *inode, pid_t tid)
{
	const struct fs_file *file;

	LIST_FOREACH (file, &inode->files, inode_link)
		if (file->dirty && !file->released && file->opener == fs_proc_process(tid))
			return true;
	return false;
}

/* On a file that is open for writing; true if there is one to take it. */
static bool change_file(struct fs *fs, struct fs_file *file, bool resize, uint64_t size, int *r)
{
	char *path;

	if (!file || file->mode == FS_FILE_READ)
		return false;
	if (!resize) {
		file->touch = file->touch || !file->dirty;
		file->dirty = true;
		*r = 0;
		return true;
	}
	path = fs_inode_path(&fs->inodes, file->inode);
	*r = path ? fs_file_truncate(file, size, fs_max_data(fs, path, !file->inode->exists))
		  : -ENOMEM;
	free(path);
	return true;
}

static int check(struct fs *fs, const struct fs_inode *inode, int to_set)
{
	bool explicit_times = (to_set & SET_TIMES) && !(to_set & SET_NOW);

	if (fs_kind_is_control(inode->kind))
		return -EPERM;
	if (fs->options->strict && ((to_set & SET_OWNER_OR_MODE) || explicit_times))
		return -EPERM;
	return fs_entry_check_writable(fs);
}

void fs_op_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *inode = fs_ops_inode(fs, req, ino);
	bool resize = to_set & FUSE_SET_ATTR_SIZE, touch = to_set & FUSE_SET_ATTR_MTIME_NOW;
	struct fs_file *file;
	int r;

	if (!inode)
		return;
	r = check(fs, inode, to_set);
	if (r == 0 && resize && attr->st_size < 0)
		r = -EINVAL;
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	file = fi && !fs_kind_is_dir(inode->kind) ? fs_file_of(fi) : NULL;
	if (!file && !inode->exists)
		file = creator_of(inode);
	if ((!resize && !touch) || fs_kind_is_dir(inode->kind) ||
		(!resize && has_written(inode, fuse_req_ctx(req)->pid))) {
		reply_attr(req, fs, inode);
	} else if (change_file(fs, file, resize, (uint64_t)attr->st_size, &r)) {
		if (r < 0)
			fuse_reply_err(req, -r);
		else
			reply_attr(req, fs, inode);
	} else if (!inode->linked) {
		fuse_reply_err(req, ESTALE);
	} else {
		rewrite(fs, req, inode, resize, (uint64_t)attr->st_size);
	}
}
