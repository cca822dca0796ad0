/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child processes: each leads a process group, has a deadline, and ends with us.
 *
 * The group is killed before its leader is reaped: as long as the leader is a zombie, its number
 * cannot belong to anybody else. What a command that ended by itself leaves running is left alone, it
 * may have started a daemon.
 */
#include "hooks/lib/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hooks/lib/options.h"
#include "hooks/lib/pace.h"

#define GRACE (2 * HOOK_NS_PER_S)

/* Signals are blocked in us, as they come by signalfd. */
static void prepare(pid_t parent)
{
	sigset_t none;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(HOOK_UNAVAILABLE);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int hook_child_fork(struct hook_child *child, int64_t timeout)
{
	pid_t parent = getpid(), pid = fork();
	int fd;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		prepare(parent);
		return 0;
	}
	setpgid(pid, pid); /* whoever is first */
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0) {
		int r = -errno;

		kill(-pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return r;
	}
	*child = (struct hook_child){ .pid = pid, .fd = fd };
	child->deadline = timeout ? hook_pace_now() + timeout : INT64_MAX;
	return 1;
}

/* The pipe closes by itself in an execve that succeeds. */
static int exec_error(int fd)
{
	int error = 0;
	ssize_t n;

	do
		n = read(fd, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	return n == sizeof(error) ? -error : 0;
}

int hook_child_start(struct hook_child *child, char *const argv[], int64_t timeout)
{
	int pipe_fds[2], r, status;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	r = hook_child_fork(child, timeout);
	if (r == 0) {
		execvp(argv[0], argv);
		r = errno;
		if (write(pipe_fds[1], &r, sizeof(r)) < 0)
			_exit(126);
		_exit(127);
	}
	close(pipe_fds[1]);
	if (r > 0) {
		r = exec_error(pipe_fds[0]);
		if (r < 0)
			while (!hook_child_check(child, &status))
				waitid(P_PIDFD, (id_t)child->fd, &(siginfo_t){ 0 },
					WEXITED | WNOWAIT);
	}
	close(pipe_fds[0]);
	return r < 0 ? r : 0;
}

void hook_child_end(struct hook_child *child)
{
	if (!child->pid || child->ended_by_us)
		return;
	kill(-child->pid, SIGTERM);
	child->ended_by_us = true;
	child->deadline = hook_pace_now() + GRACE;
}

int64_t hook_child_deadline(const struct hook_child *child)
{
	return child->pid ? child->deadline : INT64_MAX;
}

/* At the first deadline it is asked to end, at the second it is killed. */
static void enforce_deadline(struct hook_child *child)
{
	if (hook_pace_now() < child->deadline)
		return;
	if (child->ended_by_us) {
		kill(-child->pid, SIGKILL);
		child->killed = true;
		child->deadline = INT64_MAX;
		return;
	}
	child->timed_out = true;
	hook_child_end(child);
}

bool hook_child_check(struct hook_child *child, int *statusp)
{
	siginfo_t info = { 0 };

	if (!child->pid)
		return false;
	if (waitid(P_PIDFD, (id_t)child->fd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		info.si_pid == 0) {
		enforce_deadline(child);
		return false;
	}
	if (child->ended_by_us)
		kill(-child->pid, SIGKILL); /* the rest of its group */
	if (waitpid(child->pid, statusp, 0) < 0)
		*statusp = W_EXITCODE(HOOK_UNAVAILABLE, 0);
	close(child->fd);
	child->pid = 0;
	return true;
}

bool hook_child_succeeded(const struct hook_child *child, int status, char *why, size_t size)
{
	if (child->timed_out)
		snprintf(why, size, "it took too long");
	else if (WIFSIGNALED(status))
		snprintf(why, size, "killed by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		snprintf(why, size, "exit status %d", WEXITSTATUS(status));
	else
		return true;
	return false;
}
