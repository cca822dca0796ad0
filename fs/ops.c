/* SPDX-License-Identifier: Apache-2.0 */
/* The table of requests, and what each of them begins with. */
#include "fs/ops.h"

#include <errno.h>

#include "fs/fs.h"
#include "fs/options.h"

struct fs_inode *fs_ops_inode(struct fs *fs, fuse_req_t req, fuse_ino_t ino)
{
	struct fs_inode *inode = fs_inode_by_id(&fs->inodes, ino);

	if (!inode)
		fuse_reply_err(req, ESTALE);
	return inode;
}

struct fs_inode *fs_ops_dir(struct fs *fs, fuse_req_t req, fuse_ino_t ino)
{
	struct fs_inode *inode = fs_ops_inode(fs, req, ino);

	if (!inode)
		return NULL;
	if (fs_kind_is_dir(inode->kind) && inode->linked)
		return inode;
	fuse_reply_err(req, inode->linked ? ENOTDIR : ESTALE);
	return NULL;
}

static void init(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;

	fs->answers = true;
	/* Open with O_TRUNC comes as one request: a file is never truncated for a moment. */
	conn->want |= conn->capable & FUSE_CAP_ATOMIC_O_TRUNC;
	/* Data is copied once, from a buffer of ours: pipes would only add to that. */
	conn->want &=
		~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	conn->max_read = fs->options->max_read;
	conn->max_background = 1024;
	conn->congestion_threshold = 1024;
}

const struct fuse_lowlevel_ops fs_ops = {
	.init = init,
	.lookup = fs_op_lookup,
	.forget = fs_op_forget,
	.forget_multi = fs_op_forget_multi,
	.getattr = fs_op_getattr,
	.setattr = fs_op_setattr,
	.access = fs_op_access,
	.statfs = fs_op_statfs,
	.open = fs_op_open,
	.create = fs_op_create,
	.mknod = fs_op_mknod,
	.read = fs_op_read,
	.write = fs_op_write,
	.flush = fs_op_flush,
	.fsync = fs_op_fsync,
	.release = fs_op_release,
	.opendir = fs_op_opendir,
	.readdir = fs_op_readdir,
	.readdirplus = fs_op_readdirplus,
	.releasedir = fs_op_releasedir,
	.fsyncdir = fs_op_fsyncdir,
	.mkdir = fs_op_mkdir,
	.unlink = fs_op_unlink,
	.rmdir = fs_op_rmdir,
	.symlink = fs_op_symlink,
	.link = fs_op_link,
	.rename = fs_op_rename,
	.getxattr = fs_op_getxattr,
	.listxattr = fs_op_listxattr,
	.setxattr = fs_op_setxattr,
	.removexattr = fs_op_removexattr,
};
