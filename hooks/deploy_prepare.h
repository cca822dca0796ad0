/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_PREPARE_H
#define HOOKS_DEPLOY_PREPARE_H

#include "hooks/deploy_cache.h"
#include "hooks/deploy_config.h"

/*
 * Makes in DEPLOY_FRESH the tree that config names, whole, compared with its commit, and on the disk.
 * Clears up first. Under the lock, in a child with a deadline.
 */
enum hook_exit deploy_prepare(const struct deploy_root *root, const struct deploy_config *config,
	const char *ssh_key, bool post_pending, char why[DEPLOY_WHY_SIZE]);

#endif
