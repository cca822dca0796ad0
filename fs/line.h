/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zk/op.h"
#include "zk/path.h"

/*
 * What is written to .create, .ephemeral and .lease: `[OPTION]… [--] NAME [DATA]`. Blanks part the
 * words; behind NAME one blank does, and all that follows is DATA, but for one newline at the end.
 */
struct fs_line {
	enum zk_create_mode mode;
	bool sequential;
	int64_t ttl_ms;
	char name[ZK_PATH_NAME_MAX + 1];
	bool has_data;
	const char *data; /* points into what was parsed */
	size_t data_size;
};

/* `any_mode`: -e, -c and -t are allowed, and without them it is persistent; otherwise it is ephemeral.
 * 0; -EINVAL: no such option, options that exclude each other, no name or none a file can have;
 * -ENAMETOOLONG. */
int fs_line_parse(const char *text, size_t size, bool any_mode, struct fs_line *line);
