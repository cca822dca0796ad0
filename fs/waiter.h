/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/queue.h>

/* Somebody who waits for something that is under way: a commit, the names in a directory. `done` is
 * called once, with 0 or a negative errno. Owned by whoever waits. */
struct fs_waiter {
	void (*done)(struct fs_waiter *waiter, int r);
	STAILQ_ENTRY(fs_waiter) link;
};

STAILQ_HEAD(fs_waiters, fs_waiter);
