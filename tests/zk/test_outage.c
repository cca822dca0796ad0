/* SPDX-License-Identifier: Apache-2.0 */
/* Lost connections, silent servers, lost sessions. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scene.h"

static void lost_reads_are_asked_again(void **state)
{
	struct scene *s = *state;
	struct answer get = { 0 }, fast = { 0 };
	uint64_t received = scene_lose(s, PROXY_DROP_REPLIES);

	assert_int_equal(zk_get(s->victim, "/", 0, answer_take, &get, NULL), 0);
	assert_int_equal(zk_get(s->victim, "/", ZK_OP_FAIL_FAST, answer_take, &fast, NULL), 0);
	scene_let_it_happen(s, received);
	scene_heal(s);
	assert_int_equal(answer_wait(s->victim, &fast), -ENOTCONN);
	assert_int_equal(answer_wait(s->victim, &get), 0);
	answer_clear(&get);
}

static void reconnect_keeps_the_session(void **state)
{
	struct scene *s = *state;
	struct zk_client_info before, after;

	zk_client_get_info(s->victim, &before);
	assert_int_equal(before.state, ZK_CONNECTED);
	assert_int_equal(before.session_timeout_ms, SCENE_SESSION_MS);
	scene_heal(s);
	scene_run_for(s, 20);
	client_connect(s->victim);
	zk_client_get_info(s->victim, &after);
	assert_int_equal(before.session_id, after.session_id);
	assert_int_equal(after.reconnects, 1);
	assert_int_equal(after.expiries, 0);
	assert_int_equal(after.outage_ms, 0);
}

struct tally {
	unsigned left;
	unsigned failed;
	bool done;
};

static void tally(void *userdata, int r, const struct zk_reply *reply)
{
	struct tally *t = userdata;

	(void)reply;
	t->failed += r != 0;
	t->done = --t->left == 0;
}

/* Each of these would fail if it were done twice. */
static void start_create(struct scene *s, int number, struct tally *t)
{
	char name[16];

	snprintf(name, sizeof(name), "n%d", number);
	assert_int_equal(zk_create(s->victim, fixture_path(s->f, name), NULL, s->f->open_acl,
				 ZK_CREATE_PERSISTENT, 0, tally, t, NULL),
		0);
}

/* The first send after the cut goes to a closed socket, the second fails: the library's handle is
 * broken then, without its noticing. */
static void sending_into_a_closed_connection(void **state)
{
	struct scene *s = *state;
	struct zk_client_info before, after;
	struct tally t = { .left = 20 };

	zk_client_get_info(s->victim, &before);
	scene_heal(s);
	for (int i = 0; i < 20; i++) {
		struct timespec wait = { .tv_nsec = 2000000 };

		nanosleep(&wait, NULL);
		start_create(s, i, &t);
	}
	assert_true(client_run(s->victim, NULL, &t.done, 20000));
	assert_int_equal(t.failed, 0);
	assert_int_equal(scene_stat(s, s->f->dir).num_children, 20);
	zk_client_get_info(s->victim, &after);
	assert_int_equal(before.session_id, after.session_id);
}

static void pipelined_writes_survive_cuts(void **state)
{
	struct scene *s = *state;
	struct tally t = { .left = 600 };
	struct zk_client_info info;

	for (int i = 0; i < 600; i++) {
		start_create(s, i, &t);
		if (i % 150 == 100) {
			scene_run_for(s, 3);
			proxy_cut(s->proxy);
		}
	}
	assert_true(client_run(s->victim, NULL, &t.done, 20000));
	assert_int_equal(t.failed, 0);
	assert_int_equal(scene_stat(s, s->f->dir).num_children, 600);
	zk_client_get_info(s->victim, &info);
	assert_in_range(info.reconnects, 1, 4);
	assert_int_equal(info.in_flight + info.waiting, 0);
}

static void silent_server_ends_in_timeout(void **state)
{
	struct scene *s = *state;
	struct answer read = { 0 }, write = { 0 };
	struct zk_blob *data = blob_of("x");
	int64_t start;

	scene_make_old(s);
	scene_victim(s, 6000, 500);
	scene_lose(s, PROXY_DROP_REPLIES);
	start = scene_now_ms();
	assert_int_equal(zk_get(s->victim, "/", 0, answer_take, &read, NULL), 0);
	assert_int_equal(
		zk_set(s->victim, s->path, data, -1, NULL, 0, answer_take, &write, NULL), 0);
	assert_int_equal(answer_wait(s->victim, &read), -ETIMEDOUT);
	assert_int_equal(answer_wait(s->victim, &write), -ETIMEDOUT);
	assert_in_range(scene_now_ms() - start, 490, 700);
	scene_heal(s);
	scene_run_for(s, 100);
	client_connect(s->victim);
	zk_blob_unref(data);
}

static void waits_do_not_add_up(void **state)
{
	struct scene *s = *state;
	struct answer normal = { 0 }, held = { 0 }, late = { 0 };
	struct zk_client_info info;
	int64_t start;

	scene_victim(s, 6000, 600);
	proxy_set(s->proxy, PROXY_REFUSE);
	proxy_cut(s->proxy);
	start = scene_now_ms();
	scene_run_for(s, 300);
	zk_client_get_info(s->victim, &info);
	assert_int_equal(info.state, ZK_CONNECTING);
	assert_in_range(info.outage_ms, 250, 400);
	assert_int_equal(zk_get(s->victim, "/", 0, answer_take, &normal, NULL), 0);
	assert_int_equal(zk_get(s->victim, "/", ZK_OP_SINCE_OUTAGE, answer_take, &held, NULL), 0);
	assert_int_equal(answer_wait(s->victim, &held), -ETIMEDOUT);
	assert_in_range(scene_now_ms() - start, 580, 720);
	assert_int_equal(zk_get(s->victim, "/", ZK_OP_SINCE_OUTAGE, answer_take, &late, NULL), 0);
	assert_false(late.done);
	assert_int_equal(answer_wait(s->victim, &late), -ETIMEDOUT);
	assert_in_range(scene_now_ms() - start, 580, 740);
	assert_false(normal.done);
	assert_int_equal(answer_wait(s->victim, &normal), -ETIMEDOUT);
	assert_in_range(scene_now_ms() - start, 880, 1100);
}

/* A server that falls silent is noticed late, but the outage began when it fell silent. */
static void silence_counts_from_its_start(void **state)
{
	struct scene *s = *state;
	struct answer before = { 0 }, after = { 0 };
	struct zk_client_info info;
	int64_t start;

	scene_victim(s, 1000, 1500);
	scene_lose(s, PROXY_DROP_REPLIES);
	start = scene_now_ms();
	scene_run_for(s, 300);
	assert_int_equal(zk_get(s->victim, "/", ZK_OP_SINCE_OUTAGE, answer_take, &before, NULL), 0);
	scene_run_for(s, 600);
	zk_client_get_info(s->victim, &info);
	assert_int_equal(info.state, ZK_CONNECTING);
	assert_int_equal(zk_get(s->victim, "/", ZK_OP_SINCE_OUTAGE, answer_take, &after, NULL), 0);
	assert_int_equal(answer_wait(s->victim, &before), -ETIMEDOUT);
	assert_int_equal(answer_wait(s->victim, &after), -ETIMEDOUT);
	assert_in_range(scene_now_ms() - start, 1100, 1650);
}

static void outage_past_the_session(struct scene *s)
{
	struct zk_client_info info;

	proxy_set(s->proxy, PROXY_REFUSE);
	proxy_cut(s->proxy);
	scene_run_for(s, SCENE_SESSION_MS / 2);
	zk_client_get_info(s->victim, &info);
	assert_false(info.expired);
	scene_run_for(s, SCENE_SESSION_MS * 3 / 2 + 500);
	zk_client_get_info(s->victim, &info);
	assert_true(info.expired);
	proxy_set(s->proxy, PROXY_PASS);
}

static void expired_session_is_replaced(void **state)
{
	struct scene *s = *state;
	struct zk_client_info before, after;
	struct answer answer = { 0 };
	struct zk_acl *acl = zk_acl_new_creator();

	zk_client_get_info(s->victim, &before);
	outage_past_the_session(s);
	client_connect(s->victim);
	zk_client_get_info(s->victim, &after);
	assert_int_not_equal(before.session_id, after.session_id);
	assert_int_equal(after.expiries, 1);
	assert_false(after.expired);
	/* the credentials have come along */
	assert_int_equal(zk_create(s->victim, s->path, NULL, acl, ZK_CREATE_PERSISTENT, 0,
				 answer_take, &answer, NULL),
		0);
	assert_int_equal(answer_wait(s->victim, &answer), 0);
	zk_acl_free(acl);
}

static void ephemeral_of_an_expired_session_is_made_anew(void **state)
{
	struct scene *s = *state;
	struct zk_blob *data = blob_of("mine");
	struct zk_client_info info;

	for (int i = 0; i < 2; i++) {
		struct answer answer = { 0 };
		uint64_t received = scene_lose(s, i ? PROXY_DROP_REQUESTS : PROXY_DROP_REPLIES);

		assert_int_equal(zk_create(s->victim, s->path, data, s->f->open_acl,
					 ZK_CREATE_EPHEMERAL, 0, answer_take, &answer, NULL),
			0);
		scene_let_it_happen(s, received);
		outage_past_the_session(s);
		assert_int_equal(answer_wait(s->victim, &answer), 0);
		zk_client_get_info(s->victim, &info);
		assert_int_equal(info.expiries, i + 1);
		assert_int_equal(scene_stat(s, s->path).ephemeral_owner, info.session_id);
		assert_int_equal(do_delete(s->victim, s->path), 0);
	}
	zk_blob_unref(data);
}

static void cancelled_write_is_settled_all_the_same(void **state)
{
	struct scene *s = *state;
	struct answer answer = { 0 };
	struct zk_op *op;
	uint64_t received = scene_lose(s, PROXY_DROP_REQUESTS);

	assert_int_equal(zk_create(s->victim, s->path, NULL, s->f->open_acl, ZK_CREATE_PERSISTENT,
				 0, answer_take, &answer, &op),
		0);
	scene_let_it_happen(s, received);
	assert_false(zk_op_cancel(op));
	scene_heal(s);
	scene_run_for(s, 2);
	assert_false(answer.done || zk_op_cancel(op));
	assert_int_equal(answer_wait(s->victim, &answer), 0);
	scene_assert_znode(s, s->path, NULL, 0);
}

static void free_is_quick_when_the_server_is_silent(void **state)
{
	struct scene *s = *state;
	struct zk_blob *big = zk_blob_new(NULL, 1000000);
	struct answer answer = { 0 };
	int64_t start;

	scene_make_old(s);
	scene_lose(s, PROXY_DROP_REPLIES);
	for (int i = 0; i < 10; i++)
		assert_int_equal(
			zk_set(s->victim, s->path, big, -1, NULL, 0, answer_take, &answer, NULL),
			0);
	start = scene_now_ms();
	s->victim = zk_client_free(s->victim);
	assert_in_range(scene_now_ms() - start, 0, 1100);
	zk_blob_unref(big);
}

static void free_is_quick_without_a_server(void **state)
{
	struct scene *s = *state;
	struct answer answer = { 0 };
	int64_t start;

	proxy_set(s->proxy, PROXY_REFUSE);
	proxy_cut(s->proxy);
	assert_int_equal(zk_get(s->victim, "/", 0, answer_take, &answer, NULL), 0);
	scene_run_for(s, 50);
	start = scene_now_ms();
	s->victim = zk_client_free(s->victim);
	assert_in_range(scene_now_ms() - start, 0, 100);
	assert_false(answer.done);
}

static void dead_servers_are_passed_over(void **state)
{
	struct scene *s = *state;
	struct zk_hosts *hosts;
	struct zk_hosts_error error;
	struct zk_client *client;
	char text[128];
	int64_t start = scene_now_ms();

	snprintf(text, sizeof(text), "127.0.0.1:1,127.0.0.1:%u,[::1]:1",
		(unsigned)proxy_port(s->proxy));
	assert_int_equal(zk_hosts_parse(text, &hosts, &error), 0);
	for (int i = 0; i < 5; i++) {
		client = client_open(hosts, NULL, 6000, 5000);
		client_connect(client);
		zk_client_free(client);
	}
	assert_in_range(scene_now_ms() - start, 0, 1500);
	zk_hosts_free(hosts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(lost_reads_are_asked_again),
		SCENE(reconnect_keeps_the_session),
		SCENE(sending_into_a_closed_connection),
		SCENE(pipelined_writes_survive_cuts),
		SCENE(silent_server_ends_in_timeout),
		SCENE(waits_do_not_add_up),
		SCENE(silence_counts_from_its_start),
		SCENE(expired_session_is_replaced),
		SCENE(ephemeral_of_an_expired_session_is_made_anew),
		SCENE(cancelled_write_is_settled_all_the_same),
		SCENE(free_is_quick_when_the_server_is_silent),
		SCENE(free_is_quick_without_a_server),
		SCENE(dead_servers_are_passed_over),
	};

	if (!test_hosts())
		return EXIT_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
