/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_RECORD_H
#define HOOKS_DEPLOY_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "hooks/deploy.h"
#include "hooks/deploy_root.h"

/* Which folder a tree is, whatever its name is now: a number that may be used again, and its birth. */
struct deploy_identity {
	uint64_t inode;
	int64_t born_s;
	uint32_t born_ns;
};

/* What is known of a tree that was made to be deployed. */
struct deploy_record {
	char path[DEPLOY_PATH_SIZE]; /* where, below the root */
	long number;                 /* what was made later for that path has a higher one */
	struct deploy_identity tree;
	char url[DEPLOY_URL_SIZE];
	char commit[DEPLOY_ID_SIZE];
	char previous[DEPLOY_ID_SIZE]; /* what was live before, or "" */
	char time[DEPLOY_TIME_SIZE];   /* when it was made, in UTC */
	bool post_pending;             /* --post has not succeeded for it yet */
	bool taken_back;               /* by a rollback */
};

/* The folder below own of all that is kept for a path, as "releases/TARGET". */
enum { DEPLOY_PLACE_SIZE = 3 * DEPLOY_PATH_SIZE + 64 };
void deploy_record_folder(const char *path, char place[DEPLOY_PLACE_SIZE]);

/* All below gives -errno; what changes anything is done under the root's lock. */

/* tree is a descriptor of the folder. */
int deploy_record_identify(int tree, struct deploy_identity *identity);

/* Sets the time to now where it is empty. Makes the folder. */
int deploy_record_write(const struct deploy_root *root, struct deploy_record *record);

int deploy_record_read(const struct deploy_root *root, const char *path, long number,
	struct deploy_record *record);
int deploy_record_remove(const struct deploy_root *root, const char *path, long number);

/* The numbers of all records of a path, the newest first. The caller owns the array. */
int deploy_record_list(
	const struct deploy_root *root, const char *path, long **numbersp, size_t *np);

/* The record of a tree, by what it is. -ENOENT: it is none of this path. */
int deploy_record_find(const struct deploy_root *root, const char *path,
	const struct deploy_identity *tree, struct deploy_record *record);

/* Calls visit for each path that has been deployed to. */
int deploy_record_each_path(
	const struct deploy_root *root, void (*visit)(void *data, const char *path), void *data);

#endif
