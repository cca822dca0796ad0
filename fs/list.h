/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
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

/* Brings the names in order (strcmp), which the next two need. Before it is shared. */
void fs_list_sort(struct fs_list *list);
/* The position of a name, or n_names. The list must be sorted. */
size_t fs_list_find(const struct fs_list *list, const char *name);
bool fs_list_has(const struct fs_list *list, const char *name);
/* Calls `fn` for each name that is in `a` and not in `b`. */
void fs_list_each_only_in(const struct fs_list *a, const struct fs_list *b,
	void (*fn)(void *userdata, const char *name), void *userdata);
struct fs_list *fs_list_ref(struct fs_list *list);
struct fs_list *fs_list_unref(struct fs_list *list); /* takes NULL, returns NULL */
