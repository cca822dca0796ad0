/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_LIB_LEASE_H
#define HOOKS_LIB_LEASE_H

/*
 * A lease on a name in a directory: .lease is held open, and the name is there for as long. Or the
 * same by .ephemeral: then the name stays until the mount goes. fd -1: none.
 */
struct hook_lease {
	int fd;
	const char *special; /* ".lease" or ".ephemeral" */
	const char *dir, *name, *data;
};

/* 0; -EEXIST: somebody else has the name; any other -errno: not known, or not possible now. */
int hook_lease_take(struct hook_lease *lease);

/* 1: it is held; 0: it is lost, and none now; -errno: not known, nothing has changed. */
int hook_lease_check(struct hook_lease *lease);

void hook_lease_drop(struct hook_lease *lease);

#endif
