/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct fs;
struct zk_multi;

/*
 * Adds to a multi what makes the znode at `path` a directory for good: a child that is created and
 * deleted in the same transaction. Nobody ever sees it, and cversion is 2 from then on. 0 or -ENOMEM.
 */
int fs_mark_add(const struct fs *fs, struct zk_multi *multi, const char *path);
