/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of the server, as plain data that can be sent, sent again, and compared with what
 * is found when the answer was lost. It also knows how long it is in jute, ZooKeeper's encoding
 * (every string and buffer has a length of 4 bytes before it): a request over the server's limit
 * cuts the connection and fails everything that is pipelined with it, so it must never leave.
 */

#include "zk/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "zk/acl.h"
#include "zk/blob.h"

int zk_request_init(struct zk_request *request, enum zk_request_type type, const char *path)
{
	char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	*request = (struct zk_request){
		.type = type,
		.path = copy,
		.version = ZK_ANY_VERSION,
		.any_version = true,
	};
	return 0;
}

static int add_acl(struct zk_request *request, const struct zk_acl *acl)
{
	request->acl = zk_acl_copy(acl);
	if (request->acl)
		return 0;
	zk_request_done(request);
	return -ENOMEM;
}

static void set_version(struct zk_request *request, int32_t version)
{
	request->version = version;
	request->any_version = version == ZK_ANY_VERSION;
}

int zk_request_init_create(struct zk_request *request, const char *path, struct zk_blob *data,
	const struct zk_acl *acl, enum zk_create_mode mode)
{
	int r = zk_request_init(request, ZK_REQUEST_CREATE, path);

	if (r < 0)
		return r;
	request->data = zk_blob_ref(data);
	request->mode = mode;
	return add_acl(request, acl);
}

int zk_request_init_set(struct zk_request *request, const char *path, struct zk_blob *data,
	int32_t version, const struct zk_stat *base)
{
	int r = zk_request_init(request, ZK_REQUEST_SET, path);

	if (r < 0)
		return r;
	request->data = zk_blob_ref(data);
	set_version(request, version);
	if (base) {
		request->has_base = true;
		request->base = *base;
		request->czxid = base->czxid;
	}
	return 0;
}

int zk_request_init_delete(
	struct zk_request *request, const char *path, int32_t version, int64_t czxid)
{
	int r = zk_request_init(request, ZK_REQUEST_DELETE, path);

	if (r < 0)
		return r;
	set_version(request, version);
	request->czxid = czxid;
	return 0;
}

int zk_request_init_acl_set(
	struct zk_request *request, const char *path, const struct zk_acl *acl, int32_t aversion)
{
	int r = zk_request_init(request, ZK_REQUEST_ACL_SET, path);

	if (r < 0)
		return r;
	set_version(request, aversion);
	return add_acl(request, acl);
}

void zk_request_done(struct zk_request *request)
{
	free(request->path);
	zk_blob_unref(request->data);
	zk_acl_free(request->acl);
	*request = (struct zk_request){ 0 };
}

bool zk_request_is_write(const struct zk_request *request)
{
	return request->type >= ZK_REQUEST_CREATE;
}

int zk_request_data_len(const struct zk_request *request)
{
	return request->data ? (int)request->data->len : -1;
}

const char *zk_request_data(const struct zk_request *request)
{
	return request->data ? request->data->data : NULL;
}

size_t zk_request_body_size(const struct zk_request *request)
{
	size_t path_size = 4 + (request->path ? strlen(request->path) : 0);
	size_t data_size = 4 + (request->data ? request->data->len : 0);

	switch (request->type) {
	case ZK_REQUEST_SYNC:
	case ZK_REQUEST_ACL_GET:
		return path_size;
	case ZK_REQUEST_UNWATCH:
		return path_size + 4; /* kind */
	case ZK_REQUEST_GET:
	case ZK_REQUEST_EXISTS:
	case ZK_REQUEST_CHILDREN:
		return path_size + 1; /* watch */
	case ZK_REQUEST_CREATE:
		return path_size + data_size + zk_acl_wire_size(request->acl) + 4 /* flags */ +
		       (request->mode == ZK_CREATE_TTL ? 8 : 0);
	case ZK_REQUEST_SET:
		return path_size + data_size + 4; /* version */
	case ZK_REQUEST_DELETE:
		return path_size + 4;
	case ZK_REQUEST_ACL_SET:
		return path_size + zk_acl_wire_size(request->acl) + 4;
	case ZK_REQUEST_MULTI: /* multi.c */
	case ZK_N_REQUESTS:
		break;
	}
	return 0;
}
