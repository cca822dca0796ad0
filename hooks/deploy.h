/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_H
#define HOOKS_DEPLOY_H

#include <stdbool.h>
#include <stddef.h>

#include "hooks/lib/options.h"

/* Room for a commit id as text, a target's relative path, a time, a URL, and why something went wrong. */
enum {
	DEPLOY_ID_SIZE = 41,
	DEPLOY_PATH_SIZE = 128,
	DEPLOY_TIME_SIZE = 32,
	DEPLOY_URL_SIZE = 2048,
	DEPLOY_WHY_SIZE = 512
};

/*
 * What has gone wrong, told for people: without control characters, as parts of it come from others.
 * Every step of a deployment gives a hook_exit, and fills why if it is not HOOK_OK.
 */
__attribute__((format(printf, 3, 4))) enum hook_exit deploy_fail(
	char why[DEPLOY_WHY_SIZE], enum hook_exit code, const char *format, ...);

/*
 * Copies a text that comes from others, so that it can be shown: a '?' for each byte or character that
 * is no UTF-8, or a control character, or changes the direction of writing. Cut where it is too long.
 */
void deploy_clean(char *to, size_t size, const char *from);

/* The time now, in UTC, as 2026-11-25T16:30:00Z. */
void deploy_stamp(char text[DEPLOY_TIME_SIZE]);

/* Whether n bytes can be a name in a tree: not empty, ".", ".." or ".git", and no '/' in it. */
bool deploy_is_name(const char *name, size_t n);

/* The hook_exit for an errno. */
enum hook_exit deploy_code_of_errno(int error);

#endif
