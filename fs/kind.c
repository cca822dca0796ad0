/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which znode is a file and which a directory.
 *
 * A znode is both, a path is one of them. The rules use only what every mount sees alike, now and
 * later, so that all mounts agree: above all cversion, which never goes back to 0 once a znode has
 * had a child.
 */
#include "fs/kind.h"

enum fs_kind fs_kind_of(const struct zk_stat *stat, enum fs_data data, bool is_root)
{
	if (is_root)
		return FS_KIND_DIR;
	if (stat->ephemeral_owner != 0)
		return FS_KIND_FILE;
	if (stat->cversion != 0 || stat->num_children > 0)
		return FS_KIND_DIR;
	if (stat->data_length > 0)
		return FS_KIND_FILE;
	switch (data) {
	case FS_DATA_NULL:
		return FS_KIND_DIR;
	case FS_DATA_PRESENT:
	case FS_DATA_DENIED:
		return FS_KIND_FILE;
	case FS_DATA_UNKNOWN:
		break;
	}
	return FS_KIND_UNKNOWN;
}
