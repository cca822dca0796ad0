/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zkfs-post-receive: a push to a ref sets the commit that a file names.
 *
 * Two pushes can finish out of order, so what git tells on standard input only says which refs to look
 * at. What is written is the tip that the ref has then, under a lock: whoever is last writes the last.
 *
 * A push must not fail, or wait long, because of this. So the work is done by a child, which is waited
 * for a short time; then it goes on by itself until the file could be written.
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
#include <time.h>
#include <unistd.h>

#include "hooks/lib/log.h"
#include "hooks/lib/options.h"
#include "hooks/lib/pace.h"

#define MAPS_MAX 64

struct post_receive {
	struct hook_common common;
	struct post_receive_map maps[MAPS_MAX];
	size_t n_maps;
	int64_t patience, give_up; /* ns */
};

enum { OPT_MAP = 256, OPT_PATIENCE, OPT_GIVE_UP };

static const struct option table[] = {
	{ "map", required_argument, NULL, OPT_MAP },
	{ "patience", required_argument, NULL, OPT_PATIENCE },
	{ "give-up", required_argument, NULL, OPT_GIVE_UP },
	HOOK_COMMON_OPTIONS,
	{ 0 },
};

static const char help[] =
	"usage: zkfs-post-receive --map REF=FILE [--map REF=FILE...] [OPTIONS]\n"
	"\n"
	"A post-receive hook of git: a push to REF sets \"commitId\" in the JSON of FILE.\n"
	"\n"
	"      --patience S       how long the push waits for FILE to be written (1.5)\n"
	"      --give-up S        how long it is tried in the background then "
	"(86400)\n" HOOK_COMMON_HELP;

static int take_map(struct post_receive *hook, char *text)
{
	char *equals = strchr(text, '=');
	struct post_receive_map *map = &hook->maps[hook->n_maps];

	if (hook->n_maps == MAPS_MAX || strncmp(text, "refs/", 5) != 0 || !equals || !equals[1]) {
		hook_log(HOOK_LOG_ERROR, "--map takes refs/…=FILE, at most %d times, not '%s'",
			MAPS_MAX, text);
		return -EINVAL;
	}
	map->ref = strndup(text, (size_t)(equals - text));
	map->file = equals + 1;
	hook->n_maps += map->ref != NULL;
	return map->ref ? 0 : -ENOMEM;
}

static int take(struct post_receive *hook, int option)
{
	switch (option) {
	case OPT_MAP:
		return take_map(hook, optarg);
	case OPT_PATIENCE:
		return hook_parse_seconds("--patience", optarg, &hook->patience);
	case OPT_GIVE_UP:
		return hook_parse_seconds("--give-up", optarg, &hook->give_up);
	}
	return -EINVAL;
}

/* 0: run; else *exitp is how to exit. */
static int parse(struct post_receive *hook, int argc, char **argv, int *exitp)
{
	enum hook_taken taken;
	int option;

	*exitp = HOOK_USAGE;
	while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		if (option >= OPT_MAP)
			taken = take(hook, option) < 0 ? HOOK_TAKEN_BAD : HOOK_TAKEN;
		else
			taken = hook_common_take(&hook->common, option, help);
		if (taken == HOOK_TAKEN_END)
			*exitp = HOOK_OK;
		if (taken != HOOK_TAKEN)
			return -EINVAL;
	}
	if (hook->n_maps == 0 || optind < argc) {
		hook_log(HOOK_LOG_ERROR, "--map REF=FILE is needed, and nothing else; see --help");
		return -EINVAL;
	}
	return 0;
}

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
static int bring_up_to_date(struct post_receive *hook, struct post_receive_map *map)
{
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
	if (r == 0 && !hook->common.dry_run)
		hook_log(HOOK_LOG_INFO, "%s is at %s now", map->file, tip);
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
		r = lock < 0 ? lock : bring_up_to_date(hook, map);
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
		if (poll(&poll_fd, 1, (int)(left / HOOK_NS_PER_MS) + 1) <= 0)
			continue;
		n = read(fd, buffer, sizeof(buffer));
		if (n <= 0)
			return true;
		fwrite(buffer, 1, (size_t)n, stderr);
	}
	return false;
}

/* The worker's log goes to a pipe, which has its reader only as long as the push waits. */
static int run_worker(struct post_receive *hook, const int log[2])
{
	signal(SIGPIPE, SIG_IGN);
	close(log[0]);
	detach();
	dup2(log[1], STDERR_FILENO);
	close(log[1]);
	return work(hook);
}

static void run(struct post_receive *hook, int *exitp)
{
	int log[2] = { -1, -1 };
	pid_t pid = pipe2(log, O_CLOEXEC) < 0 ? -1 : fork();

	if (pid == 0) {
		*exitp = run_worker(hook, log);
		return;
	}
	if (pid < 0)
		hook_log(HOOK_LOG_ERROR, "nothing was done: %s", strerror(errno));
	if (log[1] >= 0)
		close(log[1]);
	if (pid > 0 && !relay(log[0], hook->patience))
		hook_log(HOOK_LOG_WARNING, "it will be written as soon as that is possible");
	if (log[0] >= 0)
		close(log[0]);
}

int main(int argc, char **argv)
{
	struct post_receive hook = {
		.patience = 3 * HOOK_NS_PER_S / 2,
		.give_up = 86400 * HOOK_NS_PER_S,
	};
	int exit_code;

	if (parse(&hook, argc, argv, &exit_code) == 0) {
		exit_code = HOOK_OK;
		if (!read_pushed(&hook))
			exit_code = HOOK_OK;
		else if (hook.common.once)
			exit_code = try_all(&hook, true) ? HOOK_OK : HOOK_UNAVAILABLE;
		else
			run(&hook, &exit_code);
	}
	for (size_t i = 0; i < hook.n_maps; i++)
		free(hook.maps[i].ref);
	return exit_code;
}
