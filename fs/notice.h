/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

struct fs;
struct fs_inode;
struct zk_stat;

/*
 * What the kernel, and those who watch through it, are still to be told.
 *
 * Each inode carries what was told of it last (that it is there, and which state of its data). When
 * what is known differs from that the inode is owed a notice. Notices are told (tell.h) in the order
 * in which their changes were heard of, and are queued by directory too: only the first of a
 * directory may be told.
 *
 * What is changed through this mount the kernel tells by itself: fs_notice_local().
 */

/* Something may have changed: takes the inode's place in the queue until fs_notice_known(). */
void fs_notice_expect(struct fs *fs, struct fs_inode *inode);
void fs_notice_known(struct fs *fs, struct fs_inode *inode);

/* inode->stat was learned from ZooKeeper: owes a notice if it differs from what was told. `renewed`: by
 * no more than what a rename here has made of it. */
void fs_notice_learned(struct fs *fs, struct fs_inode *inode, bool renewed);
/* Its name leads to it no more: owes a notice if it was told of, and it matters. */
void fs_notice_gone(struct fs *fs, struct fs_inode *inode);

/* Is that the state that was told last, and not being told just now? */
bool fs_notice_was_told(const struct fs_inode *inode, const struct zk_stat *stat);
/* Is there nothing more to tell of it? */
bool fs_notice_is_settled(const struct fs_inode *inode);

/* The state is the one that a system call on this mount has made: there is nothing to tell of it. That
 * the name is there may still be owed, if somebody else has made it. */
void fs_notice_local(struct fs_inode *inode);
/* The same of the name: a system call here has made it, or taken it away. */
void fs_notice_named_here(struct fs_inode *inode);
void fs_notice_removed_here(struct fs_inode *inode);
/* It is being told, by a system call here or by the notifier, that its name has come or gone. */
void fs_notice_tells_name(struct fs_inode *inode);
/* And of all who bore that name before, and were still to be told of. */
void fs_notice_taken_here(struct fs_inode *dir, const char *name);

/* It has another name now, perhaps in another directory, and the kernel has told that. */
void fs_notice_moved_here(struct fs *fs, struct fs_inode *inode);

/* The kernel is about to tell that the name of `gone` is taken away. A system call here may have made it
 * again meanwhile, and has told so too early: that is told once more. */
void fs_notice_takes_name(struct fs *fs, const struct fs_inode *gone);

/* Is somebody in the directory still to be told that a name leads to it no more? And of this name? */
bool fs_notice_any_leaves(const struct fs_inode *dir);
bool fs_notice_leaves(const struct fs_inode *dir, const char *name);
/* Its last holder has committed it: the writer's close(2) was before. */
void fs_notice_closed_late(struct fs *fs, struct fs_inode *inode);

/* The names in a directory may have changed; they are known (or will not be: r < 0); a name has come
 * that is being asked for; and is known. */
void fs_notice_expect_children(struct fs *fs, struct fs_inode *dir);
void fs_notice_children_known(struct fs *fs, struct fs_inode *dir, int r);
void fs_notice_arrives(struct fs *fs, struct fs_inode *dir);
void fs_notice_arrived(struct fs *fs, struct fs_inode *dir);
/* A name has gone of which no more was known. */
void fs_notice_lost_name(struct fs *fs, struct fs_inode *dir, const char *name);

/* The kernel's caches of an inode are to go. */
void fs_notice_invalidate(struct fs *fs, struct fs_inode *inode);

/* At the very end. */
void fs_notices_free(struct fs *fs);
