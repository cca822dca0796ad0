/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_GIT_H
#define HOOKS_DEPLOY_GIT_H

#include <git2.h>

#include "hooks/deploy.h"

/*
 * libgit2, set up so that nothing but our own command line and the file says what it does: no
 * configuration of the user or the system. To be called in the child, once.
 */
void deploy_git_init(void);

/*
 * Why libgit2 has failed last, behind what was tried. code is what it is unless the message tells
 * that the disk has failed us (HOOK_IO).
 */
enum hook_exit deploy_git_fail(char why[DEPLOY_WHY_SIZE], enum hook_exit code, const char *what);

/* Shows how far it has got, where standard error is a terminal. label is what is done. */
void deploy_git_show_progress(const char *label, size_t done, size_t total);

/* Clears the line that shows it. */
void deploy_git_end_progress(void);

#endif
