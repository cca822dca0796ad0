/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_GIT_DEPLOY_RUN_H
#define HOOKS_GIT_DEPLOY_RUN_H

#include "hooks/deploy_config.h"
#include "hooks/deploy_target.h"
#include "hooks/git_deploy.h"
#include "hooks/lib/child.h"

/* What the child of a run does. The order is that of a run. */
enum git_deploy_step {
	GIT_DEPLOY_IDLE,
	GIT_DEPLOY_PREPARING,
	GIT_DEPLOY_CHECKING, /* --check */
	GIT_DEPLOY_POSTING,  /* --post: the tree is live by then */
	GIT_DEPLOY_PRUNING,
	GIT_DEPLOY_CLEARING /* what it has made is not wanted; or what others have left */
};

/* One deployment, under the root's lock: a child after the other. */
struct git_deploy_run {
	const struct git_deploy_options *options;
	const struct deploy_root *root;
	struct deploy_config config;   /* a copy of its own */
	char previous[DEPLOY_ID_SIZE]; /* what was live before */
	struct hook_child child;
	enum git_deploy_step step;
	bool published;
	int lock;   /* -1: not running */
	int result; /* the pipe by which the child of GIT_DEPLOY_PREPARING tells why it failed */
	enum hook_exit code; /* how it has ended, with why */
	char why[DEPLOY_WHY_SIZE];
};

void git_deploy_run_init(struct git_deploy_run *run, const struct git_deploy_options *options,
	const struct deploy_root *root);

/* A child that still runs must have ended. */
void git_deploy_run_done(struct git_deploy_run *run);

/*
 * Begins to deploy; live is what is in its place now, or zeroed. -EBUSY: somebody else has the lock;
 * other -errno: it has not begun either.
 */
int git_deploy_run_begin(struct git_deploy_run *run, const struct deploy_config *config,
	const struct deploy_record *live);

/*
 * Begins a run that is --post for what is live, and nothing else. lock: taken over; -1: taken, and
 * -EALREADY if it is not due any more.
 */
int git_deploy_run_post(struct git_deploy_run *run, const struct deploy_record *live, int lock);

/* Begins a run that clears up what who was killed has left, and nothing else. */
int git_deploy_run_recover(struct git_deploy_run *run);

/* Whether what it is about is not live yet, so that it can still be given up. */
bool git_deploy_run_is_before_publication(const struct git_deploy_run *run);

/*
 * To be called when the child has ended. is_wanted is asked just before the tree is published. True:
 * the run has ended, as code and why say; a run that was not wanted any more is HOOK_OK.
 */
bool git_deploy_run_advance(
	struct git_deploy_run *run, int status, bool (*is_wanted)(void *data), void *data);

#endif
