/* SPDX-License-Identifier: Apache-2.0 */
/* See fixture.h. */

#include "fixture.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000

const char *test_hosts(void)
{
	return getenv("ZKFS_TEST_HOSTS");
}

static void debug(const char *message)
{
	fprintf(stderr, "%s\n", message);
}

struct zk_client *client_open(const struct zk_hosts *hosts, const struct zk_auth *auth,
	int session_timeout_ms, int op_timeout_ms)
{
	struct zk_client_options options = {
		.hosts = hosts,
		.auth = auth,
		.session_timeout_ms = session_timeout_ms,
		.op_timeout_ms = op_timeout_ms,
		.packet_max = ZK_PACKET_MAX_DEFAULT,
		.debug = getenv("ZKFS_TEST_DEBUG") ? debug : NULL,
	};
	struct zk_client *client = NULL;

	assert_int_equal(zk_client_new(&options, &client), 0);
	return client;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool client_run(struct zk_client *a, struct zk_client *b, const bool *flag, int ms)
{
	int64_t end = now_ms() + ms;

	while (!*flag) {
		struct pollfd fds[2] = {
			{ .fd = zk_client_fd(a), .events = POLLIN },
			{ .fd = b ? zk_client_fd(b) : -1, .events = POLLIN },
		};
		int64_t left = end - now_ms();

		if (left <= 0)
			return false;
		poll(fds, 2, (int)left);
		if (fds[0].revents)
			zk_client_dispatch(a);
		if (fds[1].revents)
			zk_client_dispatch(b);
	}
	return true;
}

void client_connect(struct zk_client *client)
{
	struct answer answer = { 0 };

	assert_int_equal(do_exists(client, "/", &answer), 0);
	answer_clear(&answer);
}

void answer_take(void *userdata, int r, const struct zk_reply *reply)
{
	struct answer *answer = userdata;

	assert_false(answer->done);
	answer->done = true;
	answer->r = r;
	answer->stat = reply->stat;
	answer->data = zk_blob_ref(reply->data);
	answer->failed_op = reply->failed_op;
	answer->watched = reply->watched;
	answer->n_names = reply->names.n_names;
	for (size_t i = 0; i < reply->names.n_names && i < 16; i++)
		snprintf(answer->names[i], sizeof(answer->names[i]), "%s", reply->names.names[i]);
	if (reply->acl) {
		char *text = zk_acl_format(reply->acl);

		snprintf(answer->acl, sizeof(answer->acl), "%s", text);
		free(text);
	}
}

void answer_clear(struct answer *answer)
{
	zk_blob_unref(answer->data);
	*answer = (struct answer){ 0 };
}

int answer_wait(struct zk_client *client, struct answer *answer)
{
	if (!client_run(client, NULL, &answer->done, PATIENCE_MS))
		fail_msg("no answer");
	return answer->r;
}

struct zk_blob *blob_of(const char *text)
{
	return text ? zk_blob_new(text, (uint32_t)strlen(text)) : NULL;
}

int do_create(struct fixture *f, struct zk_client *c, const char *path, const char *text)
{
	struct answer answer = { 0 };
	struct zk_blob *data = blob_of(text);
	int r = zk_create(
		c, path, data, f->open_acl, ZK_CREATE_PERSISTENT, 0, answer_take, &answer, NULL);

	zk_blob_unref(data);
	return r < 0 ? r : answer_wait(c, &answer);
}

int do_set(struct fixture *f, struct zk_client *c, const char *path, const char *text, int version)
{
	struct answer answer = { 0 };
	struct zk_blob *data = blob_of(text);
	int r = zk_set(c, path, data, version, NULL, 0, answer_take, &answer, NULL);

	(void)f;
	zk_blob_unref(data);
	return r < 0 ? r : answer_wait(c, &answer);
}

int do_delete(struct zk_client *c, const char *path)
{
	struct answer answer = { 0 };
	int r = zk_delete(c, path, ZK_ANY_VERSION, 0, 0, answer_take, &answer, NULL);

	return r < 0 ? r : answer_wait(c, &answer);
}

int do_get(struct zk_client *c, const char *path, struct answer *answer)
{
	int r;

	answer_clear(answer);
	r = zk_get(c, path, 0, answer_take, answer, NULL);
	return r < 0 ? r : answer_wait(c, answer);
}

int do_exists(struct zk_client *c, const char *path, struct answer *answer)
{
	int r;

	answer_clear(answer);
	r = zk_exists(c, path, 0, answer_take, answer, NULL);
	return r < 0 ? r : answer_wait(c, answer);
}

void assert_data(const struct answer *answer, const char *text)
{
	if (!text) {
		assert_null(answer->data);
		return;
	}
	assert_non_null(answer->data);
	assert_int_equal(answer->data->len, strlen(text));
	assert_memory_equal(answer->data->data, text, strlen(text));
}

const char *fixture_path(struct fixture *fixture, const char *name)
{
	char *path = fixture->path[fixture->n_paths++ % 8];

	snprintf(path, sizeof(fixture->path[0]), "%s/%s", fixture->dir, name);
	return path;
}

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct zk_hosts_error error;
	struct zk_auth_error auth_error;
	static unsigned n;

	assert_int_equal(zk_hosts_parse(test_hosts(), &f->hosts, &error), 0);
	assert_int_equal(
		zk_auth_parse("-", "digest tester:secret\n", 21, &f->auth, &auth_error), 0);
	f->client = client_open(f->hosts, f->auth, 6000, 5000);
	f->open_acl = zk_acl_new_open();
	snprintf(f->dir, sizeof(f->dir), "/zktest-%d-%u", (int)getpid(), n++);
	assert_int_equal(do_create(f, f->client, f->dir, NULL), 0);
	*state = f;
	return 0;
}

/* All below the directory, which is flat, and itself. */
static void remove_dir(struct fixture *f)
{
	bool more = true;

	while (more) {
		struct answer names = { 0 };

		if (zk_children(f->client, f->dir, 0, answer_take, &names, NULL) < 0 ||
			answer_wait(f->client, &names) < 0)
			return;
		more = names.n_names > 0;
		for (size_t i = 0; i < names.n_names && i < 16; i++)
			do_delete(f->client, fixture_path(f, names.names[i]));
		answer_clear(&names);
	}
	do_delete(f->client, f->dir);
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	remove_dir(f);
	zk_client_free(f->client);
	zk_acl_free(f->open_acl);
	zk_auth_free(f->auth);
	zk_hosts_free(f->hosts);
	free(f);
	return 0;
}
