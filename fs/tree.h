/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "zk/op.h"
#include "zk/stat.h"

struct fs;
struct zk_acl;

/*
 * A znode and all that is below it, read into memory so that it can be made again elsewhere: data
 * and ACLs included, parents before their children.
 */
struct fs_tree_node {
	struct fs_tree *tree;
	char *path; /* whole */
	struct zk_stat stat;
	struct zk_blob *data; /* NULL: null data */
	struct zk_acl *acl;
	struct zk_op *ops[3]; /* data, ACL, children */
	bool has_children;
};

struct fs_tree {
	struct fs *fs;
	struct fs_tree_node **nodes;
	size_t n_nodes;
	size_t n_waiting;
	size_t n_bytes, max_bytes;
	bool only_root; /* whether it has children, but not what they are */
	int error;
	void (*done)(struct fs_tree *tree, int r);
};

/*
 * Reads the tree at `path`. `done` is called once, later, with 0; -EXDEV if it is larger than
 * max_bytes; -EACCES if some of it may not be read; -ENOENT if its root is not there; or another
 * errno. fs, done and max_bytes were set by the caller. Negative: nothing was started.
 */
int fs_tree_read(struct fs_tree *tree, const char *path);

/* Stops what is still being read, and frees all. Not from within `done`'s own callback chain of a
 * tree that still reads: `done` comes when nothing is outstanding. */
void fs_tree_done(struct fs_tree *tree);

/* The path of a node below another root. malloc'ed. */
char *fs_tree_path_below(const struct fs_tree *tree, size_t index, const char *root);
