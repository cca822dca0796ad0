/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "fs/waiter.h"

struct fs;
struct fs_inode;

/*
 * The names in a directory, asked for once for all who want them, with a watch where there is room
 * for it. inode->list has them, in order; what is hidden is not among them.
 *
 * Where names were known before (inode->told_list) the difference is what somebody has made or
 * removed: each is owed to those who watch.
 */

/*
 * Asks for the names, or joins who has asked already; `waiter` may be NULL. 0: its `done` is called
 * once, later, with 0; -ENOTCONN: there is no server, and inode->list may be served; -ESTALE: it is
 * no such directory any more, and has lost its name; or another errno. Negative: it is not.
 *
 * Of a file: finds out that it still is one.
 */
int fs_children_load(struct fs *fs, struct fs_inode *inode, struct fs_waiter *waiter);
/* Does not wait any more. */
void fs_children_cancel(struct fs_inode *inode, struct fs_waiter *waiter);

/* Was there no such name when the directory was last told? False also where that is not known. */
bool fs_children_is_news(const struct fs_inode *dir, const char *name);

/* Without a server inode->list was shown: what differs from it when there is one is told. */
void fs_children_shown_stale(struct fs_inode *dir);

/* What was told of a directory is not kept up any more. */
void fs_children_forget(struct fs_inode *dir);
