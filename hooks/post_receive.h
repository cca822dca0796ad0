/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_POST_RECEIVE_H
#define HOOKS_POST_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>

/* Room for a commit id as text. */
enum { TIP_SIZE = 41 };

/* --map REF=FILE */
struct post_receive_map {
	char *ref; /* owned */
	const char *file;
	bool pushed; /* the push has changed ref, and FILE has not been brought up to date yet */
};

/*
 * The commit that a ref of the repository (of $GIT_DIR) points to now. -ENOENT: there is no such ref.
 * Any other -errno: it cannot be known.
 */
int post_receive_tip(const char *ref, char tip[TIP_SIZE]);

/*
 * Sets "commitId" in the JSON object that a file holds; all other keys stay. Nothing is written where
 * it is right already. On a mount this is one write on the condition that nobody else has written
 * meanwhile: -ESTALE is to be tried again. -EBADMSG: the file holds no JSON object.
 */
int post_receive_write(const char *file, const char *tip);

#endif
