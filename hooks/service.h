/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_SERVICE_H
#define HOOKS_SERVICE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Where one instance of a service is: a file that holds ["ip", "port"]. */
struct service {
	char address[INET6_ADDRSTRLEN];
	int port;
};

/* Sorted by address and port, each once. Zeroed: empty. */
struct service_list {
	size_t n;
	struct service *services;
};

/* Reads ["ip", "port"], where port may be a number. -EBADMSG, and why in 64 bytes. */
int service_parse(const char *text, size_t size, struct service *service, char why[64]);

/*
 * Reads all files of a directory. One that makes no sense is skipped, and told by a warning. An error
 * other than that of a file that is gone meanwhile fails the whole: part of a list is no list.
 */
int service_list_read(const char *dir, struct service_list *list);

void service_list_done(struct service_list *list);
bool service_list_equal(const struct service_list *a, const struct service_list *b);

/* ip:port a line, or as one line of JSON. New text, NULL without memory. */
char *service_list_format(const struct service_list *list, bool json);

/* The other way, from the lines. Lines that make no sense are left out. */
int service_list_parse(const char *lines, struct service_list *list);

#endif
