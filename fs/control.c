/* SPDX-License-Identifier: Apache-2.0 */
/* What zkfs tells of itself: reserved names, and the text of .zkfs/status. */
#include "fs/control.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fill.h"
#include "fs/fs.h"
#include "fs/metrics.h"
#include "fs/options.h"
#include "zk/blob.h"
#include "zk/client.h"

static const char *const reserved_names[] = {
	FS_DATA_NAME,
	FS_EPHEMERAL_NAME,
	FS_LEASE_NAME,
	FS_CREATE_NAME,
	".lock",
};

bool fs_control_reserved(const struct fs_inode *dir, const char *name)
{
	if (name[0] != '.')
		return false;
	for (size_t i = 0; i < sizeof(reserved_names) / sizeof(reserved_names[0]); i++)
		if (strcmp(name, reserved_names[i]) == 0)
			return true;
	return !dir->parent && strcmp(name, FS_CONTROL_DIR_NAME) == 0;
}

static const char *const state_names[] = {
	[ZK_CONNECTING] = "disconnected",
	[ZK_CONNECTED] = "connected",
	[ZK_AUTH_FAILED] = "authentication failed",
};

/* In .zkfs/status. */
#define PARTLY_WATCHED_MAX 8

enum fs_kind fs_control_kind(const char *name)
{
	if (strcmp(name, FS_STATUS_NAME) == 0)
		return FS_KIND_STATUS;
	return strcmp(name, FS_METRICS_NAME) == 0 ? FS_KIND_METRICS : FS_KIND_UNKNOWN;
}

static void print_session(FILE *out, const struct fs *fs)
{
	struct zk_client_info info;

	zk_client_get_info(fs->zk, &info);
	fprintf(out, "state: %s\n",
		info.state == ZK_CONNECTING && info.expired ? "expired" : state_names[info.state]);
	fprintf(out, "session: 0x%" PRIx64 "\n", (uint64_t)info.session_id);
	fprintf(out, "timeout: %d\n", info.session_timeout_ms);
	fprintf(out, "server: %s\n", info.server[0] ? info.server : "none");
	fprintf(out, "outage_ms: %" PRIu64 "\n", info.outage_ms);
	fprintf(out, "reconnects: %" PRIu64 "\n", info.reconnects);
	fprintf(out, "expiries: %" PRIu64 "\n", info.expiries);
	fprintf(out, "last_zxid: 0x%" PRIx64 "\n", (uint64_t)info.last_zxid);
	fprintf(out, "requests: %" PRIu64 "\n", info.requests);
	fprintf(out, "requests_in_flight: %zu\n", info.in_flight);
	fprintf(out, "requests_waiting: %zu\n", info.waiting);
}

static void print_tree(FILE *out, const struct fs *fs)
{
	uint64_t n_events = 0;

	fprintf(out, "ephemerals: %u\n", HASH_COUNT(fs->ephemerals.by_path));
	fprintf(out, "leases: %zu\n", fs->ephemerals.n_leases);
	for (int i = FS_EVENT_NONE + 1; i < FS_N_EVENTS; i++)
		n_events += fs->counters.events[i];
	fprintf(out, "events: %" PRIu64 "\n", n_events);
	fprintf(out, "events_owed: %zu\n", fs->n_notices);
	fprintf(out, "events_failed: %" PRIu64 "\n", fs->counters.failed_events);
	fprintf(out, "cached_nodes: %zu\n", fs->n_held);
	fprintf(out, "known_nodes: %zu\n", fs->inodes.n_inodes);
	fprintf(out, "cached_bytes: %zu\n", fs->inodes.cached_bytes);
	fprintf(out, "open_files: %zu\n", fs_count_files(fs));
	fprintf(out, "commits: %" PRIu64 "\n", fs->counters.commits);
	fprintf(out, "killed_writers: %" PRIu64 "\n", fs->counters.killed_writers);
	fprintf(out, "failed_commits: %" PRIu64 "\n", fs->counters.failed_commits);
	fprintf(out, "hidden_children: %" PRIu64 "\n", fs->counters.hidden_children);
}

static size_t count_unwatched(const struct fs *fs)
{
	const struct fs_inode *inode;
	size_t n = 0;

	TAILQ_FOREACH (inode, &fs->held, held_link)
		n += !inode->watched && inode->kind <= FS_KIND_FILE;
	return n;
}

/* The directories whose children are not all watched, the one used last first. */
static void print_partly_watched(FILE *out, const struct fs *fs)
{
	const struct fs_inode *inode;
	unsigned n = 0;

	TAILQ_FOREACH_REVERSE(inode, &fs->held, fs_inode_queue, held_link)
	{
		char *path;

		if (inode->n_unwatched == 0 || n++ == PARTLY_WATCHED_MAX)
			continue;
		path = fs_inode_path(&fs->inodes, inode);
		fprintf(out, "partly_watched: %s (%zu children are not)\n", path ? path : "?",
			inode->n_unwatched);
		free(path);
	}
}

static void print_watches(FILE *out, const struct fs *fs)
{
	struct zk_watch_info watches;

	zk_watch_get_info(fs->zk, &watches);
	fprintf(out, "watches: %zu of %zu\n", watches.n_wanted, watches.max);
	fprintf(out, "unwatched_nodes: %zu\n", count_unwatched(fs));
	fprintf(out, "filling: %zu\n", fs_fill_count(fs));
	print_partly_watched(out, fs);
}

static void print_problems(FILE *out, const struct fs_problems *problems)
{
	uint64_t first =
		problems->n_total > FS_PROBLEMS_MAX ? problems->n_total - FS_PROBLEMS_MAX : 0;

	for (uint64_t i = first; i < problems->n_total; i++)
		fprintf(out, "error: %s\n", problems->text[i % FS_PROBLEMS_MAX]);
}

static struct zk_blob *status_text(const struct fs *fs)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct zk_blob *blob = NULL;

	if (!out)
		return NULL;
	fprintf(out, "version: %s\n", ZKFS_VERSION);
	fprintf(out, "hosts: %s\n", fs->options->hosts_text);
	print_session(out, fs);
	print_watches(out, fs);
	print_tree(out, fs);
	print_problems(out, &fs->problems);
	if (fclose(out) == 0)
		blob = zk_blob_new(text, (uint32_t)size);
	free(text);
	return blob;
}

struct zk_blob *fs_control_text(const struct fs *fs, enum fs_kind kind)
{
	return kind == FS_KIND_METRICS ? fs_metrics(fs) : status_text(fs);
}
