/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the hosts fare that shall deploy what was pushed.
 *
 * They tell it in files of one directory, which is watched, then read. A host is done with the commit
 * once it has deployed, refused or held it, or has failed; what it was told to do before says nothing.
 * Who has been told to the pusher as done is told again only if that changes, as one that has failed
 * tries again; but nobody waits for that.
 */
#include "hooks/post_receive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hooks/deploy_status.h"
#include "hooks/lib/log.h"
#include "hooks/lib/loop.h"
#include "hooks/lib/pace.h"

/* Between two looks, as a look reads what all hosts tell; and without any event. */
#define LOOK_PERIOD (50 * HOOK_NS_PER_MS)
#define RESYNC_PERIOD (2 * HOOK_NS_PER_S)

#define SHORT_ID 7

struct host {
	struct deploy_status status; /* the last that was read */
	struct deploy_status told;   /* as done; no phase: it is not */
	bool gone;
};

struct fleet {
	const struct post_receive_map *map;
	const char *tip;
	size_t n;
	struct host *hosts;
	int error; /* that was told last */
};

static bool is_at_tip(const struct deploy_status *status, const char *tip)
{
	return strcmp(status->phase, "deployed") == 0 && strcmp(status->current, tip) == 0;
}

static bool is_done(const struct deploy_status *status, const char *tip)
{
	static const char *const ends[] = { "refused", "failed", "held" };
	bool ended = false;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		ended |= strcmp(status->phase, ends[i]) == 0;
	return is_at_tip(status, tip) || (ended && strcmp(status->desired, tip) == 0);
}

static void tell_done(struct host *host, const char *tip)
{
	const struct deploy_status *status = &host->status;
	bool good = is_at_tip(status, tip);

	if (strcmp(host->told.phase, status->phase) == 0 &&
		(good || strcmp(host->told.message, status->message) == 0))
		return;
	host->told = *status;
	hook_log(good ? HOOK_LOG_INFO : HOOK_LOG_WARNING, "%s: %s %.*s%s%s", status->host,
		status->phase, SHORT_ID, tip, good || !status->message[0] ? "" : ": ",
		good ? "" : status->message);
}

/* Of one that is not done when the time is over. */
static void tell_undone(const struct host *host, const char *tip)
{
	const struct deploy_status *status = &host->status;

	if (host->gone)
		hook_log(HOOK_LOG_WARNING, "%s: gone", status->host);
	else if (!status->phase[0])
		hook_log(HOOK_LOG_WARNING, "%s: says nothing%s%s", status->host,
			status->message[0] ? ": " : "", status->message);
	else if (strcmp(status->desired, tip) == 0)
		hook_log(HOOK_LOG_WARNING, "%s: still %s %.*s", status->host, status->phase,
			SHORT_ID, tip);
	else
		hook_log(HOOK_LOG_WARNING, "%s: says nothing of %.*s, it is %s%s%.*s", status->host,
			SHORT_ID, tip, status->phase, status->current[0] ? " at " : "", SHORT_ID,
			status->current);
}

static struct host *find(struct fleet *fleet, const char *name)
{
	struct host *hosts;

	for (size_t i = 0; i < fleet->n; i++)
		if (strcmp(fleet->hosts[i].status.host, name) == 0)
			return &fleet->hosts[i];
	hosts = reallocarray(fleet->hosts, fleet->n + 1, sizeof(*hosts));
	if (!hosts)
		return NULL;
	fleet->hosts = hosts;
	hosts[fleet->n] = (struct host){ 0 };
	return &hosts[fleet->n++];
}

/* Who was there stays in it. */
static void take(struct fleet *fleet, const struct deploy_status_list *list)
{
	for (size_t i = 0; i < fleet->n; i++)
		fleet->hosts[i].gone = true;
	for (size_t i = 0; i < list->n; i++) {
		struct host *host = find(fleet, list->hosts[i].host);

		if (!host)
			return;
		host->status = list->hosts[i];
		host->gone = false;
		if (is_done(&host->status, fleet->tip))
			tell_done(host, fleet->tip);
	}
}

/* An error says nothing about the hosts, except that there are none. */
static int look(struct fleet *fleet)
{
	struct deploy_status_list list = { 0 };
	int r = deploy_status_list_read(fleet->map->status_dir, &list);

	if (r == 0 || r == -ENOENT || r == -ENOTDIR)
		take(fleet, &list);
	else if (r != fleet->error)
		hook_log(HOOK_LOG_WARNING, "%s: %s", fleet->map->status_dir, strerror(-r));
	fleet->error = r;
	deploy_status_list_done(&list);
	return r;
}

static size_t count(const struct fleet *fleet, bool at_tip)
{
	size_t n = 0;

	for (size_t i = 0; i < fleet->n; i++)
		n += at_tip ? is_at_tip(&fleet->hosts[i].told, fleet->tip)
			    : fleet->hosts[i].told.phase[0] != '\0';
	return n;
}

/* Another push, or somebody: no host will deploy tip any more. */
static bool is_superseded(const struct fleet *fleet)
{
	char named[TIP_SIZE];

	if (post_receive_named(fleet->map->file, named) < 0 || strcmp(named, fleet->tip) == 0)
		return false;
	hook_log(HOOK_LOG_WARNING, "%s names %.*s by now", fleet->map->file, SHORT_ID, named);
	return true;
}

static bool is_over(const struct fleet *fleet)
{
	bool is_known = fleet->error == 0 || fleet->error == -ENOENT || fleet->error == -ENOTDIR;

	return (is_known && count(fleet, false) == fleet->n) || is_superseded(fleet);
}

static void follow(
	struct fleet *fleet, struct hook_loop *loop, struct hook_watch *watch, int64_t end)
{
	for (;;) {
		int64_t now;

		hook_watch_update(watch);
		look(fleet);
		now = hook_pace_now();
		if (loop->ended || now >= end || is_over(fleet))
			return;
		hook_loop_wait(loop, NULL, NULL, now + LOOK_PERIOD < end ? now + LOOK_PERIOD : end);
		if (!hook_watch_take(watch))
			hook_loop_wait(loop, watch, NULL,
				now + RESYNC_PERIOD < end ? now + RESYNC_PERIOD : end);
		hook_watch_take(watch);
	}
}

static void sum_up(const struct fleet *fleet)
{
	size_t n = count(fleet, true);

	for (size_t i = 0; i < fleet->n; i++)
		if (!fleet->hosts[i].told.phase[0])
			tell_undone(&fleet->hosts[i], fleet->tip);
	if (fleet->n == 0)
		hook_log(HOOK_LOG_WARNING, "no host tells in %s how it fares",
			fleet->map->status_dir);
	else
		hook_log(n == fleet->n ? HOOK_LOG_INFO : HOOK_LOG_WARNING,
			"%zu of %zu hosts are at %.*s", n, fleet->n, SHORT_ID, fleet->tip);
}

void post_receive_wait(const struct post_receive_map *map, const char *tip, int64_t end)
{
	struct fleet fleet = { .map = map, .tip = tip };
	struct hook_loop loop = { .signals = -1 };
	struct hook_watch *watch = NULL;
	int r = hook_watch_new(map->status_dir, &watch);

	if (r == 0)
		r = hook_loop_init(&loop);
	if (r == 0) {
		follow(&fleet, &loop, watch, end);
		sum_up(&fleet);
	} else {
		hook_log(HOOK_LOG_ERROR, "%s: %s", map->status_dir, strerror(-r));
	}
	hook_loop_done(&loop);
	hook_watch_free(watch);
	free(fleet.hosts);
}
