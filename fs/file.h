/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <fuse_lowlevel.h>

#include "fs/commit.h"
#include "zk/stat.h"

struct fs;
struct fs_inode;
struct fs_request;
struct zk_blob;

/*
 * An open file: a snapshot to read from, or a buffer that is written to and committed as a whole.
 *
 * Writers see their own bytes, and so are opened with direct I/O, as are those readers whom the
 * kernel's page cache cannot serve (pages.h): it belongs to the inode and holds one version only. All
 * their reads come here, and are answered from the file's own bytes.
 *
 * Lives from OPEN to RELEASE, and then until its last commit has ended. Event loop thread only.
 */

enum fs_file_mode {
	FS_FILE_READ,
	FS_FILE_REPLACE, /* new, or opened with O_TRUNC: the last writer wins */
	FS_FILE_APPEND,  /* what is written comes after whatever is there at the commit */
	FS_FILE_CHANGE,  /* in place: only if nobody else has changed it since it was opened */
};

struct fs_file {
	struct fs *fs;
	unsigned n_refs; /* the kernel's, from OPEN to the last commit; and requests in flight */
	struct fs_inode *inode; /* a reference */
	enum fs_file_mode mode;
	int access;   /* O_RDONLY, O_WRONLY or O_RDWR */
	bool cached;  /* reads through the page cache */
	bool appends; /* O_APPEND with O_TRUNC: FS_FILE_APPEND once the truncation is committed */
	bool direct;  /* O_DIRECT: keeps its snapshot for good */
	pid_t opener; /* process; of writers */

	/* What was there when it was opened, or last committed or refreshed. */
	struct zk_blob *base; /* a reference; NULL: empty */
	bool has_base; /* it is known what there was; not of a file that was not committed yet */
	struct zk_stat base_stat;
	bool moved;        /* base_stat.czxid is not known: a rename has made the znode anew */
	int64_t base_time; /* fs_clock_now() when base was fetched */
	uint64_t read_end; /* where the last read ended */

	/* What was written: the whole new content; with FS_FILE_APPEND what comes behind it. */
	char *bytes;
	size_t n_bytes;
	size_t bytes_room;
	bool has_bytes; /* bytes has taken over from base */

	bool dirty;     /* something is to be committed */
	bool touch;     /* and it is no more than a new mtime */
	bool only_name; /* and it is no more than that the file is to be there */
	bool too_large; /* a write did not fit: half of it is not to be published */
	bool killed;    /* who last let go of it died by a signal, and nobody wrote since */
	bool released;  /* the kernel has let go */
	bool discarded; /* nothing is committed any more */
	struct fs_commit *commit;         /* that runs, or NULL */
	STAILQ_HEAD(, fs_waiter) waiters; /* for the next commit */
	struct fs_waiter release;         /* waits for the last one */

	LIST_ENTRY(fs_file) inode_link;
	LIST_ENTRY(fs_file) fs_link;
};

/* `flags` are open(2)'s. One reference; NULL when out of memory. */
struct fs_file *fs_file_new(struct fs *fs, struct fs_inode *inode, int flags, pid_t opener_tid);
struct fs_file *fs_file_ref(struct fs_file *file);
void fs_file_unref(struct fs_file *file);

static inline struct fs_file *fs_file_of(const struct fuse_file_info *fi)
{
	return (struct fs_file *)(uintptr_t)fi->fh;
}

/* Takes `base` as what is read and written from now on; a reference is taken. */
void fs_file_set_base(struct fs_file *file, struct zk_blob *base, const struct zk_stat *stat);

/* A rename has turned the znode from `was` into `now`; of one that was made anew only the version is
 * known, and it is `moved` until somebody has asked. A file that was not based on `was` meets a conflict. */
void fs_file_move_base(struct fs_file *file, const struct zk_stat *was, const struct zk_stat *now);

/* The znode of a file that is `moved` has been seen. */
void fs_file_found(struct fs_file *file, const struct zk_stat *stat);

/* Does the writer see another size than the others? And which? */
bool fs_file_has_own_size(const struct fs_file *file);
uint64_t fs_file_size(const struct fs_file *file);

/* Both 0, -EFBIG (over `max`, all in all), or -ENOMEM; then the bytes are as before. `append`: at
 * the end, the offset means nothing; O_APPEND may be set and taken away while a file is open. */
int fs_file_write(struct fs_file *file, const char *data, size_t size, uint64_t offset, bool append,
	uint64_t max);
int fs_file_truncate(struct fs_file *file, uint64_t size, uint64_t max);

/* Up to two runs of bytes at an offset, without copying; valid until the file is changed. Returns
 * how many. */
struct fs_span {
	const char *data;
	size_t size;
};
int fs_file_read(const struct fs_file *file, size_t size, uint64_t offset, struct fs_span spans[2]);

/* Its whole content as it should be committed; with FS_FILE_APPEND: behind `base`. A new reference,
 * or NULL when out of memory. */
struct zk_blob *fs_file_content(const struct fs_file *file, const struct zk_blob *base);

/* The kernel has let go of the file: it is freed as soon as what is still to be committed was (io.c). */
void fs_file_release(struct fs_file *file);

/* Is any file that is open on the inode not committed? */
bool fs_file_any_dirty(const struct fs_inode *inode);
