/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place to mount on. A zkfs that was killed leaves a mount that answers ENOTCONN to all; it is
 * recognised by that answer and its type in /proc/self/mountinfo, and taken away.
 */
#include "fs/mountpoint.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *path, int error)
{
	fprintf(stderr, "zkfs: mountpoint %s: %s\n", path, strerror(error));
	return -error;
}

/* The directory that holds `path` is resolved, its last part is not touched: it may be stale. */
static char *resolve_stale(const char *path)
{
	char *for_dir = strdup(path), *for_base = strdup(path), *dir = NULL, *result = NULL;

	if (for_dir && for_base)
		dir = realpath(dirname(for_dir), NULL);
	if (dir && asprintf(&result, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir,
			   basename(for_base)) < 0)
		result = NULL;
	free(dir);
	free(for_dir);
	free(for_base);
	return result;
}

int fs_mountpoint_resolve(const char *path, char **mountpointp)
{
	struct stat st;
	char *resolved;

	if (stat(path, &st) == 0) {
		if (!S_ISDIR(st.st_mode))
			return fail(path, ENOTDIR);
		resolved = realpath(path, NULL);
	} else if (errno == ENOTCONN) {
		resolved = resolve_stale(path);
	} else {
		return fail(path, errno);
	}
	if (!resolved)
		return fail(path, errno);
	*mountpointp = resolved;
	return 0;
}

/* The type of what is mounted there last, "" for nothing. */
static void mounted_type(const char *mountpoint, char *type, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent entry;
	char buffer[4 * PATH_MAX];

	type[0] = '\0';
	if (!mounts)
		return;
	while (getmntent_r(mounts, &entry, buffer, sizeof(buffer)))
		if (strcmp(entry.mnt_dir, mountpoint) == 0)
			snprintf(type, size, "%s", entry.mnt_type);
	endmntent(mounts);
}

static int unmount(const char *mountpoint)
{
	pid_t pid;
	int status;

	if (umount2(mountpoint, MNT_DETACH) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	pid = fork();
	if (pid == 0) {
		execlp("fusermount3", "fusermount3", "-u", "-z", "-q", "--", mountpoint,
			(char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return status == 0 ? 0 : -EPERM;
}

int fs_mountpoint_clear(const char *mountpoint)
{
	struct stat st;
	char type[64];
	bool alive;
	int r;

	for (;;) {
		mounted_type(mountpoint, type, sizeof(type));
		alive = stat(mountpoint, &st) == 0;
		if (!alive && errno != ENOTCONN)
			return fail(mountpoint, errno);
		if (alive && strcmp(type, "fuse.zkfs") != 0)
			return 0;
		if (alive) {
			fprintf(stderr, "zkfs: mountpoint %s: a zkfs is mounted there\n",
				mountpoint);
			return -EBUSY;
		}
		if (strcmp(type, "fuse.zkfs") != 0)
			return fail(mountpoint, ENOTCONN);
		r = unmount(mountpoint);
		if (r < 0)
			return fail(mountpoint, -r);
	}
}

/* One line of mountinfo (see proc(5)); `path` has room for PATH_MAX, blanks in it are escaped. */
static bool parse_mount(const char *line, struct fs_mount_id *id, char *path)
{
	return sscanf(line, "%d %*d %u:%u %*s %4095s", &id->mount, &id->major, &id->minor, path) ==
	       4;
}

/* Octal escapes become what they stand for, in place. */
static void unescape(char *path)
{
	char *to = path;

	for (char *from = path; *from; to++) {
		unsigned c;

		if (*from == '\\' && sscanf(from + 1, "%3o", &c) == 1) {
			*to = (char)c;
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

int fs_mount_id_of(const char *mountpoint, struct fs_mount_id *id)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	struct fs_mount_id found;
	char *line = NULL, path[PATH_MAX];
	size_t size = 0;
	int r = -ENOENT;

	while (mounts && getline(&line, &size, mounts) > 0) {
		if (!parse_mount(line, &found, path))
			continue;
		unescape(path);
		if (strcmp(path, mountpoint) == 0) {
			*id = found;
			r = 0;
		}
	}
	free(line);
	if (mounts)
		fclose(mounts);
	return r;
}

/* Does a process, as /proc/PID/mountinfo tells it, see this mount of the file system? */
static bool is_listed(const char *mountinfo, int mount, const struct fs_mount_id *id)
{
	FILE *mounts = fopen(mountinfo, "re");
	char *line = NULL, path[PATH_MAX];
	struct fs_mount_id found;
	bool is_same = false;
	size_t size = 0;

	while (mounts && !is_same && getline(&line, &size, mounts) > 0)
		is_same = parse_mount(line, &found, path) && found.mount == mount &&
			  found.major == id->major && found.minor == id->minor;
	free(line);
	if (mounts)
		fclose(mounts);
	return is_same;
}

bool fs_mount_id_is_there(const struct fs_mount_id *id)
{
	return is_listed("/proc/self/mountinfo", id->mount, id);
}

bool fs_mount_id_is_same(const struct fs_mount_id *id, pid_t tid, int mount)
{
	char path[64];

	if (mount == id->mount)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)tid);
	return is_listed(path, mount, id);
}
