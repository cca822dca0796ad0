/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_TARGET_H
#define HOOKS_DEPLOY_TARGET_H

#include "hooks/deploy_record.h"
#include "hooks/deploy_root.h"

/* What is at the place of a target. */
enum deploy_target_state { DEPLOY_ABSENT, DEPLOY_EMPTY, DEPLOY_LIVE, DEPLOY_FOREIGN };

struct deploy_target {
	enum deploy_target_state state;
	struct deploy_record live; /* for DEPLOY_LIVE; else zeroed */
};

/*
 * Looks at a target, path being one that deploy_config has let through. HOOK_POLICY: the way there
 * leads through something that it must not, or what is there is no folder.
 */
enum hook_exit deploy_target_look(const struct deploy_root *root, const char *path,
	struct deploy_target *target, char why[DEPLOY_WHY_SIZE]);

/* A descriptor of the tree that is there. -errno. */
int deploy_target_open(const struct deploy_root *root, const char *path);

/*
 * Puts the tree that is in DEPLOY_FRESH in the place of the target, in one step, and what was there
 * to the releases. Under the lock. A DEPLOY_FOREIGN is HOOK_POLICY unless adopt. For anything but
 * HOOK_OK the old tree is where it was.
 */
enum hook_exit deploy_target_publish(
	const struct deploy_root *root, const char *path, bool adopt, char why[DEPLOY_WHY_SIZE]);

/*
 * Exchanges the tree for the one that was deployed before it, whose record says then that --post is
 * pending, and holds the commit that was taken back. Under the lock. HOOK_UNAVAILABLE: there is none.
 * *target is what is live then.
 */
enum hook_exit deploy_target_rollback(const struct deploy_root *root, const char *path,
	struct deploy_target *target, char why[DEPLOY_WHY_SIZE]);

/* Clears up what who was killed in the middle has left: no tree that was live is lost. Under the lock. */
void deploy_target_recover(const struct deploy_root *root);

#endif
