/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct fs;
struct fs_file;
struct fs_inode;
struct zk_blob;

/*
 * The kernel's page cache, which belongs to the inode and holds one version of its data.
 *
 * A file that is opened for reading only, while its inode is certain (entry.h) and nobody has it open
 * for writing, is read through the page cache; all others are direct, each with its own snapshot
 * (file.h). What the pages are of is kept as long as such a file is open: reads go on in that
 * version until the kernel is told of the next one.
 *
 * So that a short reader is never torn, what would change the pages under it waits for those who
 * have just opened them, at most FS_PAGES_PATIENCE: a notice of a change made elsewhere, and an open
 * for writing here. Who opens meanwhile is direct, so the wait has an end.
 */
#define FS_PAGES_PATIENCE_MS 50

/* May this inode's data be read through the page cache by who opens it now? */
bool fs_pages_may_serve(const struct fs_inode *inode);

/* A file was given out that reads through the page cache; and: it was closed. */
void fs_pages_opened(struct fs_file *file);
void fs_pages_closed(struct fs_file *file);

/* The bytes that such a file reads. False: they are not known, and to be asked for. */
bool fs_pages_bytes(const struct fs_inode *inode, struct zk_blob **blobp);
/* They were asked for, and are these, of the inode's state. */
void fs_pages_learned(struct fs_inode *inode, struct zk_blob *blob);

/* The data was changed through this mount: what the pages hold is to go. */
void fs_pages_changed(struct fs *fs, struct fs_inode *inode);
/* They are about to go: from now on reads get the newest version. And: they have gone. */
void fs_pages_turn(struct fs_inode *inode);
void fs_pages_turned(struct fs_inode *inode);

/* The state that the kernel is to be told of. While somebody reads in peace it is the one that the pages
 * are of: a size that is not theirs would be filled up with zeros. Otherwise it is the newest, and so
 * are the pages from then on. */
const struct zk_stat *fs_pages_stat(struct fs_inode *inode);

/* Until when is somebody to be left in peace who has just opened it (fs_clock_now())? 0: nobody is. */
int64_t fs_pages_busy_until(const struct fs_inode *inode);

/* Waits for them. */
struct fs_calm {
	struct fs_inode *inode; /* not referenced */
	int64_t until;
	void (*done)(struct fs_calm *calm);
	TAILQ_ENTRY(fs_calm) link;
};
/* False: there is nobody to wait for. `inode` and `done` were set by the caller. */
bool fs_pages_wait(struct fs *fs, struct fs_calm *calm);
void fs_pages_cancel(struct fs *fs, struct fs_calm *calm);

/* Ends the waits that are over; returns when to call it again, or INT64_MAX. */
int64_t fs_pages_run(struct fs *fs);
