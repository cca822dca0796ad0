/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RENAME: whatever it is, it is one multi.
 *
 * ZooKeeper cannot rename. What is moved is read, made at its new place and deleted at the old one
 * in one transaction, on the versions that were read; on a conflict all of it begins again. Onto an
 * existing file the target's znode lives on and takes the data, unless only one of the two is
 * ephemeral. What does not fit into one request is EXDEV, and mv copies.
 *
 * Open files: what was written to the source is committed first. The kernel goes on using the
 * source's nodeid for the new name, so its inode moves to the target's znode. What is open there, or
 * below, goes on from the state that the transaction has left behind.
 */
#include "fs/ops.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/clock.h"
#include "fs/commit.h"
#include "fs/container.h"
#include "fs/control.h"
#include "fs/entry.h"
#include "fs/ephemeral.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/notice.h"
#include "fs/options.h"
#include "fs/pages.h"
#include "fs/rename_private.h"
#include "fs/request.h"
#include "fs/tree.h"
#include "fs/watch.h"
#include "zk/op.h"

static void side_done(struct fs *fs, struct fs_rename_side *side)
{
	fs_tree_done(&side->tree);
	fs_inode_unref(&fs->inodes, side->inode);
	fs_inode_unref(&fs->inodes, side->dir);
	free(side->path);
}

static void rename_free(struct fs_request *request)
{
	struct fs_rename *rename = (struct fs_rename *)request;

	side_done(request->fs, &rename->from);
	side_done(request->fs, &rename->to);
}

static void read_sides(struct fs_rename *rename);

/* All that was made anew was made by one transaction. */
static void moved_seen(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_rename *rename = userdata;
	struct fs_inode *inode = rename->from.inode;
	struct fs_fetch found = {
		.stat = reply->stat, .kind = inode->kind, .data = FS_DATA_UNKNOWN
	};
	struct fs_file *file;

	rename->base.op = NULL;
	if (r == 0 && inode->linked) {
		fs_entry_update(rename->base.fs, inode, &found);
		fs_pages_changed(rename->base.fs, inode);
	}
	LIST_FOREACH (file, &rename->base.fs->files, fs_link)
		if (r == 0 && fs_rename_expects(file, rename))
			fs_file_found(file, &reply->stat);
	fs_request_fail(&rename->base, 0);
}

static bool is_open(const struct fs_rename *rename)
{
	const struct fs_file *file;

	LIST_FOREACH (file, &rename->base.fs->files, fs_link)
		if (fs_rename_expects(file, rename))
			return true;
	return false;
}

static void moved(struct fs_rename *rename)
{
	int r = -ENOENT;

	fs_rename_move_ephemerals(rename);
	fs_rename_move_inodes(rename);
	if (!LIST_EMPTY(&rename->from.inode->files) || is_open(rename))
		r = zk_exists(rename->base.fs->zk, rename->to.path, ZK_OP_SINCE_OUTAGE, moved_seen,
			rename, &rename->base.op);
	if (r < 0)
		fs_request_fail(&rename->base, 0);
}

/* The first thing made is the target: there is no directory to make it in. */
static bool has_no_parent(const struct fs_rename *rename, int r, const struct zk_reply *reply)
{
	return r == -ENOENT && !rename->to.exists && reply->failed_op == 0;
}

static bool is_conflict(int r)
{
	return r == -ESTALE || r == -EEXIST || r == -ENOENT || r == -ENOTEMPTY;
}

static void multi_done(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_rename *rename = userdata;

	rename->base.op = NULL;
	if (r == 0)
		moved(rename);
	else if (!has_no_parent(rename, r, reply) && is_conflict(r) &&
		 fs_clock_now() < rename->deadline && rename->base.req)
		read_sides(rename); /* what has changed decides what it is now */
	else
		fs_request_fail(&rename->base, r);
}

static void write_multi(struct fs_rename *rename)
{
	struct zk_multi *multi = zk_multi_new();
	size_t probe, max = rename->base.fs->packet_max;
	int r = multi ? fs_rename_build(rename, multi, &probe) : -ENOMEM;

	if (r == 0 && zk_multi_wire_size(multi) > max)
		r = -EXDEV;
	if (r < 0) {
		zk_multi_free(multi);
		fs_request_fail(&rename->base, r);
		return;
	}
	rename->session = fs_ephemerals_session(rename->base.fs);
	r = zk_multi_start(rename->base.fs->zk, multi, probe, ZK_OP_SINCE_OUTAGE, multi_done,
		rename, &rename->base.op);
	if (r < 0)
		fs_request_fail(&rename->base, r);
}

/* Reading both sides */

static void sides_read(struct fs_rename *rename)
{
	int r = rename->read_error;

	rename->base.cancel = NULL;
	if (r == -ESTALE && fs_clock_now() < rename->deadline && rename->base.req)
		read_sides(rename);
	else if (r < 0)
		fs_request_fail(&rename->base, r);
	else
		write_multi(rename);
}

static void side_read(struct fs_rename *rename, struct fs_rename_side *side, int r)
{
	side->exists = r == 0;
	if (r == -ENOENT && side == &rename->to && !side->is_data)
		r = 0;
	if (r < 0 && rename->read_error == 0)
		rename->read_error = r;
	if (--rename->n_reading == 0)
		sides_read(rename);
}

static void from_read(struct fs_tree *tree, int r)
{
	struct fs_rename *rename = fs_container_of(tree, struct fs_rename, from.tree);

	side_read(rename, &rename->from, r);
}

static void to_read(struct fs_tree *tree, int r)
{
	struct fs_rename *rename = fs_container_of(tree, struct fs_rename, to.tree);

	side_read(rename, &rename->to, r);
}

static void cancel_reading(struct fs_request *request)
{
	fs_request_end(request); /* rename_free stops the trees */
}

static int start_side(struct fs_rename *rename, struct fs_rename_side *side, bool whole,
	void (*done)(struct fs_tree *tree, int r))
{
	struct fs *fs = rename->base.fs;
	int r;

	fs_tree_done(&side->tree);
	side->tree.fs = fs;
	side->tree.done = done;
	side->tree.max_bytes = fs->packet_max;
	side->tree.only_root = !whole;
	r = fs_tree_read(&side->tree, side->path);
	if (r == 0)
		rename->n_reading++;
	return r;
}

static void read_sides(struct fs_rename *rename)
{
	int r;

	rename->read_error = 0;
	rename->n_reading = 0;
	rename->base.cancel = cancel_reading;
	r = start_side(rename, &rename->from, !rename->from.is_data, from_read);
	if (r == 0)
		r = start_side(rename, &rename->to, rename->exchange, to_read);
	if (r < 0)
		fs_request_fail(&rename->base, r);
}

/* What was written to what is moved goes first. */
static void commit_files(struct fs_rename *rename);

static void file_committed(struct fs_waiter *waiter, int r)
{
	struct fs_rename *rename = fs_container_of(waiter, struct fs_rename, waiter);

	if (r < 0)
		fs_request_fail(&rename->base, r);
	else if (!rename->base.req)
		fs_request_end(&rename->base);
	else
		commit_files(rename);
}

static bool commit_side(struct fs_rename *rename, struct fs_rename_side *side)
{
	struct fs_file *file;

	LIST_FOREACH (file, &side->inode->files, inode_link)
		if (fs_commit(file, &rename->waiter))
			return true;
	return false;
}

static void commit_files(struct fs_rename *rename)
{
	if (commit_side(rename, &rename->from))
		return;
	if (rename->exchange && rename->to.inode && commit_side(rename, &rename->to))
		return;
	read_sides(rename);
}

static int side_init(
	struct fs *fs, struct fs_rename_side *side, struct fs_inode *dir, const char *name)
{
	struct fs_inode *inode = fs_inode_by_name(&fs->inodes, dir, name);

	side->dir = fs_inode_ref(dir);
	side->inode = inode ? fs_inode_ref(inode) : NULL;
	side->is_data = strcmp(name, FS_DATA_NAME) == 0;
	side->path = side->is_data ? fs_inode_path(&fs->inodes, dir)
				   : fs_inode_child_path(&fs->inodes, dir, name);
	strcpy(side->name, name);
	return side->path ? 0 : -ENOMEM;
}

/* Is what bears the name what the kernel means? It may not have heard yet that who bore it before is
 * gone. Then the entries in that directory are never given for any time, and it has looked up the name
 * for this very call; what another has looked up meanwhile it has not seen. */
static bool is_meant(const struct fs_rename *rename, const struct fs_rename_side *side)
{
	return side->inode && fs_watch_is_held(side->inode) &&
	       (side->inode->looked_up_by == rename->base.tid ||
		       !fs_notice_leaves(side->dir, side->name));
}

static int check_side(const struct fs_inode *dir, const char *name)
{
	if (dir->kind == FS_KIND_CONTROL_DIR)
		return -EACCES;
	return strcmp(name, FS_DATA_NAME) == 0 ? 0 : fs_entry_check_new(dir, name);
}

static int check_rename(const struct fs *fs, const struct fs_inode *from, const char *name,
	const struct fs_inode *to, const char *new_name, unsigned flags)
{
	int r = fs_entry_check_writable(fs);

	if (r == 0 && (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)))
		r = -EINVAL;
	if (r == 0)
		r = check_side(from, name);
	return r < 0 ? r : check_side(to, new_name);
}

void fs_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	const char *new_name, unsigned int flags)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *from = fs_ops_dir(fs, req, parent);
	struct fs_inode *to = from ? fs_ops_dir(fs, req, new_parent) : NULL;
	struct fs_rename *rename;
	int r;

	if (!to)
		return;
	r = check_rename(fs, from, name, to, new_name, flags);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	rename = fs_request_new(fs, req, sizeof(*rename), rename_free);
	if (!rename)
		return;
	fs_request_hold(&rename->base, from);
	fs_request_hold(&rename->base, to);
	rename->exchange = flags & RENAME_EXCHANGE;
	rename->no_replace = flags & RENAME_NOREPLACE;
	rename->deadline = fs_clock_now() + fs->options->op_timeout_ms * FS_MS;
	rename->waiter.done = file_committed;
	r = side_init(fs, &rename->from, from, name);
	if (r == 0)
		r = side_init(fs, &rename->to, to, new_name);
	/* What the kernel means is not what bears the name by now: it looks the name up again. */
	if (r == 0 && !is_meant(rename, &rename->from))
		r = -ESTALE;
	if (r == 0 && rename->exchange && !is_meant(rename, &rename->to))
		r = -ESTALE;
	if (r < 0)
		fs_request_fail(&rename->base, r);
	else
		commit_files(rename);
}
