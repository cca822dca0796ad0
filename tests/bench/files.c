/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The same work as client.c's, done on files as any program would: N times open, read or write,
 * close, or stat, one file after the other (rewrite: the same one every time). Prints the seconds
 * it took.
 *
 * usage: files read|stat|write|rewrite DIR N SIZE
 */

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void check(int ok, const char *what, const char *path)
{
	if (ok)
		return;
	fprintf(stderr, "files: %s ", what);
	perror(path);
	exit(1);
}

static void read_file(const char *path, char *data, size_t size)
{
	int fd = open(path, O_RDONLY);

	check(fd >= 0, "open", path);
	check(read(fd, data, size + 1) == (ssize_t)size, "read", path);
	check(close(fd) == 0, "close", path);
}

static void stat_file(const char *path, char *data, size_t size)
{
	struct stat st;

	check(stat(path, &st) == 0 && st.st_size == (off_t)size, "stat", path);
}

static void write_file(const char *path, char *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	check(fd >= 0, "open", path);
	check(write(fd, data, size) == (ssize_t)size, "write", path);
	check(close(fd) == 0, "close", path);
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: files read|stat|write|rewrite DIR N SIZE\n");
		return 64;
	}

	void (*job)(const char *, char *, size_t) = strcmp(argv[1], "read") == 0   ? read_file
						    : strcmp(argv[1], "stat") == 0 ? stat_file
										   : write_file;
	bool same = strcmp(argv[1], "rewrite") == 0;
	const char *dir = argv[2];
	int n = atoi(argv[3]);
	size_t size = (size_t)atoi(argv[4]);
	char *data = malloc(size + 1);
	double start = now();

	memset(data, 'y', size + 1);
	for (int i = 0; i < n; i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/n%06d", dir, same ? 0 : i);
		job(path, data, size);
	}
	printf("%.9f\n", now() - start);
	free(data);
	return 0;
}
