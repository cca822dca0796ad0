/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_LIB_CHILD_H
#define HOOKS_LIB_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A child process, which leads a process group of its own. Zeroed: none. */
struct hook_child {
	pid_t pid; /* 0: none */
	int fd;    /* its pidfd, readable once it has ended */
	int64_t deadline;
	bool ended_by_us;
	bool killed;
	bool timed_out;
};

/*
 * Starts a program, without a shell, with the environment as it is. timeout in ns, 0 for none.
 * -errno when it cannot be started, also when there is no such program.
 */
int hook_child_start(struct hook_child *child, char *const argv[], int64_t timeout);

/* Like fork(2): 0 in the child, 1 in the parent, -errno. */
int hook_child_fork(struct hook_child *child, int64_t timeout);

/* Asks the whole group to end; who has not after 2 s is killed. */
void hook_child_end(struct hook_child *child);

/* When hook_child_check must be called, INT64_MAX for never. */
int64_t hook_child_deadline(const struct hook_child *child);

/*
 * To be called when the fd is readable or the deadline is over. False: it goes on. True: it has
 * ended, the child is none again, and *statusp is what waitpid(2) gives.
 */
bool hook_child_check(struct hook_child *child, int *statusp);

/* Whether it ended with exit status 0. Else it is told in why, of size bytes. */
bool hook_child_succeeded(const struct hook_child *child, int status, char *why, size_t size);

#endif
