/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_RELEASE_H
#define HOOKS_DEPLOY_RELEASE_H

#include <stddef.h>

#include "hooks/deploy_record.h"
#include "hooks/deploy_root.h"

/* The old trees of one target. All below is done under the root's lock, and gives -errno. */

/* Their numbers, the newest first. The caller owns the array; none is no error. */
int deploy_release_list(
	const struct deploy_root *root, const char *path, long **numbersp, size_t *np);

/* Makes room for old trees of a target; by that it is known as one. */
int deploy_release_add_target(const struct deploy_root *root, const char *path);

/* Moves the tree that is in DEPLOY_FRESH to the old ones. */
int deploy_release_put(const struct deploy_root *root, const char *path);

/* The other way: moves an old one to DEPLOY_FRESH. */
int deploy_release_take(const struct deploy_root *root, const char *path, long number);

/* The record of an old one. */
int deploy_release_record(const struct deploy_root *root, const char *path, long number,
	struct deploy_record *record);

/* Removes all but the newest keep. */
int deploy_release_prune(const struct deploy_root *root, const char *path, size_t keep);

/* The commit that a rollback has taken back and that is not deployed again; "" is none. */
int deploy_release_held(
	const struct deploy_root *root, const char *path, char commit[DEPLOY_ID_SIZE]);
int deploy_release_hold(const struct deploy_root *root, const char *path, const char *commit);

/* Calls visit for the path of each target that has been deployed to. */
int deploy_release_each_target(
	const struct deploy_root *root, void (*visit)(void *data, const char *path), void *data);

#endif
