/* SPDX-License-Identifier: Apache-2.0 */
/* The log: one line a message, to stderr in the foreground, to syslog as a daemon. */
#include "fs/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

static enum fs_log_level log_level = FS_LOG_WARNING;
static bool log_to_syslog;

static const char *const level_names[] = {
	[FS_LOG_ERROR] = "error",
	[FS_LOG_WARNING] = "warning",
	[FS_LOG_INFO] = "info",
	[FS_LOG_DEBUG] = "debug",
};

static const int level_priorities[] = {
	[FS_LOG_ERROR] = LOG_ERR,
	[FS_LOG_WARNING] = LOG_WARNING,
	[FS_LOG_INFO] = LOG_INFO,
	[FS_LOG_DEBUG] = LOG_DEBUG,
};

void fs_log_set_level(enum fs_log_level level)
{
	log_level = level;
}

bool fs_log_enabled(enum fs_log_level level)
{
	return level <= log_level;
}

void fs_log_to_syslog(void)
{
	openlog("zkfs", LOG_PID, LOG_DAEMON);
	log_to_syslog = true;
}

int fs_log_level_parse(const char *name)
{
	for (int i = FS_LOG_ERROR; i <= FS_LOG_DEBUG; i++)
		if (strcmp(name, level_names[i]) == 0)
			return i;
	return -1;
}

void fs_log(enum fs_log_level level, const char *format, ...)
{
	char text[1024];
	va_list args;

	if (!fs_log_enabled(level))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text[strcspn(text, "\n")] = '\0';
	if (log_to_syslog)
		syslog(level_priorities[level], "%s", text);
	else
		fprintf(stderr, "zkfs: %s\n", text);
}
