/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_REGISTER_H
#define HOOKS_REGISTER_H

#include <stdbool.h>
#include <stdint.h>

#include "hooks/lib/lease.h"
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

#endif
