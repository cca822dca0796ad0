/* SPDX-License-Identifier: Apache-2.0 */
/* All that comes before a tree can be published: fetch, check out, compare, sync. */
#include "hooks/deploy_prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hooks/deploy_checkout.h"
#include "hooks/deploy_target.h"

/* A repository of which a part is missing is damaged, and replaced by one that has been fetched anew. */
static enum hook_exit get_commit(const struct deploy_root *root, const struct deploy_source *source,
	const char *commit, git_repository **cachep, char *why)
{
	git_repository *cache = NULL;
	enum hook_exit code = deploy_cache_open(root, source, commit, &cache, why);

	if (code != HOOK_OK)
		return code;
	code = deploy_checkout_inspect(cache, commit, why);
	if (code == HOOK_IO) {
		git_repository_free(cache);
		cache = NULL;
		code = deploy_cache_renew(root, source, commit, &cache, why);
		if (code == HOOK_OK)
			code = deploy_checkout_inspect(cache, commit, why);
	}
	if (code == HOOK_OK)
		*cachep = cache;
	else
		git_repository_free(cache);
	return code;
}

static int write_record(int tree, const struct deploy_root *root,
	const struct deploy_config *config, const char *previous, bool post_pending)
{
	struct deploy_record record = { .post_pending = post_pending };
	long *numbers = NULL;
	size_t n = 0;
	int r = deploy_record_list(root, config->path, &numbers, &n);

	record.number = n > 0 ? numbers[0] + 1 : 1;
	free(numbers);
	strcpy(record.url, config->url);
	strcpy(record.commit, config->commit);
	strcpy(record.previous, previous);
	strcpy(record.path, config->path);
	if (r == 0)
		r = deploy_record_identify(tree, &record.tree);
	return r < 0 ? r : deploy_record_write(root, &record);
}

/* The tree gets its other name when it is whole. */
static int finish(const struct deploy_root *root, const struct deploy_config *config,
	const char *previous, bool post_pending)
{
	int tree = openat(root->own, DEPLOY_MAKING, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = tree < 0 ? -errno : write_record(tree, root, config, previous, post_pending);

	if (r == 0 && syncfs(tree) < 0)
		r = -errno;
	if (tree >= 0)
		close(tree);
	if (r == 0 && renameat(root->own, DEPLOY_MAKING, root->own, DEPLOY_FRESH) < 0)
		r = -errno;
	return r;
}

static enum hook_exit make_tree(git_repository *cache, const struct deploy_root *root,
	const struct deploy_config *config, char *why)
{
	char *path = NULL;
	enum hook_exit code;

	if (asprintf(&path, "%s/" DEPLOY_MAKING, root->own_path) < 0)
		return deploy_fail(why, HOOK_IO, "out of memory");
	code = deploy_checkout_make(cache, config->url, config->commit, path, why);
	free(path);
	return code;
}

enum hook_exit deploy_prepare(const struct deploy_root *root, const struct deploy_config *config,
	const char *ssh_key, bool post_pending, char why[DEPLOY_WHY_SIZE])
{
	struct deploy_source source = { .url = config->url, .ssh_key = ssh_key };
	git_repository *cache = NULL;
	struct deploy_target target;
	enum hook_exit code;
	int r;

	deploy_target_recover(root);
	deploy_git_init();
	code = deploy_target_look(root, config->path, &target, why);
	if (code == HOOK_OK)
		code = get_commit(root, &source, config->commit, &cache, why);
	if (code == HOOK_OK)
		code = make_tree(cache, root, config, why);
	git_repository_free(cache);
	git_libgit2_shutdown();
	r = code == HOOK_OK ? finish(root, config, target.live.commit, post_pending) : 0;
	if (r < 0)
		code = deploy_fail(why, HOOK_IO, "the tree cannot be finished: %s", strerror(-r));
	if (code != HOOK_OK)
		deploy_target_recover(root);
	return code;
}
