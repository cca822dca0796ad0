/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_ROOT_H
#define HOOKS_DEPLOY_ROOT_H

#include "hooks/deploy.h"

/*
 * In our own folder: where a tree is made; where it is once it is whole, and by the exchange the old
 * one gets there; where what is to be removed is.
 */
#define DEPLOY_MAKING "work/making"
#define DEPLOY_FRESH "work/tree"
#define DEPLOY_TRASH "work/trash"

/* A file that is replaced when somebody has intervened by hand: who follows looks again. */
#define DEPLOY_BY_HAND "by-hand"

/* The folder that trees are deployed into, and our own folder in it, on the same file system. */
struct deploy_root {
	char *path, *own_path; /* absolute */
	int fd, own;           /* descriptors of both */
};

/*
 * Opens both. make: our own folder is made if it is not there; without, own is -1 then, and all that
 * looks into it finds nothing or fails. -errno.
 */
int deploy_root_open(const char *path, bool make, struct deploy_root *root);
void deploy_root_done(struct deploy_root *root);

/* Only who has the lock changes anything. -EBUSY: another has it. Closing *fdp lets it go. */
int deploy_root_lock(const struct deploy_root *root, int *fdp);

/* Wakes who follows. */
int deploy_root_nudge(const struct deploy_root *root);

/* Removes a folder, by its path below our own folder. It may be missing. -errno. */
int deploy_root_remove(const struct deploy_root *root, const char *place);

#endif
