/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of inodes, found by nodeid and by (parent, name). nodeids are never used twice.
 */
#include "fs/inode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/cache.h"
#include "fs/clock.h"
#include "fs/list.h"
#include "fs/names.h"
#include "zk/acl.h"
#include "zk/blob.h"
#include "zk/path.h"

/* A grant bridges the time between two requests of one system call. */
#define GRANT_NS (2 * FS_MS)

static size_t name_key_len(const char *name)
{
	return sizeof(struct fs_inode_name) + strlen(name);
}

static struct fs_inode_name *name_new(const struct fs_inode *parent, const char *name)
{
	struct fs_inode_name *key = malloc(name_key_len(name) + 1);

	if (!key)
		return NULL;
	key->parent_id = parent ? parent->nodeid : 0;
	strcpy(key->name, name);
	return key;
}

static void link_name(struct fs_inodes *inodes, struct fs_inode *inode)
{
	HASH_ADD_KEYPTR(
		by_name, inodes->by_name, inode->name, name_key_len(inode->name->name), inode);
	inode->linked = true;
}

struct fs_inode *fs_inode_new(
	struct fs_inodes *inodes, struct fs_inode *parent, const char *name, enum fs_kind kind)
{
	struct fs_inode *inode = calloc(1, sizeof(*inode));

	if (!inode)
		return NULL;
	inode->name = name_new(parent, name);
	if (!inode->name) {
		free(inode);
		return NULL;
	}
	inode->nodeid = ++inodes->last_id;
	inode->kind = kind;
	inode->parent = parent ? fs_inode_ref(parent) : NULL;
	if (parent)
		LIST_INSERT_HEAD(&parent->children, inode, sibling);
	inode->n_refs = 1;
	LIST_INIT(&inode->files);
	LIST_INIT(&inode->children);
	HASH_ADD(by_id, inodes->by_id, nodeid, sizeof(inode->nodeid), inode);
	link_name(inodes, inode);
	inodes->n_inodes++;
	return inode;
}

static void inode_free(struct fs_inodes *inodes, struct fs_inode *inode)
{
	fs_inode_unlink(inodes, inode);
	fs_cache_drop(inodes, inode);
	zk_blob_unref(inode->pages);
	zk_blob_unref(inode->renewed_data);
	fs_list_unref(inode->known_list);
	fs_list_unref(inode->told_list);
	fs_names_clear(&inode->gone);
	HASH_DELETE(by_id, inodes->by_id, inode);
	if (inode->parent)
		LIST_REMOVE(inode, sibling);
	inodes->n_inodes--;
	zk_acl_free(inode->acl);
	free(inode->name);
	free(inode);
}

/* Frees what nobody holds any more, and then perhaps its parent, and so on. */
static void reap(struct fs_inodes *inodes, struct fs_inode *inode)
{
	while (inode && inode->n_refs == 0 && inode->n_lookups == 0) {
		struct fs_inode *parent = inode->parent;

		inode_free(inodes, inode);
		inode = parent;
		if (inode)
			inode->n_refs--;
	}
}

int fs_inodes_init(struct fs_inodes *inodes, const char *prefix)
{
	memset(inodes, 0, sizeof(*inodes));
	TAILQ_INIT(&inodes->cached);
	inodes->prefix = strdup(prefix);
	if (!inodes->prefix)
		return -ENOMEM;
	inodes->root = fs_inode_new(inodes, NULL, "", FS_KIND_DIR);
	if (!inodes->root) {
		free(inodes->prefix);
		return -ENOMEM;
	}
	inodes->root->exists = true;
	inodes->root->told = true;
	return 0;
}

void fs_inodes_done(struct fs_inodes *inodes)
{
	struct fs_inode *inode, *next;

	HASH_ITER (by_id, inodes->by_id, inode, next) {
		inode->parent = NULL; /* which may be gone already */
		inode_free(inodes, inode);
	}
	free(inodes->prefix);
}

struct fs_inode *fs_inode_by_id(struct fs_inodes *inodes, uint64_t nodeid)
{
	struct fs_inode *inode;

	HASH_FIND(by_id, inodes->by_id, &nodeid, sizeof(nodeid), inode);
	return inode;
}

struct fs_inode *fs_inode_by_name(
	struct fs_inodes *inodes, const struct fs_inode *parent, const char *name)
{
	_Alignas(struct fs_inode_name) char room[sizeof(struct fs_inode_name) + ZK_PATH_NAME_MAX];
	struct fs_inode_name *key = (struct fs_inode_name *)room;
	struct fs_inode *inode;

	if (strlen(name) > ZK_PATH_NAME_MAX)
		return NULL;
	key->parent_id = parent->nodeid;
	memcpy(key->name, name, strlen(name));
	HASH_FIND(by_name, inodes->by_name, key, name_key_len(name), inode);
	return inode;
}

struct fs_inode *fs_inode_ref(struct fs_inode *inode)
{
	inode->n_refs++;
	return inode;
}

void fs_inode_unref(struct fs_inodes *inodes, struct fs_inode *inode)
{
	if (!inode)
		return;
	inode->n_refs--;
	reap(inodes, inode);
}

void fs_inode_forget(struct fs_inodes *inodes, struct fs_inode *inode, uint64_t n_lookups)
{
	inode->n_lookups -= n_lookups < inode->n_lookups ? n_lookups : inode->n_lookups;
	reap(inodes, inode);
}

void fs_inode_unlink(struct fs_inodes *inodes, struct fs_inode *inode)
{
	if (!inode->linked)
		return;
	HASH_DELETE(by_name, inodes->by_name, inode);
	inode->linked = false;
}

int fs_inode_move(struct fs_inodes *inodes, struct fs_inode *inode, struct fs_inode *parent,
	const char *name, bool leads)
{
	struct fs_inode *old_parent = inode->parent;
	struct fs_inode_name *key = name_new(parent, name);

	fs_inode_unlink(inodes, inode);
	if (!key)
		return -ENOMEM;
	free(inode->name);
	inode->name = key;
	LIST_REMOVE(inode, sibling);
	inode->parent = fs_inode_ref(parent);
	LIST_INSERT_HEAD(&parent->children, inode, sibling);
	if (leads)
		link_name(inodes, inode);
	fs_inode_unref(inodes, old_parent);
	return 0;
}

static size_t path_length(const struct fs_inodes *inodes, const struct fs_inode *inode)
{
	size_t len = strlen(inodes->prefix);

	for (; inode->parent; inode = inode->parent)
		if (inode->kind != FS_KIND_DATA)
			len += 1 + strlen(inode->name->name);
	return len;
}

static char *prepend_name(char *end, const char *name)
{
	size_t len = strlen(name);

	end -= len;
	memcpy(end, name, len);
	*--end = '/';
	return end;
}

/* Writes the path, and "/" + `name` behind it where `name` is not NULL, from its end backwards. */
static char *build_path(
	const struct fs_inodes *inodes, const struct fs_inode *inode, const char *name)
{
	size_t len = path_length(inodes, inode) + (name ? 1 + strlen(name) : 0);
	char *path = malloc(len + 2), *end;

	if (!path)
		return NULL;
	end = path + len;
	*end = '\0';
	if (name)
		end = prepend_name(end, name);
	for (; inode->parent; inode = inode->parent)
		if (inode->kind != FS_KIND_DATA)
			end = prepend_name(end, inode->name->name);
	memcpy(path, inodes->prefix, (size_t)(end - path));
	if (len == 0)
		strcpy(path, "/");
	return path;
}

char *fs_inode_path(const struct fs_inodes *inodes, const struct fs_inode *inode)
{
	return build_path(inodes, inode, NULL);
}

char *fs_inode_child_path(
	const struct fs_inodes *inodes, const struct fs_inode *parent, const char *name)
{
	return build_path(inodes, parent, name);
}

char *fs_inode_shown_path(const struct fs_inode *inode)
{
	const struct fs_inode *i;
	size_t len = 0;
	char *path, *end;

	for (i = inode; i->parent; i = i->parent)
		len += 1 + strlen(i->name->name);
	path = malloc(len + 1);
	if (!path)
		return NULL;
	end = path + len;
	*end = '\0';
	for (i = inode; i->parent; i = i->parent)
		end = prepend_name(end, i->name->name);
	if (len > 0)
		memmove(path, path + 1, len);
	return path;
}

struct fs_inode *fs_inode_by_path(struct fs_inodes *inodes, const char *path)
{
	size_t n_prefix = strlen(inodes->prefix);
	struct fs_inode *inode = inodes->root;
	char name[ZK_PATH_NAME_MAX + 1];

	if (strncmp(path, inodes->prefix, n_prefix) != 0)
		return NULL;
	for (path += n_prefix; inode && *path == '/' && path[1];) {
		size_t len = strcspn(++path, "/");

		if (len > ZK_PATH_NAME_MAX)
			return NULL;
		memcpy(name, path, len);
		name[len] = '\0';
		inode = fs_inode_by_name(inodes, inode, name);
		path += len;
	}
	return inode;
}

void fs_inode_grant(struct fs_inode *inode, pid_t tid, unsigned grants)
{
	inode->grants = grants;
	inode->grant_tid = tid;
	inode->grant_time = fs_clock_now();
}

bool fs_inode_take_grant(struct fs_inode *inode, pid_t tid, enum fs_grant grant)
{
	if (!(inode->grants & grant) || inode->grant_tid != tid ||
		fs_clock_now() - inode->grant_time > GRANT_NS)
		return false;
	inode->grants &= ~(unsigned)grant;
	return true;
}
