/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of trees: releases/TARGET/NUMBER.json, where TARGET is the relative path with each '/'
 * written as "%2F", and '%' as "%25".
 *
 * A tree is known by its inode and birth, which it keeps through every rename: so a record is right at
 * every moment of an exchange. It is not in the tree, as that may belong to somebody else.
 */
#include "hooks/deploy_record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".json"

void deploy_record_folder(const char *path, char place[DEPLOY_PLACE_SIZE])
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

static void place_of(const char *path, long number, char place[DEPLOY_PLACE_SIZE])
{
	deploy_record_folder(path, place);
	snprintf(place + strlen(place), 32, "/%ld" SUFFIX, number);
}

int deploy_record_identify(int tree, struct deploy_identity *identity)
{
	struct statx stx;

	if (statx(tree, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &stx) < 0)
		return -errno;
	*identity = (struct deploy_identity){ .inode = stx.stx_ino };
	if (stx.stx_mask & STATX_BTIME) {
		identity->born_s = stx.stx_btime.tv_sec;
		identity->born_ns = stx.stx_btime.tv_nsec;
	}
	return 0;
}

/* Nobody but us writes it: what does not fit is damaged. */
static bool take_text(const json_t *object, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (!text || strlen(text) >= size)
		return false;
	strcpy(to, text);
	return true;
}

static json_int_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static int take(const json_t *object, struct deploy_record *record)
{
	struct deploy_record taken = {
		.number = number_of(object, "number"),
		.tree = { .inode = (uint64_t)number_of(object, "inode"),
			.born_s = number_of(object, "bornSeconds"),
			.born_ns = (uint32_t)number_of(object, "bornNanoseconds") },
		.post_pending = json_is_true(json_object_get(object, "postPending")),
		.taken_back = json_is_true(json_object_get(object, "takenBack")),
	};

	if (!take_text(object, "url", taken.url, sizeof(taken.url)) ||
		!take_text(object, "commitId", taken.commit, sizeof(taken.commit)) ||
		!take_text(object, "previous", taken.previous, sizeof(taken.previous)) ||
		!take_text(object, "relativePath", taken.path, sizeof(taken.path)) ||
		!take_text(object, "time", taken.time, sizeof(taken.time)) || taken.number <= 0)
		return -EBADMSG;
	*record = taken;
	return 0;
}

int deploy_record_read(
	const struct deploy_root *root, const char *path, long number, struct deploy_record *record)
{
	char place[DEPLOY_PLACE_SIZE];
	json_error_t error;
	json_t *object;
	int fd, r;

	place_of(path, number, place);
	fd = openat(root->own, place, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	object = json_loadfd(fd, 0, &error);
	r = object ? take(object, record) : -EBADMSG;
	json_decref(object);
	close(fd);
	return r;
}

static json_t *to_object(const struct deploy_record *record)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:b}", "url",
		record->url, "commitId", record->commit, "previous", record->previous,
		"relativePath", record->path, "time", record->time, "number",
		(json_int_t)record->number, "inode", (json_int_t)record->tree.inode, "bornSeconds",
		(json_int_t)record->tree.born_s, "bornNanoseconds",
		(json_int_t)record->tree.born_ns, "postPending", record->post_pending, "takenBack",
		record->taken_back);
}

int deploy_record_write(const struct deploy_root *root, struct deploy_record *record)
{
	char place[DEPLOY_PLACE_SIZE];
	json_t *object;
	char *text;
	int r;

	deploy_record_folder(record->path, place);
	if (mkdirat(root->own, place, 0700) < 0 && errno != EEXIST)
		return -errno;
	place_of(record->path, record->number, place);
	if (!record->time[0])
		deploy_stamp(record->time);
	object = to_object(record);
	text = object ? json_dumps(object, 0) : NULL;
	r = text ? deploy_root_write(root, place, text) : -ENOMEM;
	free(text);
	json_decref(object);
	return r;
}

int deploy_record_remove(const struct deploy_root *root, const char *path, long number)
{
	char place[DEPLOY_PLACE_SIZE];

	place_of(path, number, place);
	return unlinkat(root->own, place, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int newest_first(const void *a, const void *b)
{
	const long *x = a, *y = b;

	return (*x < *y) - (*x > *y);
}

/* Names that are not ours are passed over. */
static int add_number(const char *name, long **numbersp, size_t *np)
{
	size_t digits = strspn(name, "0123456789");
	long *more;

	if (digits == 0 || digits > 18 || strcmp(name + digits, SUFFIX) != 0)
		return 0;
	more = reallocarray(*numbersp, *np + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	more[(*np)++] = strtol(name, NULL, 10);
	*numbersp = more;
	return 0;
}

static DIR *open_dir(const struct deploy_root *root, const char *place)
{
	int fd = openat(root->own, place, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

int deploy_record_list(
	const struct deploy_root *root, const char *path, long **numbersp, size_t *np)
{
	char place[DEPLOY_PLACE_SIZE];
	struct dirent *entry;
	long *numbers = NULL;
	size_t n = 0;
	int r = 0;
	DIR *dir;

	deploy_record_folder(path, place);
	dir = open_dir(root, place);
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

static bool is_same(const struct deploy_identity *a, const struct deploy_identity *b)
{
	return a->inode == b->inode && a->born_s == b->born_s && a->born_ns == b->born_ns;
}

int deploy_record_find(const struct deploy_root *root, const char *path,
	const struct deploy_identity *tree, struct deploy_record *record)
{
	struct deploy_record read;
	long *numbers = NULL;
	size_t n = 0;
	bool found = false;
	int r = root->own < 0 ? 0 : deploy_record_list(root, path, &numbers, &n);

	for (size_t i = 0; r == 0 && !found && i < n; i++)
		found = deploy_record_read(root, path, numbers[i], &read) == 0 &&
			is_same(&read.tree, tree) && strcmp(read.path, path) == 0;
	free(numbers);
	if (found)
		*record = read;
	return r < 0 ? r : found ? 0 : -ENOENT;
}

int deploy_record_each_path(
	const struct deploy_root *root, void (*visit)(void *data, const char *path), void *data)
{
	char path[DEPLOY_PATH_SIZE];
	struct dirent *entry;
	DIR *dir = open_dir(root, "releases");

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		path_of(entry->d_name, path);
		visit(data, path);
	}
	closedir(dir);
	return 0;
}
