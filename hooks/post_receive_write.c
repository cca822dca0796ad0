/* SPDX-License-Identifier: Apache-2.0 */
/* The two ends of zkfs-post-receive: the tip of a ref, and the file that shall name it. */
#include "hooks/post_receive.h"

#include <errno.h>
#include <fcntl.h>
#include <git2.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int from_git(int r)
{
	return r == GIT_ENOTFOUND ? -ENOENT : r < 0 ? -EIO : 0;
}

static int find_tip(git_repository *repo, const char *ref, char tip[TIP_SIZE])
{
	git_reference *reference = NULL;
	git_object *commit = NULL;
	int r = from_git(git_reference_lookup(&reference, repo, ref));

	if (r == 0 && git_reference_peel(&commit, reference, GIT_OBJECT_COMMIT) < 0)
		r = -EIO;
	if (r == 0)
		git_oid_tostr(tip, TIP_SIZE, git_object_id(commit));
	git_object_free(commit);
	git_reference_free(reference);
	return r;
}

/* git itself runs us in this repository, whoever owns it: the check of the owner is not ours. */
int post_receive_tip(const char *ref, char tip[TIP_SIZE])
{
	git_repository *repo = NULL;
	int r;

	git_libgit2_init();
	git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
	r = git_repository_open_ext(&repo, NULL, GIT_REPOSITORY_OPEN_FROM_ENV, NULL) < 0 ? -EIO : 0;
	if (r == 0)
		r = find_tip(repo, ref, tip);
	git_repository_free(repo);
	git_libgit2_shutdown();
	return r;
}

static int read_object(int fd, json_t **objectp)
{
	json_error_t error;
	json_t *object;

	errno = 0;
	object = json_loadfd(fd, JSON_REJECT_DUPLICATES, &error);
	if (!object) /* jansson takes an error of read(2) for the end */
		return errno ? -errno : -EBADMSG;
	if (!json_is_object(object)) {
		json_decref(object);
		return -EBADMSG;
	}
	*objectp = object;
	return 0;
}

/* One write of all of it, in place. */
static int write_object(int fd, const json_t *object)
{
	char *text = json_dumps(object, 0);
	size_t size = text ? strlen(text) : 0;
	ssize_t n;
	int r = 0;

	if (!text)
		return -ENOMEM;
	text[size] = '\n'; /* in the place of the NUL */
	n = pwrite(fd, text, size + 1, 0);
	if (n < 0 || (size_t)n != size + 1)
		r = n < 0 ? -errno : -EIO;
	if (r == 0 && ftruncate(fd, n) < 0)
		r = -errno;
	free(text);
	return r;
}

static int update(int fd, const char *tip)
{
	json_t *object = NULL;
	const char *now;
	int r = read_object(fd, &object);

	if (r < 0)
		return r;
	now = json_string_value(json_object_get(object, "commitId"));
	if (!now || strcmp(now, tip) != 0) {
		r = json_object_set_new(object, "commitId", json_string(tip)) < 0 ? -ENOMEM : 0;
		if (r == 0)
			r = write_object(fd, object);
	}
	json_decref(object);
	return r;
}

int post_receive_write(const char *file, const char *tip)
{
	int fd = open(file, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r;

	if (fd < 0)
		return -errno;
	r = update(fd, tip);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	return r;
}

int post_receive_named(const char *file, char commit[TIP_SIZE])
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r;
	json_t *object = NULL;
	const char *named;

	if (fd < 0)
		return -errno;
	r = read_object(fd, &object);
	close(fd);
	named = json_string_value(json_object_get(object, "commitId"));
	if (r == 0 && (!named || strlen(named) >= TIP_SIZE))
		r = -EBADMSG;
	if (r == 0)
		strcpy(commit, named);
	json_decref(object);
	return r;
}
