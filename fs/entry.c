/* SPDX-License-Identifier: Apache-2.0 */
/* From what ZooKeeper says of a path to an inode, and from an inode to what the kernel is told. */
#include "fs/entry.h"

#include <errno.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/cache.h"
#include "fs/children.h"
#include "fs/control.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/notice.h"
#include "fs/options.h"
#include "fs/request.h"
#include "fs/watch.h"
#include "zk/blob.h"
#include "zk/path.h"

/* The data of a directory as the file that is told of. Nothing keeps it while nobody holds it: what was
 * told of it last is what was known of the directory before. A reference, or NULL. */
static struct fs_inode *data_file(struct fs *fs, struct fs_inode *dir, const struct zk_stat *before)
{
	struct fs_inode *file = fs_inode_by_name(&fs->inodes, dir, FS_DATA_NAME);

	if (file)
		return fs_inode_ref(file);
	if (!before || !fs_watch_is_held(dir) || zk_stat_same_data(before, &dir->stat))
		return NULL;
	file = fs_inode_new(&fs->inodes, dir, FS_DATA_NAME, FS_KIND_DATA);
	if (!file || before->data_length == 0)
		return file;
	file->stat = *before;
	file->exists = true;
	fs_notice_named_here(file);
	return file;
}

/* It comes and goes with the data. `before`: NULL where nothing was known. */
static void update_data_file(struct fs *fs, struct fs_inode *dir, const struct zk_stat *before)
{
	struct fs_fetch fetch = { .stat = dir->stat, .data = FS_DATA_UNKNOWN };
	struct fs_inode *file = data_file(fs, dir, before);
	bool is_pending = file && !file->exists && !LIST_EMPTY(&file->files);

	if (file && !is_pending && dir->stat.data_length > 0)
		fs_entry_update(fs, file, &fetch);
	else if (file && !is_pending)
		fs_watch_gone(fs, file);
	fs_inode_unref(&fs->inodes, file);
}

/* Is it what a rename here has made of it? Somebody may have made it anew since then, with a version of
 * the same number. */
static bool is_renewed(const struct fs_inode *inode, const struct fs_fetch *fetch)
{
	const struct zk_blob *data = inode->renewed_data;
	bool any = fetch->data == FS_DATA_PRESENT && fetch->blob;

	if (!inode->renew || fetch->stat.version != inode->renewed_version ||
		(uint32_t)fetch->stat.data_length != (data ? data->len : 0))
		return false;
	return !any || !data || memcmp(fetch->blob->data, data->data, data->len) == 0;
}

void fs_entry_update(struct fs *fs, struct fs_inode *inode, struct fs_fetch *fetch)
{
	const struct zk_stat before = inode->stat;
	bool renewed = is_renewed(inode, fetch);
	bool may_be_news = inode->exists && !renewed;

	if (fetch->data == FS_DATA_PRESENT || fetch->data == FS_DATA_NULL)
		fs_cache_put_data(&fs->inodes, inode, fetch->blob);
	else if (!inode->exists || !zk_stat_same_data(&inode->stat, &fetch->stat))
		fs_cache_drop_data(&fs->inodes, inode);
	if (fetch->data != FS_DATA_UNKNOWN)
		inode->unreadable = fetch->data == FS_DATA_DENIED;
	inode->stat = fetch->stat;
	inode->exists = true;
	inode->grants = 0;
	fs_watch_take(fs, inode, fetch);
	fs_notice_learned(fs, inode, renewed);
	if (inode->kind == FS_KIND_DIR)
		update_data_file(fs, inode, may_be_news ? &before : NULL);
}

/* After a rename the znode is another, of which nothing is known yet: czxid 0. */
static bool is_expected(const struct fs_inode *inode, const struct zk_stat *stat)
{
	return inode->stat.czxid == 0 || inode->stat.czxid == stat->czxid;
}

static bool is_same_znode(
	const struct fs_inode *inode, enum fs_kind kind, const struct zk_stat *stat)
{
	return inode->kind == kind && (!inode->exists || is_expected(inode, stat));
}

/* Has the name come since the directory was told of? */
static bool is_news(const struct fs_inode *dir, const char *name, enum fs_kind kind)
{
	return kind != FS_KIND_DATA && fs_children_is_news(dir, name);
}

struct fs_inode *fs_entry_bind(struct fs *fs, struct fs_inode *dir, const char *name,
	enum fs_kind kind, struct fs_fetch *fetch)
{
	struct fs_inode *inode = fs_inode_by_name(&fs->inodes, dir, name);

	if (inode && is_same_znode(inode, kind, &fetch->stat)) {
		fs_inode_ref(inode);
	} else {
		if (inode)
			fs_watch_gone(fs, inode);
		inode = fs_inode_new(&fs->inodes, dir, name, kind);
		if (!inode)
			return NULL;
		inode->stat = fetch->stat;
		if (!is_news(dir, name, kind))
			fs_notice_named_here(inode);
	}
	fs_entry_update(fs, inode, fetch);
	return inode;
}

/* The kind that the znode of an inode must have. */
static bool is_kind_kept(const struct fs_inode *inode, const struct fs_fetch *fetch)
{
	if (inode->kind == FS_KIND_DATA)
		return fetch->kind == FS_KIND_DIR && fetch->stat.data_length > 0;
	return fetch->kind == inode->kind;
}

/* What is found out about .data is found out about its directory; both or neither are to know. */
static void update_dir_of(struct fs *fs, struct fs_inode *file, const struct fs_fetch *fetch)
{
	struct fs_inode *dir = file->parent;
	struct fs_fetch of_dir = {
		.stat = fetch->stat, .kind = FS_KIND_DIR, .data = FS_DATA_UNKNOWN
	};

	if (file->linked && dir->linked && fetch->kind == FS_KIND_DIR &&
		is_expected(dir, &fetch->stat))
		fs_entry_update(fs, dir, &of_dir);
}

int fs_entry_revalidate(struct fs *fs, struct fs_inode *inode, struct fs_fetch *fetch, int r)
{
	bool same;

	if (inode->kind == FS_KIND_DATA && r == 0)
		update_dir_of(fs, inode, fetch);
	same = r == 0 && is_kind_kept(inode, fetch) &&
	       (!inode->parent || is_expected(inode, &fetch->stat));
	if (same) {
		fs_entry_update(fs, inode, fetch);
		return 0;
	}
	if (r != 0 && r != -ENOENT)
		return r;
	if (!inode->parent)
		return r; /* the root has no other name to look up */
	if (inode->linked)
		fs_watch_gone(fs, inode);
	return -ESTALE;
}

void fs_entry_prepare_fetch(struct fs *fs, struct fs_inode *inode, struct fs_fetch *fetch)
{
	const struct fs_inode *znode = inode->kind == FS_KIND_DATA ? inode->parent : inode;

	fetch->fs = fs;
	fetch->at = inode;
	fetch->known = inode->kind == FS_KIND_DATA ? NULL : inode;
	fetch->is_root = !znode->parent;
	fetch->watch = true;
	if (inode->exists && fs_may_serve_stale(fs))
		fetch->flags |= ZK_OP_FAIL_FAST;
}

void fs_entry_fill(struct fs *fs, struct fs_inode *inode, struct fuse_entry_param *entry)
{
	memset(entry, 0, sizeof(*entry));
	entry->ino = inode->nodeid;
	fs_attr_show(fs, inode, &entry->attr);
	if (fs_entry_is_certain(inode)) {
		entry->attr_timeout = FS_ENTRY_CERTAIN_TIMEOUT;
		if (inode->parent && fs_notice_any_leaves(inode->parent))
			return; /* who bore the name before may have to be shown once more */
		entry->entry_timeout = inode->kind != FS_KIND_FILE || inode->children_current ||
						       inode->stat.ephemeral_owner
					       ? FS_ENTRY_CERTAIN_TIMEOUT
					       : FS_ENTRY_FILE_TIMEOUT;
		return;
	}
	if (!inode->linked || inode->notice || (inode->parent && inode->parent->notices))
		return;
	if (fs_kind_is_dir(inode->kind))
		entry->entry_timeout = FS_ENTRY_DIR_TIMEOUT;
	else if (inode->exists && !fs_file_any_dirty(inode))
		entry->entry_timeout = FS_ENTRY_FILE_TIMEOUT;
}

void fs_entry_reply_given(struct fs_request *request, struct fs_inode *inode)
{
	struct fuse_entry_param entry;

	if (!request->req) {
		fs_entry_forget(request->fs, inode, 1);
		return;
	}
	inode->looked_up_by = request->tid;
	fs_entry_fill(request->fs, inode, &entry);
	if (fuse_reply_entry(request->req, &entry) < 0)
		fs_entry_forget(request->fs, inode, 1);
	request->req = NULL;
}

void fs_entry_reply(struct fs_request *request, struct fs_inode *inode)
{
	if (!request->req)
		return;
	fs_entry_given(request->fs, inode);
	fs_entry_reply_given(request, inode);
}

void fs_entry_given(struct fs *fs, struct fs_inode *inode)
{
	inode->n_lookups++;
	inode->shown = true;
	if (inode->linked && inode->exists)
		fs_watch_held(fs, inode);
}

void fs_entry_forget(struct fs *fs, struct fs_inode *inode, uint64_t n_lookups)
{
	fs_inode_ref(inode);
	fs_inode_forget(&fs->inodes, inode, n_lookups);
	if (inode->n_lookups == 0)
		fs_watch_forgotten(fs, inode);
	fs_inode_unref(&fs->inodes, inode);
}

bool fs_entry_is_current(const struct fs_inode *inode)
{
	if (inode->kind == FS_KIND_DATA)
		return inode->parent->current;
	return inode->current;
}

bool fs_entry_is_certain(const struct fs_inode *inode)
{
	return inode->linked && inode->exists && fs_entry_is_current(inode) &&
	       fs_notice_is_settled(inode) && !fs_file_any_dirty(inode);
}

int fs_entry_check_new(const struct fs_inode *dir, const char *name)
{
	int r = zk_path_check_name(name, strlen(name));

	if (r < 0)
		return r;
	return fs_control_reserved(dir, name) ? -EOPNOTSUPP : 0;
}

int fs_entry_check_writable(const struct fs *fs)
{
	return fs->options->read_only ? -EROFS : 0;
}
