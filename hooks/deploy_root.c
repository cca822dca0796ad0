/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own folder, .zkfs-git-deploy, in the one that is deployed into: so it is on the same file
 * system, and a rename from it is atomic.
 *
 *     adopted/    what --adopt has replaced; never removed
 *     by-hand     replaced when somebody has intervened
 *     cache/      bare repositories, one for each URL
 *     releases/   for each target a folder with its old trees, and the records of all
 *     work/       what is being made, or removed
 *     lock        who holds it may change any of it, and the targets
 *
 * It must be ours alone (0700). But the old trees in it may belong to somebody who works in them, or
 * have something mounted in them: so they are removed by descriptors, a folder at a time.
 */
#include "hooks/deploy_root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hooks/lib/file.h"
#include "hooks/lib/log.h"

#define OWN ".zkfs-git-deploy"

static const char *const folders[] = { "adopted", "cache", "releases", "work" };

static int open_folder(int dir, const char *name, int *fdp)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	*fdp = fd;
	return 0;
}

/* Who could write to it could have us remove, or fetch from, anything. */
static int check_ours(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_uid == geteuid() && (st.st_mode & 022) == 0 ? 0 : -EPERM;
}

static int open_ours(int dir, const char *name, bool make, int *fdp)
{
	int r = make && mkdirat(dir, name, 0700) < 0 && errno != EEXIST ? -errno : 0, fd = -1;

	if (r == 0)
		r = open_folder(dir, name, &fd);
	if (r == 0)
		r = check_ours(fd);
	if (r == 0)
		*fdp = fd;
	else if (fd >= 0)
		close(fd);
	return r;
}

/* The user may have named the root by a symbolic link. */
static int open_root(const char *path, struct deploy_root *root)
{
	root->path = realpath(path, NULL);
	if (!root->path)
		return -errno;
	if (asprintf(&root->own_path, "%s/" OWN, root->path) < 0) {
		root->own_path = NULL;
		return -ENOMEM;
	}
	return open_folder(AT_FDCWD, root->path, &root->fd);
}

static int open_own(struct deploy_root *root, bool make)
{
	int r = open_ours(root->fd, OWN, make, &root->own), fd;

	for (size_t i = 0; r == 0 && i < sizeof(folders) / sizeof(folders[0]); i++) {
		r = open_ours(root->own, folders[i], make, &fd);
		if (r == 0)
			close(fd);
	}
	return r;
}

int deploy_root_open(const char *path, bool make, struct deploy_root *root)
{
	int r;

	*root = (struct deploy_root){ .fd = -1, .own = -1 };
	r = open_root(path, root);
	if (r == 0) {
		r = open_own(root, make);
		if (r == -ENOENT && !make)
			r = 0;
	}
	if (r < 0)
		deploy_root_done(root);
	return r;
}

void deploy_root_done(struct deploy_root *root)
{
	if (root->fd >= 0)
		close(root->fd);
	if (root->own >= 0)
		close(root->own);
	free(root->path);
	free(root->own_path);
	*root = (struct deploy_root){ .fd = -1, .own = -1 };
}

static bool is_same(int fd, const char *path)
{
	struct stat open_st, st;

	return fstat(fd, &open_st) == 0 && lstat(path, &st) == 0 && open_st.st_ino == st.st_ino &&
	       open_st.st_dev == st.st_dev;
}

bool deploy_root_is_current(const struct deploy_root *root)
{
	return is_same(root->fd, root->path) &&
	       (root->own < 0 || is_same(root->own, root->own_path));
}

static int open_beneath(int dir, const char *name, int access)
{
	struct open_how how = {
		.flags = (uint64_t)access | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	long fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int deploy_root_open_folder(int dir, const char *name)
{
	return open_beneath(dir, name, O_RDONLY);
}

int deploy_root_lock(const struct deploy_root *root, int *fdp)
{
	int fd = openat(root->own, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r = fd < 0 ? -errno : 0;

	if (r == 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (r < 0 && fd >= 0)
		close(fd);
	if (r == 0)
		*fdp = fd;
	return r;
}

int deploy_root_write(const struct deploy_root *root, const char *place, const char *text)
{
	char *path = NULL;
	int r;

	if (asprintf(&path, "%s/%s", root->own_path, place) < 0)
		return -ENOMEM;
	r = hook_file_replace(path, text, strlen(text), 0600);
	free(path);
	return r;
}

int deploy_root_nudge(const struct deploy_root *root)
{
	return deploy_root_write(root, DEPLOY_BY_HAND, "");
}

static int remove_in(int dir, const char *name);

/* Goes on where something resists. */
static int empty(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), result = 0;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!dir) {
		if (copy >= 0)
			close(copy);
		return -errno;
	}
	while ((entry = readdir(dir))) {
		int r = 0;

		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = remove_in(fd, entry->d_name);
		if (r < 0)
			result = r;
	}
	closedir(dir);
	return result;
}

/* A folder that its owner may not change or read is made so that he may. By way of its descriptor. */
static int open_to_empty(int dir, const char *name)
{
	int fd = open_beneath(dir, name, O_PATH);
	char self[64];

	if (fd < 0)
		return fd;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	chmod(self, 0700);
	close(fd);
	return open_beneath(dir, name, O_RDONLY);
}

/* Never through a link, nor into what is mounted there. */
static int remove_in(int dir, const char *name)
{
	int fd = open_to_empty(dir, name), r;

	if (fd == -ENOTDIR || fd == -ELOOP)
		return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = empty(fd);
	close(fd);
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT && r == 0)
		r = -errno;
	return r;
}

/* Out of the way, so that whoever needs the place finds it free. */
static void put_aside(const struct deploy_root *root, const char *place)
{
	char aside[64];

	for (int i = 0; i < 10000; i++) {
		snprintf(aside, sizeof(aside), "work/resists-%d", i);
		if (renameat2(root->own, place, root->own, aside, RENAME_NOREPLACE) == 0 ||
			errno != EEXIST)
			return;
	}
}

void deploy_root_remove(const struct deploy_root *root, const char *place)
{
	int r = remove_in(root->own, place);

	if (r == 0)
		return;
	hook_log(HOOK_LOG_WARNING, "%s/%s cannot be removed: %s", root->own_path, place,
		strerror(-r));
	if (strncmp(place, "work/resists-", strlen("work/resists-")) != 0)
		put_aside(root, place);
}

void deploy_root_sweep(const struct deploy_root *root)
{
	int fd = -1;
	struct dirent *entry;
	char place[300];
	DIR *dir;

	if (open_folder(root->own, "work", &fd) < 0)
		return;
	dir = fdopendir(fd);
	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(place, sizeof(place), "work/%s", entry->d_name);
		deploy_root_remove(root, place);
	}
	if (dir)
		closedir(dir);
	else
		close(fd);
}
