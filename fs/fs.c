/* SPDX-License-Identifier: Apache-2.0 */
/* The mounted tree as a whole: its parts, its limits, its problems. */
#include "fs/fs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/commit.h"
#include "fs/device.h"
#include "fs/dir.h"
#include "fs/file.h"
#include "fs/fill.h"
#include "fs/log.h"
#include "fs/notice.h"
#include "fs/options.h"
#include "fs/request.h"
#include "fs/tell.h"
#include "fs/special.h"
#include "zk/acl.h"
#include "zk/client.h"
#include "zk/hosts.h"

static struct zk_acl *acl_of(enum fs_acl_policy policy)
{
	switch (policy) {
	case FS_ACL_CREATOR:
		return zk_acl_new_creator();
	case FS_ACL_READ:
		return zk_acl_new_read();
	case FS_ACL_OPEN:
		break;
	}
	return zk_acl_new_open();
}

/* A value of max_data bytes, and what a request has around it. */
size_t fs_packet_max(const struct fs_options *options)
{
	size_t with_data = options->max_data + 8192;

	return with_data > ZK_PACKET_MAX_DEFAULT ? with_data : ZK_PACKET_MAX_DEFAULT;
}

int fs_init(struct fs *fs, const struct fs_options *options, struct zk_client *zk)
{
	struct timespec now;

	memset(fs, 0, sizeof(*fs));
	fs->options = options;
	fs->zk = zk;
	fs->max_data = options->max_data ? options->max_data : UINT64_MAX;
	LIST_INIT(&fs->requests);
	fs->packet_max = fs_packet_max(options);
	LIST_INIT(&fs->files);
	LIST_INIT(&fs->dirs);
	LIST_INIT(&fs->specials);
	TAILQ_INIT(&fs->creations);
	fs_ephemerals_init(fs);
	TAILQ_INIT(&fs->held);
	TAILQ_INIT(&fs->unloaded);
	TAILQ_INIT(&fs->fills);
	TAILQ_INIT(&fs->calms);
	TAILQ_INIT(&fs->all_notices);
	STAILQ_INIT(&fs->evictions);
	clock_gettime(CLOCK_REALTIME, &now);
	fs->start_time = now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
	fs->acl = acl_of(options->acl);
	if (!fs->acl)
		return -ENOMEM;
	fs->acl_size = zk_acl_wire_size(fs->acl);
	fs->device = fs_device_new();
	if (!fs->device || fs_inodes_init(&fs->inodes, options->hosts->chroot) < 0) {
		fs_device_free(fs->device);
		zk_acl_free(fs->acl);
		return -ENOMEM;
	}
	return 0;
}

void fs_close_files(struct fs *fs, bool interrupted)
{
	struct fs_file *file, *next;

	for (file = LIST_FIRST(&fs->files); file; file = next) {
		next = LIST_NEXT(file, fs_link);
		if (file->released)
			continue;
		if (interrupted)
			fs_commit_discard(file);
		fs_file_release(file);
	}
}

bool fs_is_committing(const struct fs *fs)
{
	const struct fs_file *file;

	LIST_FOREACH (file, &fs->files, fs_link)
		if (file->commit)
			return true;
	return false;
}

void fs_done(struct fs *fs)
{
	struct fs_request *request;
	struct fs_file *file;

	fs_fill_stop_all(fs); /* requests wait for them, and are told */
	while ((request = LIST_FIRST(&fs->requests))) {
		if (request->op)
			zk_op_cancel(request->op);
		fs_request_fail(request, -ENOTCONN);
	}
	while (!LIST_EMPTY(&fs->dirs))
		fs_dir_free(LIST_FIRST(&fs->dirs));
	while ((file = LIST_FIRST(&fs->files))) {
		fs_commit_abandon(file);
		fs_file_unref(file);
	}
	fs_specials_done(fs);
	fs_ephemerals_done(fs);
	fs_tell_stop(fs);
	fs_notices_free(fs);
	fs_inodes_done(&fs->inodes);
	fs_device_free(fs->device);
	zk_acl_free(fs->acl);
}

void fs_problem(struct fs *fs, const char *format, ...)
{
	struct fs_problems *problems = &fs->problems;
	char text[sizeof(problems->text[0])];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (size_t i = 0; i < FS_PROBLEMS_MAX && i < problems->n_total; i++)
		if (strcmp(problems->text[i], text) == 0)
			return;
	fs_log(FS_LOG_WARNING, "%s", text);
	strcpy(problems->text[problems->n_total++ % FS_PROBLEMS_MAX], text);
}

bool fs_may_serve_stale(const struct fs *fs)
{
	struct zk_client_info info;

	if (fs->options->stale == FS_STALE_SERVE)
		return true;
	zk_client_get_info(fs->zk, &info);
	return !info.expired;
}

bool fs_may_tell_known(const struct fs *fs)
{
	return zk_client_connected(fs->zk) || fs_may_serve_stale(fs);
}

size_t fs_count_files(const struct fs *fs)
{
	const struct fs_file *file;
	size_t n = 0;

	LIST_FOREACH (file, &fs->files, fs_link)
		n++;
	return n;
}

uint64_t fs_max_data(const struct fs *fs, const char *path, bool create)
{
	uint64_t fits = create ? zk_client_create_max(fs->zk, path, fs->acl_size)
			       : zk_client_set_max(fs->zk, path);

	return fits < fs->max_data ? fits : fs->max_data;
}
