/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <fuse_opt.h>

#include "fs/log.h"

struct zk_auth;
struct zk_hosts;

enum fs_acl_policy { FS_ACL_OPEN, FS_ACL_CREATOR, FS_ACL_READ };
enum fs_stale_policy { FS_STALE_SERVE, FS_STALE_FAIL };

/* What the command line says, checked and turned into values. */
struct fs_options {
	char *hosts_text; /* as the user wrote it */
	char *mountpoint; /* absolute */
	struct zk_hosts *hosts;
	struct zk_auth *auth; /* NULL: none */
	bool foreground;
	bool strict;
	bool read_only;
	bool allow_other;
	int session_timeout_ms;
	int op_timeout_ms;
	enum fs_acl_policy acl;
	enum fs_stale_policy stale;
	uid_t uid;
	gid_t gid;
	mode_t file_mode;
	mode_t dir_mode;
	size_t max_data;   /* 0: what the servers' default takes */
	unsigned max_read; /* longest READ; 0: the kernel decides */
	int watches;       /* budget, on the server */
	bool events;
	enum fs_log_level log_level;
	struct fuse_args fuse_args; /* what libfuse is to see */
};

enum fs_options_result { FS_OPTIONS_RUN, FS_OPTIONS_HELP, FS_OPTIONS_VERSION, FS_OPTIONS_BAD };

/*
 * Parses the command line, reads auth_file, and says on stderr, in one line, what is wrong with it
 * (FS_OPTIONS_BAD). --help and --version were answered on stdout. *options is to be given to
 * fs_options_done in every case.
 */
enum fs_options_result fs_options_parse(struct fs_options *options, int argc, char **argv);

void fs_options_done(struct fs_options *options);
