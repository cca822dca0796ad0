/* SPDX-License-Identifier: Apache-2.0 */
/* MKDIR, UNLINK, RMDIR: making and removing exactly one znode; and what is not to be had. */
#include "fs/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/commit.h"
#include "fs/container.h"
#include "fs/control.h"
#include "fs/entry.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/mark.h"
#include "fs/notice.h"
#include "fs/request.h"
#include "fs/watch.h"
#include "zk/path.h"

struct change {
	struct fs_request base;
	struct fs_fetch fetch;
	struct fs_inode *dir;   /* a reference */
	struct fs_inode *inode; /* a reference: what is removed; NULL: not known */
	char *path;             /* of the znode */
	char name[ZK_PATH_NAME_MAX + 1];
};

static void change_free(struct fs_request *request)
{
	struct change *change = (struct change *)request;

	fs_fetch_done(&change->fetch);
	fs_inode_unref(&request->fs->inodes, change->inode);
	fs_inode_unref(&request->fs->inodes, change->dir);
	free(change->path);
}

static bool is_data_name(const char *name)
{
	return strcmp(name, FS_DATA_NAME) == 0;
}

/* What all of them begin with. NULL: the request was answered. */
static struct change *change_new(fuse_req_t req, fuse_ino_t parent, const char *name, bool removes)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *dir = fs_ops_dir(fs, req, parent), *inode;
	struct change *change;
	int r = fs_entry_check_writable(fs);

	if (!dir)
		return NULL;
	if (r == 0 && dir->kind == FS_KIND_CONTROL_DIR)
		r = -EACCES;
	if (r == 0 && !is_data_name(name))
		r = fs_entry_check_new(dir, name);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return NULL;
	}
	change = fs_request_new(fs, req, sizeof(*change), change_free);
	if (!change)
		return NULL;
	strcpy(change->name, name);
	change->dir = fs_inode_ref(dir);
	fs_request_hold(&change->base, dir);
	inode = fs_inode_by_name(&fs->inodes, dir, name);
	if (inode && removes && !fs_watch_is_held(inode)) {
		/* The kernel still means another, and looks the name up again. */
		fs_request_fail(&change->base, -ESTALE);
		return NULL;
	}
	change->inode = inode ? fs_inode_ref(inode) : NULL;
	change->path = is_data_name(name) ? fs_inode_path(&fs->inodes, dir)
					  : fs_inode_child_path(&fs->inodes, dir, name);
	if (!change->path) {
		fs_request_fail(&change->base, -ENOMEM);
		return NULL;
	}
	return change;
}

static void start_exists(struct change *change, zk_reply_fn fn)
{
	int r = zk_exists(change->base.fs->zk, change->path, ZK_OP_SINCE_OUTAGE, fn, change,
		&change->base.op);

	if (r < 0)
		fs_request_fail(&change->base, r);
}

/* MKDIR */

static void made_seen(void *userdata, int r, const struct zk_reply *reply)
{
	struct change *change = userdata;
	struct fs *fs = change->base.fs;
	struct fs_fetch made = {
		.stat = reply->stat, .kind = FS_KIND_DIR, .data = FS_DATA_UNKNOWN
	};
	struct fs_inode *inode;

	change->base.op = NULL;
	inode = r == 0 ? fs_entry_bind(fs, change->dir, change->name, FS_KIND_DIR, &made) : NULL;
	if (inode) {
		fs_notice_named_here(inode);
		fs_entry_reply(&change->base, inode);
	} else {
		fs_reply_error(&change->base, r < 0 ? r : -ENOMEM);
	}
	fs_inode_unref(&fs->inodes, inode);
	fs_request_end(&change->base);
}

static void made(void *userdata, int r, const struct zk_reply *reply)
{
	struct change *change = userdata;
	struct fs *fs = change->base.fs;
	bool no_children = r == -EACCES && reply->failed_op > 0;

	change->base.op = NULL;
	if (r == 0) {
		start_exists(change, made_seen);
		return;
	}
	/* The ACL of what is made forbids the mark; null data makes a directory too. */
	if (no_children)
		r = zk_create(fs->zk, change->path, NULL, fs->acl, ZK_CREATE_PERSISTENT, 0,
			made_seen, change, &change->base.op);
	if (r < 0)
		fs_request_fail(&change->base, r);
}

void fs_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct change *change = change_new(req, parent, name, false);
	struct zk_multi *multi;
	struct fs *fs;
	int r;

	if (!change)
		return;
	fs = change->base.fs;
	if (is_data_name(name)) {
		fs_request_fail(&change->base, -EOPNOTSUPP);
		return;
	}
	multi = zk_multi_new();
	r = multi ? zk_multi_add_create(multi, change->path, NULL, fs->acl, ZK_CREATE_PERSISTENT)
		  : -ENOMEM;
	if (r == 0)
		r = fs_mark_add(fs, multi, change->path);
	if (r == 0)
		r = zk_multi_start(
			fs->zk, multi, 0, ZK_OP_SINCE_OUTAGE, made, change, &change->base.op);
	else
		zk_multi_free(multi);
	if (r < 0)
		fs_request_fail(&change->base, r);
}

/* UNLINK and RMDIR */

/* The name leads nowhere from now on; what is still open on the inode is dropped at its close. */
static void forget_name(struct change *change, bool removed)
{
	if (!change->inode)
		return;
	change->inode->removed = change->inode->removed || removed;
	if (removed)
		fs_notice_removed_here(change->inode);
	fs_watch_gone(change->base.fs, change->inode);
}

static void removed(void *userdata, int r, const struct zk_reply *reply)
{
	struct change *change = userdata;

	change->base.op = NULL;
	if (r == 0 && !is_data_name(change->name))
		fs_ephemeral_removed(change->base.fs, change->path);
	if (r == 0 || r == -ENOENT)
		forget_name(change, r == 0);
	if (r == 0)
		fs_notice_taken_here(change->dir, change->name);
	fs_request_fail(&change->base, r);
}

/* Deletes the znode if it is still what was seen. */
static int delete_seen(struct change *change, const struct zk_stat *stat, zk_reply_fn fn)
{
	return zk_delete(change->base.fs->zk, change->path, stat->version, stat->czxid,
		ZK_OP_SINCE_OUTAGE, fn, change, &change->base.op);
}

/* Asks what the name leads to now: the kernel's idea of it may be the past, and what would be
 * deleted of another kind. */
static void look(struct change *change, void (*done)(struct fs_fetch *fetch, int r))
{
	struct fs_fetch *fetch = &change->fetch;
	struct fs *fs = change->base.fs;
	int r;

	fs_fetch_done(fetch);
	*fetch = (struct fs_fetch){ .fs = fs,
		.flags = ZK_OP_SINCE_OUTAGE,
		.known = change->inode,
		.opp = &change->base.op,
		.done = done };
	r = fs_fetch_start(fetch, FS_FETCH_STAT, strdup(change->path));
	if (r < 0)
		fs_request_fail(&change->base, r);
}

static void data_removed(void *userdata, int r, const struct zk_reply *reply)
{
	struct change *change = userdata;

	if (r == 0) {
		change->dir->stat = reply->stat;
		fs_notice_local(change->dir);
	}
	removed(userdata, r, reply);
}

/* A new file that is not in ZooKeeper yet, nor on its way there. */
static bool is_only_here(const struct fs_inode *inode)
{
	const struct fs_file *file;

	if (!inode || inode->exists)
		return false;
	LIST_FOREACH (file, &inode->files, inode_link)
		if (file->commit)
			return false;
	return true;
}

static void file_seen(struct fs_fetch *fetch, int r);

static void file_removed(void *userdata, int r, const struct zk_reply *reply)
{
	struct change *change = userdata;

	/* It has been written, or has got its first child. */
	if (r == -ESTALE || r == -ENOTEMPTY) {
		change->base.op = NULL;
		look(change, file_seen);
	} else {
		removed(userdata, r, reply);
	}
}

static void file_seen(struct fs_fetch *fetch, int r)
{
	struct change *change = fs_container_of(fetch, struct change, fetch);

	if (r == -ENOENT)
		forget_name(change, false);
	if (r == 0 && fetch->kind == FS_KIND_DIR) {
		forget_name(change, false);
		r = -EISDIR;
	}
	if (r == 0)
		r = delete_seen(change, &fetch->stat, file_removed);
	if (r < 0)
		fs_request_fail(&change->base, r);
}

/* Removes what has a znode of its own. */
static void unlink_znode(struct change *change)
{
	struct fs_inode *inode = change->inode;
	int r;

	/* The LOOKUP of the same unlink(2) has just told. */
	if (!inode || !inode->exists ||
		!fs_inode_take_grant(inode, change->base.tid, FS_GRANT_ATTR)) {
		look(change, file_seen);
		return;
	}
	r = delete_seen(change, &inode->stat, file_removed);
	if (r < 0)
		fs_request_fail(&change->base, r);
}

void fs_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct change *change = change_new(req, parent, name, true);
	int r;

	if (!change)
		return;
	if (is_only_here(change->inode)) {
		forget_name(change, true);
		fs_request_fail(&change->base, 0);
		return;
	}
	if (!is_data_name(name)) {
		unlink_znode(change);
		return;
	}
	r = zk_set(change->base.fs->zk, change->path, NULL, ZK_ANY_VERSION, &change->dir->stat,
		ZK_OP_SINCE_OUTAGE, data_removed, change, &change->base.op);
	if (r < 0)
		fs_request_fail(&change->base, r);
}

static bool has_uncommitted(const struct fs *fs, const struct fs_inode *dir)
{
	const struct fs_file *file;

	LIST_FOREACH (file, &fs->files, fs_link)
		if (file->inode->parent == dir && file->inode->linked && !file->inode->exists)
			return true;
	return false;
}

static void dir_seen(struct fs_fetch *fetch, int r);

static void dir_removed(void *userdata, int r, const struct zk_reply *reply)
{
	struct change *change = userdata;

	if (r == -ESTALE) {
		change->base.op = NULL;
		look(change, dir_seen); /* its data has changed: is there some now? */
	} else {
		removed(userdata, r, reply);
	}
}

static void dir_seen(struct fs_fetch *fetch, int r)
{
	struct change *change = fs_container_of(fetch, struct change, fetch);
	const struct zk_stat *stat = &fetch->stat;

	if (r == -ENOENT)
		forget_name(change, false);
	if (r == 0 && fetch->kind != FS_KIND_DIR) {
		forget_name(change, false);
		r = -ENOTDIR;
	}
	if (r == 0 && (stat->num_children > 0 || stat->data_length > 0 ||
			      (change->inode && has_uncommitted(change->base.fs, change->inode))))
		r = -ENOTEMPTY;
	if (r == 0)
		r = delete_seen(change, stat, dir_removed);
	if (r < 0)
		fs_request_fail(&change->base, r);
}

void fs_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct change *change = change_new(req, parent, name, true);

	if (change && is_data_name(name))
		fs_request_fail(&change->base, -ENOTDIR);
	else if (change)
		look(change, dir_seen);
}

void fs_op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EPERM);
}

void fs_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	fuse_reply_err(req, EPERM);
}
