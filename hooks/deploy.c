/* SPDX-License-Identifier: Apache-2.0 */
/* What all steps of a deployment have in common: how they fail, and what may be shown of others' text. */
#include "hooks/deploy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* How many bytes the UTF-8 character at p has; 0: what is there is none. */
static size_t decode(const unsigned char *p, uint32_t *codep)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = *p < 0x80 ? 1 : *p >> 5 == 6 ? 2 : *p >> 4 == 14 ? 3 : *p >> 3 == 30 ? 4 : 0;
	uint32_t code = n == 1 ? *p : *p & (0x7fu >> n);

	for (size_t i = 1; i < n; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (n == 0 || code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	*codep = code;
	return n;
}

/* Control characters, and those by which a text is shown in another order than it is written. */
static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

void deploy_clean(char *to, size_t size, const char *from)
{
	const unsigned char *p = (const unsigned char *)from;
	size_t length = 0;

	while (*p) {
		uint32_t code = 0;
		size_t n = decode(p, &code);
		bool shown = n > 0 && !is_control(code);

		if (length + (shown ? n : 1) >= size)
			break;
		if (shown)
			memcpy(to + length, p, n);
		else
			to[length] = '?';
		length += shown ? n : 1;
		p += n ? n : 1;
	}
	to[length] = '\0';
}

bool deploy_is_name(const char *name, size_t n)
{
	if (n == 0 || memchr(name, '/', n) || (n == 1 && name[0] == '.') ||
		(n == 2 && name[0] == '.' && name[1] == '.'))
		return false;
	return n != 4 || strncasecmp(name, ".git", 4) != 0;
}

void deploy_stamp(char text[DEPLOY_TIME_SIZE])
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, DEPLOY_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

enum hook_exit deploy_fail(char why[DEPLOY_WHY_SIZE], enum hook_exit code, const char *format, ...)
{
	char message[DEPLOY_WHY_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	deploy_clean(why, DEPLOY_WHY_SIZE, message);
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
