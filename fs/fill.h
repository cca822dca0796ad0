/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/waiter.h"

struct fs;
struct fs_inode;

/*
 * Watching what is in a directory that the kernel holds: each child is asked for once, with a watch,
 * many at the same time. A small directory is done before its own entry is given out, so that who
 * then begins to watch it with inotify misses nothing; a large one is left in peace at first, as
 * who lists it (dirplus.c) asks for the same.
 *
 * One directory gets three quarters of the budget of watches at most. Where there is no room at the
 * moment it waits for what is pushed out of the kernel, and nobody for it.
 */

/* The names in inode->known_list are known: begins with those that are not watched yet. */
void fs_fill_start(struct fs *fs, struct fs_inode *dir);

/* A name has come that was not there before: what is it? Owed to those who watch once it is known. */
void fs_fill_arrival(struct fs *fs, struct fs_inode *dir, const char *name);

/* Lets `waiter` know when a small directory is done, perhaps before this returns; false: there is
 * nothing to wait for. */
bool fs_fill_wait(struct fs *fs, struct fs_inode *dir, struct fs_waiter *waiter);
void fs_fill_cancel(struct fs_inode *dir, struct fs_waiter *waiter);

/* Nobody holds the directory any more. */
void fs_fill_stop(struct fs *fs, struct fs_inode *dir);

/* How many directories are not done? */
size_t fs_fill_count(const struct fs *fs);

/* At the very end. */
void fs_fill_stop_all(struct fs *fs);

/* Goes on with those that were left in peace; returns when to call it again (fs_clock_now()), or
 * INT64_MAX. */
int64_t fs_fill_run(struct fs *fs);
