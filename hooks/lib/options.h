/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_LIB_OPTIONS_H
#define HOOKS_LIB_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

/* How every hook exits; as in <sysexits.h>. A daemon exits only for HOOK_USAGE and HOOK_CONFIG. */
enum hook_exit {
	HOOK_OK = 0,
	HOOK_USAGE = 64,
	HOOK_DATA = 65,        /* what was read makes no sense */
	HOOK_UNAVAILABLE = 69, /* it is not there, or what was run has failed */
	HOOK_IO = 74,
	HOOK_TIMEOUT = 75,
	HOOK_POLICY = 77, /* it is not allowed */
	HOOK_CONFIG = 78, /* something local is wrong */
};

#define HOOK_NS_PER_MS 1000000LL
#define HOOK_NS_PER_S 1000000000LL

/* The options that every hook has, to be put into its table. */
enum { HOOK_OPT_ONCE = 'o', HOOK_OPT_DRY_RUN = 'n', HOOK_OPT_LOG = 'l', HOOK_OPT_VERSION = 'V' };
#define HOOK_COMMON_OPTIONS                                              \
	{ "once", no_argument, NULL, HOOK_OPT_ONCE },                    \
		{ "dry-run", no_argument, NULL, HOOK_OPT_DRY_RUN },      \
		{ "log-format", required_argument, NULL, HOOK_OPT_LOG }, \
		{ "help", no_argument, NULL, 'h' },                      \
	{                                                                \
		"version", no_argument, NULL, HOOK_OPT_VERSION           \
	}

#define HOOK_COMMON_HELP                                                     \
	"      --once             look once, act, and exit\n"                \
	"      --dry-run          tell what would be done, and do nothing\n" \
	"      --log-format F     text or json (text)\n"                     \
	"  -h, --help             this text\n"                               \
	"      --version          the version\n"

struct hook_common {
	bool once;
	bool dry_run;
};

enum hook_taken { HOOK_TAKEN, HOOK_TAKEN_END, HOOK_TAKEN_BAD };

/*
 * Takes one option that getopt_long gave and the program does not know as its own. HOOK_TAKEN_END:
 * --help or --version was served, exit 0. HOOK_TAKEN_BAD: it has been told why, exit HOOK_USAGE.
 */
enum hook_taken hook_common_take(struct hook_common *common, int option, const char *help);

/* Seconds, also with a fraction, as nanoseconds. Tells what is wrong and returns -EINVAL. */
int hook_parse_seconds(const char *option, const char *text, int64_t *nsp);

/* A number within bounds. Tells what is wrong and returns -EINVAL. */
int hook_parse_number(const char *option, const char *text, long min, long max, long *valuep);

#endif
