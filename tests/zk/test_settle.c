/* SPDX-License-Identifier: Apache-2.0 */
/* Requests or answers that are lost: what each kind of change settles to, whoever meddles. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"
#include "zk/sequence.h"

/* A set of "mine" whose answer or request is lost; then `meddle`, if not NULL, is set by another. */
static int lossy_set(struct scene *scene, enum proxy_mode mode, int version,
	const struct zk_stat *base, const char *meddle)
{
	struct zk_blob *data = blob_of("mine");
	struct answer answer = { 0 };
	uint64_t received = scene_lose(scene, mode);
	int r;

	assert_int_equal(zk_set(scene->victim, scene->path, data, version, base, 0, answer_take,
				 &answer, NULL),
		0);
	scene_let_it_happen(scene, received);
	if (meddle)
		assert_int_equal(do_set(scene->f, scene->f->client, scene->path, meddle, -1), 0);
	scene_heal(scene);
	r = answer_wait(scene->victim, &answer);
	if (r == 0) {
		struct zk_stat now = scene_stat(scene, scene->path);

		assert_true(zk_stat_same_data(&answer.stat, &now));
	}
	zk_blob_unref(data);
	answer_clear(&answer);
	return r;
}

static void set_with_version_applied(void **state)
{
	struct scene *s = *state;

	scene_make_old(s);
	assert_int_equal(lossy_set(s, PROXY_DROP_REPLIES, 0, NULL, NULL), 0);
	scene_assert_znode(s, s->path, "mine", 1);
}

static void set_with_version_not_applied(void **state)
{
	struct scene *s = *state;

	scene_make_old(s);
	assert_int_equal(lossy_set(s, PROXY_DROP_REQUESTS, 0, NULL, NULL), 0);
	scene_assert_znode(s, s->path, "mine", 1);
}

static void set_with_version_someone_else_was_first(void **state)
{
	struct scene *s = *state;

	scene_make_old(s);
	assert_int_equal(lossy_set(s, PROXY_DROP_REQUESTS, 0, NULL, "theirs"), -ESTALE);
	scene_assert_znode(s, s->path, "theirs", 1);
}

static void set_with_version_overwritten(void **state)
{
	struct scene *s = *state;

	scene_make_old(s);
	assert_int_equal(lossy_set(s, PROXY_DROP_REPLIES, 0, NULL, "theirs"), -EIO);
	scene_assert_znode(s, s->path, "theirs", 2);
}

static void set_any_applied(void **state)
{
	struct scene *s = *state;
	struct zk_stat base;

	scene_make_old(s);
	assert_int_equal(lossy_set(s, PROXY_DROP_REPLIES, -1, NULL, NULL), 0);
	scene_assert_znode(s, s->path, "mine", 1);
	base = scene_stat(s, s->path);
	assert_int_equal(lossy_set(s, PROXY_DROP_REPLIES, -1, &base, NULL), 0);
	scene_assert_znode(s, s->path, "mine", 2);
}

static void set_any_not_applied(void **state)
{
	struct scene *s = *state;
	struct zk_stat base;

	scene_make_old(s);
	assert_int_equal(lossy_set(s, PROXY_DROP_REQUESTS, -1, NULL, NULL), 0);
	scene_assert_znode(s, s->path, "mine", 1);
	base = scene_stat(s, s->path);
	assert_int_equal(lossy_set(s, PROXY_DROP_REQUESTS, -1, &base, NULL), 0);
	scene_assert_znode(s, s->path, "mine", 2);
}

static void set_any_never_overwrites_a_later_write(void **state)
{
	struct scene *s = *state;
	struct zk_stat base;

	scene_make_old(s);
	base = scene_stat(s, s->path);
	assert_int_equal(lossy_set(s, PROXY_DROP_REPLIES, -1, &base, "theirs"), -EIO);
	scene_assert_znode(s, s->path, "theirs", 2);
}

static int lossy_create(struct scene *scene, enum proxy_mode mode, enum zk_create_mode create_mode,
	const char *meddle)
{
	struct zk_blob *data = blob_of("mine");
	struct answer answer = { 0 };
	uint64_t received = scene_lose(scene, mode);
	int r;

	assert_int_equal(zk_create(scene->victim, scene->path, data, scene->f->open_acl,
				 create_mode, 0, answer_take, &answer, NULL),
		0);
	scene_let_it_happen(scene, received);
	if (meddle)
		assert_int_equal(do_create(scene->f, scene->f->client, scene->path, meddle), 0);
	scene_heal(scene);
	r = answer_wait(scene->victim, &answer);
	if (r == 0) {
		struct zk_stat now = scene_stat(scene, scene->path);

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
	scene_assert_znode(s, s->path, "mine", 0);
}

static void create_not_applied(void **state)
{
	struct scene *s = *state;

	assert_int_equal(lossy_create(s, PROXY_DROP_REQUESTS, ZK_CREATE_PERSISTENT, NULL), 0);
	scene_assert_znode(s, s->path, "mine", 0);
}

static void create_someone_else_was_first(void **state)
{
	struct scene *s = *state;

	assert_int_equal(
		lossy_create(s, PROXY_DROP_REQUESTS, ZK_CREATE_PERSISTENT, "theirs"), -EEXIST);
	scene_assert_znode(s, s->path, "theirs", 0);
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
	assert_int_equal(scene_stat(s, s->path).ephemeral_owner, info.session_id);
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
	uint64_t received = scene_lose(scene, mode);

	assert_int_equal(zk_delete(scene->victim, scene->path, version, czxid, 0, answer_take,
				 &answer, NULL),
		0);
	scene_let_it_happen(scene, received);
	if (again)
		assert_int_equal(do_create(scene->f, scene->f->client, scene->path, "again"), 0);
	scene_heal(scene);
	return answer_wait(scene->victim, &answer);
}

static void delete_applied(void **state)
{
	struct scene *s = *state;
	struct answer answer = { 0 };

	scene_make_old(s);
	assert_int_equal(lossy_delete(s, PROXY_DROP_REPLIES, -1, 0, false), 0);
	assert_int_equal(do_exists(s->victim, s->path, &answer), -ENOENT);
}

static void delete_not_applied(void **state)
{
	struct scene *s = *state;
	struct answer answer = { 0 };

	scene_make_old(s);
	assert_int_equal(lossy_delete(s, PROXY_DROP_REQUESTS, -1, 0, false), 0);
	assert_int_equal(do_exists(s->victim, s->path, &answer), -ENOENT);
	scene_make_old(s);
	assert_int_equal(
		lossy_delete(s, PROXY_DROP_REQUESTS, 0, scene_stat(s, s->path).czxid, false), 0);
	assert_int_equal(do_exists(s->victim, s->path, &answer), -ENOENT);
}

static void delete_spares_a_later_namesake(void **state)
{
	struct scene *s = *state;
	int64_t czxid;

	scene_make_old(s);
	assert_int_equal(lossy_delete(s, PROXY_DROP_REPLIES, -1, 0, true), 0);
	scene_assert_znode(s, s->path, "again", 0);
	czxid = scene_stat(s, s->path).czxid;
	assert_int_equal(lossy_delete(s, PROXY_DROP_REPLIES, 0, czxid, true), 0);
	scene_assert_znode(s, s->path, "again", 0);
}

static void acl_set_both_ways(void **state)
{
	struct scene *s = *state;
	struct zk_acl *acl = zk_acl_new_read();
	struct answer answer = { 0 };

	scene_make_old(s);
	for (int i = 0; i < 4; i++) {
		uint64_t received = scene_lose(s, i % 2 ? PROXY_DROP_REPLIES : PROXY_DROP_REQUESTS);

		if (i == 2) {
			zk_acl_free(acl);
			acl = zk_acl_new_open();
		}
		assert_int_equal(
			zk_acl_set(s->victim, s->path, acl, i, 0, answer_take, &answer, NULL), 0);
		scene_let_it_happen(s, received);
		scene_heal(s);
		assert_int_equal(answer_wait(s->victim, &answer), 0);
		answer_clear(&answer);
		assert_int_equal(scene_stat(s, s->path).aversion, i + 1);
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
	uint64_t received = scene_lose(s, mode);

	assert_int_equal(zk_create_sequential(s->victim, s->path, data, s->f->open_acl, create_mode,
				 0, take_made, &made, &sequence),
		0);
	scene_let_it_happen(s, received);
	assert_false(zk_sequence_cancel(sequence));
	scene_heal(s);
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
		scene_assert_znode(s, path, "mine", 0);
		stat = scene_stat(s, path);
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
	uint64_t received = scene_lose(s, mode);

	zk_multi_add_create(multi, to, data, s->f->open_acl, ZK_CREATE_PERSISTENT);
	zk_multi_add_delete(multi, from, 0, 0);
	assert_int_equal(zk_multi_start(s->victim, multi, 0, 0, answer_take, &answer, NULL), 0);
	scene_let_it_happen(s, received);
	scene_heal(s);
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
	scene_assert_znode(s, c, "moved", 0);
	assert_int_equal(lossy_rename(s, PROXY_DROP_REQUESTS, b, a), -ENOENT);
	assert_int_equal(do_exists(s->victim, a, &answer), -ENOENT);
	answer_clear(&answer);
}

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
	};

	if (!test_hosts())
		return EXIT_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
