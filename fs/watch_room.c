/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The budget of watches: who is let go of when it runs short, and who was left out and comes in when
 * there is room again (watch.h).
 */
#include "fs/watch.h"

#include "fs/clock.h"
#include "fs/fill.h"
#include "fs/fs.h"
#include "fs/options.h"
#include "fs/tell.h"
#include "zk/watch.h"

/* Shares of the budget, of 1,024. From HIGH_WATER on what was used longest ago is let go, so many at
 * the same time; below LOW_WATER there is room for what was left out. */
#define HIGH_WATER 960
#define LOW_WATER 768
#define EVICTIONS_MAX 64

/* How soon what was in use is asked for again. */
#define IN_USE_NS (5000 * FS_MS)

/* Which share of the budget are `n` watches, of 1,024? */
static size_t share_of(const struct zk_watch_info *info, size_t n)
{
	return info->max ? n * 1024 / info->max : 1024;
}

bool fs_watch_has_room(struct fs *fs)
{
	struct zk_watch_info info;

	zk_watch_get_info(fs->zk, &info);
	return share_of(&info, info.n_wanted + info.n_leaving) < HIGH_WATER + 32;
}

bool fs_watch_makes_room(const struct fs *fs)
{
	return fs->n_in_use < fs->n_held;
}

void fs_watch_starved(struct fs *fs, struct fs_inode *dir)
{
	dir->starved = true;
	fs->any_starved = true;
}

/* All that the kernel holds is in use: some of it may not be any more by the next time. */
static void forget_use(struct fs *fs)
{
	struct fs_inode *inode;
	int64_t now = fs_clock_now();

	if (now - fs->in_use_time < IN_USE_NS)
		return;
	fs->in_use_time = now;
	fs->n_in_use = 0;
	TAILQ_FOREACH (inode, &fs->held, held_link)
		inode->in_use = false;
}

/* Asks the kernel to let go of those that were not used for longest. Whoever is passed over goes to
 * the end of the queue, so that it is not met again soon. */
static void evict(struct fs *fs)
{
	struct fs_inode *inode;

	if (fs->n_in_use + fs->n_evicting >= fs->n_held)
		forget_use(fs);
	for (int i = 0; i < 2 * EVICTIONS_MAX && fs->n_evicting < EVICTIONS_MAX &&
			fs->n_in_use + fs->n_evicting < fs->n_held;
		i++) {
		inode = TAILQ_FIRST(&fs->held);
		TAILQ_REMOVE(&fs->held, inode, held_link);
		TAILQ_INSERT_TAIL(&fs->held, inode, held_link);
		if (inode->in_use || inode->evicting || !inode->linked)
			continue;
		inode->evicting = true;
		fs->n_evicting++;
		fs_tell_evict(fs, inode);
	}
}

void fs_watch_evicted(struct fs *fs, struct fs_inode *inode)
{
	inode->evicting = false;
	fs->n_evicting--;
	if (!inode->listed)
		return;
	/* Where nobody uses it its FORGET is on its way. */
	fs->n_in_use += inode->in_use ? 0 : 1;
	inode->in_use = true;
}

/* Goes on with the directory, used last, that there was no room for. */
static void use_room(struct fs *fs)
{
	struct fs_inode *inode;

	TAILQ_FOREACH_REVERSE(inode, &fs->held, fs_inode_queue, held_link)
	{
		if (!inode->starved || inode->fill)
			continue;
		inode->starved = false;
		fs_fill_start(fs, inode);
		return;
	}
	fs->any_starved = false;
}

void fs_watch_make_room(struct fs *fs)
{
	struct zk_watch_info info;
	size_t share;

	zk_watch_get_info(fs->zk, &info);
	share = share_of(&info, info.n_wanted);
	if (share >= HIGH_WATER || fs->inodes.n_inodes > 2 * (size_t)fs->options->watches + 4096)
		evict(fs);
	else if (share < LOW_WATER && fs->any_starved)
		use_room(fs);
}
