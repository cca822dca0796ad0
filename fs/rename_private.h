/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/request.h"
#include "fs/tree.h"
#include "fs/waiter.h"
#include "zk/path.h"

/*
 * What the files of RENAME share:
 *
 *	rename.c        the request: both sides are read, one multi is sent, again on a conflict
 *	rename_multi.c  what is in it
 *	rename_moved.c  what it has done to inodes, open files and ephemerals
 */

struct fs_file;
struct fs_inode;
struct zk_multi;

/* One of the two names. */
struct fs_rename_side {
	struct fs_inode *dir;   /* a reference */
	struct fs_inode *inode; /* a reference, or NULL */
	char *path;
	bool is_data; /* .data: its znode is the directory's, and is never deleted */
	bool exists;  /* as read */
	bool lives_on; /* the znode stays, with the data of the other side; otherwise all is made anew */
	struct fs_tree tree;
	char name[ZK_PATH_NAME_MAX + 1];
};

struct fs_rename {
	struct fs_request base;
	struct fs_rename_side from, to;
	struct fs_waiter waiter;
	bool exchange, no_replace;
	unsigned n_reading;
	int read_error;
	int64_t session; /* of when the multi was sent */
	int64_t deadline;
};

static inline const struct fs_tree_node *fs_rename_root(const struct fs_rename_side *side)
{
	return side->tree.nodes[0];
}

/* Fills in the multi by what was read. 0, or the errno that the rename ends with. `probe`: the op that
 * tells, after a lost answer, whether all was applied. */
int fs_rename_build(struct fs_rename *rename, struct zk_multi *multi, size_t *probe);

/* After it was done: the inodes, and what is open on them, follow their names. */
void fs_rename_move_inodes(struct fs_rename *rename);
void fs_rename_move_ephemerals(struct fs_rename *rename);
/* Is the file open on a znode that was made anew, and is yet to be told which? */
bool fs_rename_expects(const struct fs_file *file, const struct fs_rename *rename);
