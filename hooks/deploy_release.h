/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_RELEASE_H
#define HOOKS_DEPLOY_RELEASE_H

#include <stddef.h>

#include "hooks/deploy_record.h"
#include "hooks/deploy_root.h"

/* The old trees of one target. All below is done under the root's lock, and gives -errno. */

/* Moves the tree in DEPLOY_FRESH, whose record this is, to the old ones. */
int deploy_release_put(const struct deploy_root *root, const struct deploy_record *record);

/* Moves what is in DEPLOY_FRESH, and was not deployed by us, to where it is kept. */
int deploy_release_put_adopted(const struct deploy_root *root);

/* The other way: moves an old one to DEPLOY_FRESH. */
int deploy_release_take(const struct deploy_root *root, const struct deploy_record *record);

/*
 * The newest old tree that was live before number and has not been taken back since: what a rollback
 * goes to. -ENOENT: there is none.
 */
int deploy_release_before(const struct deploy_root *root, const char *path, long number,
	struct deploy_record *record);

/* Calls visit for each old tree, the newest first. */
int deploy_release_each(const struct deploy_root *root, const char *path,
	void (*visit)(void *data, const struct deploy_record *record), void *data);

/*
 * Removes old trees until keep are left: first those that were taken back, then the oldest. Records
 * of trees that are nowhere, as somebody has removed them, go too; live is the number of the tree that
 * is in its place.
 */
int deploy_release_prune(const struct deploy_root *root, const char *path, long live, size_t keep);

/* The commit that a rollback has taken back and that is not deployed again; "" is none. */
int deploy_release_held(
	const struct deploy_root *root, const char *path, char commit[DEPLOY_ID_SIZE]);
int deploy_release_hold(const struct deploy_root *root, const char *path, const char *commit);

#endif
