/* SPDX-License-Identifier: Apache-2.0 */
/* The children of a directory, one question each. */
#include "fs/fill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/children.h"
#include "fs/clock.h"
#include "fs/container.h"
#include "fs/dir.h"
#include "fs/entry.h"
#include "fs/fs.h"
#include "fs/list.h"
#include "fs/notice.h"
#include "fs/options.h"
#include "fs/request.h"
#include "fs/watch.h"
#include "zk/path.h"

/* Children that are asked for at the same time: all in all, but those that somebody waits for. */
#define WINDOW 256

/* How many children of one directory, with two watches each, get three quarters of the budget. */
#define SHARE(watches) ((size_t)(watches)*3 / 8)

/* Up to here a directory is small. */
#define SMALL 128

/* How long a large one is left in peace, and while somebody lists it, or holds it open at least. */
#define PEACE_NS (20 * FS_MS)
#define LISTED_NS (1000 * FS_MS)

struct fs_fill {
	struct fs_inode *dir; /* a reference */
	uint64_t number;      /* not 0 */
	struct fs_list *list;
	size_t position;
	size_t n_asked; /* and not answered */
	size_t n_new;   /* that were asked for */
	size_t n_unwatched;
	bool starved; /* there was no room for some of these */
	bool stepping;
	int64_t due;          /* 0: it runs */
	int64_t listed_until; /* who lists it is not waited for any longer */
	struct fs_waiters waiters;
	TAILQ_ENTRY(fs_fill) link; /* of fs->fills */
};

/* One child that is asked for. */
struct probe {
	struct fs_request base;
	struct fs_fetch fetch;
	struct fs_inode *dir; /* a reference */
	uint64_t fill;        /* number of the one that asks; 0: the name is an arrival */
	char name[ZK_PATH_NAME_MAX + 1];
};

static void step(struct fs *fs, struct fs_fill *fill);

static void probe_free(struct fs_request *request)
{
	struct probe *probe = (struct probe *)request;

	fs_fetch_done(&probe->fetch);
	fs_inode_unref(&request->fs->inodes, probe->dir);
}

static bool is_pending(const struct fs_inode *inode)
{
	return inode && !inode->exists;
}

static void bind(struct probe *probe)
{
	struct fs *fs = probe->base.fs;
	struct fs_inode *inode = fs_inode_by_name(&fs->inodes, probe->dir, probe->name);

	if (!probe->dir->linked || is_pending(inode))
		return; /* a writer here has the name, and will learn of the other itself */
	inode = fs_entry_bind(fs, probe->dir, probe->name, probe->fetch.kind, &probe->fetch);
	/* A rename since it was asked: nobody knows what the watch is on. */
	if (inode && !inode->current && probe->fetch.n_moves != fs->n_moves)
		fs_watch_renew(fs, inode);
	fs_inode_unref(&fs->inodes, inode);
}

static void probed(struct fs_fetch *fetch, int r)
{
	struct probe *probe = fs_container_of(fetch, struct probe, fetch);
	struct fs *fs = probe->base.fs;
	struct fs_inode *dir = fs_inode_ref(probe->dir);
	struct fs_fill *fill = dir->fill;
	uint64_t number = probe->fill;

	if (r == 0)
		bind(probe);
	fs_request_end(&probe->base);
	fs->n_probes -= number ? 1 : 0;
	if (number == 0) {
		fs_notice_arrived(fs, dir);
	} else if (fill && fill->number == number) { /* not one that has begun since */
		fill->n_asked--;
		step(fs, fill);
	}
	fs_inode_unref(&fs->inodes, dir);
}

static int ask(struct fs *fs, struct fs_inode *dir, const char *name, uint64_t fill)
{
	struct probe *probe = fs_request_new_internal(fs, sizeof(*probe), probe_free);
	int r;

	if (!probe)
		return -ENOMEM;
	probe->dir = fs_inode_ref(dir);
	probe->fill = fill;
	strcpy(probe->name, name);
	probe->fetch = (struct fs_fetch){
		.fs = fs, .watch = true, .opp = &probe->base.op, .done = probed
	};
	r = fs_fetch_start(
		&probe->fetch, FS_FETCH_STAT, fs_inode_child_path(&fs->inodes, dir, name));
	if (r < 0)
		fs_request_end(&probe->base);
	return r;
}

void fs_fill_arrival(struct fs *fs, struct fs_inode *dir, const char *name)
{
	if (ask(fs, dir, name, 0) == 0)
		fs_notice_arrives(fs, dir);
}

static void wake(struct fs_waiters *waiters)
{
	struct fs_waiter *waiter;

	while ((waiter = STAILQ_FIRST(waiters))) {
		STAILQ_REMOVE_HEAD(waiters, link);
		waiter->done(waiter, 0);
	}
}

static void fill_free(struct fs *fs, struct fs_fill *fill)
{
	struct fs_inode *dir = fill->dir;
	struct fs_waiters waiters;

	if (fs->next_fill == fill)
		fs->next_fill = TAILQ_NEXT(fill, link);
	TAILQ_REMOVE(&fs->fills, fill, link);
	dir->fill = NULL;
	STAILQ_INIT(&waiters);
	STAILQ_CONCAT(&waiters, &fill->waiters);
	fs_list_unref(fill->list);
	free(fill);
	wake(&waiters);
	fs_inode_unref(&fs->inodes, dir);
}

/* Is it known by now, or being asked for? */
static bool is_known(struct fs *fs, const struct fs_inode *dir, const char *name)
{
	const struct fs_inode *inode = fs_inode_by_name(&fs->inodes, dir, name);

	return inode && (!inode->exists || inode->current || inode->refetch);
}

/* What there is no room for. */
static void skip(struct fs_fill *fill, bool starved)
{
	fill->n_unwatched++;
	fill->starved = fill->starved || starved;
}

/* False: not now. */
static bool fill_child(struct fs *fs, struct fs_fill *fill, const char *name)
{
	bool has_room = fs_watch_has_room(fs);

	if (is_known(fs, fill->dir, name))
		return true;
	if (!has_room && fs_watch_makes_room(fs))
		return false;
	if (!has_room || fill->n_new >= SHARE(fs->options->watches)) {
		skip(fill, !has_room);
	} else if (ask(fs, fill->dir, name, fill->number) < 0) {
		skip(fill, true);
	} else {
		fs->n_probes++;
		fill->n_asked++;
		fill->n_new++;
	}
	return true;
}

static void fill_end(struct fs *fs, struct fs_fill *fill)
{
	fill->dir->n_unwatched = fill->n_unwatched;
	if (fill->starved)
		fs_watch_starved(fs, fill->dir);
	fill_free(fs, fill);
}

static bool may_ask(const struct fs *fs, const struct fs_fill *fill)
{
	if (!STAILQ_EMPTY(&fill->waiters))
		return fill->n_asked < WINDOW;
	return fs->n_probes < WINDOW;
}

static void step(struct fs *fs, struct fs_fill *fill)
{
	const struct fs_list *list = fill->list;
	bool waits = false;

	if (fill->due || fill->stepping)
		return;
	fill->stepping = true;
	for (; fill->position < list->n_names && may_ask(fs, fill); fill->position++) {
		waits = !fill_child(fs, fill, list->names[fill->position]);
		if (waits)
			break;
	}
	fill->stepping = false;
	if (fill->n_asked == 0 && fill->position == list->n_names)
		fill_end(fs, fill);
	else if (waits)
		wake(&fill->waiters); /* they may hold a lock that the pushing out needs */
}

void fs_fill_start(struct fs *fs, struct fs_inode *dir)
{
	struct fs_fill *fill = dir->fill;
	bool is_new = !fill;

	if (!dir->known_list || !dir->linked || !fs_watch_is_held(dir))
		return;
	if (is_new) {
		fill = calloc(1, sizeof(*fill));
		if (!fill)
			return;
		fill->dir = fs_inode_ref(dir);
		fill->number = ++fs->n_fills;
		STAILQ_INIT(&fill->waiters);
		TAILQ_INSERT_TAIL(&fs->fills, fill, link);
		dir->fill = fill;
	}
	fs_list_unref(fill->list);
	fill->list = fs_list_ref(dir->known_list);
	fill->position = 0;
	fill->n_new = 0;
	fill->n_unwatched = 0;
	fill->starved = false;
	if (is_new && fill->list->n_names > SMALL) {
		fill->due = fs_clock_now() + PEACE_NS;
		fill->listed_until = fill->due + LISTED_NS;
	}
	step(fs, fill);
}

bool fs_fill_wait(struct fs *fs, struct fs_inode *dir, struct fs_waiter *waiter)
{
	if (!dir->fill || dir->fill->list->n_names > SMALL)
		return false;
	STAILQ_INSERT_TAIL(&dir->fill->waiters, waiter, link);
	step(fs, dir->fill); /* not in the background any more */
	return true;
}

void fs_fill_cancel(struct fs_inode *dir, struct fs_waiter *waiter)
{
	if (dir->fill)
		STAILQ_REMOVE(&dir->fill->waiters, waiter, fs_waiter, link);
}

void fs_fill_stop(struct fs *fs, struct fs_inode *dir)
{
	if (dir->fill)
		fill_free(fs, dir->fill);
}

size_t fs_fill_count(const struct fs *fs)
{
	const struct fs_fill *fill;
	size_t n = 0;

	TAILQ_FOREACH (fill, &fs->fills, link)
		n++;
	return n;
}

void fs_fill_stop_all(struct fs *fs)
{
	while (!TAILQ_EMPTY(&fs->fills))
		fill_free(fs, TAILQ_FIRST(&fs->fills));
}

/* Does somebody list it just now? */
static bool is_listed(const struct fs *fs, const struct fs_inode *dir)
{
	const struct fs_dir *open;

	LIST_FOREACH (open, &fs->dirs, fs_link)
		if (open->inode == dir && open->window)
			return true;
	return false;
}

int64_t fs_fill_run(struct fs *fs)
{
	int64_t now = fs_clock_now(), next = INT64_MAX;
	struct fs_fill *fill;

	fs->next_fill = TAILQ_FIRST(&fs->fills);
	/* There may be thousands, and this is called often. */
	while ((fill = fs->next_fill) && fs->n_probes < WINDOW) {
		fs->next_fill = TAILQ_NEXT(fill, link); /* or another one, if that ends meanwhile */
		/* The end of the listing wakes us. */
		if (fill->due != 0 && now < fill->listed_until && is_listed(fs, fill->dir)) {
			next = fill->listed_until < next ? fill->listed_until : next;
			continue;
		}
		if (fill->due > now) {
			next = fill->due < next ? fill->due : next;
			continue;
		}
		fill->due = 0;
		step(fs, fill);
	}
	return next;
}
