/* SPDX-License-Identifier: Apache-2.0 */
/* What the command lines of the hooks have in common. */
#include "hooks/lib/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hooks/lib/log.h"

enum hook_taken hook_common_take(struct hook_common *common, int option, const char *help)
{
	switch (option) {
	case HOOK_OPT_ONCE:
		common->once = true;
		return HOOK_TAKEN;
	case HOOK_OPT_DRY_RUN:
		common->dry_run = true;
		return HOOK_TAKEN;
	case HOOK_OPT_LOG:
		if (strcmp(optarg, "text") != 0 && strcmp(optarg, "json") != 0) {
			hook_log(HOOK_LOG_ERROR, "--log-format is text or json, not '%s'", optarg);
			return HOOK_TAKEN_BAD;
		}
		hook_log_set_json(strcmp(optarg, "json") == 0);
		return HOOK_TAKEN;
	case HOOK_OPT_VERSION:
		printf("%s %s\n", program_invocation_short_name, ZKFS_VERSION);
		return HOOK_TAKEN_END;
	case 'h':
		fputs(help, stdout);
		return HOOK_TAKEN_END;
	}
	return HOOK_TAKEN_BAD; /* getopt_long has told why */
}

int hook_parse_seconds(const char *option, const char *text, int64_t *nsp)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !isfinite(seconds) || seconds < 0 || seconds > 1e6) {
		hook_log(HOOK_LOG_ERROR, "%s takes a number of seconds, not '%s'", option, text);
		return -EINVAL;
	}
	*nsp = (int64_t)(seconds * HOOK_NS_PER_S);
	return 0;
}

int hook_parse_number(const char *option, const char *text, long min, long max, long *valuep)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (end == text || *end || errno || value < min || value > max) {
		hook_log(HOOK_LOG_ERROR, "%s takes a number from %ld to %ld, not '%s'", option, min,
			max, text);
		return -EINVAL;
	}
	*valuep = value;
	return 0;
}
