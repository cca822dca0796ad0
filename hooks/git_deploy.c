/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zkfs-git-deploy: deploys the git commit that a file names.
 *
 *     git_deploy_follow.c     the file, and when to act
 *     git_deploy_run.c        one deployment, step by step
 *     deploy_config.c         what the file may say
 *     deploy_prepare.c        all that comes before publication, in a child:
 *       deploy_cache.c          fetching
 *       deploy_checkout.c       checking out, and comparing
 *     deploy_target.c         the place that is deployed to, and the exchange
 *     deploy_release.c        what was there before
 *     deploy_report.c         how the host fares, told in a file
 */
#include "hooks/git_deploy.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
	static int (*const commands[])(const struct git_deploy_options *) = {
		[GIT_DEPLOY_FOLLOW] = git_deploy_follow,
		[GIT_DEPLOY_ROLLBACK] = git_deploy_rollback,
		[GIT_DEPLOY_RESUME] = git_deploy_resume,
		[GIT_DEPLOY_STATUS] = git_deploy_status,
	};
	struct git_deploy_options options = { .command = GIT_DEPLOY_FOLLOW };
	int exit_code;

	if (git_deploy_options_parse(&options, argc, argv, &exit_code) == 0)
		exit_code = commands[options.command](&options);
	free(options.policy.prefixes);
	return exit_code;
}
