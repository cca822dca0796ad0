/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* What notice.c, which knows what is owed, and tell.c, which gets it told, share. */

struct fs;
struct fs_inode;
struct zk_stat;

struct fs_notice {
	TAILQ_ENTRY(fs_notice) link;     /* of its queue */
	TAILQ_ENTRY(fs_notice) all_link; /* of fs->all_notices, in the same order */
	struct fs_notices *queue;
	int64_t since;          /* when it took its place (fs_clock_now()) */
	struct fs_inode *inode; /* a reference; NULL: the names of the directory */
	unsigned n_awaited;     /* answers that will tell what it is */
	bool handed;            /* to the notifier */
	unsigned n_failed;      /* times */
	int64_t due;            /* then: not before */
	bool again;             /* and there is more meanwhile */
	bool invalidate;        /* the kernel's caches of it are to go, whatever else */
	bool closed_late;
	bool leaves; /* the name is to be taken from it */
};

struct fs_notices {
	struct fs_inode *dir; /* a reference */
	TAILQ_HEAD(fs_notice_list, fs_notice) list;
	struct fs_notice *names; /* the one of the names, or NULL */
	bool expects_names;      /* one of its n_awaited is the list */
	size_t n_leaving;        /* names that are to be taken from who bore them */
};

/* The directory in which it is told. */
struct fs_inode *fs_notice_place(struct fs_inode *inode);
/* Was its state as it is known now told? */
bool fs_notice_is_told(const struct fs_inode *inode);
/* Behind all others. */
void fs_notice_to_end(struct fs *fs, struct fs_notice *notice);
/* It is told, or there was nothing to tell. */
void fs_notice_free(struct fs *fs, struct fs_notice *notice);
/* All that was to be told of the names in a directory has been. */
void fs_notice_names_told(struct fs *fs, struct fs_inode *dir);
