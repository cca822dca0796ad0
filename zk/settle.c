/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A write whose answer was lost was applied, or not, or is still on its way. This looks the znode
 * up and decides. Every connection begins with a sync (connection.c), so what is found here is not
 * older than what the lost connection did; only a server that holds a request of the old connection
 * in its socket buffer can still apply it later. Therefore a repeated write always has a condition
 * that excludes the first copy (a version, or that the name is free), and when the condition fails
 * it is looked up once more: the first copy may have been the one that made it fail.
 *
 * The rule: report done only what was applied; send again only what certainly was not; all else is
 * an error, -EIO where nothing better is known.
 */

#include "zk/client_private.h"

#include <errno.h>
#include <string.h>

#include "zk/acl.h"
#include "zk/blob.h"
#include "zk/error.h"

/* A verdict is 0 (it was applied), a negative errno (it failed), or one of these. */
enum {
	SEND_AGAIN = 1, /* it was not applied */
	LOOK_AGAIN = 2, /* what is there is about to go */
};

struct finding {
	bool exists;
	bool data_known;
	struct zk_stat stat;
	const struct zk_blob *data;
	const struct zk_acl *acl; /* NULL: not known */
};

/* The request that tells. */
static struct zk_request *op_subject(struct zk_op *op)
{
	return op->multi ? &op->multi->requests[op->probe] : &op->request;
}

static bool same_data(const struct zk_request *request, const struct finding *found)
{
	const struct zk_blob *a = request->data, *b = found->data;

	if (!found->data_known || !a != !b)
		return false;
	return !a || (a->len == b->len && memcmp(a->data, b->data, a->len) == 0);
}

static bool same_znode(const struct zk_request *request, const struct finding *found)
{
	return request->czxid == 0 || request->czxid == found->stat.czxid;
}

/* On condition of a version. */
static int judge_set_version(const struct zk_request *request, const struct finding *found)
{
	int64_t ahead = (int64_t)found->stat.version - request->version;

	if (!same_znode(request, found))
		return -ESTALE;
	/* Behind: an earlier write of ours was lost too and is about to be sent again; or, if we do
	 * not know which znode was meant, it is a new one. */
	if (ahead < 0)
		return request->czxid ? SEND_AGAIN : -ESTALE;
	if (ahead == 0)
		return SEND_AGAIN;
	if (same_data(request, found))
		return 0;
	if (ahead == 1 && found->data_known)
		return -ESTALE;
	return -EIO; /* ours, and then others', or only others' */
}

static int judge_set(
	const struct zk_op *op, struct zk_request *request, const struct finding *found)
{
	const struct zk_stat *base = request->has_base ? &request->base : NULL;
	bool unchanged;

	if (!found->exists)
		return -ENOENT;
	if (request->version != ZK_ANY_VERSION)
		return judge_set_version(request, found);
	unchanged = found->stat.mzxid <= op->zxid_before;
	if (base)
		unchanged |= zk_stat_same_data(base, &found->stat);
	if (unchanged) {
		request->version = found->stat.version;
		request->czxid = found->stat.czxid;
		return SEND_AGAIN;
	}
	return same_data(request, found) ? 0 : -EIO;
}

static int judge_create(
	const struct zk_op *op, const struct zk_request *request, const struct finding *found)
{
	bool ephemeral = request->mode == ZK_CREATE_EPHEMERAL;

	if (!found->exists)
		return SEND_AGAIN;
	if (found->stat.czxid <= op->zxid_before ||
		found->stat.ephemeral_owner != (ephemeral ? op->session : 0))
		return -EEXIST;
	if (ephemeral) {
		/* Made in a session that has expired: the server is removing it. */
		if (op->session != op->client->id.client_id)
			return op->multi ? -EIO : LOOK_AGAIN;
		return 0;
	}
	if (same_data(request, found))
		return 0;
	return found->data_known && found->stat.version == 0 ? -EEXIST : -EIO;
}

static int judge_delete(
	const struct zk_op *op, struct zk_request *request, const struct finding *found)
{
	if (!found->exists || !same_znode(request, found))
		return 0;
	if (request->czxid == 0 && found->stat.czxid > op->zxid_before)
		return 0; /* a new one of that name */
	if (request->any_version) {
		request->version = found->stat.version;
		return SEND_AGAIN;
	}
	return request->version == found->stat.version ? SEND_AGAIN : -ESTALE;
}

/* The server replaces auth::perms by the ids of the session, and shows who has no admin permission
 * USER:x in place of a digest: neither can be compared with what was asked for. */
static bool acl_comparable(const struct zk_acl *acl)
{
	for (size_t i = 0; i < acl->n_entries; i++) {
		const struct zk_acl_entry *entry = &acl->entries[i];
		const char *colon = strrchr(entry->id, ':');

		if (strcmp(entry->scheme, "auth") == 0)
			return false;
		if (strcmp(entry->scheme, "digest") == 0 && colon && strcmp(colon, ":x") == 0)
			return false;
	}
	return true;
}

static int judge_acl_set(const struct zk_request *request, const struct finding *found)
{
	bool comparable = found->acl && acl_comparable(request->acl) && acl_comparable(found->acl);
	bool same = comparable && zk_acl_equal(request->acl, found->acl);
	int64_t ahead = (int64_t)found->stat.aversion - request->version;

	if (!found->exists)
		return -ENOENT;
	if (request->version == ZK_ANY_VERSION)
		return same ? 0 : -EIO;
	if (ahead < 0)
		return -ESTALE;
	if (ahead == 0)
		return SEND_AGAIN;
	if (same || (ahead == 1 && !comparable))
		return 0;
	return ahead == 1 ? -ESTALE : -EIO;
}

static int judge(struct zk_op *op, const struct finding *found)
{
	struct zk_request *request = op_subject(op);

	switch (request->type) {
	case ZK_REQUEST_SET:
		return judge_set(op, request, found);
	case ZK_REQUEST_CREATE:
		return judge_create(op, request, found);
	case ZK_REQUEST_DELETE:
		return judge_delete(op, request, found);
	case ZK_REQUEST_ACL_SET:
		return judge_acl_set(request, found);
	default:
		return -EIO;
	}
}

/* A repeated request was refused, and not for its first copy's sake: then that is the answer.
 * Only a delete without a condition goes on, as its condition is ours and not the caller's. */
static int judge_doubt(struct zk_op *op, int verdict)
{
	if (op->doubt == 0 || verdict == 0)
		return verdict;
	if (verdict == SEND_AGAIN && op->request.type == ZK_REQUEST_DELETE &&
		op->request.any_version)
		return verdict;
	return op->doubt;
}

static int failed_part(const struct zk_op *op, int verdict)
{
	if (!op->multi || verdict == 0 || verdict == -EIO)
		return -1;
	return op->doubt ? op->doubt_failed_op : (int)op->probe;
}

static void settle(struct zk_op *op, const struct finding *found)
{
	int verdict = judge_doubt(op, judge(op, found));
	struct zk_reply reply = { .failed_op = failed_part(op, verdict) };

	op->doubt = 0;
	if (verdict == LOOK_AGAIN) {
		zk_op_requeue(op);
	} else if (verdict == SEND_AGAIN) {
		op->unsure = false;
		zk_op_requeue(op);
	} else {
		if (verdict == 0 && op_subject(op)->type != ZK_REQUEST_DELETE)
			reply.stat = found->stat;
		zk_op_end(op, verdict, &reply);
	}
}

/* What every look-up ends with; code is ZOK or not, `found` filled in if it is. */
static void looked(struct zk_op *op, int code, struct finding *found)
{
	int r = zk_error_to_errno(code);

	if (r == -EACCES && !op->blind) {
		op->blind = true;
		zk_op_requeue(op);
	} else if (r == 0 || r == -ENOENT) {
		found->exists = r == 0;
		settle(op, found);
	} else {
		zk_op_end(op, -EIO, NULL);
	}
}

static void on_data(
	int code, const char *value, int value_len, const struct Stat *stat, const void *userdata)
{
	struct zk_op *op = (struct zk_op *)userdata;
	struct finding found = { .data_known = true };
	struct zk_blob *data = NULL;

	if (!zk_op_returned(op, code))
		return;
	if (code == ZOK) {
		zk_stat_import(op->client, &found.stat, stat);
		if (value_len >= 0) {
			data = zk_blob_new(value_len ? value : NULL, (uint32_t)value_len);
			found.data_known = data != NULL;
		}
		found.data = data;
	}
	looked(op, code, &found);
	zk_blob_unref(data);
}

static void on_stat(int code, const struct Stat *stat, const void *userdata)
{
	struct zk_op *op = (struct zk_op *)userdata;
	struct finding found = { 0 };

	if (!zk_op_returned(op, code))
		return;
	if (code == ZOK)
		zk_stat_import(op->client, &found.stat, stat);
	looked(op, code, &found);
}

static void on_acl(int code, struct ACL_vector *from, struct Stat *stat, const void *userdata)
{
	struct zk_op *op = (struct zk_op *)userdata;
	struct finding found = { 0 };
	struct zk_acl *acl = NULL;

	if (!zk_op_returned(op, code))
		return;
	if (code == ZOK) {
		zk_stat_import(op->client, &found.stat, stat);
		if (zk_acl_import(&acl, from) == 0)
			found.acl = acl;
	}
	looked(op, code, &found);
	zk_acl_free(acl);
}

int zk_settle_look(struct zk_op *op)
{
	zhandle_t *zh = op->client->zh;
	const struct zk_request *request = op_subject(op);

	if (!op->blind) {
		if (request->type == ZK_REQUEST_SET || request->type == ZK_REQUEST_CREATE)
			return zoo_aget(zh, request->path, 0, on_data, op);
		if (request->type == ZK_REQUEST_ACL_SET)
			return zoo_aget_acl(zh, request->path, on_acl, op);
	}
	return zoo_aexists(zh, request->path, 0, on_stat, op);
}

bool zk_settle_doubts(struct zk_op *op, int r, int failed_op)
{
	if (op->tries < 2 || !zk_request_is_write(&op->request) || op->request.sequential)
		return false;
	if (r != -ESTALE && r != -EEXIST && r != -ENOENT)
		return false;
	op->unsure = true;
	op->doubt = r;
	op->doubt_failed_op = failed_op;
	zk_op_requeue(op);
	return true;
}
