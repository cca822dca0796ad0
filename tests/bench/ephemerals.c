/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Ephemerals through the special files of a directory. Prints the seconds it took.
 *
 * create: N through one open .ephemeral; echo: N times open, write, close, as a shell does;
 * lease: the same with .lease, so that each is let go at once; hold: takes one lease, e000000, says
 * so, and waits to be killed.
 *
 * usage: ephemerals create|echo|lease|hold DIR N SIZE
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
	fprintf(stderr, "ephemerals: ");
	perror(what);
	exit(1);
}

static int open_special(const char *dir, const char *name)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	check(fd >= 0, path);
	return fd;
}

static void make(int fd, int i, char *line, size_t size)
{
	int n = sprintf(line, "e%06d", i);

	line[n] = ' ';
	check(write(fd, line, size) == (ssize_t)size, "write");
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: ephemerals create|echo|lease|hold DIR N SIZE\n");
		return 64;
	}

	const char *job = argv[1], *dir = argv[2];
	const char *special =
		strcmp(job, "lease") == 0 || strcmp(job, "hold") == 0 ? ".lease" : ".ephemeral";
	int n = atoi(argv[3]), once = strcmp(job, "create") == 0 || strcmp(job, "hold") == 0;
	size_t size = strlen("e000000 ") + (size_t)atoi(argv[4]);
	char *line = malloc(size + 1);
	int fd = once ? open_special(dir, special) : -1;
	double start = now();

	memset(line, 'x', size + 1);
	for (int i = 0; i < n; i++) {
		if (!once)
			fd = open_special(dir, special);
		make(fd, i, line, size);
		if (!once)
			check(close(fd) == 0, "close");
	}
	printf("%.9f\n", now() - start);
	fflush(stdout);
	while (strcmp(job, "hold") == 0)
		pause();
	free(line);
	return 0;
}
