/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Names of znodes as a file system can carry them, and paths made of them. ZooKeeper takes nearly
 * any text; what shells, terminals and the kernel could not carry safely is refused here, in both
 * directions: names that users give and names that servers list.
 */

#include "zk/path.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The bytes of the character that begins with `first`, or 0 if none does. */
static size_t utf8_len(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc0)
		return 0;
	if (first < 0xe0)
		return 2;
	if (first < 0xf0)
		return 3;
	return first < 0xf8 ? 4 : 0;
}

/* Decodes the character at `text`; the bytes it took, or 0 if it is not UTF-8 by RFC 3629. */
static size_t utf8_decode(const unsigned char *text, size_t len, uint32_t *codep)
{
	/* By the number of bytes: the least code that needs so many; below it are overlong forms. */
	static const uint32_t least[] = { [1] = 0, [2] = 0x80, [3] = 0x800, [4] = 0x10000 };
	size_t n = utf8_len(text[0]);

	if (n == 0 || n > len)
		return 0;

	uint32_t code = n == 1 ? text[0] : text[0] & (0x7fu >> n);

	for (size_t i = 1; i < n; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*codep = code;
	return n;
}

static bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

int zk_path_check_name(const char *name, size_t len)
{
	if (len == 0 || (len == 1 && name[0] == '.') || (len == 2 && memcmp(name, "..", 2) == 0))
		return -EINVAL;

	for (size_t i = 0; i < len;) {
		uint32_t code;
		size_t n = utf8_decode((const unsigned char *)name + i, len - i, &code);

		if (n == 0 || code == '/' || is_control(code))
			return -EINVAL;
		i += n;
	}
	return len > ZK_PATH_NAME_MAX ? -ENAMETOOLONG : 0;
}

char *zk_path_join(const char *parent, const char *name)
{
	size_t parent_len = strcmp(parent, "/") == 0 ? 0 : strlen(parent);
	size_t name_len = strlen(name);
	char *path = malloc(parent_len + 1 + name_len + 1);

	if (!path)
		return NULL;
	memcpy(path, parent, parent_len);
	path[parent_len] = '/';
	memcpy(path + parent_len + 1, name, name_len + 1);
	return path;
}

const char *zk_path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}
