/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * `HOST[:PORT],…[/CHROOT]` as ZooKeeper users write it: blanks around commas and at both ends are
 * allowed, a missing port is 2181, IPv6 is written [::1]:2181 (or [::1]).
 *
 * The client library is stricter than its users (a blank or a missing port is EINVAL there, and it
 * wants ::1:2181 without brackets); zk_hosts_join writes what it takes.
 */

struct zk_host {
	char *name; /* without brackets */
	uint16_t port;
	bool numeric; /* an IPv4 or IPv6 address: needs no resolving */
};

struct zk_hosts {
	size_t n_hosts;
	struct zk_host *hosts;
	char *chroot; /* "" or an absolute path without a slash at its end */
};

struct zk_hosts_error {
	char text[256];
};

/* -EINVAL with a message that names the part that is wrong (no host, a bad port, a bad chroot). On
 * success the caller owns *hostsp. */
int zk_hosts_parse(const char *text, struct zk_hosts **hostsp, struct zk_hosts_error *error);

struct zk_hosts *zk_hosts_free(struct zk_hosts *hosts);

/* `ADDRESS:PORT,…` for the client library, malloc'ed; every host must be numeric. NULL when out of
 * memory. The chroot is not part of it. */
char *zk_hosts_join(const struct zk_hosts *hosts);
