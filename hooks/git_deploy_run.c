/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of zkfs-git-deploy, from the lock to the clean end: prepare, --check, publish, --post, prune.
 *
 * All that may take long is done by a child, which has a deadline and can be ended; fetching and
 * checking out too, as libgit2 knows no time limits. The exchange itself is one system call of ours.
 * The lock is inherited by the child, so that it is held until the last of both has gone.
 */
#include "hooks/git_deploy_run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hooks/deploy_prepare.h"
#include "hooks/deploy_release.h"
#include "hooks/lib/log.h"

void git_deploy_run_init(struct git_deploy_run *run, const struct git_deploy_options *options,
	const struct deploy_root *root)
{
	*run = (struct git_deploy_run){
		.options = options, .root = root, .lock = -1, .result = -1
	};
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void git_deploy_run_done(struct git_deploy_run *run)
{
	close_fd(&run->lock);
	close_fd(&run->result);
	deploy_config_done(&run->config);
	run->step = GIT_DEPLOY_IDLE;
}

bool git_deploy_run_is_before_publication(const struct git_deploy_run *run)
{
	return run->step == GIT_DEPLOY_PREPARING || run->step == GIT_DEPLOY_CHECKING;
}

/* In the child. It ends as a program does, so that a sanitizer can look for leaks. */
static void prepare_in_child(struct git_deploy_run *run, int result)
{
	char why[DEPLOY_WHY_SIZE] = "";
	enum hook_exit code = deploy_prepare(
		run->root, &run->config, run->options->ssh_key, run->options->post != NULL, why);

	if (code != HOOK_OK && write(result, why, strlen(why)) < 0)
		code = HOOK_IO;
	exit(code);
}

static int start_preparing(struct git_deploy_run *run)
{
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	r = hook_child_fork(&run->child, run->options->timeout);
	if (r == 0) {
		close(fds[0]);
		prepare_in_child(run, fds[1]);
	}
	close(fds[1]);
	if (r < 0) {
		close(fds[0]);
		return r;
	}
	run->result = fds[0];
	run->step = GIT_DEPLOY_PREPARING;
	return 0;
}

/* In the child. */
static void exec_command(const struct git_deploy_run *run, const char *command)
{
	setenv("ZKFS_TREE", run->tree, 1);
	setenv("ZKFS_URL", run->config.url, 1);
	setenv("ZKFS_COMMIT", run->config.commit, 1);
	setenv("ZKFS_PREVIOUS", run->previous, 1);
	if (chdir(run->tree) == 0)
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(126);
}

static int start_command(
	struct git_deploy_run *run, const char *command, const char *folder, const char *place)
{
	int r;

	snprintf(run->tree, sizeof(run->tree), "%s/%s", folder, place);
	r = hook_child_fork(&run->child, run->options->timeout);
	if (r == 0)
		exec_command(run, command);
	return r < 0 ? r : 0;
}

static int start_checking(struct git_deploy_run *run)
{
	run->step = GIT_DEPLOY_CHECKING;
	return start_command(run, run->options->check, run->root->own_path, DEPLOY_FRESH);
}

static int start_posting(struct git_deploy_run *run)
{
	run->step = GIT_DEPLOY_POSTING;
	return start_command(run, run->options->post, run->root->path, run->config.path);
}

static int start_pruning(struct git_deploy_run *run)
{
	int r = hook_child_fork(&run->child, 0);

	run->step = GIT_DEPLOY_PRUNING;
	if (r == 0) {
		r = deploy_release_prune(run->root, run->config.path, (size_t)run->options->keep);
		if (r < 0)
			hook_log(HOOK_LOG_WARNING, "old trees of %s cannot be removed: %s",
				run->config.path, strerror(-r));
		exit(0);
	}
	return r < 0 ? r : 0;
}

static int set_config(
	struct git_deploy_run *run, const char *url, const char *commit, const char *path)
{
	deploy_config_done(&run->config);
	run->config.url = strdup(url);
	snprintf(run->config.commit, sizeof(run->config.commit), "%s", commit);
	snprintf(run->config.path, sizeof(run->config.path), "%s", path);
	return run->config.url ? 0 : -ENOMEM;
}

int git_deploy_run_begin(struct git_deploy_run *run, const struct deploy_config *config,
	const struct deploy_record *live)
{
	int r = deploy_root_lock(run->root, &run->lock);

	run->published = false;
	strcpy(run->previous, live->commit);
	if (r == 0)
		r = set_config(run, config->url, config->commit, config->path);
	if (r == 0)
		r = start_preparing(run);
	if (r < 0)
		git_deploy_run_done(run);
	return r;
}

int git_deploy_run_post(struct git_deploy_run *run, const struct deploy_record *live)
{
	int r = deploy_root_lock(run->root, &run->lock);

	run->published = false;
	strcpy(run->previous, live->previous);
	if (r == 0)
		r = set_config(run, live->url, live->commit, live->path);
	if (r == 0)
		r = start_posting(run);
	if (r < 0)
		git_deploy_run_done(run);
	return r;
}

int git_deploy_run_recover(struct git_deploy_run *run)
{
	int r = deploy_root_lock(run->root, &run->lock);

	if (r == 0)
		r = hook_child_fork(&run->child, 0);
	if (r == 0) {
		r = deploy_target_recover(run->root);
		if (r < 0)
			hook_log(HOOK_LOG_WARNING, "%s cannot be cleared up: %s",
				run->root->own_path, strerror(-r));
		exit(0);
	}
	if (r > 0)
		run->step = GIT_DEPLOY_RECOVERING;
	else
		git_deploy_run_done(run);
	return r < 0 ? r : 0;
}

/* What the child has written. It has ended: nothing more comes. */
static void read_why(struct git_deploy_run *run)
{
	ssize_t n = read(run->result, run->why, sizeof(run->why) - 1);

	run->why[n < 0 ? 0 : n] = '\0';
	close_fd(&run->result);
}

static bool fail(struct git_deploy_run *run, enum hook_exit code, const char *what, const char *why)
{
	run->code = deploy_fail(run->why, code, "%s: %s", what, why);
	return true;
}

/* libgit2 writes packs by mmap(2): a full disk is SIGBUS. */
static bool prepare_failed(struct git_deploy_run *run, int status)
{
	char why[64];

	read_why(run);
	hook_child_succeeded(&run->child, status, why, sizeof(why));
	if (run->child.timed_out)
		return fail(run, HOOK_TIMEOUT, "fetch and checkout", why);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS)
		return fail(run, HOOK_IO, "fetch and checkout", "the disk is full");
	if (WIFSIGNALED(status) || !run->why[0])
		return fail(run, HOOK_UNAVAILABLE, "fetch and checkout", why);
	run->code = (enum hook_exit)WEXITSTATUS(status);
	return true;
}

static bool command_failed(struct git_deploy_run *run, int status, const char *name)
{
	char why[64];

	hook_child_succeeded(&run->child, status, why, sizeof(why));
	return fail(run, run->child.timed_out ? HOOK_TIMEOUT : HOOK_UNAVAILABLE, name, why);
}

static bool start_failed(struct git_deploy_run *run, int r)
{
	return fail(run, HOOK_IO, "a process cannot be started", strerror(-r));
}

static bool prune_next(struct git_deploy_run *run)
{
	int r = start_pruning(run);

	return r < 0 ? start_failed(run, r) : false;
}

/* What was held is not wanted any more, or it would not have come to this. */
static bool publish(struct git_deploy_run *run)
{
	int r;

	run->code =
		deploy_target_publish(run->root, run->config.path, run->options->adopt, run->why);
	if (run->code != HOOK_OK)
		return true;
	run->published = true;
	deploy_release_hold(run->root, run->config.path, "");
	if (!run->options->post)
		return prune_next(run);
	r = start_posting(run);
	return r < 0 ? start_failed(run, r) : false;
}

static bool check_next(struct git_deploy_run *run)
{
	int r = start_checking(run);

	return r < 0 ? start_failed(run, r) : false;
}

static bool post_succeeded(struct git_deploy_run *run)
{
	int r = deploy_target_post_done(run->root, run->config.path);

	if (r < 0)
		return fail(run, HOOK_IO, run->config.path, strerror(-r));
	return run->published ? prune_next(run) : true;
}

static bool advance(
	struct git_deploy_run *run, int status, bool (*is_wanted)(void *data), void *data)
{
	char why[64];
	bool succeeded = hook_child_succeeded(&run->child, status, why, sizeof(why));

	run->code = HOOK_OK;
	run->why[0] = '\0';
	switch (run->step) {
	case GIT_DEPLOY_PREPARING:
		if (succeeded && run->options->check && is_wanted(data))
			return check_next(run);
		if (succeeded)
			return is_wanted(data) ? publish(run) : true;
		return prepare_failed(run, status);
	case GIT_DEPLOY_CHECKING:
		if (!succeeded)
			return command_failed(run, status, "--check");
		return is_wanted(data) ? publish(run) : true;
	case GIT_DEPLOY_POSTING:
		return succeeded ? post_succeeded(run) : command_failed(run, status, "--post");
	case GIT_DEPLOY_RECOVERING:
	case GIT_DEPLOY_PRUNING:
	case GIT_DEPLOY_IDLE:
		break;
	}
	return true;
}

bool git_deploy_run_advance(
	struct git_deploy_run *run, int status, bool (*is_wanted)(void *data), void *data)
{
	bool ended = advance(run, status, is_wanted, data);

	if (ended)
		git_deploy_run_done(run);
	return ended;
}
