/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to look at what is followed.
 *
 * An event is a hint: on a plain directory a writer truncates, then writes, and each is an event. So
 * one looks when it has been quiet for a while, but not later than ten times that. Without events
 * one looks every minute, spread, so that a thousand hosts do not look at the same time.
 */
#include "hooks/lib/pace.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "hooks/lib/options.h"

#define RESYNC_MIN (48 * HOOK_NS_PER_S)
#define RESYNC_SPREAD (24 * HOOK_NS_PER_S)
#define BACKOFF_MAX (60 * HOOK_NS_PER_S)

int64_t hook_pace_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * HOOK_NS_PER_S + now.tv_nsec;
}

int64_t hook_pace_backoff(unsigned n)
{
	return n < 6 ? HOOK_NS_PER_S << n : BACKOFF_MAX;
}

static int64_t resync(void)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = (uint64_t)hook_pace_now();
	return RESYNC_MIN + (int64_t)(random % (uint64_t)RESYNC_SPREAD);
}

void hook_pace_init(struct hook_pace *pace, int64_t settle, int64_t now)
{
	*pace = (struct hook_pace){ .settle = settle, .due = now, .limit = INT64_MAX };
}

void hook_pace_touched(struct hook_pace *pace, int64_t now)
{
	if (pace->limit == INT64_MAX)
		pace->limit = now + 10 * pace->settle;
	pace->due = now + pace->settle < pace->limit ? now + pace->settle : pace->limit;
}

bool hook_pace_is_touched(const struct hook_pace *pace)
{
	return pace->limit != INT64_MAX;
}

void hook_pace_looked(struct hook_pace *pace, int64_t now, bool failed)
{
	pace->limit = INT64_MAX;
	pace->due = now + (failed ? hook_pace_backoff(pace->failures) : resync());
	pace->failures = failed ? pace->failures + 1 : 0;
}
