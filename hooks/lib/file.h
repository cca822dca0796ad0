/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_LIB_FILE_H
#define HOOKS_LIB_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The bytes of a file. There is a NUL behind them that is not counted. data NULL: no file. */
struct hook_bytes {
	char *data;
	size_t size;
};

void hook_bytes_done(struct hook_bytes *bytes);

/* Whether both are the same bytes, or both none. */
bool hook_bytes_equal(const struct hook_bytes *a, const struct hook_bytes *b);

/* Hands the bytes of *from over to *to, which is freed before. */
void hook_bytes_move(struct hook_bytes *to, struct hook_bytes *from);

/*
 * Reads a regular file whole, at most 64 MiB. The caller owns *bytesp. -ENOENT (also for ENOTDIR)
 * means that it is not there; any other error says nothing about that.
 */
int hook_file_read(const char *path, struct hook_bytes *bytesp);

/* Whether an error of hook_file_read is about that file for good, and says nothing of others. */
bool hook_file_is_unfit(int r);

/*
 * Calls visit for each name in a directory that does not begin with a dot, until it returns an error.
 * -errno, also where not all names could be had: part of a list is no list.
 */
int hook_file_each(
	const char *dir, int (*visit)(void *data, const char *path, const char *name), void *data);

/*
 * Replaces a file atomically and durably: another one, whose name begins with a dot until then, is
 * renamed onto it.
 */
int hook_file_replace(const char *path, const void *data, size_t size, mode_t mode);

/* mkdir -p, with mode 0700 for what is new. */
int hook_file_make_dirs(const char *path);

#endif
