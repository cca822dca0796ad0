/* SPDX-License-Identifier: Apache-2.0 */
/* What all steps of a deployment have in common: how they fail. */
#include "hooks/deploy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum hook_exit deploy_fail(char why[DEPLOY_WHY_SIZE], enum hook_exit code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, DEPLOY_WHY_SIZE, format, args);
	va_end(args);
	for (char *p = why; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return code;
}

enum hook_exit deploy_code_of_errno(int error)
{
	switch (error) {
	case ELOOP:
	case EXDEV:
	case ENOTDIR:
		return HOOK_POLICY;
	case ENOENT:
		return HOOK_UNAVAILABLE;
	}
	return HOOK_IO;
}
