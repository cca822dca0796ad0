/* SPDX-License-Identifier: Apache-2.0 */
/* From a znode's Stat to a file's struct stat. Modes and owners come from the options alone. */
#include "fs/attr.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "fs/control.h"
#include "fs/fs.h"
#include "fs/options.h"

/* Reads of a whole file in one request are what direct I/O is best at. */
#define BLOCK_SIZE 65536

/* splitmix64's finaliser (Vigna): every bit of the input reaches every bit of the output. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint64_t fs_attr_ino(const char *path, int64_t czxid, enum fs_kind kind)
{
	uint64_t ino = mix((uint64_t)czxid + (kind == FS_KIND_DATA ? UINT64_C(1) << 63 : 0));

	for (; *path; path++)
		ino = mix(ino ^ (unsigned char)*path) + UINT64_C(0x9e3779b97f4a7c15);
	return ino > FS_CONTROL_INO_LAST ? ino : ino + FS_CONTROL_INO_LAST + 1;
}

struct timespec fs_attr_time(int64_t mtime_ms, int64_t mzxid)
{
	return (struct timespec){
		.tv_sec = mtime_ms / 1000,
		.tv_nsec = mtime_ms % 1000 * 1000000 + (mzxid < 0 ? 0 : mzxid % 1000000),
	};
}

void fs_attr_of(const struct fs *fs, const char *path, enum fs_kind kind,
	const struct zk_stat *stat, struct stat *st)
{
	const struct fs_options *options = fs->options;

	memset(st, 0, sizeof(*st));
	st->st_ino = fs_attr_ino(path, stat->czxid, kind);
	st->st_mode =
		fs_kind_is_dir(kind) ? S_IFDIR | options->dir_mode : S_IFREG | options->file_mode;
	st->st_nlink = 1;
	st->st_uid = options->uid;
	st->st_gid = options->gid;
	st->st_size = stat->data_length;
	st->st_blocks = (stat->data_length + 511) / 512;
	st->st_blksize = BLOCK_SIZE;
	st->st_mtim = fs_attr_time(stat->mtime, stat->mzxid);
	st->st_ctim = st->st_mtim;
	st->st_atim = st->st_mtim;
}

static uint64_t control_ino(enum fs_kind kind)
{
	return FS_CONTROL_INO_DIR + (uint64_t)(kind - FS_KIND_CONTROL_DIR);
}

void fs_attr_fill(const struct fs *fs, const struct fs_inode *inode, struct stat *st)
{
	struct zk_stat none = { .mtime = fs->start_time };
	char *path = fs_inode_path(&fs->inodes, inode);

	fs_attr_of(fs, path ? path : "", inode->kind, inode->exists ? &inode->stat : &none, st);
	free(path);
	if (fs_kind_is_control(inode->kind)) {
		st->st_ino = control_ino(inode->kind);
		st->st_mode &= ~(mode_t)0222;
	}
	if (inode->removed)
		st->st_nlink = 0;
}

void fs_attr_show(const struct fs *fs, struct fs_inode *inode, struct stat *st)
{
	fs_attr_fill(fs, inode, st);
	if (inode->shown_ino == st->st_ino)
		return;
	inode->shown_before = inode->shown_ino;
	inode->shown_ino = st->st_ino;
}
