/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting: for a signal, a change, a child, a time. There is one thread and one wait; a hook is a
 * plain loop around it, and what it has to wait for is five descriptors, so poll(2) is enough.
 */
#include "hooks/lib/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "hooks/lib/options.h"
#include "hooks/lib/pace.h"

int hook_loop_init(struct hook_loop *loop)
{
	uint64_t usec = 0;
	sigset_t mask;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL); /* ignored, nobody would know how a child has ended */
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	*loop = (struct hook_loop){ .signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK) };
	if (loop->signals < 0)
		return -errno;
	if (sd_watchdog_enabled(0, &usec) > 0)
		loop->beat_period = (int64_t)usec * 1000 / 2;
	return 0;
}

void hook_loop_done(struct hook_loop *loop)
{
	if (loop->ready)
		sd_notify(0, "STOPPING=1");
	if (loop->signals >= 0)
		close(loop->signals);
}

void hook_loop_status(struct hook_loop *loop, const char *status)
{
	sd_notifyf(0, "%sSTATUS=%s", loop->ready ? "" : "READY=1\n", status);
	loop->ready = true;
}

static void beat(struct hook_loop *loop)
{
	int64_t now = hook_pace_now();

	if (loop->beat_period && now >= loop->next_beat) {
		sd_notify(0, "WATCHDOG=1");
		loop->next_beat = now + loop->beat_period;
	}
}

static struct timespec until(int64_t deadline)
{
	int64_t left = deadline - hook_pace_now();

	if (left < 0)
		left = 0;
	return (struct timespec){ left / HOOK_NS_PER_S, left % HOOK_NS_PER_S };
}

static void take_signals(struct hook_loop *loop)
{
	struct signalfd_siginfo info;

	while (read(loop->signals, &info, sizeof(info)) == sizeof(info))
		loop->ended = true;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void hook_loop_wait(struct hook_loop *loop, struct hook_watch *watch,
	const struct hook_child *child, int64_t deadline)
{
	/* poll passes over negative descriptors */
	struct pollfd fds[] = {
		{ .fd = loop->signals, .events = POLLIN },
		{ .fd = watch ? hook_watch_fd(watch) : -1, .events = POLLIN },
		{ .fd = watch ? hook_watch_mounts_fd(watch) : -1, .events = POLLPRI },
		{ .fd = child && child->pid ? child->fd : -1, .events = POLLIN },
		{ .fd = loop->also ? hook_watch_fd(loop->also) : -1, .events = POLLIN },
	};
	int n;

	if (child)
		deadline = earlier(deadline, hook_child_deadline(child));
	do {
		struct timespec left;

		beat(loop);
		left = until(loop->beat_period ? earlier(deadline, loop->next_beat) : deadline);
		n = ppoll(fds, sizeof(fds) / sizeof(fds[0]), &left, NULL);
	} while (n <= 0 && hook_pace_now() < deadline);
	if (fds[2].revents & POLLPRI)
		hook_watch_mounts_changed(watch);
	take_signals(loop);
}

int hook_loop_wait_child(struct hook_loop *loop, struct hook_child *child)
{
	int status = 0;

	while (!hook_child_check(child, &status)) {
		if (loop->ended)
			hook_child_end(child);
		hook_loop_wait(loop, NULL, child, INT64_MAX);
	}
	return status;
}
