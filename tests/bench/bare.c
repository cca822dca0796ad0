/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The base for what is hot: a file system on libfuse that does nothing, in its fastest form. N files
 * of SIZE bytes in its root, called n000000 and so on; the kernel may keep all it is told for ever.
 *
 * usage: bare MOUNTPOINT N SIZE
 */

#define FUSE_USE_VERSION 34

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOR_EVER 1e9
#define FIRST_FILE 2 /* inode numbers: 1 is the root */

static fuse_ino_t n_files;
static size_t file_size;
static char *data;

static int fill_attr(fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){ .st_ino = ino, .st_nlink = 1 };
	st->st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644;
	st->st_size = ino == FUSE_ROOT_ID ? 0 : (off_t)file_size;
	return ino < FIRST_FILE + n_files ? 0 : ENOENT;
}

static void bare_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .attr_timeout = FOR_EVER, .entry_timeout = FOR_EVER };

	entry.ino = FIRST_FILE + strtoull(name + 1, NULL, 10);
	if (parent != FUSE_ROOT_ID || name[0] != 'n' || fill_attr(entry.ino, &entry.attr) != 0)
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_entry(req, &entry);
}

static void bare_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	fill_attr(ino, &st);
	fuse_reply_attr(req, &st, FOR_EVER);
}

static void bare_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void bare_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	size_t at = (size_t)offset < file_size ? (size_t)offset : file_size;

	fuse_reply_buf(req, data + at, size < file_size - at ? size : file_size - at);
}

static const struct fuse_lowlevel_ops ops = {
	.lookup = bare_lookup,
	.getattr = bare_getattr,
	.open = bare_open,
	.read = bare_read,
};

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session;
	int r = 1;

	if (argc != 4) {
		fprintf(stderr, "usage: bare MOUNTPOINT N SIZE\n");
		return 64;
	}
	n_files = strtoull(argv[2], NULL, 10);
	file_size = strtoull(argv[3], NULL, 10);
	data = malloc(file_size + 1);
	memset(data, 'y', file_size + 1);
	fuse_opt_add_arg(&args, argv[0]);
	session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (session && fuse_session_mount(session, argv[1]) == 0) {
		r = fuse_session_loop(session);
		fuse_session_unmount(session);
	}
	if (session)
		fuse_session_destroy(session);
	fuse_opt_free_args(&args);
	free(data);
	return r != 0;
}
