/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_ON_CHANGE_H
#define HOOKS_ON_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "hooks/lib/options.h"

enum on_change_initial { ON_CHANGE_IF_CHANGED, ON_CHANGE_ALWAYS, ON_CHANGE_NEVER };

struct on_change_options {
	struct hook_common common;
	const char *path;
	char **command; /* ends with NULL */
	int64_t settle, timeout;
	long retries;
	enum on_change_initial initial;
	bool restart; /* --busy restart */
	char *state;  /* owned */
};

/* 0: run; else *exitp is how to exit. What is wrong has been told. */
int on_change_options_parse(struct on_change_options *options, int argc, char **argv, int *exitp);

#endif
