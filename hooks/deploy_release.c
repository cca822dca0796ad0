/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was deployed before: releases/TARGET/NUMBER, beside its record. What was adopted has no
 * record: it is kept as adopted/TIME.
 */
#include "hooks/deploy_release.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void place_of(const char *path, long number, char place[DEPLOY_PLACE_SIZE])
{
	deploy_record_folder(path, place);
	snprintf(place + strlen(place), 32, "/%ld", number);
}

int deploy_release_put(const struct deploy_root *root, const struct deploy_record *record)
{
	char place[DEPLOY_PLACE_SIZE];

	place_of(record->path, record->number, place);
	return renameat(root->own, DEPLOY_FRESH, root->own, place) < 0 ? -errno : 0;
}

int deploy_release_put_adopted(const struct deploy_root *root)
{
	char place[64];
	int r = -EEXIST;

	for (int i = 0; r == -EEXIST && i < 1000; i++) {
		snprintf(place, sizeof(place), "adopted/%lld-%d", (long long)time(NULL), i);
		r = renameat2(root->own, DEPLOY_FRESH, root->own, place, RENAME_NOREPLACE) < 0
			    ? -errno
			    : 0;
	}
	return r;
}

int deploy_release_take(const struct deploy_root *root, const struct deploy_record *record)
{
	char place[DEPLOY_PLACE_SIZE];

	place_of(record->path, record->number, place);
	return renameat(root->own, place, root->own, DEPLOY_FRESH) < 0 ? -errno : 0;
}

/* The records of all old trees, the newest first. The caller owns the array. */
static int list(const struct deploy_root *root, const char *path, struct deploy_record **recordsp,
	size_t *np)
{
	struct deploy_record *records;
	char place[DEPLOY_PLACE_SIZE];
	long *numbers = NULL;
	size_t n = 0, n_records = 0;
	int r = deploy_record_list(root, path, &numbers, &n);

	records = r == 0 ? calloc(n + 1, sizeof(*records)) : NULL;
	for (size_t i = 0; records && i < n; i++) {
		place_of(path, numbers[i], place);
		if (faccessat(root->own, place, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
			deploy_record_read(root, path, numbers[i], &records[n_records]) == 0)
			n_records++;
	}
	free(numbers);
	if (r == 0 && !records)
		r = -ENOMEM;
	if (r == 0) {
		*recordsp = records;
		*np = n_records;
	}
	return r;
}

int deploy_release_before(
	const struct deploy_root *root, const char *path, long number, struct deploy_record *record)
{
	struct deploy_record *records = NULL;
	size_t n = 0, i = 0;
	int r = list(root, path, &records, &n);

	while (i < n && (records[i].number >= number || records[i].taken_back))
		i++;
	if (r == 0 && i < n)
		*record = records[i];
	free(records);
	return r < 0 ? r : i < n ? 0 : -ENOENT;
}

int deploy_release_each(const struct deploy_root *root, const char *path,
	void (*visit)(void *data, const struct deploy_record *record), void *data)
{
	struct deploy_record *records = NULL;
	size_t n = 0;
	int r = list(root, path, &records, &n);

	for (size_t i = 0; r == 0 && i < n; i++)
		visit(data, &records[i]);
	free(records);
	return r;
}

/* The tree first: one without a record would be kept for ever. */
static int drop(const struct deploy_root *root, const struct deploy_record *record)
{
	char place[DEPLOY_PLACE_SIZE];

	place_of(record->path, record->number, place);
	deploy_root_remove(root, place);
	return deploy_record_remove(root, record->path, record->number);
}

static int forget_lost(const struct deploy_root *root, const char *path, long live)
{
	char place[DEPLOY_PLACE_SIZE];
	long *numbers = NULL;
	size_t n = 0;
	int r = deploy_record_list(root, path, &numbers, &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		place_of(path, numbers[i], place);
		if (numbers[i] != live &&
			faccessat(root->own, place, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
			errno == ENOENT)
			r = deploy_record_remove(root, path, numbers[i]);
	}
	free(numbers);
	return r;
}

int deploy_release_prune(const struct deploy_root *root, const char *path, long live, size_t keep)
{
	struct deploy_record *records = NULL;
	size_t n = 0, good = 0, kept;
	int r = list(root, path, &records, &n);

	for (size_t i = 0; r == 0 && i < n; i++)
		good += !records[i].taken_back;
	kept = good < keep ? good : keep;
	/* Of those taken back, the newest fill what is left of keep. */
	for (size_t i = 0, good_seen = 0, bad_seen = 0; r == 0 && i < n; i++) {
		bool keeps = records[i].taken_back ? bad_seen++ < keep - kept : good_seen++ < keep;

		if (!keeps)
			r = drop(root, &records[i]);
	}
	free(records);
	return r < 0 ? r : forget_lost(root, path, live);
}

static void hold_place(const char *path, char place[DEPLOY_PLACE_SIZE])
{
	deploy_record_folder(path, place);
	strcat(place, "/held");
}

int deploy_release_held(
	const struct deploy_root *root, const char *path, char commit[DEPLOY_ID_SIZE])
{
	char place[DEPLOY_PLACE_SIZE];
	int fd, r = 0;
	ssize_t n;

	commit[0] = '\0';
	if (root->own < 0)
		return 0;
	hold_place(path, place);
	fd = openat(root->own, place, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	n = read(fd, commit, DEPLOY_ID_SIZE - 1);
	if (n < 0)
		r = -errno;
	commit[n < 0 ? 0 : n] = '\0';
	close(fd);
	return r;
}

int deploy_release_hold(const struct deploy_root *root, const char *path, const char *commit)
{
	char place[DEPLOY_PLACE_SIZE];

	hold_place(path, place);
	if (*commit)
		return deploy_root_write(root, place, commit);
	return unlinkat(root->own, place, 0) < 0 && errno != ENOENT ? -errno : 0;
}
