/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * A counted run of bytes: the data of a znode, shared without copying between the cache, open
 * files and requests in flight. Immutable once it has more than one reference.
 *
 * ZooKeeper tells null data from empty data; here null data is a NULL pointer, empty data a blob of
 * length 0. Event loop thread only.
 */
struct zk_blob {
	unsigned refs;
	uint32_t len;
	char data[];
};

/* A new blob with one reference, holding a copy of `data` (NULL: `len` bytes of zero). NULL when
 * out of memory. */
struct zk_blob *zk_blob_new(const void *data, uint32_t len);

/* Both take NULL. ref returns its argument; unref always returns NULL. */
struct zk_blob *zk_blob_ref(struct zk_blob *blob);
struct zk_blob *zk_blob_unref(struct zk_blob *blob);
