/* SPDX-License-Identifier: Apache-2.0 */
/* What fetching and checking out have in common: libgit2's settings, its errors, the progress. */
#include "hooks/deploy_git.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks/lib/pace.h"

#define CERTIFICATES "/etc/ssl/certs/ca-certificates.crt"

/* insteadOf in a user's configuration would turn an allowed URL into another. */
static void forget_configurations(void)
{
	static const int levels[] = { GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
		GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL };

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "");
}

/* A repository that is named by a file: URL may belong to its own user; that it is named is enough. */
void deploy_git_init(void)
{
	const char *certificates = getenv("SSL_CERT_FILE");

	git_libgit2_init();
	forget_configurations();
	git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
	git_libgit2_opts(GIT_OPT_SET_TEMPLATE_PATH, "");
	git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
	if (!certificates && access(CERTIFICATES, R_OK) == 0)
		certificates = CERTIFICATES;
	if (certificates)
		git_libgit2_opts(GIT_OPT_SET_SSL_CERT_LOCATIONS, certificates, NULL);
}

/* libgit2 keeps no errno, but its text ends with the one that strerror gives. */
static bool is_of_the_disk(const char *message)
{
	static const int errors[] = { ENOSPC, EDQUOT, EROFS, EIO, EMFILE, EFBIG };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strstr(message, strerror(errors[i])))
			return true;
	return false;
}

enum hook_exit deploy_git_fail(char why[DEPLOY_WHY_SIZE], enum hook_exit code, const char *what)
{
	const git_error *error = git_error_last();
	const char *message = error && error->message ? error->message : "no reason is known";

	if (is_of_the_disk(message))
		code = HOOK_IO;
	return deploy_fail(why, code, "%s: %s", what, message);
}

void deploy_git_show_progress(const char *label, size_t done, size_t total)
{
	static int64_t next;
	int64_t now = hook_pace_now();

	if (now < next || total == 0 || !isatty(STDERR_FILENO))
		return;
	next = now + HOOK_NS_PER_S / 10;
	fprintf(stderr, "\r\033[K%s: %zu %% (%zu of %zu)", label, 100 * done / total, done, total);
}

void deploy_git_end_progress(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}
