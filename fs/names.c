/* SPDX-License-Identifier: Apache-2.0 */
/* A set of names, as a hash table of its members. */
#include "fs/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct fs_names {
	UT_hash_handle hh;
	char name[];
};

int fs_names_add(struct fs_names **names, const char *name)
{
	struct fs_names *member;

	if (fs_names_has(*names, name))
		return 0;
	member = malloc(sizeof(*member) + strlen(name) + 1);
	if (!member)
		return -ENOMEM;
	strcpy(member->name, name);
	HASH_ADD_STR(*names, name, member);
	return 0;
}

bool fs_names_has(const struct fs_names *names, const char *name)
{
	const struct fs_names *member;

	HASH_FIND_STR(names, name, member);
	return member != NULL;
}

void fs_names_each(
	const struct fs_names *names, void (*fn)(void *userdata, const char *name), void *userdata)
{
	for (; names; names = names->hh.next)
		fn(userdata, names->name);
}

void fs_names_clear(struct fs_names **names)
{
	struct fs_names *member, *next;

	HASH_ITER (hh, *names, member, next) {
		HASH_DEL(*names, member);
		free(member);
	}
}
