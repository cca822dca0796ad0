/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "fs/kind.h"
#include "zk/stat.h"

struct fs;
struct fs_inode;

/* The number of a znode's inode: the same on every mount, for as long as the znode lives. `path` is
 * whole, the chroot included. */
uint64_t fs_attr_ino(const char *path, int64_t czxid, enum fs_kind kind);

/* mtime of a znode: milliseconds as ZooKeeper has them, and below them the zxid of the change, so
 * that two changes in one millisecond differ. */
struct timespec fs_attr_time(int64_t mtime_ms, int64_t mzxid);

/* What stat(2) tells of an inode, from its last known state. */
void fs_attr_fill(const struct fs *fs, const struct fs_inode *inode, struct stat *st);

/* The same, for a reply to the kernel: notes the inode number that it will know. */
void fs_attr_show(const struct fs *fs, struct fs_inode *inode, struct stat *st);

/* The same for a znode that has no inode. */
void fs_attr_of(const struct fs *fs, const char *path, enum fs_kind kind,
	const struct zk_stat *stat, struct stat *st);
