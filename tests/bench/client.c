/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The base that zkfs is measured against: the same work done directly with ZooKeeper's C client, in
 * the form that its users know, the multithreaded library. Also makes the znodes and counts their
 * versions. Prints the seconds the work took, without the connecting, or what was counted.
 *
 * usage: client HOSTS fill|get|set|aget|children|versions|ephemerals|gone DIR N [SIZE]
 *
 * The N children of DIR are called n000000 and so on; ephemerals e000000. gone waits until the first
 * of these is deleted, and prints when that was (CLOCK_MONOTONIC).
 */

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

struct work {
	zhandle_t *zh;
	const char *dir;
	int n;
	char *data;
	int size;

	/* Of the pipelined ones, counted in the library's thread. */
	int answers;
	long versions;
	double gone;
	sem_t done;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void check(int rc, const char *what)
{
	if (rc == ZOK)
		return;
	fprintf(stderr, "client: %s: %s\n", what, zerror(rc));
	_exit(1);
}

static const char *child(const struct work *work, int i, char path[256])
{
	snprintf(path, 256, "%s/n%06d", work->dir, i);
	return path;
}

static void count_answer(struct work *work)
{
	if (++work->answers == work->n)
		sem_post(&work->done);
}

static void created(int rc, const char *path, const void *userdata)
{
	check(rc, "create");
	count_answer((struct work *)(uintptr_t)userdata);
}

static void got(int rc, const char *data, int len, const struct Stat *stat, const void *userdata)
{
	struct work *work = (struct work *)(uintptr_t)userdata;

	check(rc, "get");
	work->versions += stat->version;
	count_answer(work);
}

static void fill(struct work *work)
{
	char path[256];

	check(zoo_create(work->zh, work->dir, NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0),
		"create");
	for (int i = 0; i < work->n; i++)
		check(zoo_acreate(work->zh, child(work, i, path), work->data, work->size,
			      &ZOO_OPEN_ACL_UNSAFE, 0, created, work),
			"create");
	sem_wait(&work->done);
}

static void get(struct work *work)
{
	static char data[1 << 20];
	char path[256];

	for (int i = 0; i < work->n; i++) {
		int len = sizeof(data);

		check(zoo_get(work->zh, child(work, i, path), 0, data, &len, NULL), "get");
	}
}

static void set(struct work *work)
{
	char path[256];

	for (int i = 0; i < work->n; i++)
		check(zoo_set(work->zh, child(work, i, path), work->data, work->size, -1), "set");
}

static void aget(struct work *work)
{
	char path[256];

	for (int i = 0; i < work->n; i++)
		check(zoo_aget(work->zh, child(work, i, path), 0, got, work), "get");
	sem_wait(&work->done);
}

static void children(struct work *work)
{
	struct String_vector names = { 0 };

	check(zoo_get_children(work->zh, work->dir, 0, &names), "get_children");
	if (names.count != work->n)
		check(ZNONODE, "get_children");
	deallocate_String_vector(&names);
}

static void ephemerals(struct work *work)
{
	char path[256];

	for (int i = 0; i < work->n; i++) {
		snprintf(path, sizeof(path), "%s/e%06d", work->dir, i);
		check(zoo_create(work->zh, path, work->data, work->size, &ZOO_OPEN_ACL_UNSAFE,
			      ZOO_EPHEMERAL, NULL, 0),
			"create");
	}
}

static void on_gone(zhandle_t *zh, int type, int state, const char *path, void *userdata)
{
	struct work *work = userdata;

	if (type != ZOO_DELETED_EVENT)
		return;
	work->gone = now();
	sem_post(&work->done);
}

static void gone(struct work *work)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/e000000", work->dir);
	check(zoo_wexists(work->zh, path, on_gone, work, NULL), "exists");
	printf("ready\n");
	fflush(stdout);
	sem_wait(&work->done);
}

static const struct {
	const char *name;
	void (*run)(struct work *work);
} jobs[] = {
	{ "fill", fill },
	{ "get", get },
	{ "set", set },
	{ "aget", aget },
	{ "children", children },
	{ "versions", aget },
	{ "ephemerals", ephemerals },
	{ "gone", gone },
};

static zhandle_t *connect_to(const char *hosts)
{
	zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);

	zhandle_t *zh = zookeeper_init(hosts, NULL, 30000, NULL, NULL, 0);

	for (int i = 0; zh && i < 3000 && zoo_state(zh) != ZOO_CONNECTED_STATE; i++)
		usleep(10000);
	if (!zh || zoo_state(zh) != ZOO_CONNECTED_STATE)
		check(ZCONNECTIONLOSS, "connect");
	return zh;
}

int main(int argc, char **argv)
{
	if (argc < 5) {
		fprintf(stderr, "usage: client HOSTS JOB DIR N [SIZE]\n");
		return 64;
	}

	struct work work = {
		.zh = connect_to(argv[1]),
		.dir = argv[3],
		.n = atoi(argv[4]),
		.size = argc > 5 ? atoi(argv[5]) : 0,
	};

	work.data = malloc((size_t)work.size + 1);
	memset(work.data, 'x', (size_t)work.size + 1);
	sem_init(&work.done, 0, 0);
	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		if (strcmp(jobs[i].name, argv[2]) != 0)
			continue;

		double start = now();

		jobs[i].run(&work);
		if (strcmp(argv[2], "versions") == 0)
			printf("%ld\n", work.versions);
		else if (strcmp(argv[2], "gone") == 0)
			printf("%.9f\n", work.gone);
		else
			printf("%.9f\n", now() - start);
		zookeeper_close(work.zh);
		free(work.data);
		return 0;
	}
	fprintf(stderr, "client: no job is called %s\n", argv[2]);
	return 64;
}
