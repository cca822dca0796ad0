/* SPDX-License-Identifier: Apache-2.0 */
/* From what ZooKeeper says of a path to an inode, and from an inode to what the kernel is told. */
#include "fs/entry.h"

#include <errno.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/cache.h"
#include "fs/control.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/options.h"
#include "fs/request.h"
#include "zk/path.h"

void fs_entry_update(struct fs *fs, struct fs_inode *inode, const struct fs_fetch *fetch)
{
	if (fetch->data == FS_DATA_PRESENT || fetch->data == FS_DATA_NULL)
		fs_cache_put_data(&fs->inodes, inode, fetch->blob);
	else if (!inode->exists || !zk_stat_same_data(&inode->stat, &fetch->stat))
		fs_cache_drop_data(&fs->inodes, inode);
	if (fetch->data != FS_DATA_UNKNOWN)
		inode->unreadable = fetch->data == FS_DATA_DENIED;
	inode->stat = fetch->stat;
	inode->exists = true;
	inode->grants = 0;
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

struct fs_inode *fs_entry_bind(struct fs *fs, struct fs_inode *dir, const char *name,
	enum fs_kind kind, const struct fs_fetch *fetch)
{
	struct fs_inode *inode = fs_inode_by_name(&fs->inodes, dir, name);

	if (inode && is_same_znode(inode, kind, &fetch->stat)) {
		fs_inode_ref(inode);
	} else {
		if (inode)
			fs_inode_unlink(&fs->inodes, inode);
		inode = fs_inode_new(&fs->inodes, dir, name, kind);
		if (!inode)
			return NULL;
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

int fs_entry_revalidate(struct fs *fs, struct fs_inode *inode, const struct fs_fetch *fetch, int r)
{
	bool same = r == 0 && is_kind_kept(inode, fetch) &&
		    (!inode->parent || is_expected(inode, &fetch->stat));

	if (same) {
		fs_entry_update(fs, inode, fetch);
		return 0;
	}
	if (r != 0 && r != -ENOENT)
		return r;
	if (!inode->parent)
		return r; /* the root has no other name to look up */
	fs_inode_unlink(&fs->inodes, inode);
	return -ESTALE;
}

void fs_entry_prepare_fetch(struct fs *fs, struct fs_inode *inode, struct fs_fetch *fetch)
{
	const struct fs_inode *znode = inode->kind == FS_KIND_DATA ? inode->parent : inode;

	fetch->fs = fs;
	fetch->at = inode;
	fetch->known = inode->kind == FS_KIND_DATA ? NULL : inode;
	fetch->is_root = !znode->parent;
	if (inode->exists && fs_may_serve_stale(fs))
		fetch->flags |= ZK_OP_FAIL_FAST;
}

void fs_entry_fill(struct fs *fs, struct fs_inode *inode, struct fuse_entry_param *entry)
{
	memset(entry, 0, sizeof(*entry));
	entry->ino = inode->nodeid;
	fs_attr_show(fs, inode, &entry->attr);
	if (fs_kind_is_dir(inode->kind))
		entry->entry_timeout = FS_ENTRY_DIR_TIMEOUT;
	else if (inode->exists && !fs_file_any_dirty(inode))
		entry->entry_timeout = FS_ENTRY_FILE_TIMEOUT;
}

void fs_entry_reply(struct fs_request *request, struct fs_inode *inode)
{
	struct fuse_entry_param entry;

	if (!request->req)
		return;
	fs_entry_fill(request->fs, inode, &entry);
	inode->n_lookups++;
	if (fuse_reply_entry(request->req, &entry) < 0)
		fs_inode_forget(&request->fs->inodes, inode, 1);
	request->req = NULL;
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
