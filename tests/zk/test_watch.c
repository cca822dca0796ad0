/* SPDX-License-Identifier: Apache-2.0 */
/* Watches: wanted, set, fired, removed from the server, bounded. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "zk/watch.h"

#define BUDGET 100

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

static void watching_init(struct watching *w, struct fixture *f)
{
	struct zk_client_options options = {
		.hosts = f->hosts,
		.auth = f->auth,
		.session_timeout_ms = 6000,
		.op_timeout_ms = 5000,
		.watches_max = BUDGET,
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_fires_once),
		TEST(what_nobody_wants_does_not_fire),
		TEST(what_was_never_wanted_is_not_watched),
		TEST(several_may_want_the_same),
		TEST(what_is_wanted_again_is_watched),
		TEST(the_budget_holds_and_thousands_leave),
	};

	if (!test_hosts())
		return EXIT_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
