/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

struct fs;
struct fs_inode;
struct zk_op;

/*
 * Does the ACL of an inode's znode allow something? Asked at open, because many programs, shells
 * among them, do not look at what close(2) reports. The ACL is kept with the inode and asked for
 * again only when aversion says that it has changed. Where only the server can tell, the answer is
 * yes, and the write itself will report.
 */
struct fs_access {
	struct fs *fs;
	struct fs_inode *inode; /* a reference, from start to done */
	unsigned perms;         /* of enum zk_perm */
	struct zk_op **opp;
	void (*done)(struct fs_access *access, int r);
};

/* fs, perms, opp and done were set by the caller. 0: `done` is called once, perhaps before this
 * returns, with 0, -EACCES or another errno; unless *opp was cancelled. Negative: it is not. */
int fs_access_start(struct fs_access *access, struct fs_inode *inode);

/* Drops the reference, also before it was started and after it was cancelled. */
void fs_access_done(struct fs_access *access);

/*
 * While files in a directory are being opened for writing, the ACLs of those that are looked up there
 * are asked for together with their data, and those of the next ones in the directory ahead of their
 * turn: one round trip instead of two. `wanted` tells whether that is so; prefetch asks, behind a get
 * that has just been started, and tells nobody.
 */
bool fs_access_wanted(struct fs *fs, const struct fs_inode *dir, const char *name);
void fs_access_prefetch(struct fs *fs, struct fs_inode *dir, const char *name);
