/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fuse_session;

/*
 * The FUSE device: every request of the kernel comes in here and every reply goes out. libfuse reads
 * and writes what they say; here they are counted, and timed from the one to the other.
 *
 * The notifier's own requests (echo.c) are not the users', and are left out.
 */

/* The upper bounds of FS_DEVICE_BUCKETS classes of latency; the last one has none. In ns. */
#define FS_DEVICE_BUCKETS 12
extern const int64_t fs_device_bounds[FS_DEVICE_BUCKETS - 1];

struct fs_device_stats {
	uint64_t n_replies;
	uint64_t n_errors;
	uint64_t ns;                         /* all in all */
	uint64_t buckets[FS_DEVICE_BUCKETS]; /* each alone, not the sum of those before it */
};

struct fs_device;

/* NULL: out of memory. */
struct fs_device *fs_device_new(void);
/* Takes NULL, returns NULL. */
struct fs_device *fs_device_free(struct fs_device *device);

/* From now on the session's requests come through the device of its struct fs. To be called when it
 * is mounted, before the first request. 0 or a negative errno. */
int fs_device_attach(struct fuse_session *session);

/* The kinds of request that users' calls lead to, by index from 0: a name, and what was counted.
 * NULL: there are no more. */
const char *fs_device_stats(
	const struct fs_device *device, unsigned index, const struct fs_device_stats **statsp);
