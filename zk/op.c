/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of an operation. It is in exactly one list: waiting for a server, sent, or failed. The
 * library never forgets a request by itself, but loses its completions when a handle is closed; so
 * the list of those sent is the truth. An operation that ends (deadline, cancel) while the library
 * holds a request of it stays in that list, ended, until the completion comes or the handle goes.
 *
 * All operations have the same time limit, so that the lists of deadlines are in order by
 * themselves: one for those that count from their own start, one for those that count from the
 * start of an outage.
 */

#include "zk/client_private.h"

#include <errno.h>
#include <stdlib.h>

#include "zk/error.h"

#define THROTTLED_MS 50 /* how long to hold back when the server is overloaded */

static const struct zk_reply no_reply = { .failed_op = -1 };

static void op_move(struct zk_op *op, enum zk_place place)
{
	struct zk_client *client = op->client;

	if (client->last_requeued == op)
		client->last_requeued = NULL;
	if (op->place != ZK_PLACE_NOWHERE) {
		TAILQ_REMOVE(&client->places[op->place], op, by_place);
		client->counts[op->place]--;
	}
	op->place = place;
	if (place != ZK_PLACE_NOWHERE) {
		TAILQ_INSERT_TAIL(&client->places[place], op, by_place);
		client->counts[place]++;
	}
}

static struct zk_op_list *op_deadlines(struct zk_op *op)
{
	return &op->client->deadlines[op->flags & ZK_OP_SINCE_OUTAGE ? 1 : 0];
}

static bool op_is_write(const struct zk_op *op)
{
	return zk_request_is_write(&op->request);
}

static void op_free(struct zk_op *op)
{
	op_move(op, ZK_PLACE_NOWHERE);
	if (!op->ended)
		TAILQ_REMOVE(op_deadlines(op), op, by_deadline);
	zk_send_free_results(op);
	zk_request_done(&op->request);
	zk_multi_free(op->multi);
	free(op);
}

/* From here on nobody waits for it. */
static void op_detach(struct zk_op *op)
{
	TAILQ_REMOVE(op_deadlines(op), op, by_deadline);
	op->ended = true;
}

void zk_op_end(struct zk_op *op, int r, const struct zk_reply *reply)
{
	bool in_library = op->place == ZK_PLACE_SENT;

	op_detach(op);
	if (!in_library)
		op_move(op, ZK_PLACE_NOWHERE);
	op->fn(op->userdata, r, reply ? reply : &no_reply);
	if (!in_library)
		op_free(op);
}

void zk_op_fail_later(struct zk_op *op, int r)
{
	op->result = r;
	op->round = op->client->round;
	op_move(op, ZK_PLACE_FAILED);
	zk_client_wake(op->client);
}

void zk_op_requeue(struct zk_op *op)
{
	struct zk_client *client = op->client;
	struct zk_op *after = client->last_requeued;
	struct zk_op *next;

	op_move(op, ZK_PLACE_NOWHERE);
	if (!after || after->number > op->number)
		after = NULL;
	next = after ? TAILQ_NEXT(after, by_place) : TAILQ_FIRST(&client->places[ZK_PLACE_WAITING]);
	while (next && next->number < op->number)
		next = TAILQ_NEXT(next, by_place);
	if (next)
		TAILQ_INSERT_BEFORE(next, op, by_place);
	else
		TAILQ_INSERT_TAIL(&client->places[ZK_PLACE_WAITING], op, by_place);
	op->place = ZK_PLACE_WAITING;
	client->counts[ZK_PLACE_WAITING]++;
	client->last_requeued = op;
}

/* The connection went with the answer. */
static void op_lost(struct zk_op *op)
{
	if (op->request.sequential) {
		zk_op_fail_later(op, -ENOTCONN);
		return;
	}
	if (op_is_write(op))
		op->unsure = true;
	else if (op->flags & ZK_OP_FAIL_FAST) {
		zk_op_fail_later(op, -ENOTCONN);
		return;
	}
	zk_op_requeue(op);
}

bool zk_op_returned(struct zk_op *op, int code)
{
	struct zk_client *client = op->client;
	int r = zk_error_to_errno(code);

	if (client->closing)
		return false;
	op_move(op, ZK_PLACE_NOWHERE);
	if (op->ended) {
		op_free(op);
		return false;
	}
	if (r == -ENOTCONN) {
		op_lost(op);
		return false;
	}
	if (r == -EAGAIN) {
		client->hold_until = client->now + THROTTLED_MS;
		zk_op_requeue(op);
		return false;
	}
	return true;
}

static void op_send(struct zk_op *op)
{
	struct zk_client *client = op->client;
	int code;

	if (op->tries == 0)
		op->zxid_before = client->last_zxid;
	op_move(op, ZK_PLACE_SENT);
	client->requests[op->request.type]++;
	if (op->unsure) {
		code = zk_settle_look(op);
	} else {
		op->tries++;
		op->session = client->id.client_id;
		code = zk_send_request(op);
	}
	zk_connection_check(client);
	if (code == ZOK)
		return;
	if (zk_error_to_errno(code) == -ENOTCONN)
		zk_op_requeue(op);
	else
		zk_op_fail_later(op, zk_error_to_errno(code));
}

void zk_ops_flush(struct zk_client *client)
{
	struct zk_op *op;

	if (client->now < client->hold_until)
		return;
	while (client->state == ZK_CONNECTED &&
		(op = TAILQ_FIRST(&client->places[ZK_PLACE_WAITING])))
		op_send(op);
}

/* The connection stands, but the server has not said a word since long before the deadline. */
static bool is_silent(const struct zk_client *client)
{
	return client->silent_at > client->heard_at;
}

static void op_expire(struct zk_op *op)
{
	struct zk_client *client = op->client;
	int r = -ETIMEDOUT;

	if (op->place == ZK_PLACE_FAILED) {
		r = op->result;
	} else if (op->place == ZK_PLACE_SENT &&
		   client->heard_at <= op->deadline - client->options.op_timeout_ms) {
		client->silent_at = client->now;
		if ((op->flags & ZK_OP_FAIL_FAST) && !op_is_write(op))
			r = -ENOTCONN;
	}
	zk_op_end(op, r, NULL);
}

static void expire_list(struct zk_client *client, struct zk_op_list *list)
{
	struct zk_op *op;

	/* What a callback starts now waits for the next dispatch, or this might never end. */
	while ((op = TAILQ_FIRST(list)) && op->deadline <= client->now &&
		op->round != client->round)
		op_expire(op);
	if (op && op->deadline <= client->now)
		zk_client_wake(client);
}

void zk_ops_expire(struct zk_client *client)
{
	struct zk_op *op;

	while ((op = TAILQ_FIRST(&client->places[ZK_PLACE_FAILED])) && op->round != client->round)
		zk_op_end(op, op->result, NULL);
	if (op)
		zk_client_wake(client);
	expire_list(client, &client->deadlines[0]);
	expire_list(client, &client->deadlines[1]);
}

int64_t zk_ops_next_deadline(const struct zk_client *client)
{
	int64_t at = INT64_MAX;

	for (int i = 0; i < 2; i++) {
		const struct zk_op *op = TAILQ_FIRST(&client->deadlines[i]);

		if (op && op->deadline < at)
			at = op->deadline;
	}
	if (client->hold_until > client->now && client->hold_until < at &&
		client->counts[ZK_PLACE_WAITING] > 0)
		at = client->hold_until;
	return at;
}

void zk_ops_lose_all(struct zk_client *client)
{
	struct zk_op *op;

	while ((op = TAILQ_FIRST(&client->places[ZK_PLACE_SENT])))
		zk_op_returned(op, ZCONNECTIONLOSS);
}

/* Those that are past their deadline too: nobody waits for them, but the library has their watches. */
void zk_ops_forget_removals(struct zk_client *client)
{
	static const enum zk_place places[] = { ZK_PLACE_SENT, ZK_PLACE_WAITING };
	const struct zk_op *op;

	for (size_t i = 0; i < 2; i++) {
		TAILQ_FOREACH (op, &client->places[places[i]], by_place) {
			if (op->request.type == ZK_REQUEST_UNWATCH)
				zk_watch_forget(client, op->request.path, op->request.watches);
		}
	}
}

void zk_ops_fail_all(struct zk_client *client, int r)
{
	struct zk_op *op;

	zk_ops_lose_all(client);
	while ((op = TAILQ_FIRST(&client->places[ZK_PLACE_WAITING])))
		zk_op_fail_later(op, r);
}

void zk_ops_init(struct zk_client *client)
{
	for (int i = 0; i < ZK_N_PLACES; i++)
		TAILQ_INIT(&client->places[i]);
	for (int i = 0; i < 2; i++)
		TAILQ_INIT(&client->deadlines[i]);
}

void zk_ops_done(struct zk_client *client)
{
	struct zk_op *op;

	for (int i = 0; i < ZK_N_PLACES; i++) {
		while ((op = TAILQ_FIRST(&client->places[i])))
			op_free(op);
	}
}

static void op_set_deadline(struct zk_op *op)
{
	struct zk_client *client = op->client;
	struct zk_op_list *list = op_deadlines(op);
	struct zk_op *before = TAILQ_LAST(list, zk_op_list);
	int64_t from = zk_now_ms();

	if ((op->flags & ZK_OP_SINCE_OUTAGE) && client->outage_at)
		from = client->outage_at;
	op->deadline = from + client->options.op_timeout_ms;
	while (before && before->deadline > op->deadline)
		before = TAILQ_PREV(before, zk_op_list, by_deadline);
	if (before)
		TAILQ_INSERT_AFTER(list, before, op, by_deadline);
	else
		TAILQ_INSERT_HEAD(list, op, by_deadline);
	zk_client_wake_at(client, op->deadline);
}

void zk_ops_count_from_outage(struct zk_client *client)
{
	int64_t latest = client->outage_at + client->options.op_timeout_ms;
	struct zk_op *op;

	TAILQ_FOREACH (op, &client->deadlines[1], by_deadline) {
		if (op->deadline > latest)
			op->deadline = latest;
	}
	zk_client_wake(client);
}

static struct zk_op *op_new(
	struct zk_client *client, unsigned flags, zk_reply_fn fn, void *userdata)
{
	struct zk_op *op = calloc(1, sizeof(*op));

	if (!op)
		return NULL;
	op->client = client;
	op->flags = flags;
	op->fn = fn;
	op->userdata = userdata;
	op->number = client->n_ops++;
	op->round = client->round;
	return op;
}

/* An operation that is filled in goes off. */
static void op_start(struct zk_op *op, struct zk_op **opp)
{
	struct zk_client *client = op->client;

	op_set_deadline(op);
	if (opp)
		*opp = op;
	op_move(op, ZK_PLACE_WAITING);
	if (client->state == ZK_AUTH_FAILED)
		zk_op_fail_later(op, -EACCES);
	else if ((client->state != ZK_CONNECTED || is_silent(client)) &&
		 (op->flags & ZK_OP_FAIL_FAST) && !op_is_write(op))
		zk_op_fail_later(op, -ENOTCONN);
	else if (client->state == ZK_CONNECTED && client->counts[ZK_PLACE_WAITING] == 1 &&
		 client->now >= client->hold_until) {
		op_send(op);
		if (!client->dispatching)
			zk_connection_refresh(client);
	}
}

/* Starts `request`, which it takes over, also when it fails; `r`: what became of its making. */
static int start_request(struct zk_client *client, struct zk_request *request, int r,
	unsigned flags, zk_reply_fn fn, void *userdata, struct zk_op **opp)
{
	struct zk_op *op;

	if (r < 0)
		return r;
	if (ZK_REQUEST_HEADER_SIZE + zk_request_body_size(request) > client->options.packet_max) {
		zk_request_done(request);
		return -EFBIG;
	}
	op = op_new(client, flags, fn, userdata);
	if (!op) {
		zk_request_done(request);
		return -ENOMEM;
	}
	op->request = *request;
	op_start(op, opp);
	return 0;
}

static int start_read(struct zk_client *client, enum zk_request_type type, const char *path,
	unsigned flags, zk_reply_fn fn, void *userdata, struct zk_op **opp)
{
	struct zk_request request;
	int r = zk_request_init(&request, type, path);

	return start_request(client, &request, r, flags, fn, userdata, opp);
}

int zk_get(struct zk_client *c, const char *path, unsigned flags, zk_reply_fn fn, void *userdata,
	struct zk_op **opp)
{
	return start_read(c, ZK_REQUEST_GET, path, flags, fn, userdata, opp);
}

int zk_exists(struct zk_client *c, const char *path, unsigned flags, zk_reply_fn fn, void *userdata,
	struct zk_op **opp)
{
	return start_read(c, ZK_REQUEST_EXISTS, path, flags, fn, userdata, opp);
}

int zk_children(struct zk_client *c, const char *path, unsigned flags, zk_reply_fn fn,
	void *userdata, struct zk_op **opp)
{
	return start_read(c, ZK_REQUEST_CHILDREN, path, flags, fn, userdata, opp);
}

int zk_acl_get(struct zk_client *c, const char *path, unsigned flags, zk_reply_fn fn,
	void *userdata, struct zk_op **opp)
{
	return start_read(c, ZK_REQUEST_ACL_GET, path, flags, fn, userdata, opp);
}

int zk_sync(struct zk_client *c, const char *path, unsigned flags, zk_reply_fn fn, void *userdata,
	struct zk_op **opp)
{
	return start_read(c, ZK_REQUEST_SYNC, path, flags, fn, userdata, opp);
}

int zk_op_unwatch(struct zk_client *client, const char *path, unsigned kinds, zk_reply_fn fn)
{
	struct zk_request request;
	int r = zk_request_init(&request, ZK_REQUEST_UNWATCH, path);

	request.watches = kinds;
	return start_request(client, &request, r, 0, fn, client, NULL);
}

int zk_create_ttl(struct zk_client *c, const char *path, struct zk_blob *data,
	const struct zk_acl *acl, enum zk_create_mode mode, int64_t ttl_ms, unsigned flags,
	zk_reply_fn fn, void *userdata, struct zk_op **opp)
{
	struct zk_request request;
	int r = zk_request_init_create(&request, path, data, acl, mode);

	request.ttl_ms = ttl_ms;
	return start_request(c, &request, r, flags, fn, userdata, opp);
}

int zk_create(struct zk_client *c, const char *path, struct zk_blob *data, const struct zk_acl *acl,
	enum zk_create_mode mode, unsigned flags, zk_reply_fn fn, void *userdata,
	struct zk_op **opp)
{
	return zk_create_ttl(c, path, data, acl, mode, 0, flags, fn, userdata, opp);
}

int zk_op_create_sequential(struct zk_client *c, const char *path, struct zk_blob *data,
	const struct zk_acl *acl, enum zk_create_mode mode, int64_t ttl_ms, unsigned flags,
	zk_reply_fn fn, void *userdata, struct zk_op **opp)
{
	struct zk_request request;
	int r = zk_request_init_create(&request, path, data, acl, mode);

	request.ttl_ms = ttl_ms;
	request.sequential = true;
	return start_request(c, &request, r, flags, fn, userdata, opp);
}

int zk_set(struct zk_client *c, const char *path, struct zk_blob *data, int32_t version,
	const struct zk_stat *base, unsigned flags, zk_reply_fn fn, void *userdata,
	struct zk_op **opp)
{
	struct zk_request request;
	int r = zk_request_init_set(&request, path, data, version, base);

	return start_request(c, &request, r, flags, fn, userdata, opp);
}

int zk_delete(struct zk_client *c, const char *path, int32_t version, int64_t czxid, unsigned flags,
	zk_reply_fn fn, void *userdata, struct zk_op **opp)
{
	struct zk_request request;
	int r = zk_request_init_delete(&request, path, version, czxid);

	return start_request(c, &request, r, flags, fn, userdata, opp);
}

int zk_acl_set(struct zk_client *c, const char *path, const struct zk_acl *acl, int32_t aversion,
	unsigned flags, zk_reply_fn fn, void *userdata, struct zk_op **opp)
{
	struct zk_request request;
	int r = zk_request_init_acl_set(&request, path, acl, aversion);

	return start_request(c, &request, r, flags, fn, userdata, opp);
}

int zk_multi_start(struct zk_client *c, struct zk_multi *multi, size_t probe, unsigned flags,
	zk_reply_fn fn, void *userdata, struct zk_op **opp)
{
	struct zk_op *op = NULL;
	int r = 0;

	if (probe >= multi->n_requests)
		r = -EINVAL;
	else if (zk_multi_wire_size(multi) > c->options.packet_max)
		r = -EFBIG;
	else if (!(op = op_new(c, flags, fn, userdata)))
		r = -ENOMEM;
	if (r < 0) {
		zk_multi_free(multi);
		return r;
	}
	op->request.type = ZK_REQUEST_MULTI;
	op->multi = multi;
	op->probe = probe;
	op_start(op, opp);
	return 0;
}

bool zk_op_cancel(struct zk_op *op)
{
	if (op->ended || (op_is_write(op) && op->tries > 0))
		return false;
	if (op->place == ZK_PLACE_SENT)
		op_detach(op);
	else
		op_free(op);
	return true;
}
