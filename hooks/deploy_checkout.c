/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a commit to a work tree that has been compared with it.
 *
 * A file is right if its bytes are those of the commit, or are once git's filters have been applied
 * to them, as by .gitattributes (line ends). libgit2's own idea of what is clean trusts the index,
 * which it has just written itself.
 */
#include "hooks/deploy_checkout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hooks/lib/file.h"

#define LFS_MAGIC "version https://git-lfs.github.com/spec/"
#define LFS_POINTER_MAX 1024

/* A walk through the tree of a commit; it ends with the first thing that is wrong. */
struct walk {
	git_repository *repo;
	git_odb *odb;     /* its objects */
	const char *path; /* of the work tree */
	char *why;
	enum hook_exit code;
};

/* 1: it is one; 0: it is none; negative: the object cannot be had. Only small ones are read. */
static int is_lfs_pointer(git_odb *odb, const git_oid *id)
{
	size_t size, n = strlen(LFS_MAGIC);
	git_odb_object *object = NULL;
	git_object_t type;
	int r = git_odb_read_header(&size, &type, odb, id);

	if (r < 0 || size < n || size > LFS_POINTER_MAX)
		return r < 0 ? r : 0;
	r = git_odb_read(&object, odb, id);
	if (r == 0)
		r = memcmp(git_odb_object_data(object), LFS_MAGIC, n) == 0;
	git_odb_object_free(object);
	return r;
}

static enum hook_exit inspect_blob(
	struct walk *walk, const char *folder, const git_tree_entry *entry)
{
	int r = is_lfs_pointer(walk->odb, git_tree_entry_id(entry));

	if (r < 0)
		return deploy_git_fail(walk->why, HOOK_IO, git_tree_entry_name(entry));
	if (r > 0)
		return deploy_fail(walk->why, HOOK_DATA,
			"%s%s is in Git LFS, which is not supported", folder,
			git_tree_entry_name(entry));
	return HOOK_OK;
}

static int by_name(const void *a, const void *b)
{
	const git_tree_entry *const *one = a, *const *two = b;

	return strcmp(git_tree_entry_name(*one), git_tree_entry_name(*two));
}

/* git itself makes no tree in which a name is twice: a link could stand for a folder. */
static bool has_a_name_twice(const git_tree *tree)
{
	size_t n = git_tree_entrycount(tree);
	const git_tree_entry **entries = calloc(n + 1, sizeof(*entries));
	bool twice = !entries;

	for (size_t i = 0; entries && i < n; i++)
		entries[i] = git_tree_entry_byindex(tree, i);
	if (entries && n > 0)
		qsort(entries, n, sizeof(*entries), by_name);
	for (size_t i = 1; entries && i < n; i++)
		twice |= by_name(&entries[i - 1], &entries[i]) == 0;
	free(entries);
	return twice;
}

static enum hook_exit inspect_names(struct walk *walk, const char *folder, const git_tree *tree)
{
	size_t n = git_tree_entrycount(tree);

	for (size_t i = 0; i < n; i++) {
		const char *name = git_tree_entry_name(git_tree_entry_byindex(tree, i));

		if (!deploy_is_name(name, strlen(name)))
			return deploy_fail(walk->why, HOOK_DATA,
				"%s has a file that is called '%s'", folder, name);
	}
	if (has_a_name_twice(tree))
		return deploy_fail(walk->why, HOOK_DATA, "%s has a name twice", folder);
	return HOOK_OK;
}

static enum hook_exit inspect_folder(
	struct walk *walk, const char *folder, const git_tree_entry *entry)
{
	git_tree *tree = NULL;
	enum hook_exit code;
	char *path = NULL;

	if (git_tree_lookup(&tree, walk->repo, git_tree_entry_id(entry)) < 0)
		return deploy_git_fail(walk->why, HOOK_IO, git_tree_entry_name(entry));
	if (asprintf(&path, "%s%s", folder, git_tree_entry_name(entry)) < 0)
		path = NULL;
	code = inspect_names(walk, path ? path : "", tree);
	free(path);
	git_tree_free(tree);
	return code;
}

static int inspect_entry(const char *folder, const git_tree_entry *entry, void *data)
{
	struct walk *walk = data;

	switch (git_tree_entry_type(entry)) {
	case GIT_OBJECT_COMMIT:
		walk->code = deploy_fail(walk->why, HOOK_DATA,
			"%s%s is a submodule, which is not supported", folder,
			git_tree_entry_name(entry));
		break;
	case GIT_OBJECT_BLOB:
		walk->code = inspect_blob(walk, folder, entry);
		break;
	default:
		walk->code = inspect_folder(walk, folder, entry);
	}
	return walk->code == HOOK_OK ? 0 : -1;
}

static enum hook_exit walk_tree(struct walk *walk, git_tree *tree, git_treewalk_cb visit)
{
	int r = git_tree_walk(tree, GIT_TREEWALK_PRE, visit, walk);

	if (r < 0 && walk->code == HOOK_OK)
		walk->code = deploy_git_fail(walk->why, HOOK_IO, "part of the commit is missing");
	return walk->code;
}

static int lookup(git_repository *repo, const char *id, git_commit **commitp, git_tree **treep)
{
	git_oid oid;

	if (git_oid_fromstr(&oid, id) < 0 || git_commit_lookup(commitp, repo, &oid) < 0)
		return -1;
	if (git_commit_tree(treep, *commitp) == 0)
		return 0;
	git_commit_free(*commitp);
	return -1;
}

enum hook_exit deploy_checkout_inspect(
	git_repository *cache, const char *commit, char why[DEPLOY_WHY_SIZE])
{
	struct walk walk = { .repo = cache, .why = why };
	git_commit *object;
	git_tree *tree;

	if (lookup(cache, commit, &object, &tree) < 0)
		return deploy_git_fail(why, HOOK_IO, "part of the commit is missing");
	if (git_repository_odb(&walk.odb, cache) < 0)
		walk.code = deploy_git_fail(why, HOOK_IO, "the objects cannot be read");
	else
		walk.code = inspect_names(&walk, "the commit", tree);
	if (walk.code == HOOK_OK)
		walk_tree(&walk, tree, inspect_entry);
	git_odb_free(walk.odb);
	git_tree_free(tree);
	git_commit_free(object);
	return walk.code;
}

static bool has_id(int r, const git_oid *id, const git_tree_entry *entry)
{
	return r == 0 && git_oid_equal(id, git_tree_entry_id(entry));
}

static bool is_right_file(struct walk *walk, const char *path, const git_tree_entry *entry)
{
	bool executable = git_tree_entry_filemode(entry) == GIT_FILEMODE_BLOB_EXECUTABLE;
	struct stat st;
	git_oid id;

	if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
		executable != ((st.st_mode & S_IXUSR) != 0))
		return false;
	return has_id(git_odb_hashfile(&id, path, GIT_OBJECT_BLOB), &id, entry) ||
	       has_id(git_repository_hashfile(&id, walk->repo, path, GIT_OBJECT_BLOB, NULL), &id,
		       entry);
}

static bool is_right_link(const char *path, const git_tree_entry *entry)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target));
	git_oid id;

	return n >= 0 && has_id(git_odb_hash(&id, target, (size_t)n, GIT_OBJECT_BLOB), &id, entry);
}

static bool is_right(struct walk *walk, const char *path, const git_tree_entry *entry)
{
	struct stat st;

	switch (git_tree_entry_filemode(entry)) {
	case GIT_FILEMODE_TREE:
		return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
	case GIT_FILEMODE_LINK:
		return is_right_link(path, entry);
	default:
		return is_right_file(walk, path, entry);
	}
}

static int verify_entry(const char *folder, const git_tree_entry *entry, void *data)
{
	struct walk *walk = data;
	char *path = NULL;

	if (asprintf(&path, "%s/%s%s", walk->path, folder, git_tree_entry_name(entry)) < 0)
		walk->code = deploy_fail(walk->why, HOOK_IO, "out of memory");
	else if (!is_right(walk, path, entry))
		walk->code = deploy_fail(walk->why, HOOK_DATA, "%s%s is not as in the commit",
			folder, git_tree_entry_name(entry));
	free(path);
	return walk->code == HOOK_OK ? 0 : -1;
}

/* Before the repository is opened again: it looks for its objects then. */
static int borrow_objects(git_repository *cache, const char *path)
{
	char *file = NULL, *objects = NULL;
	int r = -ENOMEM;

	if (asprintf(&file, "%s/.git/objects/info/alternates", path) < 0)
		file = NULL;
	if (asprintf(&objects, "%sobjects\n", git_repository_path(cache)) < 0)
		objects = NULL;
	if (file && objects)
		r = hook_file_replace(file, objects, strlen(objects), 0644);
	free(objects);
	free(file);
	return r;
}

static int init(git_repository *cache, const char *path, git_repository **repop)
{
	git_repository *repo = NULL;
	int r = git_repository_init(&repo, path, 0);

	git_repository_free(repo);
	if (r == 0 && borrow_objects(cache, path) < 0)
		r = -1;
	return r < 0 ? r : git_repository_open(repop, path);
}

static void show_progress(const char *path, size_t done, size_t total, void *data)
{
	deploy_git_show_progress("checking out", done, total);
}

/* Into a fresh folder: in place it would follow symbolic links out of it, and remove files. */
static int check_out(git_repository *repo, const char *url, git_commit *commit)
{
	git_checkout_options options;
	git_remote *origin = NULL;
	int r;

	git_checkout_options_init(&options, GIT_CHECKOUT_OPTIONS_VERSION);
	options.checkout_strategy = GIT_CHECKOUT_FORCE;
	options.progress_cb = show_progress;
	r = git_checkout_tree(repo, (git_object *)commit, &options);
	deploy_git_end_progress();
	if (r == 0)
		r = git_repository_set_head_detached(repo, git_commit_id(commit));
	if (r == 0)
		r = git_remote_create(&origin, repo, "origin", url);
	git_remote_free(origin);
	return r;
}

static enum hook_exit make_in(
	git_repository *repo, const char *url, const char *commit, const char *path, char *why)
{
	struct walk walk = { .repo = repo, .path = path, .why = why };
	git_commit *object;
	git_tree *tree;

	if (lookup(repo, commit, &object, &tree) < 0)
		return deploy_git_fail(why, HOOK_IO, "the commit cannot be read");
	if (check_out(repo, url, object) < 0)
		walk.code = deploy_git_fail(why, HOOK_IO, "it cannot be checked out");
	else
		walk_tree(&walk, tree, verify_entry);
	git_tree_free(tree);
	git_commit_free(object);
	return walk.code;
}

enum hook_exit deploy_checkout_make(git_repository *cache, const char *url, const char *commit,
	const char *path, char why[DEPLOY_WHY_SIZE])
{
	git_repository *repo = NULL;
	enum hook_exit code;

	if (init(cache, path, &repo) < 0)
		return deploy_git_fail(why, HOOK_IO, "the tree cannot be made");
	code = make_in(repo, url, commit, path, why);
	git_repository_free(repo);
	return code;
}
