/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int64_t scene_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void scene_victim(struct scene *scene, int session_ms, int op_ms)
{
	zk_client_free(scene->victim);
	scene->victim = client_open(scene->hosts, scene->f->auth, session_ms, op_ms);
	client_connect(scene->victim);
}

int scene_setup(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct zk_hosts_error error;
	char text[64];

	fixture_setup(state);
	scene->f = *state;
	scene->proxy = proxy_new(scene->f->hosts->hosts[0].port);
	snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)proxy_port(scene->proxy));
	assert_int_equal(zk_hosts_parse(text, &scene->hosts, &error), 0);
	scene_victim(scene, SCENE_SESSION_MS, SCENE_OP_MS);
	scene->path = fixture_path(scene->f, "z");
	*state = scene;
	return 0;
}

int scene_teardown(void **state)
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

void scene_run_for(struct scene *scene, int ms)
{
	bool never = false;

	client_run(scene->victim, scene->f->client, &never, ms);
}

void scene_let_it_happen(struct scene *scene, uint64_t received)
{
	while (proxy_received(scene->proxy) == received)
		scene_run_for(scene, 5);
	scene_run_for(scene, 60);
}

uint64_t scene_lose(struct scene *scene, enum proxy_mode mode)
{
	proxy_set(scene->proxy, mode);
	return proxy_received(scene->proxy);
}

void scene_heal(struct scene *scene)
{
	proxy_set(scene->proxy, PROXY_PASS);
	proxy_cut(scene->proxy);
}

struct zk_stat scene_stat(struct scene *scene, const char *path)
{
	struct answer answer = { 0 };
	struct zk_stat stat;

	assert_int_equal(do_exists(scene->f->client, path, &answer), 0);
	stat = answer.stat;
	answer_clear(&answer);
	return stat;
}

void scene_assert_znode(struct scene *scene, const char *path, const char *text, int version)
{
	struct answer answer = { 0 };

	assert_int_equal(do_get(scene->f->client, path, &answer), 0);
	assert_data(&answer, text);
	assert_int_equal(answer.stat.version, version);
	answer_clear(&answer);
}

void scene_make_old(struct scene *scene)
{
	assert_int_equal(do_create(scene->f, scene->victim, scene->path, "old"), 0);
}
