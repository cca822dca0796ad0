/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A ZooKeeper session that heals itself, as a file descriptor to poll and a call to dispatch. All
 * of it belongs to one thread, the event loop; nothing here blocks but zk_client_free, for at most
 * a second.
 *
 * What it hides of the client library: host strings (hosts.h), name resolving (resolver.h), a
 * session that expired (a new one is made, with the same credentials), operations that never
 * answer (op.h gives each a deadline), completions that a close loses, writes whose answer was
 * lost (settle.c).
 */

struct zk_auth;
struct zk_client;
struct zk_hosts;

enum zk_state {
	ZK_CONNECTING,  /* no server at the moment */
	ZK_CONNECTED,   /* to a server that takes writes */
	ZK_AUTH_FAILED, /* the server refused a credential; final */
};

struct zk_client_options {
	const struct zk_hosts *hosts; /* must outlive the client */
	const struct zk_auth *auth;   /* NULL: none; must outlive the client */
	int session_timeout_ms;
	int op_timeout_ms;
	int watches_max;   /* budget of watches, see watch.h */
	size_t packet_max; /* longest request the servers take (their jute.maxbuffer), in bytes */
	/* Told of what only a debugger wants to read, the library's own log included; may be NULL. */
	void (*debug)(const char *message);
};

#define ZK_PACKET_MAX_DEFAULT 1048575 /* of an unchanged server; longer cuts the connection */

struct zk_client_info {
	enum zk_state state;
	int64_t session_id;     /* 0 before the first connect */
	int session_timeout_ms; /* as negotiated */
	char server[64];        /* address:port now connected to, or "" */
	int64_t last_zxid;      /* highest zxid seen in a reply */
	uint64_t outage_ms;     /* since the connection was lost; 0 when connected */
	bool expired;           /* by our own timer: the outage has lasted a session timeout */
	size_t in_flight;       /* requests sent and not answered */
	size_t waiting;         /* operations that wait for a server */
	uint64_t requests;      /* sent since the start */
	uint64_t reconnects;
	uint64_t expiries;
};

/* Starts to connect and returns at once. -ENOMEM, or the errno of epoll_create1 and the like. */
int zk_client_new(const struct zk_client_options *options, struct zk_client **clientp);

/* Closes the session (its ephemerals go), waiting at most a second for the server's word. The
 * callbacks of operations that have not ended are not called. Takes NULL, returns NULL. */
struct zk_client *zk_client_free(struct zk_client *client);

/* Readable when zk_client_dispatch has work. Owned by the client. */
int zk_client_fd(const struct zk_client *client);

/* Does what there is to do and calls the callbacks of what has ended. */
void zk_client_dispatch(struct zk_client *client);

bool zk_client_connected(const struct zk_client *client);
void zk_client_get_info(const struct zk_client *client, struct zk_client_info *info);

/* Requests sent since the start, by type; returns how many types there are. */
#define ZK_CLIENT_COUNTS_MAX 16
struct zk_client_count {
	const char *type; /* static */
	uint64_t n;
};
size_t zk_client_count_requests(
	const struct zk_client *client, struct zk_client_count counts[ZK_CLIENT_COUNTS_MAX]);

/* The longest value that one set of `path`, or one create with an ACL of `acl_size` wire bytes
 * (zk_acl_wire_size), can carry within packet_max. */
size_t zk_client_set_max(const struct zk_client *client, const char *path);
size_t zk_client_create_max(const struct zk_client *client, const char *path, size_t acl_size);
