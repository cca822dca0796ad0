/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lost answers, lost requests, lost connections, lost sessions. The client under test goes through
 * a proxy that loses; a second one, straight to the server, sees what really happened, and meddles.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fixture.h"
#include "proxy.h"
#include "zk/sequence.h"

#define SESSION_MS 2000
#define OP_MS 5000

struct scene {
	struct fixture *f;
	struct proxy *proxy;
	struct zk_hosts *hosts;
	struct zk_client *victim;
	const char *path;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void scene_victim(struct scene *scene, int session_ms, int op_ms)
{
	zk_client_free(scene->victim);
	scene->victim = client_open(scene->hosts, scene->f->auth, session_ms, op_ms);
	client_connect(scene->victim);
}

static int scene_setup(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct zk_hosts_error error;
	char text[64];

	fixture_setup(state);
	scene->f = *state;
	scene->proxy = proxy_new(scene->f->hosts->hosts[0].port);
	snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)proxy_port(scene->proxy));
	assert_int_equal(zk_hosts_parse(text, &scene->hosts, &error), 0);
	scene_victim(scene, SESSION_MS, OP_MS);
	scene->path = fixture_path(scene->f, "z");
	*state = scene;
	return 0;
}

static int scene_teardown(void **state)
{
	struct scene *scene = *state;

	proxy_set(scene->proxy, PROXY_PASS);
	zk_client_free(scene->victim);
	proxy_free(scene->proxy);
	zk_hosts_free(scene->hosts);
	*state = scene->f;
	fixture_teardown(state);
	free(scene);
	return 0;
}

static void run_for(struct scene *scene, int ms)
{
	bool never = false;

	client_run(scene->victim, scene->f->client, &never, ms);
}

/* Runs the victim until the server has, or never will have, got what it sent, and been done. */
static void let_it_happen(struct scene *scene, uint64_t received)
{
	while (proxy_received(scene->proxy) == received)
		run_for(scene, 5);
	run_for(scene, 60);
}

/* What is lost of the next request. */
static uint64_t lose(struct scene *scene, enum proxy_mode mode)
{
	proxy_set(scene->proxy, mode);
	return proxy_received(scene->proxy);
}

static void heal(struct scene *scene)
{
	proxy_set(scene->proxy, PROXY_PASS);
	proxy_cut(scene->proxy);
}

static struct zk_stat stat_of(struct scene *scene, const char *path)
{
	struct answer answer = { 0 };
	struct zk_stat stat;

	assert_int_equal(do_exists(scene->f->client, path, &answer), 0);
	stat = answer.stat;
	answer_clear(&answer);
	return stat;
}

static void assert_znode(struct scene *scene, const char *path, const char *text, int version)
{
	struct answer answer = { 0 };

	assert_int_equal(do_get(scene->f->client, path, &answer), 0);
	assert_data(&answer, text);
	assert_int_equal(answer.stat.version, version);
	answer_clear(&answer);
}

/* A set of "mine" whose answer or request is lost; then `meddle`, if not NULL, is set by another. */
static int lossy_set(struct scene *scene, enum proxy_mode mode, int version,
	const struct zk_stat *base, const char *meddle)
{
	struct zk_blob *data = blob_of("mine");
	struct answer answer = { 0 };
	uint64_t received = lose(scene, mode);
	int r;

	assert_int_equal(zk_set(scene->victim, scene->path, data, version, base, 0, answer_take,
				 &answer, NULL),
		0);
	let_it_happen(scene, received);
	if (meddle)
		assert_int_equal(do_set(scene->f, scene->f->client, scene->path, meddle, -1), 0);
	heal(scene);
	r = answer_wait(scene->victim, &answer);
	if (r == 0) {
		struct zk_stat now = stat_of(scene, scene->path);

		assert_true(zk_stat_same_data(&answer.stat, &now));
	}
	zk_blob_unref(data);
	answer_clear(&answer);
	return r;
}

static void make_old(struct scene *scene)
{
	assert_int_equal(do_create(scene->f, scene->victim, scene->path, "old"), 0);
}

static void set_with_version_applied(void **state)
{
	struct scene *s = *state;

	make_old(s);
	assert_int_equal(lossy_set(s, PROXY_DROP_REPLIES, 0, NULL, NULL), 0);
	assert_znode(s, s->path, "mine", 1);
}

static void set_with_version_not_applied(void **state)
{
	struct scene *s = *state;

	make_old(s);
	assert_int_equal(lossy_set(s, PROXY_DROP_REQUESTS, 0, NULL, NULL), 0);
	assert_znode(s, s->path, "mine", 1);
}

static void set_with_version_someone_else_was_first(void **state)
{
	struct scene *s = *state;

	make_old(s);
	assert_int_equal(lossy_set(s, PROXY_DROP_REQUESTS, 0, NULL, "theirs"), -ESTALE);
	assert_znode(s, s->path, "theirs", 1);
}

static void set_with_version_overwritten(void **state)
{
	struct scene *s = *state;

	make_old(s);
	assert_int_equal(lossy_set(s, PROXY_DROP_REPLIES, 0, NULL, "theirs"), -EIO);
	assert_znode(s, s->path, "theirs", 2);
}

static void set_any_applied(void **state)
{
	struct scene *s = *state;
	struct zk_stat base;

	make_old(s);
	assert_int_equal(lossy_set(s, PROXY_DROP_REPLIES, -1, NULL, NULL), 0);
	assert_znode(s, s->path, "mine", 1);
	base = stat_of(s, s->path);
	assert_int_equal(lossy_set(s, PROXY_DROP_REPLIES, -1, &base, NULL), 0);
	assert_znode(s, s->path, "mine", 2);
}

static void set_any_not_applied(void **state)
{
	struct scene *s = *state;
	struct zk_stat base;

	make_old(s);
	assert_int_equal(lossy_set(s, PROXY_DROP_REQUESTS, -1, NULL, NULL), 0);
	assert_znode(s, s->path, "mine", 1);
	base = stat_of(s, s->path);
	assert_int_equal(lossy_set(s, PROXY_DROP_REQUESTS, -1, &base, NULL), 0);
	assert_znode(s, s->path, "mine", 2);
}

static void set_any_never_overwrites_a_later_write(void **state)
{
	struct scene *s = *state;
	struct zk_stat base;

	make_old(s);
	base = stat_of(s, s->path);
	assert_int_equal(lossy_set(s, PROXY_DROP_REPLIES, -1, &base, "theirs"), -EIO);
	assert_znode(s, s->path, "theirs", 2);
}

static int lossy_create(struct scene *scene, enum proxy_mode mode, enum zk_create_mode create_mode,
	const char *meddle)
{
	struct zk_blob *data = blob_of("mine");
	struct answer answer = { 0 };
	uint64_t received = lose(scene, mode);
	int r;

	assert_int_equal(zk_create(scene->victim, scene->path, data, scene->f->open_acl,
				 create_mode, 0, answer_take, &answer, NULL),
		0);
	let_it_happen(scene, received);
	if (meddle)
		assert_int_equal(do_create(scene->f, scene->f->client, scene->path, meddle), 0);
	heal(scene);
	r = answer_wait(scene->victim, &answer);
	if (r == 0) {
		struct zk_stat now = stat_of(scene, scene->path);

		assert_true(zk_stat_same_data(&answer.stat, &now));
	}
	zk_blob_unref(data);
	answer_clear(&answer);
	return r;
}

static void create_applied(void **state)
{
	struct scene *s = *state;

	assert_int_equal(lossy_create(s, PROXY_DROP_REPLIES, ZK_CREATE_PERSISTENT, NULL), 0);
	assert_znode(s, s->path, "mine", 0);
}

static void create_not_applied(void **state)
{
	struct scene *s = *state;

	assert_int_equal(lossy_create(s, PROXY_DROP_REQUESTS, ZK_CREATE_PERSISTENT, NULL), 0);
	assert_znode(s, s->path, "mine", 0);
}

static void create_someone_else_was_first(void **state)
{
	struct scene *s = *state;

	assert_int_equal(
		lossy_create(s, PROXY_DROP_REQUESTS, ZK_CREATE_PERSISTENT, "theirs"), -EEXIST);
	assert_znode(s, s->path, "theirs", 0);
}

static void create_that_was_refused_stays_refused(void **state)
{
	struct scene *s = *state;

	assert_int_equal(do_create(s->f, s->victim, s->path, "mine"), 0);
	assert_int_equal(lossy_create(s, PROXY_DROP_REPLIES, ZK_CREATE_PERSISTENT, NULL), -EEXIST);
}

static void create_ephemeral_applied(void **state)
{
	struct scene *s = *state;
	struct zk_client_info info;

	assert_int_equal(lossy_create(s, PROXY_DROP_REPLIES, ZK_CREATE_EPHEMERAL, NULL), 0);
	zk_client_get_info(s->victim, &info);
	assert_int_equal(stat_of(s, s->path).ephemeral_owner, info.session_id);
}

static void create_ephemeral_same_data_of_someone_else(void **state)
{
	struct scene *s = *state;

	assert_int_equal(
		lossy_create(s, PROXY_DROP_REQUESTS, ZK_CREATE_EPHEMERAL, "mine"), -EEXIST);
}

static int lossy_delete(
	struct scene *scene, enum proxy_mode mode, int version, int64_t czxid, bool again)
{
	struct answer answer = { 0 };
	uint64_t received = lose(scene, mode);

	assert_int_equal(zk_delete(scene->victim, scene->path, version, czxid, 0, answer_take,
				 &answer, NULL),
		0);
	let_it_happen(scene, received);
	if (again)
		assert_int_equal(do_create(scene->f, scene->f->client, scene->path, "again"), 0);
	heal(scene);
	return answer_wait(scene->victim, &answer);
}

static void delete_applied(void **state)
{
	struct scene *s = *state;
	struct answer answer = { 0 };

	make_old(s);
	assert_int_equal(lossy_delete(s, PROXY_DROP_REPLIES, -1, 0, false), 0);
	assert_int_equal(do_exists(s->victim, s->path, &answer), -ENOENT);
}

static void delete_not_applied(void **state)
{
	struct scene *s = *state;
	struct answer answer = { 0 };

	make_old(s);
	assert_int_equal(lossy_delete(s, PROXY_DROP_REQUESTS, -1, 0, false), 0);
	assert_int_equal(do_exists(s->victim, s->path, &answer), -ENOENT);
	make_old(s);
	assert_int_equal(
		lossy_delete(s, PROXY_DROP_REQUESTS, 0, stat_of(s, s->path).czxid, false), 0);
	assert_int_equal(do_exists(s->victim, s->path, &answer), -ENOENT);
}

static void delete_spares_a_later_namesake(void **state)
{
	struct scene *s = *state;
	int64_t czxid;

	make_old(s);
	assert_int_equal(lossy_delete(s, PROXY_DROP_REPLIES, -1, 0, true), 0);
	assert_znode(s, s->path, "again", 0);
	czxid = stat_of(s, s->path).czxid;
	assert_int_equal(lossy_delete(s, PROXY_DROP_REPLIES, 0, czxid, true), 0);
	assert_znode(s, s->path, "again", 0);
}

static void acl_set_both_ways(void **state)
{
	struct scene *s = *state;
	struct zk_acl *acl = zk_acl_new_read();
	struct answer answer = { 0 };

	make_old(s);
	for (int i = 0; i < 4; i++) {
		uint64_t received = lose(s, i % 2 ? PROXY_DROP_REPLIES : PROXY_DROP_REQUESTS);

		if (i == 2) {
			zk_acl_free(acl);
			acl = zk_acl_new_open();
		}
		assert_int_equal(
			zk_acl_set(s->victim, s->path, acl, i, 0, answer_take, &answer, NULL), 0);
		let_it_happen(s, received);
		heal(s);
		assert_int_equal(answer_wait(s->victim, &answer), 0);
		answer_clear(&answer);
		assert_int_equal(stat_of(s, s->path).aversion, i + 1);
	}
	zk_acl_free(acl);
}

/* What a sequential create has come to. */
struct made {
	bool done;
	int r;
	char path[128];
	struct zk_stat stat;
};

static void take_made(void *userdata, int r, const struct zk_sequence_reply *reply)
{
	struct made *made = userdata;

	made->done = true;
	made->r = r;
	made->stat = reply->stat;
	assert_false(reply->marked);
	if (r == 0)
		snprintf(made->path, sizeof(made->path), "%s", reply->path);
}

static struct made lossy_sequence(
	struct scene *s, enum proxy_mode mode, enum zk_create_mode create_mode)
{
	struct zk_blob *data = blob_of("mine");
	struct zk_sequence *sequence;
	struct made made = { 0 };
	uint64_t received = lose(s, mode);

	assert_int_equal(zk_create_sequential(s->victim, s->path, data, s->f->open_acl, create_mode,
				 0, take_made, &made, &sequence),
		0);
	let_it_happen(s, received);
	assert_false(zk_sequence_cancel(sequence));
	heal(s);
	assert_true(client_run(s->victim, s->f->client, &made.done, 10000));
	zk_blob_unref(data);
	return made;
}

static void sequence_both_ways(void **state)
{
	struct scene *s = *state;
	char path[128];

	for (int i = 0; i < 4; i++) {
		struct made made =
			lossy_sequence(s, i % 2 ? PROXY_DROP_REPLIES : PROXY_DROP_REQUESTS,
				i < 2 ? ZK_CREATE_PERSISTENT : ZK_CREATE_EPHEMERAL);
		struct zk_stat stat;

		assert_int_equal(made.r, 0);
		snprintf(path, sizeof(path), "%s%010d", s->path, i);
		assert_string_equal(made.path, path);
		assert_znode(s, path, "mine", 0);
		stat = stat_of(s, path);
		assert_int_equal(stat.czxid, made.stat.czxid);
		assert_int_equal(stat.aversion, made.stat.aversion);
		assert_true((stat.ephemeral_owner != 0) == (i >= 2));
	}
}

/* Something else of that name, newer and older, is not taken for ours. */
static void sequence_among_others(void **state)
{
	struct scene *s = *state;
	char path[128];
	struct made made;

	snprintf(path, sizeof(path), "%s%010d", s->path, 1000);
	assert_int_equal(do_create(s->f, s->f->client, path, "mine"), 0);
	snprintf(path, sizeof(path), "%s-2147483648", s->path);
	assert_int_equal(do_create(s->f, s->f->client, path, "mine"), 0);
	snprintf(path, sizeof(path), "%sx", s->path);
	assert_int_equal(do_create(s->f, s->f->client, path, "mine"), 0);
	made = lossy_sequence(s, PROXY_DROP_REPLIES, ZK_CREATE_PERSISTENT);
	assert_int_equal(made.r, 0);
	snprintf(path, sizeof(path), "%s%010d", s->path, 3);
	assert_string_equal(made.path, path);
	/* All of them are old to it now. */
	made = lossy_sequence(s, PROXY_DROP_REPLIES, ZK_CREATE_PERSISTENT);
	assert_int_equal(made.r, 0);
	snprintf(path, sizeof(path), "%s%010d", s->path, 4);
	assert_string_equal(made.path, path);
}

static int lossy_rename(struct scene *s, enum proxy_mode mode, const char *from, const char *to)
{
	struct zk_multi *multi = zk_multi_new();
	struct answer answer = { 0 };
	struct zk_blob *data = blob_of("moved");
	uint64_t received = lose(s, mode);

	zk_multi_add_create(multi, to, data, s->f->open_acl, ZK_CREATE_PERSISTENT);
	zk_multi_add_delete(multi, from, 0, 0);
	assert_int_equal(zk_multi_start(s->victim, multi, 0, 0, answer_take, &answer, NULL), 0);
	let_it_happen(s, received);
	heal(s);
	zk_blob_unref(data);
	return answer_wait(s->victim, &answer);
}

static void multi_both_ways(void **state)
{
	struct scene *s = *state;
	const char *a = fixture_path(s->f, "a"), *b = fixture_path(s->f, "b");
	const char *c = fixture_path(s->f, "c");
	struct answer answer = { 0 };

	assert_int_equal(do_create(s->f, s->victim, a, "moved"), 0);
	assert_int_equal(lossy_rename(s, PROXY_DROP_REPLIES, a, b), 0);
	assert_int_equal(lossy_rename(s, PROXY_DROP_REQUESTS, b, c), 0);
	assert_int_equal(do_exists(s->victim, a, &answer), -ENOENT);
	assert_int_equal(do_exists(s->victim, b, &answer), -ENOENT);
	assert_znode(s, c, "moved", 0);
	assert_int_equal(lossy_rename(s, PROXY_DROP_REQUESTS, b, a), -ENOENT);
	assert_int_equal(do_exists(s->victim, a, &answer), -ENOENT);
	answer_clear(&answer);
}

static void lost_reads_are_asked_again(void **state)
{
	struct scene *s = *state;
	struct answer get = { 0 }, fast = { 0 };
	uint64_t received = lose(s, PROXY_DROP_REPLIES);

	assert_int_equal(zk_get(s->victim, "/", 0, answer_take, &get, NULL), 0);
	assert_int_equal(zk_get(s->victim, "/", ZK_OP_FAIL_FAST, answer_take, &fast, NULL), 0);
	let_it_happen(s, received);
	heal(s);
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
	assert_int_equal(before.session_timeout_ms, SESSION_MS);
	heal(s);
	run_for(s, 20);
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
	heal(s);
	for (int i = 0; i < 20; i++) {
		struct timespec wait = { .tv_nsec = 2000000 };

		nanosleep(&wait, NULL);
		start_create(s, i, &t);
	}
	assert_true(client_run(s->victim, NULL, &t.done, 20000));
	assert_int_equal(t.failed, 0);
	assert_int_equal(stat_of(s, s->f->dir).num_children, 20);
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
			run_for(s, 3);
			proxy_cut(s->proxy);
		}
	}
	assert_true(client_run(s->victim, NULL, &t.done, 20000));
	assert_int_equal(t.failed, 0);
	assert_int_equal(stat_of(s, s->f->dir).num_children, 600);
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

	make_old(s);
	scene_victim(s, 6000, 500);
	lose(s, PROXY_DROP_REPLIES);
	start = now_ms();
	assert_int_equal(zk_get(s->victim, "/", 0, answer_take, &read, NULL), 0);
	assert_int_equal(
		zk_set(s->victim, s->path, data, -1, NULL, 0, answer_take, &write, NULL), 0);
	assert_int_equal(answer_wait(s->victim, &read), -ETIMEDOUT);
	assert_int_equal(answer_wait(s->victim, &write), -ETIMEDOUT);
	assert_in_range(now_ms() - start, 490, 700);
	heal(s);
	run_for(s, 100);
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
	start = now_ms();
	run_for(s, 300);
	zk_client_get_info(s->victim, &info);
	assert_int_equal(info.state, ZK_CONNECTING);
	assert_in_range(info.outage_ms, 250, 400);
	assert_int_equal(zk_get(s->victim, "/", 0, answer_take, &normal, NULL), 0);
	assert_int_equal(zk_get(s->victim, "/", ZK_OP_SINCE_OUTAGE, answer_take, &held, NULL), 0);
	assert_int_equal(answer_wait(s->victim, &held), -ETIMEDOUT);
	assert_in_range(now_ms() - start, 580, 720);
	assert_int_equal(zk_get(s->victim, "/", ZK_OP_SINCE_OUTAGE, answer_take, &late, NULL), 0);
	assert_false(late.done);
	assert_int_equal(answer_wait(s->victim, &late), -ETIMEDOUT);
	assert_in_range(now_ms() - start, 580, 740);
	assert_false(normal.done);
	assert_int_equal(answer_wait(s->victim, &normal), -ETIMEDOUT);
	assert_in_range(now_ms() - start, 880, 1100);
}

/* A server that falls silent is noticed late, but the outage began when it fell silent. */
static void silence_counts_from_its_start(void **state)
{
	struct scene *s = *state;
	struct answer before = { 0 }, after = { 0 };
	struct zk_client_info info;
	int64_t start;

	scene_victim(s, 1000, 1500);
	lose(s, PROXY_DROP_REPLIES);
	start = now_ms();
	run_for(s, 300);
	assert_int_equal(zk_get(s->victim, "/", ZK_OP_SINCE_OUTAGE, answer_take, &before, NULL), 0);
	run_for(s, 600);
	zk_client_get_info(s->victim, &info);
	assert_int_equal(info.state, ZK_CONNECTING);
	assert_int_equal(zk_get(s->victim, "/", ZK_OP_SINCE_OUTAGE, answer_take, &after, NULL), 0);
	assert_int_equal(answer_wait(s->victim, &before), -ETIMEDOUT);
	assert_int_equal(answer_wait(s->victim, &after), -ETIMEDOUT);
	assert_in_range(now_ms() - start, 1100, 1650);
}

static void outage_past_the_session(struct scene *s)
{
	struct zk_client_info info;

	proxy_set(s->proxy, PROXY_REFUSE);
	proxy_cut(s->proxy);
	run_for(s, SESSION_MS / 2);
	zk_client_get_info(s->victim, &info);
	assert_false(info.expired);
	run_for(s, SESSION_MS * 3 / 2 + 500);
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
		uint64_t received = lose(s, i ? PROXY_DROP_REQUESTS : PROXY_DROP_REPLIES);

		assert_int_equal(zk_create(s->victim, s->path, data, s->f->open_acl,
					 ZK_CREATE_EPHEMERAL, 0, answer_take, &answer, NULL),
			0);
		let_it_happen(s, received);
		outage_past_the_session(s);
		assert_int_equal(answer_wait(s->victim, &answer), 0);
		zk_client_get_info(s->victim, &info);
		assert_int_equal(info.expiries, i + 1);
		assert_int_equal(stat_of(s, s->path).ephemeral_owner, info.session_id);
		assert_int_equal(do_delete(s->victim, s->path), 0);
	}
	zk_blob_unref(data);
}

static void cancelled_write_is_settled_all_the_same(void **state)
{
	struct scene *s = *state;
	struct answer answer = { 0 };
	struct zk_op *op;
	uint64_t received = lose(s, PROXY_DROP_REQUESTS);

	assert_int_equal(zk_create(s->victim, s->path, NULL, s->f->open_acl, ZK_CREATE_PERSISTENT,
				 0, answer_take, &answer, &op),
		0);
	let_it_happen(s, received);
	assert_false(zk_op_cancel(op));
	heal(s);
	run_for(s, 2);
	assert_false(answer.done || zk_op_cancel(op));
	assert_int_equal(answer_wait(s->victim, &answer), 0);
	assert_znode(s, s->path, NULL, 0);
}

static void free_is_quick_when_the_server_is_silent(void **state)
{
	struct scene *s = *state;
	struct zk_blob *big = zk_blob_new(NULL, 1000000);
	struct answer answer = { 0 };
	int64_t start;

	make_old(s);
	lose(s, PROXY_DROP_REPLIES);
	for (int i = 0; i < 10; i++)
		assert_int_equal(
			zk_set(s->victim, s->path, big, -1, NULL, 0, answer_take, &answer, NULL),
			0);
	start = now_ms();
	s->victim = zk_client_free(s->victim);
	assert_in_range(now_ms() - start, 0, 1100);
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
	run_for(s, 50);
	start = now_ms();
	s->victim = zk_client_free(s->victim);
	assert_in_range(now_ms() - start, 0, 100);
	assert_false(answer.done);
}

static void dead_servers_are_passed_over(void **state)
{
	struct scene *s = *state;
	struct zk_hosts *hosts;
	struct zk_hosts_error error;
	struct zk_client *client;
	char text[128];
	int64_t start = now_ms();

	snprintf(text, sizeof(text), "127.0.0.1:1,127.0.0.1:%u,[::1]:1",
		(unsigned)proxy_port(s->proxy));
	assert_int_equal(zk_hosts_parse(text, &hosts, &error), 0);
	for (int i = 0; i < 5; i++) {
		client = client_open(hosts, NULL, 6000, 5000);
		client_connect(client);
		zk_client_free(client);
	}
	assert_in_range(now_ms() - start, 0, 1500);
	zk_hosts_free(hosts);
}

#define SCENE(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(set_with_version_applied),
		SCENE(set_with_version_not_applied),
		SCENE(set_with_version_someone_else_was_first),
		SCENE(set_with_version_overwritten),
		SCENE(set_any_applied),
		SCENE(set_any_not_applied),
		SCENE(set_any_never_overwrites_a_later_write),
		SCENE(create_applied),
		SCENE(create_not_applied),
		SCENE(create_someone_else_was_first),
		SCENE(create_that_was_refused_stays_refused),
		SCENE(create_ephemeral_applied),
		SCENE(create_ephemeral_same_data_of_someone_else),
		SCENE(delete_applied),
		SCENE(delete_not_applied),
		SCENE(delete_spares_a_later_namesake),
		SCENE(acl_set_both_ways),
		SCENE(sequence_both_ways),
		SCENE(sequence_among_others),
		SCENE(multi_both_ways),
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
