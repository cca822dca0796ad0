/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zkfs-discover: prints where the instances of a service are.
 *
 * A list is fresh when the directory could be read whole. When it could not, or has suspiciously few
 * entries (--min), the last list that was fresh is served from the cache file, whose mtime tells when
 * that was, and the exit code says so. With --watch inotify says when to read again; without, each
 * call reads, which on a mount costs ZooKeeper nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "hooks/lib/file.h"
#include "hooks/lib/log.h"
#include "hooks/lib/loop.h"
#include "hooks/lib/options.h"
#include "hooks/lib/pace.h"
#include "hooks/service.h"

#define SETTLE (20 * HOOK_NS_PER_MS)

struct discover {
	struct hook_common common;
	const char *dir, *cache;
	bool watch, json;
	int64_t max_stale; /* ns */
	long min;
	struct service_list list; /* printed last */
	bool printed;
	int exit_code; /* for what was printed last */
};

enum { OPT_WATCH = 256, OPT_FORMAT, OPT_CACHE, OPT_MAX_STALE, OPT_MIN };

static const struct option table[] = {
	{ "watch", no_argument, NULL, OPT_WATCH },
	{ "format", required_argument, NULL, OPT_FORMAT },
	{ "cache", required_argument, NULL, OPT_CACHE },
	{ "max-stale", required_argument, NULL, OPT_MAX_STALE },
	{ "min", required_argument, NULL, OPT_MIN },
	HOOK_COMMON_OPTIONS,
	{ 0 },
};

static const char help[] =
	"usage: zkfs-discover DIR [OPTIONS]\n"
	"\n"
	"Prints ip:port of each instance that has a file in DIR, one a line.\n"
	"\n"
	"      --watch            go on, and print the list again whenever it changes\n"
	"      --format F         lines or json (lines)\n"
	"      --cache FILE       keep the last list in FILE, and serve it when DIR cannot be "
	"read\n"
	"      --max-stale S      how old the list may be that is served from FILE (86400)\n"
	"      --min N            a list with fewer entries is not believed (0)\n" HOOK_COMMON_HELP;

static int take_format(struct discover *discover)
{
	discover->json = strcmp(optarg, "json") == 0;
	if (discover->json || strcmp(optarg, "lines") == 0)
		return 0;
	hook_log(HOOK_LOG_ERROR, "--format is lines or json, not '%s'", optarg);
	return -EINVAL;
}

static int take(struct discover *discover, int option)
{
	switch (option) {
	case OPT_WATCH:
		discover->watch = true;
		return 0;
	case OPT_FORMAT:
		return take_format(discover);
	case OPT_CACHE:
		discover->cache = optarg;
		return 0;
	case OPT_MAX_STALE:
		return hook_parse_seconds("--max-stale", optarg, &discover->max_stale);
	case OPT_MIN:
		return hook_parse_number("--min", optarg, 0, 1000000, &discover->min);
	}
	return -EINVAL;
}

/* 0: run; else *exitp is how to exit. */
static int parse(struct discover *discover, int argc, char **argv, int *exitp)
{
	enum hook_taken taken = HOOK_TAKEN;
	int option;

	*exitp = HOOK_USAGE;
	while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		if (option >= OPT_WATCH)
			taken = take(discover, option) < 0 ? HOOK_TAKEN_BAD : HOOK_TAKEN;
		else
			taken = hook_common_take(&discover->common, option, help);
		if (taken == HOOK_TAKEN_END)
			*exitp = HOOK_OK;
		if (taken != HOOK_TAKEN)
			return -EINVAL;
	}
	if (argc - optind != 1) {
		hook_log(HOOK_LOG_ERROR, "one DIR is needed; see --help");
		return -EINVAL;
	}
	discover->dir = argv[optind];
	return 0;
}

/* Since it was last known to be right, in ns; negative when there is no list. */
static int64_t cache_age(const struct discover *discover)
{
	struct timespec now;
	struct stat st;
	int64_t age;

	if (stat(discover->cache, &st) < 0)
		return -1;
	clock_gettime(CLOCK_REALTIME, &now);
	age = (now.tv_sec - st.st_mtim.tv_sec) * HOOK_NS_PER_S + now.tv_nsec - st.st_mtim.tv_nsec;
	return age < 0 ? 0 : age;
}

static int read_cache(const struct discover *discover, struct service_list *list)
{
	struct hook_bytes bytes = { 0 };
	int64_t age = discover->cache ? cache_age(discover) : -1;
	int r;

	if (age < 0 || age > discover->max_stale)
		return -ENOENT;
	r = hook_file_read(discover->cache, &bytes);
	if (r == 0)
		r = service_list_parse(bytes.data, list);
	hook_bytes_done(&bytes);
	return r;
}

/* Only what differs is written; what is still right gets the time. */
static void write_cache(const struct discover *discover, const struct service_list *list)
{
	struct hook_bytes old = { 0 };
	char *text = service_list_format(list, false);
	int r = text ? hook_file_read(discover->cache, &old) : -ENOMEM;

	if (r == 0 && strcmp(old.data, text) == 0)
		r = utimensat(AT_FDCWD, discover->cache, NULL, 0) < 0 ? -errno : 0;
	else if (text)
		r = hook_file_replace(discover->cache, text, strlen(text), 0600);
	if (r < 0)
		hook_log(HOOK_LOG_WARNING, "%s: %s", discover->cache, strerror(-r));
	hook_bytes_done(&old);
	free(text);
}

/* Prints the list where it is not what was printed before. Takes it over. */
static void print(struct discover *discover, struct service_list *list)
{
	bool same = discover->printed && service_list_equal(&discover->list, list);
	char *text;

	service_list_done(&discover->list);
	discover->list = *list;
	discover->printed = true;
	if (same)
		return;
	text = service_list_format(list, discover->json);
	if (text)
		fputs(text, stdout);
	if (discover->watch && !discover->json)
		fputc('\n', stdout);
	fflush(stdout);
	free(text);
}

/* Nothing fresh: what was there before is the best that we have. */
static void serve_stale(struct discover *discover)
{
	struct service_list list = { 0 };

	discover->exit_code = HOOK_TIMEOUT;
	if (discover->printed)
		return;
	if (read_cache(discover, &list) == 0 && list.n > 0) {
		hook_log(HOOK_LOG_WARNING, "the list is %lld s old",
			(long long)(cache_age(discover) / HOOK_NS_PER_S));
		print(discover, &list);
		return;
	}
	service_list_done(&list);
	discover->exit_code = HOOK_UNAVAILABLE;
}

static void serve_fresh(struct discover *discover, struct service_list *list)
{
	if (discover->cache && !discover->common.dry_run)
		write_cache(discover, list);
	discover->exit_code = list->n > 0 ? HOOK_OK : HOOK_UNAVAILABLE;
	print(discover, list);
}

/* 0 when the list could be read, and is believed. */
static int look(struct discover *discover, bool tell)
{
	struct service_list list = { 0 };
	int r = service_list_read(discover->dir, &list);

	if (r == 0 && list.n >= (size_t)discover->min) {
		serve_fresh(discover, &list);
		return 0;
	}
	if (r == 0 && tell)
		hook_log(HOOK_LOG_WARNING, "%s: only %zu entries", discover->dir, list.n);
	else if (tell)
		hook_log(HOOK_LOG_WARNING, "%s: %s", discover->dir, strerror(-r));
	service_list_done(&list);
	serve_stale(discover);
	return r < 0 ? r : -EAGAIN;
}

static void look_and_watch(
	struct discover *discover, struct hook_watch *watch, struct hook_pace *pace)
{
	int r = hook_watch_update(watch), looked = look(discover, pace->failures == 0);

	hook_pace_looked(pace, hook_pace_now(), r < 0 || looked < 0);
	if (hook_watch_take(watch))
		hook_pace_touched(pace, hook_pace_now());
}

/* Until a signal, or until nobody reads any more. */
static int serve(struct discover *discover, struct hook_loop *loop, struct hook_watch *watch)
{
	struct hook_pace pace;

	hook_pace_init(&pace, SETTLE, hook_pace_now());
	while (!loop->ended && !ferror(stdout)) {
		if (hook_watch_take(watch))
			hook_pace_touched(&pace, hook_pace_now());
		if (hook_pace_now() >= pace.due)
			look_and_watch(discover, watch, &pace);
		hook_loop_status(loop, discover->exit_code ? "stale" : "fresh");
		hook_loop_wait(loop, watch, NULL, pace.due);
	}
	return ferror(stdout) ? HOOK_IO : HOOK_OK;
}

static int follow(struct discover *discover)
{
	struct hook_loop loop = { .signals = -1 };
	struct hook_watch *watch = NULL;
	int exit_code = HOOK_CONFIG, r = hook_watch_new(discover->dir, &watch);

	if (r == 0)
		r = hook_loop_init(&loop);
	if (r < 0)
		hook_log(HOOK_LOG_ERROR, "%s", strerror(-r));
	else
		exit_code = serve(discover, &loop, watch);
	hook_loop_done(&loop);
	hook_watch_free(watch);
	return exit_code;
}

int main(int argc, char **argv)
{
	struct discover discover = { .max_stale = 86400 * HOOK_NS_PER_S };
	int exit_code;

	if (parse(&discover, argc, argv, &exit_code) < 0)
		return exit_code;
	if (discover.watch && !discover.common.once) {
		exit_code = follow(&discover);
	} else {
		discover.watch = false;
		look(&discover, true);
		exit_code = ferror(stdout) ? HOOK_IO : discover.exit_code;
	}
	service_list_done(&discover.list);
	return exit_code;
}
