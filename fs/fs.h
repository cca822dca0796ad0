/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <fuse_lowlevel.h>

#include "fs/ephemeral.h"
#include "fs/inode.h"
#include "fs/mountpoint.h"
#include "fs/notifier.h"
#include "zk/watch.h"

struct fs_calm;
struct fs_creation;
struct fs_device;
struct fs_dir;
struct fs_file;
struct fs_fill;
struct fs_job;
struct fs_notice;
struct fs_options;
struct fs_request;
struct fs_special;
struct zk_acl;
struct zk_client;

#define FS_PROBLEMS_MAX 8

/* The last things that went wrong without anybody to tell: for .zkfs/status. */
struct fs_problems {
	char text[FS_PROBLEMS_MAX][256];
	uint64_t n_total; /* the newest is at (n_total - 1) % FS_PROBLEMS_MAX */
};

/* An inode that the kernel is to be asked to let go of. */
struct fs_eviction {
	struct fs_inode *inode; /* a reference */
	STAILQ_ENTRY(fs_eviction) link;
};

/* What the kernel asks for, and what is watched can tell. */
enum fs_question {
	FS_QUESTION_LOOKUP,
	FS_QUESTION_GETATTR,
	FS_QUESTION_OPEN,
	FS_QUESTION_LIST,
	FS_N_QUESTIONS,
};

struct fs_counters {
	uint64_t commits;
	uint64_t killed_writers;      /* what they had written was not published */
	uint64_t failed_commits;      /* errors that no one asked for */
	uint64_t events[FS_N_EVENTS]; /* made for what others have changed */
	uint64_t coalesced_events;    /* versions that went before they were told */
	uint64_t failed_events;       /* the kernel refused to make them; its caches are right */
	uint64_t hidden_children;     /* names that cannot be shown; counted as they are met */
	uint64_t known[FS_N_QUESTIONS], asked[FS_N_QUESTIONS]; /* by whether ZooKeeper was asked */
};

/*
 * One mounted tree. Everything belongs to the event loop thread.
 *
 * A request of the kernel is a struct fs_request from its arrival to its reply. An open file is a
 * struct fs_file from OPEN to RELEASE, and on until its last commit has ended.
 */
struct fs {
	const struct fs_options *options;
	struct zk_client *zk;
	struct fuse_session *session;
	struct fs_device *device; /* owned */
	struct fs_inodes inodes;
	struct zk_acl *acl;               /* of new znodes */
	size_t acl_size;                  /* in a request */
	uint64_t max_data;                /* longest value, by the option */
	size_t packet_max;                /* longest request */
	int64_t start_time;               /* ms since the epoch: times of what has no znode */
	LIST_HEAD(, fs_request) requests; /* not ended */
	LIST_HEAD(, fs_file) files;       /* open */
	LIST_HEAD(, fs_dir) dirs;         /* open */

	/* special.c, creation.c, ephemeral.c */
	LIST_HEAD(, fs_special) specials;    /* open */
	TAILQ_HEAD(, fs_creation) creations; /* done, and being told of */
	struct fs_ephemerals ephemerals;
	size_t line_max; /* what the kernel surely brings in one WRITE */

	/* watch.c, fill.c */
	struct zk_watcher watcher;
	struct fs_inode_queue held; /* by the kernel; longest unused first */
	size_t n_held, n_in_use, n_evicting;
	int64_t in_use_time;            /* when it was last found out what is in use */
	struct fs_inode_queue unloaded; /* whose children are to be asked for in the background */
	size_t n_loading;               /* and are being */
	bool expired;     /* with stale=fail: the session must have, and the caches were dropped */
	bool any_starved; /* some directory that the kernel holds is starved */
	uint64_t n_moves; /* renames: paths from before are not to be relied on */
	TAILQ_HEAD(, fs_fill) fills; /* that run */
	uint64_t n_fills;            /* that have begun */
	struct fs_fill *next_fill;   /* of fs_fill_run() */
	size_t n_probes;             /* children that they ask for at the moment */

	TAILQ_HEAD(, fs_calm) calms; /* pages.c: who waits for readers */

	/* notice.c, tell.c */
	int64_t notice_due;                  /* when a notice has waited long enough for readers */
	TAILQ_HEAD(, fs_notice) all_notices; /* in the order in which they are to be told */
	size_t n_notices;
	STAILQ_HEAD(, fs_eviction) evictions;
	bool evicts_next;
	struct fs_job *job;           /* that the notifier has, or NULL */
	struct fs_notifier *notifier; /* NULL until it is mounted */

	struct fs_mount_id mount_id;
	bool any_interrupted; /* some request's caller had a signal */
	bool answers;         /* the kernel has said hello */
	struct fs_problems problems;
	struct fs_counters counters;
};

extern const struct fuse_lowlevel_ops fs_ops;

/* The longest request the servers take, going by the options. */
size_t fs_packet_max(const struct fs_options *options);

/* `options` and `zk` must outlive it. 0 or -ENOMEM. */
int fs_init(struct fs *fs, const struct fs_options *options, struct zk_client *zk);
/* After the session with the kernel is over. No completion must come any more: next goes `zk`. */
void fs_done(struct fs *fs);

/*
 * The kernel has let go of everything: open files are released, and what was written to them is
 * committed, unless `interrupted`: we were told to end, and their writers were not done.
 */
void fs_close_files(struct fs *fs, bool interrupted);
/* Is there a commit that has not ended? */
bool fs_is_committing(const struct fs *fs);

/* A problem that no request reports: logged, and kept for .zkfs/status. */
__attribute__((format(printf, 2, 3))) void fs_problem(struct fs *fs, const char *format, ...);

/* Where there is no server, may what was last seen be served instead? */
bool fs_may_serve_stale(const struct fs *fs);

/* May what is watched be told without asking? */
bool fs_may_tell_known(const struct fs *fs);

/* How many files are open? */
size_t fs_count_files(const struct fs *fs);

/* The longest value for a znode at `path` that exists, or that a create is to make. */
uint64_t fs_max_data(const struct fs *fs, const char *path, bool create);
