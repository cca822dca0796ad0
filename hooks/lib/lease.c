/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases by the file .lease, which knows for each open file which names it holds. So what is ours is
 * what our open file says is ours, and never a file that merely has our name.
 */
#include "hooks/lib/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int write_line(const struct hook_lease *lease)
{
	char *line = NULL;
	int n = asprintf(&line, "-- %s %s", lease->name, lease->data), r = 0;

	if (n < 0)
		return -ENOMEM;
	if (write(lease->fd, line, (size_t)n) != n)
		r = errno ? -errno : -EIO;
	free(line);
	return r;
}

int hook_lease_take(struct hook_lease *lease)
{
	char *path = NULL;
	int r;

	if (asprintf(&path, "%s/%s", lease->dir, lease->special) < 0)
		return -ENOMEM;
	lease->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	free(path);
	if (lease->fd < 0)
		return -errno;
	errno = 0;
	r = write_line(lease);
	if (r < 0)
		hook_lease_drop(lease);
	return r;
}

/* A line of names that is just that name. */
static bool lists(const char *names, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = names; *line; line += strcspn(line, "\n")) {
		line += *line == '\n';
		if (strncmp(line, name, n) == 0 && (line[n] == '\n' || line[n] == '\0'))
			return true;
	}
	return false;
}

/* Of a file on a mount whose daemon has died. It stays so: a mount that is made anew is another. */
static bool is_dead(int error)
{
	return error == ENOTCONN || error == ECONNABORTED || error == ENODEV;
}

int hook_lease_check(struct hook_lease *lease)
{
	char names[4096];
	size_t size = 0;
	ssize_t n;

	do {
		n = read(lease->fd, names + size, sizeof(names) - 1 - size);
		if (n < 0 && is_dead(errno))
			break;
		if (n < 0)
			return -errno;
		size += (size_t)n;
	} while (n > 0 && size < sizeof(names) - 1);
	names[size] = '\0';
	if (lists(names, lease->name))
		return 1;
	hook_lease_drop(lease);
	return 0;
}

void hook_lease_drop(struct hook_lease *lease)
{
	if (lease->fd >= 0)
		close(lease->fd);
	lease->fd = -1;
}
