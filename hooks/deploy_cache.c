/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bare repository of a URL, and fetching into it.
 *
 * Most servers give a commit by its id only if it is the tip of something. So it is asked for by its
 * id, and if it has not come then, all branches and tags are fetched. Whether it has come is found out
 * by looking, never by what the fetch says: a fetch that succeeds may not bring it, and one that fails
 * because of some reference may.
 *
 * Objects come in packs that appear whole. What a fetch that was killed leaves are temporary files and
 * locks of references; they are removed first, as only who has the root's lock gets here.
 */
#include "hooks/deploy_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A name that says nothing of the URL's secrets. The caller owns it; NULL without memory. */
static char *place_of(const char *url)
{
	char id[DEPLOY_ID_SIZE], *place = NULL;
	git_oid oid;

	if (git_odb_hash(&oid, url, strlen(url), GIT_OBJECT_BLOB) < 0)
		return NULL;
	git_oid_tostr(id, sizeof(id), &oid);
	return asprintf(&place, "cache/%s.git", id) < 0 ? NULL : place;
}

static int sweep_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *name = path + ftw->base;
	size_t n = strlen(name);

	if (type == FTW_F && ((n > 5 && strcmp(name + n - 5, ".lock") == 0) ||
				     strncmp(name, "pack_git2_", 10) == 0))
		unlink(path);
	return 0;
}

/* Those of other URLs too: they may be what fills the disk. */
static void sweep(const struct deploy_root *root)
{
	char *path = NULL;

	if (asprintf(&path, "%s/cache", root->own_path) < 0)
		return;
	nftw(path, sweep_one, 64, FTW_PHYS | FTW_MOUNT);
	free(path);
}

/* 1: it is there; 0: it is not; -1: it is no commit. */
static int has_commit(git_repository *cache, const git_oid *id)
{
	git_object *object = NULL;
	bool is_commit;

	if (git_object_lookup(&object, cache, id, GIT_OBJECT_ANY) < 0)
		return 0;
	is_commit = git_object_type(object) == GIT_OBJECT_COMMIT;
	git_object_free(object);
	return is_commit ? 1 : -1;
}

/* What its references name must be there and whole: the server is told that we have it. */
static bool are_references_sound(git_repository *cache)
{
	git_reference_iterator *references = NULL;
	git_reference *reference;
	bool sound = git_reference_iterator_new(&references, cache) == 0;

	while (sound && git_reference_next(&reference, references) == 0) {
		const git_oid *id = git_reference_target(reference);
		git_object *object = NULL;

		sound = !id || git_object_lookup(&object, cache, id, GIT_OBJECT_ANY) == 0;
		git_object_free(object);
		git_reference_free(reference);
	}
	git_reference_iterator_free(references);
	return sound;
}

/* Where the commit is there, nothing is fetched: whether all of it is there is seen later. */
static bool is_sound(git_repository *cache, const char *commit)
{
	git_config *config = NULL;
	bool sound = git_repository_config_snapshot(&config, cache) == 0;
	git_oid id;

	git_config_free(config);
	git_oid_fromstr(&id, commit);
	return sound && (has_commit(cache, &id) || are_references_sound(cache));
}

static char *path_of(const struct deploy_root *root, const char *place)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", root->own_path, place) < 0 ? NULL : path;
}

/* NULL: there is none that could be used. */
static git_repository *open_sound(
	const struct deploy_root *root, const char *place, const char *commit)
{
	git_repository *cache = NULL;
	char *path = path_of(root, place);

	if (path && git_repository_open_bare(&cache, path) == 0 && !is_sound(cache, commit)) {
		git_repository_free(cache);
		cache = NULL;
	}
	free(path);
	return cache;
}

static enum hook_exit make(
	const struct deploy_root *root, const char *place, git_repository **cachep, char *why)
{
	git_repository_init_options options;
	char *path = path_of(root, place);
	enum hook_exit code = HOOK_OK;

	git_repository_init_options_init(&options, GIT_REPOSITORY_INIT_OPTIONS_VERSION);
	options.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKDIR;
	if (!path || git_repository_init_ext(cachep, path, &options) < 0)
		code = deploy_git_fail(why, HOOK_IO, "the bare repository cannot be made");
	free(path);
	return code;
}

/* How often the server has asked: it asks again if it does not like the answer. */
struct credentials {
	const char *ssh_key;
	int asked;
};

static int give_credential(
	git_credential **credential, const char *url, const char *user, unsigned types, void *data)
{
	struct credentials *credentials = data;

	if (credentials->asked++ > 1)
		return GIT_EAUTH;
	if (!user)
		user = "git";
	if (types & GIT_CREDENTIAL_USERNAME)
		return git_credential_username_new(credential, user);
	if (!(types & GIT_CREDENTIAL_SSH_KEY))
		return GIT_EAUTH;
	if (credentials->ssh_key)
		return git_credential_ssh_key_new(
			credential, user, NULL, credentials->ssh_key, NULL);
	return git_credential_ssh_key_from_agent(credential, user);
}

static int show_progress(const git_indexer_progress *progress, void *data)
{
	deploy_git_show_progress("fetching", progress->received_objects, progress->total_objects);
	return 0;
}

/* A connection of its own each time: a server that does not know an id hangs up. */
static int fetch(git_repository *cache, const struct deploy_source *source, char *specs[], size_t n)
{
	struct credentials credentials = { .ssh_key = source->ssh_key };
	git_fetch_options options;
	git_strarray refspecs = { specs, n };
	git_remote *remote = NULL;
	int r = git_remote_create_anonymous(&remote, cache, source->url);

	git_fetch_options_init(&options, GIT_FETCH_OPTIONS_VERSION);
	options.callbacks.credentials = give_credential;
	options.callbacks.transfer_progress = show_progress;
	options.callbacks.payload = &credentials;
	options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
	options.update_fetchhead = 0;
	options.follow_redirects = GIT_REMOTE_REDIRECT_NONE; /* to other hosts, that is */
	if (r == 0)
		r = git_remote_fetch(remote, &refspecs, &options, NULL);
	git_remote_free(remote);
	deploy_git_end_progress();
	return r;
}

/* The message of a fetch that failed is better than that the commit is not there. */
static enum hook_exit fetch_commit(git_repository *cache, const struct deploy_source *source,
	const git_oid *id, const char *commit, char *why)
{
	char spec[2 * DEPLOY_ID_SIZE + 16];
	char *by_id[] = { spec };
	char *all[] = { "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*" };
	enum hook_exit code = HOOK_OK;

	snprintf(spec, sizeof(spec), "%s:refs/zkfs/%s", commit, commit);
	if (fetch(cache, source, by_id, 1) < 0)
		code = deploy_git_fail(why, HOOK_UNAVAILABLE, "it cannot be fetched");
	if (has_commit(cache, id))
		return HOOK_OK;
	if (code == HOOK_IO)
		return code;
	code = deploy_fail(
		why, HOOK_UNAVAILABLE, "there is no commit %s in %s", commit, source->url);
	if (fetch(cache, source, all, 2) < 0)
		code = deploy_git_fail(why, HOOK_UNAVAILABLE, "it cannot be fetched");
	return has_commit(cache, id) ? HOOK_OK : code;
}

static enum hook_exit provide(
	git_repository *cache, const struct deploy_source *source, const char *commit, char *why)
{
	enum hook_exit code = HOOK_OK;
	git_oid id;

	git_oid_fromstr(&id, commit);
	if (!has_commit(cache, &id))
		code = fetch_commit(cache, source, &id, commit, why);
	if (code == HOOK_OK && has_commit(cache, &id) < 0)
		return deploy_fail(why, HOOK_DATA, "%s is not the id of a commit", commit);
	return code;
}

static bool exists(const struct deploy_root *root, const char *place)
{
	return faccessat(root->own, place, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The old one goes when the new one is whole: trees borrow from it. */
static enum hook_exit replace(const struct deploy_root *root, const char *place, char *why)
{
	if (renameat2(root->own, DEPLOY_CACHE_MAKING, root->own, place,
		    exists(root, place) ? RENAME_EXCHANGE : RENAME_NOREPLACE) < 0)
		return deploy_fail(why, HOOK_IO, "%s: %s", place, strerror(errno));
	deploy_root_remove(root, DEPLOY_CACHE_MAKING);
	return HOOK_OK;
}

static enum hook_exit renew(const struct deploy_root *root, const char *place,
	const struct deploy_source *source, const char *commit, git_repository **cachep, char *why)
{
	git_repository *cache = NULL;
	enum hook_exit code = make(root, DEPLOY_CACHE_MAKING, &cache, why);

	if (code == HOOK_OK)
		code = provide(cache, source, commit, why);
	git_repository_free(cache);
	if (code == HOOK_OK)
		code = replace(root, place, why);
	if (code != HOOK_OK)
		return code;
	cache = open_sound(root, place, commit);
	if (!cache)
		return deploy_git_fail(why, HOOK_IO, "the bare repository cannot be opened");
	*cachep = cache;
	return HOOK_OK;
}

/* The first time there is nothing to be lost: what has been fetched stays, whatever comes then. */
static enum hook_exit open_or_make(const struct deploy_root *root, const char *place,
	const char *commit, git_repository **cachep, char *why)
{
	if (!exists(root, place))
		return make(root, place, cachep, why);
	*cachep = open_sound(root, place, commit);
	return HOOK_OK;
}

static enum hook_exit open_at(const struct deploy_root *root, const char *place,
	const struct deploy_source *source, const char *commit, git_repository **cachep, char *why)
{
	git_repository *cache = NULL;
	enum hook_exit code = open_or_make(root, place, commit, &cache, why);

	if (code == HOOK_OK && !cache)
		return renew(root, place, source, commit, cachep, why);
	if (code == HOOK_OK)
		code = provide(cache, source, commit, why);
	if (code == HOOK_OK)
		*cachep = cache;
	else
		git_repository_free(cache);
	return code;
}

enum hook_exit deploy_cache_open(const struct deploy_root *root, const struct deploy_source *source,
	const char *commit, git_repository **cachep, char why[DEPLOY_WHY_SIZE])
{
	char *place = place_of(source->url);
	enum hook_exit code;

	if (!place)
		return deploy_fail(why, HOOK_IO, "out of memory");
	signal(SIGPIPE, SIG_IGN); /* libgit2 writes to servers that have hung up */
	sweep(root);
	code = open_at(root, place, source, commit, cachep, why);
	free(place);
	return code;
}

enum hook_exit deploy_cache_renew(const struct deploy_root *root,
	const struct deploy_source *source, const char *commit, git_repository **cachep,
	char why[DEPLOY_WHY_SIZE])
{
	char *place = place_of(source->url);
	enum hook_exit code;

	if (!place)
		return deploy_fail(why, HOOK_IO, "out of memory");
	code = renew(root, place, source, commit, cachep, why);
	free(place);
	return code;
}
