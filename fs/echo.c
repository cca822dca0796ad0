/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to the notifier's own requests. */
#include "fs/echo.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/entry.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/notice.h"
#include "fs/notifier.h"
#include "fs/watch.h"

bool fs_echo_is(fuse_req_t req)
{
	const struct fs *fs = fuse_req_userdata(req);

	return fs->notifier && fuse_req_ctx(req)->pid == fs_notifier_tid(fs->notifier);
}

/* Does the name lead to the inode, or did it when there was one? */
static bool is_named(const struct fs_inode *inode, fuse_ino_t parent, const char *name)
{
	return inode->parent && inode->parent->nodeid == parent &&
	       strcmp(inode->name->name, name) == 0;
}

static const struct fs_job *job_of(fuse_req_t req, enum fs_event event)
{
	const struct fs *fs = fuse_req_userdata(req);

	return fs->job && fs->job->event == event ? fs->job : NULL;
}

/* On the way to what the job is about, or that itself. */
static struct fs_inode *find_on_way(const struct fs *fs, fuse_ino_t parent, const char *name)
{
	struct fs_inode *inode = fs->job ? fs->job->inode : NULL;

	while (inode && !is_named(inode, parent, name))
		inode = inode->parent;
	return inode;
}

static void reply_entry(fuse_req_t req, struct fs_inode *inode)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fuse_entry_param entry;

	fs_entry_fill(fs, inode, &entry);
	fs_entry_given(fs, inode);
	if (fuse_reply_entry(req, &entry) < 0)
		fs_entry_forget(fs, inode, 1);
}

void fs_echo_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *inode = find_on_way(fs, parent, name);
	bool is_new = job_of(req, FS_EVENT_CREATE) || job_of(req, FS_EVENT_MKDIR);

	if (!inode || (inode == fs->job->inode && is_new)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fs->job->shown = fs->job->shown || inode == fs->job->inode;
	reply_entry(req, inode);
}

static void reply_attr(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *inode = fs_inode_by_id(&fs->inodes, ino);
	struct stat st;

	if (!inode) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	fs_attr_show(fs, inode, &st);
	fuse_reply_attr(req, &st, 0);
}

void fs_echo_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	reply_attr(req, ino);
}

void fs_echo_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	reply_attr(req, ino);
}

/* A file that nothing is read from or written to. */
static struct fs_file *open_mute(struct fs *fs, struct fs_inode *inode, struct fuse_file_info *fi)
{
	struct fs_file *file = fs_file_new(fs, inode, O_RDONLY, 0);

	fi->fh = (uintptr_t)file;
	fi->direct_io = 1;
	fi->noflush = 1;
	return file;
}

void fs_echo_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_file *file;

	if (!fs->job || fs->job->inode->nodeid != ino) {
		fuse_reply_err(req, ECANCELED);
		return;
	}
	file = open_mute(fs, fs->job->inode, fi);
	if (!file)
		fuse_reply_err(req, ENOMEM);
	else if (fuse_reply_open(req, fi) < 0)
		fs_file_unref(file);
}

/* The inode that a job makes, if it still is there to be told of. */
static struct fs_inode *made_inode(
	fuse_req_t req, enum fs_event event, fuse_ino_t parent, const char *name)
{
	const struct fs_job *job = job_of(req, event);

	if (job && is_named(job->inode, parent, name) && job->inode->linked && job->inode->exists)
		return job->inode;
	fuse_reply_err(req, ECANCELED);
	return NULL;
}

void fs_echo_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *inode = made_inode(req, FS_EVENT_CREATE, parent, name);
	struct fuse_entry_param entry;
	struct fs_file *file;

	if (!inode)
		return;
	file = open_mute(fs, inode, fi);
	if (!file) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	fs_entry_fill(fs, inode, &entry);
	fs_entry_given(fs, inode);
	if (fuse_reply_create(req, &entry, fi) < 0) {
		fs_file_unref(file);
		fs_entry_forget(fs, inode, 1);
	}
}

void fs_echo_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs_inode *inode = made_inode(req, FS_EVENT_MKDIR, parent, name);

	if (inode)
		reply_entry(req, inode);
}

/* Is what the kernel is about to take the name from who bore it? It may have looked at who bears it now:
 * that one would be dead to the kernel. Then it is tried again, with a look of its own. */
static bool takes_from(struct fs *fs, const struct fs_inode *inode)
{
	const struct fs_inode *bearer =
		fs_inode_by_name(&fs->inodes, inode->parent, inode->name->name);

	return !inode->linked && (!bearer || fs->job->shown);
}

void fs_echo_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	const struct fs_inode *inode = fs->job ? fs->job->inode : NULL;
	bool is_gone = inode && is_named(inode, parent, name) && takes_from(fs, inode);

	if (is_gone)
		fs_notice_takes_name(fs, inode);
	fuse_reply_err(req, is_gone ? 0 : ECANCELED);
}
