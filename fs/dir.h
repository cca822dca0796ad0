/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <fuse_lowlevel.h>

#include "fs/fetch.h"
#include "fs/waiter.h"

struct fs;
struct fs_inode;
struct fs_list;
struct fs_request;

/*
 * An open directory: the list of its names as it was when it was opened, or last read from its
 * beginning, and the attributes of the children that are being asked for (dirplus.c).
 *
 * A position in it is ".", "..", then the names of the list; that is also the offset that
 * readdir(3) sees, less one.
 */
struct fs_dir {
	struct fs *fs;
	struct fs_inode *inode;       /* a reference */
	struct fs_list *list;         /* a reference; .data and files not yet committed are in it */
	uint64_t n_told_names;        /* the inode's, when it was opened */
	bool started;                 /* somebody has read from it */
	bool stale;                   /* the list is from the cache: there is no server */
	bool kept;                    /* by the kernel, for who reads it next */
	struct fs_dir_window *window; /* NULL until attributes are asked for */
	LIST_ENTRY(fs_dir) fs_link;
};

/* `list` names of positions are behind the two dots. */
#define FS_DIR_FIRST_NAME 2

/* Fetches the list anew. done is called once, perhaps before this returns, with 0 or an errno. */
/* While it waits it can be taken back with fs_children_cancel(dir->inode, &waiter). */
struct fs_dir_reload {
	struct fs_dir *dir;
	struct fs_waiter waiter;
	void (*done)(struct fs_dir_reload *reload, int r);
};
void fs_dir_reload(struct fs_dir_reload *reload);

/* The end of an open directory, also of one that was never given out. */
void fs_dir_free(struct fs_dir *dir);

/* The directory that a READDIR or READDIRPLUS reads. */
struct fs_dir *fs_readdir_dir(struct fs_request *request);

/* Answers READDIRPLUS from position `offset`. */
void fs_dirplus_read(struct fs_request *request, struct fs_dir *dir, size_t size, uint64_t offset);

/* Stops asking, and frees the window; the list has changed, or the directory is closed. */
void fs_dirplus_stop(struct fs_dir *dir);
