/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/mountpoint.h"

/*
 * What /proc tells of who closes a file. The kernel gives the id of a thread with each request. All
 * of it is read from procfs alone, never through a mount.
 *
 * Not all of procfs may be read while a request of that thread waits for us: execve(2) closes files
 * with exec_update_lock held, which /proc/TID/stat takes too (Linux 6.18), and both would wait for
 * ever. /proc/TID/status and /proc/TID/fdinfo do not take it.
 */

enum fs_proc_close {
	FS_PROC_CLOSES_ONE, /* of several descriptors; or it is not the process that is asked for */
	FS_PROC_CLOSES_LAST, /* or that cannot be told */
	FS_PROC_KILLED,      /* it dies by a signal, and its files are closed for it */
};

/* The process that the thread belongs to, or -1: it cannot be told. */
pid_t fs_proc_process(pid_t tid);

/* A file as /proc shows it: two mounts may show the same inode number. */
struct fs_proc_file {
	uint64_t ino, ino_before; /* one of them */
	int access;               /* of O_ACCMODE: what it was opened for */
	struct fs_mount_id mount;
};

/*
 * A thread is in close(2), or the like, of a descriptor of the file: does the process `opener` give
 * up its last one by that? FS_PROC_KILLED is told of every process.
 */
enum fs_proc_close fs_proc_close(pid_t tid, pid_t opener, const struct fs_proc_file *file);

/*
 * Does a signal wait for the thread that is meant to end what it does: SIGHUP, SIGINT, SIGQUIT,
 * SIGTERM, or any that kills it? Others (a child has ended, a timer, a window has another size) are
 * none of a file system's business: no program expects stat(2) to fail for them. True also if it
 * cannot be told.
 */
bool fs_proc_must_end(pid_t tid);
