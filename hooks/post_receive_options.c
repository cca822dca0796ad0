/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of zkfs-post-receive. */
#include "hooks/post_receive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks/lib/log.h"

enum { OPT_MAP = 256, OPT_PATIENCE, OPT_GIVE_UP, OPT_WAIT, OPT_STATUS_DIR };

static const struct option table[] = {
	{ "map", required_argument, NULL, OPT_MAP },
	{ "patience", required_argument, NULL, OPT_PATIENCE },
	{ "give-up", required_argument, NULL, OPT_GIVE_UP },
	{ "wait", required_argument, NULL, OPT_WAIT },
	{ "status-dir", required_argument, NULL, OPT_STATUS_DIR },
	HOOK_COMMON_OPTIONS,
	{ 0 },
};

static const char help[] =
	"usage: zkfs-post-receive --map REF=FILE [--map REF=FILE...] [OPTIONS]\n"
	"\n"
	"A post-receive hook of git: a push to REF sets \"commitId\" in the JSON of FILE.\n"
	"\n"
	"      --patience S       how long the push waits for FILE to be written (1.5)\n"
	"      --give-up S        how long it is tried in the background then (86400)\n"
	"      --wait S           then wait for the hosts that deploy it, and tell how they fare "
	"(0)\n"
	"      --status-dir DIR   where the hosts tell it (status, in the directory of FILE);\n"
	"                         with several maps, the nth DIR is that of the nth "
	"FILE\n" HOOK_COMMON_HELP;

static int take_map(struct post_receive *hook, char *text)
{
	char *equals = strchr(text, '=');
	struct post_receive_map *map = &hook->maps[hook->n_maps];

	if (hook->n_maps == POST_RECEIVE_MAPS_MAX || strncmp(text, "refs/", 5) != 0 || !equals ||
		!equals[1]) {
		hook_log(HOOK_LOG_ERROR, "--map takes refs/…=FILE, at most %d times, not '%s'",
			POST_RECEIVE_MAPS_MAX, text);
		return -EINVAL;
	}
	map->ref = strndup(text, (size_t)(equals - text));
	map->file = equals + 1;
	hook->n_maps += map->ref != NULL;
	return map->ref ? 0 : -ENOMEM;
}

/* It may come before its --map. */
static int take_status_dir(struct post_receive *hook, const char *dir)
{
	for (size_t i = 0; i < POST_RECEIVE_MAPS_MAX; i++) {
		if (hook->maps[i].status_dir)
			continue;
		hook->maps[i].status_dir = strdup(dir);
		return hook->maps[i].status_dir ? 0 : -ENOMEM;
	}
	return -EINVAL;
}

static int take(struct post_receive *hook, int option)
{
	switch (option) {
	case OPT_MAP:
		return take_map(hook, optarg);
	case OPT_PATIENCE:
		return hook_parse_seconds("--patience", optarg, &hook->patience);
	case OPT_GIVE_UP:
		return hook_parse_seconds("--give-up", optarg, &hook->give_up);
	case OPT_WAIT:
		return hook_parse_seconds("--wait", optarg, &hook->wait);
	case OPT_STATUS_DIR:
		return take_status_dir(hook, optarg);
	}
	return -EINVAL;
}

/* Beside the file. */
static int set_default_dir(struct post_receive_map *map)
{
	const char *slash = strrchr(map->file, '/');
	int n = slash ? (int)(slash - map->file + 1) : 0;

	if (!map->status_dir && asprintf(&map->status_dir, "%.*sstatus", n, map->file) < 0) {
		map->status_dir = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int check(struct post_receive *hook, bool more)
{
	int r = 0;

	if (hook->n_maps == 0 || more) {
		hook_log(HOOK_LOG_ERROR, "--map REF=FILE is needed, and nothing else; see --help");
		return -EINVAL;
	}
	if (hook->n_maps < POST_RECEIVE_MAPS_MAX && hook->maps[hook->n_maps].status_dir) {
		hook_log(HOOK_LOG_ERROR, "there are more --status-dir than --map");
		return -EINVAL;
	}
	for (size_t i = 0; r == 0 && i < hook->n_maps; i++)
		r = set_default_dir(&hook->maps[i]);
	return r;
}

int post_receive_options_parse(struct post_receive *hook, int argc, char **argv, int *exitp)
{
	enum hook_taken taken;
	int option;

	*exitp = HOOK_USAGE;
	while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		if (option >= OPT_MAP)
			taken = take(hook, option) < 0 ? HOOK_TAKEN_BAD : HOOK_TAKEN;
		else
			taken = hook_common_take(&hook->common, option, help);
		if (taken == HOOK_TAKEN_END)
			*exitp = HOOK_OK;
		if (taken != HOOK_TAKEN)
			return -EINVAL;
	}
	return check(hook, optind < argc);
}

void post_receive_options_done(struct post_receive *hook)
{
	for (size_t i = 0; i < POST_RECEIVE_MAPS_MAX; i++) {
		free(hook->maps[i].ref);
		free(hook->maps[i].status_dir);
	}
}
