/* SPDX-License-Identifier: Apache-2.0 */
/* The one transaction that a rename is. */
#include "fs/rename_private.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/fs.h"
#include "fs/mark.h"
#include "fs/tree.h"
#include "zk/blob.h"
#include "zk/op.h"
#include "zk/stat.h"

static bool is_dir(const struct fs_rename_side *side)
{
	const struct fs_tree_node *root = fs_rename_root(side);

	return !side->is_data &&
	       fs_kind_of(&root->stat, root->data ? FS_DATA_PRESENT : FS_DATA_NULL, false) ==
		       FS_KIND_DIR;
}

static bool is_ephemeral(const struct fs_rename_side *side)
{
	return fs_rename_root(side)->stat.ephemeral_owner != 0;
}

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

static int add_set(struct zk_multi *multi, struct fs_rename_side *side, struct zk_blob *data)
{
	const struct zk_stat *stat = &fs_rename_root(side)->stat;

	side->lives_on = true;
	return zk_multi_add_set(multi, side->path, data, stat->version, stat);
}

/* Takes the source away: the last ops of the multi. */
static int add_removal(struct zk_multi *multi, struct fs_rename_side *from)
{
	return from->is_data ? add_set(multi, from, NULL) : add_deletes(multi, &from->tree);
}

/* Both live on and swap their data, if that is all there is to swap. */
static int add_exchange(const struct fs *fs, struct zk_multi *multi, struct fs_rename *rename)
{
	struct fs_rename_side *from = &rename->from, *to = &rename->to;
	int r;

	if (!to->exists)
		return -ENOENT;
	if (from->is_data || to->is_data)
		return -EINVAL;
	if (!is_dir(from) && !is_dir(to) && is_ephemeral(from) == is_ephemeral(to)) {
		r = add_set(multi, to, fs_rename_root(from)->data);
		return r < 0 ? r : add_set(multi, from, fs_rename_root(to)->data);
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
static int add_set_data(const struct fs *fs, struct zk_multi *multi, struct fs_rename_side *to,
	struct zk_blob *data)
{
	const struct zk_stat *stat = &fs_rename_root(to)->stat;
	int r = add_set(multi, to, data);

	if (r == 0 && stat->cversion == 0 && to->dir->parent)
		r = fs_mark_add(fs, multi, to->path);
	return r;
}

static int add_replace(const struct fs *fs, struct zk_multi *multi, struct fs_rename_side *from,
	struct fs_rename_side *to)
{
	int r;

	if (is_dir(to) && !is_dir(from))
		return -EISDIR;
	if (!is_dir(to) && is_dir(from))
		return -ENOTDIR;
	if (is_dir(to) &&
		(fs_rename_root(to)->has_children || fs_rename_root(to)->stat.data_length > 0))
		return -ENOTEMPTY;
	if (!is_dir(to) && (from->is_data ? 0 : is_ephemeral(from)) == is_ephemeral(to))
		return add_set(multi, to, fs_rename_root(from)->data);
	r = add_deletes(multi, &to->tree);
	return r < 0 ? r : add_creates(fs, multi, &from->tree, to->path);
}

static int add_creation(const struct fs *fs, struct zk_multi *multi, struct fs_rename_side *from,
	struct fs_rename_side *to)
{
	if (from->is_data)
		return zk_multi_add_create(
			multi, to->path, fs_rename_root(from)->data, fs->acl, ZK_CREATE_PERSISTENT);
	return add_creates(fs, multi, &from->tree, to->path);
}

/* An ephemeral goes with its session as well: that it is not there any more does not tell that it was
 * deleted, and there may be nothing left of one that was made. A mark is never there. */
static size_t find_probe(const struct fs_rename *rename, const struct zk_multi *multi)
{
	const struct fs_rename_side *from = &rename->from, *to = &rename->to;
	size_t n_deleted = to->exists && !to->lives_on ? to->tree.n_nodes : 0;

	if (rename->exchange && !to->lives_on) {
		n_deleted += from->tree.n_nodes;
		return is_ephemeral(from) ? n_deleted + 1 : n_deleted;
	}
	if (!from->is_data && is_ephemeral(from))
		return n_deleted;
	return zk_multi_count(multi) - 1;
}

static int add_all(struct fs_rename *rename, struct zk_multi *multi)
{
	struct fs *fs = rename->base.fs;
	struct fs_rename_side *from = &rename->from, *to = &rename->to;
	int r;

	from->lives_on = to->lives_on = false;
	if (from->is_data && to->is_data)
		return -EINVAL;
	if (from->is_data && fs_rename_root(from)->stat.data_length == 0)
		return -ENOENT;
	if (rename->exchange)
		return add_exchange(fs, multi, rename);
	if (to->is_data && is_dir(from))
		return -EISDIR;
	if (rename->no_replace &&
		(to->is_data ? fs_rename_root(to)->stat.data_length > 0 : to->exists))
		return -EEXIST;
	if (to->is_data)
		r = add_set_data(fs, multi, to, fs_rename_root(from)->data);
	else if (to->exists)
		r = add_replace(fs, multi, from, to);
	else
		r = add_creation(fs, multi, from, to);
	return r < 0 ? r : add_removal(multi, from);
}

int fs_rename_build(struct fs_rename *rename, struct zk_multi *multi, size_t *probe)
{
	int r = add_all(rename, multi);

	if (r == 0)
		*probe = find_probe(rename, multi);
	return r;
}
