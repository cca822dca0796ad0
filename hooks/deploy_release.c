/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was deployed before: releases/TARGET/NUMBER. TARGET is the relative path with each '/' written
 * as "%2F", and '%' as "%25"; NUMBER is that of the tree's own record, so that a name cannot lie.
 * What was adopted has no record, and is none: it is kept as adopted/TIME.
 */
#include "hooks/deploy_release.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Room for "releases/TARGET/…", every character of the path escaped. */
enum { PLACE_SIZE = 3 * DEPLOY_PATH_SIZE + 64 };

static void place_of(const char *path, char place[PLACE_SIZE])
{
	char *out = stpcpy(place, "releases/");

	for (; *path; path++) {
		if (*path == '/')
			out = stpcpy(out, "%2F");
		else if (*path == '%')
			out = stpcpy(out, "%25");
		else
			*out++ = *path;
	}
	*out = '\0';
}

static void path_of(const char *name, char path[DEPLOY_PATH_SIZE])
{
	size_t n = 0;

	while (*name && n < DEPLOY_PATH_SIZE - 1) {
		bool escaped = *name == '%' && name[1] == '2';

		path[n++] = !escaped ? *name : name[2] == 'F' ? '/' : '%';
		name += escaped && name[2] ? 3 : 1;
	}
	path[n] = '\0';
}

static void release_place(const char *path, long number, char place[PLACE_SIZE])
{
	place_of(path, place);
	snprintf(place + strlen(place), 32, "/%ld", number);
}

int deploy_release_add_target(const struct deploy_root *root, const char *path)
{
	char place[PLACE_SIZE];

	place_of(path, place);
	return mkdirat(root->own, place, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static DIR *open_dir(int at, const char *place)
{
	int fd = openat(at, place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

static int newest_first(const void *a, const void *b)
{
	const long *x = a, *y = b;

	return (*x < *y) - (*x > *y);
}

static int add_number(const char *name, long **numbersp, size_t *np)
{
	long *more;

	if (strspn(name, "0123456789") != strlen(name) || strlen(name) > 18)
		return 0;
	more = realloc(*numbersp, (*np + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	more[(*np)++] = strtol(name, NULL, 10);
	*numbersp = more;
	return 0;
}

int deploy_release_list(
	const struct deploy_root *root, const char *path, long **numbersp, size_t *np)
{
	char place[PLACE_SIZE];
	struct dirent *entry;
	long *numbers = NULL;
	size_t n = 0;
	int r = 0;
	DIR *dir;

	place_of(path, place);
	dir = open_dir(root->own, place);
	if (!dir && errno != ENOENT)
		return -errno;
	while (r == 0 && dir && (entry = readdir(dir)))
		r = add_number(entry->d_name, &numbers, &n);
	if (dir)
		closedir(dir);
	if (r < 0) {
		free(numbers);
		return r;
	}
	if (n > 0)
		qsort(numbers, n, sizeof(*numbers), newest_first);
	*numbersp = numbers;
	*np = n;
	return 0;
}

static int read_record(int at, const char *place, struct deploy_record *record)
{
	int r, tree = openat(at, place, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (tree < 0)
		return -errno;
	r = deploy_record_read(tree, record);
	close(tree);
	return r;
}

int deploy_release_record(
	const struct deploy_root *root, const char *path, long number, struct deploy_record *record)
{
	char place[PLACE_SIZE];

	release_place(path, number, place);
	return read_record(root->own, place, record);
}

int deploy_release_put(const struct deploy_root *root, const char *path)
{
	char place[PLACE_SIZE];
	struct deploy_record record;
	int r = deploy_release_add_target(root, path);

	if (r == 0)
		r = read_record(root->own, DEPLOY_FRESH, &record);
	if (r == 0)
		release_place(path, record.number, place);
	else if (r == -ENOENT)
		snprintf(place, PLACE_SIZE, "adopted/%lld", (long long)time(NULL));
	else
		return r;
	return renameat(root->own, DEPLOY_FRESH, root->own, place) < 0 ? -errno : 0;
}

int deploy_release_take(const struct deploy_root *root, const char *path, long number)
{
	char place[PLACE_SIZE];

	release_place(path, number, place);
	return renameat(root->own, place, root->own, DEPLOY_FRESH) < 0 ? -errno : 0;
}

/* By way of the trash: half a tree is never among the releases. */
static int drop(const struct deploy_root *root, const char *path, long number)
{
	char place[PLACE_SIZE];

	release_place(path, number, place);
	if (renameat(root->own, place, root->own, DEPLOY_TRASH) < 0)
		return -errno;
	return deploy_root_remove(root, DEPLOY_TRASH);
}

int deploy_release_prune(const struct deploy_root *root, const char *path, size_t keep)
{
	long *numbers = NULL;
	size_t n = 0;
	int r = deploy_release_list(root, path, &numbers, &n);

	for (size_t i = keep; r == 0 && i < n; i++)
		r = drop(root, path, numbers[i]);
	free(numbers);
	return r;
}

static void hold_place(const char *path, char place[PLACE_SIZE])
{
	place_of(path, place);
	strcat(place, "/held");
}

int deploy_release_held(
	const struct deploy_root *root, const char *path, char commit[DEPLOY_ID_SIZE])
{
	char place[PLACE_SIZE];
	ssize_t n;
	int fd;

	hold_place(path, place);
	fd = openat(root->own, place, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return -errno;
	n = fd < 0 ? 0 : read(fd, commit, DEPLOY_ID_SIZE - 1);
	commit[n < 0 ? 0 : n] = '\0';
	if (fd >= 0)
		close(fd);
	return 0;
}

int deploy_release_hold(const struct deploy_root *root, const char *path, const char *commit)
{
	char place[PLACE_SIZE];
	size_t size = strlen(commit);
	int fd, r;

	hold_place(path, place);
	if (size == 0)
		return unlinkat(root->own, place, 0) < 0 && errno != ENOENT ? -errno : 0;
	fd = openat(root->own, place, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	errno = 0;
	r = write(fd, commit, size) == (ssize_t)size && fsync(fd) == 0 ? 0 : errno ? -errno : -EIO;
	close(fd);
	return r;
}

int deploy_release_each_target(
	const struct deploy_root *root, void (*visit)(void *data, const char *path), void *data)
{
	char path[DEPLOY_PATH_SIZE];
	struct dirent *entry;
	DIR *dir = open_dir(root->own, "releases");

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' && strspn(entry->d_name, ".") == strlen(entry->d_name))
			continue;
		path_of(entry->d_name, path);
		visit(data, path);
	}
	closedir(dir);
	return 0;
}
