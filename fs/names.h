/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* A set of names. NULL is the empty one. */
struct fs_names;

/* 0 or -ENOMEM; it may be there already. */
int fs_names_add(struct fs_names **names, const char *name);
bool fs_names_has(const struct fs_names *names, const char *name);
void fs_names_each(
	const struct fs_names *names, void (*fn)(void *userdata, const char *name), void *userdata);
void fs_names_clear(struct fs_names **names);
