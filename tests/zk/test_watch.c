/* SPDX-License-Identifier: Apache-2.0 */
/* Watches: wanted, set, fired, removed from the server, bounded. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fixture.h"
#include "proxy.h"
#include "zk/watch.h"

#define BUDGET 100
#define OP_MS 5000

/* A client of its own that watches; f->client is the one that changes things. */
struct watching {
	struct zk_client *client;
	struct zk_watcher watcher;
	unsigned n_fired;
	char path[96];
	unsigned kinds;
	bool fired;
};

static void on_fired(void *userdata, const char *path, unsigned kinds)
{
	struct watching *w = userdata;

	w->n_fired++;
	w->fired = true;
	w->kinds = kinds;
	snprintf(w->path, sizeof(w->path), "%s", path);
}

static void on_missed(void *userdata, const char *path, unsigned kinds)
{
}

static void on_change_of_session(void *userdata)
{
}

static void watching_open(struct watching *w, struct fixture *f, const struct zk_hosts *hosts,
	int watches_max, int op_timeout_ms)
{
	struct zk_client_options options = {
		.hosts = hosts,
		.auth = f->auth,
		.session_timeout_ms = 6000,
		.op_timeout_ms = op_timeout_ms,
		.watches_max = watches_max,
		.packet_max = ZK_PACKET_MAX_DEFAULT,
	};

	*w = (struct watching){ .watcher = { .fired = on_fired,
					.missed = on_missed,
					.lost = on_change_of_session,
					.connected = on_change_of_session } };
	w->watcher.userdata = w;
	assert_int_equal(zk_client_new(&options, &w->client), 0);
	zk_watch_listen(w->client, &w->watcher);
	client_connect(w->client);
}

static void watching_init(struct watching *w, struct fixture *f)
{
	watching_open(w, f, f->hosts, BUDGET, OP_MS);
}

/* Reads with a watch; was it set? */
static bool read_watching(struct watching *w, const char *path)
{
	struct answer answer = { 0 };
	bool watched;

	assert_int_equal(zk_get(w->client, path, ZK_OP_WATCH, answer_take, &answer, NULL), 0);
	assert_int_equal(answer_wait(w->client, &answer), 0);
	watched = answer.watched;
	answer_clear(&answer);
	return watched;
}

/* Makes a znode and watches its data. */
static void watch_new(struct watching *w, struct fixture *f, const char *path)
{
	watching_init(w, f);
	assert_int_equal(do_create(f, f->client, path, "1"), 0);
	assert_int_equal(zk_watch_want(w->client, path, ZK_WATCH_DATA), 0);
	assert_true(read_watching(w, path));
}

/* All that was sent before has been answered. */
static void settle(struct watching *w)
{
	struct zk_watch_info info;
	struct answer answer = { 0 };

	do {
		assert_int_equal(do_exists(w->client, "/", &answer), 0);
		zk_watch_get_info(w->client, &info);
	} while (info.n_leaving > 0);
	answer_clear(&answer);
}

static void run_for(struct watching *w, int ms)
{
	bool never = false;

	client_run(w->client, NULL, &never, ms);
}

static bool wait_fired(struct watching *w)
{
	bool fired = client_run(w->client, NULL, &w->fired, 5000);

	w->fired = false;
	return fired;
}

static struct zk_watch_info info_of(const struct watching *w)
{
	struct zk_watch_info info;

	zk_watch_get_info(w->client, &info);
	return info;
}

static void it_fires_once(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "a");
	struct watching w;

	watch_new(&w, f, path);
	assert_int_equal(info_of(&w).n_armed, 1);
	assert_int_equal(do_set(f, f->client, path, "2", -1), 0);
	assert_true(wait_fired(&w));
	assert_string_equal(w.path, path);
	assert_int_equal(w.kinds, ZK_WATCH_DATA);
	assert_int_equal(info_of(&w).n_armed, 0);
	assert_int_equal(do_set(f, f->client, path, "3", -1), 0);
	settle(&w);
	assert_int_equal(w.n_fired, 1);
	zk_client_free(w.client);
}

static void what_nobody_wants_does_not_fire(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "a");
	struct watching w;

	watch_new(&w, f, path);
	zk_watch_drop(w.client, path, ZK_WATCH_DATA);
	settle(&w);
	assert_int_equal(do_set(f, f->client, path, "2", -1), 0);
	settle(&w);
	assert_int_equal(w.n_fired, 0);
	assert_int_equal(info_of(&w).n_armed, 0);
	zk_client_free(w.client);
}

static void what_was_never_wanted_is_not_watched(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "a");
	struct watching w;

	watching_init(&w, f);
	assert_int_equal(do_create(f, f->client, path, "1"), 0);
	assert_false(read_watching(&w, path));
	settle(&w);
	assert_int_equal(do_set(f, f->client, path, "2", -1), 0);
	settle(&w);
	assert_int_equal(w.n_fired, 0);
	zk_client_free(w.client);
}

static void several_may_want_the_same(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "a");
	struct watching w;

	watch_new(&w, f, path);
	assert_int_equal(zk_watch_want(w.client, path, ZK_WATCH_DATA), 0);
	assert_int_equal(info_of(&w).n_wanted, 1);
	zk_watch_drop(w.client, path, ZK_WATCH_DATA);
	assert_int_equal(do_set(f, f->client, path, "2", -1), 0);
	assert_true(wait_fired(&w));
	zk_watch_drop(w.client, path, ZK_WATCH_DATA);
	assert_int_equal(info_of(&w).n_wanted, 0);
	zk_client_free(w.client);
}

/* Dropped and wanted again at once, at each of the moments that its removal goes through. */
static void what_is_wanted_again_is_watched(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "a");
	struct watching w;

	watch_new(&w, f, path);
	for (int turn = 0; turn < 3; turn++) {
		zk_watch_drop(w.client, path, ZK_WATCH_DATA);
		if (turn == 1)
			zk_client_dispatch(w.client); /* the removal is sent */
		if (turn == 2)
			settle(&w); /* and answered */
		assert_int_equal(zk_watch_want(w.client, path, ZK_WATCH_DATA), 0);
		assert_true(read_watching(&w, path));
		settle(&w);
		assert_int_equal(do_set(f, f->client, path, "2", -1), 0);
		assert_true(wait_fired(&w));
		assert_true(read_watching(&w, path));
	}
	zk_client_free(w.client);
}

static void the_budget_holds_and_thousands_leave(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "a");
	char other[96];
	struct watching w;

	watching_init(&w, f);
	assert_int_equal(do_create(f, f->client, path, "1"), 0);
	for (int turn = 0; turn < 20; turn++) {
		for (int i = 0; i < BUDGET; i++) {
			snprintf(other, sizeof(other), "%s-%d-%d", path, turn, i);
			assert_int_equal(zk_watch_want(w.client, other, ZK_WATCH_DATA), 0);
		}
		assert_int_equal(zk_watch_want(w.client, path, ZK_WATCH_DATA), -ENOSPC);
		for (int i = 0; i < BUDGET; i++) {
			struct answer answer = { 0 };

			snprintf(other, sizeof(other), "%s-%d-%d", path, turn, i);
			/* It watches for what is not there. */
			assert_int_equal(
				zk_exists(w.client, other, ZK_OP_WATCH, answer_take, &answer, NULL),
				0);
			assert_int_equal(answer_wait(w.client, &answer), -ENOENT);
			assert_true(answer.watched);
		}
		assert_int_equal(info_of(&w).n_armed, BUDGET);
		for (int i = 0; i < BUDGET; i++) {
			snprintf(other, sizeof(other), "%s-%d-%d", path, turn, i);
			zk_watch_drop(w.client, other, ZK_WATCH_DATA);
		}
		assert_int_equal(info_of(&w).n_wanted, 0);
		assert_int_equal(info_of(&w).n_leaving, BUDGET);
		assert_int_equal(zk_watch_want(w.client, path, ZK_WATCH_DATA), -ENOSPC);
		settle(&w);
		assert_int_equal(info_of(&w).n_armed, 0);
	}
	zk_client_free(w.client);
}

/* Through a proxy that can lose the connection. */
struct way {
	struct proxy *proxy;
	struct zk_hosts *hosts;
	struct watching w;
};

static void way_init(struct way *way, struct fixture *f, int watches_max, int op_timeout_ms)
{
	struct zk_hosts_error error;
	char text[64];

	way->proxy = proxy_new(f->hosts->hosts[0].port);
	snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)proxy_port(way->proxy));
	assert_int_equal(zk_hosts_parse(text, &way->hosts, &error), 0);
	watching_open(&way->w, f, way->hosts, watches_max, op_timeout_ms);
}

static void way_done(struct way *way)
{
	zk_client_free(way->w.client);
	proxy_free(way->proxy);
	zk_hosts_free(way->hosts);
}

static void cut(struct way *way, enum proxy_mode mode)
{
	proxy_set(way->proxy, mode);
	proxy_cut(way->proxy);
}

/* Long names: all of them together would not fit into one request. */
static void name_many(char name[300], struct fixture *f, int i)
{
	snprintf(name, 300, "%s-%0200d", f->dir, i);
}

static void watch_many(struct watching *w, struct fixture *f, int n)
{
	struct answer *answers = calloc((size_t)n, sizeof(*answers));
	char name[300];

	for (int i = 0; i < n; i++) {
		name_many(name, f, i);
		assert_int_equal(zk_watch_want(w->client, name, ZK_WATCH_DATA), 0);
		assert_int_equal(
			zk_exists(w->client, name, ZK_OP_WATCH, answer_take, &answers[i], NULL), 0);
	}
	for (int i = 0; i < n; i++)
		assert_int_equal(answer_wait(w->client, &answers[i]), -ENOENT);
	assert_int_equal(info_of(w).n_armed, n);
	free(answers);
}

static void drop_many(struct watching *w, struct fixture *f, int n)
{
	char name[300];

	for (int i = 0; i < n; i++) {
		name_many(name, f, i);
		zk_watch_drop(w->client, name, ZK_WATCH_DATA);
	}
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void a_connection_lost_while_thousands_leave_comes_back(void **state)
{
	const int n = 8000;
	struct fixture *f = *state;
	struct way way;
	double start;

	way_init(&way, f, n, OP_MS);
	watch_many(&way.w, f, n);
	proxy_set(way.proxy, PROXY_DROP_REQUESTS);
	drop_many(&way.w, f, n);
	run_for(&way.w, 50);
	assert_in_range(info_of(&way.w).n_leaving, n - 200, 2 * n);
	start = seconds();
	cut(&way, PROXY_PASS);
	client_connect(way.w.client);
	settle(&way.w);
	assert_true(seconds() - start < OP_MS / 2000.0);
	assert_int_equal(info_of(&way.w).n_armed, 0);
	way_done(&way);
}

/* Nobody has an answer of the removal: first for so long, and then there is no server for so long. The
 * next connection does not set the watch again. */
static void check_lost_removal(void **state, int silence_ms, int outage_ms)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "a");
	struct way way;

	way_init(&way, f, BUDGET, 500);
	assert_int_equal(do_create(f, f->client, path, "1"), 0);
	assert_int_equal(zk_watch_want(way.w.client, path, ZK_WATCH_DATA), 0);
	assert_true(read_watching(&way.w, path));
	proxy_set(way.proxy, PROXY_DROP_REQUESTS);
	zk_watch_drop(way.w.client, path, ZK_WATCH_DATA);
	run_for(&way.w, silence_ms);
	cut(&way, PROXY_REFUSE);
	run_for(&way.w, outage_ms);
	proxy_set(way.proxy, PROXY_PASS);
	run_for(&way.w, 500);
	client_connect(way.w.client);
	settle(&way.w);
	assert_int_equal(do_set(f, f->client, path, "2", -1), 0);
	settle(&way.w);
	assert_int_equal(info_of(&way.w).n_fired, 0);
	way_done(&way);
}

static void a_removal_that_is_lost_is_done(void **state)
{
	check_lost_removal(state, 50, 50);
}

static void a_removal_that_times_out_without_a_server_is_done(void **state)
{
	check_lost_removal(state, 50, 1000);
}

static void a_removal_that_times_out_unanswered_is_done(void **state)
{
	check_lost_removal(state, 1000, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_fires_once),
		TEST(what_nobody_wants_does_not_fire),
		TEST(what_was_never_wanted_is_not_watched),
		TEST(several_may_want_the_same),
		TEST(what_is_wanted_again_is_watched),
		TEST(the_budget_holds_and_thousands_leave),
		TEST(a_connection_lost_while_thousands_leave_comes_back),
		TEST(a_removal_that_is_lost_is_done),
		TEST(a_removal_that_times_out_without_a_server_is_done),
		TEST(a_removal_that_times_out_unanswered_is_done),
	};

	if (!test_hosts())
		return EXIT_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
