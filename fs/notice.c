/* SPDX-License-Identifier: Apache-2.0 */
/* What is owed, and in which order it is to be told. */
#include "fs/notice.h"

#include <stdlib.h>
#include <string.h>

#include "fs/clock.h"
#include "fs/control.h"
#include "fs/fs.h"
#include "fs/list.h"
#include "fs/names.h"
#include "fs/notice_private.h"
#include "fs/watch.h"
#include "zk/blob.h"

/* What an inode is told about is told in its directory; the root has none. */
struct fs_inode *fs_notice_place(struct fs_inode *inode)
{
	return inode->parent ? inode->parent : inode;
}

static struct fs_notices *queue_of(struct fs *fs, struct fs_inode *dir)
{
	struct fs_notices *queue = dir->notices;

	if (queue)
		return queue;
	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return NULL;
	queue->dir = fs_inode_ref(dir);
	TAILQ_INIT(&queue->list);
	dir->notices = queue;
	return queue;
}

static void append(struct fs *fs, struct fs_notice *notice)
{
	notice->since = fs_clock_now();
	TAILQ_INSERT_TAIL(&notice->queue->list, notice, link);
	TAILQ_INSERT_TAIL(&fs->all_notices, notice, all_link);
}

static void insert_before(struct fs_notice *other, struct fs_notice *notice)
{
	notice->since = other->since;
	TAILQ_INSERT_BEFORE(other, notice, link);
	TAILQ_INSERT_BEFORE(other, notice, all_link);
}

static void take_out(struct fs *fs, struct fs_notice *notice)
{
	TAILQ_REMOVE(&notice->queue->list, notice, link);
	TAILQ_REMOVE(&fs->all_notices, notice, all_link);
}

void fs_notice_to_end(struct fs *fs, struct fs_notice *notice)
{
	take_out(fs, notice);
	append(fs, notice);
}

static struct fs_notice *notice_new(struct fs *fs, struct fs_inode *dir, struct fs_inode *inode)
{
	struct fs_notices *queue = queue_of(fs, dir);
	struct fs_notice *notice = queue ? calloc(1, sizeof(*notice)) : NULL;

	if (!notice)
		return NULL;
	notice->queue = queue;
	notice->inode = inode ? fs_inode_ref(inode) : NULL;
	/* What the names are about comes where they are. */
	if (inode && queue->names && (!inode->told || !inode->linked))
		insert_before(queue->names, notice);
	else
		append(fs, notice);
	if (inode)
		inode->notice = notice;
	fs->n_notices++;
	return notice;
}

static void queue_free_if_empty(struct fs *fs, struct fs_notices *queue)
{
	struct fs_inode *dir = queue->dir;

	if (!TAILQ_EMPTY(&queue->list))
		return;
	dir->notices = NULL;
	dir->shown_early = false;
	free(queue);
	fs_inode_unref(&fs->inodes, dir);
}

void fs_notice_free(struct fs *fs, struct fs_notice *notice)
{
	struct fs_notices *queue = notice->queue;

	take_out(fs, notice);
	queue->n_leaving -= notice->leaves ? 1 : 0;
	if (queue->names == notice)
		queue->names = NULL;
	if (notice->inode)
		notice->inode->notice = NULL;
	fs_inode_unref(&fs->inodes, notice->inode);
	free(notice);
	fs->n_notices--;
	queue_free_if_empty(fs, queue);
}

static struct fs_notice *owe(struct fs *fs, struct fs_inode *inode)
{
	if (!inode->notice)
		return notice_new(fs, fs_notice_place(inode), inode);
	inode->notice->again = true;
	return inode->notice;
}

void fs_notice_expect(struct fs *fs, struct fs_inode *inode)
{
	struct fs_notice *notice = owe(fs, inode);

	if (notice)
		notice->n_awaited++;
}

void fs_notice_known(struct fs *fs, struct fs_inode *inode)
{
	(void)fs;
	if (inode->notice && inode->notice->n_awaited > 0)
		inode->notice->n_awaited--;
}

static bool is_told_of(const struct fs_inode *inode, const struct zk_stat *stat)
{
	return inode->told && inode->told_mzxid == stat->mzxid &&
	       inode->told_version == stat->version;
}

bool fs_notice_is_told(const struct fs_inode *inode)
{
	return is_told_of(inode, &inode->stat);
}

bool fs_notice_was_told(const struct fs_inode *inode, const struct zk_stat *stat)
{
	return is_told_of(inode, stat) && !(inode->notice && inode->notice->handed);
}

void fs_notice_local(struct fs_inode *inode)
{
	inode->told_mzxid = inode->stat.mzxid;
	inode->told_version = inode->stat.version;
}

void fs_notice_tells_name(struct fs_inode *inode)
{
	if (inode->parent)
		inode->parent->n_told_names++;
}

void fs_notice_named_here(struct fs_inode *inode)
{
	if (!inode->told)
		fs_notice_tells_name(inode);
	inode->told = true;
	fs_notice_local(inode);
}

bool fs_notice_is_settled(const struct fs_inode *inode)
{
	return !inode->notice && fs_notice_is_told(inode);
}

void fs_notice_learned(struct fs *fs, struct fs_inode *inode, bool renewed)
{
	struct fs_notice *notice;

	inode->renew = false;
	inode->renewed_data = zk_blob_unref(inode->renewed_data);
	if (fs_notice_is_told(inode))
		return;
	if (renewed && inode->told) {
		fs_notice_local(inode);
		fs_notice_invalidate(fs, inode);
	} else if (!fs_watch_matters(inode)) {
		fs_notice_named_here(inode);
	} else {
		notice = owe(fs, inode);
		if (notice)
			notice->invalidate = true;
	}
}

/* Who bears the name from now on is told of behind it. */
static void leave(struct fs *fs, struct fs_notice *notice)
{
	struct fs_notices *queue = notice->queue;

	queue->n_leaving += notice->leaves ? 0 : 1;
	notice->leaves = true;
	if (notice->handed || !queue->names)
		return;
	take_out(fs, notice);
	insert_before(queue->names, notice);
}

/* Nothing keeps .data once the kernel has let go of it, but it is there as long as the data are. */
static struct fs_inode *bearer_of(struct fs *fs, struct fs_inode *dir, const char *name)
{
	struct fs_inode *bearer = fs_inode_by_name(&fs->inodes, dir, name);

	if (bearer)
		return fs_inode_ref(bearer);
	if (strcmp(name, FS_DATA_NAME) != 0 || !dir->linked || dir->stat.data_length == 0)
		return NULL;
	bearer = fs_inode_new(&fs->inodes, dir, name, FS_KIND_DATA);
	if (!bearer)
		return NULL;
	bearer->stat = dir->stat;
	bearer->exists = true;
	fs_notice_named_here(bearer);
	return bearer;
}

void fs_notice_takes_name(struct fs *fs, const struct fs_inode *gone)
{
	struct fs_inode *bearer = bearer_of(fs, gone->parent, gone->name->name);

	if (bearer && bearer->told) {
		bearer->told = false;
		if (bearer->exists) /* otherwise its commit does it */
			owe(fs, bearer);
	}
	fs_inode_unref(&fs->inodes, bearer);
}

bool fs_notice_any_leaves(const struct fs_inode *dir)
{
	return dir->notices && dir->notices->n_leaving > 0;
}

bool fs_notice_leaves(const struct fs_inode *dir, const char *name)
{
	const struct fs_notice *notice;

	if (!fs_notice_any_leaves(dir))
		return false;
	TAILQ_FOREACH (notice, &dir->notices->list, link)
		if (notice->leaves && strcmp(notice->inode->name->name, name) == 0)
			return true;
	return false;
}

void fs_notice_gone(struct fs *fs, struct fs_inode *inode)
{
	struct fs_notice *notice;

	if (inode->parent)
		fs_names_add(&inode->parent->gone, inode->name->name);
	if (inode->parent && inode->parent->shown_early && !inode->removed)
		inode->shown = true;
	/* Who has seen it, and listens, must not go on believing that it is there. */
	inode->told = inode->told || inode->shown;
	if (inode->told && inode->parent && fs_watch_matters(inode)) {
		notice = owe(fs, inode);
		if (notice)
			leave(fs, notice);
	} else {
		inode->told = false;
	}
}

void fs_notice_removed_here(struct fs_inode *inode)
{
	fs_notice_tells_name(inode);
	inode->told = false;
	inode->shown = false;
	fs_names_add(&inode->parent->gone, inode->name->name);
}

void fs_notice_moved_here(struct fs *fs, struct fs_inode *inode)
{
	struct fs_notice *notice = inode->notice;
	struct fs_notices *old, *new;

	fs_notice_tells_name(inode);
	inode->told = true;
	if (!notice)
		return;
	old = notice->queue;
	old->n_leaving -= notice->leaves ? 1 : 0;
	notice->leaves = false;
	new = queue_of(fs, fs_notice_place(inode));
	if (notice->handed || new == old || !new)
		return;
	take_out(fs, notice);
	notice->queue = new;
	append(fs, notice);
	queue_free_if_empty(fs, old);
}

void fs_notice_taken_here(struct fs_inode *dir, const char *name)
{
	struct fs_notice *notice;

	if (!fs_notice_any_leaves(dir))
		return;
	TAILQ_FOREACH (notice, &dir->notices->list, link)
		if (notice->leaves && strcmp(notice->inode->name->name, name) == 0) {
			notice->inode->told = false;
			notice->inode->shown = false;
		}
}

void fs_notice_closed_late(struct fs *fs, struct fs_inode *inode)
{
	struct fs_notice *notice = owe(fs, inode);

	if (notice)
		notice->closed_late = true;
}

void fs_notice_invalidate(struct fs *fs, struct fs_inode *inode)
{
	struct fs_notice *notice;

	if (!fs_watch_is_held(inode))
		return;
	notice = owe(fs, inode);
	if (notice)
		notice->invalidate = true;
}

/* Names */

static struct fs_notice *names_of(struct fs *fs, struct fs_inode *dir)
{
	if (dir->notices && dir->notices->names)
		return dir->notices->names;
	if (!notice_new(fs, dir, NULL))
		return NULL;
	dir->notices->names = TAILQ_LAST(&dir->notices->list, fs_notice_list);
	dir->notices->expects_names = false;
	return dir->notices->names;
}

struct forget {
	struct fs *fs;
	struct fs_inode *dir;
	struct fs_names *kept;
};

/* A name that the list still has, and nobody bears, has not been found again yet. */
static void keep_gone(void *userdata, const char *name)
{
	struct forget *forget = userdata;
	struct fs_inode *dir = forget->dir;

	if (fs_list_has(dir->known_list, name) && !fs_inode_by_name(&forget->fs->inodes, dir, name))
		fs_names_add(&forget->kept, name);
}

/* All that was to be told of the names has been. */
void fs_notice_names_told(struct fs *fs, struct fs_inode *dir)
{
	struct forget forget = { .fs = fs, .dir = dir };

	fs_list_unref(dir->told_list);
	dir->told_list = dir->known_list ? fs_list_ref(dir->known_list) : NULL;
	if (dir->known_list)
		fs_names_each(dir->gone, keep_gone, &forget);
	fs_names_clear(&dir->gone);
	dir->gone = forget.kept;
}

void fs_notice_expect_children(struct fs *fs, struct fs_inode *dir)
{
	struct fs_notice *names = names_of(fs, dir);

	if (!names || dir->notices->expects_names)
		return;
	dir->notices->expects_names = true;
	names->n_awaited++;
}

void fs_notice_children_known(struct fs *fs, struct fs_inode *dir, int r)
{
	struct fs_notices *queue = dir->notices;

	if (queue && queue->names) {
		queue->names->n_awaited -= queue->expects_names ? 1 : 0;
		queue->expects_names = false;
	} else if (r == 0) {
		fs_notice_names_told(fs, dir);
	}
}

void fs_notice_arrives(struct fs *fs, struct fs_inode *dir)
{
	struct fs_notice *names = names_of(fs, dir);

	if (names)
		names->n_awaited++;
}

void fs_notice_arrived(struct fs *fs, struct fs_inode *dir)
{
	(void)fs;
	if (dir->notices && dir->notices->names && dir->notices->names->n_awaited > 0)
		dir->notices->names->n_awaited--;
}

void fs_notice_lost_name(struct fs *fs, struct fs_inode *dir, const char *name)
{
	struct fs_inode *inode;

	if (fs_names_has(dir->gone, name))
		return;
	inode = fs_inode_new(&fs->inodes, dir, name, FS_KIND_FILE);
	if (!inode)
		return;
	inode->exists = true;
	inode->told = true;
	fs_watch_gone(fs, inode);
	fs_inode_unref(&fs->inodes, inode);
}

void fs_notices_free(struct fs *fs)
{
	while (!TAILQ_EMPTY(&fs->all_notices))
		fs_notice_free(fs, TAILQ_FIRST(&fs->all_notices));
}
