/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place that is deployed to, and the one moment in which its tree changes.
 *
 * The way to it, below the root, may lead through what others have put there: every part is opened by
 * itself, below the one before, and must be a folder, no symbolic link, on the same file system, and
 * no git work tree. The last part is only ever renamed.
 *
 * A tree's number tells what comes after what. Of what is found in the working folder after a kill,
 * it tells whether it was live already: what is older than the live tree was.
 */
#include "hooks/deploy_target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hooks/deploy_release.h"

static int open_beneath(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	long fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static enum hook_exit fail_at(char *why, const char *path, size_t n, int r)
{
	const char *what = r == -ELOOP     ? "is a symbolic link"
			   : r == -ENOTDIR ? "is no directory"
			   : r == -EXDEV   ? "is on another file system"
			   : r == -EEXIST  ? "is a git work tree itself"
					   : strerror(-r);

	return deploy_fail(why, r == -EEXIST ? HOOK_POLICY : deploy_code_of_errno(-r), "%.*s %s",
		(int)n, path, what);
}

/* The last '/' in the path, or NULL. */
static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int open_part(int dir, const char *part, size_t n, bool make)
{
	char name[DEPLOY_PATH_SIZE];
	int fd;

	snprintf(name, sizeof(name), "%.*s", (int)n, part);
	fd = open_beneath(dir, name);
	if (fd == -ENOENT && make) {
		if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
			return -errno;
		fd = open_beneath(dir, name);
	}
	if (fd >= 0 && faccessat(fd, ".git", F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		close(fd);
		return -EEXIST;
	}
	return fd;
}

/* The folder that holds the target. *fdp is -1 if it is not there and not made. */
static enum hook_exit open_parent(
	const struct deploy_root *root, const char *path, bool make, int *fdp, char *why)
{
	int dir = fcntl(root->fd, F_DUPFD_CLOEXEC, 0);
	const char *part = path, *slash;

	while (dir >= 0 && (slash = strchr(part, '/'))) {
		int next = open_part(dir, part, (size_t)(slash - part), make);

		close(dir);
		dir = -1;
		if (next == -ENOENT)
			break;
		if (next < 0)
			return fail_at(why, path, (size_t)(slash - path), next);
		dir = next;
		part = slash + 1;
	}
	*fdp = dir;
	return HOOK_OK;
}

static bool is_empty(int tree)
{
	int fd = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool empty = dir != NULL;

	while (dir && empty && (entry = readdir(dir)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	return empty;
}

static int look_at(int tree, struct deploy_target *target)
{
	int r = deploy_record_read(tree, &target->live);

	if (r == -ENOENT)
		target->state = is_empty(tree) ? DEPLOY_EMPTY : DEPLOY_FOREIGN;
	else if (r == 0)
		target->state = DEPLOY_LIVE;
	return r == -ENOENT ? 0 : r;
}

static enum hook_exit look_in(int parent, const char *path, struct deploy_target *target, char *why)
{
	int tree = open_beneath(parent, last_part(path)), r;

	if (tree == -ENOENT)
		return HOOK_OK;
	r = tree < 0 ? tree : look_at(tree, target);
	if (tree >= 0)
		close(tree);
	return r < 0 ? fail_at(why, path, strlen(path), r) : HOOK_OK;
}

enum hook_exit deploy_target_look(const struct deploy_root *root, const char *path,
	struct deploy_target *target, char why[DEPLOY_WHY_SIZE])
{
	enum hook_exit code;
	int parent;

	*target = (struct deploy_target){ .state = DEPLOY_ABSENT };
	code = open_parent(root, path, false, &parent, why);
	if (code != HOOK_OK || parent < 0)
		return code;
	code = look_in(parent, path, target, why);
	close(parent);
	return code;
}

int deploy_target_next_number(
	const struct deploy_root *root, const char *path, long live, long *numberp)
{
	long *numbers = NULL;
	size_t n = 0;
	int r = deploy_release_list(root, path, &numbers, &n);

	if (r == 0)
		*numberp = (n > 0 && numbers[0] > live ? numbers[0] : live) + 1;
	free(numbers);
	return r;
}

/* The one moment. What was there is in DEPLOY_FRESH then, if anything was. */
static int exchange(const struct deploy_root *root, int parent, const char *name, bool absent)
{
	if (renameat2(root->own, DEPLOY_FRESH, parent, name,
		    absent ? RENAME_NOREPLACE : RENAME_EXCHANGE) < 0)
		return -errno;
	fsync(parent);
	return 0;
}

/* The new tree is live: that what is old cannot be kept is no reason to say that it is not. */
static void put_old(const struct deploy_root *root, const char *path, bool empty)
{
	if (empty)
		unlinkat(root->own, DEPLOY_FRESH, AT_REMOVEDIR);
	else
		deploy_release_put(root, path);
}

static enum hook_exit publish_in(
	const struct deploy_root *root, int parent, const char *path, bool adopt, char *why)
{
	struct deploy_target target = { .state = DEPLOY_ABSENT };
	enum hook_exit code = look_in(parent, path, &target, why);
	int r;

	if (code != HOOK_OK)
		return code;
	if (target.state == DEPLOY_FOREIGN && !adopt)
		return deploy_fail(why, HOOK_POLICY,
			"%s has files in it that were not deployed (--adopt replaces it)", path);
	r = deploy_release_add_target(root, path);
	if (r == 0)
		r = exchange(root, parent, last_part(path), target.state == DEPLOY_ABSENT);
	if (r < 0)
		return fail_at(why, path, strlen(path), r);
	if (target.state != DEPLOY_ABSENT)
		put_old(root, path, target.state == DEPLOY_EMPTY);
	return HOOK_OK;
}

enum hook_exit deploy_target_publish(
	const struct deploy_root *root, const char *path, bool adopt, char why[DEPLOY_WHY_SIZE])
{
	enum hook_exit code;
	int parent = -1;

	code = open_parent(root, path, true, &parent, why);
	if (code != HOOK_OK)
		return code;
	if (parent < 0)
		return deploy_fail(why, HOOK_IO, "%s: %s", path, strerror(ENOENT));
	code = publish_in(root, parent, path, adopt, why);
	close(parent);
	return code;
}

/* The commit that was live before, for --post to know, or NULL for no change of that. */
static int set_post_pending(int dir, const char *name, bool pending, const char *previous)
{
	int tree = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct deploy_record record;
	int r = tree < 0 ? -errno : deploy_record_read(tree, &record);

	if (r == 0 && (record.post_pending != pending || previous)) {
		record.post_pending = pending;
		if (previous)
			strcpy(record.previous, previous);
		r = deploy_record_write(tree, &record);
	}
	if (tree >= 0)
		close(tree);
	return r;
}

int deploy_target_post_done(const struct deploy_root *root, const char *path)
{
	char why[DEPLOY_WHY_SIZE];
	int parent = -1, r;

	if (open_parent(root, path, false, &parent, why) != HOOK_OK || parent < 0)
		return -ENOENT;
	r = set_post_pending(parent, last_part(path), false, NULL);
	close(parent);
	return r;
}

/* The newest that is older than the live one; -ENOENT. */
static int find_older(const struct deploy_root *root, const char *path, long live, long *numberp)
{
	long *numbers = NULL;
	size_t n = 0, i = 0;
	int r = deploy_release_list(root, path, &numbers, &n);

	while (i < n && numbers[i] >= live)
		i++;
	if (r == 0 && i == n)
		r = -ENOENT;
	if (r == 0)
		*numberp = numbers[i];
	free(numbers);
	return r;
}

/* A second rollback takes back what the first has brought: the ban of the newest commit stays. */
static int hold(const struct deploy_root *root, const char *path, const char *commit)
{
	char held[DEPLOY_ID_SIZE];
	int r = deploy_release_held(root, path, held);

	return r == 0 && !*held ? deploy_release_hold(root, path, commit) : r;
}

enum hook_exit deploy_target_rollback(const struct deploy_root *root, const char *path,
	struct deploy_target *target, char why[DEPLOY_WHY_SIZE])
{
	enum hook_exit code = deploy_target_look(root, path, target, why);
	long number;
	int r;

	if (code != HOOK_OK)
		return code;
	if (target->state != DEPLOY_LIVE)
		return deploy_fail(why, HOOK_UNAVAILABLE, "nothing is deployed at %s", path);
	r = find_older(root, path, target->live.number, &number);
	if (r == -ENOENT)
		return deploy_fail(why, HOOK_UNAVAILABLE, "nothing older is kept for %s", path);
	if (r == 0)
		r = hold(root, path, target->live.commit);
	if (r == 0)
		r = deploy_release_take(root, path, number);
	if (r == 0)
		r = set_post_pending(root->own, DEPLOY_FRESH, true, target->live.commit);
	if (r < 0)
		return deploy_fail(why, HOOK_IO, "%s: %s", path, strerror(-r));
	code = deploy_target_publish(root, path, false, why);
	return code == HOOK_OK ? deploy_target_look(root, path, target, why) : code;
}

/* A tree in the working folder that was live: by its number, or as what a rollback has taken back. */
static bool was_live(const struct deploy_root *root, const struct deploy_record *record)
{
	char why[DEPLOY_WHY_SIZE], held[DEPLOY_ID_SIZE];
	struct deploy_target target;

	if (deploy_target_look(root, record->path, &target, why) != HOOK_OK ||
		target.state != DEPLOY_LIVE)
		return false;
	if (record->number < target.live.number)
		return true;
	return deploy_release_held(root, record->path, held) == 0 &&
	       strcmp(held, record->commit) == 0;
}

int deploy_target_recover(const struct deploy_root *root)
{
	static const char *const places[] = { DEPLOY_FRESH, DEPLOY_MAKING, DEPLOY_TRASH };
	int tree = openat(root->own, DEPLOY_FRESH, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	struct deploy_target found = { .state = DEPLOY_EMPTY };

	if (tree >= 0) {
		r = look_at(tree, &found);
		close(tree);
	}
	if (r == 0 && (found.state == DEPLOY_FOREIGN ||
			      (found.state == DEPLOY_LIVE && was_live(root, &found.live))))
		r = deploy_release_put(root, found.live.path);
	for (size_t i = 0; r == 0 && i < sizeof(places) / sizeof(places[0]); i++)
		r = deploy_root_remove(root, places[i]);
	return r;
}
