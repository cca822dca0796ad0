/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_GIT_DEPLOY_H
#define HOOKS_GIT_DEPLOY_H

#include <stddef.h>
#include <stdint.h>

#include "hooks/deploy_config.h"
#include "hooks/lib/options.h"

enum git_deploy_command {
	GIT_DEPLOY_FOLLOW,
	GIT_DEPLOY_ROLLBACK,
	GIT_DEPLOY_RESUME,
	GIT_DEPLOY_STATUS
};

struct git_deploy_options {
	enum git_deploy_command command;
	struct hook_common common;
	const char *config, *root, *status_dir, *check, *post, *ssh_key;
	const char *path;            /* of rollback and resume */
	char name[256];              /* of this host */
	struct deploy_policy policy; /* its array is owned */
	long keep;
	int64_t settle, timeout, splay; /* ns */
	bool adopt;
};

/* 0: run; else *exitp is how to exit. What is wrong has been told. */
int git_deploy_options_parse(struct git_deploy_options *options, int argc, char **argv, int *exitp);

/* Follows the file, or acts once. Gives how to exit. */
int git_deploy_follow(const struct git_deploy_options *options);

/* The other commands. They give how to exit. */
int git_deploy_rollback(const struct git_deploy_options *options);
int git_deploy_resume(const struct git_deploy_options *options);
int git_deploy_status(const struct git_deploy_options *options);

#endif
