/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "zk/acl.h"
#include "zk/auth.h"
#include "zk/blob.h"
#include "zk/client.h"
#include "zk/hosts.h"
#include "zk/op.h"

/*
 * What the tests of zk/ against a real server share: a client, a directory of its own below /, and
 * operations that wait for their answer. The server is that of $ZKFS_TEST_HOSTS.
 */

#define EXIT_SKIP 77

struct answer {
	bool done;
	int r;
	struct zk_stat stat;
	struct zk_blob *data;
	char acl[512];
	char names[16][64];
	size_t n_names;
	bool watched;
	int failed_op;
};

struct fixture {
	struct zk_hosts *hosts;
	struct zk_auth *auth;
	struct zk_client *client;
	struct zk_acl *open_acl;
	char dir[64];
	char path[8][96]; /* see fixture_path */
	unsigned n_paths;
};

/* NULL: there is no server for tests; main then exits with EXIT_SKIP. */
const char *test_hosts(void);

struct zk_client *client_open(const struct zk_hosts *hosts, const struct zk_auth *auth,
	int session_timeout_ms, int op_timeout_ms);
/* Dispatches both (the second may be NULL) until *flag or ms have passed; false: it was the time. */
bool client_run(struct zk_client *a, struct zk_client *b, const bool *flag, int ms);
void client_connect(struct zk_client *client);

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int fixture_setup(void **state);
int fixture_teardown(void **state);
/* "DIR/name"; lasts for the next seven calls. */
const char *fixture_path(struct fixture *fixture, const char *name);

/* A reply function; its userdata is a struct answer, to be cleared with answer_clear. */
void answer_take(void *userdata, int r, const struct zk_reply *reply);
void answer_clear(struct answer *answer);
/* Waits for it and returns its result. */
int answer_wait(struct zk_client *client, struct answer *answer);

/* Operations that wait. text NULL: null data. */
int do_create(struct fixture *f, struct zk_client *c, const char *path, const char *text);
int do_set(struct fixture *f, struct zk_client *c, const char *path, const char *text, int version);
int do_delete(struct zk_client *c, const char *path);
int do_get(struct zk_client *c, const char *path, struct answer *answer);
int do_exists(struct zk_client *c, const char *path, struct answer *answer);
struct zk_blob *blob_of(const char *text);
void assert_data(const struct answer *answer, const char *text);
