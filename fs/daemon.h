/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Goes to the background, in two steps: the parent waits until the child either says that it is
 * ready, and then exits 0, or ends, and then exits with the child's status. Until it is ready the
 * child says what is wrong on the caller's stderr.
 */
struct fs_daemon {
	int ready_fd; /* -1: stays in the foreground, or is ready */
};

/* Forks; returns in the child alone. Must come before there are threads. 0 or a negative errno. */
int fs_daemon_start(struct fs_daemon *daemon);

/* Lets go of the caller's terminal and tells the parent. Does nothing in the foreground. */
void fs_daemon_ready(struct fs_daemon *daemon);
