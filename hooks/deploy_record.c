/* SPDX-License-Identifier: Apache-2.0 */
/* .git/zkfs-git-deploy: by it a tree is known as deployed by us. */
#include "hooks/deploy_record.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAME ".git/zkfs-git-deploy"

/* Nobody else writes it: what does not fit is damaged. */
static bool copy(const json_t *object, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (!text || strlen(text) >= size)
		return false;
	strcpy(to, text);
	return true;
}

static int take(const json_t *object, struct deploy_record *record)
{
	struct deploy_record taken = {
		.number = json_integer_value(json_object_get(object, "number")),
		.post_pending = json_is_true(json_object_get(object, "postPending")),
	};

	if (!copy(object, "url", taken.url, sizeof(taken.url)) ||
		!copy(object, "commitId", taken.commit, sizeof(taken.commit)) ||
		!copy(object, "previous", taken.previous, sizeof(taken.previous)) ||
		!copy(object, "relativePath", taken.path, sizeof(taken.path)) ||
		!copy(object, "time", taken.time, sizeof(taken.time)) || taken.number <= 0)
		return -ENOENT;
	*record = taken;
	return 0;
}

int deploy_record_read(int tree, struct deploy_record *record)
{
	int fd = openat(tree, NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r;
	json_error_t error;
	json_t *object;

	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? -ENOENT : -errno;
	object = json_loadfd(fd, 0, &error);
	r = object ? take(object, record) : -ENOENT;
	json_decref(object);
	close(fd);
	return r;
}

static int write_to(int tree, const json_t *object)
{
	int fd = openat(
		tree, NAME ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	int r = fd < 0 ? -errno : 0;

	errno = 0;
	if (r == 0 && (json_dumpfd(object, fd, 0) < 0 || fsync(fd) < 0))
		r = errno ? -errno : -EIO;
	if (fd >= 0)
		close(fd);
	if (r == 0 && renameat(tree, NAME ".new", tree, NAME) < 0)
		r = -errno;
	return r;
}

int deploy_record_write(int tree, struct deploy_record *record)
{
	time_t now = time(NULL);
	struct tm tm;
	json_t *object;
	int r;

	gmtime_r(&now, &tm);
	if (!record->time[0])
		strftime(record->time, sizeof(record->time), "%Y-%m-%dT%H:%M:%SZ", &tm);
	object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:b}", "url", record->url, "commitId",
		record->commit, "previous", record->previous, "relativePath", record->path, "time",
		record->time, "number", (json_int_t)record->number, "postPending",
		record->post_pending);
	if (!object) /* the path is not UTF-8 */
		return -EILSEQ;
	r = write_to(tree, object);
	json_decref(object);
	return r;
}
