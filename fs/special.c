/* SPDX-License-Identifier: Apache-2.0 */
/* The special files of a directory: looked up, opened, read and closed. */
#include "fs/special.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/attr.h"
#include "fs/control.h"
#include "fs/creation.h"
#include "fs/entry.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "zk/path.h"

static const struct {
	const char *name;
	enum fs_kind kind;
} files[] = {
	{ FS_EPHEMERAL_NAME, FS_KIND_EPHEMERAL },
	{ FS_LEASE_NAME, FS_KIND_LEASE },
	{ FS_CREATE_NAME, FS_KIND_CREATE },
};

static enum fs_kind kind_of(const char *name)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strcmp(name, files[i].name) == 0)
			return files[i].kind;
	return FS_KIND_UNKNOWN;
}

static bool is_open(const struct fs *fs, const struct fs_inode *inode)
{
	const struct fs_special *special;

	LIST_FOREACH (special, &fs->specials, link)
		if (special->inode == inode)
			return true;
	return false;
}

/* A reference, or NULL. */
static struct fs_inode *inode_of(
	struct fs *fs, struct fs_inode *dir, const char *name, enum fs_kind kind)
{
	struct fs_inode *inode = fs_inode_by_name(&fs->inodes, dir, name);

	if (inode && !is_open(fs, inode))
		return fs_inode_ref(inode);
	if (inode)
		fs_inode_unlink(&fs->inodes, inode);
	return fs_inode_new(&fs->inodes, dir, name, kind);
}

bool fs_special_lookup(struct fs *fs, fuse_req_t req, struct fs_inode *dir, const char *name)
{
	enum fs_kind kind = kind_of(name);
	struct fuse_entry_param entry;
	struct fs_inode *inode;

	if (kind == FS_KIND_UNKNOWN)
		return false;
	inode = inode_of(fs, dir, name, kind);
	if (!inode) {
		fuse_reply_err(req, ENOMEM);
		return true;
	}
	fs_entry_fill(fs, inode, &entry);
	fs_entry_given(fs, inode);
	if (fuse_reply_entry(req, &entry) < 0)
		fs_entry_forget(fs, inode, 1);
	fs_inode_unref(&fs->inodes, inode);
	return true;
}

/* Nothing is kept of it, and truncating it changes nothing. */
void fs_special_setattr(fuse_req_t req, struct fs_inode *inode)
{
	struct fs *fs = fuse_req_userdata(req);
	struct stat st;

	fs_attr_show(fs, inode, &st);
	fuse_reply_attr(req, &st, 0);
}

static struct fs_special *special_new(struct fs *fs, struct fs_inode *inode)
{
	struct fs_special *special = calloc(1, sizeof(*special));

	if (!special)
		return NULL;
	special->fs = fs;
	special->n_refs = 1;
	special->inode = fs_inode_ref(inode);
	TAILQ_INIT(&special->leases);
	LIST_INSERT_HEAD(&fs->specials, special, link);
	return special;
}

struct fs_special *fs_special_ref(struct fs_special *special)
{
	special->n_refs++;
	return special;
}

void fs_special_unref(struct fs_special *special)
{
	if (--special->n_refs > 0)
		return;
	LIST_REMOVE(special, link);
	fs_inode_unref(&special->fs->inodes, special->inode);
	free(special->names);
	free(special->text);
	free(special);
}

void fs_specials_done(struct fs *fs)
{
	while (!LIST_EMPTY(&fs->specials))
		fs_special_unref(LIST_FIRST(&fs->specials));
}

void fs_special_open(fuse_req_t req, struct fs_inode *inode, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC);
	int r = writes ? fs_entry_check_writable(fs) : 0;
	struct fs_special *special;

	if (r == 0 && !inode->parent->linked)
		r = -ESTALE;
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	special = special_new(fs, inode);
	if (!special) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	fi->fh = (uintptr_t)special;
	fi->direct_io = 1;
	fi->nonseekable = 1;
	fi->noflush = 1;
	if (fuse_reply_open(req, fi) < 0)
		fs_special_unref(special);
}

void fs_special_note(struct fs_special *special, const char *name)
{
	size_t size = strlen(name);
	char *names = realloc(special->names, special->names_size + size + 1);

	if (!names)
		return;
	memcpy(names + special->names_size, name, size);
	names[special->names_size + size] = '\n';
	special->names = names;
	special->names_size += size + 1;
}

/* READ */

static bool is_in(const char *path, const char *dir)
{
	size_t size = (size_t)(zk_path_base(path) - path) - 1;

	return strlen(dir) == size && memcmp(path, dir, size) == 0;
}

static void print_owned(FILE *out, const struct fs *fs, const struct fs_inode *dir)
{
	char *dir_path = fs_inode_path(&fs->inodes, dir);
	const struct fs_ephemeral *ephemeral = fs->ephemerals.by_path;

	if (dir_path && strcmp(dir_path, "/") == 0)
		dir_path[0] = '\0';
	for (; dir_path && ephemeral; ephemeral = ephemeral->hh.next)
		if (!ephemeral->leaving && is_in(ephemeral->path, dir_path))
			fprintf(out, "%s\n", zk_path_base(ephemeral->path));
	free(dir_path);
}

static void print_leases(FILE *out, const struct fs_special *special)
{
	const struct fs_ephemeral *ephemeral;

	TAILQ_FOREACH (ephemeral, &special->leases, holder_link)
		fprintf(out, "%s\n", zk_path_base(ephemeral->path));
}

/* malloc'ed, NULL when out of memory. */
static char *print_names(const struct fs_special *special, size_t *size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, size);

	if (!out)
		return NULL;
	if (special->inode->kind == FS_KIND_EPHEMERAL)
		print_owned(out, special->fs, special->inode->parent);
	else if (special->inode->kind == FS_KIND_LEASE)
		print_leases(out, special);
	else if (special->names)
		fwrite(special->names, 1, special->names_size, out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* At the end of the text: it goes on if names have come behind those that were read. */
static int refresh(struct fs_special *special)
{
	size_t size;
	char *text = print_names(special, &size);

	if (!text)
		return -ENOMEM;
	if (size < special->text_size ||
		(special->text && memcmp(text, special->text, special->text_size) != 0)) {
		free(text);
		return 0;
	}
	free(special->text);
	special->text = text;
	special->text_size = size;
	return 0;
}

void fs_special_read(fuse_req_t req, size_t size, struct fuse_file_info *fi)
{
	struct fs_special *special = fs_special_of(fi);
	int r = special->position == special->text_size ? refresh(special) : 0;
	size_t left = special->text_size - special->position;

	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	size = size < left ? size : left;
	fuse_reply_buf(req, size ? special->text + special->position : NULL, size);
	special->position += size;
	if (size > 0)
		return;
	free(special->text);
	special->text = NULL;
	special->text_size = special->position = 0;
}

void fs_special_write(fuse_req_t req, const char *data, size_t size, struct fuse_file_info *fi)
{
	fs_creation_start(req, fs_special_of(fi), data, size);
}

void fs_special_release(fuse_req_t req, struct fuse_file_info *fi)
{
	struct fs_special *special = fs_special_of(fi);

	special->released = true;
	fs_ephemerals_release(&special->leases);
	fs_special_unref(special);
	fuse_reply_err(req, 0);
}
