/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The notifier's thread. What it shares with the loop is the job that is handed over, and a few
 * flags, all of them under one lock; it writes to the FUSE device by itself, as every thread may.
 *
 * Which call makes which event was measured (Linux 6.18); none but system calls makes any.
 */
#include "fs/notifier.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

#include "fs/log.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif

struct fs_notifier {
	const char *mountpoint;
	struct fs_mount_id mount_id;
	struct fuse_session *session;
	bool events;
	int done_fd;
	int clone_fd; /* of the mount; -1: none. The thread's own once that runs */
	pthread_t thread;
	bool started;

	pthread_mutex_t lock;
	pthread_cond_t cond;
	/* under the lock */
	pid_t tid;
	struct fs_job *todo, *done;
	bool let_go, stop;
};

/* The root of our mount, for one job, or -1. */
static int open_root(const struct fs_notifier *notifier)
{
	struct stat st;
	int fd;

	if (notifier->clone_fd >= 0)
		return notifier->clone_fd;
	fd = open(notifier->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && major(st.st_dev) == notifier->mount_id.major &&
		minor(st.st_dev) == notifier->mount_id.minor)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void close_root(const struct fs_notifier *notifier, int fd)
{
	if (fd >= 0 && fd != notifier->clone_fd)
		close(fd);
}

/* Only mtime: exactly one IN_MODIFY. Which time does not matter, the loop knows better. */
static int touch(int fd)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1 } };

	return futimens(fd, times);
}

static int modify(int root, const struct fs_job *job, bool touches)
{
	int fd = openat(root, job->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	int r;

	if (fd < 0)
		return -1;
	r = touches ? touch(fd) : 0;
	close(fd);
	return r;
}

static int create(int root, const struct fs_job *job)
{
	int fd = openat(root, job->path,
		O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0644);
	int r;

	if (fd < 0)
		return -1;
	r = job->has_data ? touch(fd) : 0;
	close(fd);
	return r;
}

static int make_event(int root, const struct fs_job *job)
{
	switch (job->event) {
	case FS_EVENT_NONE:
	case FS_N_EVENTS:
		return 0;
	case FS_EVENT_CREATE:
		return create(root, job);
	case FS_EVENT_MKDIR:
		return mkdirat(root, job->path, 0755);
	case FS_EVENT_MODIFY:
		return modify(root, job, true);
	case FS_EVENT_CLOSE_WRITE:
		return modify(root, job, false);
	case FS_EVENT_UNLINK:
		return unlinkat(root, job->path, 0);
	case FS_EVENT_RMDIR:
		return unlinkat(root, job->path, AT_REMOVEDIR);
	}
	return -1;
}

static void invalidate_name(const struct fs_notifier *notifier, const struct fs_job *job)
{
	fuse_lowlevel_notify_inval_entry(
		notifier->session, job->dir_id, job->name, strlen(job->name));
}

static void do_job(struct fs_notifier *notifier, struct fs_job *job)
{
	int root = -1, r = -1;

	if (job->inval_node)
		fuse_lowlevel_notify_inval_inode(notifier->session, job->node_id, 0, 0);
	if (job->inval_name)
		invalidate_name(notifier, job);
	if (job->event == FS_EVENT_NONE)
		return;
	if (notifier->events)
		root = open_root(notifier);
	if (root >= 0)
		r = make_event(root, job);
	if (r < 0 && notifier->events) {
		fs_log(FS_LOG_DEBUG, "event %d of %s: %s", (int)job->event, job->path,
			root < 0 ? "not mounted" : strerror(errno));
		job->failed = true;
	}
	close_root(notifier, root);
	if (job->lets_go)
		invalidate_name(notifier, job);
	/* Without the call nobody is told, but nobody must see what was before. */
	if (r < 0) {
		invalidate_name(notifier, job);
		fuse_lowlevel_notify_inval_inode(notifier->session, job->dir_id, 0, 0);
	}
}

static void drop_clone(struct fs_notifier *notifier)
{
	if (notifier->clone_fd >= 0)
		close(notifier->clone_fd);
	notifier->clone_fd = -1;
}

static void *notifier_thread(void *userdata)
{
	struct fs_notifier *notifier = userdata;
	struct fs_job *job;

	pthread_mutex_lock(&notifier->lock);
	notifier->tid = (pid_t)syscall(SYS_gettid);
	pthread_cond_broadcast(&notifier->cond);
	while (!notifier->stop) {
		job = notifier->todo;
		if (!job && !(notifier->let_go && notifier->clone_fd >= 0)) {
			pthread_cond_wait(&notifier->cond, &notifier->lock);
			continue;
		}
		notifier->todo = NULL;
		pthread_mutex_unlock(&notifier->lock);
		if (job)
			do_job(notifier, job);
		else
			drop_clone(notifier);
		pthread_mutex_lock(&notifier->lock);
		if (job) {
			notifier->done = job;
			eventfd_write(notifier->done_fd, 1);
		}
	}
	pthread_mutex_unlock(&notifier->lock);
	drop_clone(notifier);
	return NULL;
}

static int thread_start(struct fs_notifier *notifier)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&notifier->thread, NULL, notifier_thread, notifier);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		return -r;
	notifier->started = true;
	pthread_mutex_lock(&notifier->lock);
	while (notifier->tid == 0)
		pthread_cond_wait(&notifier->cond, &notifier->lock);
	pthread_mutex_unlock(&notifier->lock);
	return 0;
}

int fs_notifier_new(const char *mountpoint, const struct fs_mount_id *mount_id,
	struct fuse_session *session, bool events, struct fs_notifier **notifierp)
{
	struct fs_notifier *notifier = calloc(1, sizeof(*notifier));
	int r;

	if (!notifier)
		return -ENOMEM;
	notifier->mountpoint = mountpoint;
	notifier->mount_id = *mount_id;
	notifier->session = session;
	notifier->events = events;
	pthread_mutex_init(&notifier->lock, NULL);
	pthread_cond_init(&notifier->cond, NULL);
	notifier->clone_fd = -1;
	if (events)
		notifier->clone_fd = (int)syscall(
			SYS_open_tree, AT_FDCWD, mountpoint, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	notifier->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = notifier->done_fd < 0 ? -errno : thread_start(notifier);
	if (r < 0) {
		fs_notifier_free(notifier);
		return r;
	}
	*notifierp = notifier;
	return 0;
}

struct fs_notifier *fs_notifier_free(struct fs_notifier *notifier)
{
	if (!notifier)
		return NULL;
	if (notifier->started) {
		pthread_mutex_lock(&notifier->lock);
		notifier->stop = true;
		pthread_cond_broadcast(&notifier->cond);
		pthread_mutex_unlock(&notifier->lock);
		pthread_join(notifier->thread, NULL);
	}
	drop_clone(notifier);
	if (notifier->done_fd >= 0)
		close(notifier->done_fd);
	pthread_cond_destroy(&notifier->cond);
	pthread_mutex_destroy(&notifier->lock);
	free(notifier);
	return NULL;
}

int fs_notifier_fd(const struct fs_notifier *notifier)
{
	return notifier->done_fd;
}

pid_t fs_notifier_tid(const struct fs_notifier *notifier)
{
	return notifier->tid;
}

void fs_notifier_start(struct fs_notifier *notifier, struct fs_job *job)
{
	pthread_mutex_lock(&notifier->lock);
	notifier->todo = job;
	pthread_cond_signal(&notifier->cond);
	pthread_mutex_unlock(&notifier->lock);
}

struct fs_job *fs_notifier_take(struct fs_notifier *notifier)
{
	struct fs_job *job;
	eventfd_t count;

	eventfd_read(notifier->done_fd, &count);
	pthread_mutex_lock(&notifier->lock);
	job = notifier->done;
	notifier->done = NULL;
	pthread_mutex_unlock(&notifier->lock);
	return job;
}

void fs_notifier_let_go(struct fs_notifier *notifier)
{
	pthread_mutex_lock(&notifier->lock);
	notifier->let_go = true;
	pthread_cond_signal(&notifier->cond);
	pthread_mutex_unlock(&notifier->lock);
}
