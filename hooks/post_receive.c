/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zkfs-post-receive: a push to a ref sets the commit that a file names.
 *
 * Two pushes can finish out of order, so what git tells on standard input only says which refs to look
 * at. What is written is the tip that the ref has then, under a lock: whoever is last writes the last.
 *
 * A push must not fail, or wait long, because of this. So the work is done by a child, which is waited
 * for a short time; then it goes on by itself until the file could be written. What --wait waits for is
 * looked at by another child, for the same reason: what it reads may not answer.
 */
#include "hooks/post_receive.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "hooks/lib/log.h"
#include "hooks/lib/options.h"
#include "hooks/lib/pace.h"

/* Beyond --wait: a mount that does not answer must not hold the push. */
#define WAIT_GRACE (HOOK_NS_PER_S / 2)

/* Lines as "OLD NEW REF". All of them are read: git would get SIGPIPE. */
static bool read_pushed(struct post_receive *hook)
{
	char *line = NULL, *ref;
	size_t size = 0;
	bool any = false;

	while (getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		ref = strrchr(line, ' ');
		for (size_t i = 0; ref && i < hook->n_maps; i++)
			if (strcmp(ref + 1, hook->maps[i].ref) == 0)
				any = hook->maps[i].pushed = true;
	}
	free(line);
	return any;
}

/* In the repository, which is where git runs its hooks. Waits for whoever has it. */
static int take_lock(void)
{
	const char *dir = getenv("GIT_DIR");
	char *path = NULL;
	int fd, r = 0;

	if (asprintf(&path, "%s/zkfs-post-receive.lock", dir ? dir : ".") < 0)
		return -ENOMEM;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	r = fd < 0 ? -errno : fd;
	free(path);
	if (fd >= 0 && flock(fd, LOCK_EX) < 0) {
		r = -errno;
		close(fd);
	}
	return r;
}

/* A ref that is gone changes nothing. Gives what there is to tell, and whether that is all. */
static int bring_up_to_date(struct post_receive *hook, size_t i)
{
	struct post_receive_map *map = &hook->maps[i];
	char tip[TIP_SIZE] = "";
	int r = post_receive_tip(map->ref, tip);

	if (r == -ENOENT) {
		map->pushed = false;
		return 0;
	}
	if (r == 0 && hook->common.dry_run)
		hook_log(HOOK_LOG_INFO, "would set %s to %s", map->file, tip);
	else if (r == 0)
		r = post_receive_write(map->file, tip);
	if (r == 0 && !hook->common.dry_run) {
		hook_log(HOOK_LOG_INFO, "%s is at %s now", map->file, tip);
		memcpy(hook->written[i], tip, TIP_SIZE);
	}
	if (r == -EBADMSG)
		hook_log(HOOK_LOG_ERROR, "%s is left alone: it holds no JSON object", map->file);
	map->pushed = r < 0 && r != -EBADMSG;
	return r;
}

/* Under the lock, each time. True: there is nothing left to do. */
static bool try_all(struct post_receive *hook, bool tell)
{
	bool done = true;
	int r, lock = take_lock();

	for (size_t i = 0; i < hook->n_maps; i++) {
		struct post_receive_map *map = &hook->maps[i];

		if (!map->pushed)
			continue;
		r = lock < 0 ? lock : bring_up_to_date(hook, i);
		done &= !map->pushed;
		if (map->pushed && tell)
			hook_log(HOOK_LOG_WARNING, "%s: %s", map->file, strerror(-r));
	}
	if (lock >= 0)
		close(lock);
	return done;
}

static void pause_ns(int64_t ns)
{
	struct timespec time = { ns / HOOK_NS_PER_S, ns % HOOK_NS_PER_S };

	nanosleep(&time, NULL);
}

/* The first tries come quickly: two pushes may have met. */
static int work(struct post_receive *hook)
{
	int64_t end = hook_pace_now() + hook->give_up;

	for (unsigned n = 0; !try_all(hook, n == 0); n++) {
		if (hook_pace_now() > end)
			return HOOK_UNAVAILABLE;
		pause_ns(n < 5 ? 50 * HOOK_NS_PER_MS << n : 2 * HOOK_NS_PER_S);
	}
	return HOOK_OK;
}

/* git waits until nobody holds its pipes any more: what goes on later must not. */
static void detach(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	close(null);
}

/* Passes on what the worker has to say, as long as there is patience. True: it has ended. */
static bool relay(int fd, int64_t patience)
{
	int64_t end = hook_pace_now() + patience, left;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	char buffer[4096];
	ssize_t n;

	while ((left = end - hook_pace_now()) > 0) {
		int ms = left < HOOK_NS_PER_S ? (int)(left / HOOK_NS_PER_MS) + 1 : 1000;

		if (poll(&poll_fd, 1, ms) <= 0)
			continue;
		n = read(fd, buffer, sizeof(buffer));
		if (n <= 0)
			return true;
		fwrite(buffer, 1, (size_t)n, stderr);
	}
	return false;
}

static void wait_for_hosts(struct post_receive *hook)
{
	int64_t end = hook_pace_now() + hook->wait;

	for (size_t i = 0; hook->wait && i < hook->n_maps; i++)
		if (hook->written[i][0])
			post_receive_wait(&hook->maps[i], hook->written[i], end);
}

static int watch_hosts(struct post_receive *hook)
{
	wait_for_hosts(hook);
	return HOOK_OK;
}

enum part_end { PART_DONE, PART_GOES_ON, PART_IS_US };

/*
 * Runs a part of the work in a child. Its log goes to a pipe, which has its reader only as long as the
 * push waits. PART_IS_US: this is the child, and *exitp how it shall exit.
 */
static enum part_end run_part(struct post_receive *hook, int (*part)(struct post_receive *hook),
	int64_t patience, int *exitp)
{
	int log[2] = { -1, -1 };
	pid_t pid = pipe2(log, O_CLOEXEC) < 0 ? -1 : fork();
	bool done = true;

	if (pid == 0) {
		signal(SIGPIPE, SIG_IGN);
		close(log[0]);
		detach();
		dup2(log[1], STDERR_FILENO);
		close(log[1]);
		*exitp = part(hook);
		return PART_IS_US;
	}
	if (pid < 0)
		hook_log(HOOK_LOG_ERROR, "nothing was done: %s", strerror(errno));
	if (log[1] >= 0)
		close(log[1]);
	if (pid > 0)
		done = relay(log[0], patience);
	if (log[0] >= 0)
		close(log[0]);
	return done ? PART_DONE : PART_GOES_ON;
}

static void run(struct post_receive *hook, int *exitp)
{
	enum part_end end = run_part(hook, work, hook->patience, exitp);

	if (end == PART_GOES_ON)
		hook_log(HOOK_LOG_WARNING, "it will be written as soon as that is possible");
	if (end != PART_DONE || !hook->wait)
		return;
	end = run_part(hook, watch_hosts, hook->wait + WAIT_GRACE, exitp);
	if (end == PART_GOES_ON)
		hook_log(HOOK_LOG_WARNING, "how the hosts fare could not be read in time");
}

static void serve(struct post_receive *hook, int *exitp)
{
	*exitp = HOOK_OK;
	if (!read_pushed(hook))
		return;
	if (!hook->common.once) {
		run(hook, exitp);
		return;
	}
	if (!try_all(hook, true))
		*exitp = HOOK_UNAVAILABLE;
	wait_for_hosts(hook);
}

static int share_memory(struct post_receive *hook)
{
	void *memory = mmap(NULL, POST_RECEIVE_MAPS_MAX * TIP_SIZE, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		hook_log(HOOK_LOG_ERROR, "nothing was done: %s", strerror(errno));
		return -errno;
	}
	hook->written = memory;
	return 0;
}

int main(int argc, char **argv)
{
	struct post_receive hook = {
		.patience = 3 * HOOK_NS_PER_S / 2,
		.give_up = 86400 * HOOK_NS_PER_S,
	};
	int exit_code;

	if (post_receive_options_parse(&hook, argc, argv, &exit_code) == 0) {
		exit_code = HOOK_CONFIG;
		if (share_memory(&hook) == 0)
			serve(&hook, &exit_code);
	}
	post_receive_options_done(&hook);
	return exit_code;
}
