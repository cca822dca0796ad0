/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "fs/waiter.h"

struct fs_file;

/*
 * Commits what the file holds, as one write to ZooKeeper. False: there is nothing to commit and
 * nothing on its way, and `done` is not called. True: `done` is called once, perhaps before this
 * returns, with 0 or a negative errno: -ESTALE (somebody else has changed the znode, or removed it),
 * or those of op.h.
 *
 * After a failure the file is dirty still: the caller decides (fs_commit_discard).
 */
bool fs_commit(struct fs_file *file, struct fs_waiter *waiter);

/* Takes a running commit back, if it was not sent and nobody but `waiter` waits for it; `done` is
 * then called at once with -EINTR. */
void fs_commit_cancel(struct fs_file *file, struct fs_waiter *waiter);

/* What was written and not committed is given up. */
void fs_commit_discard(struct fs_file *file);

/* At the very end: frees a commit whose answer will never come; those who wait for it are not told,
 * but the log is. */
void fs_commit_abandon(struct fs_file *file);
