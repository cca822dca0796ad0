/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fs;
struct fs_inode;
struct fs_job;

/*
 * What the kernel, and those who watch through it, are still to be told.
 *
 * Each inode carries what was told of it last (that it is there, and which state of its data). When
 * what is known differs from that the inode is owed a notice. Notices are told in the order in which
 * their changes were heard of; one whose change is not known yet, because ZooKeeper is being asked,
 * holds those behind it back for a moment. What is told is decided when a notice's turn has come: changes that
 * follow each other faster come as one, and the last state is always told.
 *
 * Telling is the notifier's job (notifier.h), one at a time. A directory in which a request of the
 * kernel is outstanding is put off until that is answered, and the others go on: the kernel holds its
 * lock meanwhile, and the notifier would wait for it with everything else behind it. So notices are
 * queued by directory too, and only the first of a directory may be told.
 *
 * What is changed through this mount the kernel tells by itself: fs_notice_local().
 */

/* Something may have changed: takes the inode's place in the queue until fs_notice_known(). */
void fs_notice_expect(struct fs *fs, struct fs_inode *inode);
void fs_notice_known(struct fs *fs, struct fs_inode *inode);

/* inode->stat was learned from ZooKeeper: owes a notice if it differs from what was told. */
void fs_notice_learned(struct fs *fs, struct fs_inode *inode);
/* Its name leads to it no more: owes a notice if it was told of, and it matters. */
void fs_notice_gone(struct fs *fs, struct fs_inode *inode);

/* Is there nothing more to tell of it? */
bool fs_notice_is_settled(const struct fs_inode *inode);

/* The state is the one that a system call on this mount has made: there is nothing to tell. */
void fs_notice_local(struct fs_inode *inode);
/* The same, of a name that a system call here has taken away. */
void fs_notice_removed_here(struct fs_inode *inode);
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

/* The kernel is to let go of an inode that nobody uses. */
void fs_notice_evict(struct fs *fs, struct fs_inode *inode);
/* The kernel's caches of an inode are to go. */
void fs_notice_invalidate(struct fs *fs, struct fs_inode *inode);

/* Hands to the notifier what can be told now. Returns when to call it again (fs_clock_now()), or
 * INT64_MAX: not before something has happened. */
int64_t fs_notices_run(struct fs *fs);
/* A job has been done. */
void fs_notice_done(struct fs *fs, struct fs_job *job);

/* At the very end. */
void fs_notices_free(struct fs *fs);
