/* SPDX-License-Identifier: Apache-2.0 */
/* The instances of a service: a directory with one file for each, which tells where it is. */
#include "hooks/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "hooks/lib/file.h"
#include "hooks/lib/log.h"

static bool is_address(const char *text)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* 0: none. Digits only: strtol would take blanks and signs. */
static int port_of(const char *text)
{
	size_t n = strlen(text);
	long port;

	if (n == 0 || n > 5 || strspn(text, "0123456789") != n)
		return 0;
	port = strtol(text, NULL, 10);
	return port <= 65535 ? (int)port : 0;
}

static int port_of_json(const json_t *port)
{
	json_int_t value;

	if (json_is_string(port))
		return port_of(json_string_value(port));
	value = json_integer_value(port); /* 0 for other types */
	return value > 0 && value <= 65535 ? (int)value : 0;
}

static int set(struct service *service, const char *address, int port)
{
	if (!address || !is_address(address) || port == 0)
		return -EBADMSG;
	snprintf(service->address, sizeof(service->address), "%s", address);
	service->port = port;
	return 0;
}

int service_parse(const char *text, size_t size, struct service *service, char why[64])
{
	json_error_t error;
	json_t *array = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	int r = -EBADMSG;

	if (!array)
		snprintf(why, 64, "not JSON");
	else if (!json_is_array(array) || json_array_size(array) != 2)
		snprintf(why, 64, "not [\"ip\", \"port\"]");
	else
		r = set(service, json_string_value(json_array_get(array, 0)),
			port_of_json(json_array_get(array, 1)));
	if (r < 0 && array && json_is_array(array) && json_array_size(array) == 2)
		snprintf(why, 64, "no numeric address, or no port");
	json_decref(array);
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct service *one = a, *two = b;
	int order = strverscmp(one->address, two->address);

	return order ? order : (one->port > two->port) - (one->port < two->port);
}

static void sort(struct service_list *list)
{
	size_t n = 0;

	if (list->n)
		qsort(list->services, list->n, sizeof(*list->services), compare);
	for (size_t i = 0; i < list->n; i++)
		if (n == 0 || compare(&list->services[n - 1], &list->services[i]) != 0)
			list->services[n++] = list->services[i];
	list->n = n;
}

static int add(struct service_list *list, const struct service *service)
{
	struct service *services = reallocarray(list->services, list->n + 1, sizeof(*services));

	if (!services)
		return -ENOMEM;
	services[list->n++] = *service;
	list->services = services;
	return 0;
}

static void skip(const char *path, const char *why)
{
	hook_log(HOOK_LOG_WARNING, "%s: skipped: %s", path, why);
}

/* What is wrong with one file says nothing about the others. */
static int add_file(void *data, const char *path, const char *name)
{
	struct service_list *list = data;
	struct hook_bytes bytes = { 0 };
	struct service service;
	char why[64];
	int r = hook_file_read(path, &bytes);

	if (r == -ENOENT)
		return 0;
	if (hook_file_is_unfit(r)) {
		skip(path, strerror(-r));
		return 0;
	}
	if (r < 0)
		return r;
	r = service_parse(bytes.data, bytes.size, &service, why);
	hook_bytes_done(&bytes);
	if (r < 0)
		skip(path, why);
	return r < 0 ? 0 : add(list, &service);
}

int service_list_read(const char *dir, struct service_list *list)
{
	struct service_list new = { 0 };
	int r = hook_file_each(dir, add_file, &new);

	if (r < 0) {
		service_list_done(&new);
		return r;
	}
	sort(&new);
	*list = new;
	return 0;
}

void service_list_done(struct service_list *list)
{
	free(list->services);
	*list = (struct service_list){ 0 };
}

bool service_list_equal(const struct service_list *a, const struct service_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (compare(&a->services[i], &b->services[i]) != 0)
			return false;
	return true;
}

static void print_one(FILE *out, const struct service *service, bool json, bool first)
{
	bool v6 = strchr(service->address, ':');

	if (json)
		fprintf(out, "%s{\"ip\": \"%s\", \"port\": %d}", first ? "" : ", ",
			service->address, service->port);
	else
		fprintf(out, "%s%s%s:%d\n", v6 ? "[" : "", service->address, v6 ? "]" : "",
			service->port);
}

char *service_list_format(const struct service_list *list, bool json)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	if (json)
		fputc('[', out);
	for (size_t i = 0; i < list->n; i++)
		print_one(out, &list->services[i], json, i == 0);
	if (json)
		fputs("]\n", out);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* ip:port or [ip]:port, in place */
static int parse_line(char *line, struct service *service)
{
	char *colon = strrchr(line, ':');
	size_t n;

	if (!colon)
		return -EBADMSG;
	*colon = '\0';
	n = strlen(line);
	if (line[0] == '[' && line[n - 1] == ']') {
		line[n - 1] = '\0';
		line++;
	}
	return set(service, line, port_of(colon + 1));
}

int service_list_parse(const char *lines, struct service_list *list)
{
	char *copy = strdup(lines), *rest = copy, *line;
	struct service_list new = { 0 };
	struct service service;
	int r = copy ? 0 : -ENOMEM;

	while (r == 0 && (line = strsep(&rest, "\n")))
		if (parse_line(line, &service) == 0)
			r = add(&new, &service);
	free(copy);
	if (r < 0) {
		service_list_done(&new);
		return r;
	}
	sort(&new);
	*list = new;
	return 0;
}
