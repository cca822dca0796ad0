/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "zk/op.h"

/*
 * Creating a znode to whose name the server adds a number.
 *
 * When the answer is lost nobody knows the name. So the znode is created with a mark, an entry of its
 * ACL that allows nothing to nobody and bears a random id, by which it is found again. The mark is
 * taken away before the caller is told; setting an ACL fires no watch.
 */

struct zk_sequence;

struct zk_sequence_reply {
	const char *path; /* lasts as long as the callback */
	struct zk_stat stat;
	bool marked; /* the mark could not be taken away; it does no harm */
};

typedef void (*zk_sequence_fn)(void *userdata, int r, const struct zk_sequence_reply *reply);

/*
 * As zk_create_ttl(), with a number of ten digits behind `path`. The callback is called once, unless
 * zk_sequence_cancel says otherwise; *sequencep is valid until then. Never doubled: what turns out,
 * after a failure (-ETIMEDOUT, -EIO), to have been made all the same is removed.
 */
int zk_create_sequential(struct zk_client *client, const char *path, struct zk_blob *data,
	const struct zk_acl *acl, enum zk_create_mode mode, int64_t ttl_ms, zk_sequence_fn fn,
	void *userdata, struct zk_sequence **sequencep);

/* As zk_op_cancel(). */
bool zk_sequence_cancel(struct zk_sequence *sequence);
