/* SPDX-License-Identifier: Apache-2.0 */
/* A list of names in one allocation: a directory may have a million. */
#include "fs/list.h"

#include <stdlib.h>
#include <string.h>

struct fs_list *fs_list_new(char *const *names, size_t n_names)
{
	size_t n_bytes = sizeof(struct fs_list) + n_names * sizeof(char *);
	struct fs_list *list;
	char *text;

	for (size_t i = 0; i < n_names; i++)
		n_bytes += strlen(names[i]) + 1;
	list = malloc(n_bytes);
	if (!list)
		return NULL;
	list->refs = 1;
	list->n_names = n_names;
	list->n_bytes = n_bytes;
	list->names = (char **)(list + 1);
	text = (char *)(list->names + n_names);
	for (size_t i = 0; i < n_names; i++) {
		list->names[i] = text;
		text = stpcpy(text, names[i]) + 1;
	}
	return list;
}

struct fs_list *fs_list_ref(struct fs_list *list)
{
	list->refs++;
	return list;
}

struct fs_list *fs_list_unref(struct fs_list *list)
{
	if (list && --list->refs == 0)
		free(list);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void fs_list_sort(struct fs_list *list)
{
	qsort(list->names, list->n_names, sizeof(char *), compare);
}

size_t fs_list_find(const struct fs_list *list, const char *name)
{
	char **found = bsearch(&name, list->names, list->n_names, sizeof(char *), compare);

	return found ? (size_t)(found - list->names) : list->n_names;
}

bool fs_list_has(const struct fs_list *list, const char *name)
{
	return fs_list_find(list, name) < list->n_names;
}

void fs_list_each_only_in(const struct fs_list *a, const struct fs_list *b,
	void (*fn)(void *userdata, const char *name), void *userdata)
{
	size_t j = 0;

	for (size_t i = 0; i < a->n_names; i++) {
		int order = -1;

		while (j < b->n_names && (order = strcmp(b->names[j], a->names[i])) < 0)
			j++;
		if (j == b->n_names || order != 0)
			fn(userdata, a->names[i]);
	}
}
