/* SPDX-License-Identifier: Apache-2.0 */
/* Early checks of permissions. */
#include "fs/access.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/clock.h"
#include "fs/fs.h"
#include "fs/list.h"
#include "fs/options.h"
#include "fs/request.h"
#include "zk/acl.h"
#include "zk/op.h"
#include "zk/path.h"

/* How long after one open for writing the next one is expected. */
#define WANTED_NS (1000 * FS_MS)

/* How many ACLs are asked for ahead of who writes one file of a directory after the other. */
#define AHEAD 16

static bool is_allowed(const struct fs_access *access)
{
	const struct zk_acl *acl = access->inode->acl;

	return !acl || zk_acl_may(acl, access->fs->options->auth, access->perms);
}

static void keep_acl(struct fs_inode *inode, const struct zk_reply *reply)
{
	zk_acl_free(inode->acl);
	inode->acl = zk_acl_copy(reply->acl);
	inode->acl_version = reply->stat.aversion;
}

static void got_acl(void *userdata, int r, const struct zk_reply *reply)
{
	struct fs_access *access = userdata;
	struct fs_inode *inode = access->inode;

	*access->opp = NULL;
	if (r == 0) {
		keep_acl(inode, reply);
	} else if (r == -EACCES) {
		inode->acl = zk_acl_free(inode->acl); /* it may be read by no more than its owner */
	} else {
		access->done(access, r == -ENOENT ? -ESTALE : r);
		return;
	}
	access->done(access, is_allowed(access) ? 0 : -EACCES);
}

static bool is_wanted(const struct fs_inode *dir)
{
	return dir->acls_wanted != 0 && fs_clock_now() - dir->acls_wanted <= WANTED_NS;
}

static bool is_known(const struct fs_inode *inode)
{
	return inode->acl && inode->acl_version == inode->stat.aversion;
}

/* Asks for the ACLs of the files behind this one, where the last question was not long ago. */
static void read_ahead(struct fs *fs, const struct fs_inode *file)
{
	struct fs_inode *dir = file->parent;
	const struct fs_list *list = dir ? dir->known_list : NULL;
	size_t at = list ? fs_list_find(list, file->name->name) : 0, end;

	if (!list || at == list->n_names || !is_wanted(dir))
		return;
	end = at + 1 + AHEAD < list->n_names ? at + 1 + AHEAD : list->n_names;
	if (dir->acls_asked <= at || dir->acls_asked > end)
		dir->acls_asked = at + 1;
	for (; dir->acls_asked < end; dir->acls_asked++) {
		const char *name = list->names[dir->acls_asked];
		const struct fs_inode *next = fs_inode_by_name(&fs->inodes, dir, name);

		if (next && next->kind == FS_KIND_FILE && next->exists && !is_known(next))
			fs_access_prefetch(fs, dir, name);
	}
}

int fs_access_start(struct fs_access *access, struct fs_inode *inode)
{
	char *path;
	int r;

	access->inode = fs_inode_ref(inode);
	read_ahead(access->fs, inode);
	/* A refusal is never from memory: the ACL may have been changed since. */
	if (inode->parent)
		inode->parent->acls_wanted = fs_clock_now();
	if (is_known(inode) && is_allowed(access)) {
		access->done(access, 0);
		return 0;
	}
	path = fs_inode_path(&access->fs->inodes, inode);
	if (!path)
		return -ENOMEM;
	r = zk_acl_get(access->fs->zk, path, 0, got_acl, access, access->opp);
	free(path);
	return r;
}

void fs_access_done(struct fs_access *access)
{
	if (access->inode)
		fs_inode_unref(&access->fs->inodes, access->inode);
	access->inode = NULL;
}

struct prefetch {
	struct fs_request base;
	struct fs_inode *dir; /* a reference */
	char name[ZK_PATH_NAME_MAX + 1];
};

static void prefetch_free(struct fs_request *request)
{
	fs_inode_unref(&request->fs->inodes, ((struct prefetch *)request)->dir);
}

static void prefetched(void *userdata, int r, const struct zk_reply *reply)
{
	struct prefetch *prefetch = userdata;
	struct fs_inode *inode =
		fs_inode_by_name(&prefetch->base.fs->inodes, prefetch->dir, prefetch->name);

	if (r == 0 && inode && inode->stat.czxid == reply->stat.czxid)
		keep_acl(inode, reply);
	prefetch->base.op = NULL;
	fs_request_end(&prefetch->base);
}

bool fs_access_wanted(struct fs *fs, const struct fs_inode *dir, const char *name)
{
	const struct fs_inode *inode;

	if (!is_wanted(dir))
		return false;
	inode = fs_inode_by_name(&fs->inodes, dir, name);
	return !inode || !is_known(inode);
}

void fs_access_prefetch(struct fs *fs, struct fs_inode *dir, const char *name)
{
	struct prefetch *prefetch = fs_request_new_internal(fs, sizeof(*prefetch), prefetch_free);
	char *path = fs_inode_child_path(&fs->inodes, dir, name);
	int r = -ENOMEM;

	if (prefetch) {
		prefetch->dir = fs_inode_ref(dir);
		strcpy(prefetch->name, name);
		r = path ? zk_acl_get(fs->zk, path, ZK_OP_FAIL_FAST, prefetched, prefetch,
				   &prefetch->base.op)
			 : -ENOMEM;
		if (r < 0)
			fs_request_end(&prefetch->base);
	}
	free(path);
}
