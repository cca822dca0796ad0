/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* The names in a directory as one reply told them: shared by those who read the directory at that
 * moment, and kept as cache. Immutable. */
struct fs_list {
	unsigned refs;
	size_t n_names;
	size_t n_bytes; /* memory it takes */
	char **names;   /* into the same allocation */
};

/* A copy of `names`, with one reference; NULL when out of memory. */
struct fs_list *fs_list_new(char *const *names, size_t n_names);
struct fs_list *fs_list_ref(struct fs_list *list);
struct fs_list *fs_list_unref(struct fs_list *list); /* takes NULL, returns NULL */
