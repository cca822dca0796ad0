/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of zkfs-on-change. */
#include "hooks/on_change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks/lib/log.h"
#include "hooks/lib/state.h"

enum { OPT_SETTLE = 256, OPT_INITIAL, OPT_BUSY, OPT_TIMEOUT, OPT_RETRIES, OPT_STATE };

static const struct option table[] = {
	{ "settle", required_argument, NULL, OPT_SETTLE },
	{ "initial", required_argument, NULL, OPT_INITIAL },
	{ "busy", required_argument, NULL, OPT_BUSY },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "retries", required_argument, NULL, OPT_RETRIES },
	{ "state", required_argument, NULL, OPT_STATE },
	HOOK_COMMON_OPTIONS,
	{ 0 },
};

static const char help[] =
	"usage: zkfs-on-change PATH [OPTIONS] -- COMMAND [ARGUMENT...]\n"
	"\n"
	"Runs COMMAND when the bytes of the file PATH change. They are in the file "
	"$ZKFS_SNAPSHOT.\n"
	"\n"
	"      --settle MS        how long the file must be left alone before it is read (100)\n"
	"      --initial WHEN     at the start: if-changed since the last success, always, never\n"
	"                         (if-changed)\n"
	"      --busy WHAT        a change while COMMAND runs: queue, or restart it (queue)\n"
	"      --timeout S        end COMMAND, with its whole process group, after that (300; 0: "
	"never)\n"
	"      --retries N        how often a COMMAND that failed is tried again (5)\n"
	"      --state FILE       where what was last handled is kept\n" HOOK_COMMON_HELP;

/* The place of text in names, or -1. */
static int find(const char *option, const char *text, const char *const names[])
{
	for (int i = 0; names[i]; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	hook_log(HOOK_LOG_ERROR, "%s cannot be '%s'", option, text);
	return -1;
}

static int take(struct on_change_options *options, int option)
{
	static const char *const initials[] = { "if-changed", "always", "never", NULL };
	static const char *const busies[] = { "queue", "restart", NULL };
	long ms = 0;
	int i = 0;

	switch (option) {
	case OPT_SETTLE:
		i = hook_parse_number("--settle", optarg, 0, 60000, &ms);
		options->settle = ms * HOOK_NS_PER_MS;
		break;
	case OPT_INITIAL:
		i = find("--initial", optarg, initials);
		options->initial = (enum on_change_initial)i;
		break;
	case OPT_BUSY:
		i = find("--busy", optarg, busies);
		options->restart = i == 1;
		break;
	case OPT_TIMEOUT:
		i = hook_parse_seconds("--timeout", optarg, &options->timeout);
		break;
	case OPT_RETRIES:
		i = hook_parse_number("--retries", optarg, 0, 1000000, &options->retries);
		break;
	case OPT_STATE:
		free(options->state);
		options->state = strdup(optarg);
		break;
	}
	return i < 0 ? -EINVAL : 0;
}

/* What is kept belongs to a path, which may be relative, and a command. */
static int default_state(struct on_change_options *options)
{
	char *cwd = options->path[0] == '/' ? strdup("") : getcwd(NULL, 0);
	size_t n = 0;
	const char **keys;
	int r = -ENOMEM;

	while (options->command[n])
		n++;
	keys = calloc(n + 3, sizeof(*keys));
	if (keys && cwd) {
		keys[0] = cwd;
		keys[1] = options->path;
		memcpy(keys + 2, options->command, n * sizeof(*keys));
		r = hook_state_path("on-change", keys, &options->state);
	}
	free(keys);
	free(cwd);
	if (r < 0)
		hook_log(HOOK_LOG_ERROR, "no place to keep what was handled (%s): --state FILE",
			r == -ENOENT ? "HOME is not set" : strerror(-r));
	return r;
}

static int bad_usage(int *exitp)
{
	*exitp = HOOK_USAGE;
	return -EINVAL;
}

int on_change_options_parse(struct on_change_options *options, int argc, char **argv, int *exitp)
{
	enum hook_taken taken;
	int option;

	options->settle = 100 * HOOK_NS_PER_MS;
	options->timeout = 300 * HOOK_NS_PER_S;
	options->retries = 5;
	while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		if (option >= OPT_SETTLE && take(options, option) < 0)
			return bad_usage(exitp);
		if (option >= OPT_SETTLE)
			continue;
		taken = hook_common_take(&options->common, option, help);
		if (taken == HOOK_TAKEN_BAD)
			return bad_usage(exitp);
		if (taken == HOOK_TAKEN_END) {
			*exitp = HOOK_OK;
			return -EINVAL;
		}
	}
	if (argc - optind < 2) {
		hook_log(HOOK_LOG_ERROR, "PATH and COMMAND are missing; see --help");
		return bad_usage(exitp);
	}
	options->path = argv[optind];
	options->command = argv + optind + 1;
	if (!options->state && default_state(options) < 0) {
		*exitp = HOOK_CONFIG;
		return -EINVAL;
	}
	return 0;
}
