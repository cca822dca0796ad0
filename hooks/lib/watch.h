/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_LIB_WATCH_H
#define HOOKS_LIB_WATCH_H

#include <stdbool.h>

/* A path, its parents, and what lies in it if it is a directory. */
struct hook_watch;

/* Nothing is watched until the first hook_watch_update. path may be relative, and need not exist. */
int hook_watch_new(const char *path, struct hook_watch **watchp);
void hook_watch_free(struct hook_watch *watch);

/* The absolute path; lives as long as the watch. */
const char *hook_watch_path(const struct hook_watch *watch);

/*
 * Puts the watches on what the path and its parents are now. To be called before what is watched is
 * read, each time. What is not there is no error, it is waited for; -errno where it cannot be known.
 */
int hook_watch_update(struct hook_watch *watch);

/* Takes what has happened. False: nothing that concerns the path. */
bool hook_watch_take(struct hook_watch *watch);

/*
 * To be polled: POLLIN for the first, POLLPRI for the second. The kernel tells POLLPRI once for each
 * time that mounts have come or gone: it must be passed on.
 */
int hook_watch_fd(const struct hook_watch *watch);
int hook_watch_mounts_fd(const struct hook_watch *watch);
void hook_watch_mounts_changed(struct hook_watch *watch);

#endif
