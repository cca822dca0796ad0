/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/mountpoint.h"

struct fs_inode;
struct fs_notice;
struct fs_notifier;
struct fuse_session;

/*
 * The notifier: the one thread that may wait for the kernel.
 *
 * The kernel makes inotify events only for system calls that pass through the mount; telling it that
 * something has changed makes none. So this thread makes the calls itself, through the mount, after
 * it has taken the old state out of the kernel's caches. The event loop knows the thread by its id
 * and answers these requests by what the job is, without ZooKeeper (echo.c).
 *
 * It uses a clone of the mount, where it may (CAP_SYS_ADMIN): the user's can then be taken away at
 * any time, and nothing can ever land in the directory below. Otherwise it opens the mountpoint for
 * each job, looks whether that is still our mount, and makes it busy for as long as the job takes.
 */

enum fs_event {
	FS_EVENT_NONE,
	FS_EVENT_CREATE, /* a file */
	FS_EVENT_MKDIR,
	FS_EVENT_MODIFY,
	FS_EVENT_CLOSE_WRITE, /* of what was written before */
	FS_EVENT_UNLINK,
	FS_EVENT_RMDIR,
	FS_N_EVENTS,
};

/* What is told at one time; made by the loop, and the thread's while it is handed over. */
struct fs_job {
	enum fs_event event;
	bool has_data; /* of a file that is created */
	bool inval_node, inval_name;
	bool lets_go;             /* afterwards: nobody but us has made the kernel hold it */
	uint64_t node_id, dir_id; /* nodeids */
	char *path;               /* below the mount's root, no slash in front; owned */
	const char *name;         /* its last part */
	bool failed; /* the events could not be made; the caches are right all the same */

	/* The loop's own. */
	struct fs_notice *notice;
	struct fs_inode *dir, *inode; /* references, or NULL */
	bool shown;                   /* the notifier has looked the inode up */
};

/* `mountpoint` and `session` must outlive it. Blocks; call it when requests are answered... by
 * nobody yet. 0 or a negative errno. */
int fs_notifier_new(const char *mountpoint, const struct fs_mount_id *mount_id,
	struct fuse_session *session, bool events, struct fs_notifier **notifierp);
/* Waits for the job that runs. Takes NULL, returns NULL. */
struct fs_notifier *fs_notifier_free(struct fs_notifier *notifier);

/* Readable when a job is done. */
int fs_notifier_fd(const struct fs_notifier *notifier);
/* The thread's id, as the kernel gives it with each request. */
pid_t fs_notifier_tid(const struct fs_notifier *notifier);

/* Hands a job over; one at a time. */
void fs_notifier_start(struct fs_notifier *notifier, struct fs_job *job);
/* The job that was done, or NULL. */
struct fs_job *fs_notifier_take(struct fs_notifier *notifier);

/* The user has taken the mount away: lets go of it too. */
void fs_notifier_let_go(struct fs_notifier *notifier);
