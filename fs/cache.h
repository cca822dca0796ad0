/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

struct fs_inode;
struct fs_inodes;
struct fs_list;
struct zk_blob;

/*
 * The content that was last seen of the inodes the kernel holds: data of files, names of
 * directories. It answers the OPEN that follows a LOOKUP, and everybody while there is no server.
 * Bounded in bytes; the least recently used goes first. What it holds is never newer or older than
 * the inode's stat: they are set together.
 */
#define FS_CACHE_BYTES ((size_t)8 << 20)

/* Keeps `data` (NULL: null data), or `list`, as the content; a reference is taken. */
void fs_cache_put_data(struct fs_inodes *inodes, struct fs_inode *inode, struct zk_blob *data);
void fs_cache_put_list(struct fs_inodes *inodes, struct fs_inode *inode, struct fs_list *list);

/* Forgets the data, which has changed; forgets all. */
void fs_cache_drop_data(struct fs_inodes *inodes, struct fs_inode *inode);
void fs_cache_drop(struct fs_inodes *inodes, struct fs_inode *inode);

/* Forgets the content of all inodes. */
void fs_cache_drop_all(struct fs_inodes *inodes);
