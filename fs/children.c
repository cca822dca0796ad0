/* SPDX-License-Identifier: Apache-2.0 */
/* Asking for the names in a directory, and what has come and gone among them. */
#include "fs/children.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/cache.h"
#include "fs/control.h"
#include "fs/entry.h"
#include "fs/fill.h"
#include "fs/fs.h"
#include "fs/list.h"
#include "fs/names.h"
#include "fs/notice.h"
#include "fs/request.h"
#include "fs/watch.h"
#include "zk/path.h"

struct fs_children {
	struct fs_request base;
	struct fs_inode *inode; /* a reference */
	struct fs_waiters waiters;
	bool may_fail_fast;
	bool in_background; /* nobody waited for it when it began */
	uint64_t n_moves;   /* renames before it was asked */
};

static void children_free(struct fs_request *request)
{
	struct fs_children *children = (struct fs_children *)request;

	if (children->inode->loading == children)
		children->inode->loading = NULL;
	fs_inode_unref(&request->fs->inodes, children->inode);
}

/* A child that no path can lead to must not shadow, or be shadowed silently. */
static bool is_shown(struct fs *fs, const struct fs_inode *inode, const char *name)
{
	bool bad_name = zk_path_check_name(name, strlen(name)) < 0;
	char *path;

	if (!bad_name && !fs_control_reserved(inode, name))
		return true;
	path = fs_inode_path(&fs->inodes, inode);
	fs->counters.hidden_children++;
	fs_problem(fs, "%s: child \"%.64s\" is not shown: %s", path ? path : "?", name,
		bad_name ? "not a file name" : "the name is reserved");
	free(path);
	return false;
}

static struct fs_list *make_list(
	struct fs *fs, const struct fs_inode *inode, const struct zk_names *children)
{
	char **names = malloc((children->n_names + 1) * sizeof(*names));
	struct fs_list *list = NULL;
	size_t n = 0;

	for (size_t i = 0; names && i < children->n_names; i++)
		if (is_shown(fs, inode, children->names[i]))
			names[n++] = children->names[i];
	if (names)
		list = fs_list_new(names, n);
	free(names);
	if (list)
		fs_list_sort(list);
	return list;
}

struct difference {
	struct fs *fs;
	struct fs_inode *dir;
};

static void name_came(void *userdata, const char *name)
{
	const struct difference *difference = userdata;

	if (!fs_inode_by_name(&difference->fs->inodes, difference->dir, name))
		fs_fill_arrival(difference->fs, difference->dir, name);
}

/* It went, and is there again. */
static void name_came_back(void *userdata, const char *name)
{
	const struct difference *difference = userdata;

	if (fs_list_has(difference->dir->known_list, name))
		name_came(userdata, name);
}

static void name_went(void *userdata, const char *name)
{
	const struct difference *difference = userdata;
	struct fs_inode *dir = difference->dir;
	struct fs_inode *inode = fs_inode_by_name(&difference->fs->inodes, dir, name);

	if (inode && inode->exists)
		fs_watch_gone(difference->fs, inode);
	else if (!inode && (dir->shown_early || fs_list_has(dir->told_list, name)))
		fs_notice_lost_name(difference->fs, dir, name);
}

/* `old`: the names as they were known before, or NULL. */
static void tell_difference(struct fs *fs, struct fs_inode *dir, struct fs_list *old)
{
	struct difference difference = { .fs = fs, .dir = dir };

	if (old) {
		fs_list_each_only_in(old, dir->known_list, name_went, &difference);
		fs_list_each_only_in(dir->known_list, old, name_came, &difference);
		fs_names_each(dir->gone, name_came_back, &difference);
	}
}

static int take_list(struct fs *fs, struct fs_inode *dir, const struct zk_reply *reply)
{
	struct fs_list *list = make_list(fs, dir, &reply->names), *old;

	if (!list)
		return -ENOMEM;
	old = dir->told_list ? fs_list_ref(dir->known_list) : NULL;
	fs_list_unref(dir->known_list);
	dir->known_list = reply->watched ? fs_list_ref(list) : NULL;
	dir->children_current = reply->watched;
	fs_cache_put_list(&fs->inodes, dir, list);
	if (reply->watched)
		tell_difference(fs, dir, old);
	if (!reply->watched)
		fs_children_forget(dir);
	else if (!dir->told_list)
		dir->told_list = fs_list_ref(list);
	fs_list_unref(old);
	fs_list_unref(list);
	return 0;
}

static int take_reply(struct fs *fs, struct fs_inode *inode, const struct zk_reply *reply)
{
	struct fs_fetch fetch = {
		.stat = reply->stat, .kind = FS_KIND_DIR, .data = FS_DATA_UNKNOWN
	};
	bool has_children = reply->stat.cversion != 0 || reply->stat.num_children > 0;
	int r;

	if (inode->kind == FS_KIND_FILE) {
		inode->children_current = reply->watched && !has_children;
		if (has_children)
			fs_watch_renew(fs, inode);
		return 0;
	}
	r = fs_entry_revalidate(fs, inode, &fetch, 0);
	return r < 0 ? r : take_list(fs, inode, reply);
}

static int ask(struct fs_children *children);

static void loaded(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_children *children = userdata;
	struct fs *fs = children->base.fs;
	struct fs_inode *inode = children->inode;
	struct fs_waiter *waiter;

	children->base.op = NULL;
	/* A rename since then: it has another path now, if any. */
	if (inode->linked && children->n_moves != fs->n_moves && (r == 0 || r == -ENOENT)) {
		r = ask(children);
		if (r == 0)
			return;
	}
	inode->loading = NULL;
	if (r == 0 && inode->linked)
		r = take_reply(fs, inode, reply);
	else if (r == 0 || (r == -ENOENT && inode->parent))
		r = -ESTALE;
	if (r == -ESTALE && inode->linked)
		fs_watch_gone(fs, inode);
	fs_notice_children_known(fs, inode, r);
	if (r == 0 && fs_kind_is_dir(inode->kind))
		fs_fill_start(fs, inode);
	while ((waiter = STAILQ_FIRST(&children->waiters))) {
		STAILQ_REMOVE_HEAD(&children->waiters, link);
		waiter->done(waiter, r);
	}
	if (children->in_background)
		fs_watch_load_ended(fs);
	if (r == -ETIMEDOUT || r == -ENOTCONN)
		fs_watch_retry(fs, inode);
	fs_request_end(&children->base);
}

static int ask(struct fs_children *children)
{
	struct fs *fs = children->base.fs;
	struct fs_inode *inode = children->inode;
	unsigned flags = fs_watch_want_children(fs, inode) ? ZK_OP_WATCH : 0;
	char *path = fs_inode_path(&fs->inodes, inode);
	int r = -ENOMEM;

	if (children->may_fail_fast)
		flags |= ZK_OP_FAIL_FAST;
	children->n_moves = fs->n_moves;
	if (path)
		r = zk_children(fs->zk, path, flags, loaded, children, &children->base.op);
	free(path);
	return r;
}

int fs_children_load(struct fs *fs, struct fs_inode *inode, struct fs_waiter *waiter)
{
	struct fs_children *children = inode->loading;
	int r;

	if (children) {
		if (waiter)
			STAILQ_INSERT_TAIL(&children->waiters, waiter, link);
		return 0;
	}
	children = fs_request_new_internal(fs, sizeof(*children), children_free);
	if (!children)
		return -ENOMEM;
	STAILQ_INIT(&children->waiters);
	children->inode = fs_inode_ref(inode);
	children->in_background = !waiter;
	children->may_fail_fast = waiter && inode->list && fs_may_serve_stale(fs);
	r = ask(children);
	if (r < 0) {
		fs_request_end(&children->base);
		return r;
	}
	inode->loading = children;
	if (!waiter)
		fs_watch_load_started(fs);
	if (waiter)
		STAILQ_INSERT_TAIL(&children->waiters, waiter, link);
	return 0;
}

void fs_children_cancel(struct fs_inode *inode, struct fs_waiter *waiter)
{
	if (inode->loading)
		STAILQ_REMOVE(&inode->loading->waiters, waiter, fs_waiter, link);
}

bool fs_children_is_news(const struct fs_inode *dir, const char *name)
{
	return dir->told_list &&
	       (!fs_list_has(dir->told_list, name) || fs_names_has(dir->gone, name));
}

void fs_children_shown_stale(struct fs_inode *dir)
{
	if (dir->told_list)
		return;
	fs_list_unref(dir->known_list);
	dir->known_list = fs_list_ref(dir->list);
	dir->told_list = fs_list_ref(dir->list);
}

void fs_children_forget(struct fs_inode *dir)
{
	dir->told_list = fs_list_unref(dir->told_list);
	dir->known_list = fs_list_unref(dir->known_list);
}
