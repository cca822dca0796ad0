/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_CHECKOUT_H
#define HOOKS_DEPLOY_CHECKOUT_H

#include "hooks/deploy_git.h"

/*
 * Whether a commit can be deployed. HOOK_DATA: it has submodules or files of Git LFS, or names
 * that git would not make; HOOK_IO: part of
 * it is missing in the repository, which is damaged.
 */
enum hook_exit deploy_checkout_inspect(
	git_repository *cache, const char *commit, char why[DEPLOY_WHY_SIZE]);

/*
 * Makes a folder, which must not be there, a work tree of that commit, with url as its origin, and
 * compares each file with the commit. Its repository borrows the objects of cache.
 */
enum hook_exit deploy_checkout_make(git_repository *cache, const char *url, const char *commit,
	const char *path, char why[DEPLOY_WHY_SIZE]);

#endif
