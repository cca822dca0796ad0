/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Counted bytes: header and data in one allocation, freed with the last reference. The count is not
 * atomic, because all of zk/ and the core of fs/ run in one thread.
 */

#include "zk/blob.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct zk_blob *zk_blob_new(const void *data, uint32_t len)
{
	struct zk_blob *blob = calloc(1, sizeof(*blob) + len);

	if (!blob)
		return NULL;
	blob->refs = 1;
	blob->len = len;
	if (data && len > 0)
		memcpy(blob->data, data, len);
	return blob;
}

struct zk_blob *zk_blob_ref(struct zk_blob *blob)
{
	if (!blob)
		return NULL;
	assert(blob->refs > 0 && blob->refs < UINT_MAX);
	blob->refs++;
	return blob;
}

struct zk_blob *zk_blob_unref(struct zk_blob *blob)
{
	if (!blob)
		return NULL;
	assert(blob->refs > 0);
	if (--blob->refs == 0)
		free(blob);
	return NULL;
}
