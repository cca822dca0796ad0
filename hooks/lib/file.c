/* SPDX-License-Identifier: Apache-2.0 */
/* Small files, read and replaced whole, and all that are in a directory. */
#include "hooks/lib/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_LIMIT (64u << 20)

void hook_bytes_done(struct hook_bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct hook_bytes){ 0 };
}

bool hook_bytes_equal(const struct hook_bytes *a, const struct hook_bytes *b)
{
	if (!a->data || !b->data)
		return a->data == b->data;
	return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

void hook_bytes_move(struct hook_bytes *to, struct hook_bytes *from)
{
	hook_bytes_done(to);
	*to = *from;
	*from = (struct hook_bytes){ 0 };
}

/* Makes room for more, and for the NUL. */
static int grow(struct hook_bytes *bytes, size_t *room)
{
	size_t more = *room ? 2 * *room : 4096;
	char *data;

	if (more > SIZE_LIMIT)
		return -EFBIG;
	data = realloc(bytes->data, more + 1);
	if (!data)
		return -ENOMEM;
	bytes->data = data;
	*room = more;
	return 0;
}

static int read_all(int fd, struct hook_bytes *bytes)
{
	size_t room = 0;

	for (;;) {
		ssize_t n;
		int r = bytes->size == room ? grow(bytes, &room) : 0;

		if (r < 0)
			return r;
		n = read(fd, bytes->data + bytes->size, room - bytes->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes->data[bytes->size + (size_t)n] = '\0';
		if (n == 0)
			return 0;
		bytes->size += (size_t)n;
	}
}

/* O_NONBLOCK: the open of a FIFO would wait. */
static int open_regular(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	r = fstat(fd, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? -EISDIR : 0;
	if (r == 0 && !S_ISREG(st.st_mode))
		r = -EINVAL;
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

int hook_file_read(const char *path, struct hook_bytes *bytesp)
{
	struct hook_bytes bytes = { 0 };
	int r, fd = open_regular(path);

	if (fd < 0)
		return fd;
	r = read_all(fd, &bytes);
	close(fd);
	if (r < 0)
		hook_bytes_done(&bytes);
	else
		*bytesp = bytes;
	return r;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

bool hook_file_is_unfit(int r)
{
	return r == -EISDIR || r == -EINVAL || r == -EACCES || r == -EFBIG || r == -ELOOP;
}

static int visit_name(const char *dir, const char *name,
	int (*visit)(void *data, const char *path, const char *name), void *data)
{
	char *path = NULL;
	int r;

	if (name[0] == '.')
		return 0;
	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return -ENOMEM;
	r = visit(data, path, name);
	free(path);
	return r;
}

int hook_file_each(
	const char *dir, int (*visit)(void *data, const char *path, const char *name), void *data)
{
	struct dirent *entry = NULL;
	DIR *stream = opendir(dir);
	int r = 0;

	if (!stream)
		return -errno;
	while (r == 0 && (errno = 0, entry = readdir(stream)))
		r = visit_name(dir, entry->d_name, visit, data);
	if (r == 0 && !entry)
		r = -errno;
	closedir(stream);
	return r;
}

/* Who lists the folder passes over names with a dot. */
static char *temporary_of(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	char *temporary = NULL;

	if (asprintf(&temporary, "%.*s.%s.XXXXXX", (int)(name - path), path, name) < 0)
		return NULL;
	return temporary;
}

int hook_file_replace(const char *path, const void *data, size_t size, mode_t mode)
{
	char *temporary = temporary_of(path);
	int fd, r;

	if (!temporary)
		return -ENOMEM;
	fd = mkostemp(temporary, O_CLOEXEC);
	r = fd < 0 ? -errno : write_all(fd, data, size);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	if (fd >= 0 && close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0 && fd >= 0)
		unlink(temporary);
	free(temporary);
	return r;
}

int hook_file_make_dirs(const char *path)
{
	char *copy = strdup(path);
	int r = 0;

	if (!copy)
		return -ENOMEM;
	for (char *slash = copy; r == 0 && slash;) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		if (mkdir(copy, 0700) < 0 && errno != EEXIST)
			r = -errno;
		if (slash)
			*slash = '/';
	}
	free(copy);
	return r;
}
