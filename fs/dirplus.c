/* SPDX-License-Identifier: Apache-2.0 */
/*
 * READDIRPLUS: names with their attributes.
 *
 * The children that fit into one reply are asked for all at once. Who reads on from there (ls -l,
 * rsync) will want the next ones too: from then on a window of them is kept in flight, so that
 * ZooKeeper is never idle while the reader looks at what it has. Who only wants the names (ls) costs
 * no more than the first reply: the kernel then changes over to READDIR by itself.
 */
#include "fs/dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/clock.h"
#include "fs/container.h"
#include "fs/control.h"
#include "fs/entry.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/list.h"
#include "fs/request.h"

#define WINDOW 1024

/* What was asked for ahead of the reader is asked for again when it is older than this. */
#define ASKED_AHEAD_NS (100 * FS_MS)

/* The first reply is always a READDIRPLUS, wanted or not: short, so that a list of names is quick. */
#define FIRST_REPLY 32

enum child_state {
	CHILD_ASKED,
	CHILD_KNOWN,  /* it has an inode */
	CHILD_GONE,   /* deleted since the list was made */
	CHILD_OPAQUE, /* is there, but we cannot say more now */
};

struct child {
	struct fs_fetch fetch;
	struct zk_op *op;
	struct fs_dir *dir;
	uint64_t position;
	enum child_state state;
	struct fs_inode *inode; /* a reference; what is learned of it meanwhile counts */
	int64_t time;           /* of the answer (fs_clock_now()) */
};

struct fs_dir_window {
	uint64_t first, end;    /* positions in the ring */
	uint64_t last_read_end; /* where the last reply ended */

	/* The request that waits, its reply's positions, and how many of them are still asked for. */
	struct fs_request *waiting;
	size_t size;
	uint64_t reply_first, reply_end;
	size_t n_missing;

	struct child ring[WINDOW];
};

static struct child *child_at(struct fs_dir *dir, uint64_t position)
{
	return &dir->window->ring[position % WINDOW];
}

static uint64_t n_positions(const struct fs_dir *dir)
{
	return FS_DIR_FIRST_NAME + dir->list->n_names;
}

static const char *name_of(const struct fs_dir *dir, uint64_t position)
{
	return dir->list->names[position - FS_DIR_FIRST_NAME];
}

static void reply(struct fs_dir *dir);

static void child_fetched(struct fs_fetch *fetch, int r)
{
	struct child *child = fs_container_of(fetch, struct child, fetch);
	struct fs_dir_window *window = child->dir->window;

	/* Bound now: when the reader gets there the answer may be the past. */
	if (r == 0 && child->dir->inode->linked)
		child->inode = fs_entry_bind(fetch->fs, child->dir->inode,
			name_of(child->dir, child->position), fetch->kind, fetch);
	child->state = child->inode ? CHILD_KNOWN : r == -ENOENT ? CHILD_GONE : CHILD_OPAQUE;
	child->time = fs_clock_now();
	if (window->waiting && child->position >= window->reply_first &&
		child->position < window->reply_end && --window->n_missing == 0)
		reply(child->dir);
}

static void child_drop(struct child *child)
{
	if (child->op)
		zk_op_cancel(child->op);
	fs_fetch_done(&child->fetch);
	if (child->inode)
		fs_inode_unref(&child->dir->fs->inodes, child->inode);
	memset(child, 0, sizeof(*child));
}

/* Is there a znode of its own to ask for? */
static bool is_znode(const struct fs_dir *dir, uint64_t position)
{
	return position >= FS_DIR_FIRST_NAME && dir->inode->kind == FS_KIND_DIR && !dir->stale &&
	       strcmp(name_of(dir, position), FS_DATA_NAME) != 0;
}

/* Is all of it known already? */
static bool is_current(const struct fs_dir *dir, uint64_t position)
{
	const struct fs_inode *inode =
		fs_inode_by_name(&dir->fs->inodes, dir->inode, name_of(dir, position));

	return inode && inode->current;
}

static void child_ask(struct fs_dir *dir, uint64_t position)
{
	struct child *child = child_at(dir, position);

	child->dir = dir;
	child->position = position;
	child->state = CHILD_OPAQUE;
	if (!is_znode(dir, position) || is_current(dir, position))
		return;
	child->fetch = (struct fs_fetch){ .fs = dir->fs,
		.flags = ZK_OP_FAIL_FAST,
		.watch = true,
		.at = dir->inode,
		.name = name_of(dir, position),
		.opp = &child->op,
		.done = child_fetched };
	if (fs_fetch_start(&child->fetch, FS_FETCH_STAT,
		    fs_inode_child_path(&dir->fs->inodes, dir->inode, name_of(dir, position))) == 0)
		child->state = CHILD_ASKED;
}

/* How much of the buffer a reply has filled, and the inodes it gives out. */
struct reply {
	struct fs_request *request;
	struct fs_dir *dir;
	char *buffer;
	size_t size, used;
	struct fs_inode **given;
	size_t n_given;
};

/* The inode of a listed name, with a reference, or NULL: only the name is known. */
static struct fs_inode *listed_inode(struct fs_dir *dir, uint64_t position)
{
	struct child *child = child_at(dir, position);
	const char *name = name_of(dir, position);
	struct fs_fetch of_dir = { .stat = dir->inode->stat, .data = FS_DATA_UNKNOWN };
	struct fs_inode *known = fs_inode_by_name(&dir->fs->inodes, dir->inode, name);

	if (known && (known == child->inode || dir->stale || !known->exists || known->current))
		return fs_inode_ref(known);
	/* The list may be older than what is known now. */
	if (dir->inode->kind == FS_KIND_DIR && strcmp(name, FS_DATA_NAME) == 0 &&
		dir->inode->linked && dir->inode->stat.data_length > 0)
		return fs_entry_bind(dir->fs, dir->inode, name, FS_KIND_DATA, &of_dir);
	return NULL;
}

/* False: the buffer is full. */
static bool add_entry(struct reply *reply, uint64_t position, const char *name,
	const struct fuse_entry_param *entry)
{
	size_t room = reply->size - reply->used;
	size_t need = fuse_add_direntry_plus(reply->request->req, reply->buffer + reply->used, room,
		name, entry, (off_t)position + 1);

	if (need > room)
		return false;
	reply->used += need;
	return true;
}

static void add_dot(struct reply *reply, uint64_t position)
{
	const struct fs_inode *dir = reply->dir->inode;
	struct fuse_entry_param entry = { 0 };

	fs_attr_fill(reply->dir->fs, position == 1 && dir->parent ? dir->parent : dir, &entry.attr);
	add_entry(reply, position, position == 0 ? "." : "..", &entry);
}

static void add_name(struct reply *reply, uint64_t position)
{
	struct fs_dir *dir = reply->dir;
	struct fs_inode *inode = listed_inode(dir, position);
	struct fuse_entry_param entry = { .attr.st_ino = UINT32_MAX };

	if (!inode && child_at(dir, position)->state == CHILD_GONE)
		return;
	if (inode) {
		fs_entry_fill(dir->fs, inode, &entry);
		if (inode->exists && !fs_file_any_dirty(inode) && entry.attr_timeout == 0 &&
			!inode->notice)
			entry.attr_timeout = FS_ENTRY_LISTED_TIMEOUT;
	}
	if (add_entry(reply, position, name_of(dir, position), &entry) && inode) {
		fs_entry_given(dir->fs, inode);
		reply->given[reply->n_given++] = inode;
	}
	fs_inode_unref(&dir->fs->inodes, inode);
}

static void send(struct reply *reply)
{
	struct fs *fs = reply->dir->fs;
	int r = fuse_reply_buf(reply->request->req, reply->buffer, reply->used);

	reply->request->req = NULL;
	for (size_t i = 0; r < 0 && i < reply->n_given; i++)
		fs_entry_forget(fs, reply->given[i], 1);
}

static void read_chunk(struct fs_dir *dir, uint64_t offset);

static void reply(struct fs_dir *dir)
{
	struct fs_dir_window *window = dir->window;
	struct reply reply = { .request = window->waiting, .dir = dir, .size = window->size };
	uint64_t end = window->reply_end;

	reply.buffer = malloc(reply.size);
	reply.given = malloc(WINDOW * sizeof(*reply.given));
	if (!reply.buffer || !reply.given) {
		window->waiting = NULL;
		fs_request_fail(reply.request, -ENOMEM);
		goto out;
	}
	for (uint64_t position = window->reply_first; position < end; position++) {
		if (position < FS_DIR_FIRST_NAME)
			add_dot(&reply, position);
		else
			add_name(&reply, position);
	}
	window->last_read_end = end;
	if (reply.used == 0 && end < n_positions(dir)) {
		read_chunk(dir, end); /* an empty reply would be the end of the directory */
	} else {
		window->waiting = NULL;
		send(&reply);
		fs_request_end(reply.request);
	}
out:
	free(reply.buffer);
	free(reply.given);
}

/* The position behind the last entry that fits. */
static uint64_t find_end(const struct fs_dir *dir, uint64_t offset, size_t size)
{
	uint64_t end = offset, limit = offset + (offset == 0 ? FIRST_REPLY : WINDOW);
	size_t used = 0;

	if (limit > n_positions(dir))
		limit = n_positions(dir);
	for (; end < limit; end++) {
		const char *name = end < FS_DIR_FIRST_NAME ? ".." : name_of(dir, end);

		used += fuse_add_direntry_plus(dir->window->waiting->req, NULL, 0, name, NULL, 0);
		if (used > size)
			break;
	}
	return end;
}

/* Brings the window to begin at `offset`. */
static void move_window(struct fs_dir *dir, uint64_t offset)
{
	struct fs_dir_window *window = dir->window;
	bool outside = offset < window->first || offset > window->end;
	uint64_t keep = outside ? window->end : offset;

	for (; window->first < keep; window->first++)
		child_drop(child_at(dir, window->first));
	window->first = offset;
	if (outside)
		window->end = offset;
}

/* It was asked for ahead, and then the reader took its time. */
static bool is_old(const struct child *child)
{
	return child->time != 0 && fs_clock_now() - child->time > ASKED_AHEAD_NS;
}

/* Asks for what is missing, and replies as soon as nothing of the chunk is. */
static void read_chunk(struct fs_dir *dir, uint64_t offset)
{
	struct fs_dir_window *window = dir->window;
	bool reads_on = offset > 0 && offset == window->last_read_end;
	uint64_t ask_end;

	move_window(dir, offset);
	window->reply_first = offset;
	window->reply_end = find_end(dir, offset, window->size);
	ask_end = reads_on ? offset + WINDOW : window->reply_end;
	if (ask_end > n_positions(dir))
		ask_end = n_positions(dir);
	for (; window->end < ask_end; window->end++)
		child_ask(dir, window->end);
	window->n_missing = 0;
	for (uint64_t position = offset; position < window->reply_end; position++) {
		struct child *child = child_at(dir, position);

		if (is_old(child)) {
			child_drop(child);
			child_ask(dir, position);
		}
		window->n_missing += child->state == CHILD_ASKED;
	}
	if (window->n_missing == 0)
		reply(dir);
}

/* The caller does not wait any more; what was asked for serves the next. */
static void cancel(struct fs_request *request)
{
	struct fs_dir *dir = fs_readdir_dir(request);

	dir->window->waiting = NULL;
	fs_request_end(request);
}

void fs_dirplus_read(struct fs_request *request, struct fs_dir *dir, size_t size, uint64_t offset)
{
	if (!dir->window)
		dir->window = calloc(1, sizeof(*dir->window));
	if (!dir->window || offset > n_positions(dir)) {
		fs_request_fail(request, dir->window ? -EINVAL : -ENOMEM);
		return;
	}
	request->cancel = cancel;
	dir->window->waiting = request;
	dir->window->size = size;
	read_chunk(dir, offset);
}

void fs_dirplus_stop(struct fs_dir *dir)
{
	struct fs_dir_window *window = dir->window;

	if (!window)
		return;
	for (; window->first < window->end; window->first++)
		child_drop(child_at(dir, window->first));
	free(window);
	dir->window = NULL;
}
