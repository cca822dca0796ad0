/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zkfs(1): connect, mount, serve, unmount.
 *
 * The order matters: everything that can be wrong with the arguments is said before the servers are
 * asked, and nothing is mounted before they have answered; so a zkfs that fails leaves nothing
 * behind. At the end the mount goes first, then what was written and not yet acknowledged is waited
 * for, then the session is closed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fuse_lowlevel.h>

#include "fs/clock.h"
#include "fs/creation.h"
#include "fs/daemon.h"
#include "fs/device.h"
#include "fs/fill.h"
#include "fs/fs.h"
#include "fs/log.h"
#include "fs/loop.h"
#include "fs/mountpoint.h"
#include "fs/notice.h"
#include "fs/notifier.h"
#include "fs/options.h"
#include "fs/pages.h"
#include "fs/request.h"
#include "fs/tell.h"
#include "fs/watch.h"
#include "zk/client.h"
#include "zk/hosts.h"
#include "zk/op.h"

/* How long the last commits may take once nobody can wait for them any more. */
#define LAST_COMMITS_NS (800 * FS_MS)

/* How often a caller that had a harmless signal is looked after while it waits. */
#define SIGNAL_CHECK_NS (50 * FS_MS)

struct zkfs {
	struct fs_options options;
	struct fs_daemon daemon;
	struct fs_loop loop;
	struct zk_client *zk;
	struct fs fs;
	bool fs_ready;
	bool mounted;
};

static void log_debug(const char *message)
{
	fs_log(FS_LOG_DEBUG, "%s", message);
}

static void log_fuse(enum fuse_log_level level, const char *format, va_list args)
{
	static const enum fs_log_level levels[] = {
		[FUSE_LOG_EMERG] = FS_LOG_ERROR,
		[FUSE_LOG_ALERT] = FS_LOG_ERROR,
		[FUSE_LOG_CRIT] = FS_LOG_ERROR,
		[FUSE_LOG_ERR] = FS_LOG_ERROR,
		[FUSE_LOG_WARNING] = FS_LOG_WARNING,
		[FUSE_LOG_NOTICE] = FS_LOG_INFO,
		[FUSE_LOG_INFO] = FS_LOG_INFO,
		[FUSE_LOG_DEBUG] = FS_LOG_DEBUG,
	};
	char text[512];

	vsnprintf(text, sizeof(text), format, args);
	fs_log(levels[level], "%s", text);
}

static int fail(const struct zkfs *zkfs, const char *reason)
{
	fprintf(stderr, "zkfs: %s: %s\n", zkfs->options.hosts_text, reason);
	return -1;
}

static int connect_client(struct zkfs *zkfs)
{
	const struct fs_options *options = &zkfs->options;
	int64_t deadline = fs_clock_now() + options->op_timeout_ms * FS_MS;
	struct zk_client_options client_options = {
		.hosts = options->hosts,
		.auth = options->auth,
		.session_timeout_ms = options->session_timeout_ms,
		.op_timeout_ms = options->op_timeout_ms,
		.watches_max = options->watches,
		.packet_max = fs_packet_max(options),
		.debug = log_debug,
	};
	struct zk_client_info info;
	int r;

	r = zk_client_new(&client_options, &zkfs->zk);
	if (r == 0)
		r = fs_loop_add_client(&zkfs->loop, zkfs->zk);
	if (r < 0)
		return fail(zkfs, strerror(-r));
	while (!zk_client_connected(zkfs->zk)) {
		if (zkfs->loop.ended)
			return fail(zkfs, "interrupted");
		zk_client_get_info(zkfs->zk, &info);
		if (info.state == ZK_AUTH_FAILED)
			return fail(zkfs, "the servers refuse the credentials of auth_file");
		if (!fs_loop_turn(&zkfs->loop, deadline))
			return fail(zkfs, "no server answers");
	}
	return 0;
}

struct check {
	bool answered;
	int r;
};

static void root_seen(void *userdata, int r, const struct zk_reply *reply)
{
	*(struct check *)userdata = (struct check){ .answered = true, .r = r };
}

/* The chroot is not made: it must be there. */
static int check_root(struct zkfs *zkfs)
{
	const char *chroot = zkfs->options.hosts->chroot;
	struct check check = { 0 };
	int r;

	r = zk_exists(zkfs->zk, *chroot ? chroot : "/", 0, root_seen, &check, NULL);
	while (r == 0 && !check.answered && !zkfs->loop.ended)
		fs_loop_turn(&zkfs->loop, INT64_MAX);
	if (r == 0)
		r = check.answered ? check.r : -EINTR;
	if (r == -ENOENT)
		return fail(zkfs, "the chroot does not exist");
	return r < 0 ? fail(zkfs, strerror(-r)) : 0;
}

static int mount(struct zkfs *zkfs)
{
	int r;

	r = fs_init(&zkfs->fs, &zkfs->options, zkfs->zk);
	if (r < 0)
		return fail(zkfs, strerror(-r));
	zkfs->fs_ready = true;
	zkfs->fs.session = zkfs->loop.session;
	if (fuse_session_mount(zkfs->fs.session, zkfs->options.mountpoint) < 0)
		return -1; /* libfuse has said why */
	zkfs->mounted = true;
	r = fs_device_attach(zkfs->fs.session);
	if (r < 0)
		return fail(zkfs, strerror(-r));
	fs_mount_id_of(zkfs->options.mountpoint, &zkfs->fs.mount_id);
	r = fs_loop_add_session(&zkfs->loop, zkfs->fs.session);
	if (r < 0)
		return fail(zkfs, strerror(-r));
	while (!zkfs->fs.answers && !zkfs->loop.ended)
		fs_loop_turn(&zkfs->loop, INT64_MAX);
	if (zkfs->loop.ended)
		return -1;
	r = fs_notifier_new(zkfs->options.mountpoint, &zkfs->fs.mount_id, zkfs->fs.session,
		zkfs->options.events, &zkfs->fs.notifier);
	if (r == 0)
		r = fs_loop_add_notifier(&zkfs->loop, zkfs->fs.notifier);
	if (r < 0)
		return fail(zkfs, strerror(-r));
	fs_watch_init(&zkfs->fs);
	return 0;
}

/* Tells the log when the session comes and goes. */
static void log_session(const struct zkfs *zkfs, bool *was_connected)
{
	struct zk_client_info info;

	if (zk_client_connected(zkfs->zk) == *was_connected)
		return;
	*was_connected = !*was_connected;
	zk_client_get_info(zkfs->zk, &info);
	if (*was_connected)
		fs_log(FS_LOG_WARNING, "connected to %s, session 0x%llx", info.server,
			(unsigned long long)info.session_id);
	else
		fs_log(FS_LOG_WARNING, "connection lost");
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* What the events of one turn of the loop have made possible. Returns when there is more to do. */
static int64_t after_turn(struct zkfs *zkfs)
{
	struct fs *fs = &zkfs->fs;
	int64_t deadline;
	struct fs_job *job = fs->job ? fs_notifier_take(fs->notifier) : NULL;

	if (job)
		fs_tell_done(fs, job);
	if (zkfs->loop.mounts_changed && !fs_mount_id_is_there(&fs->mount_id))
		fs_notifier_let_go(fs->notifier);
	zkfs->loop.mounts_changed = false;
	fs_watch_make_room(fs);
	deadline = fs_fill_run(fs);
	deadline = sooner(deadline, fs_pages_run(fs));
	deadline = sooner(deadline, fs_watch_expire(fs));
	deadline = sooner(deadline, fs_ephemerals_run(fs));
	deadline = sooner(deadline, fs_creations_run(fs));
	return sooner(deadline, fs_tell_run(fs));
}

static void serve(struct zkfs *zkfs)
{
	bool was_connected = true;
	int64_t deadline = INT64_MAX;

	while (!zkfs->loop.ended) {
		fs_loop_turn(&zkfs->loop, deadline);
		deadline = after_turn(zkfs);
		if (fs_requests_check(&zkfs->fs))
			deadline = sooner(deadline, fs_clock_now() + SIGNAL_CHECK_NS);
		log_session(zkfs, &was_connected);
	}
}

/* Its system calls need our answers, so that it can come to an end. */
static void end_notifier(struct zkfs *zkfs, int64_t deadline)
{
	struct fs *fs = &zkfs->fs;

	while (fs->job && fs_clock_now() < deadline && !fs_notifier_take(fs->notifier)) {
		fs_loop_turn(&zkfs->loop, deadline);
		fs_loop_drain(&zkfs->loop);
	}
}

/* Takes the mount away and brings to an end what is still under way. */
static void unmount(struct zkfs *zkfs)
{
	int64_t deadline = fs_clock_now() + LAST_COMMITS_NS;

	if (zkfs->loop.signal != 0)
		fs_loop_drain(&zkfs->loop);
	end_notifier(zkfs, deadline);
	fuse_session_exit(zkfs->fs.session);
	if (zkfs->mounted)
		fuse_session_unmount(zkfs->fs.session);
	zkfs->fs.notifier = fs_notifier_free(zkfs->fs.notifier);
	fs_close_files(&zkfs->fs, zkfs->loop.signal != 0);
	while (fs_is_committing(&zkfs->fs) && fs_loop_turn(&zkfs->loop, deadline))
		;
}

static int run(struct zkfs *zkfs)
{
	int r;

	if (fs_mountpoint_clear(zkfs->options.mountpoint) < 0 || connect_client(zkfs) < 0 ||
		check_root(zkfs) < 0)
		return -1;
	r = mount(zkfs);
	if (r == 0) {
		fs_daemon_ready(&zkfs->daemon);
		serve(zkfs);
	}
	if (zkfs->fs_ready)
		unmount(zkfs);
	return r;
}

static int start(struct zkfs *zkfs)
{
	int r;

	fs_log_set_level(zkfs->options.log_level);
	fuse_set_log_func(log_fuse);
	zkfs->loop.session = NULL;
	if (!zkfs->options.foreground) {
		r = fs_daemon_start(&zkfs->daemon);
		if (r < 0)
			return fail(zkfs, strerror(-r));
	}
	r = fs_loop_init(&zkfs->loop);
	return r < 0 ? fail(zkfs, strerror(-r)) : 0;
}

int main(int argc, char **argv)
{
	static struct zkfs zkfs = { .daemon.ready_fd = -1 };
	struct fuse_session *session = NULL;
	int r = -1;

	switch (fs_options_parse(&zkfs.options, argc, argv)) {
	case FS_OPTIONS_HELP:
	case FS_OPTIONS_VERSION:
		fs_options_done(&zkfs.options);
		return EXIT_SUCCESS;
	case FS_OPTIONS_BAD:
		fs_options_done(&zkfs.options);
		return EXIT_FAILURE;
	case FS_OPTIONS_RUN:
		break;
	}
	if (start(&zkfs) == 0)
		session = fuse_session_new(
			&zkfs.options.fuse_args, &fs_ops, sizeof(fs_ops), &zkfs.fs);
	if (session) {
		zkfs.loop.session = session;
		r = run(&zkfs);
	}
	if (zkfs.fs_ready)
		fs_done(&zkfs.fs);
	zk_client_free(zkfs.zk);
	if (session)
		fuse_session_destroy(session);
	fs_loop_done(&zkfs.loop);
	fs_options_done(&zkfs.options);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
