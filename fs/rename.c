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
#include "fs/file.h"
#include "fs/fill.h"
#include "fs/fs.h"
#include "fs/mark.h"
#include "fs/names.h"
#include "fs/notice.h"
#include "fs/options.h"
#include "fs/pages.h"
#include "fs/request.h"
#include "fs/tree.h"
#include "fs/watch.h"
#include "zk/client.h"
#include "zk/path.h"

/* One of the two names. */
struct side {
	struct fs_inode *dir;   /* a reference */
	struct fs_inode *inode; /* a reference, or NULL */
	char *path;
	bool is_data; /* .data: its znode is the directory's, and is never deleted */
	bool exists;  /* as read */
	bool lives_on; /* the znode stays, with the data of the other side; otherwise all is made anew */
	struct fs_tree tree;
	char name[ZK_PATH_NAME_MAX + 1];
};

struct rename {
	struct fs_request base;
	struct side from, to;
	struct fs_waiter waiter;
	bool exchange, no_replace;
	unsigned n_reading;
	int read_error;
	int64_t deadline;
};

static void side_done(struct fs *fs, struct side *side)
{
	fs_tree_done(&side->tree);
	fs_inode_unref(&fs->inodes, side->inode);
	fs_inode_unref(&fs->inodes, side->dir);
	free(side->path);
}

static void rename_free(struct fs_request *request)
{
	struct rename *rename = (struct rename *)request;

	side_done(request->fs, &rename->from);
	side_done(request->fs, &rename->to);
}

static void read_sides(struct rename *rename);

static const struct fs_tree_node *root_of(const struct side *side)
{
	return side->tree.nodes[0];
}

static bool is_dir(const struct side *side)
{
	const struct fs_tree_node *root = root_of(side);

	return !side->is_data &&
	       fs_kind_of(&root->stat, root->data ? FS_DATA_PRESENT : FS_DATA_NULL, false) ==
		       FS_KIND_DIR;
}

static bool is_ephemeral(const struct side *side)
{
	return root_of(side)->stat.ephemeral_owner != 0;
}

/* Building the multi */

static int add_creates(
	const struct fs *fs, struct zk_multi *multi, const struct fs_tree *tree, const char *root)
{
	int r = 0;

	for (size_t i = 0; i < tree->n_nodes && r == 0; i++) {
		const struct fs_tree_node *node = tree->nodes[i];
		enum fs_data data = node->data ? FS_DATA_PRESENT : FS_DATA_NULL;
		char *path = fs_tree_path_below(tree, i, root);

		if (!path)
			return -ENOMEM;
		r = zk_multi_add_create(multi, path, node->data, node->acl,
			node->stat.ephemeral_owner ? ZK_CREATE_EPHEMERAL : ZK_CREATE_PERSISTENT);
		if (r == 0 && !node->has_children &&
			fs_kind_of(&node->stat, data, false) == FS_KIND_DIR)
			r = fs_mark_add(fs, multi, path);
		free(path);
	}
	return r;
}

/* Children before their parents. */
static int add_deletes(struct zk_multi *multi, const struct fs_tree *tree)
{
	int r = 0;

	for (size_t i = tree->n_nodes; i > 0 && r == 0; i--) {
		const struct fs_tree_node *node = tree->nodes[i - 1];

		r = zk_multi_add_delete(multi, node->path, node->stat.version, node->stat.czxid);
	}
	return r;
}

static int add_set(struct zk_multi *multi, struct side *side, struct zk_blob *data)
{
	const struct zk_stat *stat = &root_of(side)->stat;

	side->lives_on = true;
	return zk_multi_add_set(multi, side->path, data, stat->version, stat);
}

/* Takes the source away: the last ops of the multi. */
static int add_removal(struct zk_multi *multi, struct side *from)
{
	return from->is_data ? add_set(multi, from, NULL) : add_deletes(multi, &from->tree);
}

/* Both live on and swap their data, if that is all there is to swap. */
static int add_exchange(const struct fs *fs, struct zk_multi *multi, struct rename *rename)
{
	struct side *from = &rename->from, *to = &rename->to;
	int r;

	if (!to->exists)
		return -ENOENT;
	if (from->is_data || to->is_data)
		return -EINVAL;
	if (!is_dir(from) && !is_dir(to) && is_ephemeral(from) == is_ephemeral(to)) {
		r = add_set(multi, to, root_of(from)->data);
		return r < 0 ? r : add_set(multi, from, root_of(to)->data);
	}
	r = add_deletes(multi, &to->tree);
	if (r == 0)
		r = add_deletes(multi, &from->tree);
	if (r == 0)
		r = add_creates(fs, multi, &from->tree, to->path);
	if (r == 0)
		r = add_creates(fs, multi, &to->tree, from->path);
	return r;
}

/* .data as the target: data of a directory, which must stay one. */
static int add_set_data(
	const struct fs *fs, struct zk_multi *multi, struct side *to, struct zk_blob *data)
{
	const struct zk_stat *stat = &root_of(to)->stat;
	int r = add_set(multi, to, data);

	if (r == 0 && stat->cversion == 0 && to->dir->parent)
		r = fs_mark_add(fs, multi, to->path);
	return r;
}

static int add_replace(
	const struct fs *fs, struct zk_multi *multi, struct side *from, struct side *to)
{
	int r;

	if (is_dir(to) && !is_dir(from))
		return -EISDIR;
	if (!is_dir(to) && is_dir(from))
		return -ENOTDIR;
	if (is_dir(to) && (root_of(to)->has_children || root_of(to)->stat.data_length > 0))
		return -ENOTEMPTY;
	if (!is_dir(to) && (from->is_data ? 0 : is_ephemeral(from)) == is_ephemeral(to))
		return add_set(multi, to, root_of(from)->data);
	r = add_deletes(multi, &to->tree);
	return r < 0 ? r : add_creates(fs, multi, &from->tree, to->path);
}

static int add_creation(
	const struct fs *fs, struct zk_multi *multi, struct side *from, struct side *to)
{
	if (from->is_data)
		return zk_multi_add_create(
			multi, to->path, root_of(from)->data, fs->acl, ZK_CREATE_PERSISTENT);
	return add_creates(fs, multi, &from->tree, to->path);
}

static int build(struct rename *rename, struct zk_multi *multi)
{
	struct fs *fs = rename->base.fs;
	struct side *from = &rename->from, *to = &rename->to;
	int r;

	from->lives_on = to->lives_on = false;
	if (from->is_data && to->is_data)
		return -EINVAL;
	if (from->is_data && root_of(from)->stat.data_length == 0)
		return -ENOENT;
	if (rename->exchange)
		return add_exchange(fs, multi, rename);
	if (to->is_data && is_dir(from))
		return -EISDIR;
	if (rename->no_replace && (to->is_data ? root_of(to)->stat.data_length > 0 : to->exists))
		return -EEXIST;
	if (to->is_data)
		r = add_set_data(fs, multi, to, root_of(from)->data);
	else if (to->exists)
		r = add_replace(fs, multi, from, to);
	else
		r = add_creation(fs, multi, from, to);
	return r < 0 ? r : add_removal(multi, from);
}

/* Afterwards */

static bool is_below(const struct fs_inode *inode, const struct fs_inode *ancestor)
{
	for (; inode; inode = inode->parent)
		if (inode == ancestor)
			return true;
	return false;
}

/* Its znodes were made anew: whoever asks next learns what they are now. */
static void expect_anew(struct fs *fs, struct fs_inode *moved)
{
	struct fs_inode *inode, *next;

	moved->stat.czxid = 0;
	moved->grants = 0;
	if (!fs_kind_is_dir(moved->kind))
		return;
	HASH_ITER (by_id, fs->inodes.by_id, inode, next) {
		if (!is_below(inode, moved))
			continue;
		inode->stat.czxid = 0;
		inode->grants = 0;
	}
}

static const struct fs_tree_node *find_node(
	const struct fs *fs, const struct side *side, const struct fs_inode *inode)
{
	char *path = fs_inode_path(&fs->inodes, inode);
	const struct fs_tree_node *found = NULL;

	for (size_t i = 0; path && i < side->tree.n_nodes && !found; i++)
		if (strcmp(side->tree.nodes[i]->path, path) == 0)
			found = side->tree.nodes[i];
	free(path);
	return found;
}

/* What is open on `side`, and below it, is based on the znodes at `place` from now on. Before the
 * inodes move. */
static void carry_files(struct fs *fs, const struct side *side, const struct side *place)
{
	const struct zk_stat anew = { 0 }, *stat = &root_of(place)->stat;
	const struct zk_stat kept = { .czxid = stat->czxid, .version = stat->version + 1 };
	const struct fs_tree_node *node;
	struct fs_file *file;

	LIST_FOREACH (file, &fs->files, fs_link) {
		if (!side->inode || !is_below(file->inode, side->inode))
			continue;
		node = find_node(fs, side, file->inode);
		if (node)
			fs_file_move_base(file, &node->stat,
				place->lives_on && node == root_of(side) ? &kept : &anew);
	}
}

/* Its name is another's now, and the kernel has told that. */
static void leave(struct fs *fs, struct fs_inode *inode)
{
	inode->removed = true;
	fs_notice_removed_here(inode);
	if (inode->linked)
		fs_watch_gone(fs, inode);
}

/* The name may have been found to lead elsewhere meanwhile: the kernel, which waits for us, cannot have
 * heard of that, and moves what it has. */
static void drop_bearer(struct fs *fs, const struct side *side)
{
	struct fs_inode *bearer = fs_inode_by_name(&fs->inodes, side->dir, side->name);

	if (bearer && bearer != side->inode)
		leave(fs, bearer);
}

static void mark_told(struct fs_inode *inode, const struct zk_stat *moved, int32_t new_version)
{
	if (!inode)
		return;
	inode->renew = fs_notice_was_told(inode, moved);
	inode->renewed_version = new_version;
}

/* The same bytes under another name are no news, if these are the ones that were told of; what somebody
 * else has changed just before is. Before the inodes move. */
static void mark_all_told(struct fs *fs, const struct side *side, const struct side *place)
{
	for (size_t i = 0; i < side->tree.n_nodes; i++) {
		const struct fs_tree_node *node = side->tree.nodes[i];
		struct fs_inode *inode = fs_inode_by_path(&fs->inodes, node->path);

		int32_t version = 0;

		if (!inode)
			continue;
		if (place->lives_on && node == root_of(side))
			version = root_of(place)->stat.version + 1;
		mark_told(inode, &node->stat, version);
		mark_told(fs_inode_by_name(&fs->inodes, inode, FS_DATA_NAME), &node->stat, version);
	}
}

/* One that had lost its name is shown under the new one now, but leads nowhere: that it is gone is told,
 * and what is there instead. */
static void move_inode(struct fs *fs, struct fs_inode *inode, const struct side *to, bool leads)
{
	if (fs_inode_move(&fs->inodes, inode, to->dir, to->name, leads) < 0)
		return;
	fs_notice_moved_here(fs, inode);
	if (leads) {
		expect_anew(fs, inode);
		fs_watch_moved(fs, inode);
	} else {
		fs_notice_gone(fs, inode);
		fs_fill_arrival(fs, to->dir, to->name);
	}
}

/* The inodes follow their names, as the kernel's do. */
static void move_inodes(struct rename *rename)
{
	struct fs *fs = rename->base.fs;
	struct side *from = &rename->from, *to = &rename->to;
	bool from_leads = from->inode->linked, to_leads = to->inode && to->inode->linked;

	carry_files(fs, from, to);
	if (rename->exchange)
		carry_files(fs, to, from);
	drop_bearer(fs, from);
	drop_bearer(fs, to);
	fs_watch_moving(fs, from->inode);
	mark_all_told(fs, from, to);
	if (rename->exchange) {
		fs_watch_moving(fs, to->inode);
		mark_all_told(fs, to, from);
		fs_inode_unlink(&fs->inodes, to->inode);
	} else if (to->inode) {
		leave(fs, to->inode);
	}
	fs_notice_taken_here(from->dir, from->name);
	fs_notice_taken_here(to->dir, to->name);
	fs_names_add(&from->dir->gone, from->name);
	if (from->is_data || to->is_data)
		from->inode->kind = to->is_data ? FS_KIND_DATA : FS_KIND_FILE;
	move_inode(fs, from->inode, to, from_leads);
	if (rename->exchange)
		move_inode(fs, to->inode, from, to_leads);
}

static bool expects_znode(const struct fs_file *file, const struct rename *rename)
{
	return file->moved &&
	       (is_below(file->inode, rename->from.inode) ||
		       (rename->exchange && is_below(file->inode, rename->to.inode)));
}

/* All that was made anew was made by one transaction. */
static void moved_seen(void *userdata, int r, const struct zk_reply *reply)
{
	struct rename *rename = userdata;
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
		if (r == 0 && expects_znode(file, rename))
			fs_file_found(file, &reply->stat);
	fs_request_fail(&rename->base, 0);
}

static bool is_open(const struct rename *rename)
{
	const struct fs_file *file;

	LIST_FOREACH (file, &rename->base.fs->files, fs_link)
		if (expects_znode(file, rename))
			return true;
	return false;
}

/* Ephemerals that were made anew are this mount's. `taken`: as they were, in the tree's order. */
static void put_ephemerals(struct fs *fs, const struct side *from, const char *to_path,
	struct fs_ephemeral *const *taken)
{
	for (size_t i = 0; i < from->tree.n_nodes; i++) {
		const struct fs_tree_node *node = from->tree.nodes[i];
		char *path = fs_tree_path_below(&from->tree, i, to_path);

		if (path && node->stat.ephemeral_owner)
			fs_ephemeral_put(fs, taken ? taken[i] : NULL, path, node->data, node->acl);
		free(path);
	}
}

/* NULL when out of memory: then they count as new. */
static struct fs_ephemeral **take_ephemerals(struct fs *fs, const struct side *side)
{
	struct fs_ephemeral **taken = calloc(side->tree.n_nodes + 1, sizeof(struct fs_ephemeral *));

	for (size_t i = 0; taken && i < side->tree.n_nodes; i++)
		if (side->tree.nodes[i]->stat.ephemeral_owner)
			taken[i] = fs_ephemeral_take(fs, side->tree.nodes[i]->path);
	return taken;
}

static void move_ephemerals(struct rename *rename)
{
	struct fs *fs = rename->base.fs;
	struct side *from = &rename->from, *to = &rename->to;
	struct fs_ephemeral **taken, **taken_back = NULL;

	if (to->lives_on) {
		fs_ephemeral_written(fs, to->path, root_of(from)->data, 0);
		if (from->lives_on && rename->exchange)
			fs_ephemeral_written(fs, from->path, root_of(to)->data, 0);
		else if (!from->lives_on)
			fs_ephemeral_removed(fs, from->path);
		return;
	}
	if (from->is_data)
		return;
	taken = take_ephemerals(fs, from);
	if (rename->exchange)
		taken_back = take_ephemerals(fs, to);
	put_ephemerals(fs, from, to->path, taken);
	if (rename->exchange)
		put_ephemerals(fs, to, from->path, taken_back);
	free(taken_back);
	free(taken);
}

static void moved(struct rename *rename)
{
	int r = -ENOENT;

	move_ephemerals(rename);
	move_inodes(rename);
	if (!LIST_EMPTY(&rename->from.inode->files) || is_open(rename))
		r = zk_exists(rename->base.fs->zk, rename->to.path, ZK_OP_SINCE_OUTAGE, moved_seen,
			rename, &rename->base.op);
	if (r < 0)
		fs_request_fail(&rename->base, 0);
}

/* The first thing made is the target: there is no directory to make it in. */
static bool has_no_parent(const struct rename *rename, int r, const struct zk_reply *reply)
{
	return r == -ENOENT && !rename->to.exists && reply->failed_op == 0;
}

static bool is_conflict(int r)
{
	return r == -ESTALE || r == -EEXIST || r == -ENOENT || r == -ENOTEMPTY;
}

static void multi_done(void *userdata, int r, const struct zk_reply *reply)
{
	struct rename *rename = userdata;

	rename->base.op = NULL;
	if (r == 0)
		moved(rename);
	else if (!has_no_parent(rename, r, reply) && is_conflict(r) &&
		 fs_clock_now() < rename->deadline && rename->base.req)
		read_sides(rename); /* what has changed decides what it is now */
	else
		fs_request_fail(&rename->base, r);
}

static void write_multi(struct rename *rename)
{
	struct zk_multi *multi = zk_multi_new();
	size_t probe, max = rename->base.fs->packet_max;
	int r = multi ? build(rename, multi) : -ENOMEM;

	if (r == 0 && zk_multi_wire_size(multi) > max)
		r = -EXDEV;
	if (r < 0) {
		zk_multi_free(multi);
		fs_request_fail(&rename->base, r);
		return;
	}
	probe = zk_multi_count(multi) - 1;
	r = zk_multi_start(rename->base.fs->zk, multi, probe, ZK_OP_SINCE_OUTAGE, multi_done,
		rename, &rename->base.op);
	if (r < 0)
		fs_request_fail(&rename->base, r);
}

/* Reading both sides */

static void sides_read(struct rename *rename)
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

static void side_read(struct rename *rename, struct side *side, int r)
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
	struct rename *rename = fs_container_of(tree, struct rename, from.tree);

	side_read(rename, &rename->from, r);
}

static void to_read(struct fs_tree *tree, int r)
{
	struct rename *rename = fs_container_of(tree, struct rename, to.tree);

	side_read(rename, &rename->to, r);
}

static void cancel_reading(struct fs_request *request)
{
	fs_request_end(request); /* rename_free stops the trees */
}

static int start_side(struct rename *rename, struct side *side, bool whole,
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

static void read_sides(struct rename *rename)
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
static void commit_files(struct rename *rename);

static void file_committed(struct fs_waiter *waiter, int r)
{
	struct rename *rename = fs_container_of(waiter, struct rename, waiter);

	if (r < 0)
		fs_request_fail(&rename->base, r);
	else if (!rename->base.req)
		fs_request_end(&rename->base);
	else
		commit_files(rename);
}

static bool commit_side(struct rename *rename, struct side *side)
{
	struct fs_file *file;

	LIST_FOREACH (file, &side->inode->files, inode_link)
		if (fs_commit(file, &rename->waiter))
			return true;
	return false;
}

static void commit_files(struct rename *rename)
{
	if (commit_side(rename, &rename->from))
		return;
	if (rename->exchange && rename->to.inode && commit_side(rename, &rename->to))
		return;
	read_sides(rename);
}

static int side_init(struct fs *fs, struct side *side, struct fs_inode *dir, const char *name)
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

static bool is_held(const struct side *side)
{
	return side->inode && fs_watch_is_held(side->inode);
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
	struct rename *rename;
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
	if (r == 0 && !is_held(&rename->from))
		r = -ESTALE;
	if (r == 0 && rename->exchange && !is_held(&rename->to))
		r = -ESTALE;
	if (r < 0)
		fs_request_fail(&rename->base, r);
	else
		commit_files(rename);
}
