/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The auth file: the one way in which secrets reach zkfs, so it is strict about who else could have
 * read or written it, and careful with what it read. Every copy is wiped when it is freed (the
 * file is read by read(2), because stdio would keep one of its own), and messages name the file and
 * the line but never a word of it: where a scheme is missing, what stands there is the secret.
 */

#include "zk/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX 65536

__attribute__((format(printf, 3, 4))) static int refuse(
	struct zk_auth_error *error, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return r;
}

/* A long path must not push the reason out of the message. */
#define PATH_FORMAT "%.150s"

/* The carriage return is one, so that files written elsewhere do not end in a wrong password. */
static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Schemes are plain words; also tells a file that is not text, or begins with a byte order mark. */
static bool scheme_valid(const char *text, const char *end)
{
	for (; text < end; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

static int entry_new(struct zk_auth *auth, const char *scheme, size_t scheme_len,
	const char *credential, size_t credential_len)
{
	struct zk_auth_entry *entries =
		reallocarray(auth->entries, auth->n_entries + 1, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	auth->entries = entries;

	struct zk_auth_entry entry = {
		.scheme = strndup(scheme, scheme_len),
		.credential = strndup(credential, credential_len),
		.credential_len = credential_len,
	};

	entries[auth->n_entries++] = entry;
	return entry.scheme && entry.credential ? 0 : -ENOMEM;
}

/* Takes one line, without its newline. On failure *reasonp says why. */
static int line_parse(struct zk_auth *auth, const char *line, const char *end, const char **reasonp)
{
	if (memchr(line, '\0', (size_t)(end - line))) {
		*reasonp = "holds a NUL byte";
		return -EINVAL;
	}
	while (line < end && is_blank(*line))
		line++;
	while (line < end && is_blank(end[-1]))
		end--;
	if (line == end || *line == '#')
		return 0;

	const char *scheme_end = line;

	while (scheme_end < end && !is_blank(*scheme_end))
		scheme_end++;

	const char *credential = scheme_end;

	while (credential < end && is_blank(*credential))
		credential++;
	if (credential == end || !scheme_valid(line, scheme_end)) {
		*reasonp = "is not 'scheme credential'";
		return -EINVAL;
	}
	*reasonp = "is too much for the memory there is";
	return entry_new(
		auth, line, (size_t)(scheme_end - line), credential, (size_t)(end - credential));
}

int zk_auth_parse(const char *path, const char *text, size_t len, struct zk_auth **authp,
	struct zk_auth_error *error)
{
	const char *end = text + len;
	struct zk_auth *auth = calloc(1, sizeof(*auth));

	if (!auth)
		return refuse(error, -ENOMEM, PATH_FORMAT ": out of memory", path);

	for (size_t number = 1; text < end; number++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *line_end = newline ? newline : end;
		const char *reason = NULL;
		int r = line_parse(auth, text, line_end, &reason);

		if (r < 0) {
			zk_auth_free(auth);
			return refuse(error, r, PATH_FORMAT ": line %zu %s", path, number, reason);
		}
		text = newline ? newline + 1 : end;
	}
	if (auth->n_entries == 0) {
		zk_auth_free(auth);
		return refuse(error, -EINVAL, PATH_FORMAT ": holds no credential", path);
	}
	*authp = auth;
	return 0;
}

static int check_file(int fd, const char *path, struct zk_auth_error *error)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return refuse(error, -errno, PATH_FORMAT ": %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return refuse(error, -EPERM, PATH_FORMAT ": is not a regular file", path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return refuse(error, -EPERM,
			PATH_FORMAT ": belongs neither to the user who runs zkfs nor to root",
			path);
	if (st.st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH))
		return refuse(error, -EPERM,
			PATH_FORMAT ": others can read or write it (mode %04o); chmod 600 it", path,
			(unsigned)(st.st_mode & 07777));
	return 0;
}

/* Fills the buffer as far as the file goes; the bytes read, or a negative errno. */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buffer + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

static int read_and_parse(
	int fd, const char *path, struct zk_auth **authp, struct zk_auth_error *error)
{
	const size_t size = FILE_MAX + 1;
	char *buffer = calloc(1, size);
	int r;

	if (!buffer)
		return refuse(error, -ENOMEM, PATH_FORMAT ": out of memory", path);

	ssize_t len = read_all(fd, buffer, size);

	if (len < 0)
		r = refuse(error, (int)len, PATH_FORMAT ": %s", path, strerror((int)-len));
	else if (len > FILE_MAX)
		r = refuse(error, -EINVAL, PATH_FORMAT ": is longer than 64 KiB", path);
	else
		r = zk_auth_parse(path, buffer, (size_t)len, authp, error);

	explicit_bzero(buffer, size);
	free(buffer);
	return r;
}

int zk_auth_read(const char *path, struct zk_auth **authp, struct zk_auth_error *error)
{
	/* Not to wait for the writer of a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return refuse(error, -errno, PATH_FORMAT ": %s", path, strerror(errno));

	int r = check_file(fd, path, error);

	if (r == 0)
		r = read_and_parse(fd, path, authp, error);
	close(fd);
	return r;
}

struct zk_auth *zk_auth_free(struct zk_auth *auth)
{
	if (!auth)
		return NULL;
	for (size_t i = 0; i < auth->n_entries; i++) {
		struct zk_auth_entry *entry = &auth->entries[i];

		if (entry->credential)
			explicit_bzero(entry->credential, entry->credential_len);
		free(entry->credential);
		free(entry->scheme);
	}
	free(auth->entries);
	free(auth);
	return NULL;
}
