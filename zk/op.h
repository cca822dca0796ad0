/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zk/stat.h"

/*
 * Asynchronous operations on znodes.
 *
 * Each zk_…() call validates, starts and returns: 0, or a negative errno and then the callback is
 * never called (-EFBIG: the request would not fit packet_max; -ENOMEM). After 0 the callback is
 * called exactly once, from zk_client_dispatch, never from within the call itself, unless
 * zk_op_cancel says otherwise. Paths are whole (a chroot is part of them); they, and everything
 * else passed in, are copied or referenced as needed: the caller keeps what it owns.
 *
 * While there is no server an operation waits for one. A read whose answer was lost is asked again.
 * A write whose answer was lost is looked up, and is then reported done, sent again (only if it
 * certainly was not applied, and then under a condition that excludes overwriting somebody else's
 * later write), or failed: never applied twice. What has not ended by its deadline (op_timeout)
 * fails with -ETIMEDOUT.
 *
 * Results are 0 or a negative errno (error.h): -ENOENT, -EEXIST, -ENOTEMPTY, -EACCES, -ESTALE (bad
 * version), -EINVAL, -EFBIG, -EDQUOT, -EROFS, -ETIMEDOUT, -EIO (a write whose outcome cannot be
 * known), -ENOTDIR (a child of an ephemeral), -ENOTCONN (only with ZK_OP_FAIL_FAST), -ENOMEM.
 */

struct zk_acl;
struct zk_blob;
struct zk_client;
struct zk_op;

/* Names of children, in the server's order. */
struct zk_names {
	size_t n_names;
	char *const *names;
};

/* What came back; all of it belongs to the library and lasts as long as the callback: take a
 * reference or a copy of what you keep. Never NULL; what does not apply is zero. */
struct zk_reply {
	struct zk_stat stat;   /* get, exists, children, create, set, acl_get; settled writes too */
	struct zk_blob *data;  /* get; NULL: null data */
	struct zk_names names; /* children */
	const struct zk_acl *acl; /* acl_get */
	const char *path;         /* create: what was made */
	bool watched;             /* with ZK_OP_WATCH: what was read is watched from here on */
	int failed_op;            /* multi that failed: index of the first op that did, or -1 */
};

typedef void (*zk_reply_fn)(void *userdata, int r, const struct zk_reply *reply);

enum zk_op_flags {
	/* The caller holds a lock that others wait for: the deadline counts from the start of the
	 * outage, if there is one, so that waits do not add up. */
	ZK_OP_SINCE_OUTAGE = 1 << 0,
	/* Reads only: the caller has something older to serve. -ENOTCONN at once when there is no server
	 * or the one we have left an operation without an answer and any other word; the same when the
	 * connection is lost before the answer, or the deadline passes in silence. */
	ZK_OP_FAIL_FAST = 1 << 1,
	/* get, exists and children only: sets a watch too. It must be wanted; see watch.h. */
	ZK_OP_WATCH = 1 << 2,
};

enum zk_create_mode {
	ZK_CREATE_PERSISTENT,
	ZK_CREATE_EPHEMERAL, /* of this client's session */
	ZK_CREATE_CONTAINER, /* the server removes it some time after its last child */
	ZK_CREATE_TTL,       /* and this, when it was left alone for so long */
};

#define ZK_TTL_MAX ((INT64_C(1) << 40) - 1) /* ms */

#define ZK_ANY_VERSION (-1)

/* Each hands out, where opp is not NULL, the operation, for zk_op_cancel; the pointer is valid until
 * the callback has been called. */

int zk_get(struct zk_client *c, const char *path, unsigned flags, zk_reply_fn fn, void *userdata,
	struct zk_op **opp);
/* Works without read permission; does not tell null from empty data. */
int zk_exists(struct zk_client *c, const char *path, unsigned flags, zk_reply_fn fn, void *userdata,
	struct zk_op **opp);
int zk_children(struct zk_client *c, const char *path, unsigned flags, zk_reply_fn fn,
	void *userdata, struct zk_op **opp);
int zk_acl_get(struct zk_client *c, const char *path, unsigned flags, zk_reply_fn fn,
	void *userdata, struct zk_op **opp);
/* Makes the server that we are connected to catch up with the leader. */
int zk_sync(struct zk_client *c, const char *path, unsigned flags, zk_reply_fn fn, void *userdata,
	struct zk_op **opp);

/* data NULL: null data. */
int zk_create(struct zk_client *c, const char *path, struct zk_blob *data, const struct zk_acl *acl,
	enum zk_create_mode mode, unsigned flags, zk_reply_fn fn, void *userdata,
	struct zk_op **opp);

/* The same with ZK_CREATE_TTL; ttl_ms is 0 with the others. -EOPNOTSUPP: the servers do not have that
 * kind of znode (switched on). */
int zk_create_ttl(struct zk_client *c, const char *path, struct zk_blob *data,
	const struct zk_acl *acl, enum zk_create_mode mode, int64_t ttl_ms, unsigned flags,
	zk_reply_fn fn, void *userdata, struct zk_op **opp);

/* `base`: the last state of the znode the caller knows, or NULL. With version ZK_ANY_VERSION it is
 * only used to find out, after a lost answer, whether the set was applied. */
int zk_set(struct zk_client *c, const char *path, struct zk_blob *data, int32_t version,
	const struct zk_stat *base, unsigned flags, zk_reply_fn fn, void *userdata,
	struct zk_op **opp);

/* `czxid`: of the znode that is meant, or 0; tells, after a lost answer, it from a later namesake. */
int zk_delete(struct zk_client *c, const char *path, int32_t version, int64_t czxid, unsigned flags,
	zk_reply_fn fn, void *userdata, struct zk_op **opp);

/* `aversion`: expected version of the ACL, or ZK_ANY_VERSION. */
int zk_acl_set(struct zk_client *c, const char *path, const struct zk_acl *acl, int32_t aversion,
	unsigned flags, zk_reply_fn fn, void *userdata, struct zk_op **opp);

/* Several writes, all or none. Built by the add calls (each 0 or -ENOMEM, copying its arguments). */
struct zk_multi;
struct zk_multi *zk_multi_new(void);
struct zk_multi *zk_multi_free(struct zk_multi *multi);
int zk_multi_add_create(struct zk_multi *multi, const char *path, struct zk_blob *data,
	const struct zk_acl *acl, enum zk_create_mode mode);
int zk_multi_add_set(struct zk_multi *multi, const char *path, struct zk_blob *data,
	int32_t version, const struct zk_stat *base);
int zk_multi_add_delete(struct zk_multi *multi, const char *path, int32_t version, int64_t czxid);
size_t zk_multi_count(const struct zk_multi *multi);
/* Bytes of the request as it stands; to be compared with zk_client_options.packet_max. */
size_t zk_multi_wire_size(const struct zk_multi *multi);
/* Starts it and takes it over, also when it fails. `probe`: index of the op that tells, after a
 * lost answer, whether all was applied; the same rules as for such an op alone. */
int zk_multi_start(struct zk_client *c, struct zk_multi *multi, size_t probe, unsigned flags,
	zk_reply_fn fn, void *userdata, struct zk_op **opp);

/*
 * Takes an operation back. True: it is over, its callback is not called any more, and nothing of it
 * will happen (a read, or a write that was not sent). False: a write that is on its way; it goes on
 * and its callback comes.
 */
bool zk_op_cancel(struct zk_op *op);
