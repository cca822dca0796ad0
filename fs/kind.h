/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "zk/stat.h"

/* What an inode stands for. */
enum fs_kind {
	FS_KIND_UNKNOWN,     /* not to be told without reading the data */
	FS_KIND_DIR,         /* a znode shown as a directory */
	FS_KIND_FILE,        /* a znode shown as a file */
	FS_KIND_DATA,        /* DIR/.data: the data of a directory's znode */
	FS_KIND_EPHEMERAL,   /* DIR/.ephemeral; special.h */
	FS_KIND_LEASE,       /* DIR/.lease */
	FS_KIND_CREATE,      /* DIR/.create */
	FS_KIND_CONTROL_DIR, /* /.zkfs */
	FS_KIND_STATUS,      /* /.zkfs/status */
	FS_KIND_METRICS,     /* /.zkfs/metrics */
};

/* What is known of a znode's data beyond its length. */
enum fs_data {
	FS_DATA_UNKNOWN, /* it was not read */
	FS_DATA_NULL,
	FS_DATA_PRESENT, /* possibly empty */
	FS_DATA_DENIED,  /* the ACL forbids to read it */
};

/* The table "which znode is a file, which a directory": the first rule that fits. `is_root`: the
 * root of the mount. FS_KIND_UNKNOWN only when `data` is FS_DATA_UNKNOWN and the length is 0. */
enum fs_kind fs_kind_of(const struct zk_stat *stat, enum fs_data data, bool is_root);

static inline bool fs_kind_is_dir(enum fs_kind kind)
{
	return kind == FS_KIND_DIR || kind == FS_KIND_CONTROL_DIR;
}

/* Does it belong to zkfs, and stand for no znode? */
static inline bool fs_kind_is_control(enum fs_kind kind)
{
	return kind >= FS_KIND_CONTROL_DIR;
}
