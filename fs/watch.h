/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/fetch.h"

struct fs;
struct fs_inode;
struct fs_waiter;

/*
 * Keeping what the kernel holds current.
 *
 * The kernel holds an inode from the first entry of it that it is given to the last FORGET. What it
 * holds is watched: the data, and the children too (of a directory their names; of a file, which
 * becomes a directory with the first). So are the children of a directory that it holds, looked up
 * or not: nobody tells which directories somebody watches with inotify. What nobody holds costs
 * nothing, neither here nor on the server.
 *
 * An inode is `current` while its watch stands. When that fires, what has changed is asked for, and
 * that sets the watch again; what differs from what was told so far is owed to the kernel and to
 * those who watch (notice.h). An inode that is not current is asked for whenever somebody needs to
 * know, and the kernel may keep nothing of it for long (entry.h).
 *
 * Watches are bounded (zk/watch.h). Shortly before the bound the kernel is asked to let go of what
 * was given to it longest ago; with its FORGET the watches go. What it keeps is in use: watched by
 * somebody, or open. For what does not fit even so there is no watch.
 */

/* Begins to listen to the client's watches. */
void fs_watch_init(struct fs *fs);

/* fetch->path was asked for with a watch: it is the inode's from now on. */
void fs_watch_take(struct fs *fs, struct fs_inode *inode, struct fs_fetch *fetch);

/* The kernel was given an entry of it, or has used one; and: it has let go of all. */
void fs_watch_held(struct fs *fs, struct fs_inode *inode);
void fs_watch_forgotten(struct fs *fs, struct fs_inode *inode);

/* Does the kernel hold it? It always holds the root. */
bool fs_watch_is_held(const struct fs_inode *inode);

/* Is there room for another child of a directory? If not, will there be soon? */
bool fs_watch_has_room(struct fs *fs);
bool fs_watch_makes_room(const struct fs *fs);
/* There was not: it is filled again when there is. */
void fs_watch_starved(struct fs *fs, struct fs_inode *dir);

/* May its children be asked for with a watch? True, and the inode wants one from now on. */
bool fs_watch_want_children(struct fs *fs, struct fs_inode *inode);

/* Does it matter to anybody what becomes of it? */
bool fs_watch_matters(const struct fs_inode *inode);

/* Asks for an inode that matters, as its watch has fired or was lost. */
void fs_watch_renew(struct fs *fs, struct fs_inode *inode);

/* Asks for the children of what the kernel holds, if they are not known, now and not in the
 * background. As fs_children_load(), or -EALREADY: there is nothing to ask for. */
int fs_watch_load_children(struct fs *fs, struct fs_inode *inode, struct fs_waiter *waiter);
/* Somebody's children are being asked for with nobody who waits for it; and: it is over. */
void fs_watch_load_started(struct fs *fs);
void fs_watch_load_ended(struct fs *fs);
/* Its children could not be asked for. */
void fs_watch_retry(struct fs *fs, struct fs_inode *inode);

/* Its name leads to another znode from now on, or to none: as a rename leaves it. It, and all below
 * it, is asked for anew; where inode->renew is set in between, what is found is nobody's change. */
void fs_watch_moving(struct fs *fs, struct fs_inode *inode);
void fs_watch_moved(struct fs *fs, struct fs_inode *inode);

/* The znode of the inode is gone, or is another. It loses its name, and so does all below it. */
void fs_watch_gone(struct fs *fs, struct fs_inode *inode);

/* With stale=fail: makes the kernel ask again for all it holds, once the session must have expired.
 * Returns when to call it again (fs_clock_now()), or INT64_MAX. */
int64_t fs_watch_expire(struct fs *fs);

/* Lets go of what is not in use, if the watches come near their bound. */
void fs_watch_make_room(struct fs *fs);
/* The kernel has been asked to let go of an inode (by nodeid). */
void fs_watch_evicted(struct fs *fs, struct fs_inode *inode);
