/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following the file: what is wanted, what is live, and a run as long as they differ.
 *
 * Nothing is remembered but what was last read: what is live is looked up at the tree itself each
 * time, so a restart, a kill in the middle, a rollback by hand or a tree that somebody has removed are
 * no cases of their own. A value that cannot be read, or is gone, changes nothing; one that makes no
 * sense is reported, and changes nothing either.
 */
#include "hooks/git_deploy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "hooks/deploy_release.h"
#include "hooks/deploy_report.h"
#include "hooks/deploy_status.h"
#include "hooks/git_deploy_run.h"
#include "hooks/lib/file.h"
#include "hooks/lib/log.h"
#include "hooks/lib/loop.h"
#include "hooks/lib/pace.h"
#include "hooks/lib/state.h"

#define LOCK_PERIOD (HOOK_NS_PER_S / 5)
#define REFUSED_PERIOD (60 * HOOK_NS_PER_S)

struct follower {
	const struct git_deploy_options *options;
	struct hook_loop loop;
	struct hook_watch *watch;
	struct hook_watch *by_hand; /* what somebody does at the root */
	struct hook_pace pace;
	struct deploy_root root;
	struct git_deploy_run run;
	struct hook_bytes text;      /* what the file holds */
	bool is_there;               /* the file, when it was last looked for */
	struct deploy_config wanted; /* url NULL: nothing that could be deployed */
	int64_t due;                 /* when to compare, and to act */
	int64_t not_before;          /* a new value is not deployed before: --splay */
	bool post_tried; /* --post for the tree that is live still, while that is wanted */
	unsigned tries;  /* runs in a row that failed */
	struct deploy_report report;
	struct deploy_status status;
	struct deploy_status told; /* as it was last told */
	char *owner;
	int64_t give_up; /* with --once: waiting for the lock, and nothing else */
	bool finished;   /* there is nothing to do until something happens */
};

static bool is_bad(const char *phase)
{
	return strcmp(phase, "failed") == 0 || strcmp(phase, "refused") == 0;
}

/* Each change is told once: in the log, to systemd, and in the status. */
__attribute__((format(printf, 4, 5))) static void tell(
	struct follower *follower, const char *phase, enum hook_exit code, const char *format, ...)
{
	struct deploy_status *status = &follower->status;
	va_list args;

	va_start(args, format);
	vsnprintf(status->message, sizeof(status->message), format, args);
	va_end(args);
	snprintf(status->phase, sizeof(status->phase), "%s", phase);
	snprintf(status->desired, sizeof(status->desired), "%s", follower->wanted.commit);
	snprintf(status->path, sizeof(status->path), "%s", follower->wanted.path);
	status->code = code;
	if (memcmp(&follower->told, status, sizeof(*status)) == 0)
		return;
	deploy_stamp(status->time);
	follower->told = *status;
	hook_log(is_bad(phase) ? HOOK_LOG_WARNING : HOOK_LOG_INFO, "%s%s%s", phase,
		status->message[0] ? ": " : "", status->message);
	hook_loop_status(&follower->loop, status->message[0] ? status->message : phase);
	if (!follower->options->common.dry_run)
		deploy_report_set(&follower->report, deploy_status_format(status));
}

/* With --once, that was all. */
static void rest(struct follower *follower, int64_t wait)
{
	follower->due = wait == INT64_MAX ? wait : hook_pace_now() + wait;
	follower->finished = true;
}

/* Compares, and acts, as soon as that is allowed; if there is anything to compare with. */
static void wake(struct follower *follower)
{
	int64_t now = hook_pace_now();

	if (!follower->wanted.url || !follower->is_there)
		return;
	follower->due = now > follower->not_before ? now : follower->not_before;
	follower->finished = false;
}

/* What is not allowed, or makes no sense, is looked at again, as links and folders may change. */
static void failed(struct follower *follower, enum hook_exit code, const char *why)
{
	if (code == HOOK_POLICY || code == HOOK_DATA) {
		tell(follower, "refused", code, "%s", why);
		rest(follower, REFUSED_PERIOD);
		return;
	}
	tell(follower, "failed", code, "%s", why);
	rest(follower, hook_pace_backoff(follower->tries++));
}

static bool is_same(const struct deploy_config *a, const struct deploy_config *b)
{
	return a->url && b->url && strcmp(a->url, b->url) == 0 &&
	       strcmp(a->commit, b->commit) == 0 && strcmp(a->path, b->path) == 0;
}

static int64_t splay_of(const struct git_deploy_options *options)
{
	const char *const keys[] = { options->name, NULL };

	return options->splay ? (int64_t)(hook_state_hash(keys) % (uint64_t)options->splay) : 0;
}

/* A host that waits already goes on waiting, for the newest. */
static void splay(struct follower *follower)
{
	int64_t now = hook_pace_now();

	if (follower->not_before <= now)
		follower->not_before = now + splay_of(follower->options);
	if (follower->not_before > now && follower->wanted.url)
		tell(follower, "waiting", HOOK_OK, "%.12s, for %lld s (--splay)",
			follower->wanted.commit,
			(long long)((follower->not_before - now) / HOOK_NS_PER_S));
}

/* What is under way for another value is given up, as long as nobody has seen anything of it. */
static void want(struct follower *follower, struct deploy_config *config)
{
	bool changed = !is_same(&follower->wanted, config);

	deploy_config_done(&follower->wanted);
	follower->wanted = *config;
	if (!changed)
		return;
	follower->tries = 0;
	follower->post_tried = false;
	if (git_deploy_run_is_before_publication(&follower->run))
		hook_child_end(&follower->run.child);
	splay(follower);
	wake(follower);
}

static void take_value(struct follower *follower, struct hook_bytes *text)
{
	struct deploy_config config = { 0 };
	char why[DEPLOY_WHY_SIZE] = "";
	enum hook_exit code;

	hook_bytes_move(&follower->text, text);
	code = deploy_config_parse(
		follower->text.data, follower->text.size, &follower->options->policy, &config, why);
	want(follower, &config);
	if (code != HOOK_OK)
		failed(follower, code, why);
}

static void not_there(struct follower *follower)
{
	if (!follower->text.data)
		tell(follower, "waiting", HOOK_UNAVAILABLE, "%s is not there",
			follower->options->config);
	else if (follower->is_there)
		hook_log(HOOK_LOG_WARNING, "%s is not there; what is deployed stays",
			follower->options->config);
	follower->is_there = false;
	follower->finished = true;
}

static void unreadable(struct follower *follower, int r)
{
	if (!follower->text.data)
		tell(follower, "waiting", HOOK_IO, "%s: %s", follower->options->config,
			strerror(-r));
	else if (follower->pace.failures == 1)
		hook_log(HOOK_LOG_WARNING, "%s: %s", follower->options->config, strerror(-r));
	follower->finished = true;
}

/* Watch, then read; and read again if something happened meanwhile. */
static void look(struct follower *follower)
{
	struct hook_bytes text = { 0 };
	int r = hook_watch_update(follower->watch);

	if (r == 0)
		r = hook_file_read(hook_watch_path(follower->watch), &text);
	hook_pace_looked(&follower->pace, hook_pace_now(), r < 0 && r != -ENOENT);
	if (r == -ENOENT) {
		not_there(follower);
	} else if (r < 0) {
		unreadable(follower, r);
	} else if (hook_watch_take(follower->watch)) {
		hook_pace_touched(&follower->pace, hook_pace_now());
	} else {
		follower->is_there = true;
		if (!hook_bytes_equal(&follower->text, &text))
			take_value(follower, &text);
		else if (follower->tries == 0)
			wake(follower); /* is it all as it should be still? */
	}
	hook_bytes_done(&text);
}

/* Asked before a tree is published: what has happened to the file since it was last read? */
static bool is_wanted(void *data)
{
	struct follower *follower = data;
	struct hook_bytes text = { 0 };
	bool same;

	if (follower->loop.ended || !is_same(&follower->wanted, &follower->run.config))
		return false;
	if (hook_file_read(hook_watch_path(follower->watch), &text) < 0)
		return true; /* nothing is known that speaks against it */
	same = hook_bytes_equal(&text, &follower->text);
	hook_bytes_done(&text);
	if (!same)
		hook_pace_touched(&follower->pace, hook_pace_now());
	return same;
}

static void deployed(struct follower *follower)
{
	tell(follower, "deployed", HOOK_OK, "%s is at %s", follower->wanted.path,
		follower->wanted.commit);
	follower->tries = 0;
	rest(follower, INT64_MAX);
}

/* Of a run for what is not wanted any more, nothing is told: it is about the newer value. */
static void tell_step(struct follower *follower)
{
	static const char *const phases[] = {
		[GIT_DEPLOY_PREPARING] = "fetching",
		[GIT_DEPLOY_CHECKING] = "checking",
		[GIT_DEPLOY_POSTING] = "posting",
	};
	const struct git_deploy_run *run = &follower->run;

	if (run->step >= GIT_DEPLOY_POSTING && run->published)
		strcpy(follower->status.current, run->config.commit);
	if (run->step == GIT_DEPLOY_CLEARING || !is_same(&follower->wanted, &run->config))
		return;
	if (run->step == GIT_DEPLOY_PRUNING)
		deployed(follower);
	else
		tell(follower, phases[run->step], HOOK_OK, "%.12s", run->config.commit);
}

/* Nothing can be done before somebody else lets the lock go. */
static void locked(struct follower *follower)
{
	tell(follower, "waiting", HOOK_TIMEOUT, "another process works in %s", follower->root.path);
	follower->due = hook_pace_now() + LOCK_PERIOD;
	follower->finished = hook_pace_now() > follower->give_up;
}

static void held_back(struct follower *follower)
{
	tell(follower, "held", HOOK_POLICY, "a rollback has taken %s back",
		follower->wanted.commit);
	rest(follower, REFUSED_PERIOD);
}

static void begin(struct follower *follower, const struct deploy_record *live, bool post_only)
{
	int r;

	if (follower->options->common.dry_run) {
		hook_log(HOOK_LOG_INFO, "would deploy %s of %s as %s/%s", follower->wanted.commit,
			follower->wanted.url, follower->root.path, follower->wanted.path);
		rest(follower, INT64_MAX);
		return;
	}
	r = post_only ? git_deploy_run_post(&follower->run, live, -1)
		      : git_deploy_run_begin(&follower->run, &follower->wanted, live);
	if (r == -EBUSY)
		locked(follower);
	else if (r == -EALREADY)
		wake(follower);
	else if (r < 0)
		failed(follower, HOOK_IO, strerror(-r));
	else
		tell_step(follower);
}

/* 1: a rollback forbids what is wanted; 0: it does not; -errno. The ban of anything else is over. */
static int is_held(struct follower *follower)
{
	const char *path = follower->wanted.path;
	char held[DEPLOY_ID_SIZE];
	int r = deploy_release_held(&follower->root, path, held);

	if (r < 0 || !held[0])
		return r;
	if (strcmp(held, follower->wanted.commit) == 0)
		return 1;
	return follower->options->common.dry_run ? 0
						 : deploy_release_hold(&follower->root, path, "");
}

/* The old tree's --post is still due, and what is wanted instead cannot be had, or must not be. */
static bool is_post_due(
	struct follower *follower, const struct deploy_target *target, bool is_live, bool held)
{
	if (!follower->options->post || !target->live.post_pending)
		return false;
	if (is_live || held)
		return true;
	if (follower->tries == 0 || follower->post_tried)
		return false;
	follower->post_tried = true;
	return true;
}

static void decide(struct follower *follower, const struct deploy_target *target)
{
	bool is_live = strcmp(target->live.commit, follower->wanted.commit) == 0;
	int held = is_held(follower);

	if (held < 0)
		failed(follower, HOOK_IO, strerror(-held));
	else if (is_post_due(follower, target, is_live, held))
		begin(follower, &target->live, true);
	else if (is_live)
		deployed(follower);
	else if (held)
		held_back(follower);
	else if (target->state == DEPLOY_FOREIGN && !follower->options->adopt)
		failed(follower, HOOK_POLICY,
			"the target has files in it that were not deployed (--adopt replaces it)");
	else
		begin(follower, &target->live, false);
}

/* Somebody may have removed the folder, or replaced it. */
static enum hook_exit refresh_root(struct follower *follower, char *why)
{
	const struct git_deploy_options *options = follower->options;
	int r;

	if (follower->root.fd >= 0 && deploy_root_is_current(&follower->root))
		return HOOK_OK;
	deploy_root_done(&follower->root);
	r = deploy_root_open(options->root, !options->common.dry_run, &follower->root);
	if (r == 0)
		return HOOK_OK;
	return deploy_fail(why, HOOK_IO, "--root %s: %s", options->root, strerror(-r));
}

/* Compares what is live with what is wanted. */
static void compare(struct follower *follower)
{
	struct deploy_target target = { .state = DEPLOY_ABSENT };
	char why[DEPLOY_WHY_SIZE] = "";
	enum hook_exit code = refresh_root(follower, why);

	if (code == HOOK_OK)
		code = deploy_target_look(&follower->root, follower->wanted.path, &target, why);
	strcpy(follower->status.current, target.live.commit);
	if (code != HOOK_OK)
		failed(follower, code, why);
	else
		decide(follower, &target);
}

/* What a run for another value has come to is not told of what is wanted now. */
static void advance(struct follower *follower, int status)
{
	struct git_deploy_run *run = &follower->run;
	bool matters = is_same(&follower->wanted, &run->config) ||
		       (run->step == GIT_DEPLOY_POSTING && !run->published);
	bool given_up = run->child.ended_by_us && !run->child.timed_out;

	if (!git_deploy_run_advance(run, status, is_wanted, follower)) {
		if (!given_up)
			tell_step(follower);
		return;
	}
	if (matters && run->code != HOOK_OK)
		failed(follower, run->code, run->why);
	else
		wake(follower);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Does what can be done now; gives when there is more to do. */
static int64_t act(struct follower *follower)
{
	int64_t now = hook_pace_now(), next;
	int status;

	if (hook_watch_take(follower->watch))
		hook_pace_touched(&follower->pace, now);
	if (follower->by_hand && hook_watch_take(follower->by_hand)) {
		hook_watch_update(follower->by_hand);
		wake(follower);
	}
	if (hook_child_check(&follower->run.child, &status))
		advance(follower, status);
	if (now >= follower->pace.due)
		look(follower);
	if (hook_pace_now() >= follower->report.again)
		deploy_report_check(&follower->report);
	next = earlier(follower->pace.due, follower->report.again);
	if (follower->run.step != GIT_DEPLOY_IDLE || !follower->wanted.url || !follower->is_there ||
		hook_pace_is_touched(&follower->pace))
		return next;
	if (hook_pace_now() >= follower->due)
		compare(follower);
	return follower->run.step == GIT_DEPLOY_IDLE ? earlier(next, follower->due) : next;
}

static bool is_over(const struct follower *follower)
{
	return follower->loop.ended || (follower->options->common.once && follower->finished &&
					       follower->run.step == GIT_DEPLOY_IDLE);
}

static void serve(struct follower *follower)
{
	int64_t next = act(follower);

	if (!follower->loop.ready)
		hook_loop_status(&follower->loop, "following the file");
	while (!is_over(follower)) {
		hook_loop_wait(&follower->loop, follower->watch, &follower->run.child, next);
		if (!follower->loop.ended)
			next = act(follower);
	}
	if (follower->run.child.pid)
		hook_loop_wait_child(&follower->loop, &follower->run.child);
}

/* Without it, what is done by hand is seen a minute later. */
static void watch_hands(struct follower *follower)
{
	char *path = NULL;

	if (asprintf(&path, "%s/" DEPLOY_BY_HAND, follower->root.own_path) < 0)
		return;
	if (hook_watch_new(path, &follower->by_hand) == 0)
		hook_watch_update(follower->by_hand);
	follower->loop.also = follower->by_hand;
	free(path);
}

/* Who may replace our status: a process of this machine that does the same. Never the id itself. */
static char *make_owner(const struct deploy_root *root, const char *config)
{
	sd_id128_t application =
		SD_ID128_MAKE(6b, 1c, 1f, 0e, 55, 2a, 4d, 0c, 9b, 5d, 21, 0e, 67, 7d, 35, 84);
	sd_id128_t id = SD_ID128_NULL;
	char *owner = NULL;

	sd_id128_get_machine_app_specific(application, &id);
	if (asprintf(&owner, SD_ID128_FORMAT_STR ":%s:%s", SD_ID128_FORMAT_VAL(id), root->path,
		    config) < 0)
		return NULL;
	return owner;
}

static int prepare(struct follower *follower)
{
	const struct git_deploy_options *options = follower->options;
	int r = deploy_root_open(options->root, !options->common.dry_run, &follower->root);

	if (r < 0) {
		hook_log(HOOK_LOG_ERROR, "--root %s: %s", options->root, strerror(-r));
		return r;
	}
	r = hook_watch_new(options->config, &follower->watch);
	if (r == 0)
		follower->owner = make_owner(&follower->root, hook_watch_path(follower->watch));
	if (r == 0 && !follower->owner)
		r = -ENOMEM;
	if (r == 0)
		r = deploy_report_init(&follower->report, options->status_dir, options->name,
			follower->owner, !options->common.once);
	if (r == 0)
		r = hook_loop_init(&follower->loop);
	if (r < 0)
		hook_log(HOOK_LOG_ERROR, "%s", strerror(-r));
	if (r == 0)
		watch_hands(follower);
	git_deploy_run_init(&follower->run, options, &follower->root);
	hook_pace_init(&follower->pace, options->settle, hook_pace_now());
	follower->give_up = hook_pace_now() + options->timeout;
	if (r == 0 && !options->common.dry_run)
		git_deploy_run_recover(&follower->run); /* else whoever has the lock does it */
	snprintf(follower->status.host, sizeof(follower->status.host), "%s", options->name);
	snprintf(follower->status.owner, sizeof(follower->status.owner), "%s",
		follower->owner ? follower->owner : "");
	return r;
}

static void done(struct follower *follower)
{
	git_deploy_run_done(&follower->run);
	deploy_report_done(&follower->report);
	hook_loop_done(&follower->loop);
	hook_watch_free(follower->watch);
	hook_watch_free(follower->by_hand);
	deploy_root_done(&follower->root);
	deploy_config_done(&follower->wanted);
	hook_bytes_done(&follower->text);
	free(follower->owner);
}

int git_deploy_follow(const struct git_deploy_options *options)
{
	struct follower follower = {
		.options = options,
		.loop.signals = -1,
		.root = { .fd = -1, .own = -1 },
		.run = { .lock = -1, .result = -1 },
		.report.lease.fd = -1,
	};
	int exit_code = HOOK_CONFIG;

	if (prepare(&follower) == 0) {
		serve(&follower);
		exit_code = options->common.once ? follower.status.code : HOOK_OK;
	}
	done(&follower);
	return exit_code;
}
