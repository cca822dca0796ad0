/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_REGISTER_H
#define HOOKS_REGISTER_H

#include <stdbool.h>
#include <stdint.h>

#include "hooks/lib/loop.h"

enum register_check { REGISTER_CONNECT, REGISTER_LISTEN, REGISTER_EXEC };

/* How to find out whether a service is up. */
struct register_probe {
	enum register_check check;
	const char *ip;
	int port;
	const char *command; /* REGISTER_EXEC: for the shell */
	int64_t timeout;     /* ns */
};

/* Takes at most the timeout. The loop is for the child of REGISTER_EXEC. */
bool register_probe_is_up(const struct register_probe *probe, struct hook_loop *loop);

/*
 * A lease on a name in a directory: .lease is held open, and the name is there for as long.
 * fd -1: none.
 */
struct register_lease {
	int fd;
	const char *dir, *name, *data;
};

/* 0; -EEXIST: somebody else has the name; any other -errno: not known, or not possible now. */
int register_lease_take(struct register_lease *lease);

/* 1: it is held; 0: it is lost, and none now; -errno: not known, nothing has changed. */
int register_lease_check(struct register_lease *lease);

void register_lease_drop(struct register_lease *lease);

#endif
