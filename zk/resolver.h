/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Looks up host names in a thread of its own, because getaddrinfo blocks and the event loop must
 * not. The thread lives only while there is a look-up.
 */

struct zk_hosts;
struct zk_resolver;

/* Starts to look up every host that is not numeric. 0, or a negative errno. */
int zk_resolver_new(const struct zk_hosts *hosts, struct zk_resolver **resolverp);

/* A look-up that still runs is left to end by itself: does not wait. Takes NULL, returns NULL. */
struct zk_resolver *zk_resolver_free(struct zk_resolver *resolver);

/* Readable when the result is there. */
int zk_resolver_fd(const struct zk_resolver *resolver);

/* -EAGAIN while it runs; -EHOSTUNREACH when not one name has an address; or 0 and, malloc'ed, the
 * `ADDRESS:PORT,…` of all addresses of all hosts in the form the client library takes. Names that
 * cannot be resolved are left out as long as one is left. */
int zk_resolver_result(struct zk_resolver *resolver, char **addressesp);
