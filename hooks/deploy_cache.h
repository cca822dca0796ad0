/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_CACHE_H
#define HOOKS_DEPLOY_CACHE_H

#include "hooks/deploy_git.h"
#include "hooks/deploy_root.h"

/* Where commits come from. */
struct deploy_source {
	const char *url;
	const char *ssh_key; /* NULL: those of the agent */
};

/*
 * Opens the bare repository that is kept for a URL, made if need be; the caller owns it. The commit
 * is in it, fetched if it was not. HOOK_UNAVAILABLE: it cannot be had; HOOK_DATA: the id is that of
 * something else. Blocks without limit: for a child with a deadline, under the root's lock.
 */
enum hook_exit deploy_cache_open(const struct deploy_root *root, const struct deploy_source *source,
	const char *commit, git_repository **cachep, char why[DEPLOY_WHY_SIZE]);

/* The same, but it is fetched anew, as what there is is damaged; that goes once the new one is there. */
enum hook_exit deploy_cache_renew(const struct deploy_root *root,
	const struct deploy_source *source, const char *commit, git_repository **cachep,
	char why[DEPLOY_WHY_SIZE]);

#endif
