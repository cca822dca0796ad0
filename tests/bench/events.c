/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How long it takes from a set by one client until another process is told, and how many changes a
 * second can be told of.
 *
 * usage: events HOSTS watch ZNODE N          until the C client's watch callback: median, in seconds
 *        events HOSTS inotify ZNODE N FILE   until inotify tells it of FILE, where that is mounted
 *        events HOSTS storm ZNODE N DIR      N children made at full speed: seconds until each of
 *                                            them was told by inotify on DIR
 */

#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

static sem_t fired;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "events: %s failed\n", what);
	_exit(1);
}

static zhandle_t *connect_to(const char *hosts)
{
	zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);

	zhandle_t *zh = zookeeper_init(hosts, NULL, 30000, NULL, NULL, 0);

	for (int i = 0; zh && i < 3000 && zoo_state(zh) != ZOO_CONNECTED_STATE; i++)
		usleep(10000);
	check(zh && zoo_state(zh) == ZOO_CONNECTED_STATE, "connect");
	return zh;
}

static void on_fired(zhandle_t *zh, int type, int state, const char *path, void *userdata)
{
	if (type != ZOO_SESSION_EVENT)
		sem_post(&fired);
}

static void on_set(int rc, const struct Stat *stat, const void *userdata)
{
	check(rc == ZOK, "set");
}

static void on_created(int rc, const char *path, const void *userdata)
{
	check(rc == ZOK, "create");
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void set(zhandle_t *zh, const char *path)
{
	check(zoo_aset(zh, path, "value", 5, -1, on_set, NULL) == ZOK, "set");
}

static void wait_for_inotify(int fd)
{
	char events[65536];
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	check(poll(&ready, 1, 10000) == 1, "waiting for an event");
	check(read(fd, events, sizeof(events)) > 0, "read");
}

/* The next change must not be told together with this one. */
static void settle(int fd)
{
	char events[65536];
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	while (poll(&ready, 1, 2) == 1)
		check(read(fd, events, sizeof(events)) > 0, "read");
}

static double watch(zhandle_t *writer, zhandle_t *reader, const char *path)
{
	char buffer[64];
	int len = sizeof(buffer);
	double start;

	check(zoo_wget(reader, path, on_fired, NULL, buffer, &len, NULL) == ZOK, "get");
	usleep(2000);
	start = now();
	set(writer, path);
	sem_wait(&fired);
	return now() - start;
}

static double inotify(zhandle_t *writer, int fd, const char *path)
{
	double start = now(), end;

	set(writer, path);
	wait_for_inotify(fd);
	end = now();
	settle(fd);
	return end - start;
}

static double storm(zhandle_t *writer, int fd, const char *path, int n)
{
	_Alignas(struct inotify_event) char events[65536];
	double start = now();
	char child[256];
	int told = 0;

	for (int i = 0; i < n; i++) {
		snprintf(child, sizeof(child), "%s/n%06d", path, i);
		check(zoo_acreate(writer, child, "value", 5, &ZOO_OPEN_ACL_UNSAFE, 0, on_created,
			      NULL) == ZOK,
			"create");
	}
	while (told < n) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		ssize_t size;

		check(poll(&ready, 1, 10000) == 1, "waiting for an event");
		size = read(fd, events, sizeof(events));
		for (char *at = events; at < events + size;) {
			const struct inotify_event *event = (const struct inotify_event *)at;

			check(!(event->mask & IN_Q_OVERFLOW), "keeping up");
			told += event->mask & IN_CREATE ? 1 : 0;
			at += sizeof(*event) + event->len;
		}
	}
	return now() - start;
}

int main(int argc, char **argv)
{
	zhandle_t *writer, *reader;
	double *samples;
	int n, fd = -1;

	if (argc < 5) {
		fprintf(stderr, "usage: events HOSTS watch|inotify|storm ZNODE N [FILE]\n");
		return 64;
	}
	n = atoi(argv[4]);
	samples = calloc((size_t)n, sizeof(*samples));
	sem_init(&fired, 0, 0);
	writer = connect_to(argv[1]);
	reader = connect_to(argv[1]);
	if (argc > 5) {
		fd = inotify_init1(IN_CLOEXEC);
		check(inotify_add_watch(fd, argv[5], IN_MODIFY | IN_CREATE) >= 0, argv[5]);
	}
	if (strcmp(argv[2], "storm") == 0) {
		printf("%.9f\n", storm(writer, fd, argv[3], n));
	} else {
		for (int i = 0; i < n; i++)
			samples[i] = fd < 0 ? watch(writer, reader, argv[3])
					    : inotify(writer, fd, argv[3]);
		qsort(samples, (size_t)n, sizeof(*samples), by_value);
		printf("%.9f\n", samples[n / 2]);
	}
	zookeeper_close(writer);
	zookeeper_close(reader);
	free(samples);
	return 0;
}
