/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OPEN, CREATE and MKNOD.
 *
 * What is opened for reading is a snapshot of the znode as it is now: mostly the one that the LOOKUP
 * of the same open(2) has brought. A new file is created when its writer closes it, data and all;
 * with O_EXCL, or for reading, it is created at once.
 */
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/access.h"
#include "fs/container.h"
#include "fs/control.h"
#include "fs/entry.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/notice.h"
#include "fs/pages.h"
#include "fs/request.h"
#include "fs/watch.h"
#include "zk/acl.h"
#include "zk/blob.h"
#include "zk/path.h"

struct open {
	struct fs_request base;
	struct fs_fetch fetch;
	struct fs_access access;
	struct fs_calm calm;
	struct fs_inode *inode; /* a reference; of CREATE: once there is one */
	struct fs_inode *dir;   /* a reference; CREATE and MKNOD only */
	char *path;
	struct fuse_file_info fi;
	bool is_mknod;
	char name[ZK_PATH_NAME_MAX + 1];
};

static void open_free(struct fs_request *request)
{
	struct open *open = (struct open *)request;

	fs_fetch_done(&open->fetch);
	fs_access_done(&open->access);
	fs_inode_unref(&request->fs->inodes, open->inode);
	fs_inode_unref(&request->fs->inodes, open->dir);
	free(open->path);
}

static bool is_create(const struct open *open)
{
	return open->dir != NULL;
}

/* O_RDONLY with O_TRUNC truncates, on Linux. */
static bool is_write(const struct open *open)
{
	return (open->fi.flags & O_ACCMODE) != O_RDONLY || (open->fi.flags & O_TRUNC);
}

static bool is_replace(const struct open *open)
{
	return is_write(open) && (open->fi.flags & O_TRUNC);
}

/* Sends the reply that hands the file over. */
static bool reply_file(struct open *open, struct fs_file *file)
{
	struct fs *fs = open->base.fs;
	struct fuse_entry_param entry;
	bool cached = file->mode == FS_FILE_READ && !is_create(open) &&
		      !(open->fi.flags & (O_DIRECT | O_SYNC)) && fs_pages_may_serve(open->inode);
	int r;

	if (!open->base.req)
		return false;
	open->fi.fh = (uintptr_t)file;
	open->fi.direct_io = !cached;
	open->fi.keep_cache = cached && open->inode->has_pages;
	open->fi.noflush = file->mode == FS_FILE_READ;
	if (is_create(open)) {
		fs_notice_tells_name(open->inode);
		open->inode->told = true; /* the kernel tells it by itself */
		fs_entry_fill(fs, open->inode, &entry);
		fs_entry_given(fs, open->inode);
		r = fuse_reply_create(open->base.req, &entry, &open->fi);
		if (r < 0)
			fs_entry_forget(fs, open->inode, 1);
	} else {
		r = fuse_reply_open(open->base.req, &open->fi);
	}
	if (r == 0 && cached)
		fs_pages_opened(file);
	open->base.req = NULL;
	return r == 0;
}

/* What the inode holds now becomes what was fetched: data and state that belong together. The inode's
 * own may part before the file is handed over, when somebody else asks for the state alone. */
static void take_cached(struct open *open)
{
	const struct fs_inode *inode = open->inode;

	zk_blob_unref(open->fetch.blob);
	open->fetch.blob = zk_blob_ref(inode->data);
	open->fetch.stat = inode->stat;
	open->fetch.data = !inode->has_data ? FS_DATA_UNKNOWN
			   : inode->data    ? FS_DATA_PRESENT
					    : FS_DATA_NULL;
}

static void finish(struct open *open, bool fresh);

static void calmed(struct fs_calm *calm)
{
	finish(fs_container_of(calm, struct open, calm), false);
}

static void cancel_calm(struct fs_request *request)
{
	fs_pages_cancel(request->fs, &((struct open *)request)->calm);
	fs_request_end(request);
}

/* A writer may change the size of the pages under who reads them: it lets him end first. */
static bool wait_for_calm(struct open *open)
{
	if (!is_write(open) || !open->base.req)
		return false;
	open->calm.inode = open->inode;
	open->calm.done = calmed;
	if (!fs_pages_wait(open->base.fs, &open->calm))
		return false;
	open->base.cancel = cancel_calm;
	return true;
}

/* `fresh`: the file was made by this very request. */
static void finish(struct open *open, bool fresh)
{
	struct fs *fs = open->base.fs;
	struct fs_inode *inode = open->inode;
	int flags = open->fi.flags;
	struct fs_file *file;

	if (wait_for_calm(open))
		return;
	open->base.cancel = NULL;
	if ((fresh || !inode->exists) && is_write(open) && !(flags & O_APPEND))
		flags |= O_TRUNC;
	file = fs_file_new(fs, inode, flags, open->base.tid);
	if (!file) {
		fs_request_fail(&open->base, -ENOMEM);
		return;
	}
	if (open->fetch.data == FS_DATA_PRESENT || open->fetch.data == FS_DATA_NULL)
		fs_file_set_base(file, open->fetch.blob, &open->fetch.stat);
	file->dirty = is_write(open) && (!inode->exists || (!fresh && (open->fi.flags & O_TRUNC)));
	file->only_name = file->dirty && !(open->fi.flags & O_TRUNC);
	if (inode->exists)
		fs_inode_grant(inode, open->base.tid, FS_GRANT_ATTR);
	if (!reply_file(open, file))
		fs_file_unref(file);
	fs_request_end(&open->base);
}

static void access_checked(struct fs_access *access, int r)
{
	struct open *open = fs_container_of(access, struct open, access);

	if (r < 0)
		fs_request_fail(&open->base, r);
	else
		finish(open, false);
}

static struct fs_inode *znode_of(struct fs_inode *inode)
{
	return inode->kind == FS_KIND_DATA ? inode->parent : inode;
}

/* The inode's state is fresh: may it be opened like this? */
static void check_access(struct open *open)
{
	struct fs_inode *inode = open->inode;
	int r;

	if (inode->unreadable && !is_replace(open)) {
		fs_request_fail(&open->base, -EACCES);
		return;
	}
	if (!is_write(open)) {
		finish(open, false);
		return;
	}
	open->access = (struct fs_access){ .fs = open->base.fs,
		.perms = ZK_PERM_WRITE,
		.opp = &open->base.op,
		.done = access_checked };
	r = fs_access_start(&open->access, znode_of(inode));
	if (r < 0)
		fs_request_fail(&open->base, r);
}

static void open_fetched(struct fs_fetch *fetch, int r)
{
	struct open *open = fs_container_of(fetch, struct open, fetch);

	if (r == -ENOTCONN) {
		r = fs_may_serve_stale(open->base.fs) && open->inode->has_data ? 0 : -ETIMEDOUT;
		take_cached(open);
	} else {
		r = fs_entry_revalidate(open->base.fs, open->inode, fetch, r);
	}
	if (r < 0)
		fs_request_fail(&open->base, r);
	else
		check_access(open);
}

static void start_fetch(struct open *open)
{
	struct fs *fs = open->base.fs;
	int r;

	fs_entry_prepare_fetch(fs, open->inode, &open->fetch);
	if (is_write(open) || !open->inode->has_data)
		open->fetch.flags &= ~(unsigned)ZK_OP_FAIL_FAST;
	open->fetch.opp = &open->base.op;
	open->fetch.done = open_fetched;
	r = fs_fetch_start(&open->fetch, is_replace(open) ? FS_FETCH_STAT : FS_FETCH_DATA,
		fs_inode_path(&fs->inodes, open->inode));
	if (r < 0)
		fs_request_fail(&open->base, r);
}

static void synced(void *userdata, int r, const struct zk_reply *reply)
{
	struct open *open = userdata;

	open->base.op = NULL;
	if (r < 0)
		fs_request_fail(&open->base, r);
	else
		start_fetch(open);
}

static void start_sync(struct open *open)
{
	char *path = fs_inode_path(&open->base.fs->inodes, open->inode);
	int r = path ? zk_sync(open->base.fs->zk, path, 0, synced, open, &open->base.op) : -ENOMEM;

	free(path);
	if (r < 0)
		fs_request_fail(&open->base, r);
}

static void open_control(
	struct fs *fs, fuse_req_t req, struct fs_inode *inode, struct fuse_file_info *fi)
{
	struct zk_blob *text = fs_control_text(fs, inode->kind);
	struct fs_file *file = text ? fs_file_new(fs, inode, O_RDONLY | O_DIRECT, 0) : NULL;

	if (!file) {
		zk_blob_unref(text);
		fuse_reply_err(req, ENOMEM);
		return;
	}
	fs_file_set_base(file, text, &inode->stat);
	zk_blob_unref(text);
	fi->fh = (uintptr_t)file;
	fi->direct_io = 1;
	fi->noflush = 1;
	if (fuse_reply_open(req, fi) < 0)
		fs_file_unref(file);
}

static int check_open(const struct fs *fs, const struct fs_inode *inode, int flags)
{
	if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_TRUNC))
		return 0;
	if (fs_kind_is_control(inode->kind))
		return -EACCES;
	return fs_entry_check_writable(fs);
}

void fs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *inode = fs_ops_inode(fs, req, ino);
	bool fresh, want_sync = fi->flags & (O_SYNC | O_DIRECT);
	struct open *open;
	int r;

	if (!inode)
		return;
	r = check_open(fs, inode, fi->flags);
	if (r == 0 && !inode->linked)
		r = -ESTALE;
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (fs_kind_is_control(inode->kind)) {
		open_control(fs, req, inode, fi);
		return;
	}
	open = fs_request_new(fs, req, sizeof(*open), open_free);
	if (!open)
		return;
	open->inode = fs_inode_ref(inode);
	open->fi = *fi;
	if (fi->flags & O_TRUNC)
		fs_request_hold(&open->base, inode);
	fresh = !want_sync &&
		((fs_entry_is_current(inode) && !inode->unreadable && fs_may_tell_known(fs)) ||
			fs_inode_take_grant(inode, open->base.tid, FS_GRANT_OPEN)) &&
		(inode->has_data || inode->unreadable || is_replace(open));
	fs->counters.known[FS_QUESTION_OPEN] += fresh;
	fs->counters.asked[FS_QUESTION_OPEN] += !fresh;
	if (fresh)
		take_cached(open);
	if (!inode->exists)
		finish(open, false);
	else if (fresh)
		check_access(open);
	else if (want_sync)
		start_sync(open);
	else
		start_fetch(open);
}

/* CREATE: the file exists now, with the state in fetch, or was just made. */
static void created(struct open *open, struct fs_fetch *fetch, bool fresh)
{
	struct fs *fs = open->base.fs;

	open->inode = fs_entry_bind(fs, open->dir, open->name, FS_KIND_FILE, fetch);
	if (!open->inode) {
		fs_request_fail(&open->base, -ENOMEM);
	} else if (open->is_mknod) {
		fs_notice_named_here(open->inode);
		fs_entry_reply(&open->base, open->inode);
		fs_request_end(&open->base);
	} else {
		if (fresh)
			fs_notice_named_here(open->inode);
		take_cached(open);
		finish(open, fresh);
	}
}

static void existing_fetched(struct fs_fetch *fetch, int r)
{
	struct open *open = fs_container_of(fetch, struct open, fetch);

	if (r == 0 && fetch->kind != FS_KIND_FILE)
		r = -EISDIR;
	if (r == 0 && fetch->data == FS_DATA_DENIED)
		r = -EACCES;
	if (r < 0)
		fs_request_fail(&open->base, r);
	else
		created(open, fetch, false);
}

/* Somebody else has made it since the LOOKUP. */
static void open_existing(struct open *open)
{
	struct fs *fs = open->base.fs;
	int r;

	open->fetch.fs = fs;
	open->fetch.watch = true;
	open->fetch.at = open->dir;
	open->fetch.name = open->name;
	open->fetch.opp = &open->base.op;
	open->fetch.done = existing_fetched;
	r = fs_fetch_start(&open->fetch, FS_FETCH_DATA,
		fs_inode_child_path(&fs->inodes, open->dir, open->name));
	if (r < 0)
		fs_request_fail(&open->base, r);
}

static void create_done(void *userdata, int r, const struct zk_reply *reply)
{
	struct open *open = userdata;
	struct fs_fetch made = { .kind = FS_KIND_FILE, .data = FS_DATA_PRESENT };

	open->base.op = NULL;
	if (r == 0) {
		made.stat = reply->stat;
		made.blob = zk_blob_new(NULL, 0);
		created(open, &made, true);
		zk_blob_unref(made.blob);
	} else if (r == -EEXIST && !(open->fi.flags & O_EXCL) && !open->is_mknod) {
		open_existing(open);
	} else {
		fs_request_fail(&open->base, r == -ENOENT ? -ESTALE : r);
	}
}

/* O_EXCL and O_RDONLY: the znode is made now. */
static void create_now(struct open *open)
{
	struct fs *fs = open->base.fs;
	struct zk_blob *empty = zk_blob_new(NULL, 0);
	int r = -ENOMEM;

	if (empty)
		r = zk_create(fs->zk, open->path, empty, fs->acl, ZK_CREATE_PERSISTENT,
			ZK_OP_SINCE_OUTAGE, create_done, open, &open->base.op);
	zk_blob_unref(empty);
	if (r < 0)
		fs_request_fail(&open->base, r);
}

/* The znode is made, or for .data written, when the file is closed. */
static void create_later(struct open *open, enum fs_kind kind)
{
	struct fs *fs = open->base.fs;
	struct fs_inode *inode = fs_inode_by_name(&fs->inodes, open->dir, open->name);

	if (inode && inode->exists) {
		fs_watch_gone(fs, inode);
		inode = NULL;
	}
	open->inode = inode ? fs_inode_ref(inode)
			    : fs_inode_new(&fs->inodes, open->dir, open->name, kind);
	if (!open->inode)
		fs_request_fail(&open->base, -ENOMEM);
	else
		finish(open, true);
}

static void create_allowed(struct fs_access *access, int r)
{
	struct open *open = fs_container_of(access, struct open, access);
	bool is_data = strcmp(open->name, FS_DATA_NAME) == 0;

	if (r < 0)
		fs_request_fail(&open->base, r);
	else if (is_data)
		create_later(open, FS_KIND_DATA);
	else if ((open->fi.flags & O_EXCL) || open->is_mknod ||
		 (open->fi.flags & O_ACCMODE) == O_RDONLY)
		create_now(open);
	else
		create_later(open, FS_KIND_FILE);
}

static int check_create(const struct fs *fs, const struct fs_inode *dir, const char *name)
{
	int r = fs_entry_check_writable(fs);

	if (r == 0 && dir->kind == FS_KIND_CONTROL_DIR)
		return -EACCES;
	if (r == 0 && strcmp(name, FS_DATA_NAME) != 0)
		r = fs_entry_check_new(dir, name);
	return r;
}

static void start_create(struct fs *fs, fuse_req_t req, struct fs_inode *dir, const char *name,
	const struct fuse_file_info *fi)
{
	bool is_data = strcmp(name, FS_DATA_NAME) == 0;
	struct open *open = fs_request_new(fs, req, sizeof(*open), open_free);
	int r;

	if (!open)
		return;
	open->dir = fs_inode_ref(dir);
	fs_request_hold(&open->base, dir);
	open->path = fs_inode_child_path(&fs->inodes, dir, name);
	open->is_mknod = !fi;
	if (fi)
		open->fi = *fi;
	strcpy(open->name, name);
	open->access = (struct fs_access){ .fs = fs,
		.perms = is_data ? ZK_PERM_WRITE : ZK_PERM_CREATE,
		.opp = &open->base.op,
		.done = create_allowed };
	r = open->path ? fs_access_start(&open->access, dir) : -ENOMEM;
	if (r < 0)
		fs_request_fail(&open->base, r);
}

void fs_op_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *dir = fs_ops_dir(fs, req, parent);
	int r;

	if (!dir)
		return;
	r = check_create(fs, dir, name);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		start_create(fs, req, dir, name, fi);
}

void fs_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *dir = fs_ops_dir(fs, req, parent);
	int r;

	if (!dir)
		return;
	r = check_create(fs, dir, name);
	if (r == 0 && (!S_ISREG(mode) || strcmp(name, FS_DATA_NAME) == 0))
		r = -EPERM;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		start_create(fs, req, dir, name, NULL);
}
