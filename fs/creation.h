/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <fuse_lowlevel.h>

struct fs;
struct fs_special;

/*
 * One write(2) to a special file: one create. Answered from its completion; a write that the kernel
 * may have split is refused before anything of it is done.
 *
 * To the kernel, what is made like this was made elsewhere: it is told by the notifier. Where the
 * kernel may remember that there was no such name, or a listing without it, the answer waits until it
 * was told, but not for long.
 */
void fs_creation_start(fuse_req_t req, struct fs_special *special, const char *data, size_t size);

/* Answers those whose wait is over. Returns when to call it again (fs_clock_now()), or INT64_MAX. */
int64_t fs_creations_run(struct fs *fs);
