/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting what passes the FUSE device, by the headers that the kernel's protocol puts before each
 * request and each reply (<linux/fuse.h>).
 */
#include "fs/device.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

#include "fs/clock.h"
#include "fs/fs.h"
#include "fs/notifier.h"

/* Requests are told apart by a number, of which the kernel gives out every second one. Of two that
 * are open at the same time, this many apart, one is not timed. */
#define N_OPEN 1024

#define US INT64_C(1000)

const int64_t fs_device_bounds[FS_DEVICE_BUCKETS - 1] = {
	30 * US,
	100 * US,
	300 * US,
	1 * FS_MS,
	3 * FS_MS,
	10 * FS_MS,
	30 * FS_MS,
	100 * FS_MS,
	300 * FS_MS,
	1000 * FS_MS,
	10000 * FS_MS,
};

static const struct {
	uint32_t opcode;
	const char *name;
} kinds[] = {
	{ FUSE_LOOKUP, "lookup" },
	{ FUSE_GETATTR, "getattr" },
	{ FUSE_SETATTR, "setattr" },
	{ FUSE_OPEN, "open" },
	{ FUSE_CREATE, "create" },
	{ FUSE_MKNOD, "mknod" },
	{ FUSE_READ, "read" },
	{ FUSE_WRITE, "write" },
	{ FUSE_FLUSH, "flush" },
	{ FUSE_FSYNC, "fsync" },
	{ FUSE_RELEASE, "release" },
	{ FUSE_OPENDIR, "opendir" },
	{ FUSE_READDIR, "readdir" },
	{ FUSE_READDIRPLUS, "readdirplus" },
	{ FUSE_MKDIR, "mkdir" },
	{ FUSE_UNLINK, "unlink" },
	{ FUSE_RMDIR, "rmdir" },
	{ FUSE_RENAME, "rename" },
	{ FUSE_RENAME2, "rename2" },
	{ FUSE_GETXATTR, "getxattr" },
	{ FUSE_LISTXATTR, "listxattr" },
	{ FUSE_SETXATTR, "setxattr" },
	{ FUSE_REMOVEXATTR, "removexattr" },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct open_request {
	uint64_t unique; /* 0: none */
	unsigned kind;
	int64_t since; /* fs_clock_now() */
};

struct fs_device {
	struct fs_device_stats stats[N_KINDS];
	struct open_request open[N_OPEN];
};

static struct open_request *slot_of(struct fs_device *device, uint64_t unique)
{
	return &device->open[unique / 2 % N_OPEN];
}

static void begin(struct fs_device *device, const struct fuse_in_header *in)
{
	for (unsigned kind = 0; kind < N_KINDS; kind++) {
		if (kinds[kind].opcode != in->opcode)
			continue;
		*slot_of(device, in->unique) = (struct open_request){
			.unique = in->unique, .kind = kind, .since = fs_clock_now()
		};
		return;
	}
}

static void end(struct fs_device *device, const struct fuse_out_header *out)
{
	struct open_request *request = slot_of(device, out->unique);
	struct fs_device_stats *stats = &device->stats[request->kind];
	unsigned bucket = 0;
	int64_t ns;

	if (request->unique != out->unique)
		return;
	request->unique = 0;
	ns = fs_clock_now() - request->since;
	while (bucket < FS_DEVICE_BUCKETS - 1 && ns > fs_device_bounds[bucket])
		bucket++;
	stats->n_replies++;
	stats->n_errors += out->error != 0;
	stats->ns += (uint64_t)ns;
	stats->buckets[bucket]++;
}

static ssize_t device_read(int fd, void *buffer, size_t size, void *userdata)
{
	const struct fs *fs = userdata;
	const struct fuse_in_header *in = buffer;
	ssize_t n = read(fd, buffer, size);

	if (n >= (ssize_t)sizeof(*in) &&
		!(fs->notifier && (pid_t)in->pid == fs_notifier_tid(fs->notifier)))
		begin(fs->device, in);
	return n;
}

/* The notifier's thread comes here too, but with notifications: they answer nothing, and have the
 * number 0. */
static ssize_t device_write(int fd, struct iovec *iov, int count, void *userdata)
{
	const struct fs *fs = userdata;
	const struct fuse_out_header *out = iov[0].iov_base;

	if (out->unique != 0)
		end(fs->device, out);
	return writev(fd, iov, count);
}

struct fs_device *fs_device_new(void)
{
	return calloc(1, sizeof(struct fs_device));
}

struct fs_device *fs_device_free(struct fs_device *device)
{
	free(device);
	return NULL;
}

int fs_device_attach(struct fuse_session *session)
{
	static const struct fuse_custom_io io = { .read = device_read, .writev = device_write };

	return fuse_session_custom_io(session, &io, fuse_session_fd(session)) == 0 ? 0 : -ENOMEM;
}

const char *fs_device_stats(
	const struct fs_device *device, unsigned index, const struct fs_device_stats **statsp)
{
	if (index >= N_KINDS)
		return NULL;
	*statsp = &device->stats[index];
	return kinds[index].name;
}
