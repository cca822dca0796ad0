/* SPDX-License-Identifier: Apache-2.0 */
/* Is a service up? By a connection, by the kernel's table of listeners, or by a command. */
#include "hooks/register.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hooks/lib/options.h"

/* From the kernel's include/net/tcp_states.h */
#define TCP_LISTEN_STATE 0x0a

static socklen_t make_address(const struct register_probe *probe, struct sockaddr_storage *address)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;

	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, probe->ip, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)probe->port);
		return sizeof(*v4);
	}
	inet_pton(AF_INET6, probe->ip, &v6->sin6_addr);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)probe->port);
	return sizeof(*v6);
}

static bool is_connected(int fd, int64_t timeout)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int error = 0;

	if (poll(&poll_fd, 1, (int)(timeout / HOOK_NS_PER_MS)) <= 0)
		return false;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

/*
 * A connection from the service's own port to itself is none: where nobody listens, the kernel may
 * choose that very port for us.
 */
static bool is_to_itself(int fd, const struct sockaddr_storage *peer, socklen_t size)
{
	struct sockaddr_storage own = { 0 };
	socklen_t own_size = sizeof(own);

	return getsockname(fd, (struct sockaddr *)&own, &own_size) == 0 && own_size == size &&
	       memcmp(&own, peer, size) == 0;
}

static bool can_connect(const struct register_probe *probe)
{
	struct sockaddr_storage address;
	socklen_t size = make_address(probe, &address);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool up;

	if (fd < 0)
		return false;
	up = connect(fd, (struct sockaddr *)&address, size) == 0 || errno == EINPROGRESS;
	up = up && is_connected(fd, probe->timeout) && !is_to_itself(fd, &address, size);
	close(fd);
	return up;
}

/* Lines as "  0: 0100007F:1F90 00000000:0000 0A …": the port and the state count. */
static bool table_lists(const char *path, int port)
{
	unsigned local_port, state;
	char line[512];
	bool found = false;
	FILE *table = fopen(path, "re");

	if (!table)
		return false;
	while (!found && fgets(line, sizeof(line), table))
		found = sscanf(line, " %*d: %*32[0-9A-F]:%x %*32[0-9A-F]:%*x %x", &local_port,
				&state) == 2 &&
			local_port == (unsigned)port && state == TCP_LISTEN_STATE;
	fclose(table);
	return found;
}

static bool command_succeeds(const struct register_probe *probe, struct hook_loop *loop)
{
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)probe->command, NULL };
	struct hook_child child = { 0 };
	char why[64];
	int status;

	if (hook_child_start(&child, argv, probe->timeout) < 0)
		return false;
	status = hook_loop_wait_child(loop, &child);
	return hook_child_succeeded(&child, status, why, sizeof(why));
}

bool register_probe_is_up(const struct register_probe *probe, struct hook_loop *loop)
{
	switch (probe->check) {
	case REGISTER_CONNECT:
		return can_connect(probe);
	case REGISTER_LISTEN:
		return table_lists("/proc/net/tcp", probe->port) ||
		       table_lists("/proc/net/tcp6", probe->port);
	case REGISTER_EXEC:
		break;
	}
	return command_succeeds(probe, loop);
}
