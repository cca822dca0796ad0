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

/* In the child. tree is a descriptor: what its path leads to now may be something else. */
static void exec_command(const struct git_deploy_run *run, const char *command, int tree)
{
	char *path = fchdir(tree) == 0 ? getcwd(NULL, 0) : NULL;

	if (path) {
		setenv("ZKFS_TREE", path, 1);
		setenv("ZKFS_URL", run->config.url, 1);
		setenv("ZKFS_COMMIT", run->config.commit, 1);
		setenv("ZKFS_PREVIOUS", run->previous, 1);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	}
	_exit(126);
}

/* Closes tree, which may be -errno. */
static int start_command(struct git_deploy_run *run, const char *command, int tree)
{
	int r = tree < 0 ? tree : hook_child_fork(&run->child, run->options->timeout);

	if (r == 0)
		exec_command(run, command, tree);
	if (tree >= 0)
		close(tree);
	return r < 0 ? r : 0;
}

static int start_checking(struct git_deploy_run *run)
{
	run->step = GIT_DEPLOY_CHECKING;
	return start_command(
		run, run->options->check, deploy_root_open_folder(run->root->own, DEPLOY_FRESH));
}

static int start_posting(struct git_deploy_run *run)
{
	run->step = GIT_DEPLOY_POSTING;
	return start_command(
		run, run->options->post, deploy_target_open(run->root, run->config.path));
}

/* In the child. */
static void prune_in_child(const struct git_deploy_run *run)
{
	char why[DEPLOY_WHY_SIZE] = "";
	struct deploy_target target;
	int r = 0;

	if (deploy_target_look(run->root, run->config.path, &target, why) == HOOK_OK)
		r = deploy_release_prune(run->root, run->config.path, target.live.number,
			(size_t)run->options->keep);
	if (r < 0)
		snprintf(why, sizeof(why), "%s", strerror(-r));
	if (*why)
		hook_log(HOOK_LOG_WARNING, "old trees of %s cannot be removed: %s",
			run->config.path, why);
	exit(0);
}

static int start_pruning(struct git_deploy_run *run)
{
	int r = hook_child_fork(&run->child, 0);

	run->step = GIT_DEPLOY_PRUNING;
	if (r == 0)
		prune_in_child(run);
	return r < 0 ? r : 0;
}

/* A tree that is refused after it was made would be in the way. In the child. */
static int start_clearing(struct git_deploy_run *run)
{
	int r = hook_child_fork(&run->child, 0);

	run->step = GIT_DEPLOY_CLEARING;
	if (r == 0) {
		deploy_target_recover(run->root);
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

/* Whoever had the lock when the record was read may have run it meanwhile. */
static int check_post_is_due(const struct git_deploy_run *run, const struct deploy_record *live)
{
	char why[DEPLOY_WHY_SIZE];
	struct deploy_target target;

	if (deploy_target_look(run->root, live->path, &target, why) == HOOK_OK &&
		target.state == DEPLOY_LIVE && target.live.number == live->number &&
		target.live.post_pending)
		return 0;
	return -EALREADY;
}

int git_deploy_run_post(struct git_deploy_run *run, const struct deploy_record *live, int lock)
{
	int r = 0;

	run->lock = lock;
	if (lock < 0)
		r = deploy_root_lock(run->root, &run->lock);
	if (lock < 0 && r == 0)
		r = check_post_is_due(run, live);
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
		r = start_clearing(run);
	if (r < 0)
		git_deploy_run_done(run);
	return r;
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

/* Why it has failed is known already; what it has made goes. */
static bool clear(struct git_deploy_run *run)
{
	return start_clearing(run) < 0;
}

/* libgit2 writes packs by mmap(2): a full disk is SIGBUS. */
static bool prepare_failed(struct git_deploy_run *run, int status)
{
	char why[64];

	read_why(run);
	hook_child_succeeded(&run->child, status, why, sizeof(why));
	if (!run->child.timed_out && WIFEXITED(status) && run->why[0]) {
		run->code = (enum hook_exit)WEXITSTATUS(status);
		return true; /* it has cleared up */
	}
	if (run->child.timed_out)
		fail(run, HOOK_TIMEOUT, "fetch and checkout", why);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS)
		fail(run, HOOK_IO, "fetch and checkout", "the disk is full");
	else
		fail(run, HOOK_UNAVAILABLE, "fetch and checkout", why);
	return clear(run);
}

static bool command_failed(struct git_deploy_run *run, int status, const char *name)
{
	char why[64];

	hook_child_succeeded(&run->child, status, why, sizeof(why));
	return fail(run, run->child.timed_out ? HOOK_TIMEOUT : HOOK_UNAVAILABLE, name, why);
}

/* True, as the run has ended, if it could not be started; r is what starting gave. */
static bool has_not_started(struct git_deploy_run *run, int r)
{
	return r < 0 ? fail(run, HOOK_IO, "a process cannot be started", strerror(-r)) : false;
}

static bool publish(struct git_deploy_run *run)
{
	run->code =
		deploy_target_publish(run->root, run->config.path, run->options->adopt, run->why);
	if (run->code != HOOK_OK)
		return clear(run);
	run->published = true;
	return has_not_started(run, run->options->post ? start_posting(run) : start_pruning(run));
}

static bool check_refused(struct git_deploy_run *run, int status)
{
	command_failed(run, status, "--check");
	return clear(run);
}

/* The record is that of what is live: the lock has been held all the time. */
static int note_success(struct git_deploy_run *run)
{
	char why[DEPLOY_WHY_SIZE];
	struct deploy_target target;

	if (deploy_target_look(run->root, run->config.path, &target, why) != HOOK_OK ||
		target.state != DEPLOY_LIVE)
		return -ENOENT;
	target.live.post_pending = false;
	return deploy_record_write(run->root, &target.live);
}

static bool post_succeeded(struct git_deploy_run *run)
{
	int r = note_success(run);

	if (r < 0)
		return fail(run, HOOK_IO, run->config.path, strerror(-r));
	return run->published ? has_not_started(run, start_pruning(run)) : true;
}

/* It was asked to end because it is not wanted any more: how it has ended means nothing. */
static bool was_given_up(const struct git_deploy_run *run)
{
	return run->child.ended_by_us && !run->child.timed_out;
}

static bool made(struct git_deploy_run *run, bool wanted)
{
	if (!wanted)
		return clear(run);
	return run->options->check ? has_not_started(run, start_checking(run)) : publish(run);
}

static bool advance(
	struct git_deploy_run *run, int status, bool (*is_wanted)(void *data), void *data)
{
	char why[64];
	bool succeeded = hook_child_succeeded(&run->child, status, why, sizeof(why));

	if (run->step == GIT_DEPLOY_CLEARING)
		return true;
	run->code = HOOK_OK;
	run->why[0] = '\0';
	if (was_given_up(run))
		return git_deploy_run_is_before_publication(run) ? clear(run) : true;
	switch (run->step) {
	case GIT_DEPLOY_PREPARING:
		return succeeded ? made(run, is_wanted(data)) : prepare_failed(run, status);
	case GIT_DEPLOY_CHECKING:
		if (!succeeded)
			return check_refused(run, status);
		return is_wanted(data) ? publish(run) : clear(run);
	case GIT_DEPLOY_POSTING:
		return succeeded ? post_succeeded(run) : command_failed(run, status, "--post");
	default:
		return true;
	}
}

bool git_deploy_run_advance(
	struct git_deploy_run *run, int status, bool (*is_wanted)(void *data), void *data)
{
	bool ended = advance(run, status, is_wanted, data);

	if (ended)
		git_deploy_run_done(run);
	return ended;
}
