/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct fs;
struct zk_blob;

/* The text of .zkfs/metrics now, in Prometheus' format. NULL when out of memory. */
struct zk_blob *fs_metrics(const struct fs *fs);
