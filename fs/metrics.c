/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .zkfs/metrics: what is counted, as Prometheus' text format wants it
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Seconds, bytes, totals since the
 * start. zkfs(1) has the list.
 */
#include "fs/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/control.h"
#include "fs/device.h"
#include "fs/fs.h"
#include "zk/blob.h"
#include "zk/client.h"
#include "zk/watch.h"

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP zkfs_%s %s\n# TYPE zkfs_%s %s\n", name, help, name, type);
}

static void gauge(FILE *out, const char *name, const char *help, uint64_t value)
{
	head(out, name, "gauge", help);
	fprintf(out, "zkfs_%s %" PRIu64 "\n", name, value);
}

static void counter(FILE *out, const char *name, const char *help, uint64_t value)
{
	head(out, name, "counter", help);
	fprintf(out, "zkfs_%s %" PRIu64 "\n", name, value);
}

static double seconds(int64_t ns)
{
	return (double)ns / 1e9;
}

static void print_histogram(FILE *out, const char *operation, const struct fs_device_stats *stats)
{
	const char *name = "zkfs_operation_seconds";
	uint64_t n = 0;

	for (unsigned i = 0; i < FS_DEVICE_BUCKETS - 1; i++) {
		n += stats->buckets[i];
		fprintf(out, "%s_bucket{operation=\"%s\",le=\"%g\"} %" PRIu64 "\n", name, operation,
			seconds(fs_device_bounds[i]), n);
	}
	fprintf(out, "%s_bucket{operation=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, operation,
		stats->n_replies);
	fprintf(out, "%s_sum{operation=\"%s\"} %.9f\n", name, operation,
		seconds((int64_t)stats->ns));
	fprintf(out, "%s_count{operation=\"%s\"} %" PRIu64 "\n", name, operation, stats->n_replies);
}

static void print_operations(FILE *out, const struct fs_device *device)
{
	const struct fs_device_stats *stats;
	const char *operation;

	head(out, "operation_seconds", "histogram",
		"Time from a request of the kernel to its reply.");
	for (unsigned i = 0; (operation = fs_device_stats(device, i, &stats)); i++)
		if (stats->n_replies > 0)
			print_histogram(out, operation, stats);
	head(out, "operation_errors_total", "counter", "Requests of the kernel that failed.");
	for (unsigned i = 0; (operation = fs_device_stats(device, i, &stats)); i++)
		if (stats->n_replies > 0)
			fprintf(out, "zkfs_operation_errors_total{operation=\"%s\"} %" PRIu64 "\n",
				operation, stats->n_errors);
}

static void print_questions(FILE *out, const struct fs *fs)
{
	static const char *const names[FS_N_QUESTIONS] = {
		[FS_QUESTION_LOOKUP] = "lookup",
		[FS_QUESTION_GETATTR] = "getattr",
		[FS_QUESTION_OPEN] = "open",
		[FS_QUESTION_LIST] = "list",
	};

	head(out, "cache_hits_total", "counter", "Questions of the kernel that needed no server.");
	for (unsigned i = 0; i < FS_N_QUESTIONS; i++)
		fprintf(out, "zkfs_cache_hits_total{operation=\"%s\"} %" PRIu64 "\n", names[i],
			fs->counters.known[i]);
	head(out, "cache_misses_total", "counter",
		"Questions of the kernel that a server was asked.");
	for (unsigned i = 0; i < FS_N_QUESTIONS; i++)
		fprintf(out, "zkfs_cache_misses_total{operation=\"%s\"} %" PRIu64 "\n", names[i],
			fs->counters.asked[i]);
}

static void print_session(FILE *out, const struct zk_client *zk)
{
	struct zk_client_count counts[ZK_CLIENT_COUNTS_MAX];
	size_t n = zk_client_count_requests(zk, counts);
	struct zk_client_info info;

	zk_client_get_info(zk, &info);
	gauge(out, "connected", "Is there a server? 1 or 0.", info.state == ZK_CONNECTED);
	counter(out, "reconnects_total", "Connections after the first.", info.reconnects);
	counter(out, "expiries_total", "Sessions that have expired.", info.expiries);
	head(out, "zookeeper_requests_total", "counter", "Requests sent to servers.");
	for (size_t i = 0; i < n; i++)
		fprintf(out, "zkfs_zookeeper_requests_total{type=\"%s\"} %" PRIu64 "\n",
			counts[i].type, counts[i].n);
	gauge(out, "zookeeper_requests_in_flight", "Sent, and not answered.", info.in_flight);
	gauge(out, "zookeeper_requests_waiting", "Waiting for a server.", info.waiting);
}

static void print_watches(FILE *out, const struct zk_client *zk)
{
	struct zk_watch_info watches;

	zk_watch_get_info(zk, &watches);
	gauge(out, "watches", "Watches that are wanted.", watches.n_wanted);
	gauge(out, "watches_armed", "Watches that the server has.", watches.n_armed);
	gauge(out, "watches_max", "The budget.", watches.max);
	counter(out, "watches_fired_total", "Watches that have fired.", watches.n_fired);
}

static void print_events(FILE *out, const struct fs *fs)
{
	static const char *const names[FS_N_EVENTS] = {
		[FS_EVENT_CREATE] = "create",
		[FS_EVENT_MKDIR] = "mkdir",
		[FS_EVENT_MODIFY] = "modify",
		[FS_EVENT_CLOSE_WRITE] = "close_write",
		[FS_EVENT_UNLINK] = "unlink",
		[FS_EVENT_RMDIR] = "rmdir",
	};

	head(out, "events_total", "counter", "Changes made elsewhere that were told.");
	for (unsigned i = FS_EVENT_NONE + 1; i < FS_N_EVENTS; i++)
		fprintf(out, "zkfs_events_total{event=\"%s\"} %" PRIu64 "\n", names[i],
			fs->counters.events[i]);
	counter(out, "events_coalesced_total", "Versions of data that went before they were told.",
		fs->counters.coalesced_events);
	counter(out, "events_failed_total", "Events that the kernel refused to make.",
		fs->counters.failed_events);
	gauge(out, "events_owed", "Changes that are not told yet.", fs->n_notices);
}

static void print_tree(FILE *out, const struct fs *fs)
{
	gauge(out, "ephemerals", "Ephemerals that the mount owns.",
		HASH_COUNT(fs->ephemerals.by_path));
	gauge(out, "leases", "Leases among them.", fs->ephemerals.n_leases);
	gauge(out, "inodes", "Inodes that are known.", fs->inodes.n_inodes);
	gauge(out, "inodes_held", "Inodes that the kernel holds.", fs->n_held);
	gauge(out, "cached_bytes", "Content that is kept.", fs->inodes.cached_bytes);
	gauge(out, "open_files", "Open files, by all processes.", fs_count_files(fs));
	counter(out, "commits_total", "Writes that open files have led to.", fs->counters.commits);
	counter(out, "commits_failed_total", "Errors that nobody was left to be told.",
		fs->counters.failed_commits);
	counter(out, "killed_writers_total", "Writers whose end by a signal published nothing.",
		fs->counters.killed_writers);
	counter(out, "hidden_children_total", "Names that could not be shown, as they are met.",
		fs->counters.hidden_children);
}

struct zk_blob *fs_metrics(const struct fs *fs)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct zk_blob *blob = NULL;

	if (!out)
		return NULL;
	print_operations(out, fs->device);
	print_questions(out, fs);
	print_session(out, fs->zk);
	print_watches(out, fs->zk);
	print_events(out, fs);
	print_tree(out, fs);
	if (fclose(out) == 0)
		blob = zk_blob_new(text, (uint32_t)size);
	free(text);
	return blob;
}
