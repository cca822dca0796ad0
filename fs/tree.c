/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a whole tree, every node's data, ACL and children at the same time. */
#include "fs/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "zk/acl.h"
#include "zk/blob.h"
#include "zk/path.h"

/* What a node costs in a request beside its data: paths, headers, twice. */
#define NODE_OVERHEAD 64

static struct fs_tree_node *add_node(struct fs_tree *tree, char *path)
{
	struct fs_tree_node *node = calloc(1, sizeof(*node));
	struct fs_tree_node **nodes;

	nodes = node ? reallocarray(tree->nodes, tree->n_nodes + 1, sizeof(struct fs_tree_node *))
		     : NULL;
	if (!nodes) {
		free(node);
		free(path);
		return NULL;
	}
	tree->nodes = nodes;
	node->tree = tree;
	node->path = path;
	nodes[tree->n_nodes++] = node;
	return node;
}

static void fail(struct fs_tree *tree, int r)
{
	if (tree->error == 0)
		tree->error = r;
}

static void count(struct fs_tree *tree, size_t n_bytes)
{
	tree->n_bytes += n_bytes;
	if (tree->n_bytes > tree->max_bytes)
		fail(tree, -EXDEV);
}

static void answered(struct fs_tree *tree)
{
	if (--tree->n_waiting == 0)
		tree->done(tree, tree->error);
}

static void start(struct fs_tree *tree, char *path);

/* Below the root, what is gone meanwhile is a change under our hands: the caller tries again. */
static void check(struct fs_tree_node *node, int r)
{
	if (r == -ENOENT && node != node->tree->nodes[0])
		r = -ESTALE;
	if (r < 0)
		fail(node->tree, r);
}

static void got_data(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_tree_node *node = userdata;

	node->ops[0] = NULL;
	check(node, r);
	if (r == 0) {
		node->stat = reply->stat;
		node->data = zk_blob_ref(reply->data);
		count(node->tree, NODE_OVERHEAD + 2 * strlen(node->path) +
					  (reply->data ? reply->data->len : 0));
	}
	answered(node->tree);
}

static void got_acl(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_tree_node *node = userdata;

	node->ops[1] = NULL;
	check(node, r);
	if (r == 0) {
		node->acl = zk_acl_copy(reply->acl);
		if (!node->acl)
			fail(node->tree, -ENOMEM);
	}
	answered(node->tree);
}

static void got_children(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_tree_node *node = userdata;

	node->ops[2] = NULL;
	check(node, r);
	for (size_t i = 0; r == 0 && i < reply->names.n_names && node->tree->error == 0; i++) {
		node->has_children = true;
		if (node->tree->only_root)
			break;
		start(node->tree, zk_path_join(node->path, reply->names.names[i]));
	}
	answered(node->tree);
}

static void start(struct fs_tree *tree, char *path)
{
	struct fs_tree_node *node = path ? add_node(tree, path) : NULL;
	struct zk_client *zk = tree->fs->zk;
	int r[3];

	if (!node) {
		fail(tree, -ENOMEM);
		return;
	}
	r[0] = zk_get(zk, path, ZK_OP_SINCE_OUTAGE, got_data, node, &node->ops[0]);
	r[1] = zk_acl_get(zk, path, ZK_OP_SINCE_OUTAGE, got_acl, node, &node->ops[1]);
	r[2] = zk_children(zk, path, ZK_OP_SINCE_OUTAGE, got_children, node, &node->ops[2]);
	for (int i = 0; i < 3; i++) {
		if (r[i] == 0)
			tree->n_waiting++;
		else
			fail(tree, r[i]);
	}
}

int fs_tree_read(struct fs_tree *tree, const char *path)
{
	char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	start(tree, copy);
	return tree->n_waiting > 0 ? 0 : tree->error;
}

void fs_tree_done(struct fs_tree *tree)
{
	for (size_t i = 0; i < tree->n_nodes; i++) {
		struct fs_tree_node *node = tree->nodes[i];

		for (int j = 0; j < 3; j++)
			if (node->ops[j])
				zk_op_cancel(node->ops[j]);
		free(node->path);
		zk_blob_unref(node->data);
		zk_acl_free(node->acl);
		free(node);
	}
	free(tree->nodes);
	tree->nodes = NULL;
	tree->n_nodes = 0;
	tree->n_waiting = 0;
	tree->n_bytes = 0;
	tree->error = 0;
}

char *fs_tree_path_below(const struct fs_tree *tree, size_t index, const char *root)
{
	size_t skip = strlen(tree->nodes[0]->path);
	char *path;

	if (asprintf(&path, "%s%s", root, tree->nodes[index]->path + skip) < 0)
		return NULL;
	return path;
}
