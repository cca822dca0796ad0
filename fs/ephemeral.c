/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ephemerals of this mount: one job at a time for each, and step() decides which is next. What
 * it decides depends on one comparison above all: is the session that the znode belongs to still
 * ours?
 */
#include "fs/ephemeral.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/clock.h"
#include "fs/fs.h"
#include "fs/special.h"
#include "zk/acl.h"
#include "zk/blob.h"
#include "zk/client.h"
#include "zk/op.h"
#include "zk/watch.h"

/* How long until what has failed is tried again; and until the server has taken away what an expired
 * session has left. */
#define RETRY_NS (500 * FS_MS)
#define GOING_NS (20 * FS_MS)

/* How long until one that was made is watched: so that many are asked for at once. */
#define WATCH_NS (20 * FS_MS)

static void step(struct fs_ephemeral *ephemeral);

int64_t fs_ephemerals_session(const struct fs *fs)
{
	struct zk_client_info info;

	zk_client_get_info(fs->zk, &info);
	return info.session_id;
}

static bool is_of_session(const struct fs_ephemeral *ephemeral)
{
	return ephemeral->session == fs_ephemerals_session(ephemeral->fs);
}

static struct fs_ephemeral *find(const struct fs *fs, const char *path)
{
	struct fs_ephemeral *ephemeral;

	HASH_FIND_STR(fs->ephemerals.by_path, path, ephemeral);
	return ephemeral;
}

/* Birth and death */

static void ephemeral_free(struct fs_ephemeral *ephemeral)
{
	LIST_REMOVE(ephemeral, link);
	zk_blob_unref(ephemeral->data);
	zk_acl_free(ephemeral->acl);
	free(ephemeral->path);
	free(ephemeral);
}

static void unwatch(struct fs_ephemeral *ephemeral)
{
	if (ephemeral->wants)
		zk_watch_drop(ephemeral->fs->zk, ephemeral->path, ZK_WATCH_DATA);
	ephemeral->wants = false;
	ephemeral->watched = false;
}

static void link_in(struct fs_ephemeral *ephemeral)
{
	struct fs *fs = ephemeral->fs;

	HASH_ADD_KEYPTR(
		hh, fs->ephemerals.by_path, ephemeral->path, strlen(ephemeral->path), ephemeral);
	fs->ephemerals.n_leases += ephemeral->is_lease;
	ephemeral->wants = zk_watch_want(fs->zk, ephemeral->path, ZK_WATCH_DATA) == 0;
}

/* What is under way is taken back, if it was not sent. */
static void take_back(struct fs_ephemeral *ephemeral)
{
	if (!ephemeral->op || !zk_op_cancel(ephemeral->op))
		return;
	ephemeral->op = NULL;
	ephemeral->job = FS_EPHEMERAL_IDLE;
}

static void link_out(struct fs_ephemeral *ephemeral)
{
	struct fs *fs = ephemeral->fs;

	HASH_DEL(fs->ephemerals.by_path, ephemeral);
	fs->ephemerals.n_leases -= ephemeral->is_lease;
	unwatch(ephemeral);
	take_back(ephemeral);
}

static void drop(struct fs_ephemeral *ephemeral)
{
	link_out(ephemeral);
	if (ephemeral->holder)
		TAILQ_REMOVE(&ephemeral->holder->leases, ephemeral, holder_link);
	ephemeral->holder = NULL;
	if (ephemeral->job == FS_EPHEMERAL_IDLE)
		ephemeral_free(ephemeral);
	else
		ephemeral->detached = true;
}

static struct fs_ephemeral *ephemeral_new(struct fs *fs, const char *path)
{
	struct fs_ephemeral *ephemeral = calloc(1, sizeof(*ephemeral));

	if (!ephemeral)
		return NULL;
	ephemeral->path = strdup(path);
	if (!ephemeral->path) {
		free(ephemeral);
		return NULL;
	}
	ephemeral->fs = fs;
	LIST_INSERT_HEAD(&fs->ephemerals.all, ephemeral, link);
	return ephemeral;
}

static void retry(struct fs_ephemeral *ephemeral, int64_t delay)
{
	struct fs_ephemerals *ephemerals = &ephemeral->fs->ephemerals;

	ephemeral->retry_at = fs_clock_now() + delay;
	if (ephemeral->retry_at < ephemerals->due)
		ephemerals->due = ephemeral->retry_at;
}

/* First thing in each completion. False: nobody cares for it any more. */
static bool job_ended(struct fs_ephemeral *ephemeral)
{
	ephemeral->op = NULL;
	ephemeral->job = FS_EPHEMERAL_IDLE;
	if (!ephemeral->detached)
		return true;
	ephemeral_free(ephemeral);
	return false;
}

static void job_started(struct fs_ephemeral *ephemeral, enum fs_ephemeral_job job, int r)
{
	if (r == 0)
		ephemeral->job = job;
	else
		retry(ephemeral, RETRY_NS);
}

/* Looking at it */

static void take_state(struct fs_ephemeral *ephemeral, const struct zk_reply *reply)
{
	ephemeral->session = reply->stat.ephemeral_owner;
	ephemeral->czxid = reply->stat.czxid;
	ephemeral->stale = false;
	ephemeral->watched = reply->watched;
	if (ephemeral->blind || reply->stat.mzxid < ephemeral->mzxid)
		return;
	ephemeral->mzxid = reply->stat.mzxid;
	zk_blob_unref(ephemeral->data);
	ephemeral->data = zk_blob_ref(reply->data);
}

static void found(struct fs_ephemeral *ephemeral, const struct zk_reply *reply)
{
	int64_t owner = reply->stat.ephemeral_owner;

	if (owner == fs_ephemerals_session(ephemeral->fs)) {
		take_state(ephemeral, reply);
		step(ephemeral);
	} else if (is_of_session(ephemeral)) {
		drop(ephemeral); /* it was removed, and somebody has made another */
	} else if (owner == ephemeral->session) {
		ephemeral->stale = false;
		retry(ephemeral, GOING_NS);
	} else {
		fs_problem(ephemeral->fs, "%s: not made again: somebody else holds it",
			ephemeral->path);
		drop(ephemeral);
	}
}

static void looked(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_ephemeral *ephemeral = userdata;

	if (!job_ended(ephemeral))
		return;
	if (r == 0) {
		found(ephemeral, reply);
	} else if (r == -ENOENT) {
		ephemeral->stale = false;
		if (is_of_session(ephemeral))
			drop(ephemeral);
		else
			step(ephemeral);
	} else if (r == -EACCES && !ephemeral->blind) {
		ephemeral->blind = true;
		step(ephemeral);
	} else {
		retry(ephemeral, RETRY_NS);
	}
}

static void look(struct fs_ephemeral *ephemeral)
{
	struct zk_client *zk = ephemeral->fs->zk;
	unsigned flags = ephemeral->wants ? ZK_OP_WATCH : 0;
	int r;

	if (ephemeral->blind)
		r = zk_exists(zk, ephemeral->path, flags, looked, ephemeral, &ephemeral->op);
	else
		r = zk_get(zk, ephemeral->path, flags, looked, ephemeral, &ephemeral->op);
	job_started(ephemeral, FS_EPHEMERAL_LOOKS, r);
}

/* Making it again */

/* It was removed, or renamed, while it was being made: what has come of that must not stay. */
static void made_in_vain(struct fs_ephemeral *ephemeral, int r)
{
	if (r == 0 || r == -ETIMEDOUT || r == -EIO)
		fs_ephemeral_doubt(ephemeral->fs, ephemeral->path);
}

static void made(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_ephemeral *ephemeral = userdata;

	if (ephemeral->detached)
		made_in_vain(ephemeral, r);
	if (!job_ended(ephemeral))
		return;
	if (r == 0) {
		ephemeral->session = reply->stat.ephemeral_owner;
		ephemeral->czxid = reply->stat.czxid;
		ephemeral->mzxid = reply->stat.mzxid;
		ephemeral->stale = true;
		step(ephemeral);
	} else if (r == -EEXIST) {
		ephemeral->stale = true;
		step(ephemeral);
	} else if (r == -ETIMEDOUT || r == -EIO || r == -ENOMEM) {
		retry(ephemeral, RETRY_NS);
	} else {
		fs_problem(ephemeral->fs, "%s: cannot be made again: %s", ephemeral->path,
			strerror(-r));
		drop(ephemeral);
	}
}

static void make(struct fs_ephemeral *ephemeral)
{
	struct fs *fs = ephemeral->fs;
	int r = zk_create(fs->zk, ephemeral->path, ephemeral->data,
		ephemeral->acl ? ephemeral->acl : fs->acl, ZK_CREATE_EPHEMERAL, 0, made, ephemeral,
		&ephemeral->op);

	job_started(ephemeral, FS_EPHEMERAL_MAKES, r);
}

/* Removing it */

static void gone(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_ephemeral *ephemeral = userdata;

	(void)reply;
	if (!job_ended(ephemeral))
		return;
	if (r == 0 || r == -ENOENT) {
		drop(ephemeral);
		return;
	}
	if (r != -ETIMEDOUT)
		fs_problem(
			ephemeral->fs, "%s: cannot be removed: %s", ephemeral->path, strerror(-r));
	ephemeral->stale = true; /* is it ours still? */
	retry(ephemeral, RETRY_NS);
}

static void go(struct fs_ephemeral *ephemeral)
{
	int r = zk_delete(ephemeral->fs->zk, ephemeral->path, ZK_ANY_VERSION, ephemeral->czxid, 0,
		gone, ephemeral, &ephemeral->op);

	job_started(ephemeral, FS_EPHEMERAL_GOES, r);
}

/* What is next for it. May free it. Without a server nothing: what would wait for one might be sent
 * in another session than it is meant for. */
static void step(struct fs_ephemeral *ephemeral)
{
	bool ours = is_of_session(ephemeral);

	if (ephemeral->job != FS_EPHEMERAL_IDLE || !zk_client_connected(ephemeral->fs->zk))
		return;
	ephemeral->retry_at = 0;
	if (ephemeral->leaving && !ours)
		drop(ephemeral); /* with its session */
	else if (ephemeral->stale)
		look(ephemeral);
	else if (ephemeral->leaving)
		go(ephemeral);
	else if (!ours)
		make(ephemeral);
}

static void leave(struct fs_ephemeral *ephemeral)
{
	ephemeral->leaving = true;
	ephemeral->holder = NULL;
	ephemeral->stale |= !ephemeral->watched; /* may be somebody else's by now */
	step(ephemeral);
}

/* From outside */

int fs_ephemeral_add(struct fs *fs, const char *path, struct zk_blob *data,
	const struct zk_stat *stat, struct fs_special *holder)
{
	struct fs_ephemeral *ephemeral = ephemeral_new(fs, path), *old = find(fs, path);

	if (!ephemeral)
		return -ENOMEM;
	if (old)
		drop(old); /* it has gone, and nobody has heard of it yet */
	ephemeral->data = zk_blob_ref(data);
	ephemeral->session = stat->ephemeral_owner;
	ephemeral->czxid = stat->czxid;
	ephemeral->mzxid = stat->mzxid;
	ephemeral->is_lease = holder != NULL;
	ephemeral->stale = true; /* so that it is watched */
	link_in(ephemeral);
	if (holder && !holder->released) {
		ephemeral->holder = holder;
		TAILQ_INSERT_TAIL(&holder->leases, ephemeral, holder_link);
	}
	if (holder && holder->released)
		leave(ephemeral);
	else if (is_of_session(ephemeral))
		retry(ephemeral, WATCH_NS);
	else
		step(ephemeral);
	return 0;
}

void fs_ephemeral_doubt(struct fs *fs, const char *path)
{
	struct fs_ephemeral *ephemeral = find(fs, path) ? NULL : ephemeral_new(fs, path);

	if (!ephemeral)
		return;
	ephemeral->session = fs_ephemerals_session(fs);
	ephemeral->stale = true;
	link_in(ephemeral);
	leave(ephemeral);
}

void fs_ephemerals_release(struct fs_leases *leases)
{
	struct fs_ephemeral *ephemeral;

	while ((ephemeral = TAILQ_FIRST(leases))) {
		TAILQ_REMOVE(leases, ephemeral, holder_link);
		leave(ephemeral);
	}
}

void fs_ephemeral_written(struct fs *fs, const char *path, struct zk_blob *data, int64_t mzxid)
{
	struct fs_ephemeral *ephemeral = find(fs, path);

	if (!ephemeral || (mzxid && mzxid < ephemeral->mzxid))
		return;
	zk_blob_unref(ephemeral->data);
	ephemeral->data = zk_blob_ref(data);
	if (mzxid)
		ephemeral->mzxid = mzxid;
}

void fs_ephemeral_removed(struct fs *fs, const char *path)
{
	struct fs_ephemeral *ephemeral = find(fs, path);

	if (ephemeral)
		drop(ephemeral);
}

void fs_ephemeral_acl_set(struct fs *fs, const char *path, const struct zk_acl *acl)
{
	struct fs_ephemeral *ephemeral = find(fs, path);

	if (!ephemeral)
		return;
	zk_acl_free(ephemeral->acl);
	ephemeral->acl = zk_acl_copy(acl);
	ephemeral->blind = false;
}

struct fs_ephemeral *fs_ephemeral_take(struct fs *fs, const char *path)
{
	struct fs_ephemeral *ephemeral = find(fs, path), *copy;

	if (!ephemeral)
		return NULL;
	link_out(ephemeral);
	if (ephemeral->job == FS_EPHEMERAL_IDLE)
		return ephemeral;
	/* What is under way is about the old path: that goes on without it. */
	copy = ephemeral_new(fs, path);
	if (copy) {
		copy->is_lease = ephemeral->is_lease;
		copy->leaving = ephemeral->leaving;
		copy->holder = ephemeral->holder;
	}
	if (ephemeral->holder && copy)
		TAILQ_INSERT_AFTER(&copy->holder->leases, ephemeral, copy, holder_link);
	if (ephemeral->holder)
		TAILQ_REMOVE(&ephemeral->holder->leases, ephemeral, holder_link);
	ephemeral->holder = NULL;
	ephemeral->detached = true;
	return copy;
}

void fs_ephemeral_put(struct fs *fs, struct fs_ephemeral *ephemeral, const char *path,
	struct zk_blob *data, const struct zk_acl *acl, int64_t session)
{
	struct fs_ephemeral *old = find(fs, path);
	char *name = strdup(path);

	if (!ephemeral)
		ephemeral = ephemeral_new(fs, path);
	if (!ephemeral || !name) {
		free(name);
		return;
	}
	if (old)
		drop(old);
	free(ephemeral->path);
	ephemeral->path = name;
	zk_blob_unref(ephemeral->data);
	ephemeral->data = zk_blob_ref(data);
	zk_acl_free(ephemeral->acl);
	ephemeral->acl = zk_acl_copy(acl);
	ephemeral->session = session;
	ephemeral->czxid = ephemeral->mzxid = 0;
	ephemeral->stale = true;
	link_in(ephemeral);
	step(ephemeral);
}

void fs_ephemeral_fired(struct fs *fs, const char *path)
{
	fs_ephemeral_missed(fs, path);
	if (find(fs, path))
		step(find(fs, path));
}

void fs_ephemeral_missed(struct fs *fs, const char *path)
{
	struct fs_ephemeral *ephemeral = find(fs, path);

	if (!ephemeral)
		return;
	ephemeral->watched = false;
	ephemeral->stale = true;
}

void fs_ephemerals_lost(struct fs *fs)
{
	struct fs_ephemeral *ephemeral;

	for (ephemeral = fs->ephemerals.by_path; ephemeral; ephemeral = ephemeral->hh.next) {
		ephemeral->watched = false;
		ephemeral->stale = true;
	}
}

void fs_ephemerals_connected(struct fs *fs)
{
	struct fs_ephemeral *ephemeral, *next;

	HASH_ITER (hh, fs->ephemerals.by_path, ephemeral, next) {
		if (!is_of_session(ephemeral)) {
			take_back(ephemeral);     /* it was meant for the session before */
			ephemeral->stale = false; /* that it is not there is certain */
		}
		step(ephemeral);
	}
}

int64_t fs_ephemerals_run(struct fs *fs)
{
	struct fs_ephemerals *ephemerals = &fs->ephemerals;
	struct fs_ephemeral *ephemeral, *next;
	int64_t now = fs_clock_now();

	if (now < ephemerals->due)
		return ephemerals->due;
	ephemerals->due = INT64_MAX;
	HASH_ITER (hh, ephemerals->by_path, ephemeral, next) {
		if (!ephemeral->retry_at)
			continue;
		if (ephemeral->retry_at <= now)
			step(ephemeral);
		else if (ephemeral->retry_at < ephemerals->due)
			ephemerals->due = ephemeral->retry_at;
	}
	return ephemerals->due;
}

void fs_ephemerals_init(struct fs *fs)
{
	fs->ephemerals = (struct fs_ephemerals){ .due = INT64_MAX };
}

void fs_ephemerals_done(struct fs *fs)
{
	HASH_CLEAR(hh, fs->ephemerals.by_path);
	while (!LIST_EMPTY(&fs->ephemerals.all))
		ephemeral_free(LIST_FIRST(&fs->ephemerals.all));
}
