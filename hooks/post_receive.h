/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_POST_RECEIVE_H
#define HOOKS_POST_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hooks/lib/options.h"

/* Room for a commit id as text, and how often --map may be given. */
enum { TIP_SIZE = 41, POST_RECEIVE_MAPS_MAX = 64 };

/* --map REF=FILE */
struct post_receive_map {
	char *ref; /* owned */
	const char *file;
	char *status_dir; /* owned; the hosts that follow file tell there how they fare */
	bool pushed; /* the push has changed ref, and FILE has not been brought up to date yet */
};

struct post_receive {
	struct hook_common common;
	struct post_receive_map maps[POST_RECEIVE_MAPS_MAX];
	size_t n_maps;
	int64_t patience, give_up, wait; /* ns */

	/* What FILE of each map has been set to, or "". Memory that the worker shares. */
	char (*written)[TIP_SIZE];
};

/* 0: run; else *exitp is how to exit. What is wrong has been told. */
int post_receive_options_parse(struct post_receive *hook, int argc, char **argv, int *exitp);
void post_receive_options_done(struct post_receive *hook);

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

/* The commit that a file names. -errno: that cannot be known, -EBADMSG: none. */
int post_receive_named(const char *file, char commit[TIP_SIZE]);

/*
 * Tells how the hosts of a map fare that shall deploy tip, until each is done with it, FILE names
 * another commit, or the time is over: end is on the clock of hook_pace_now.
 */
void post_receive_wait(const struct post_receive_map *map, const char *tip, int64_t end);

#endif
