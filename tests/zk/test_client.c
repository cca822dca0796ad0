/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on a server that is well. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fixture.h"

static void data_comes_back_as_it_went(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "a");
	struct answer answer = { 0 };

	assert_int_equal(do_create(f, f->client, path, "one"), 0);
	assert_int_equal(do_get(f->client, path, &answer), 0);
	assert_data(&answer, "one");
	assert_int_equal(answer.stat.data_length, 3);
	assert_int_equal(do_set(f, f->client, path, "two!", 0), 0);
	assert_int_equal(do_get(f->client, path, &answer), 0);
	assert_data(&answer, "two!");
	assert_int_equal(answer.stat.version, 1);
	assert_int_equal(do_delete(f->client, path), 0);
	assert_int_equal(do_get(f->client, path, &answer), -ENOENT);
	answer_clear(&answer);
}

static void null_and_empty_data_differ(void **state)
{
	struct fixture *f = *state;
	struct answer answer = { 0 };

	assert_int_equal(do_create(f, f->client, fixture_path(f, "null"), NULL), 0);
	assert_int_equal(do_create(f, f->client, fixture_path(f, "empty"), ""), 0);
	assert_int_equal(do_get(f->client, fixture_path(f, "null"), &answer), 0);
	assert_data(&answer, NULL);
	assert_int_equal(do_get(f->client, fixture_path(f, "empty"), &answer), 0);
	assert_data(&answer, "");
	assert_int_equal(do_set(f, f->client, fixture_path(f, "empty"), NULL, -1), 0);
	assert_int_equal(do_get(f->client, fixture_path(f, "empty"), &answer), 0);
	assert_data(&answer, NULL);
	answer_clear(&answer);
}

static void errors_are_errno(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "e");
	struct answer answer = { 0 };

	assert_int_equal(do_create(f, f->client, path, "x"), 0);
	assert_int_equal(do_create(f, f->client, path, "x"), -EEXIST);
	assert_int_equal(do_set(f, f->client, path, "y", 7), -ESTALE);
	assert_int_equal(do_delete(f->client, f->dir), -ENOTEMPTY);
	assert_int_equal(do_exists(f->client, fixture_path(f, "none"), &answer), -ENOENT);
	assert_int_equal(do_exists(f->client, "no-slash", &answer), -EINVAL);
	assert_int_equal(do_create(f, f->client, fixture_path(f, "none/x"), "x"), -ENOENT);
	answer_clear(&answer);
}

static void create_and_set_tell_the_stat(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "s");
	struct answer made = { 0 }, seen = { 0 };
	struct zk_blob *data = blob_of("abc");

	assert_int_equal(zk_create(f->client, path, data, f->open_acl, ZK_CREATE_PERSISTENT, 0,
				 answer_take, &made, NULL),
		0);
	assert_int_equal(answer_wait(f->client, &made), 0);
	assert_int_equal(do_exists(f->client, path, &seen), 0);
	assert_memory_equal(&made.stat, &seen.stat, sizeof(seen.stat));
	answer_clear(&made);
	assert_int_equal(
		zk_set(f->client, path, data, 0, &seen.stat, 0, answer_take, &made, NULL), 0);
	assert_int_equal(answer_wait(f->client, &made), 0);
	assert_int_equal(made.stat.version, 1);
	zk_blob_unref(data);
	answer_clear(&made);
	answer_clear(&seen);
}

static void children_are_listed(void **state)
{
	struct fixture *f = *state;
	struct answer answer = { 0 };

	assert_int_equal(do_create(f, f->client, fixture_path(f, "x"), NULL), 0);
	assert_int_equal(do_create(f, f->client, fixture_path(f, "y"), NULL), 0);
	assert_int_equal(zk_children(f->client, f->dir, 0, answer_take, &answer, NULL), 0);
	assert_int_equal(answer_wait(f->client, &answer), 0);
	assert_int_equal(answer.n_names, 2);
	assert_int_equal(answer.stat.num_children, 2);
	assert_true(strcmp(answer.names[0], "x") == 0 || strcmp(answer.names[1], "x") == 0);
	answer_clear(&answer);
}

static void acl_comes_back(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "acl");
	const char *text = "world:anyone:ra,digest:x:y=:cdrwa";
	struct answer answer = { 0 };
	struct zk_acl *acl;

	assert_int_equal(do_create(f, f->client, path, "x"), 0);
	assert_int_equal(zk_acl_parse(text, strlen(text), &acl), 0);
	assert_int_equal(zk_acl_set(f->client, path, acl, 5, 0, answer_take, &answer, NULL), 0);
	assert_int_equal(answer_wait(f->client, &answer), -ESTALE);
	answer_clear(&answer);
	assert_int_equal(zk_acl_set(f->client, path, acl, 0, 0, answer_take, &answer, NULL), 0);
	assert_int_equal(answer_wait(f->client, &answer), 0);
	answer_clear(&answer);
	assert_int_equal(zk_acl_get(f->client, path, 0, answer_take, &answer, NULL), 0);
	assert_int_equal(answer_wait(f->client, &answer), 0);
	assert_string_equal(answer.acl, text);
	assert_int_equal(answer.stat.aversion, 1);
	assert_int_equal(do_set(f, f->client, path, "y", -1), -EACCES);
	zk_acl_free(acl);
	answer_clear(&answer);
}

static void credentials_are_the_sessions(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "mine");
	struct zk_client *other = client_open(f->hosts, NULL, 6000, 5000);
	struct zk_acl *acl = zk_acl_new_creator();
	struct answer answer = { 0 };

	assert_int_equal(zk_create(f->client, path, NULL, acl, ZK_CREATE_PERSISTENT, 0, answer_take,
				 &answer, NULL),
		0);
	assert_int_equal(answer_wait(f->client, &answer), 0);
	assert_int_equal(do_get(f->client, path, &answer), 0);
	assert_int_equal(do_get(other, path, &answer), -EACCES);
	assert_int_equal(do_exists(other, path, &answer), 0);
	zk_acl_free(acl);
	answer_clear(&answer);
	zk_client_free(other);
}

static void ephemeral_goes_with_its_client(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "eph");
	struct zk_client *other = client_open(f->hosts, NULL, 6000, 5000);
	struct zk_client_info info;
	struct answer answer = { 0 };

	assert_int_equal(zk_create(other, path, NULL, f->open_acl, ZK_CREATE_EPHEMERAL, 0,
				 answer_take, &answer, NULL),
		0);
	assert_int_equal(answer_wait(other, &answer), 0);
	zk_client_get_info(other, &info);
	assert_int_equal(info.session_id, answer.stat.ephemeral_owner);
	assert_int_equal(do_create(f, other, fixture_path(f, "eph/x"), "x"), -ENOTDIR);
	zk_client_free(other);
	assert_int_equal(do_exists(f->client, path, &answer), -ENOENT);
	answer_clear(&answer);
}

static void multi_is_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	struct zk_multi *multi = zk_multi_new();
	struct zk_blob *data = blob_of("new");
	struct answer answer = { 0 };

	assert_int_equal(do_create(f, f->client, fixture_path(f, "t"), "old"), 0);
	assert_int_equal(do_create(f, f->client, fixture_path(f, "s"), "new"), 0);
	assert_int_equal(
		zk_multi_add_set(multi, fixture_path(f, "t"), data, ZK_ANY_VERSION, NULL), 0);
	assert_int_equal(zk_multi_add_delete(multi, fixture_path(f, "s"), 0, 0), 0);
	assert_int_equal(zk_multi_add_create(multi, fixture_path(f, "c"), NULL, f->open_acl,
				 ZK_CREATE_PERSISTENT),
		0);
	assert_int_equal(zk_multi_start(f->client, multi, 0, 0, answer_take, &answer, NULL), 0);
	assert_int_equal(answer_wait(f->client, &answer), 0);
	assert_int_equal(answer.failed_op, -1);
	assert_int_equal(answer.stat.version, 1);
	assert_int_equal(do_get(f->client, fixture_path(f, "t"), &answer), 0);
	assert_data(&answer, "new");
	assert_int_equal(do_exists(f->client, fixture_path(f, "s"), &answer), -ENOENT);
	answer_clear(&answer);

	multi = zk_multi_new();
	zk_multi_add_delete(multi, fixture_path(f, "t"), -1, 0);
	zk_multi_add_delete(multi, fixture_path(f, "none"), -1, 0);
	zk_multi_add_delete(multi, fixture_path(f, "c"), -1, 0);
	assert_int_equal(zk_multi_start(f->client, multi, 0, 0, answer_take, &answer, NULL), 0);
	assert_int_equal(answer_wait(f->client, &answer), -ENOENT);
	assert_int_equal(answer.failed_op, 1);
	assert_int_equal(do_exists(f->client, fixture_path(f, "t"), &answer), 0);
	zk_blob_unref(data);
	answer_clear(&answer);
}

/* The largest values go through; a byte more is refused before it can cut the connection. */
static void size_limit_is_exact(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "big");
	size_t max = zk_client_set_max(f->client, path);
	size_t acl_size = zk_acl_wire_size(f->open_acl);
	struct zk_blob *fits = zk_blob_new(NULL, (uint32_t)max);
	struct zk_blob *over = zk_blob_new(NULL, (uint32_t)max + 1);
	struct zk_blob *made =
		zk_blob_new(NULL, (uint32_t)zk_client_create_max(f->client, path, acl_size));
	struct answer answer = { 0 };
	struct zk_multi *multi;
	struct zk_client_info info;

	assert_int_equal(zk_create(f->client, path, fits, f->open_acl, ZK_CREATE_PERSISTENT, 0,
				 answer_take, &answer, NULL),
		-EFBIG);
	assert_int_equal(zk_create(f->client, path, made, f->open_acl, ZK_CREATE_PERSISTENT, 0,
				 answer_take, &answer, NULL),
		0);
	assert_int_equal(answer_wait(f->client, &answer), 0);
	answer_clear(&answer);
	assert_int_equal(
		zk_set(f->client, path, over, -1, NULL, 0, answer_take, &answer, NULL), -EFBIG);
	assert_int_equal(zk_set(f->client, path, fits, -1, NULL, 0, answer_take, &answer, NULL), 0);
	assert_int_equal(answer_wait(f->client, &answer), 0);
	answer_clear(&answer);
	multi = zk_multi_new();
	zk_multi_add_set(multi, path, fits, -1, NULL);
	assert_int_equal(
		zk_multi_start(f->client, multi, 0, 0, answer_take, &answer, NULL), -EFBIG);
	zk_blob_unref(fits);
	zk_blob_unref(made);
	/* 18 bytes more than a set alone: its own header and the one that ends the list */
	fits = zk_blob_new(NULL, (uint32_t)max - 18);
	multi = zk_multi_new();
	zk_multi_add_set(multi, path, fits, -1, NULL);
	assert_int_equal(zk_multi_wire_size(multi), ZK_PACKET_MAX_DEFAULT);
	assert_int_equal(zk_multi_start(f->client, multi, 0, 0, answer_take, &answer, NULL), 0);
	assert_int_equal(answer_wait(f->client, &answer), 0);
	zk_client_get_info(f->client, &info);
	assert_int_equal(info.reconnects, 0);
	zk_blob_unref(fits);
	zk_blob_unref(over);
	answer_clear(&answer);
}

struct counter {
	unsigned left;
	bool done;
};

static void count_down(void *userdata, int r, const struct zk_reply *reply)
{
	struct counter *counter = userdata;

	(void)reply;
	assert_int_equal(r, 0);
	counter->done = --counter->left == 0;
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void thousands_can_be_in_flight(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "p");
	struct counter counter = { .left = 10000 };
	struct timespec start;

	assert_int_equal(do_create(f, f->client, path, "0123456789"), 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(zk_get(f->client, path, 0, count_down, &counter, NULL), 0);
	assert_true(client_run(f->client, NULL, &counter.done, 20000));
	print_message("10000 pipelined gets: %.2f s\n", seconds_since(&start));
}

static void one_after_the_other(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_path(f, "q");
	struct answer answer = { 0 };
	struct timespec start;

	assert_int_equal(do_create(f, f->client, path, "0123456789"), 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (unsigned i = 0; i < 2000; i++)
		assert_int_equal(do_get(f->client, path, &answer), 0);
	print_message("a get: %.0f us\n", seconds_since(&start) / 2000 * 1e6);
	answer_clear(&answer);
}

static void chain(void *userdata, int r, const struct zk_reply *reply);

struct chain {
	struct fixture *f;
	const char *path;
	struct counter counter;
};

static void chain(void *userdata, int r, const struct zk_reply *reply)
{
	struct chain *c = userdata;

	count_down(&c->counter, r, reply);
	if (!c->counter.done)
		assert_int_equal(zk_get(c->f->client, c->path, 0, chain, c, NULL), 0);
}

static void callbacks_may_start_operations(void **state)
{
	struct fixture *f = *state;
	struct chain c = { .f = f, .path = f->dir, .counter = { .left = 100 } };

	chain(&c, 0, NULL);
	assert_true(client_run(f->client, NULL, &c.counter.done, 10000));
}

static void callback_is_never_called_from_the_start(void **state)
{
	struct fixture *f = *state;
	struct zk_client *client = client_open(f->hosts, NULL, 6000, 5000);
	struct answer fast = { 0 }, slow = { 0 };

	assert_int_equal(zk_get(client, "/", ZK_OP_FAIL_FAST, answer_take, &fast, NULL), 0);
	assert_int_equal(zk_get(client, "/", 0, answer_take, &slow, NULL), 0);
	assert_false(fast.done);
	assert_int_equal(answer_wait(client, &fast), -ENOTCONN);
	assert_int_equal(answer_wait(client, &slow), 0);
	answer_clear(&fast);
	answer_clear(&slow);
	zk_client_free(client);
}

static void cancelled_reads_are_silent(void **state)
{
	struct fixture *f = *state;
	struct answer silent = { 0 }, last = { 0 }, write = { 0 };
	struct zk_op *op;
	struct zk_blob *data = blob_of("x");

	assert_int_equal(zk_get(f->client, f->dir, 0, answer_take, &silent, &op), 0);
	assert_true(zk_op_cancel(op));
	assert_int_equal(zk_set(f->client, f->dir, data, -1, NULL, 0, answer_take, &write, &op), 0);
	assert_false(zk_op_cancel(op)); /* it is on its way */
	assert_int_equal(do_get(f->client, f->dir, &last), 0);
	assert_false(silent.done);
	assert_true(write.done);
	assert_int_equal(write.r, 0);
	zk_blob_unref(data);
	answer_clear(&last);
}

static void cancelled_write_that_waits_is_never_sent(void **state)
{
	struct fixture *f = *state;
	struct zk_client *client = client_open(f->hosts, NULL, 6000, 5000);
	struct answer answer = { 0 };
	struct zk_op *op;

	assert_int_equal(zk_create(client, fixture_path(f, "w"), NULL, f->open_acl,
				 ZK_CREATE_PERSISTENT, 0, answer_take, &answer, &op),
		0);
	assert_true(zk_op_cancel(op));
	client_connect(client);
	assert_false(answer.done);
	assert_int_equal(do_exists(client, fixture_path(f, "w"), &answer), -ENOENT);
	zk_client_free(client);
}

static void refused_credential_is_final(void **state)
{
	struct fixture *f = *state;
	struct zk_auth_error error;
	struct zk_auth *auth;
	struct zk_client *client;
	struct zk_client_info info;
	struct answer answer = { 0 };

	assert_int_equal(zk_auth_parse("-", "nosuchscheme x\n", 15, &auth, &error), 0);
	client = client_open(f->hosts, auth, 6000, 5000);
	assert_int_equal(do_get(client, "/", &answer), -EACCES);
	zk_client_get_info(client, &info);
	assert_int_equal(info.state, ZK_AUTH_FAILED);
	assert_int_equal(do_get(client, "/", &answer), -EACCES);
	zk_client_free(client);
	zk_auth_free(auth);
	answer_clear(&answer);
}

static void second_credential_refused_is_final_too(void **state)
{
	struct fixture *f = *state;
	const char *text = "digest a:b\nnosuchscheme x\n";
	struct zk_auth_error error;
	struct zk_auth *auth;
	struct zk_client *client;
	struct answer answer = { 0 };

	assert_int_equal(zk_auth_parse("-", text, strlen(text), &auth, &error), 0);
	client = client_open(f->hosts, auth, 6000, 5000);
	assert_int_equal(do_get(client, "/", &answer), -EACCES);
	zk_client_free(client);
	zk_auth_free(auth);
	answer_clear(&answer);
}

static void unknown_names_end_in_timeout(void **state)
{
	struct zk_hosts *hosts;
	struct zk_hosts_error error;
	struct zk_client *client;
	struct answer answer = { 0 };

	(void)state;
	assert_int_equal(zk_hosts_parse("no.such.host.invalid", &hosts, &error), 0);
	client = client_open(hosts, NULL, 6000, 300);
	assert_int_equal(do_get(client, "/", &answer), -ETIMEDOUT);
	zk_client_free(client);
	zk_hosts_free(hosts);
}

static void names_are_resolved(void **state)
{
	struct fixture *f = *state;
	struct zk_hosts *hosts;
	struct zk_hosts_error error;
	char text[128];
	struct zk_client *client;

	snprintf(text, sizeof(text), "localhost:%u,no.such.host.invalid:1",
		(unsigned)f->hosts->hosts[0].port);
	assert_int_equal(zk_hosts_parse(text, &hosts, &error), 0);
	client = client_open(hosts, NULL, 6000, 5000);
	client_connect(client);
	zk_client_free(client);
	zk_hosts_free(hosts);
}

static void client_can_be_freed_at_any_time(void **state)
{
	struct fixture *f = *state;
	struct zk_client *client = client_open(f->hosts, f->auth, 6000, 5000);
	struct answer answer = { 0 };
	struct zk_multi *multi;

	zk_client_free(client);
	client = client_open(f->hosts, f->auth, 6000, 5000);
	client_connect(client);
	for (int i = 0; i < 500; i++)
		assert_int_equal(zk_get(client, "/", 0, answer_take, &answer, NULL), 0);
	multi = zk_multi_new();
	zk_multi_add_delete(multi, "/none", -1, 0);
	assert_int_equal(zk_multi_start(client, multi, 0, 0, answer_take, &answer, NULL), 0);
	zk_client_free(client);
	assert_false(answer.done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(data_comes_back_as_it_went),
		TEST(null_and_empty_data_differ),
		TEST(errors_are_errno),
		TEST(create_and_set_tell_the_stat),
		TEST(children_are_listed),
		TEST(acl_comes_back),
		TEST(credentials_are_the_sessions),
		TEST(ephemeral_goes_with_its_client),
		TEST(multi_is_all_or_nothing),
		TEST(size_limit_is_exact),
		TEST(thousands_can_be_in_flight),
		TEST(one_after_the_other),
		TEST(callbacks_may_start_operations),
		TEST(callback_is_never_called_from_the_start),
		TEST(cancelled_reads_are_silent),
		TEST(cancelled_write_that_waits_is_never_sent),
		TEST(refused_credential_is_final),
		TEST(second_credential_refused_is_final_too),
		TEST(unknown_names_end_in_timeout),
		TEST(names_are_resolved),
		TEST(client_can_be_freed_at_any_time),
	};

	if (!test_hosts())
		return EXIT_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
