/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zkfs-register: while a port is open, a file tells where.
 *
 * The file is a lease, so it goes when we do, however we end. Every interval the service is probed,
 * and the lease looked at: one that was lost is taken again; a name that somebody else has is left
 * alone, and tried again (standby). inotify on the name makes that at once. What cannot be known,
 * as during an outage, changes nothing.
 */
#include "hooks/register.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hooks/lib/log.h"
#include "hooks/lib/options.h"
#include "hooks/lib/pace.h"

struct registrar {
	struct hook_common common;
	struct register_probe probe;
	struct hook_lease lease;
	const char *name_format;
	char *name, *data; /* owned */
	int64_t interval;
	long rise, fall;
	struct hook_loop loop;
	struct hook_watch *watch; /* on the name */
	long in_a_row;            /* probes that said the opposite of up */
	bool up;
	int told; /* what was logged last: 1 registered, 0 down, or -errno */
};

enum {
	OPT_PORT = 256,
	OPT_DIR,
	OPT_IP,
	OPT_NAME,
	OPT_INTERVAL,
	OPT_TIMEOUT,
	OPT_RISE,
	OPT_FALL,
	OPT_CHECK
};

static const struct option table[] = {
	{ "port", required_argument, NULL, OPT_PORT },
	{ "dir", required_argument, NULL, OPT_DIR },
	{ "ip", required_argument, NULL, OPT_IP },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "interval", required_argument, NULL, OPT_INTERVAL },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "rise", required_argument, NULL, OPT_RISE },
	{ "fall", required_argument, NULL, OPT_FALL },
	{ "check", required_argument, NULL, OPT_CHECK },
	HOOK_COMMON_OPTIONS,
	{ 0 },
};

static const char help[] =
	"usage: zkfs-register --port P --dir D [OPTIONS]\n"
	"\n"
	"Registers [\"IP\", \"P\"] in the directory D of a zkfs mount while port P is open.\n"
	"\n"
	"      --ip A             the address to register and to connect to (127.0.0.1)\n"
	"      --name N           name of the file; %p is the port, %% a percent sign (s%p)\n"
	"      --interval S       time between two checks (2)\n"
	"      --timeout S        how long a check may take (1)\n"
	"      --rise N           checks in a row that make it up (1)\n"
	"      --fall N           checks in a row that make it down (2)\n"
	"      --check HOW        connect, listen, or exec:COMMAND (connect)\n" HOOK_COMMON_HELP;

static int take_check(struct register_probe *probe, const char *text)
{
	if (strcmp(text, "connect") == 0) {
		probe->check = REGISTER_CONNECT;
	} else if (strcmp(text, "listen") == 0) {
		probe->check = REGISTER_LISTEN;
	} else if (strncmp(text, "exec:", 5) == 0 && text[5]) {
		probe->check = REGISTER_EXEC;
		probe->command = text + 5;
	} else {
		hook_log(HOOK_LOG_ERROR, "--check is connect, listen or exec:COMMAND, not '%s'",
			text);
		return -EINVAL;
	}
	return 0;
}

static int take_ip(struct register_probe *probe, const char *text)
{
	unsigned char address[sizeof(struct in6_addr)];

	probe->ip = text;
	if (inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1)
		return 0;
	hook_log(HOOK_LOG_ERROR, "--ip takes a numeric address, not '%s'", text);
	return -EINVAL;
}

static int take_port(struct register_probe *probe, const char *text)
{
	long port;

	if (hook_parse_number("--port", text, 1, 65535, &port) < 0)
		return -EINVAL;
	probe->port = (int)port;
	return 0;
}

static int take(struct registrar *registrar, int option)
{
	switch (option) {
	case OPT_PORT:
		return take_port(&registrar->probe, optarg);
	case OPT_DIR:
		registrar->lease.dir = optarg;
		return 0;
	case OPT_IP:
		return take_ip(&registrar->probe, optarg);
	case OPT_NAME:
		registrar->name_format = optarg;
		return 0;
	case OPT_INTERVAL:
		return hook_parse_seconds("--interval", optarg, &registrar->interval);
	case OPT_TIMEOUT:
		return hook_parse_seconds("--timeout", optarg, &registrar->probe.timeout);
	case OPT_RISE:
		return hook_parse_number("--rise", optarg, 1, 1000, &registrar->rise);
	case OPT_FALL:
		return hook_parse_number("--fall", optarg, 1, 1000, &registrar->fall);
	case OPT_CHECK:
		return take_check(&registrar->probe, optarg);
	}
	return -EINVAL;
}

/* A name that .lease takes as one word. */
static int make_name(struct registrar *registrar)
{
	size_t size;
	FILE *out = open_memstream(&registrar->name, &size);

	if (!out)
		return -ENOMEM;
	for (const char *p = registrar->name_format; *p; p++) {
		if (p[0] == '%' && p[1] == 'p')
			fprintf(out, "%d", registrar->probe.port);
		else
			fputc(*p, out);
		p += p[0] == '%' && (p[1] == 'p' || p[1] == '%');
	}
	if (fclose(out) != 0)
		return -ENOMEM;
	if (size > 0 && size <= 255 && registrar->name[0] != '.' &&
		!strpbrk(registrar->name, "/ \t\r\n"))
		return 0;
	hook_log(HOOK_LOG_ERROR, "--name '%s' cannot be a name", registrar->name_format);
	return -EINVAL;
}

static int check_options(struct registrar *registrar)
{
	if (!registrar->probe.port || !registrar->lease.dir) {
		hook_log(HOOK_LOG_ERROR, "--port and --dir are needed; see --help");
		return -EINVAL;
	}
	if (registrar->interval < HOOK_NS_PER_S / 20 ||
		registrar->probe.timeout < HOOK_NS_PER_S / 100) {
		hook_log(HOOK_LOG_ERROR, "--interval is at least 0.05, --timeout 0.01");
		return -EINVAL;
	}
	return make_name(registrar);
}

/* 0: run; else *exitp is how to exit. */
static int parse(struct registrar *registrar, int argc, char **argv, int *exitp)
{
	enum hook_taken taken;
	int option;

	*exitp = HOOK_USAGE;
	while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		if (option >= OPT_PORT)
			taken = take(registrar, option) < 0 ? HOOK_TAKEN_BAD : HOOK_TAKEN;
		else
			taken = hook_common_take(&registrar->common, option, help);
		if (taken == HOOK_TAKEN_END)
			*exitp = HOOK_OK;
		if (taken != HOOK_TAKEN)
			return -EINVAL;
	}
	if (optind < argc) {
		hook_log(HOOK_LOG_ERROR, "what is '%s'? See --help", argv[optind]);
		return -EINVAL;
	}
	return check_options(registrar);
}

/* Each state is told once: 1 registered, 0 down, -EEXIST standby, other errors. */
static void tell(struct registrar *registrar, int state)
{
	const char *dir = registrar->lease.dir, *name = registrar->name;

	if (state == registrar->told)
		return;
	registrar->told = state;
	if (state == 1)
		hook_log(HOOK_LOG_INFO, "registered as %s/%s", dir, name);
	else if (state == 0)
		hook_log(HOOK_LOG_INFO, "port %d is closed, %s/%s is not registered",
			registrar->probe.port, dir, name);
	else if (state == -EEXIST)
		hook_log(HOOK_LOG_WARNING, "%s/%s belongs to somebody else: standby", dir, name);
	else
		hook_log(HOOK_LOG_WARNING, "%s/%s: %s", dir, name, strerror(-state));
	hook_loop_status(&registrar->loop, state == 1         ? "registered"
					   : state == 0       ? "the port is closed"
					   : state == -EEXIST ? "standby"
							      : strerror(-state));
}

/* Probes that contradict what we think, rise or fall of them in a row, change it. */
static void probe(struct registrar *registrar)
{
	bool up = register_probe_is_up(&registrar->probe, &registrar->loop);

	registrar->in_a_row = up == registrar->up ? 0 : registrar->in_a_row + 1;
	if (registrar->in_a_row >= (registrar->up ? registrar->fall : registrar->rise)) {
		registrar->up = up;
		registrar->in_a_row = 0;
	}
}

static void keep_lease(struct registrar *registrar)
{
	struct hook_lease *lease = &registrar->lease;
	int r = lease->fd >= 0 ? hook_lease_check(lease) : 0;

	hook_watch_update(registrar->watch);
	if (r == 0 && registrar->common.dry_run) {
		hook_log(HOOK_LOG_INFO, "would register %s in %s/%s", registrar->data, lease->dir,
			registrar->name);
		return;
	}
	if (r == 0) {
		r = hook_lease_take(lease);
		r = r == 0 ? 1 : r;
	}
	tell(registrar, r);
}

static void act(struct registrar *registrar)
{
	if (registrar->up) {
		keep_lease(registrar);
		return;
	}
	hook_lease_drop(&registrar->lease);
	tell(registrar, 0);
}

/* A change of the name is looked at soon, and not more often than that. */
static void serve(struct registrar *registrar)
{
	int64_t next_probe = 0, next;

	while (!registrar->loop.ended) {
		int64_t now = hook_pace_now();

		if (now >= next_probe) {
			probe(registrar);
			next_probe = now + registrar->interval;
		}
		if (!registrar->loop.ended)
			act(registrar);
		hook_watch_take(registrar->watch);
		next = hook_pace_now() + HOOK_NS_PER_S / 20;
		hook_loop_wait(&registrar->loop, NULL, NULL, next < next_probe ? next : next_probe);
		if (next < next_probe && !registrar->loop.ended)
			hook_loop_wait(&registrar->loop, registrar->watch, NULL, next_probe);
	}
}

static int once(struct registrar *registrar)
{
	if (!register_probe_is_up(&registrar->probe, &registrar->loop))
		return HOOK_UNAVAILABLE;
	hook_log(HOOK_LOG_INFO, "port %d is open", registrar->probe.port);
	return HOOK_OK;
}

static int prepare(struct registrar *registrar)
{
	char *path = NULL;
	int r = 0;

	if (asprintf(&registrar->data, "[\"%s\", \"%d\"]", registrar->probe.ip,
		    registrar->probe.port) < 0 ||
		asprintf(&path, "%s/%s", registrar->lease.dir, registrar->name) < 0)
		r = -ENOMEM;
	if (r == 0)
		r = hook_watch_new(path, &registrar->watch);
	if (r == 0)
		r = hook_loop_init(&registrar->loop);
	free(path);
	registrar->lease.name = registrar->name;
	registrar->lease.data = registrar->data;
	if (r < 0)
		hook_log(HOOK_LOG_ERROR, "%s", strerror(-r));
	return r;
}

static void done(struct registrar *registrar)
{
	hook_lease_drop(&registrar->lease);
	hook_loop_done(&registrar->loop);
	hook_watch_free(registrar->watch);
	free(registrar->name);
	free(registrar->data);
}

int main(int argc, char **argv)
{
	struct registrar registrar = {
		.probe = { .ip = "127.0.0.1", .timeout = HOOK_NS_PER_S },
		.lease = { .fd = -1, .special = ".lease" },
		.name_format = "s%p",
		.interval = 2 * HOOK_NS_PER_S,
		.rise = 1,
		.fall = 2,
		.loop.signals = -1,
		.told = -1000,
	};
	int exit_code;

	if (parse(&registrar, argc, argv, &exit_code) == 0) {
		exit_code = HOOK_CONFIG;
		if (prepare(&registrar) == 0) {
			exit_code = HOOK_OK;
			if (registrar.common.once)
				exit_code = once(&registrar);
			else
				serve(&registrar);
		}
	}
	done(&registrar);
	return exit_code;
}
