/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "fs/kind.h"

struct fs;
struct fs_inode;
struct zk_blob;

/*
 * Names that belong to zkfs and not to the tree: .zkfs at the root, and in every directory .data,
 * .ephemeral, .lease, .create and .lock.
 */
#define FS_CONTROL_INO_DIR 2 /* and the kinds after FS_KIND_CONTROL_DIR in their order */
#define FS_CONTROL_INO_LAST 15

#define FS_DATA_NAME ".data"
#define FS_EPHEMERAL_NAME ".ephemeral"
#define FS_LEASE_NAME ".lease"
#define FS_CREATE_NAME ".create"
#define FS_CONTROL_DIR_NAME ".zkfs"
#define FS_STATUS_NAME "status"
#define FS_METRICS_NAME "metrics"

/* What a name in .zkfs is; FS_KIND_UNKNOWN: nothing. */
enum fs_kind fs_control_kind(const char *name);

/* Is a znode of this name hidden, because the name means something else in this directory? */
bool fs_control_reserved(const struct fs_inode *dir, const char *name);

/* The text of .zkfs/status (`key: value` lines) or .zkfs/metrics now. NULL when out of memory. */
struct zk_blob *fs_control_text(const struct fs *fs, enum fs_kind kind);
