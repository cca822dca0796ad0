/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include <fuse_lowlevel.h>

#include "fs/fetch.h"
#include "fs/inode.h"

struct fs;
struct fs_request;

/*
 * Entries: a name in a directory, the inode it leads to, and for how long the kernel may believe it.
 *
 * What is watched (watch.h), and told to the last state, the kernel may keep until it is told
 * otherwise. Of all else it may keep the way there for a moment: that a name leads to this inode.
 * Every request that depends on such a znode's state asks ZooKeeper for it; when the way has become
 * wrong the next request for the inode finds out, answers ESTALE, and the kernel walks the path
 * again.
 */
#define FS_ENTRY_CERTAIN_TIMEOUT 1e9 /* s; as good as for ever */
#define FS_ENTRY_DIR_TIMEOUT 1.0     /* s; a directory stays one, at worst it is gone */
#define FS_ENTRY_FILE_TIMEOUT 0.05   /* a file may turn into a directory */
/* Names and attributes that came with READDIRPLUS: for the stats that follow it. */
#define FS_ENTRY_LISTED_TIMEOUT 0.05

/* Takes over what was fetched of the inode's znode. */
void fs_entry_update(struct fs *fs, struct fs_inode *inode, struct fs_fetch *fetch);

/* The inode of `name`, as fetched: the one known, or a new one if there was none, or it was another
 * znode. `kind` is fetch->kind or FS_KIND_DATA. A reference, or NULL when out of memory. */
struct fs_inode *fs_entry_bind(struct fs *fs, struct fs_inode *dir, const char *name,
	enum fs_kind kind, struct fs_fetch *fetch);

/* Is the znode that was fetched (with result r) still that of the inode? 0, after an update, or a
 * negative errno; -ESTALE also unlinks it. */
int fs_entry_revalidate(struct fs *fs, struct fs_inode *inode, struct fs_fetch *fetch, int r);

/* Prepares fetch to ask for the inode's znode; fetch->done is for the caller to set. If something
 * older may be served while there is no server, the fetch fails fast. */
void fs_entry_prepare_fetch(struct fs *fs, struct fs_inode *inode, struct fs_fetch *fetch);

/* What the kernel is told of an inode; does not count a lookup. */
void fs_entry_fill(struct fs *fs, struct fs_inode *inode, struct fuse_entry_param *entry);

/* An entry is being given to the kernel, which counts a lookup; and: it has let go of so many. May
 * free the inode. */
void fs_entry_given(struct fs *fs, struct fs_inode *inode);
void fs_entry_forget(struct fs *fs, struct fs_inode *inode, uint64_t n_lookups);

/* Is what is known of it what is there? */
bool fs_entry_is_current(const struct fs_inode *inode);
/* And may the kernel keep it until it is told otherwise? */
bool fs_entry_is_certain(const struct fs_inode *inode);

/* Replies with the entry, and counts the lookup if the reply arrived. */
void fs_entry_reply(struct fs_request *request, struct fs_inode *inode);
/* The same after fs_entry_given(). */
void fs_entry_reply_given(struct fs_request *request, struct fs_inode *inode);

/* May the caller make `name` in the directory? 0, -EINVAL, -ENAMETOOLONG, or -EOPNOTSUPP for a name
 * that means something else (".data" is for the caller to tell apart before). */
int fs_entry_check_new(const struct fs_inode *dir, const char *name);

/* May the tree be changed? 0 or -EROFS. */
int fs_entry_check_writable(const struct fs *fs);
