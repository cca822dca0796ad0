/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations as calls of the client library, and its completions as replies. The library copies
 * what it is given before it returns, except for the results of a multi, which it fills in later.
 *
 * Everything a completion is handed belongs to the library and is gone when it returns, and so it
 * is with the reply that is made of it.
 */

#include "zk/client_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "zk/acl.h"
#include "zk/blob.h"
#include "zk/error.h"

static void see_zxid(struct zk_client *client, int64_t zxid)
{
	if (zxid > client->last_zxid)
		client->last_zxid = zxid;
}

void zk_stat_import(struct zk_client *client, struct zk_stat *stat, const struct Stat *from)
{
	*stat = (struct zk_stat){
		.czxid = from->czxid,
		.mzxid = from->mzxid,
		.pzxid = from->pzxid,
		.ctime = from->ctime,
		.mtime = from->mtime,
		.version = from->version,
		.cversion = from->cversion,
		.aversion = from->aversion,
		.ephemeral_owner = from->ephemeralOwner,
		.data_length = from->dataLength,
		.num_children = from->numChildren,
	};
	see_zxid(client, stat->czxid);
	see_zxid(client, stat->mzxid);
	see_zxid(client, stat->pzxid);
}

int zk_acl_import(struct zk_acl **aclp, const struct ACL_vector *from)
{
	struct zk_acl *acl = zk_acl_new((size_t)from->count);

	if (!acl)
		return -ENOMEM;
	for (int i = 0; i < from->count; i++) {
		acl->entries[i].perms = (unsigned)from->data[i].perms;
		acl->entries[i].scheme = strdup(from->data[i].id.scheme);
		acl->entries[i].id = strdup(from->data[i].id.id);
		if (!acl->entries[i].scheme || !acl->entries[i].id) {
			zk_acl_free(acl);
			return -ENOMEM;
		}
	}
	*aclp = acl;
	return 0;
}

/* The strings stay those of `acl`; only the array is to be freed. */
static int acl_export(struct ACL_vector *to, const struct zk_acl *acl)
{
	to->count = (int32_t)acl->n_entries;
	to->data = calloc(acl->n_entries, sizeof(*to->data));
	if (!to->data)
		return ZSYSTEMERROR;
	for (size_t i = 0; i < acl->n_entries; i++) {
		to->data[i].perms = (int32_t)acl->entries[i].perms;
		to->data[i].id.scheme = acl->entries[i].scheme;
		to->data[i].id.id = acl->entries[i].id;
	}
	return ZOK;
}

/* The answer is there: tell it, or look whether it is what it seems. */
static void answered(struct zk_op *op, int code, struct zk_reply *reply)
{
	int r = zk_error_to_errno(code);

	if (!zk_settle_doubts(op, r, reply->failed_op))
		zk_op_end(op, r, reply);
}

/* First thing in the completion of a read that may have set a watch: it has if there is an answer,
 * also if nobody waits for that any more. An exists watches for what is not there, too. */
static bool take_watch(struct zk_op *op, int code)
{
	const struct zk_request *request = &op->request;

	if (!(op->flags & ZK_OP_WATCH) || op->client->closing)
		return false;
	if (code != ZOK && !(code == ZNONODE && request->type == ZK_REQUEST_EXISTS))
		return false;
	return zk_watch_armed(op->client, request->path,
		request->type == ZK_REQUEST_CHILDREN ? ZK_WATCH_CHILDREN : ZK_WATCH_DATA);
}

static void on_data(
	int code, const char *value, int value_len, const struct Stat *stat, const void *userdata)
{
	struct zk_op *op = (struct zk_op *)userdata;
	struct zk_reply reply = { .failed_op = -1, .watched = take_watch(op, code) };

	if (!zk_op_returned(op, code))
		return;
	if (code == ZOK) {
		zk_stat_import(op->client, &reply.stat, stat);
		if (value_len >= 0) {
			reply.data = zk_blob_new(value_len ? value : NULL, (uint32_t)value_len);
			if (!reply.data) {
				zk_op_end(op, -ENOMEM, NULL);
				return;
			}
		}
	}
	answered(op, code, &reply);
	zk_blob_unref(reply.data);
}

static void on_stat(int code, const struct Stat *stat, const void *userdata)
{
	struct zk_op *op = (struct zk_op *)userdata;
	struct zk_reply reply = { .failed_op = -1, .watched = take_watch(op, code) };

	if (!zk_op_returned(op, code))
		return;
	if (code == ZOK)
		zk_stat_import(op->client, &reply.stat, stat);
	answered(op, code, &reply);
}

static void on_created(int code, const char *path, const struct Stat *stat, const void *userdata)
{
	struct zk_op *op = (struct zk_op *)userdata;
	struct zk_reply reply = { .failed_op = -1, .path = path };

	if (!zk_op_returned(op, code))
		return;
	if (code == ZOK)
		zk_stat_import(op->client, &reply.stat, stat);
	answered(op, code, &reply);
}

static void on_children(
	int code, const struct String_vector *names, const struct Stat *stat, const void *userdata)
{
	struct zk_op *op = (struct zk_op *)userdata;
	struct zk_reply reply = { .failed_op = -1, .watched = take_watch(op, code) };

	if (!zk_op_returned(op, code))
		return;
	if (code == ZOK) {
		zk_stat_import(op->client, &reply.stat, stat);
		reply.names.n_names = (size_t)names->count;
		reply.names.names = names->data;
	}
	answered(op, code, &reply);
}

static void on_acl(int code, struct ACL_vector *from, struct Stat *stat, const void *userdata)
{
	struct zk_op *op = (struct zk_op *)userdata;
	struct zk_reply reply = { .failed_op = -1 };
	struct zk_acl *acl = NULL;

	if (!zk_op_returned(op, code))
		return;
	if (code == ZOK) {
		zk_stat_import(op->client, &reply.stat, stat);
		if (zk_acl_import(&acl, from) < 0) {
			zk_op_end(op, -ENOMEM, NULL);
			return;
		}
		reply.acl = acl;
	}
	answered(op, code, &reply);
	zk_acl_free(acl);
}

static void on_void(int code, const void *userdata)
{
	struct zk_op *op = (struct zk_op *)userdata;
	struct zk_reply reply = { .failed_op = -1 };

	if (zk_op_returned(op, code))
		answered(op, code, &reply);
}

static void on_synced(int code, const char *path, const void *userdata)
{
	(void)path;
	on_void(code, userdata);
}

/* Those after the one that failed are told -2, those before it 0 or -2. */
static int failed_part(const struct zk_op *op)
{
	for (size_t i = 0; i < op->multi->n_requests; i++) {
		if (op->results[i].err != ZOK && op->results[i].err != ZRUNTIMEINCONSISTENCY)
			return (int)i;
	}
	return -1;
}

static void on_multi(int code, const void *userdata)
{
	struct zk_op *op = (struct zk_op *)userdata;
	struct zk_reply reply = { .failed_op = -1 };

	if (!zk_op_returned(op, code))
		return;
	if (code != ZOK)
		reply.failed_op = failed_part(op);
	else if (op->multi->requests[op->probe].type == ZK_REQUEST_SET)
		zk_stat_import(op->client, &reply.stat, &op->stats[op->probe]);
	if (reply.failed_op >= 0)
		code = op->results[reply.failed_op].err;
	answered(op, code, &reply);
}

static int create_flags(const struct zk_request *request)
{
	switch (request->mode) {
	case ZK_CREATE_EPHEMERAL:
		return request->sequential ? ZOO_EPHEMERAL_SEQUENTIAL : ZOO_EPHEMERAL;
	case ZK_CREATE_CONTAINER:
		return ZOO_CONTAINER;
	case ZK_CREATE_TTL:
		return request->sequential ? ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL
					   : ZOO_PERSISTENT_WITH_TTL;
	case ZK_CREATE_PERSISTENT:
		break;
	}
	return request->sequential ? ZOO_PERSISTENT_SEQUENTIAL : ZOO_PERSISTENT;
}

static int send_create(zhandle_t *zh, struct zk_op *op)
{
	const struct zk_request *request = &op->request;
	struct ACL_vector acl;
	int code = acl_export(&acl, request->acl);

	if (code != ZOK)
		return code;
	code = zoo_acreate2_ttl(zh, request->path, zk_request_data(request),
		zk_request_data_len(request), &acl, create_flags(request),
		request->mode == ZK_CREATE_TTL ? request->ttl_ms : -1, on_created, op);
	free(acl.data);
	return code;
}

static int send_acl_set(zhandle_t *zh, struct zk_op *op)
{
	struct ACL_vector acl;
	int code = acl_export(&acl, op->request.acl);

	if (code != ZOK)
		return code;
	code = zoo_aset_acl(zh, op->request.path, op->request.version, &acl, on_void, op);
	free(acl.data);
	return code;
}

void zk_send_free_results(struct zk_op *op)
{
	free(op->results);
	free(op->stats);
	op->results = NULL;
	op->stats = NULL;
}

static int part_init(
	zoo_op_t *part, const struct zk_request *request, struct ACL_vector *acl, struct Stat *stat)
{
	int code = ZOK;

	switch (request->type) {
	case ZK_REQUEST_CREATE:
		code = acl_export(acl, request->acl);
		zoo_create_op_init(part, request->path, zk_request_data(request),
			zk_request_data_len(request), acl, create_flags(request), NULL, 0);
		break;
	case ZK_REQUEST_SET:
		zoo_set_op_init(part, request->path, zk_request_data(request),
			zk_request_data_len(request), request->version, stat);
		break;
	case ZK_REQUEST_DELETE:
		zoo_delete_op_init(part, request->path, request->version);
		break;
	default:
		code = ZBADARGUMENTS;
	}
	return code;
}

static int send_multi(zhandle_t *zh, struct zk_op *op)
{
	size_t n = op->multi->n_requests;
	zoo_op_t *parts = calloc(n, sizeof(*parts));
	struct ACL_vector *acls = calloc(n, sizeof(*acls));
	int code = ZSYSTEMERROR;

	zk_send_free_results(op);
	op->results = calloc(n, sizeof(*op->results));
	op->stats = calloc(n, sizeof(*op->stats));
	if (parts && acls && op->results && op->stats)
		code = ZOK;
	for (size_t i = 0; i < n && code == ZOK; i++)
		code = part_init(&parts[i], &op->multi->requests[i], &acls[i], &op->stats[i]);
	if (code == ZOK)
		code = zoo_amulti(zh, (int)n, parts, op->results, on_multi, op);
	for (size_t i = 0; acls && i < n; i++)
		free(acls[i].data);
	free(acls);
	free(parts);
	return code;
}

static ZooWatcherType watcher_type(unsigned kinds)
{
	if (kinds == ZK_WATCH_DATA)
		return ZWATCHTYPE_DATA;
	return kinds == ZK_WATCH_CHILDREN ? ZWATCHTYPE_CHILD : ZWATCHTYPE_ANY;
}

/* The library declares a pointer to a function's pointer here, and means the function. */
static int send_unwatch(zhandle_t *zh, struct zk_op *op)
{
	union {
		void_completion_t fn;
		void_completion_t *declared;
	} completion = { .fn = on_void };
	int code = zoo_aremove_all_watches(zh, op->request.path, watcher_type(op->request.watches),
		0, completion.declared, op);

	return code == ZNOWATCHER ? ZNONODE : code; /* it has fired meanwhile */
}

void zk_send_forget_watches(struct zk_client *client, const char *path, unsigned kinds)
{
	zoo_aremove_all_watches(client->zh, path, watcher_type(kinds), 1, NULL, NULL);
}

int zk_send_request(struct zk_op *op)
{
	zhandle_t *zh = op->client->zh;
	const struct zk_request *request = &op->request;
	watcher_fn watcher = op->flags & ZK_OP_WATCH ? zk_connection_on_event : NULL;

	switch (request->type) {
	case ZK_REQUEST_GET:
		return zoo_awget(zh, request->path, watcher, op->client, on_data, op);
	case ZK_REQUEST_EXISTS:
		return zoo_awexists(zh, request->path, watcher, op->client, on_stat, op);
	case ZK_REQUEST_CHILDREN:
		return zoo_awget_children2(zh, request->path, watcher, op->client, on_children, op);
	case ZK_REQUEST_UNWATCH:
		return send_unwatch(zh, op);
	case ZK_REQUEST_ACL_GET:
		return zoo_aget_acl(zh, request->path, on_acl, op);
	case ZK_REQUEST_SYNC:
		return zoo_async(zh, request->path, on_synced, op);
	case ZK_REQUEST_CREATE:
		return send_create(zh, op);
	case ZK_REQUEST_SET:
		return zoo_aset(zh, request->path, zk_request_data(request),
			zk_request_data_len(request), request->version, on_stat, op);
	case ZK_REQUEST_DELETE:
		return zoo_adelete(zh, request->path, request->version, on_void, op);
	case ZK_REQUEST_ACL_SET:
		return send_acl_set(zh, op);
	case ZK_REQUEST_MULTI:
		return send_multi(zh, op);
	case ZK_N_REQUESTS:
		break;
	}
	return ZBADARGUMENTS;
}
