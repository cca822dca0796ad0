/* SPDX-License-Identifier: Apache-2.0 */
/* OPENDIR, READDIR, RELEASEDIR. One reply of ZooKeeper names all children; it is read from as often
 * as the kernel's buffer needs it. */
#include "fs/dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/cache.h"
#include "fs/container.h"
#include "fs/control.h"
#include "fs/entry.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/list.h"
#include "fs/ops.h"
#include "fs/request.h"
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

static size_t count_files(const struct fs *fs)
{
	const struct fs_file *file;
	size_t n = 0;

	LIST_FOREACH (file, &fs->files, fs_link)
		n++;
	return n;
}

static struct fs_list *make_list(
	struct fs *fs, const struct fs_inode *inode, const struct zk_names *children, bool has_data)
{
	static char data_name[] = FS_DATA_NAME;
	size_t n = 0, n_files = count_files(fs);
	char **names = malloc((children->n_names + n_files + 1) * sizeof(*names));
	struct fs_list *list;

	if (!names)
		return NULL;
	if (has_data)
		names[n++] = data_name;
	for (size_t i = 0; i < children->n_names; i++)
		if (is_shown(fs, inode, children->names[i]))
			names[n++] = children->names[i];
	n += add_uncommitted(fs, inode, names + n, n_files);
	list = fs_list_new(names, n);
	free(names);
	return list;
}

static struct fs_list *control_list(void)
{
	static char status[] = FS_STATUS_NAME;
	static char *const names[] = { status };

	return fs_list_new(names, 1);
}

static void set_list(struct fs_dir *dir, struct fs_list *list)
{
	fs_dirplus_stop(dir);
	fs_list_unref(dir->list);
	dir->list = list;
}

static int take_children(struct fs_dir *dir, const struct zk_reply *reply)
{
	struct fs_fetch fetch = {
		.stat = reply->stat, .kind = FS_KIND_DIR, .data = FS_DATA_UNKNOWN
	};
	struct fs_list *list;
	int r = fs_entry_revalidate(dir->fs, dir->inode, &fetch, 0);

	if (r < 0)
		return r;
	list = make_list(dir->fs, dir->inode, &reply->names, reply->stat.data_length > 0);
	if (!list)
		return -ENOMEM;
	fs_cache_put_list(&dir->fs->inodes, dir->inode, list);
	dir->stale = false;
	set_list(dir, list);
	return 0;
}

/* A rename has given it another path since it was asked for; forgets that path. */
static bool was_moved(struct fs_dir_reload *reload)
{
	char *path = fs_inode_path(&reload->dir->fs->inodes, reload->dir->inode);
	bool moved = path && strcmp(path, reload->path) != 0;

	free(path);
	fs_dir_reload_done(reload);
	return moved;
}

static void got_children(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_dir_reload *reload = userdata;
	struct fs_dir *dir = reload->dir;

	*reload->opp = NULL;
	if (was_moved(reload) && (r == 0 || r == -ENOENT)) {
		fs_dir_reload(reload);
		return;
	}
	if (r == 0) {
		r = take_children(dir, reply);
	} else if (r == -ENOTCONN) {
		r = fs_may_serve_stale(dir->fs) && dir->inode->list ? 0 : -ETIMEDOUT;
		if (r == 0) {
			dir->stale = true;
			set_list(dir, fs_list_ref(dir->inode->list));
		}
	} else if (r == -ENOENT && dir->inode->parent) {
		fs_inode_unlink(&dir->fs->inodes, dir->inode);
		r = -ESTALE;
	}
	reload->done(reload, r);
}

void fs_dir_reload(struct fs_dir_reload *reload)
{
	struct fs_dir *dir = reload->dir;
	struct fs *fs = dir->fs;
	struct fs_list *list;
	unsigned flags = 0;
	int r = -ENOMEM;

	if (dir->inode->kind == FS_KIND_CONTROL_DIR) {
		list = control_list();
		if (list)
			set_list(dir, list);
		reload->done(reload, list ? 0 : -ENOMEM);
		return;
	}
	if (dir->inode->list && fs_may_serve_stale(fs))
		flags = ZK_OP_FAIL_FAST;
	reload->path = fs_inode_path(&fs->inodes, dir->inode);
	if (reload->path)
		r = zk_children(fs->zk, reload->path, flags, got_children, reload, reload->opp);
	if (r < 0) {
		fs_dir_reload_done(reload);
		reload->done(reload, r);
	}
}

void fs_dir_reload_done(struct fs_dir_reload *reload)
{
	free(reload->path);
	reload->path = NULL;
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

	fs_dir_reload_done(&opendir->reload);
	if (opendir->dir)
		fs_dir_free(opendir->dir);
}

static void opened(struct fs_dir_reload *reload, int r)
{
	struct opendir *opendir = fs_container_of(reload, struct opendir, reload);

	if (r < 0) {
		fs_request_fail(&opendir->base, r);
		return;
	}
	if (opendir->base.req) {
		opendir->fi.fh = (uintptr_t)opendir->dir;
		if (fuse_reply_open(opendir->base.req, &opendir->fi) == 0)
			opendir->dir = NULL;
		opendir->base.req = NULL;
	}
	fs_request_end(&opendir->base);
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
	opendir->reload =
		(struct fs_dir_reload){ .dir = dir, .opp = &opendir->base.op, .done = opened };
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
	readdir->dir->started = true;
	if (readdir->plus)
		fs_dirplus_read(&readdir->base, readdir->dir, readdir->size, readdir->offset);
	else
		reply_names(readdir);
}

static void reloaded(struct fs_dir_reload *reload, int r)
{
	struct readdir *readdir = fs_container_of(reload, struct readdir, reload);

	if (r < 0)
		fs_request_fail(&readdir->base, r);
	else
		read_entries(readdir);
}

static void readdir_free(struct fs_request *request)
{
	fs_dir_reload_done(&((struct readdir *)request)->reload);
}

static void start_readdir(
	fuse_req_t req, struct fs_dir *dir, size_t size, uint64_t offset, bool plus)
{
	struct readdir *readdir = fs_request_new(dir->fs, req, sizeof(*readdir), readdir_free);

	if (!readdir)
		return;
	readdir->dir = dir;
	readdir->size = size;
	readdir->offset = offset;
	readdir->plus = plus;
	if (offset > 0 || !dir->started) {
		read_entries(readdir);
		return;
	}
	readdir->reload =
		(struct fs_dir_reload){ .dir = dir, .opp = &readdir->base.op, .done = reloaded };
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
