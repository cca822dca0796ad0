/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of the hooks: a line to stderr, as text or as a JSON object. As text under systemd it has
 * the prefix that tells journald the level (sd-daemon(3)).
 */
#include "hooks/lib/log.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static bool log_json;

void hook_log_set_json(bool json)
{
	log_json = json;
}

static const char *level_name(enum hook_log_level level)
{
	switch (level) {
	case HOOK_LOG_ERROR:
		return "error";
	case HOOK_LOG_WARNING:
		return "warning";
	case HOOK_LOG_INFO:
		break;
	}
	return "info";
}

static void log_as_json(enum hook_log_level level, const char *message)
{
	char now[32];
	time_t seconds = time(NULL);
	struct tm tm;
	json_t *line;

	gmtime_r(&seconds, &tm);
	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm);
	line = json_pack("{s:s, s:s, s:s, s:s}", "time", now, "level", level_name(level), "program",
		program_invocation_short_name, "message", message);
	if (!line) /* not UTF-8 */
		line = json_pack("{s:s, s:s, s:s}", "time", now, "level", level_name(level),
			"message", "(a message that is not UTF-8)");
	json_dumpf(line, stderr, JSON_COMPACT);
	fputc('\n', stderr);
	json_decref(line);
}

void hook_log(enum hook_log_level level, const char *format, ...)
{
	char message[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (log_json)
		log_as_json(level, message);
	else if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", level, message);
	else
		fprintf(stderr, "%s: %s\n", program_invocation_short_name, message);
	fflush(stderr);
}
