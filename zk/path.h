/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The longest name a file system carries (NAME_MAX). */
#define ZK_PATH_NAME_MAX 255

/*
 * May `name` (`len` bytes, not terminated) name a znode in a file system? 0; -EINVAL: empty, ".",
 * "..", a slash, not valid UTF-8 (RFC 3629: no surrogates, no overlong forms), a control character
 * (U+0000–001F, U+007F–009F); -ENAMETOOLONG: over ZK_PATH_NAME_MAX bytes. ZooKeeper itself refuses
 * some more (private use, U+FFF0–FFFF): that answer is the server's.
 */
int zk_path_check_name(const char *name, size_t len);

/* "/" + "a" is "/a", "/x" + "a" is "/x/a", "" + "a" is "/a". malloc'ed, NULL when out of memory. */
char *zk_path_join(const char *parent, const char *name);

/* The part after the last slash; points into `path`. */
const char *zk_path_base(const char *path);
