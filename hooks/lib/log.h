/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_LIB_LOG_H
#define HOOKS_LIB_LOG_H

#include <stdbool.h>

enum hook_log_level { HOOK_LOG_ERROR = 3, HOOK_LOG_WARNING = 4, HOOK_LOG_INFO = 6 };

/* Called once, by the command line: each line as a JSON object instead of text. */
void hook_log_set_json(bool json);

/* One line to stderr. The levels are those of syslog(3). */
__attribute__((format(printf, 2, 3))) void hook_log(
	enum hook_log_level level, const char *format, ...);

#endif
