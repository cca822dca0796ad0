/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include <fuse_lowlevel.h>

/*
 * The requests that come back to us from the notifier's own system calls. They are answered at once,
 * by what the job is, and never touch ZooKeeper: the file that is to be created is not there for
 * the one who creates it, and the one that is to be removed is. What has been overtaken meanwhile is
 * refused (ECANCELED).
 */

/* Does the request come from the notifier? */
bool fs_echo_is(fuse_req_t req);

void fs_echo_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_echo_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_echo_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi);
void fs_echo_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_echo_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi);
void fs_echo_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
/* unlink and rmdir */
void fs_echo_remove(fuse_req_t req, fuse_ino_t parent, const char *name);
