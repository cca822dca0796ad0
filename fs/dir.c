/* SPDX-License-Identifier: Apache-2.0 */
/* OPENDIR, READDIR, RELEASEDIR. One reply of ZooKeeper names all children; it is read from as often
 * as the kernel's buffer needs it, and kept by the kernel until it is told otherwise. */
#include "fs/dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/children.h"
#include "fs/container.h"
#include "fs/control.h"
#include "fs/entry.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/list.h"
#include "fs/ops.h"
#include "fs/request.h"
#include "zk/client.h"
#include "zk/path.h"

static struct fs_dir *dir_of(const struct fuse_file_info *fi)
{
	return (struct fs_dir *)(uintptr_t)fi->fh;
}

void fs_dir_free(struct fs_dir *dir)
{
	LIST_REMOVE(dir, fs_link);
	fs_dirplus_stop(dir);
	fs_list_unref(dir->list);
	fs_inode_unref(&dir->fs->inodes, dir->inode);
	free(dir);
}

/* New files that their writers have not closed belong to the directory too. */
static size_t add_uncommitted(
	const struct fs *fs, const struct fs_inode *inode, char **names, size_t max)
{
	const struct fs_file *file;
	size_t n = 0;

	LIST_FOREACH (file, &fs->files, fs_link) {
		const struct fs_inode *new = file->inode;

		if (new->parent == inode &&new->linked && !new->exists &&
			n < max &&LIST_FIRST(&new->files) == file)
			names[n++] = new->name->name;
	}
	return n;
}

/* The names in it as they are shown: with .data, if there is any, and what is not committed yet. */
static struct fs_list *shown_list(const struct fs *fs, struct fs_inode *inode)
{
	static char data_name[] = FS_DATA_NAME;
	struct fs_list *known = inode->children_current ? inode->known_list : inode->list;
	bool has_data = inode->stat.data_length > 0;
	size_t n_files = fs_count_files(fs), n = 0, n_new;
	char **names = malloc((known->n_names + n_files + 1) * sizeof(*names));
	struct fs_list *list;

	if (!names)
		return NULL;
	if (has_data)
		names[n++] = data_name;
	memcpy(names + n, known->names, known->n_names * sizeof(*names));
	n += known->n_names;
	n_new = add_uncommitted(fs, inode, names + n, n_files);
	if (n_new == 0 && !has_data)
		list = fs_list_ref(known);
	else
		list = fs_list_new(names, n + n_new);
	free(names);
	return list;
}

static struct fs_list *control_list(void)
{
	static char metrics[] = FS_METRICS_NAME, status[] = FS_STATUS_NAME;
	static char *const names[] = { metrics, status };

	return fs_list_new(names, 2);
}

static void set_list(struct fs_dir *dir, struct fs_list *list)
{
	fs_dirplus_stop(dir);
	fs_list_unref(dir->list);
	dir->list = list;
}

static int show(struct fs_dir *dir, bool stale)
{
	struct fs_list *list = shown_list(dir->fs, dir->inode);

	if (!list)
		return -ENOMEM;
	dir->stale = stale;
	if (stale && dir->inode->list)
		fs_children_shown_stale(dir->inode);
	set_list(dir, list);
	return 0;
}

static bool may_show_stale(const struct fs_dir *dir)
{
	return fs_may_serve_stale(dir->fs) && dir->inode->list;
}

static void children_known(struct fs_waiter *waiter, int r)
{
	struct fs_dir_reload *reload = fs_container_of(waiter, struct fs_dir_reload, waiter);
	struct fs_dir *dir = reload->dir;

	if (r == -ENOTCONN || r == -ETIMEDOUT)
		r = may_show_stale(dir) ? show(dir, true) : -ETIMEDOUT;
	else if (r == 0)
		r = show(dir, false);
	reload->done(reload, r);
}

void fs_dir_reload(struct fs_dir_reload *reload)
{
	struct fs_dir *dir = reload->dir;
	struct fs *fs = dir->fs;
	struct fs_list *list;
	int r;

	if (dir->inode->kind == FS_KIND_CONTROL_DIR) {
		list = control_list();
		if (list)
			set_list(dir, list);
		reload->done(reload, list ? 0 : -ENOMEM);
		return;
	}
	if (dir->inode->children_current && dir->inode->current && fs_may_tell_known(fs)) {
		fs->counters.known[FS_QUESTION_LIST]++;
		reload->done(reload, show(dir, false));
		return;
	}
	fs->counters.asked[FS_QUESTION_LIST]++;
	if (!zk_client_connected(fs->zk) && may_show_stale(dir)) {
		reload->done(reload, show(dir, true));
		return;
	}
	reload->waiter.done = children_known;
	r = fs_children_load(fs, dir->inode, &reload->waiter);
	if (r < 0)
		reload->done(reload, r);
}

static void reload_cancel(struct fs_dir_reload *reload)
{
	fs_children_cancel(reload->dir->inode, &reload->waiter);
}

struct opendir {
	struct fs_request base;
	struct fs_dir_reload reload;
	struct fs_dir *dir; /* its owner until the reply */
	struct fuse_file_info fi;
};

static void opendir_free(struct fs_request *request)
{
	struct opendir *opendir = (struct opendir *)request;

	if (opendir->dir)
		fs_dir_free(opendir->dir);
}

/* What is listed now may go before it is told of. */
static void show_early(struct fs_inode *inode)
{
	inode->shown_early = inode->shown_early || inode->notices;
}

static bool is_certain(const struct fs_dir *dir)
{
	const struct fs_inode *inode = dir->inode;

	return !dir->stale && inode->kind == FS_KIND_DIR && inode->children_current &&
	       fs_entry_is_certain(inode) && !inode->notices;
}

static void opened(struct fs_dir_reload *reload, int r)
{
	struct opendir *opendir = fs_container_of(reload, struct opendir, reload);

	if (r < 0) {
		fs_request_fail(&opendir->base, r);
		return;
	}
	if (opendir->base.req) {
		show_early(opendir->dir->inode);
		opendir->dir->n_told_names = opendir->dir->inode->n_told_names;
		opendir->fi.fh = (uintptr_t)opendir->dir;
		/* The kernel keeps what is read now, and serves who comes next from what it has. */
		opendir->fi.cache_readdir = is_certain(opendir->dir);
		opendir->fi.keep_cache = opendir->fi.cache_readdir;
		opendir->dir->kept = opendir->fi.cache_readdir;
		opendir->dir->inode->kernel_lists |= opendir->fi.cache_readdir;
		if (fuse_reply_open(opendir->base.req, &opendir->fi) == 0)
			opendir->dir = NULL;
		opendir->base.req = NULL;
	}
	fs_request_end(&opendir->base);
}

static void opendir_cancel(struct fs_request *request)
{
	reload_cancel(&((struct opendir *)request)->reload);
	fs_request_end(request);
}

void fs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *inode = fs_ops_dir(fs, req, ino);
	struct opendir *opendir;
	struct fs_dir *dir;

	if (!inode)
		return;
	opendir = fs_request_new(fs, req, sizeof(*opendir), opendir_free);
	if (!opendir)
		return;
	dir = opendir->dir = calloc(1, sizeof(*dir));
	if (!dir) {
		fs_request_fail(&opendir->base, -ENOMEM);
		return;
	}
	dir->fs = fs;
	dir->inode = fs_inode_ref(inode);
	LIST_INSERT_HEAD(&fs->dirs, dir, fs_link);
	opendir->fi = *fi;
	opendir->reload = (struct fs_dir_reload){ .dir = dir, .done = opened };
	opendir->base.cancel = opendir_cancel;
	fs_dir_reload(&opendir->reload);
}

struct readdir {
	struct fs_request base;
	struct fs_dir_reload reload;
	struct fs_dir *dir;
	size_t size;
	uint64_t offset;
	bool plus;
};

struct fs_dir *fs_readdir_dir(struct fs_request *request)
{
	return ((struct readdir *)request)->dir;
}

static const char *name_at(const struct fs_dir *dir, uint64_t position)
{
	if (position < FS_DIR_FIRST_NAME)
		return position == 0 ? "." : "..";
	position -= FS_DIR_FIRST_NAME;
	return position < dir->list->n_names ? dir->list->names[position] : NULL;
}

/* Number and type where they are known, without asking. */
static void describe(const struct fs_dir *dir, uint64_t position, const char *name, struct stat *st)
{
	struct fs *fs = dir->fs;
	const struct fs_inode *inode = position == 0 ? dir->inode
				       : position == 1
					       ? dir->inode->parent
					       : fs_inode_by_name(&fs->inodes, dir->inode, name);

	memset(st, 0, sizeof(*st));
	if (inode)
		fs_attr_fill(fs, inode, st);
	else
		st->st_ino = UINT32_MAX; /* as libfuse says it: not known */
}

static void reply_names(struct readdir *readdir)
{
	struct fs_request *request = &readdir->base;
	char *buffer = malloc(readdir->size);
	uint64_t position = readdir->offset;
	size_t used = 0, need;
	const char *name;
	struct stat st;

	if (!buffer) {
		fs_request_fail(request, -ENOMEM);
		return;
	}
	while (request->req && (name = name_at(readdir->dir, position))) {
		describe(readdir->dir, position, name, &st);
		need = fuse_add_direntry(request->req, buffer + used, readdir->size - used, name,
			&st, (off_t)position + 1);
		if (need > readdir->size - used)
			break;
		used += need;
		position++;
	}
	fs_reply_data(request, buffer, used);
	fs_request_end(request);
	free(buffer);
}

static void read_entries(struct readdir *readdir)
{
	struct fs_inode *inode = readdir->dir->inode;

	readdir->dir->started = true;
	show_early(inode);
	if (readdir->plus)
		fs_dirplus_read(&readdir->base, readdir->dir, readdir->size, readdir->offset);
	else
		reply_names(readdir);
}

static void reloaded(struct fs_dir_reload *reload, int r)
{
	struct readdir *readdir = fs_container_of(reload, struct readdir, reload);

	readdir->base.cancel = NULL;
	if (r < 0)
		fs_request_fail(&readdir->base, r);
	else
		read_entries(readdir);
}

static void readdir_cancel(struct fs_request *request)
{
	reload_cancel(&((struct readdir *)request)->reload);
	fs_request_end(request);
}

/* Have names been told of since it was opened? */
static bool is_outdated(const struct fs_dir *dir)
{
	return dir->n_told_names != dir->inode->n_told_names;
}

static void start_readdir(
	fuse_req_t req, struct fs_dir *dir, size_t size, uint64_t offset, bool plus)
{
	struct readdir *readdir = fs_request_new(dir->fs, req, sizeof(*readdir), NULL);

	if (!readdir)
		return;
	fs_request_hold(&readdir->base, dir->inode);
	readdir->dir = dir;
	readdir->size = size;
	readdir->offset = offset;
	readdir->plus = plus;
	/* What the kernel keeps is as old as the read, not as the open: changes made here since then are
	 * no news to it. And who lists what it watches must not see what it was told to be gone. */
	if (offset > 0 || !(dir->started || dir->kept || is_outdated(dir))) {
		read_entries(readdir);
		return;
	}
	readdir->reload = (struct fs_dir_reload){ .dir = dir, .done = reloaded };
	readdir->base.cancel = readdir_cancel;
	fs_dir_reload(&readdir->reload);
}

void fs_op_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	start_readdir(req, dir_of(fi), size, (uint64_t)offset, false);
}

void fs_op_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	start_readdir(req, dir_of(fi), size, (uint64_t)offset, true);
}

void fs_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fs_dir_free(dir_of(fi));
	fuse_reply_err(req, 0);
}

/* A directory has nothing that was not committed. */
void fs_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}
