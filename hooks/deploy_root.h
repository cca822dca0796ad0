/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_ROOT_H
#define HOOKS_DEPLOY_ROOT_H

#include "hooks/deploy.h"

/*
 * In our own folder: where a tree is made; where it is once it is whole, and by the exchange the old
 * one gets there; where a repository is made that replaces a damaged one.
 */
#define DEPLOY_MAKING "work/making"
#define DEPLOY_FRESH "work/tree"
#define DEPLOY_CACHE_MAKING "work/cache"

/* A file that is replaced when somebody has intervened by hand: who follows looks again. */
#define DEPLOY_BY_HAND "by-hand"

/* The folder that trees are deployed into, and our own folder in it, on the same file system. */
struct deploy_root {
	char *path, *own_path; /* absolute */
	int fd, own;           /* descriptors of both */
};

/*
 * Opens both. make: our own folder is made if it is not there; without, own is -1 then, and all that
 * looks into it finds nothing or fails. -EPERM: it is there, and somebody else may write to it.
 */
int deploy_root_open(const char *path, bool make, struct deploy_root *root);
void deploy_root_done(struct deploy_root *root);

/* Whether what is at the path is still what is open: somebody may have replaced or removed it. */
bool deploy_root_is_current(const struct deploy_root *root);

/* Opens a folder in a folder: no link, and nothing that is mounted there. -errno. */
int deploy_root_open_folder(int dir, const char *name);

/* Only who has the lock changes anything. -EBUSY: another has it. Closing *fdp lets it go. */
int deploy_root_lock(const struct deploy_root *root, int *fdp);

/* Wakes who follows. */
int deploy_root_nudge(const struct deploy_root *root);

/* Replaces a small file below our own folder, atomically and durably. */
int deploy_root_write(const struct deploy_root *root, const char *place, const char *text);

/*
 * Removes what is at a place below our own folder; it may be missing. What is mounted in there, and
 * what a link in there points to, is not touched. What resists stays, is told, and is tried again by
 * the next deploy_root_sweep.
 */
void deploy_root_remove(const struct deploy_root *root, const char *place);

/* Removes all that is in the working folder. */
void deploy_root_sweep(const struct deploy_root *root);

#endif
