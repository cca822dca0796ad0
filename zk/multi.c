/* SPDX-License-Identifier: Apache-2.0 */
/* Several writes as one transaction: the list of them. op.c starts it, send.c sends it. */

#include <errno.h>
#include <stdlib.h>

#include "zk/request.h"

#define PART_HEADER_SIZE 9 /* type, done, err; one before each part and one at the end */

struct zk_multi *zk_multi_new(void)
{
	return calloc(1, sizeof(struct zk_multi));
}

struct zk_multi *zk_multi_free(struct zk_multi *multi)
{
	if (!multi)
		return NULL;
	for (size_t i = 0; i < multi->n_requests; i++)
		zk_request_done(&multi->requests[i]);
	free(multi->requests);
	free(multi);
	return NULL;
}

/* Room for one more; it counts only when its caller adds it to n_requests. */
static struct zk_request *next_request(struct zk_multi *multi)
{
	if (multi->n_requests == multi->n_allocated) {
		size_t n = multi->n_allocated ? 2 * multi->n_allocated : 4;
		struct zk_request *requests =
			reallocarray(multi->requests, n, sizeof(struct zk_request));

		if (!requests)
			return NULL;
		multi->requests = requests;
		multi->n_allocated = n;
	}
	return &multi->requests[multi->n_requests];
}

int zk_multi_add_create(struct zk_multi *multi, const char *path, struct zk_blob *data,
	const struct zk_acl *acl, enum zk_create_mode mode)
{
	struct zk_request *request = next_request(multi);
	int r = request ? zk_request_init_create(request, path, data, acl, mode) : -ENOMEM;

	if (r == 0)
		multi->n_requests++;
	return r;
}

int zk_multi_add_set(struct zk_multi *multi, const char *path, struct zk_blob *data,
	int32_t version, const struct zk_stat *base)
{
	struct zk_request *request = next_request(multi);
	int r = request ? zk_request_init_set(request, path, data, version, base) : -ENOMEM;

	if (r == 0)
		multi->n_requests++;
	return r;
}

int zk_multi_add_delete(struct zk_multi *multi, const char *path, int32_t version, int64_t czxid)
{
	struct zk_request *request = next_request(multi);
	int r = request ? zk_request_init_delete(request, path, version, czxid) : -ENOMEM;

	if (r == 0)
		multi->n_requests++;
	return r;
}

size_t zk_multi_count(const struct zk_multi *multi)
{
	return multi->n_requests;
}

size_t zk_multi_wire_size(const struct zk_multi *multi)
{
	size_t size = ZK_REQUEST_HEADER_SIZE + PART_HEADER_SIZE;

	for (size_t i = 0; i < multi->n_requests; i++)
		size += PART_HEADER_SIZE + zk_request_body_size(&multi->requests[i]);
	return size;
}
