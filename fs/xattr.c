/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes: the Stat of a znode, and its ACL, as user.zk.*.
 *
 * Those of the kernel (security.*, system.*, trusted.*) never reach ZooKeeper: EOPNOTSUPP makes ls
 * stop asking for them. What is asked for is read anew each time.
 */
#include "fs/ops.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/container.h"
#include "fs/entry.h"
#include "fs/fs.h"
#include "fs/request.h"
#include "zk/acl.h"

#define PREFIX "user.zk."
#define ACL_NAME "user.zk.acl"
#define ACL_TRIES 10 /* against others who set it at the same time */

struct field {
	const char *name;
	int64_t (*get)(const struct zk_stat *stat);
	const char *format;
};

#define FIELD(field)                                           \
	static int64_t get_##field(const struct zk_stat *stat) \
	{                                                      \
		return stat->field;                            \
	}
FIELD(version)
FIELD(cversion)
FIELD(aversion)
FIELD(czxid)
FIELD(mzxid)
FIELD(pzxid)
FIELD(ctime)
FIELD(mtime)
FIELD(ephemeral_owner)
FIELD(num_children)

static const struct field fields[] = {
	{ PREFIX "version", get_version, "%" PRId64 },
	{ PREFIX "cversion", get_cversion, "%" PRId64 },
	{ PREFIX "aversion", get_aversion, "%" PRId64 },
	{ PREFIX "czxid", get_czxid, "%" PRId64 },
	{ PREFIX "mzxid", get_mzxid, "%" PRId64 },
	{ PREFIX "pzxid", get_pzxid, "%" PRId64 },
	{ PREFIX "ctime", get_ctime, "%" PRId64 },
	{ PREFIX "mtime", get_mtime, "%" PRId64 },
	{ PREFIX "ephemeral_owner", get_ephemeral_owner, "0x%" PRIx64 },
	{ PREFIX "num_children", get_num_children, "%" PRId64 },
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static const struct field *find_field(const char *name)
{
	for (size_t i = 0; i < N_FIELDS; i++)
		if (strcmp(name, fields[i].name) == 0)
			return &fields[i];
	return NULL;
}

struct xattr {
	struct fs_request base;
	struct fs_fetch fetch;
	struct fs_inode *inode; /* a reference */
	const struct field *field;
	struct zk_acl *acl; /* to be set */
	unsigned n_tries;
	char *path;
	size_t size; /* of the caller's buffer; 0: asks how large it must be */
};

static void xattr_free(struct fs_request *request)
{
	struct xattr *xattr = (struct xattr *)request;

	fs_fetch_done(&xattr->fetch);
	zk_acl_free(xattr->acl);
	free(xattr->path);
	fs_inode_unref(&request->fs->inodes, xattr->inode);
}

static void reply_value(fuse_req_t req, const char *value, size_t len, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, len);
	else if (len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, value, len);
}

static void reply_text(struct xattr *xattr, const char *text)
{
	if (xattr->base.req)
		reply_value(xattr->base.req, text, strlen(text), xattr->size);
	xattr->base.req = NULL;
	fs_request_end(&xattr->base);
}

static void got_stat(struct fs_fetch *fetch, int r)
{
	struct xattr *xattr = fs_container_of(fetch, struct xattr, fetch);
	struct fs *fs = xattr->base.fs;
	char text[32];

	if (r == -ENOTCONN)
		r = fs_may_serve_stale(fs) ? 0 : -ETIMEDOUT;
	else
		r = fs_entry_revalidate(fs, xattr->inode, fetch, r);
	if (r < 0) {
		fs_request_fail(&xattr->base, r);
		return;
	}
	snprintf(text, sizeof(text), xattr->field->format, xattr->field->get(&xattr->inode->stat));
	reply_text(xattr, text);
}

static void got_acl(void *userdata, int r, const struct zk_reply *reply)
{
	struct xattr *xattr = userdata;
	char *text = NULL;

	xattr->base.op = NULL;
	if (r == 0) {
		text = zk_acl_format(reply->acl);
		r = text ? 0 : -ENOMEM;
	}
	if (r < 0)
		fs_request_fail(&xattr->base, r);
	else
		reply_text(xattr, text);
	free(text);
}

/* NULL: there is nothing to ask ZooKeeper for, and the request was answered. */
static struct xattr *xattr_new(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *inode = fs_ops_inode(fs, req, ino);
	struct xattr *xattr;

	if (!inode)
		return NULL;
	if (strncmp(name, "user.", 5) != 0 || !inode->exists || !inode->linked) {
		fuse_reply_err(req, strncmp(name, "user.", 5) != 0     ? EOPNOTSUPP
				    : inode->exists && !inode->removed ? ESTALE
								       : ENODATA);
		return NULL;
	}
	xattr = fs_request_new(fs, req, sizeof(*xattr), xattr_free);
	if (!xattr)
		return NULL;
	xattr->inode = fs_inode_ref(inode);
	xattr->path = fs_inode_path(&fs->inodes, inode);
	if (!xattr->path) {
		fs_request_fail(&xattr->base, -ENOMEM);
		return NULL;
	}
	return xattr;
}

static void start_stat(struct xattr *xattr)
{
	struct fs *fs = xattr->base.fs;
	int r;

	fs_entry_prepare_fetch(fs, xattr->inode, &xattr->fetch);
	xattr->fetch.opp = &xattr->base.op;
	xattr->fetch.done = got_stat;
	r = fs_fetch_start(&xattr->fetch, FS_FETCH_STAT, strdup(xattr->path));
	if (r < 0)
		fs_request_fail(&xattr->base, r);
}

void fs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	const struct field *field = find_field(name);
	bool is_acl = strcmp(name, ACL_NAME) == 0;
	struct xattr *xattr = xattr_new(req, ino, name);
	int r;

	if (!xattr)
		return;
	xattr->size = size;
	xattr->field = field;
	if (field) {
		start_stat(xattr);
	} else {
		r = is_acl ? zk_acl_get(xattr->base.fs->zk, xattr->path, 0, got_acl, xattr,
				     &xattr->base.op)
			   : -ENODATA;
		if (r < 0)
			fs_request_fail(&xattr->base, r);
	}
}

void fs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fs_inode *inode = fs_ops_inode(fs, req, ino);
	char names[1024], *end = names;

	if (!inode)
		return;
	if (inode->exists) {
		for (size_t i = 0; i < N_FIELDS; i++)
			end = stpcpy(end, fields[i].name) + 1;
		end = stpcpy(end, ACL_NAME) + 1;
	}
	reply_value(req, names, (size_t)(end - names), size);
}

/* The ACL is set on the version that is there now: only so can it be told, after a lost answer,
 * whether it was set. */
static void read_aversion(struct xattr *xattr);

static void acl_set(void *userdata, int r, const struct zk_reply *reply)
{
	struct xattr *xattr = userdata;

	xattr->base.op = NULL;
	if (r == -ESTALE && xattr->n_tries++ < ACL_TRIES) {
		read_aversion(xattr);
		return;
	}
	if (r == 0) {
		xattr->inode->acl = zk_acl_free(xattr->inode->acl);
		fs_ephemeral_acl_set(xattr->base.fs, xattr->path, xattr->acl);
	}
	fs_request_fail(&xattr->base, r);
}

static void got_aversion(void *userdata, int r, const struct zk_reply *reply)
{
	struct xattr *xattr = userdata;

	xattr->base.op = NULL;
	if (r == 0)
		r = zk_acl_set(xattr->base.fs->zk, xattr->path, xattr->acl, reply->stat.aversion, 0,
			acl_set, xattr, &xattr->base.op);
	if (r < 0)
		fs_request_fail(&xattr->base, r);
}

static void read_aversion(struct xattr *xattr)
{
	int r = zk_exists(xattr->base.fs->zk, xattr->path, 0, got_aversion, xattr, &xattr->base.op);

	if (r < 0)
		fs_request_fail(&xattr->base, r);
}

static int check_set(const struct fs *fs, const char *name, int flags)
{
	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return -EOPNOTSUPP;
	if (strcmp(name, ACL_NAME) != 0)
		return find_field(name) ? -EPERM : -EOPNOTSUPP;
	if (flags & XATTR_CREATE)
		return -EEXIST;
	return fs_entry_check_writable(fs);
}

void fs_op_setxattr(
	fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	struct fs *fs = fuse_req_userdata(req);
	struct xattr *xattr;
	int r = check_set(fs, name, flags);

	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	xattr = xattr_new(req, ino, name);
	if (!xattr)
		return;
	r = zk_acl_parse(value, size, &xattr->acl);
	if (r < 0)
		fs_request_fail(&xattr->base, r);
	else
		read_aversion(xattr);
}

void fs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	bool ours = strcmp(name, ACL_NAME) == 0 || find_field(name);

	fuse_reply_err(req, ours ? EPERM : strncmp(name, "user.", 5) == 0 ? ENODATA : EOPNOTSUPP);
}
