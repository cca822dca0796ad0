/* SPDX-License-Identifier: Apache-2.0 */
/* The table of requests, and what each of them begins with. */
#include "fs/ops.h"

#include <errno.h>

#include "fs/echo.h"
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

/* What may come from the notifier as well as from a user. */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(fs_echo_is(req) ? fs_echo_lookup : fs_op_lookup)(req, parent, name);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(fs_echo_is(req) ? fs_echo_getattr : fs_op_getattr)(req, ino, fi);
}

static void op_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	(fs_echo_is(req) ? fs_echo_setattr : fs_op_setattr)(req, ino, attr, to_set, fi);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(fs_echo_is(req) ? fs_echo_open : fs_op_open)(req, ino, fi);
}

static void op_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	(fs_echo_is(req) ? fs_echo_create : fs_op_create)(req, parent, name, mode, fi);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(fs_echo_is(req) ? fs_echo_mkdir : fs_op_mkdir)(req, parent, name, mode);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(fs_echo_is(req) ? fs_echo_remove : fs_op_unlink)(req, parent, name);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(fs_echo_is(req) ? fs_echo_remove : fs_op_rmdir)(req, parent, name);
}

const struct fuse_lowlevel_ops fs_ops = {
	.init = init,
	.lookup = op_lookup,
	.forget = fs_op_forget,
	.forget_multi = fs_op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.access = fs_op_access,
	.statfs = fs_op_statfs,
	.open = op_open,
	.create = op_create,
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
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = fs_op_symlink,
	.link = fs_op_link,
	.rename = fs_op_rename,
	.getxattr = fs_op_getxattr,
	.listxattr = fs_op_listxattr,
	.setxattr = fs_op_setxattr,
	.removexattr = fs_op_removexattr,
};
