/* SPDX-License-Identifier: Apache-2.0 */
/* Reading /proc/TID/{status,stat,fdinfo}; see proc(5) and, for fdinfo, the kernel's proc.rst. */
#include "fs/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From the kernel's include/linux/sched.h: the thread is shutting down. */
#define PF_EXITING 0x00000004

/* Fields of /proc/TID/stat, counted behind the command's closing parenthesis. */
enum { STAT_FLAGS = 7, STAT_EXIT_CODE = 50 };

static bool read_at(int dir, const char *name, char *buffer, size_t size)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buffer, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	buffer[n] = '\0';
	return true;
}

static bool read_proc(pid_t tid, const char *name, char *buffer, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, name);
	return read_at(AT_FDCWD, path, buffer, size);
}

/* The number behind "\nKEY:" */
static bool find_number(const char *text, const char *key, int base, unsigned long long *valuep)
{
	const char *line = strstr(text, key);

	if (!line)
		return false;
	*valuep = strtoull(line + strlen(key), NULL, base);
	return true;
}

/* Of a thread that exits: nobody holds the locks of an execve then. */
static bool is_killed(pid_t tid)
{
	unsigned long flags = 0, exit_code = 0;
	char stat[2048], *field;

	if (!read_proc(tid, "stat", stat, sizeof(stat)))
		return false;
	field = strrchr(stat, ')');
	for (int i = 1; field && (field = strchr(field, ' ')); i++) {
		field++;
		if (i == STAT_FLAGS)
			flags = strtoul(field, NULL, 10);
		if (i == STAT_EXIT_CODE)
			exit_code = strtoul(field, NULL, 10);
	}
	return (flags & PF_EXITING) && (exit_code & 0x7f);
}

/* pidfd_open(2) takes the leaders of thread groups alone, and is much cheaper than reading. */
static bool is_leader(pid_t tid)
{
	int fd = (int)syscall(SYS_pidfd_open, tid, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool read_status(pid_t tid, pid_t *process, bool *exits)
{
	unsigned long long tgid;
	char status[2048];

	if (!read_proc(tid, "status", status, sizeof(status)) ||
		!find_number(status, "\nTgid:", 10, &tgid))
		return false;
	*process = (pid_t)tgid;
	*exits = !strstr(status, "\nVmSize:"); /* the memory goes before the files do */
	return true;
}

pid_t fs_proc_process(pid_t tid)
{
	pid_t process;
	bool exits;

	if (tid <= 0)
		return -1;
	if (is_leader(tid))
		return tid;
	return read_status(tid, &process, &exits) ? process : -1;
}

static bool is_same_file(pid_t tid, const char *fdinfo, const struct fs_proc_file *file)
{
	unsigned long long flags, ino, mount;

	return find_number(fdinfo, "\nino:", 10, &ino) &&
	       (ino == file->ino || ino == file->ino_before) &&
	       find_number(fdinfo, "\nflags:", 8, &flags) &&
	       (int)(flags & O_ACCMODE) == file->access &&
	       find_number(fdinfo, "\nmnt_id:", 10, &mount) &&
	       fs_mount_id_is_same(&file->mount, tid, (int)mount);
}

struct holding {
	size_t n_descriptors; /* of any file; 0: none is left, the process exits */
	bool has_file;
};

static struct holding read_holding(pid_t tid, const struct fs_proc_file *file)
{
	struct holding holding = { 0 };
	char path[64], fdinfo[1024];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int)tid);
	dir = opendir(path);
	if (!dir)
		return holding;
	while (!holding.has_file && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		holding.n_descriptors++;
		holding.has_file = read_at(dirfd(dir), entry->d_name, fdinfo, sizeof(fdinfo)) &&
				   is_same_file(tid, fdinfo, file);
	}
	closedir(dir);
	return holding;
}

enum fs_proc_close fs_proc_close(pid_t tid, pid_t opener, const struct fs_proc_file *file)
{
	struct holding holding;
	pid_t process = tid;
	bool exits;

	if (tid <= 0)
		return FS_PROC_CLOSES_LAST;
	/* The common case needs no look at the status: the leader opened it, and goes on. */
	if (tid == opener) {
		holding = read_holding(tid, file);
		if (holding.n_descriptors > 0)
			return holding.has_file ? FS_PROC_CLOSES_ONE : FS_PROC_CLOSES_LAST;
	}
	if (!read_status(tid, &process, &exits))
		return FS_PROC_CLOSES_LAST;
	if (exits && is_killed(tid))
		return FS_PROC_KILLED;
	if (process != opener)
		return FS_PROC_CLOSES_ONE;
	if (exits)
		return FS_PROC_CLOSES_LAST;
	holding = read_holding(tid, file);
	return holding.has_file ? FS_PROC_CLOSES_ONE : FS_PROC_CLOSES_LAST;
}

#define BIT(number) (UINT64_C(1) << ((number)-1))

bool fs_proc_must_end(pid_t tid)
{
	/* A signal that kills is pending as SIGKILL by the time it gets there. */
	const uint64_t ending =
		BIT(SIGHUP) | BIT(SIGINT) | BIT(SIGQUIT) | BIT(SIGTERM) | BIT(SIGKILL);
	unsigned long long of_thread, of_process, blocked;
	char status[2048];

	if (tid <= 0 || !read_proc(tid, "status", status, sizeof(status)) ||
		!find_number(status, "\nSigPnd:", 16, &of_thread) ||
		!find_number(status, "\nShdPnd:", 16, &of_process) ||
		!find_number(status, "\nSigBlk:", 16, &blocked))
		return true;
	return (of_thread | of_process) & ~blocked & ending;
}
