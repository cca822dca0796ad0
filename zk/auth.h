/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * Credentials, read from a file of lines `scheme credential`. Blank lines and lines that begin with
 * # are skipped; blanks around the two words are not part of them, blanks inside a credential are.
 */

struct zk_auth_entry {
	char *scheme;
	char *credential; /* wiped when freed */
	size_t credential_len;
};

struct zk_auth {
	size_t n_entries;
	struct zk_auth_entry *entries;
};

/* Why a file was refused, in words for the user, without any part of a credential. */
struct zk_auth_error {
	char text[256];
};

/*
 * Reads the file. It must be a regular file that belongs to the caller or to root and that neither
 * its group nor others can read or write (-EPERM); every line must have two words (-EINVAL), and
 * there must be at least one (-EINVAL). Other errors are open(2)'s and read(2)'s. On failure
 * *error says what was wrong and where (path, line number). On success the caller owns *authp.
 */
int zk_auth_read(const char *path, struct zk_auth **authp, struct zk_auth_error *error);

/* The same for text in memory; `path` is for messages. */
int zk_auth_parse(const char *path, const char *text, size_t len, struct zk_auth **authp,
	struct zk_auth_error *error);

struct zk_auth *zk_auth_free(struct zk_auth *auth);
