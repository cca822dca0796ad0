/* SPDX-License-Identifier: Apache-2.0 */
/* After a rename: inodes, open files and ephemerals go where their names are. */
#include "fs/rename_private.h"

#include <stdlib.h>
#include <string.h>

#include "fs/control.h"
#include "fs/ephemeral.h"
#include "fs/file.h"
#include "fs/fill.h"
#include "fs/fs.h"
#include "fs/names.h"
#include "fs/notice.h"
#include "fs/tree.h"
#include "fs/watch.h"
#include "zk/blob.h"
#include "zk/stat.h"

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
	const struct fs *fs, const struct fs_rename_side *side, const struct fs_inode *inode)
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
static void carry_files(
	struct fs *fs, const struct fs_rename_side *side, const struct fs_rename_side *place)
{
	const struct zk_stat anew = { 0 }, *stat = &fs_rename_root(place)->stat;
	const struct zk_stat kept = { .czxid = stat->czxid, .version = stat->version + 1 };
	const struct fs_tree_node *node;
	struct fs_file *file;

	LIST_FOREACH (file, &fs->files, fs_link) {
		if (!side->inode || !is_below(file->inode, side->inode))
			continue;
		node = find_node(fs, side, file->inode);
		if (node)
			fs_file_move_base(file, &node->stat,
				place->lives_on && node == fs_rename_root(side) ? &kept : &anew);
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
static void drop_bearer(struct fs *fs, const struct fs_rename_side *side)
{
	struct fs_inode *bearer = fs_inode_by_name(&fs->inodes, side->dir, side->name);

	if (bearer && bearer != side->inode)
		leave(fs, bearer);
}

static void mark_told(struct fs_inode *inode, const struct fs_tree_node *moved, int32_t new_version)
{
	if (!inode)
		return;
	inode->renew = fs_notice_was_told(inode, &moved->stat);
	inode->renewed_version = new_version;
	zk_blob_unref(inode->renewed_data);
	inode->renewed_data = zk_blob_ref(moved->data);
}

/* The same bytes under another name are no news, if these are the ones that were told of; what somebody
 * else has changed just before is. Before the inodes move. */
static void mark_all_told(
	struct fs *fs, const struct fs_rename_side *side, const struct fs_rename_side *place)
{
	for (size_t i = 0; i < side->tree.n_nodes; i++) {
		const struct fs_tree_node *node = side->tree.nodes[i];
		struct fs_inode *inode = fs_inode_by_path(&fs->inodes, node->path);
		int32_t version = 0;

		if (!inode)
			continue;
		if (place->lives_on && node == fs_rename_root(side))
			version = fs_rename_root(place)->stat.version + 1;
		mark_told(inode, node, version);
		mark_told(fs_inode_by_name(&fs->inodes, inode, FS_DATA_NAME), node, version);
	}
}

/* One that had lost its name is shown under the new one now, but leads nowhere: that it is gone is told,
 * and what is there instead. And where the directory has been made anew meanwhile, what is in there is
 * another's: the kernel has moved it to where nobody gets any more. */
static void move_inode(
	struct fs *fs, struct fs_inode *inode, const struct fs_rename_side *to, bool leads)
{
	fs_notice_tells_name(inode);
	if (fs_inode_move(&fs->inodes, inode, to->dir, to->name, leads) < 0)
		return;
	fs_notice_moved_here(fs, inode);
	if (leads && to->dir->linked) {
		expect_anew(fs, inode);
		fs_watch_moved(fs, inode);
	} else if (leads) {
		fs_watch_gone(fs, inode);
	} else {
		fs_notice_gone(fs, inode);
		fs_fill_arrival(fs, to->dir, to->name);
	}
}

/* The inodes follow their names, as the kernel's do. */
void fs_rename_move_inodes(struct fs_rename *rename)
{
	struct fs *fs = rename->base.fs;
	struct fs_rename_side *from = &rename->from, *to = &rename->to;
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

bool fs_rename_expects(const struct fs_file *file, const struct fs_rename *rename)
{
	return file->moved &&
	       (is_below(file->inode, rename->from.inode) ||
		       (rename->exchange && is_below(file->inode, rename->to.inode)));
}

/* Ephemerals that were made anew are this mount's. `taken`: as they were, in the tree's order. */
static void put_ephemerals(const struct fs_rename *rename, const struct fs_rename_side *from,
	const char *to_path, struct fs_ephemeral *const *taken)
{
	for (size_t i = 0; i < from->tree.n_nodes; i++) {
		const struct fs_tree_node *node = from->tree.nodes[i];
		char *path = fs_tree_path_below(&from->tree, i, to_path);

		if (path && node->stat.ephemeral_owner)
			fs_ephemeral_put(rename->base.fs, taken ? taken[i] : NULL, path, node->data,
				node->acl, rename->session);
		free(path);
	}
}

/* NULL when out of memory: then they count as new. */
static struct fs_ephemeral **take_ephemerals(struct fs *fs, const struct fs_rename_side *side)
{
	struct fs_ephemeral **taken = calloc(side->tree.n_nodes + 1, sizeof(struct fs_ephemeral *));

	for (size_t i = 0; taken && i < side->tree.n_nodes; i++)
		if (side->tree.nodes[i]->stat.ephemeral_owner)
			taken[i] = fs_ephemeral_take(fs, side->tree.nodes[i]->path);
	return taken;
}

void fs_rename_move_ephemerals(struct fs_rename *rename)
{
	struct fs *fs = rename->base.fs;
	struct fs_rename_side *from = &rename->from, *to = &rename->to;
	struct fs_ephemeral **taken, **taken_back = NULL;

	if (to->lives_on) {
		fs_ephemeral_written(fs, to->path, fs_rename_root(from)->data, 0);
		if (from->lives_on && rename->exchange)
			fs_ephemeral_written(fs, from->path, fs_rename_root(to)->data, 0);
		else if (!from->lives_on)
			fs_ephemeral_removed(fs, from->path);
		return;
	}
	if (from->is_data)
		return;
	taken = take_ephemerals(fs, from);
	if (rename->exchange)
		taken_back = take_ephemerals(fs, to);
	put_ephemerals(rename, from, to->path, taken);
	if (rename->exchange)
		put_ephemerals(rename, to, from->path, taken_back);
	free(taken_back);
	free(taken);
}
