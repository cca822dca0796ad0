/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* A mount, and the file system that is mounted: the same also where it is mounted once more. */
struct fs_mount_id {
	int mount;
	unsigned major, minor;
};

/* That of what was mounted last at a mountpoint. 0 or -ENOENT. */
int fs_mount_id_of(const char *mountpoint, struct fs_mount_id *id);

/* Is it mounted still, where it was? */
bool fs_mount_id_is_there(const struct fs_mount_id *id);

/* Is `mount`, as the process `tid` numbers its mounts, one of the same file system? */
bool fs_mount_id_is_same(const struct fs_mount_id *id, pid_t tid, int mount);

/*
 * The absolute path of the directory to mount on, malloc'ed; its last part may be a stale mount.
 * -ENOENT, -ENOTDIR, …; said on stderr in one line.
 */
int fs_mountpoint_resolve(const char *path, char **mountpointp);

/*
 * Makes the mountpoint free: takes away a mount that a killed zkfs left behind, and refuses one that
 * lives (-EBUSY), as well as a stale mount of another kind of file system. Said on stderr in one
 * line. May block on the mount's daemon; call it before there is an event loop.
 */
int fs_mountpoint_clear(const char *mountpoint);
