/* SPDX-License-Identifier: Apache-2.0 */
/* The queues of what is to be told, and what it comes to when its turn has come. */
#include "fs/notice.h"

#include <stdlib.h>
#include <string.h>

#include "fs/children.h"
#include "fs/clock.h"
#include "fs/entry.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/list.h"
#include "fs/names.h"
#include "fs/notifier.h"
#include "fs/options.h"
#include "fs/pages.h"
#include "fs/watch.h"

/* How often an event that could not be made is tried again, and how soon at first; then later and
 * later. */
#define FAILED_MAX 5
#define FAILED_NS (5 * FS_MS)
/* How long what was heard of later waits for a change that is not known yet. */
#define HOLD_NS (100 * FS_MS)

struct fs_notice {
	TAILQ_ENTRY(fs_notice) link;     /* of its queue */
	TAILQ_ENTRY(fs_notice) all_link; /* of fs->all_notices, in the same order */
	struct fs_notices *queue;
	int64_t since;          /* when it took its place (fs_clock_now()) */
	struct fs_inode *inode; /* a reference; NULL: the names of the directory */
	unsigned n_awaited;     /* answers that will tell what it is */
	bool handed;            /* to the notifier */
	unsigned n_failed;      /* times */
	int64_t due;            /* then: not before */
	bool again;             /* and there is more meanwhile */
	bool invalidate;        /* the kernel's caches of it are to go, whatever else */
	bool closed_late;
	bool leaves; /* the name is to be taken from it */
};

struct fs_notices {
	struct fs_inode *dir; /* a reference */
	TAILQ_HEAD(fs_notice_list, fs_notice) list;
	struct fs_notice *names; /* the one of the names, or NULL */
	bool expects_names;      /* one of its n_awaited is the list */
	size_t n_leaving;        /* names that are to be taken from who bore them */
};

/* What an inode is told about is told in its directory; the root has none. */
static struct fs_inode *place_of(struct fs_inode *inode)
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

static void notice_free(struct fs *fs, struct fs_notice *notice)
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
		return notice_new(fs, place_of(inode), inode);
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

static bool is_told(const struct fs_inode *inode)
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

void fs_notice_named_here(struct fs_inode *inode)
{
	inode->told = true;
	fs_notice_local(inode);
}

bool fs_notice_is_settled(const struct fs_inode *inode)
{
	return !inode->notice && is_told(inode);
}

void fs_notice_learned(struct fs *fs, struct fs_inode *inode)
{
	struct fs_notice *notice;
	bool renewed = inode->renew && inode->stat.version == inode->renewed_version;

	inode->renew = false;
	if (is_told(inode))
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

void fs_notice_takes_name(struct fs *fs, const struct fs_inode *gone)
{
	struct fs_inode *bearer = fs_inode_by_name(&fs->inodes, gone->parent, gone->name->name);

	if (!bearer || !bearer->told)
		return;
	bearer->told = false;
	if (bearer->exists) /* otherwise its commit does it */
		owe(fs, bearer);
}

bool fs_notice_any_leaves(const struct fs_inode *dir)
{
	return dir->notices && dir->notices->n_leaving > 0;
}

void fs_notice_gone(struct fs *fs, struct fs_inode *inode)
{
	struct fs_notice *notice;

	if (inode->parent)
		fs_names_add(&inode->parent->gone, inode->name->name);
	if (inode->parent && inode->parent->shown_early && !inode->removed)
		inode->told = true;
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
	inode->told = false;
	fs_names_add(&inode->parent->gone, inode->name->name);
}

void fs_notice_moved_here(struct fs *fs, struct fs_inode *inode)
{
	struct fs_notice *notice = inode->notice;
	struct fs_notices *old, *new;

	inode->told = true;
	if (!notice)
		return;
	old = notice->queue;
	old->n_leaving -= notice->leaves ? 1 : 0;
	notice->leaves = false;
	new = queue_of(fs, place_of(inode));
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
		if (notice->leaves && strcmp(notice->inode->name->name, name) == 0)
			notice->inode->told = false;
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
static void names_told(struct fs *fs, struct fs_inode *dir)
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
		names_told(fs, dir);
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

/* Jobs */

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
	job->dir = fs_inode_ref(place_of(inode));
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

void fs_notice_evict(struct fs *fs, struct fs_inode *inode)
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
	if (!is_told(inode))
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

/* Hands it to the notifier; false: there was nothing to tell, and it is gone. */
static bool tell(struct fs *fs, struct fs_notice *notice)
{
	struct fs_inode *inode = notice->inode;
	enum fs_event event;
	struct fs_job *job;

	if (!inode) {
		names_told(fs, notice->queue->dir);
		notice_free(fs, notice);
		return false;
	}
	event = event_of(notice);
	/* Nobody can see into a directory that is gone. */
	if (inode->parent && !inode->parent->linked && !inode->parent->told)
		event = FS_EVENT_NONE;
	if (event == FS_EVENT_NONE && !(notice->invalidate && inode->linked)) {
		notice_free(fs, notice);
		return false;
	}
	if (event == FS_EVENT_MODIFY && inode->stat.version > inode->told_version)
		fs->counters.coalesced_events +=
			(uint64_t)(inode->stat.version - inode->told_version - 1);
	if (inode->linked && inode->exists)
		fs_notice_named_here(inode);
	else
		inode->told = false;
	job = job_new(fs, inode, event);
	if (!job) {
		notice_free(fs, notice);
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

int64_t fs_notices_run(struct fs *fs)
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

	if (job->event == FS_EVENT_CREATE || job->event == FS_EVENT_MKDIR)
		inode->told = false;
	if (job->event == FS_EVENT_MODIFY)
		inode->told_mzxid = -1; /* no znode has it */
	if (job->event == FS_EVENT_CLOSE_WRITE)
		job->notice->closed_late = true;
	if (job->event == FS_EVENT_UNLINK || job->event == FS_EVENT_RMDIR)
		inode->told = !inode->removed;
	job->notice->again = true;
	job->notice->due = fs_clock_now() + (FAILED_NS << job->notice->n_failed++);
}

void fs_notice_done(struct fs *fs, struct fs_job *job)
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
				take_out(fs, notice);
				append(fs, notice);
			}
		} else {
			notice_free(fs, notice);
		}
	}
	job_free(fs, job);
}

void fs_notices_free(struct fs *fs)
{
	struct fs_eviction *eviction;

	if (fs->job)
		job_free(fs, fs->job);
	fs->job = NULL;
	while (!TAILQ_EMPTY(&fs->all_notices))
		notice_free(fs, TAILQ_FIRST(&fs->all_notices));
	while ((eviction = STAILQ_FIRST(&fs->evictions))) {
		STAILQ_REMOVE_HEAD(&fs->evictions, link);
		fs_inode_unref(&fs->inodes, eviction->inode);
		free(eviction);
	}
}
