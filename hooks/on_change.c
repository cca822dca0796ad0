/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zkfs-on-change: runs a command when the bytes of a file change.
 *
 * Two values decide all of it: what the file holds now, and what was last handled with success. As
 * long as they differ, there is a run to make; a run takes the newest value. What was handled is kept
 * on disk. It is taken away when a run begins, because what a run that failed has left behind is
 * unknown: then the next run is due whatever the value is.
 *
 * A file that is not there has no value. Nothing is run for that, and coming back unchanged is no
 * change: an unmounted tree looks like that too.
 */
#include "hooks/on_change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks/lib/file.h"
#include "hooks/lib/log.h"
#include "hooks/lib/loop.h"
#include "hooks/lib/pace.h"
#include "hooks/lib/state.h"

struct on_change {
	struct on_change_options options;
	struct hook_loop loop;
	struct hook_watch *watch;
	struct hook_pace pace;
	struct hook_child child;
	struct hook_bytes now;     /* what the file holds */
	struct hook_bytes running; /* what the child was started for */
	struct hook_bytes handled; /* what was last handled; data NULL: nothing, or unknown */
	char *snapshot;            /* path of the file that has the value for the command */
	int lock;
	bool looked;    /* at least once */
	bool stale;     /* the child was ended because of a newer value */
	unsigned tries; /* that failed since the value changed */
	int64_t retry_at;
	int look_error, run_error; /* of the last, for --once: a hook_exit */
};

static bool is_due(const struct on_change *oc)
{
	return oc->now.data && !hook_bytes_equal(&oc->now, &oc->handled) &&
	       oc->tries <= (unsigned long)oc->options.retries;
}

static void keep_handled(struct on_change *oc)
{
	int r;

	if (oc->options.common.dry_run)
		return;
	r = hook_file_replace(oc->options.state, oc->handled.data, oc->handled.size, 0600);
	if (r < 0)
		hook_log(HOOK_LOG_WARNING, "cannot write %s: %s", oc->options.state, strerror(-r));
}

static void forget_handled(struct on_change *oc)
{
	hook_bytes_done(&oc->handled);
	unlink(oc->options.state);
}

/* The first time that the file could be looked at: what is there may count as handled. */
static void decide_initial(struct on_change *oc)
{
	if (oc->looked)
		return;
	oc->looked = true;
	if (oc->options.initial == ON_CHANGE_ALWAYS)
		hook_bytes_done(&oc->handled);
	if (oc->options.initial == ON_CHANGE_NEVER && oc->now.data) {
		oc->handled.data = malloc(oc->now.size + 1);
		if (!oc->handled.data)
			return;
		memcpy(oc->handled.data, oc->now.data, oc->now.size + 1);
		oc->handled.size = oc->now.size;
		keep_handled(oc);
	}
}

static void take_value(struct on_change *oc, struct hook_bytes *value)
{
	bool changed = !hook_bytes_equal(&oc->now, value);

	hook_bytes_move(&oc->now, value);
	decide_initial(oc);
	if (!changed)
		return;
	oc->tries = 0;
	oc->retry_at = 0;
	if (oc->child.pid && oc->options.restart && oc->now.data) {
		oc->stale = true;
		hook_child_end(&oc->child);
	}
}

static void tell_error(struct on_change *oc, int r)
{
	oc->look_error = HOOK_IO;
	if (oc->pace.failures == 0)
		hook_log(HOOK_LOG_WARNING, "%s: %s", oc->options.path, strerror(-r));
}

/* Watch, then read; and read again if something happened meanwhile. */
static void look(struct on_change *oc)
{
	struct hook_bytes value = { 0 };
	int r = hook_watch_update(oc->watch);

	if (r == 0)
		r = hook_file_read(hook_watch_path(oc->watch), &value);
	hook_pace_looked(&oc->pace, hook_pace_now(), r < 0 && r != -ENOENT);
	if (r < 0 && r != -ENOENT) {
		tell_error(oc, r);
		return;
	}
	if (hook_watch_take(oc->watch)) {
		hook_pace_touched(&oc->pace, hook_pace_now());
		hook_bytes_done(&value);
		return;
	}
	oc->look_error = r < 0 ? HOOK_UNAVAILABLE : HOOK_OK;
	take_value(oc, &value);
}

static int write_snapshot(struct on_change *oc)
{
	int r = hook_file_replace(oc->snapshot, oc->now.data, oc->now.size, 0600);

	if (r < 0)
		hook_log(HOOK_LOG_ERROR, "cannot write %s: %s", oc->snapshot, strerror(-r));
	return r;
}

static void failed(struct on_change *oc, const char *why)
{
	int64_t wait = hook_pace_backoff(oc->tries++);

	oc->retry_at = hook_pace_now() + wait;
	if (oc->tries > (unsigned long)oc->options.retries)
		hook_log(HOOK_LOG_ERROR, "%s: %s; not tried again until %s changes",
			oc->options.command[0], why, oc->options.path);
	else
		hook_log(HOOK_LOG_WARNING, "%s: %s; tried again in %lld s", oc->options.command[0],
			why, (long long)(wait / HOOK_NS_PER_S));
}

static void copy_now(const struct on_change *oc, struct hook_bytes *to)
{
	struct hook_bytes copy = { malloc(oc->now.size + 1), oc->now.size };

	if (copy.data)
		memcpy(copy.data, oc->now.data, oc->now.size + 1);
	hook_bytes_move(to, &copy);
}

static void start_run(struct on_change *oc)
{
	int r;

	if (oc->options.common.dry_run) {
		hook_log(HOOK_LOG_INFO, "would run %s (%zu bytes)", oc->options.command[0],
			oc->now.size);
		copy_now(oc, &oc->handled);
		return;
	}
	forget_handled(oc);
	copy_now(oc, &oc->running);
	r = write_snapshot(oc);
	if (r == 0)
		r = hook_child_start(&oc->child, oc->options.command, oc->options.timeout);
	oc->stale = false;
	if (r < 0) {
		oc->run_error = HOOK_UNAVAILABLE;
		failed(oc, strerror(-r));
		return;
	}
	hook_loop_status(&oc->loop, "running the command");
}

static void finish_run(struct on_change *oc, int status)
{
	char why[64];

	hook_loop_status(&oc->loop, "waiting for a change");
	if (hook_child_succeeded(&oc->child, status, why, sizeof(why))) {
		oc->run_error = HOOK_OK;
		oc->tries = 0;
		hook_bytes_move(&oc->handled, &oc->running);
		keep_handled(oc);
		return;
	}
	oc->run_error = oc->child.timed_out ? HOOK_TIMEOUT : HOOK_UNAVAILABLE;
	if (!oc->stale && !oc->loop.ended)
		failed(oc, why);
}

/* Does what can be done now; gives when there is more to do. */
static int64_t act(struct on_change *oc)
{
	int64_t now = hook_pace_now(), next;
	int status;

	if (hook_watch_take(oc->watch))
		hook_pace_touched(&oc->pace, now);
	if (hook_child_check(&oc->child, &status))
		finish_run(oc, status);
	if (now >= oc->pace.due)
		look(oc);
	next = oc->pace.due;
	/* While it is being changed, the value that we have is an old one. */
	if (!is_due(oc) || oc->child.pid || oc->pace.limit != INT64_MAX)
		return next;
	if (now >= oc->retry_at)
		start_run(oc);
	return oc->retry_at > now && oc->retry_at < next ? oc->retry_at : next;
}

/* With --once there is nothing left to wait for. */
static bool is_finished(const struct on_change *oc)
{
	return oc->options.common.once && oc->pace.limit == INT64_MAX && !oc->child.pid &&
	       !is_due(oc);
}

static void serve(struct on_change *oc)
{
	int64_t next = act(oc);

	hook_loop_status(&oc->loop, oc->child.pid ? "running the command" : "waiting for a change");
	while (!oc->loop.ended && !is_finished(oc)) {
		hook_loop_wait(&oc->loop, oc->watch, &oc->child, next);
		if (!oc->loop.ended)
			next = act(oc);
	}
	if (oc->child.pid)
		finish_run(oc, hook_loop_wait_child(&oc->loop, &oc->child));
}

static int prepare(struct on_change *oc)
{
	int r = hook_state_lock(oc->options.state, &oc->lock);

	if (r == 0 && asprintf(&oc->snapshot, "%s.snapshot", oc->options.state) < 0)
		r = -ENOMEM;
	if (r == 0)
		r = hook_file_read(oc->options.state, &oc->handled);
	if (r == 0 || r == -ENOENT)
		r = hook_watch_new(oc->options.path, &oc->watch);
	if (r == 0)
		r = hook_loop_init(&oc->loop);
	if (r < 0) {
		hook_log(HOOK_LOG_ERROR, "%s: %s", oc->options.state,
			r == -EBUSY ? "another one is running with it" : strerror(-r));
		return r;
	}
	setenv("ZKFS_SNAPSHOT", oc->snapshot, 1);
	setenv("ZKFS_PATH", hook_watch_path(oc->watch), 1);
	hook_pace_init(&oc->pace, oc->options.settle, hook_pace_now());
	return 0;
}

static void done(struct on_change *oc)
{
	if (oc->snapshot)
		unlink(oc->snapshot);
	hook_loop_done(&oc->loop);
	hook_watch_free(oc->watch);
	hook_bytes_done(&oc->now);
	hook_bytes_done(&oc->running);
	hook_bytes_done(&oc->handled);
	if (oc->lock >= 0)
		close(oc->lock);
	free(oc->snapshot);
	free(oc->options.state);
}

static int exit_of_once(const struct on_change *oc)
{
	return oc->look_error ? oc->look_error : oc->run_error;
}

int main(int argc, char **argv)
{
	struct on_change oc = { .lock = -1, .loop.signals = -1 };
	int exit_code = HOOK_CONFIG;

	if (on_change_options_parse(&oc.options, argc, argv, &exit_code) == 0 &&
		prepare(&oc) == 0) {
		serve(&oc);
		exit_code = oc.options.common.once ? exit_of_once(&oc) : HOOK_OK;
	}
	done(&oc);
	return exit_code;
}
