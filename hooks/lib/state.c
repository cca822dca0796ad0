/* SPDX-License-Identifier: Apache-2.0 */
/* The place on disk that belongs to one hook with one command line, and to one process at a time. */
#include "hooks/lib/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "hooks/lib/file.h"

/* FNV-1a. The NUL counts: "ab", "c" is not "a", "bc". */
uint64_t hook_state_hash(const char *const keys[])
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *keys; keys++)
		for (const char *p = *keys;; p++) {
			h = (h ^ (unsigned char)*p) * 0x100000001b3;
			if (!*p)
				break;
		}
	return h;
}

static int find_folder(char **folderp)
{
	const char *given = getenv("STATE_DIRECTORY"), *xdg = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	int n;

	if (given && *given)
		n = asprintf(folderp, "%.*s", (int)strcspn(given, ":"), given);
	else if (xdg && *xdg)
		n = asprintf(folderp, "%s/zkfs", xdg);
	else if (home && *home)
		n = asprintf(folderp, "%s/.local/state/zkfs", home);
	else
		return -ENOENT;
	return n < 0 ? -ENOMEM : 0;
}

int hook_state_path(const char *name, const char *const keys[], char **pathp)
{
	char *folder = NULL;
	int r = find_folder(&folder);

	if (r < 0)
		return r;
	r = hook_file_make_dirs(folder);
	if (r == 0 && asprintf(pathp, "%s/%s-%016llx", folder, name,
			      (unsigned long long)hook_state_hash(keys)) < 0)
		r = -ENOMEM;
	free(folder);
	return r;
}

int hook_state_lock(const char *path, int *fdp)
{
	char *name = NULL;
	int fd, r = 0;

	if (asprintf(&name, "%s.lock", path) < 0)
		return -ENOMEM;
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	free(name);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (r < 0)
		close(fd);
	else
		*fdp = fd;
	return r;
}
