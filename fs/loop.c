/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop. */
#include "fs/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

#include "fs/clock.h"
#include "fs/log.h"
#include "fs/notifier.h"
#include "zk/client.h"

/* A close and the next open come together mostly. Then others in the loop have their turn. */
#define REQUESTS_PER_TURN 8

enum { SOURCE_SIGNAL, SOURCE_CLIENT, SOURCE_SESSION, SOURCE_NOTIFIER, SOURCE_MOUNTS, N_SOURCES };

static int add_events(struct fs_loop *loop, int fd, uint32_t events, uint32_t source)
{
	struct epoll_event event = { .events = events, .data.u32 = source };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int add_source(struct fs_loop *loop, int fd, uint32_t source)
{
	return add_events(loop, fd, EPOLLIN, source);
}

int fs_loop_init(struct fs_loop *loop)
{
	sigset_t signals;

	*loop = (struct fs_loop){ .epoll_fd = -1, .signal_fd = -1, .mounts_fd = -1 };
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	loop->buffer = calloc(1, sizeof(struct fuse_buf));
	if (!loop->buffer)
		return -ENOMEM;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return -errno;
	loop->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->signal_fd < 0)
		return -errno;
	return add_source(loop, loop->signal_fd, SOURCE_SIGNAL);
}

void fs_loop_done(struct fs_loop *loop)
{
	struct fuse_buf *buffer = loop->buffer;

	if (loop->signal_fd >= 0)
		close(loop->signal_fd);
	if (loop->mounts_fd >= 0)
		close(loop->mounts_fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (buffer)
		free(buffer->mem);
	free(buffer);
}

int fs_loop_add_client(struct fs_loop *loop, struct zk_client *zk)
{
	loop->zk = zk;
	return add_source(loop, zk_client_fd(zk), SOURCE_CLIENT);
}

int fs_loop_add_session(struct fs_loop *loop, struct fuse_session *session)
{
	int fd = fuse_session_fd(session), flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	loop->session = session;
	return add_source(loop, fd, SOURCE_SESSION);
}

int fs_loop_add_notifier(struct fs_loop *loop, const struct fs_notifier *notifier)
{
	int r = add_source(loop, fs_notifier_fd(notifier), SOURCE_NOTIFIER);

	if (r < 0)
		return r;
	loop->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (loop->mounts_fd < 0)
		return -errno;
	return add_events(loop, loop->mounts_fd, EPOLLPRI, SOURCE_MOUNTS);
}

static void take_signal(struct fs_loop *loop)
{
	struct signalfd_siginfo info;

	if (read(loop->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	loop->signal = (int)info.ssi_signo;
	loop->ended = true;
}

/* False: there was none. */
static bool take_request(struct fs_loop *loop)
{
	struct fuse_buf *buffer = loop->buffer;
	int r = fuse_session_receive_buf(loop->session, buffer);

	if (r > 0)
		fuse_session_process_buf(loop->session, buffer);
	else if (r == 0 || (r != -EINTR && r != -EAGAIN))
		loop->ended = true; /* unmounted, or the device is broken */
	if (fuse_session_exited(loop->session))
		loop->ended = true;
	return r > 0;
}

static void take_requests(struct fs_loop *loop, int max)
{
	for (int i = 0; i < max && take_request(loop); i++)
		;
}

void fs_loop_drain(struct fs_loop *loop)
{
	/* Who keeps asking must not keep us. */
	take_requests(loop, 10000);
}

/* Milliseconds to wait, rounded up. */
static int timeout_until(int64_t deadline)
{
	int64_t ms;

	if (deadline == INT64_MAX)
		return -1;
	ms = (deadline - fs_clock_now() + FS_MS - 1) / FS_MS;
	return ms < 0 ? 0 : ms > INT_MAX ? INT_MAX : (int)ms;
}

bool fs_loop_turn(struct fs_loop *loop, int64_t deadline)
{
	struct epoll_event events[N_SOURCES];
	int n = epoll_wait(loop->epoll_fd, events, N_SOURCES, timeout_until(deadline));

	for (int i = 0; i < n; i++) {
		switch (events[i].data.u32) {
		case SOURCE_SIGNAL:
			take_signal(loop);
			break;
		case SOURCE_CLIENT:
			zk_client_dispatch(loop->zk);
			break;
		case SOURCE_SESSION:
			if (!loop->ended)
				take_requests(loop, REQUESTS_PER_TURN);
			break;
		case SOURCE_NOTIFIER:
			break; /* the caller looks after it */
		case SOURCE_MOUNTS:
			loop->mounts_changed = true;
			break;
		}
	}
	return n != 0 || fs_clock_now() < deadline;
}
