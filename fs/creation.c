/* SPDX-License-Identifier: Apache-2.0 */
/* WRITE to a special file. */
#include "fs/creation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/clock.h"
#include "fs/control.h"
#include "fs/ephemeral.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/line.h"
#include "fs/notice.h"
#include "fs/request.h"
#include "fs/special.h"
#include "fs/watch.h"
#include "zk/blob.h"
#include "zk/op.h"
#include "zk/path.h"
#include "zk/sequence.h"

/* The longest wait for the kernel to be told. */
#define TELL_NS (100 * FS_MS)

struct fs_creation {
	struct fs_request base;
	struct fs_special *special; /* a reference */
	struct fs_line line;        /* without its data */
	struct zk_blob *data;
	char *path;
	size_t size; /* of the write */
	struct zk_sequence *sequence;

	char *name;       /* of what was made, while it is being told of; or NULL */
	int64_t deadline; /* of that */
	TAILQ_ENTRY(fs_creation) link;
};

static void creation_free(struct fs_request *request)
{
	struct fs_creation *creation = (struct fs_creation *)request;

	if (creation->name)
		TAILQ_REMOVE(&request->fs->creations, creation, link);
	zk_blob_unref(creation->data);
	free(creation->name);
	free(creation->path);
	fs_special_unref(creation->special);
}

static struct fs_inode *dir_of(const struct fs_creation *creation)
{
	return creation->special->inode->parent;
}

static void reply(struct fs_creation *creation)
{
	if (creation->base.req)
		fuse_reply_write(creation->base.req, creation->size);
	creation->base.req = NULL;
	fs_request_end(&creation->base);
}

static bool is_told(const struct fs_creation *creation)
{
	struct fs_inode *dir = dir_of(creation), *inode;

	if (!dir->linked || !fs_watch_is_held(dir))
		return true;
	inode = fs_inode_by_name(&creation->base.fs->inodes, dir, creation->name);
	return inode && inode->exists && fs_notice_is_settled(inode);
}

int64_t fs_creations_run(struct fs *fs)
{
	struct fs_creation *creation, *next;
	int64_t now = fs_clock_now(), due = INT64_MAX;

	for (creation = TAILQ_FIRST(&fs->creations); creation; creation = next) {
		next = TAILQ_NEXT(creation, link);
		if (creation->deadline <= now || is_told(creation) || !creation->base.req)
			reply(creation);
		else if (creation->deadline < due)
			due = creation->deadline;
	}
	return due;
}

static void reply_when_told(struct fs_creation *creation, const char *path)
{
	creation->base.cancel = NULL;
	if (dir_of(creation)->kernel_lists)
		creation->name = strdup(zk_path_base(path));
	if (!creation->name) {
		reply(creation);
		return;
	}
	creation->deadline = fs_clock_now() + TELL_NS;
	TAILQ_INSERT_TAIL(&creation->base.fs->creations, creation, link);
}

static void made(struct fs_creation *creation, const char *path, const struct zk_stat *stat)
{
	struct fs *fs = creation->base.fs;
	struct fs_special *special = creation->special;
	enum fs_kind kind = special->inode->kind;

	if (kind == FS_KIND_CREATE)
		fs_special_note(special, zk_path_base(path));
	if (creation->line.mode == ZK_CREATE_EPHEMERAL &&
		fs_ephemeral_add(
			fs, path, creation->data, stat, kind == FS_KIND_LEASE ? special : NULL) < 0)
		fs_problem(fs, "%s: not kept: out of memory", path);
	reply_when_told(creation, path);
}

static void failed(struct fs_creation *creation, int r)
{
	struct fs *fs = creation->base.fs;

	if (r == -EOPNOTSUPP)
		fs_problem(fs, "the servers have no %s",
			creation->line.mode == ZK_CREATE_TTL
				? "TTL znodes (zookeeper.extendedTypesEnabled)"
				: "container znodes");
	if ((r == -ETIMEDOUT || r == -EIO) && creation->line.mode == ZK_CREATE_EPHEMERAL &&
		!creation->line.sequential)
		fs_ephemeral_doubt(fs, creation->path);
	fs_request_fail(&creation->base, r);
}

static void created(void *userdata, int r, const struct zk_reply *zk_reply)
{
	struct fs_creation *creation = userdata;

	creation->base.op = NULL;
	if (r == 0)
		made(creation, creation->path, &zk_reply->stat);
	else
		failed(creation, r);
}

static void sequence_created(void *userdata, int r, const struct zk_sequence_reply *zk_reply)
{
	struct fs_creation *creation = userdata;

	creation->sequence = NULL;
	if (r == 0 && zk_reply->marked)
		fs_problem(creation->base.fs, "%s: an entry without permissions stays in its ACL",
			zk_reply->path);
	if (r == 0)
		made(creation, zk_reply->path, &zk_reply->stat);
	else
		failed(creation, r);
}

static void cancel_sequence(struct fs_request *request)
{
	struct fs_creation *creation = (struct fs_creation *)request;

	if (creation->sequence && zk_sequence_cancel(creation->sequence))
		fs_request_end(request);
}

static int start(struct fs_creation *creation)
{
	struct fs *fs = creation->base.fs;
	const struct fs_line *line = &creation->line;

	if (!line->sequential)
		return zk_create_ttl(fs->zk, creation->path, creation->data, fs->acl, line->mode,
			line->ttl_ms, 0, created, creation, &creation->base.op);
	creation->base.cancel = cancel_sequence;
	return zk_create_sequential(fs->zk, creation->path, creation->data, fs->acl, line->mode,
		line->ttl_ms, sequence_created, creation, &creation->sequence);
}

/* Takes the line over. A container is for what comes into it: without data it is a directory. */
static int prepare(struct fs_creation *creation)
{
	struct fs *fs = creation->base.fs;
	struct fs_line *line = &creation->line;
	bool is_null = !line->has_data && line->mode == ZK_CREATE_CONTAINER;

	creation->path = fs_inode_child_path(&fs->inodes, dir_of(creation), line->name);
	if (!creation->path)
		return -ENOMEM;
	if (line->data_size > fs_max_data(fs, creation->path, true))
		return -EFBIG;
	if (!is_null)
		creation->data =
			zk_blob_new(line->data_size ? line->data : NULL, (uint32_t)line->data_size);
	line->data = NULL;
	return is_null || creation->data ? 0 : -ENOMEM;
}

static int parse(struct fs *fs, const struct fs_special *special, const char *data, size_t size,
	struct fs_line *line)
{
	const struct fs_inode *dir = special->inode->parent;
	int r;

	if (size > fs->line_max)
		return -EFBIG;
	r = fs_line_parse(data, size, special->inode->kind == FS_KIND_CREATE, line);
	if (r == 0 && fs_control_reserved(dir, line->name))
		r = -EINVAL;
	if (r == 0 && !dir->linked)
		r = -ENOENT;
	return r;
}

void fs_creation_start(fuse_req_t req, struct fs_special *special, const char *data, size_t size)
{
	struct fs *fs = special->fs;
	struct fs_creation *creation;
	struct fs_line line;
	int r = parse(fs, special, data, size, &line);

	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	creation = fs_request_new(fs, req, sizeof(*creation), creation_free);
	if (!creation)
		return;
	creation->special = fs_special_ref(special);
	creation->line = line;
	creation->size = size;
	r = prepare(creation);
	if (r == 0)
		r = start(creation);
	if (r < 0)
		fs_request_fail(&creation->base, r);
}
