/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fs_notifier;
struct fuse_session;
struct zk_client;

/*
 * The event loop: one thread, one epoll over the ZooKeeper client, the FUSE device and the signals
 * that end us. Nothing that it calls may block.
 */
struct fs_loop {
	int epoll_fd;
	int signal_fd;
	struct zk_client *zk;
	struct fuse_session *session; /* NULL until fs_loop_add_session */
	int mounts_fd;                /* /proc/self/mountinfo */
	bool mounts_changed;          /* since the caller has set it to false */
	void *buffer;                 /* a struct fuse_buf, for requests */
	bool ended;                   /* a signal came, or the file system was unmounted */
	int signal;                   /* the signal, or 0 */
};

/* Blocks SIGINT, SIGTERM and SIGHUP, to take them from the loop, and ignores SIGPIPE. Must come
 * before there are threads. 0 or a negative errno. */
int fs_loop_init(struct fs_loop *loop);
void fs_loop_done(struct fs_loop *loop);

int fs_loop_add_client(struct fs_loop *loop, struct zk_client *zk);
int fs_loop_add_session(struct fs_loop *loop, struct fuse_session *session);

/* Wakes up for jobs that are done, and for changes of the mounts. */
int fs_loop_add_notifier(struct fs_loop *loop, const struct fs_notifier *notifier);

/* Waits for events, at most until `deadline` (fs_clock_now(); INT64_MAX: for ever), and handles
 * them. False: the deadline has passed. */
bool fs_loop_turn(struct fs_loop *loop, int64_t deadline);

/* Handles the requests that the kernel has for us by now, also after the loop has ended. */
void fs_loop_drain(struct fs_loop *loop);
