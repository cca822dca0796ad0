/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

struct fs;
struct fs_inode;
struct fs_job;

/*
 * Telling what is owed (notice.h) is the notifier's job (notifier.h), one at a time. Here is decided
 * whose turn it is.
 *
 * A notice whose change is not known yet, because ZooKeeper is being asked, holds those behind it
 * back for a moment. A directory in which a request of the kernel is outstanding is put off until that
 * is answered, and the others go on: the kernel holds its lock meanwhile, and the notifier would wait
 * for it with everything else behind it. What is told is decided when a notice's turn has come:
 * changes that follow each other faster come as one, and the last state is always told.
 */

/* Hands to the notifier what can be told now. Returns when to call it again (fs_clock_now()), or
 * INT64_MAX: not before something has happened. */
int64_t fs_tell_run(struct fs *fs);
/* A job has been done. */
void fs_tell_done(struct fs *fs, struct fs_job *job);

/* The kernel is to let go of an inode that nobody uses: a job of its own. */
void fs_tell_evict(struct fs *fs, struct fs_inode *inode);

/* At the very end, before the notices are freed. */
void fs_tell_stop(struct fs *fs);
