/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of an open file: the snapshot, and what was written over it or behind it. */
#include "fs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/clock.h"
#include "fs/fs.h"
#include "fs/pages.h"
#include "fs/proc.h"
#include "zk/blob.h"

static enum fs_file_mode mode_of(int flags)
{
	if (flags & O_TRUNC)
		return FS_FILE_REPLACE;
	if ((flags & O_ACCMODE) == O_RDONLY)
		return FS_FILE_READ;
	return flags & O_APPEND ? FS_FILE_APPEND : FS_FILE_CHANGE;
}

struct fs_file *fs_file_new(struct fs *fs, struct fs_inode *inode, int flags, pid_t opener_tid)
{
	struct fs_file *file = calloc(1, sizeof(*file));
	pid_t opener = -1;

	if (!file)
		return NULL;
	if (mode_of(flags) != FS_FILE_READ)
		opener = fs_proc_process(opener_tid);
	file->fs = fs;
	file->n_refs = 1;
	file->inode = fs_inode_ref(inode);
	file->mode = mode_of(flags);
	file->access = flags & O_ACCMODE;
	file->appends = file->mode == FS_FILE_REPLACE && (flags & O_APPEND);
	file->direct = flags & O_DIRECT;
	file->opener = opener;
	file->has_bytes = file->mode == FS_FILE_REPLACE;
	file->base_time = fs_clock_now();
	STAILQ_INIT(&file->waiters);
	LIST_INSERT_HEAD(&inode->files, file, inode_link);
	LIST_INSERT_HEAD(&fs->files, file, fs_link);
	return file;
}

struct fs_file *fs_file_ref(struct fs_file *file)
{
	file->n_refs++;
	return file;
}

void fs_file_unref(struct fs_file *file)
{
	if (--file->n_refs > 0)
		return;
	if (file->cached)
		fs_pages_closed(file);
	LIST_REMOVE(file, inode_link);
	LIST_REMOVE(file, fs_link);
	fs_inode_unref(&file->fs->inodes, file->inode);
	zk_blob_unref(file->base);
	free(file->bytes);
	free(file);
}

void fs_file_set_base(struct fs_file *file, struct zk_blob *base, const struct zk_stat *stat)
{
	zk_blob_ref(base);
	zk_blob_unref(file->base);
	file->base = base;
	file->base_stat = *stat;
	file->moved = false;
	file->has_base = true;
	file->base_time = fs_clock_now();
}

/* No znode ever has it. */
#define OVERTAKEN_VERSION INT32_MIN

void fs_file_move_base(struct fs_file *file, const struct zk_stat *was, const struct zk_stat *now)
{
	bool same = file->base_stat.version == was->version;

	if (!file->has_base || (!file->moved && file->base_stat.czxid != was->czxid))
		return;
	file->base_stat = *now;
	file->moved = now->czxid == 0;
	if (!same)
		file->base_stat.version = OVERTAKEN_VERSION;
}

void fs_file_found(struct fs_file *file, const struct zk_stat *stat)
{
	file->base_stat.czxid = stat->czxid;
	file->moved = false;
}

static size_t base_size(const struct fs_file *file)
{
	return file->base ? file->base->len : 0;
}

bool fs_file_has_own_size(const struct fs_file *file)
{
	return file->has_bytes || file->n_bytes > 0;
}

uint64_t fs_file_size(const struct fs_file *file)
{
	return (file->has_bytes ? 0 : base_size(file)) + file->n_bytes;
}

static int make_room(struct fs_file *file, size_t size)
{
	size_t room = file->bytes_room ? file->bytes_room : 4096;
	char *bytes;

	while (room < size)
		room *= 2;
	if (room == file->bytes_room)
		return 0;
	bytes = realloc(file->bytes, room);
	if (!bytes)
		return -ENOMEM;
	file->bytes = bytes;
	file->bytes_room = room;
	return 0;
}

/* From the first change on, the file has bytes of its own. */
static int take_over_base(struct fs_file *file)
{
	int r;

	if (file->has_bytes)
		return 0;
	r = make_room(file, fs_file_size(file));
	if (r < 0)
		return r;
	if (file->base) {
		memmove(file->bytes + file->base->len, file->bytes, file->n_bytes);
		memcpy(file->bytes, file->base->data, file->base->len);
		file->n_bytes += file->base->len;
	}
	file->has_bytes = true;
	return 0;
}

static void changed(struct fs_file *file)
{
	file->dirty = true;
	file->touch = false;
	file->only_name = false;
	file->killed = false;
}

/* Makes it a file that appends, or one that does not, as the first write has it. */
static int take_mode(struct fs_file *file, bool append)
{
	int r;

	if (append && file->mode == FS_FILE_CHANGE && !file->has_bytes)
		file->mode = FS_FILE_APPEND;
	if (append && file->mode == FS_FILE_APPEND)
		return 0;
	r = take_over_base(file);
	if (r < 0)
		return r;
	if (file->mode == FS_FILE_APPEND)
		file->mode = FS_FILE_CHANGE; /* what was there before is now part of it */
	file->appends = file->appends && append;
	return 0;
}

int fs_file_write(struct fs_file *file, const char *data, size_t size, uint64_t offset, bool append,
	uint64_t max)
{
	int r = take_mode(file, append);

	if (append)
		offset = file->n_bytes;
	if (r < 0)
		return r;
	if (offset > max || size > max - offset ||
		(!file->has_bytes && base_size(file) + offset + size > max)) {
		file->too_large = true;
		return -EFBIG;
	}
	r = make_room(file, offset + size);
	if (r < 0)
		return r;
	if (offset > file->n_bytes)
		memset(file->bytes + file->n_bytes, 0, offset - file->n_bytes);
	memcpy(file->bytes + offset, data, size);
	if (offset + size > file->n_bytes)
		file->n_bytes = offset + size;
	changed(file);
	return 0;
}

int fs_file_truncate(struct fs_file *file, uint64_t size, uint64_t max)
{
	int r;

	if (size > max)
		return -EFBIG;
	r = take_mode(file, false);
	if (r == 0)
		r = make_room(file, size);
	if (r < 0)
		return r;
	if (size > file->n_bytes)
		memset(file->bytes + file->n_bytes, 0, size - file->n_bytes);
	file->n_bytes = size;
	file->too_large = false;
	changed(file);
	return 0;
}

static int add_span(struct fs_span spans[2], int n, const char *data, size_t len, uint64_t *offset,
	size_t *size)
{
	size_t take;

	if (*offset >= len) {
		*offset -= len;
		return n;
	}
	take = len - *offset < *size ? len - *offset : *size;
	if (take == 0)
		return n;
	spans[n] = (struct fs_span){ data + *offset, take };
	*offset = 0;
	*size -= take;
	return n + 1;
}

int fs_file_read(const struct fs_file *file, size_t size, uint64_t offset, struct fs_span spans[2])
{
	int n = 0;

	if (!file->has_bytes && file->base)
		n = add_span(spans, n, file->base->data, file->base->len, &offset, &size);
	return add_span(spans, n, file->bytes, file->n_bytes, &offset, &size);
}

struct zk_blob *fs_file_content(const struct fs_file *file, const struct zk_blob *base)
{
	size_t base_len = !file->has_bytes && base ? base->len : 0;
	struct zk_blob *content = zk_blob_new(NULL, (uint32_t)(base_len + file->n_bytes));

	if (!content)
		return NULL;
	if (base_len)
		memcpy(content->data, base->data, base_len);
	if (file->n_bytes)
		memcpy(content->data + base_len, file->bytes, file->n_bytes);
	return content;
}

bool fs_file_any_dirty(const struct fs_inode *inode)
{
	const struct fs_file *file;

	LIST_FOREACH (file, &inode->files, inode_link)
		if (file->dirty || file->commit)
			return true;
	return false;
}
