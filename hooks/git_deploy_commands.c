/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of zkfs-git-deploy for people: rollback, resume, status. */
#include "hooks/git_deploy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks/deploy_release.h"
#include "hooks/deploy_status.h"
#include "hooks/git_deploy_run.h"
#include "hooks/lib/log.h"
#include "hooks/lib/loop.h"
#include "hooks/lib/pace.h"

#define LOCK_PATIENCE (10 * HOOK_NS_PER_S)

static int open_root(const struct git_deploy_options *options, struct deploy_root *root)
{
	int r = deploy_root_open(options->root, false, root);

	if (r < 0)
		hook_log(HOOK_LOG_ERROR, "--root %s: %s", options->root, strerror(-r));
	return r;
}

/* The one path, if it is only one. */
struct only {
	char path[DEPLOY_PATH_SIZE];
	size_t n;
};

static void count_path(void *data, const char *path)
{
	struct only *only = data;

	snprintf(only->path, sizeof(only->path), "%s", path);
	only->n++;
}

static enum hook_exit choose_path(const struct git_deploy_options *options,
	const struct deploy_root *root, char path[DEPLOY_PATH_SIZE])
{
	struct only only = { .n = 0 };
	char why[DEPLOY_WHY_SIZE];

	if (options->path && deploy_config_check_path(options->path, why) != HOOK_OK) {
		hook_log(HOOK_LOG_ERROR, "--path: %s", why);
		return HOOK_USAGE;
	}
	if (options->path && root->own >= 0)
		count_path(&only, options->path);
	else
		deploy_record_each_path(root, count_path, &only);
	strcpy(path, only.path);
	if (only.n == 1)
		return HOOK_OK;
	if (only.n == 0)
		hook_log(HOOK_LOG_ERROR, "nothing is deployed in %s", options->root);
	else
		hook_log(HOOK_LOG_ERROR, "%zu paths are deployed in %s: which --path?", only.n,
			options->root);
	return only.n == 0 ? HOOK_UNAVAILABLE : HOOK_USAGE;
}

/* A deployment that is under way comes to its end, at the latest after its own --timeout. */
static int wait_for_lock(
	const struct git_deploy_options *options, const struct deploy_root *root, int *lockp)
{
	int64_t end = hook_pace_now() + options->timeout;
	int r = deploy_root_lock(root, lockp);

	if (r == -EBUSY)
		hook_log(HOOK_LOG_INFO, "waiting for a deployment that is under way");
	while (r == -EBUSY && hook_pace_now() < end) {
		usleep(50000);
		r = deploy_root_lock(root, lockp);
	}
	if (r < 0)
		hook_log(HOOK_LOG_ERROR, "%s: %s", root->path,
			r == -EBUSY ? "a deployment is under way" : strerror(-r));
	return r;
}

/* Takes over the lock. */
static enum hook_exit run_post(const struct git_deploy_options *options,
	const struct deploy_root *root, const struct deploy_target *target, int lock)
{
	struct hook_loop loop = { .signals = -1 };
	struct git_deploy_run run;
	int r = hook_loop_init(&loop); /* first: how a child ends must not be ignored */

	git_deploy_run_init(&run, options, root);
	if (r == 0)
		r = git_deploy_run_post(&run, &target->live, lock);
	else
		close(lock);
	if (r == 0)
		git_deploy_run_advance(&run, hook_loop_wait_child(&loop, &run.child), NULL, NULL);
	if (r < 0 || run.code != HOOK_OK)
		hook_log(HOOK_LOG_ERROR, "--post: %s", r < 0 ? strerror(-r) : run.why);
	hook_loop_done(&loop);
	return r < 0 ? HOOK_IO : run.code;
}

static enum hook_exit roll_back(
	const struct git_deploy_options *options, const struct deploy_root *root, const char *path)
{
	int lock, r = wait_for_lock(options, root, &lock);
	char why[DEPLOY_WHY_SIZE];
	struct deploy_target target;
	enum hook_exit code;

	if (r < 0)
		return r == -EBUSY ? HOOK_TIMEOUT : HOOK_IO;
	code = deploy_target_rollback(root, path, &target, why);
	if (code != HOOK_OK)
		hook_log(HOOK_LOG_ERROR, "%s", why);
	else
		hook_log(HOOK_LOG_INFO, "%s is at %s again", path, target.live.commit);
	if (code == HOOK_OK && options->post)
		code = run_post(options, root, &target, lock);
	else
		close(lock);
	return code;
}

static enum hook_exit resume(
	const struct git_deploy_options *options, const struct deploy_root *root, const char *path)
{
	int lock, r = wait_for_lock(options, root, &lock);

	if (r < 0)
		return r == -EBUSY ? HOOK_TIMEOUT : HOOK_IO;
	r = deploy_release_hold(root, path, "");
	if (r < 0)
		hook_log(HOOK_LOG_ERROR, "%s: %s", path, strerror(-r));
	close(lock);
	return r < 0 ? HOOK_IO : HOOK_OK;
}

/* Does something to one target; who follows looks at it then. */
static enum hook_exit intervene(const struct git_deploy_options *options,
	enum hook_exit (*action)(const struct git_deploy_options *options,
		const struct deploy_root *root, const char *path))
{
	char path[DEPLOY_PATH_SIZE];
	struct deploy_root root;
	enum hook_exit code;

	if (open_root(options, &root) < 0)
		return HOOK_CONFIG;
	code = choose_path(options, &root, path);
	if (code == HOOK_OK) {
		code = action(options, &root, path);
		deploy_root_nudge(&root);
	}
	deploy_root_done(&root);
	return code;
}

int git_deploy_rollback(const struct git_deploy_options *options)
{
	return intervene(options, roll_back);
}

int git_deploy_resume(const struct git_deploy_options *options)
{
	return intervene(options, resume);
}

static void print_release(void *data, const struct deploy_record *record)
{
	printf("  kept: %s  made %s%s\n", record->commit, record->time,
		record->taken_back ? ", taken back" : "");
}

static void print_target(void *data, const char *path)
{
	const struct deploy_root *root = data;
	char why[DEPLOY_WHY_SIZE] = "", held[DEPLOY_ID_SIZE];
	struct deploy_target target;

	if (deploy_target_look(root, path, &target, why) != HOOK_OK)
		printf("%s: %s\n", path, why);
	else if (target.state != DEPLOY_LIVE)
		printf("%s: nothing is deployed\n", path);
	else
		printf("%s: %s  made %s%s\n", path, target.live.commit, target.live.time,
			target.live.post_pending ? ", --post is due" : "");
	if (deploy_release_held(root, path, held) == 0 && held[0])
		printf("  held: %s\n", held);
	deploy_release_each(root, path, print_release, NULL);
}

static int print_root(const struct git_deploy_options *options)
{
	struct deploy_root root;
	int r;

	if (open_root(options, &root) < 0)
		return HOOK_CONFIG;
	r = root.own < 0 ? 0 : deploy_record_each_path(&root, print_target, &root);
	deploy_root_done(&root);
	return r < 0 ? HOOK_IO : HOOK_OK;
}

static void print_host(const struct deploy_status *host)
{
	const char *phase = host->phase[0] ? host->phase : "?";

	printf("%-20s %-9s current %-12.12s desired %-12.12s %s %s\n", host->host, phase,
		host->current[0] ? host->current : "-", host->desired[0] ? host->desired : "-",
		host->time, host->message);
}

static int print_fleet(const struct git_deploy_options *options)
{
	struct deploy_status_list list = { 0 };
	int r = deploy_status_list_read(options->status_dir, &list);

	if (r < 0) {
		hook_log(HOOK_LOG_ERROR, "%s: %s", options->status_dir, strerror(-r));
		return deploy_code_of_errno(-r);
	}
	for (size_t i = 0; i < list.n; i++)
		print_host(&list.hosts[i]);
	deploy_status_list_done(&list);
	return HOOK_OK;
}

int git_deploy_status(const struct git_deploy_options *options)
{
	return options->status_dir ? print_fleet(options) : print_root(options);
}
