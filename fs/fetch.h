/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/kind.h"
#include "zk/op.h"
#include "zk/stat.h"

struct fs;
struct fs_inode;
struct zk_blob;

enum fs_fetch_what { FS_FETCH_STAT, FS_FETCH_DATA };

/*
 * Asking ZooKeeper what a znode is: its state, its kind, and its data if wanted.
 *
 * One round trip in nearly all cases: a get tells everything; where the ACL forbids it an exists
 * follows, which needs no permission. Without data it is an exists, and a get follows only where
 * null and empty data must be told apart.
 */
struct fs_fetch {
	struct fs *fs;
	char *path;
	unsigned flags; /* of enum zk_op_flags */
	bool is_root;
	bool watch; /* sets a watch on it too, if there is room for one */
	/* Whose znode it is, or of the directory in which `name` is; not referenced; NULL: nobody's.
	 * If a rename moved it while the question was on its way, it is asked again where it is now. */
	struct fs_inode *at;
	const char *name;
	struct fs_inode *known;  /* not referenced; settles null against empty without asking */
	enum fs_fetch_what what; /* set when it starts */
	struct zk_op **opp;
	void (*done)(struct fs_fetch *fetch, int r);

	/* fetch.c's and watch.c's own */
	bool wants; /* a watch, and nobody has taken that over */
	uint64_t n_moves;

	/* The result, when done is called with 0. */
	struct zk_stat stat;
	enum fs_kind kind; /* FS_KIND_DIR or FS_KIND_FILE */
	enum fs_data data;
	bool watched;         /* it is watched since this very state */
	struct zk_blob *blob; /* a reference; the data if `data` is FS_DATA_PRESENT */
};

/*
 * Starts to fetch the znode at `path` (taken over). fs, done, opp (may be NULL) and, where they
 * apply, flags, is_root and known were set by the caller. 0, then `done` is called once, unless
 * *opp was cancelled; or a negative errno, then it is not.
 */
int fs_fetch_start(struct fs_fetch *fetch, enum fs_fetch_what what, char *path);

/* Releases what it holds; also before it was started and after it was cancelled. */
void fs_fetch_done(struct fs_fetch *fetch);
