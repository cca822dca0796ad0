/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

enum fs_log_level { FS_LOG_ERROR, FS_LOG_WARNING, FS_LOG_INFO, FS_LOG_DEBUG };

/* What is above `level` is not logged. Messages go to stderr, or to syslog(3) once
 * fs_log_to_syslog was called. Any thread may log. */
void fs_log_set_level(enum fs_log_level level);
bool fs_log_enabled(enum fs_log_level level);
void fs_log_to_syslog(void);

/* "error", "warning", "info", "debug"; -1 for anything else. */
int fs_log_level_parse(const char *name);

__attribute__((format(printf, 2, 3))) void fs_log(enum fs_log_level level, const char *format, ...);
