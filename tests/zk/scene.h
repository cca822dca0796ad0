/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "fixture.h"
#include "proxy.h"

/*
 * The client under test, the victim, goes through a proxy that loses; a second one, straight to the
 * server, sees what really happened, and meddles.
 */
#define SCENE_SESSION_MS 2000
#define SCENE_OP_MS 5000

struct scene {
	struct fixture *f;
	struct proxy *proxy;
	struct zk_hosts *hosts;
	struct zk_client *victim;
	const char *path;
};

#define SCENE(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)
int scene_setup(void **state);
int scene_teardown(void **state);

/* Another victim instead, with these times. */
void scene_victim(struct scene *scene, int session_ms, int op_ms);

int64_t scene_now_ms(void);
void scene_run_for(struct scene *scene, int ms);

/* From now on that is lost. Gives what scene_let_it_happen wants to know. */
uint64_t scene_lose(struct scene *scene, enum proxy_mode mode);
/* Runs the victim until the server has, or never will have, got what it sent, and been done. */
void scene_let_it_happen(struct scene *scene, uint64_t received);
/* Nothing is lost any more, on a new connection. */
void scene_heal(struct scene *scene);

/* Makes the znode at its path, which says "old". */
void scene_make_old(struct scene *scene);

/* What is really there. */
struct zk_stat scene_stat(struct scene *scene, const char *path);
void scene_assert_znode(struct scene *scene, const char *path, const char *text, int version);
