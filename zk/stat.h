/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What ZooKeeper tells of a znode; its own struct Stat, for those who don't see its header. */
struct zk_stat {
	int64_t czxid; /* zxid of its creation */
	int64_t mzxid; /* of the last change of its data */
	int64_t pzxid; /* of the last create or delete of a child */
	int64_t ctime; /* ms since the epoch */
	int64_t mtime;
	int32_t version; /* changes of data; 0 again when made anew */
	int32_t cversion;
	int32_t aversion;
	int64_t ephemeral_owner; /* session id, or 0; 0 too for container and TTL nodes */
	int32_t data_length;
	int32_t num_children;
};

/* The same state of the same znode's data. The version alone does not say so: it starts again at 0
 * with a new znode, and several sets in one multi share their mzxid. */
static inline bool zk_stat_same_data(const struct zk_stat *a, const struct zk_stat *b)
{
	return a->czxid == b->czxid && a->mzxid == b->mzxid && a->version == b->version;
}
