/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <time.h>

#define FS_MS INT64_C(1000000) /* nanoseconds */

/* Nanoseconds on CLOCK_MONOTONIC. */
static inline int64_t fs_clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}
