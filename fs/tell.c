/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is, what its notice comes to by then, and the one job that the notifier has. */
#include "fs/tell.h"

#include <stdlib.h>
#include <string.h>

#include "fs/clock.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/notice.h"
#include "fs/notice_private.h"
#include "fs/notifier.h"
#include "fs/pages.h"
#include "fs/watch.h"

/* How often an event that could not be made is tried again, and how soon at first; then later and
 * later. */
#define FAILED_MAX 5
#define FAILED_NS (5 * FS_MS)
/* How long what was heard of later waits for a change that is not known yet. */
#define HOLD_NS (100 * FS_MS)

static struct fs_job *job_new(struct fs *fs, struct fs_inode *inode, enum fs_event event)
{
	struct fs_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->path = fs_inode_shown_path(inode);
	if (!job->path) {
		free(job);
		return NULL;
	}
	job->event = event;
	job->name = strrchr(job->path, '/') ? strrchr(job->path, '/') + 1 : job->path;
	job->inode = fs_inode_ref(inode);
	job->dir = fs_inode_ref(fs_notice_place(inode));
	job->node_id = inode->nodeid;
	job->dir_id = job->dir->nodeid;
	job->has_data = inode->stat.data_length > 0;
	fs->job = job;
	return job;
}

static void job_free(struct fs *fs, struct fs_job *job)
{
	fs_inode_unref(&fs->inodes, job->inode);
	fs_inode_unref(&fs->inodes, job->dir);
	free(job->path);
	free(job);
}

void fs_tell_evict(struct fs *fs, struct fs_inode *inode)
{
	struct fs_eviction *eviction = malloc(sizeof(*eviction));

	if (!eviction) {
		fs_watch_evicted(fs, inode);
		return;
	}
	eviction->inode = fs_inode_ref(inode);
	STAILQ_INSERT_TAIL(&fs->evictions, eviction, link);
}

static bool is_committing(const struct fs_inode *inode)
{
	const struct fs_file *file;

	LIST_FOREACH (file, &inode->files, inode_link)
		if (file->commit)
			return true;
	return false;
}

/* If it is not we are called again when it is. */
static bool is_due(struct fs *fs, int64_t due)
{
	if (due <= fs_clock_now())
		return true;
	if (due < fs->notice_due)
		fs->notice_due = due;
	return false;
}

/* Has who reads the old state had time to end? */
static bool is_calm(struct fs *fs, const struct fs_inode *inode)
{
	int64_t until = inode->linked ? fs_pages_busy_until(inode) : 0;

	return until == 0 || is_due(fs, until);
}

static enum fs_event event_of(const struct fs_notice *notice)
{
	const struct fs_inode *inode = notice->inode;
	bool is_dir = fs_kind_is_dir(inode->kind);

	if (!inode->linked)
		return !inode->told ? FS_EVENT_NONE : is_dir ? FS_EVENT_RMDIR : FS_EVENT_UNLINK;
	if (!inode->exists)
		return FS_EVENT_NONE;
	if (!inode->told)
		return is_dir ? FS_EVENT_MKDIR : FS_EVENT_CREATE;
	if (is_dir)
		return FS_EVENT_NONE;
	if (!fs_notice_is_told(inode))
		return FS_EVENT_MODIFY;
	return notice->closed_late ? FS_EVENT_CLOSE_WRITE : FS_EVENT_NONE;
}

enum turn {
	TURN_NOW,
	TURN_SOON,    /* what was heard of later comes later */
	TURN_PUT_OFF, /* nobody knows until when: the rest goes on */
};

/* It waits for an answer, or for readers; the others not too long for it. */
static enum turn hold_back(struct fs *fs, const struct fs_notice *notice)
{
	int64_t until = notice->since + HOLD_NS;

	if (fs_clock_now() >= until)
		return TURN_PUT_OFF;
	if (until < fs->notice_due)
		fs->notice_due = until;
	return TURN_SOON;
}

/* May it be told now, without waiting for anybody who waits for us? */
static enum turn turn_of(struct fs *fs, const struct fs_notice *notice)
{
	const struct fs_inode *dir = notice->queue->dir, *inode = notice->inode;

	if (TAILQ_FIRST(&notice->queue->list) != notice || dir->n_requests > 0)
		return TURN_PUT_OFF;
	if (notice->due && !is_due(fs, notice->due))
		return TURN_PUT_OFF;
	if (dir->parent && dir->linked && !dir->told)
		return TURN_PUT_OFF; /* the directory's own making comes first */
	if (inode && (inode->n_requests > 0 || is_committing(inode)))
		return TURN_PUT_OFF;
	if (inode && !inode->linked && inode->notices)
		return TURN_PUT_OFF; /* what was in it goes before it */
	if (notice->n_awaited > 0 && !(inode && event_of(notice) != FS_EVENT_NONE))
		return hold_back(fs, notice);
	if (inode && !is_calm(fs, inode))
		return hold_back(fs, notice);
	return TURN_NOW;
}

/* Nobody can get into a directory that is gone: the kernel, which has told that, lets us in as little. */
static bool can_be_reached(const struct fs_inode *inode)
{
	const struct fs_inode *dir;

	for (dir = inode->parent; dir; dir = dir->parent)
		if (!dir->linked && !dir->told)
			return false;
	return true;
}

/* Hands it to the notifier; false: there was nothing to tell, and it is gone. */
static bool tell(struct fs *fs, struct fs_notice *notice)
{
	struct fs_inode *inode = notice->inode;
	enum fs_event event;
	struct fs_job *job;

	if (!inode) {
		fs_notice_names_told(fs, notice->queue->dir);
		fs_notice_free(fs, notice);
		return false;
	}
	event = event_of(notice);
	if (!can_be_reached(inode))
		event = FS_EVENT_NONE;
	if (event == FS_EVENT_NONE && !(notice->invalidate && inode->linked)) {
		fs_notice_free(fs, notice);
		return false;
	}
	if (event == FS_EVENT_MODIFY && inode->stat.version > inode->told_version)
		fs->counters.coalesced_events +=
			(uint64_t)(inode->stat.version - inode->told_version - 1);
	if (inode->linked && inode->exists) {
		fs_notice_named_here(inode);
	} else {
		fs_notice_tells_name(inode);
		inode->told = inode->shown = false;
	}
	job = job_new(fs, inode, event);
	if (!job) {
		fs_notice_free(fs, notice);
		return false;
	}
	job->notice = notice;
	job->inval_node = inode->linked && event != FS_EVENT_CREATE && event != FS_EVENT_MKDIR;
	job->inval_name = !inode->linked && inode->parent &&
			  fs_inode_by_name(&fs->inodes, inode->parent, inode->name->name);
	job->lets_go = inode->linked && !fs_watch_is_held(inode);
	if (job->inval_node)
		fs_pages_turn(inode);
	notice->handed = true;
	notice->again = false;
	notice->invalidate = false;
	notice->closed_late = false;
	fs->counters.events[event]++;
	fs_notifier_start(fs->notifier, job);
	return true;
}

static bool tell_first(struct fs *fs)
{
	struct fs_notice *notice, *next;

	for (notice = TAILQ_FIRST(&fs->all_notices); notice; notice = next) {
		enum turn turn = turn_of(fs, notice);

		next = TAILQ_NEXT(notice, all_link);
		if (turn == TURN_SOON)
			return false;
		if (turn == TURN_NOW && tell(fs, notice))
			return true;
	}
	return false;
}

static bool evict_first(struct fs *fs)
{
	struct fs_eviction *eviction = STAILQ_FIRST(&fs->evictions);
	struct fs_job *job;

	if (!eviction)
		return false;
	STAILQ_REMOVE_HEAD(&fs->evictions, link);
	job = eviction->inode->linked ? job_new(fs, eviction->inode, FS_EVENT_NONE) : NULL;
	if (job) {
		job->inval_name = true;
		fs_notifier_start(fs->notifier, job);
	} else {
		fs_watch_evicted(fs, eviction->inode);
	}
	fs_inode_unref(&fs->inodes, eviction->inode);
	free(eviction);
	return job || evict_first(fs);
}

int64_t fs_tell_run(struct fs *fs)
{
	fs->notice_due = INT64_MAX;
	if (!fs->notifier || fs->job)
		return INT64_MAX;
	/* By turns: neither waits for the other's end. */
	fs->evicts_next = !fs->evicts_next;
	if (!(fs->evicts_next && evict_first(fs)) && !tell_first(fs))
		evict_first(fs);
	return fs->job ? INT64_MAX : fs->notice_due;
}

/* The kernel has refused, mostly because a rename of a directory on the way came in between. */
static void untell(struct fs_job *job)
{
	struct fs_inode *inode = job->inode;

	/* It may be gone by now: then those who have seen it are told that. */
	if (job->event == FS_EVENT_CREATE || job->event == FS_EVENT_MKDIR)
		inode->told = !inode->linked && inode->shown;
	if (job->event == FS_EVENT_MODIFY)
		inode->told_mzxid = -1; /* no znode has it */
	if (job->event == FS_EVENT_CLOSE_WRITE)
		job->notice->closed_late = true;
	if (job->event == FS_EVENT_UNLINK || job->event == FS_EVENT_RMDIR)
		inode->told = !inode->removed;
	job->notice->again = true;
	job->notice->due = fs_clock_now() + (FAILED_NS << job->notice->n_failed++);
}

void fs_tell_done(struct fs *fs, struct fs_job *job)
{
	struct fs_notice *notice = job->notice;

	fs->job = NULL;
	fs->counters.failed_events += job->failed;
	if (!notice) {
		fs_watch_evicted(fs, job->inode);
	} else {
		if (job->inval_node)
			fs_pages_turned(job->inode);
		notice->handed = false;
		if (job->failed && notice->n_failed < FAILED_MAX)
			untell(job);
		if (notice->again || notice->invalidate || notice->n_awaited > 0) {
			/* That it is gone comes before who bears its name now: it stays where it
			 * is. */
			if (job->inode->linked) {
				fs_notice_to_end(fs, notice);
			}
		} else {
			fs_notice_free(fs, notice);
		}
	}
	job_free(fs, job);
}

void fs_tell_stop(struct fs *fs)
{
	struct fs_eviction *eviction;

	if (fs->job)
		job_free(fs, fs->job);
	fs->job = NULL;
	while ((eviction = STAILQ_FIRST(&fs->evictions))) {
		STAILQ_REMOVE_HEAD(&fs->evictions, link);
		fs_inode_unref(&fs->inodes, eviction->inode);
		free(eviction);
	}
}
