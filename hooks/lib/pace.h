/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_LIB_PACE_H
#define HOOKS_LIB_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* When to look at what is followed. All times are in nanoseconds, on the monotonic clock. */
struct hook_pace {
	int64_t settle;    /* how long it must be quiet */
	int64_t due;       /* look then */
	int64_t limit;     /* it is being changed: look no later, INT64_MAX when it is quiet */
	unsigned failures; /* looks in a row that failed */
};

/* The first look is due at once. */
void hook_pace_init(struct hook_pace *pace, int64_t settle, int64_t now);

/* Something happened: look once it is quiet, or has gone on for ten times as long. */
void hook_pace_touched(struct hook_pace *pace, int64_t now);

/* Whether a look is due because something happened. */
bool hook_pace_is_touched(const struct hook_pace *pace);

/* A look is done: the next after a resync of 60 s ± 20 %, or sooner where it failed. */
void hook_pace_looked(struct hook_pace *pace, int64_t now, bool failed);

/* 1 s, 2 s, 4 s … at most 60 s, for the nth try again (from 0). */
int64_t hook_pace_backoff(unsigned n);

int64_t hook_pace_now(void);

#endif
