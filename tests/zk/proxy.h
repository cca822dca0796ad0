/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* A TCP proxy in a thread, between a client and a server, that loses what it is told to lose. */

struct proxy;

enum proxy_mode {
	PROXY_PASS,
	PROXY_DROP_REPLIES,  /* the server hears all, the client nothing */
	PROXY_DROP_REQUESTS, /* the server hears nothing */
	PROXY_REFUSE,        /* new connections are closed at once, old ones live on */
};

struct proxy *proxy_new(uint16_t server_port);
struct proxy *proxy_free(struct proxy *proxy);
uint16_t proxy_port(const struct proxy *proxy);
void proxy_set(struct proxy *proxy, enum proxy_mode mode);
/* Closes all connections; has happened when it returns. */
void proxy_cut(struct proxy *proxy);
/* Bytes of requests that came in since the start, dropped ones too. */
uint64_t proxy_received(struct proxy *proxy);
