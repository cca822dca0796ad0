/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inotify on a path and all its parents.
 *
 * A file may be replaced by a rename, vanish and come back, and so may each of its parents. So each
 * part of the path has a watch, from the top down: who makes a part that was not there is seen by the
 * watch above it, which was placed before. After anything that concerned the path the watches are
 * placed again, on what the parts are then; that is cheap, and the one way to get all cases right
 * (a queue that ran over, an inode that is gone, an unmount).
 *
 * A file system that is mounted over a part makes no event. So mountinfo is polled as well.
 */
#include "hooks/lib/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define SELF_MASK (IN_DELETE_SELF | IN_MOVE_SELF)
#define NAMES_MASK (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define READS_MAX 64
#define DATA_MASK (IN_MODIFY | IN_CLOSE_WRITE)

/* A part of the path: the prefix of that length, and the name that follows in it. */
struct part {
	size_t length;
	const char *name; /* not terminated; NULL for the path itself */
	size_t name_length;
	int wd; /* -1: none */
};

struct hook_watch {
	int fd, mounts;
	bool remounted;
	char *path;
	size_t n_parts;
	struct part *parts;
};

/* Absolute, one slash between the names, none at the end, no ".". */
static char *clean_path(const char *path)
{
	char *cwd = path[0] == '/' ? strdup("") : getcwd(NULL, 0), *clean, *out;

	clean = cwd ? malloc(strlen(cwd) + strlen(path) + 3) : NULL;
	if (!clean) {
		free(cwd);
		return NULL;
	}
	out = stpcpy(clean, strcmp(cwd, "/") == 0 ? "" : cwd);
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n > 0 && !(n == 1 && *path == '.')) {
			*out++ = '/';
			memcpy(out, path, n);
			out += n;
		}
		path += n + strspn(path + n, "/");
	}
	*out = '\0';
	if (out == clean)
		strcpy(clean, "/");
	free(cwd);
	return clean;
}

static int split(struct hook_watch *watch)
{
	const char *path = watch->path;
	size_t n = 1;

	for (const char *p = path; *p; p++)
		n += *p == '/' && p[1];
	watch->parts = calloc(n, sizeof(*watch->parts));
	if (!watch->parts)
		return -ENOMEM;
	for (const char *p = path; *p; p++) {
		struct part *part = &watch->parts[watch->n_parts];

		if (*p != '/' || !p[1])
			continue;
		*part = (struct part){ (size_t)(p - path), p + 1, strcspn(p + 1, "/"), -1 };
		watch->n_parts++;
	}
	watch->parts[watch->n_parts++] = (struct part){ strlen(path), NULL, 0, -1 };
	return 0;
}

int hook_watch_new(const char *path, struct hook_watch **watchp)
{
	struct hook_watch *watch = calloc(1, sizeof(*watch));
	int r = -ENOMEM;

	if (!watch)
		return r;
	watch->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->fd < 0)
		r = -errno;
	else if ((watch->path = clean_path(path)))
		r = split(watch);
	if (r < 0)
		hook_watch_free(watch);
	else
		*watchp = watch;
	return r;
}

void hook_watch_free(struct hook_watch *watch)
{
	if (!watch)
		return;
	if (watch->fd >= 0)
		close(watch->fd);
	if (watch->mounts >= 0)
		close(watch->mounts);
	free(watch->parts);
	free(watch->path);
	free(watch);
}

const char *hook_watch_path(const struct hook_watch *watch)
{
	return watch->path;
}

int hook_watch_fd(const struct hook_watch *watch)
{
	return watch->fd;
}

int hook_watch_mounts_fd(const struct hook_watch *watch)
{
	return watch->mounts;
}

static bool is_used(const struct hook_watch *watch, int wd)
{
	for (size_t i = 0; i < watch->n_parts; i++)
		if (watch->parts[i].wd == wd)
			return true;
	return false;
}

/* The file's data is looked at from its directory too: it may not be there yet. */
static uint32_t mask_of(const struct hook_watch *watch, size_t i)
{
	uint32_t mask = SELF_MASK | NAMES_MASK;

	if (i + 2 >= watch->n_parts)
		mask |= DATA_MASK;
	if (i + 1 == watch->n_parts)
		mask |= IN_ATTRIB; /* unlinked, while somebody still has it open */
	return mask;
}

/* IN_MASK_ADD: two parts may be one inode. */
static int place(struct hook_watch *watch, size_t i)
{
	struct part *part = &watch->parts[i];
	char *prefix = strndup(watch->path, part->length);
	int old = part->wd, r = 0;

	if (!prefix)
		return -ENOMEM;
	part->wd = inotify_add_watch(
		watch->fd, *prefix ? prefix : "/", mask_of(watch, i) | IN_MASK_ADD);
	if (part->wd < 0) {
		r = errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
		part->wd = -1;
	}
	if (old >= 0 && old != part->wd && !is_used(watch, old))
		inotify_rm_watch(watch->fd, old);
	free(prefix);
	return r;
}

/* A parent that may be passed and not read cannot be watched; what is below it can. */
int hook_watch_update(struct hook_watch *watch)
{
	int result = 0;

	for (size_t i = 0; i < watch->n_parts; i++) {
		int r = place(watch, i);

		if (r < 0 && !(r == -EACCES && i + 1 < watch->n_parts))
			result = r;
	}
	return result;
}

static bool concerns_part(const struct part *part, const struct inotify_event *event)
{
	if (part->wd != event->wd)
		return false;
	if (event->len == 0 || !part->name)
		return true;
	return strlen(event->name) == part->name_length &&
	       memcmp(event->name, part->name, part->name_length) == 0;
}

/* IN_IGNORED of a watch that we took away ourselves has a number that no part has any more. */
static bool concerns(const struct hook_watch *watch, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	for (size_t i = 0; i < watch->n_parts; i++)
		if (concerns_part(&watch->parts[i], event))
			return true;
	return false;
}

void hook_watch_mounts_changed(struct hook_watch *watch)
{
	watch->remounted = true;
}

/* What others do in the same folder may make events faster than they are taken: not without end. */
bool hook_watch_take(struct hook_watch *watch)
{
	_Alignas(struct inotify_event) char buffer[16384];
	bool changed = watch->remounted;
	ssize_t n;

	watch->remounted = false;
	for (int i = 0; i < READS_MAX && (n = read(watch->fd, buffer, sizeof(buffer))) > 0; i++) {
		for (char *p = buffer; p < buffer + n;) {
			struct inotify_event *event = (void *)p;

			changed |= concerns(watch, event);
			p += sizeof(*event) + event->len;
		}
	}
	return changed;
}
