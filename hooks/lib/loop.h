/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_LIB_LOOP_H
#define HOOKS_LIB_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "hooks/lib/child.h"
#include "hooks/lib/watch.h"

/* The one place where a hook waits. */
struct hook_loop {
	int signals;             /* signalfd */
	struct hook_watch *also; /* a second one to wait for, or NULL; the caller's */
	bool ended;              /* by SIGTERM, SIGINT or SIGHUP */
	bool ready;              /* systemd has been told */
	int64_t beat_period;     /* of the watchdog, in ns; 0: none */
	int64_t next_beat;
};

/* Blocks the signals that end us, and ignores SIGPIPE. */
int hook_loop_init(struct hook_loop *loop);
void hook_loop_done(struct hook_loop *loop);

/* Tells systemd, where it listens, that the hook works (the first time), and what it does. */
void hook_loop_status(struct hook_loop *loop, const char *status);

/*
 * Waits until one of: a signal (loop->ended is set), the deadline, something to take from watch, an
 * event or a deadline of child. Either may be NULL. Feeds the watchdog meanwhile.
 */
void hook_loop_wait(struct hook_loop *loop, struct hook_watch *watch,
	const struct hook_child *child, int64_t deadline);

/* Waits for the child's end, which comes soon when a signal ends us. Gives its status. */
int hook_loop_wait_child(struct hook_loop *loop, struct hook_child *child);

#endif
