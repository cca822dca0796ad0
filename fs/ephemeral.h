/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

struct fs;
struct fs_special;
struct zk_acl;
struct zk_blob;
struct zk_op;
struct zk_stat;

/*
 * The ephemerals that this mount owns.
 *
 * Each is kept as it is in ZooKeeper, with its last data, and watched. When the session has expired
 * they are made again in the new one, under their full names, so that a sequential one is not doubled.
 * What somebody else holds by then is left alone. One that was removed, by whomever, is forgotten.
 *
 * A lease belongs to an open file (special.h) as well: with that it goes. What is to go is deleted,
 * again and again if need be, until it is gone or its session is over.
 */

enum fs_ephemeral_job {
	FS_EPHEMERAL_IDLE,
	FS_EPHEMERAL_LOOKS,
	FS_EPHEMERAL_MAKES,
	FS_EPHEMERAL_GOES
};

struct fs_ephemeral {
	struct fs *fs;
	char *path;
	struct zk_blob *data; /* a reference; as last seen, or written */
	struct zk_acl *acl;   /* NULL: that of all new znodes */
	int64_t session;      /* whose it is; not that of now: it is to be made again */
	int64_t czxid;        /* 0: not known yet */
	int64_t mzxid;        /* of `data` */

	bool is_lease;
	struct fs_special *holder; /* of a lease, as long as that is open; not a reference */
	TAILQ_ENTRY(fs_ephemeral) holder_link;

	bool leaving;  /* it is to go */
	bool detached; /* of no interest any more: freed when its job is done */
	bool stale;    /* is to be looked at */
	bool blind;    /* its data may not be read */
	bool wants;    /* a watch */
	bool watched;
	enum fs_ephemeral_job job; /* under way */
	struct zk_op *op;          /* of that */
	int64_t retry_at;          /* fs_clock_now(); nothing is done before */
	UT_hash_handle hh;
	LIST_ENTRY(fs_ephemeral) link;
};

TAILQ_HEAD(fs_leases, fs_ephemeral);

struct fs_ephemerals {
	struct fs_ephemeral *by_path;  /* oldest first */
	size_t n_leases;               /* among them */
	LIST_HEAD(, fs_ephemeral) all; /* and those that are detached */
	int64_t due;                   /* when fs_ephemerals_run has something to do */
};

void fs_ephemerals_init(struct fs *fs);
void fs_ephemerals_done(struct fs *fs);
/* What is due. Returns when to call it again (fs_clock_now()), or INT64_MAX. */
int64_t fs_ephemerals_run(struct fs *fs);

/* One was made. `holder`: the open file that it is to go with, or NULL. 0 or -ENOMEM. */
int fs_ephemeral_add(struct fs *fs, const char *path, struct zk_blob *data,
	const struct zk_stat *stat, struct fs_special *holder);
/* It is not known whether one was made. It is to go if it was. */
void fs_ephemeral_doubt(struct fs *fs, const char *path);
/* The open file is closed: its leases go. */
void fs_ephemerals_release(struct fs_leases *leases);

/* What was done to a znode through this mount, for the case that it is one of them. */
void fs_ephemeral_written(struct fs *fs, const char *path, struct zk_blob *data, int64_t mzxid);
void fs_ephemeral_removed(struct fs *fs, const char *path);
void fs_ephemeral_acl_set(struct fs *fs, const char *path, const struct zk_acl *acl);

/* A rename made it anew, as one of ours, whose ever it was: takes it out (NULL: it is not among
 * them), and puts it (or a new one) in. `session`: of when that was sent. If it is over by now, and the
 * ephemeral with it, that is made again. */
struct fs_ephemeral *fs_ephemeral_take(struct fs *fs, const char *path);
void fs_ephemeral_put(struct fs *fs, struct fs_ephemeral *ephemeral, const char *path,
	struct zk_blob *data, const struct zk_acl *acl, int64_t session);

/* The session of now. */
int64_t fs_ephemerals_session(const struct fs *fs);

/* What the watcher of watch.c is told. */
void fs_ephemeral_fired(struct fs *fs, const char *path);
void fs_ephemeral_missed(struct fs *fs, const char *path);
void fs_ephemerals_lost(struct fs *fs);
void fs_ephemerals_connected(struct fs *fs);
