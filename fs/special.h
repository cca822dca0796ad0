/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <fuse_lowlevel.h>

#include "fs/ephemeral.h"
#include "fs/kind.h"

struct fs;
struct fs_inode;
struct zk_blob;

/*
 * .ephemeral, .lease and .create: files by which znodes are made that are more than files.
 *
 * They are in every directory, and in no listing. ZooKeeper knows nothing of them: everything but
 * WRITE is answered here. One write(2) is one create (creation.c), and its error is that write's.
 *
 * What is read are names, one a line, as from a terminal: a read goes on where the last one ended,
 * wherever writes have been meanwhile, and once it has met the end the next begins anew.
 *
 * An inode of its own for each that is open: writers of one inode wait for each other in the kernel.
 */

/* One that is open. */
struct fs_special {
	struct fs *fs;
	unsigned n_refs;        /* the kernel's, and of creations under way */
	struct fs_inode *inode; /* a reference; its parent is the directory */
	bool released;
	struct fs_leases leases;

	char *names; /* .create: what was made, a line each; or NULL */
	size_t names_size;

	char *text; /* that is being read, or NULL */
	size_t text_size, position;
	LIST_ENTRY(fs_special) link;
};

static inline struct fs_special *fs_special_of(const struct fuse_file_info *fi)
{
	return (struct fs_special *)(uintptr_t)fi->fh;
}

static inline bool fs_special_is(enum fs_kind kind)
{
	return kind == FS_KIND_EPHEMERAL || kind == FS_KIND_LEASE || kind == FS_KIND_CREATE;
}

struct fs_special *fs_special_ref(struct fs_special *special);
void fs_special_unref(struct fs_special *special);

/* Remembers a name for who reads .create. */
void fs_special_note(struct fs_special *special, const char *name);

/* At the very end. */
void fs_specials_done(struct fs *fs);

/* LOOKUP of `name`; false: it is none of them, and was not answered. */
bool fs_special_lookup(struct fs *fs, fuse_req_t req, struct fs_inode *dir, const char *name);

/* The requests on such an inode. */
void fs_special_setattr(fuse_req_t req, struct fs_inode *inode);
void fs_special_open(fuse_req_t req, struct fs_inode *inode, struct fuse_file_info *fi);
void fs_special_read(fuse_req_t req, size_t size, struct fuse_file_info *fi);
void fs_special_write(fuse_req_t req, const char *data, size_t size, struct fuse_file_info *fi);
void fs_special_release(fuse_req_t req, struct fuse_file_info *fi);
