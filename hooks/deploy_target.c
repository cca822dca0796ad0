/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place that is deployed to, and the one moment in which its tree changes.
 *
 * The way to it, below the root, may lead through what others have put there: every part is opened by
 * itself, below the one before, and must be a folder, no symbolic link, on the same file system, and
 * no git work tree. The last part is only ever renamed.
 *
 * A record tells which tree is which, wherever it is. Of what is found in the working folder after a
 * kill, it tells whether it was live already: what is older than the live tree, or was taken back,
 * was. What has no record is somebody else's.
 */
#include "hooks/deploy_target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hooks/deploy_release.h"
#include "hooks/lib/log.h"

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

/* What comes after the last '/'. */
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
	fd = deploy_root_open_folder(dir, name);
	if (fd == -ENOENT && make) {
		if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
			return -errno;
		fd = deploy_root_open_folder(dir, name);
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

static int look_at(
	const struct deploy_root *root, const char *path, int tree, struct deploy_target *target)
{
	struct deploy_identity identity;
	int r = deploy_record_identify(tree, &identity);

	if (r == 0)
		r = deploy_record_find(root, path, &identity, &target->live);
	if (r == -ENOENT)
		target->state = is_empty(tree) ? DEPLOY_EMPTY : DEPLOY_FOREIGN;
	else if (r == 0)
		target->state = DEPLOY_LIVE;
	return r == -ENOENT ? 0 : r;
}

static enum hook_exit look_in(const struct deploy_root *root, int parent, const char *path,
	struct deploy_target *target, char *why)
{
	int tree = deploy_root_open_folder(parent, last_part(path)), r;

	if (tree == -ENOENT)
		return HOOK_OK;
	r = tree < 0 ? tree : look_at(root, path, tree, target);
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
	code = look_in(root, parent, path, target, why);
	close(parent);
	return code;
}

int deploy_target_open(const struct deploy_root *root, const char *path)
{
	char why[DEPLOY_WHY_SIZE];
	int parent = -1, tree;

	if (open_parent(root, path, false, &parent, why) != HOOK_OK || parent < 0)
		return -ENOENT;
	tree = deploy_root_open_folder(parent, last_part(path));
	close(parent);
	return tree;
}

/* Into another folder a folder is moved only by who may write to it. */
static void allow_move(int dir, const char *name)
{
	int fd = deploy_root_open_folder(dir, name);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0)
		fchmod(fd, (st.st_mode & 07777) | S_IWUSR);
	if (fd >= 0)
		close(fd);
}

/* The one moment. What was there is in DEPLOY_FRESH then, if anything was. */
static int exchange(const struct deploy_root *root, int parent, const char *name, bool absent)
{
	unsigned flags = absent ? RENAME_NOREPLACE : RENAME_EXCHANGE;
	int r = renameat2(root->own, DEPLOY_FRESH, parent, name, flags) < 0 ? -errno : 0;

	if (r == -EACCES && faccessat(parent, ".", W_OK, AT_EACCESS) == 0) {
		allow_move(root->own, DEPLOY_FRESH);
		allow_move(parent, name);
		r = renameat2(root->own, DEPLOY_FRESH, parent, name, flags) < 0 ? -errno : 0;
	}
	if (r < 0)
		return r;
	fsync(parent);
	return 0;
}

/* The new tree is live: that what is old cannot be filed is no reason to say that it is not. */
static void put_old(
	const struct deploy_root *root, const char *path, const struct deploy_target *old)
{
	int r = 0;

	if (old->state == DEPLOY_LIVE)
		r = deploy_release_put(root, &old->live);
	else if (old->state == DEPLOY_FOREIGN)
		r = deploy_release_put_adopted(root);
	else if (old->state == DEPLOY_EMPTY)
		unlinkat(root->own, DEPLOY_FRESH, AT_REMOVEDIR);
	if (r < 0)
		hook_log(HOOK_LOG_WARNING, "the old tree of %s is left in %s/" DEPLOY_FRESH ": %s",
			path, root->own_path, strerror(-r));
}

/* A record that a rollback that did not come to its end has left. */
static int clear_taken_back(const struct deploy_root *root, struct deploy_record *live)
{
	if (!live->taken_back)
		return 0;
	live->taken_back = false;
	return deploy_record_write(root, live);
}

static enum hook_exit swap(const struct deploy_root *root, int parent, const char *path,
	const struct deploy_target *old, char *why)
{
	int r = exchange(root, parent, last_part(path), old->state == DEPLOY_ABSENT);

	if (r < 0)
		return fail_at(why, path, strlen(path), r);
	put_old(root, path, old);
	return HOOK_OK;
}

static enum hook_exit publish_in(
	const struct deploy_root *root, int parent, const char *path, bool adopt, char *why)
{
	struct deploy_target old = { .state = DEPLOY_ABSENT };
	enum hook_exit code = look_in(root, parent, path, &old, why);
	int r;

	if (code != HOOK_OK)
		return code;
	if (old.state == DEPLOY_FOREIGN && !adopt)
		return deploy_fail(why, HOOK_POLICY,
			"%s has files in it that were not deployed (--adopt replaces it)", path);
	r = clear_taken_back(root, &old.live);
	if (r < 0)
		return fail_at(why, path, strlen(path), r);
	return swap(root, parent, path, &old, why);
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
		return fail_at(why, path, strlen(path), -ENOENT);
	code = publish_in(root, parent, path, adopt, why);
	close(parent);
	return code;
}

/* A second rollback takes back what the first has brought: the ban of the newest commit stays. */
static int hold(const struct deploy_root *root, const struct deploy_record *live)
{
	char held[DEPLOY_ID_SIZE];
	int r = deploy_release_held(root, live->path, held);

	return r == 0 && !*held ? deploy_release_hold(root, live->path, live->commit) : r;
}

/* All that must be on the disk before the exchange, for whoever recovers from a kill in between. */
static int prepare_rollback(
	const struct deploy_root *root, struct deploy_record *live, struct deploy_record *older)
{
	int r = deploy_release_take(root, older);

	older->post_pending = true;
	strcpy(older->previous, live->commit);
	live->taken_back = true;
	if (r == 0)
		r = deploy_record_write(root, older);
	if (r == 0)
		r = deploy_record_write(root, live);
	return r == 0 ? hold(root, live) : r;
}

static enum hook_exit roll_back_in(const struct deploy_root *root, int parent, const char *path,
	struct deploy_target *target, char *why)
{
	struct deploy_record older;
	enum hook_exit code = look_in(root, parent, path, target, why);
	int r;

	if (code != HOOK_OK)
		return code;
	if (target->state != DEPLOY_LIVE)
		return deploy_fail(why, HOOK_UNAVAILABLE, "nothing is deployed at %s", path);
	r = deploy_release_before(root, path, target->live.number, &older);
	if (r == -ENOENT)
		return deploy_fail(why, HOOK_UNAVAILABLE, "nothing older is kept for %s", path);
	if (r == 0)
		r = prepare_rollback(root, &target->live, &older);
	if (r < 0)
		return fail_at(why, path, strlen(path), r);
	code = swap(root, parent, path, target, why);
	if (code == HOOK_OK)
		target->live = older;
	return code;
}

enum hook_exit deploy_target_rollback(const struct deploy_root *root, const char *path,
	struct deploy_target *target, char why[DEPLOY_WHY_SIZE])
{
	enum hook_exit code;
	int parent = -1;

	deploy_target_recover(root);
	*target = (struct deploy_target){ .state = DEPLOY_ABSENT };
	code = open_parent(root, path, false, &parent, why);
	if (code != HOOK_OK)
		return code;
	if (parent < 0)
		return deploy_fail(why, HOOK_UNAVAILABLE, "nothing is deployed at %s", path);
	code = roll_back_in(root, parent, path, target, why);
	close(parent);
	return code;
}

/* Looks for the record of a tree among those of all paths. */
struct search {
	const struct deploy_root *root;
	struct deploy_identity tree;
	struct deploy_record record;
	bool found;
};

static void search_path(void *data, const char *path)
{
	struct search *search = data;

	if (!search->found)
		search->found =
			deploy_record_find(search->root, path, &search->tree, &search->record) == 0;
}

static bool was_live(const struct deploy_root *root, const struct deploy_record *record)
{
	char why[DEPLOY_WHY_SIZE];
	struct deploy_target target;

	if (record->taken_back)
		return true;
	return deploy_target_look(root, record->path, &target, why) == HOOK_OK &&
	       target.state == DEPLOY_LIVE && record->number < target.live.number;
}

/* A tree that was never live goes, with its record. */
static int settle_known(const struct deploy_root *root, const struct deploy_record *record)
{
	if (was_live(root, record))
		return deploy_release_put(root, record);
	deploy_root_remove(root, DEPLOY_FRESH);
	return deploy_record_remove(root, record->path, record->number);
}

static int settle_fresh(const struct deploy_root *root, int tree)
{
	struct search search = { .root = root };
	int r = deploy_record_identify(tree, &search.tree);

	if (r == 0)
		r = deploy_record_each_path(root, search_path, &search);
	if (r == 0 && search.found)
		return settle_known(root, &search.record);
	if (r == 0 && !is_empty(tree))
		r = deploy_release_put_adopted(root);
	return r;
}

void deploy_target_recover(const struct deploy_root *root)
{
	int tree = deploy_root_open_folder(root->own, DEPLOY_FRESH), r = 0;

	if (tree >= 0) {
		r = settle_fresh(root, tree);
		close(tree);
	}
	if (r < 0)
		hook_log(HOOK_LOG_WARNING, "%s/" DEPLOY_FRESH " is left alone: %s", root->own_path,
			strerror(-r));
	else
		deploy_root_sweep(root);
}
