/* SPDX-License-Identifier: Apache-2.0 */
/* Becoming a daemon whose parent knows whether it works. */
#include "fs/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/log.h"

/* Never returns. */
static void wait_for_child(pid_t pid, int ready_fd)
{
	ssize_t n;
	int status;
	char ready;

	do
		n = read(ready_fd, &ready, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(EXIT_SUCCESS);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			_exit(EXIT_FAILURE);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

int fs_daemon_start(struct fs_daemon *daemon)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int error = errno;

		close(fds[0]);
		close(fds[1]);
		return -error;
	}
	if (pid > 0) {
		close(fds[1]);
		wait_for_child(pid, fds[0]);
	}
	close(fds[0]);
	daemon->ready_fd = fds[1];
	setsid();
	return 0;
}

void fs_daemon_ready(struct fs_daemon *daemon)
{
	static const char ready = 1;
	int null;

	if (daemon->ready_fd < 0)
		return;
	fs_log_to_syslog();
	if (chdir("/") < 0)
		fs_log(FS_LOG_WARNING, "cannot change to /");
	null = open("/dev/null", O_RDWR);
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
	if (write(daemon->ready_fd, &ready, 1) < 0)
		fs_log(FS_LOG_WARNING, "who started zkfs does not wait for it");
	close(daemon->ready_fd);
	daemon->ready_fd = -1;
}
