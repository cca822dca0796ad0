/* SPDX-License-Identifier: Apache-2.0 */
/* The table of requests, and what each of them begins with. */
#include "fs/ops.h"

#include <errno.h>
#include <unistd.h>

#include "fs/echo.h"
#include "fs/fs.h"
#include "fs/options.h"
#include "fs/special.h"

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
	/* A write that does not begin at the beginning of a page takes one more. */
	fs->line_max = conn->max_write - (size_t)sysconf(_SC_PAGESIZE);
	conn->max_background = 1024;
	conn->congestion_threshold = 1024;
}

/* The inode, if it is that of a special file, whose requests are all answered there. */
static struct fs_inode *special(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *inode = fs_inode_by_id(&fs->inodes, ino);

	return inode && fs_special_is(inode->kind) ? inode : NULL;
}

static void op_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	if (special(req, ino))
		fs_special_read(req, size, fi);
	else
		fs_op_read(req, ino, size, offset, fi);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	if (special(req, ino))
		fs_special_write(req, data, size, fi);
	else
		fs_op_write(req, ino, data, size, offset, fi);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (special(req, ino))
		fuse_reply_err(req, 0);
	else
		fs_op_flush(req, ino, fi);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	if (special(req, ino))
		fuse_reply_err(req, 0);
	else
		fs_op_fsync(req, ino, datasync, fi);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (special(req, ino))
		fs_special_release(req, fi);
	else
		fs_op_release(req, ino, fi);
}

/* What may come from the notifier as well as from a user. */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(fs_echo_is(req) ? fs_echo_lookup : fs_op_lookup)(req, parent, name);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (special(req, ino))
		fi = NULL; /* the file is not what it is elsewhere */
	(fs_echo_is(req) ? fs_echo_getattr : fs_op_getattr)(req, ino, fi);
}

static void op_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct fs_inode *inode = special(req, ino);

	if (inode)
		fs_special_setattr(req, inode);
	else
		(fs_echo_is(req) ? fs_echo_setattr : fs_op_setattr)(req, ino, attr, to_set, fi);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_inode *inode = special(req, ino);

	if (inode)
		fs_special_open(req, inode, fi);
	else
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
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.fsync = op_fsync,
	.release = op_release,
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
