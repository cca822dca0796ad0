/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own folder, .zkfs-git-deploy, in the one that is deployed into: so it is on the same file
 * system, and a rename from it is atomic.
 *
 *     adopted/    what --adopt has replaced; never removed
 *     by-hand     replaced when somebody has intervened
 *     cache/      bare repositories, one for each URL
 *     releases/   for each target a folder with its old trees
 *     work/       what is being made, or removed
 *     lock        who holds it may change any of it, and the targets
 *
 * It is ours alone (0700): paths in it need no care.
 */
#include "hooks/deploy_root.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hooks/lib/file.h"

#define OWN ".zkfs-git-deploy"

static int make_folder(int dir, const char *name, mode_t mode)
{
	return mkdirat(dir, name, mode) < 0 && errno != EEXIST ? -errno : 0;
}

static int open_folder(int dir, const char *name, int *fdp)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	*fdp = fd;
	return 0;
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

static int make_own(struct deploy_root *root)
{
	static const char *const folders[] = { "adopted", "cache", "releases", "work" };
	int r = make_folder(root->fd, OWN, 0700);

	if (r == 0)
		r = open_folder(root->fd, OWN, &root->own);
	for (size_t i = 0; r == 0 && i < sizeof(folders) / sizeof(folders[0]); i++)
		r = make_folder(root->own, folders[i], 0700);
	return r;
}

int deploy_root_open(const char *path, bool make, struct deploy_root *root)
{
	int r;

	*root = (struct deploy_root){ .fd = -1, .own = -1 };
	r = open_root(path, root);
	if (r == 0)
		r = make ? make_own(root) : open_folder(root->fd, OWN, &root->own);
	if (r == -ENOENT && root->fd >= 0 && !make)
		r = 0;
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

int deploy_root_nudge(const struct deploy_root *root)
{
	char *path = NULL;
	int r;

	if (asprintf(&path, "%s/" DEPLOY_BY_HAND, root->own_path) < 0)
		return -ENOMEM;
	r = hook_file_replace(path, "", 0);
	free(path);
	return r;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int deploy_root_remove(const struct deploy_root *root, const char *place)
{
	char *path = NULL;
	int r = 0;

	if (asprintf(&path, "%s/%s", root->own_path, place) < 0)
		return -ENOMEM;
	if (nftw(path, remove_one, 64, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0 && errno != ENOENT)
		r = -errno;
	free(path);
	return r;
}
