/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

struct fs;
struct fs_inode;
struct zk_blob;

/*
 * Names that belong to zkfs and not to the tree: .zkfs at the root, and in every directory .data,
 * .ephemeral, .lease, .create and .lock.
 */
#define FS_CONTROL_INO_DIR 2
#define FS_CONTROL_INO_STATUS 3
#define FS_CONTROL_INO_LAST 15

#define FS_DATA_NAME ".data"
#define FS_EPHEMERAL_NAME ".ephemeral"
#define FS_LEASE_NAME ".lease"
#define FS_CREATE_NAME ".create"
#define FS_CONTROL_DIR_NAME ".zkfs"
#define FS_STATUS_NAME "status"

/* Is a znode of this name hidden, because the name means something else in this directory? */
bool fs_control_reserved(const struct fs_inode *dir, const char *name);

/* The text of .zkfs/status now: `key: value` lines. NULL when out of memory. */
struct zk_blob *fs_control_status(const struct fs *fs);
