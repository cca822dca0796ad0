/* SPDX-License-Identifier: Apache-2.0 */
/* LOOKUP, FORGET, GETATTR: names to inodes and inodes to attributes. */
#include "fs/ops.h"

#include <errno.h>
#include <string.h>

#include "fs/access.h"
#include "fs/attr.h"
#include "fs/children.h"
#include "fs/container.h"
#include "fs/control.h"
#include "fs/entry.h"
#include "fs/file.h"
#include "fs/fill.h"
#include "fs/fs.h"
#include "fs/list.h"
#include "fs/options.h"
#include "fs/request.h"
#include "fs/special.h"
#include "fs/watch.h"
#include "zk/client.h"
#include "zk/path.h"

struct lookup {
	struct fs_request base;
	struct fs_fetch fetch;
	struct fs_inode *dir; /* a reference */
	/* A directory is filled, if it is small, before its entry is given out. */
	struct fs_inode *found; /* a reference, or NULL */
	struct fs_waiter waiter;
	bool fills; /* waits for that, and not for the names in it */
	char name[ZK_PATH_NAME_MAX + 1];
};

static void lookup_free(struct fs_request *request)
{
	struct lookup *lookup = (struct lookup *)request;

	fs_fetch_done(&lookup->fetch);
	fs_inode_unref(&request->fs->inodes, lookup->found);
	fs_inode_unref(&request->fs->inodes, lookup->dir);
}

static bool is_data_name(const struct lookup *lookup)
{
	return strcmp(lookup->name, FS_DATA_NAME) == 0;
}

/* The znode is not there: a file that is being written may still bear the name. */
static void reply_absent(struct lookup *lookup)
{
	struct fs *fs = lookup->base.fs;
	struct fs_inode *inode = fs_inode_by_name(&fs->inodes, lookup->dir, lookup->name);

	if (inode && !inode->exists) {
		fs_entry_reply(&lookup->base, inode);
		return;
	}
	if (inode)
		fs_watch_gone(fs, inode);
	fs_reply_error(&lookup->base, -ENOENT);
}

/* The directory is as full as it gets. */
static void filled(struct fs_waiter *waiter, int r)
{
	struct lookup *lookup = fs_container_of(waiter, struct lookup, waiter);

	fs_entry_reply_given(&lookup->base, lookup->found);
	fs_request_end(&lookup->base);
}

/* The names in the directory are known, or cannot be. */
static void children_known(struct fs_waiter *waiter, int r)
{
	struct lookup *lookup = fs_container_of(waiter, struct lookup, waiter);

	lookup->fills = true;
	lookup->waiter.done = filled;
	if (!fs_fill_wait(lookup->base.fs, lookup->found, &lookup->waiter))
		filled(&lookup->waiter, 0);
}

static void cancel_filling(struct fs_request *request)
{
	struct lookup *lookup = (struct lookup *)request;

	if (lookup->fills)
		fs_fill_cancel(lookup->found, &lookup->waiter);
	else
		fs_children_cancel(lookup->found, &lookup->waiter);
	fs_entry_forget(request->fs, lookup->found, 1);
	fs_request_end(request);
}

/* Replies when the directory is filled. False: it was. */
static bool reply_when_filled(struct lookup *lookup, struct fs_inode *inode)
{
	struct fs *fs = lookup->base.fs;

	if (!lookup->base.req || inode->kind != FS_KIND_DIR || inode->children_current)
		return false;
	fs_entry_given(fs, inode); /* it is filled because it is held */
	lookup->found = fs_inode_ref(inode);
	lookup->waiter.done = children_known;
	lookup->base.cancel = cancel_filling;
	if (fs_watch_load_children(fs, inode, &lookup->waiter) < 0)
		filled(&lookup->waiter, 0);
	return true;
}

/* False: the request goes on, or has ended. */
static bool reply_found(struct lookup *lookup)
{
	struct fs *fs = lookup->base.fs;
	enum fs_kind kind = lookup->fetch.kind;
	struct fs_inode *inode;
	bool goes_on;

	/* What was found is in the directory that bears its name by now. */
	if (!lookup->dir->linked) {
		fs_reply_error(&lookup->base, -ESTALE);
		return true;
	}
	if (is_data_name(lookup)) {
		if (kind != FS_KIND_DIR) {
			fs_reply_error(&lookup->base, -ESTALE);
			return true;
		}
		if (fs_entry_revalidate(fs, lookup->dir, &lookup->fetch, 0) < 0) {
			fs_reply_error(&lookup->base, -ESTALE);
			return true;
		}
		if (lookup->fetch.stat.data_length == 0) {
			reply_absent(lookup);
			return true;
		}
		kind = FS_KIND_DATA;
		lookup->fetch.watch = false; /* the directory has taken it */
	}
	inode = fs_entry_bind(fs, lookup->dir, lookup->name, kind, &lookup->fetch);
	if (!inode) {
		fs_reply_error(&lookup->base, -ENOMEM);
		return true;
	}
	goes_on = reply_when_filled(lookup, inode);
	if (!goes_on) {
		fs_inode_grant(inode, lookup->base.tid, FS_GRANT_OPEN | FS_GRANT_ATTR);
		fs_entry_reply(&lookup->base, inode);
	}
	fs_inode_unref(&fs->inodes, inode);
	return !goes_on;
}

/* The connection is lost, but we have seen it before. */
static bool reply_stale(struct lookup *lookup)
{
	struct fs *fs = lookup->base.fs;
	struct fs_inode *inode = fs_inode_by_name(&fs->inodes, lookup->dir, lookup->name);

	if (!inode || !inode->exists || !fs_may_serve_stale(fs))
		return false;
	fs_entry_reply(&lookup->base, inode);
	return true;
}

static char *path_of(const struct lookup *lookup)
{
	const struct fs_inodes *inodes = &lookup->base.fs->inodes;

	return is_data_name(lookup) ? fs_inode_path(inodes, lookup->dir)
				    : fs_inode_child_path(inodes, lookup->dir, lookup->name);
}

/* What was to be served has gone since it was asked: then it waits for a server as all others do. */
static bool ask_patiently(struct lookup *lookup)
{
	struct fs_fetch *fetch = &lookup->fetch;

	if (!lookup->base.req || !(fetch->flags & ZK_OP_FAIL_FAST))
		return false;
	fs_fetch_done(fetch);
	fetch->flags &= ~(unsigned)ZK_OP_FAIL_FAST;
	fetch->data = FS_DATA_UNKNOWN;
	return fs_fetch_start(fetch, FS_FETCH_DATA, path_of(lookup)) == 0;
}

static void lookup_fetched(struct fs_fetch *fetch, int r)
{
	struct lookup *lookup = fs_container_of(fetch, struct lookup, fetch);
	bool served = r == -ENOTCONN && reply_stale(lookup);

	if (r == 0 && !reply_found(lookup))
		return;
	if (r == -ENOTCONN && !served && ask_patiently(lookup))
		return;
	if (r == -ENOENT)
		reply_absent(lookup);
	else if (r < 0 && !served)
		fs_reply_error(&lookup->base, r == -ENOTCONN ? -ETIMEDOUT : r);
	fs_request_end(&lookup->base);
}

static void reply_entry(struct fs *fs, fuse_req_t req, struct fs_inode *inode)
{
	struct fuse_entry_param entry;

	inode->looked_up_by = fuse_req_ctx(req)->pid;
	fs_entry_fill(fs, inode, &entry);
	fs_entry_given(fs, inode);
	if (fuse_reply_entry(req, &entry) < 0)
		fs_entry_forget(fs, inode, 1);
}

/* .zkfs and what is in it. */
static void lookup_control(struct fs *fs, fuse_req_t req, struct fs_inode *dir, const char *name)
{
	bool in_control_dir = dir->kind == FS_KIND_CONTROL_DIR;
	struct fs_inode *inode = fs_inode_by_name(&fs->inodes, dir, name);

	enum fs_kind kind = in_control_dir ? fs_control_kind(name) : FS_KIND_CONTROL_DIR;

	if (kind == FS_KIND_UNKNOWN) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	if (!inode)
		inode = fs_inode_new(&fs->inodes, dir, name, kind);
	else
		fs_inode_ref(inode);
	if (!inode) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	reply_entry(fs, req, inode);
	fs_inode_unref(&fs->inodes, inode);
}

/* Names that never lead to a znode; true if it was one and was answered. */
static bool lookup_special(struct fs *fs, fuse_req_t req, struct fs_inode *dir, const char *name)
{
	int r;

	if (dir->kind == FS_KIND_CONTROL_DIR ||
		(!dir->parent && strcmp(name, FS_CONTROL_DIR_NAME) == 0)) {
		lookup_control(fs, req, dir, name);
		return true;
	}
	if (fs_special_lookup(fs, req, dir, name))
		return true;
	r = zk_path_check_name(name, strlen(name));
	if (r == 0 && strcmp(name, FS_DATA_NAME) != 0 && fs_control_reserved(dir, name))
		r = -ENOENT;
	if (r < 0)
		fuse_reply_err(req, -r);
	return r < 0;
}

/* What is watched needs no question. True: it was answered. */
static bool lookup_known(struct fs *fs, fuse_req_t req, struct fs_inode *dir, const char *name)
{
	struct fs_inode *inode = fs_inode_by_name(&fs->inodes, dir, name);
	struct fuse_entry_param absent = { 0 };

	if (!fs_may_tell_known(fs))
		return false;
	if (inode && inode->exists && fs_entry_is_current(inode) &&
		(inode->kind != FS_KIND_DIR || inode->children_current)) {
		fs_inode_ref(inode);
		reply_entry(fs, req, inode);
		fs_inode_unref(&fs->inodes, inode);
		return true;
	}
	/* That something is not there is not told on suspicion. */
	if (inode || !zk_client_connected(fs->zk) || !dir->children_current ||
		strcmp(name, FS_DATA_NAME) == 0 || fs_list_has(dir->known_list, name))
		return false;
	if (!dir->notices && fs->options->stale == FS_STALE_SERVE)
		absent.entry_timeout = FS_ENTRY_CERTAIN_TIMEOUT;
	dir->kernel_lists |= absent.entry_timeout > 0;
	fuse_reply_entry(req, &absent);
	return true;
}

void fs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *dir = fs_ops_dir(fs, req, parent), *known;
	struct lookup *lookup;
	int r;

	if (!dir || lookup_special(fs, req, dir, name))
		return;
	if (lookup_known(fs, req, dir, name)) {
		fs->counters.known[FS_QUESTION_LOOKUP]++;
		return;
	}
	fs->counters.asked[FS_QUESTION_LOOKUP]++;
	lookup = fs_request_new(fs, req, sizeof(*lookup), lookup_free);
	if (!lookup)
		return;
	lookup->dir = fs_inode_ref(dir);
	fs_request_hold(&lookup->base, dir);
	strcpy(lookup->name, name);
	known = fs_inode_by_name(&fs->inodes, dir, name);
	if (known)
		fs_entry_prepare_fetch(fs, known, &lookup->fetch);
	lookup->fetch.fs = fs;
	lookup->fetch.watch = true;
	lookup->fetch.flags |= ZK_OP_SINCE_OUTAGE;
	lookup->fetch.is_root = is_data_name(lookup) && !dir->parent;
	lookup->fetch.at = dir;
	lookup->fetch.name = is_data_name(lookup) ? NULL : lookup->name;
	lookup->fetch.known = NULL; /* it may go before the answer comes */
	lookup->fetch.opp = &lookup->base.op;
	lookup->fetch.done = lookup_fetched;
	r = fs_fetch_start(&lookup->fetch, FS_FETCH_DATA, path_of(lookup));
	if (r < 0)
		fs_request_fail(&lookup->base, r);
	else if (strcmp(name, FS_DATA_NAME) != 0 && fs_access_wanted(fs, dir, name))
		fs_access_prefetch(fs, dir, name);
}

void fs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n_lookups)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *inode = fs_inode_by_id(&fs->inodes, ino);

	if (inode && inode->parent)
		fs_entry_forget(fs, inode, n_lookups);
	fuse_reply_none(req);
}

void fs_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct fs *fs = fuse_req_userdata(req);

	for (size_t i = 0; i < count; i++) {
		struct fs_inode *inode = fs_inode_by_id(&fs->inodes, forgets[i].ino);

		if (inode && inode->parent)
			fs_entry_forget(fs, inode, forgets[i].nlookup);
	}
	fuse_reply_none(req);
}

struct getattr {
	struct fs_request base;
	struct fs_fetch fetch;
	struct fs_inode *inode; /* a reference */
};

static void getattr_free(struct fs_request *request)
{
	struct getattr *getattr = (struct getattr *)request;

	fs_fetch_done(&getattr->fetch);
	fs_inode_unref(&request->fs->inodes, getattr->inode);
}

static void reply_attr(struct fs *fs, fuse_req_t req, struct fs_inode *inode)
{
	struct stat st;

	fs_attr_show(fs, inode, &st);
	fuse_reply_attr(req, &st, fs_entry_is_certain(inode) ? FS_ENTRY_CERTAIN_TIMEOUT : 0);
}

static void getattr_fetched(struct fs_fetch *fetch, int r)
{
	struct getattr *getattr = fs_container_of(fetch, struct getattr, fetch);
	struct fs *fs = getattr->base.fs;

	if (r == -ENOTCONN)
		r = fs_may_serve_stale(fs) ? 0 : -ETIMEDOUT;
	else
		r = fs_entry_revalidate(fs, getattr->inode, fetch, r);
	if (r == 0 && getattr->base.req) {
		reply_attr(fs, getattr->base.req, getattr->inode);
		getattr->base.req = NULL;
	} else {
		fs_reply_error(&getattr->base, r);
	}
	fs_request_end(&getattr->base);
}

/* Asked with an open file by lseek(2) alone: a writer is told the size it sees itself. */
static bool getattr_of_writer(
	struct fs *fs, fuse_req_t req, struct fs_inode *inode, struct fuse_file_info *fi)
{
	struct fs_file *file = fi && !fs_kind_is_dir(inode->kind) ? fs_file_of(fi) : NULL;
	struct stat st;

	if (!file || !fs_file_has_own_size(file))
		return false;
	fs_attr_show(fs, inode, &st);
	st.st_size = (off_t)fs_file_size(file);
	fuse_reply_attr(req, &st, 0);
	return true;
}

void fs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *inode = fs_ops_inode(fs, req, ino);
	struct getattr *getattr;
	int r;

	if (!inode || getattr_of_writer(fs, req, inode, fi))
		return;
	/* The kernel asks with a file before it reads: who has open what is gone reads on. */
	if (!inode->exists || inode->removed || (fi && !inode->linked) ||
		(inode->linked && fs_entry_is_current(inode) && fs_may_tell_known(fs)) ||
		fs_inode_take_grant(inode, fuse_req_ctx(req)->pid, FS_GRANT_ATTR)) {
		fs->counters.known[FS_QUESTION_GETATTR]++;
		reply_attr(fs, req, inode);
		return;
	}
	fs->counters.asked[FS_QUESTION_GETATTR]++;
	if (!inode->linked) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	getattr = fs_request_new(fs, req, sizeof(*getattr), getattr_free);
	if (!getattr)
		return;
	getattr->inode = fs_inode_ref(inode);
	fs_entry_prepare_fetch(fs, inode, &getattr->fetch);
	getattr->fetch.opp = &getattr->base.op;
	getattr->fetch.done = getattr_fetched;
	r = fs_fetch_start(&getattr->fetch, FS_FETCH_STAT, fs_inode_path(&fs->inodes, inode));
	if (r < 0)
		fs_request_fail(&getattr->base, r);
}

void fs_op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	/* ZooKeeper has no notion of room; programs that look for some before they write find it. */
	static const struct statvfs st = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = 1 << 20,
		.f_bfree = 1 << 20,
		.f_bavail = 1 << 20,
		.f_files = 1 << 20,
		.f_ffree = 1 << 20,
		.f_favail = 1 << 20,
		.f_namemax = ZK_PATH_NAME_MAX,
	};

	fuse_reply_statfs(req, &st);
}

/* Only asked where the kernel does not check the modes itself, and only with `ro` of any interest. */
void fs_op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	struct fs *fs = fuse_req_userdata(req);

	if (fs_entry_check_writable(fs) == 0)
		fuse_reply_err(req, ENOSYS); /* the kernel does not ask again, and allows all */
	else
		fuse_reply_err(req, mask & W_OK ? EROFS : 0);
}
