/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Host strings, from the form that people write to the form that the client library takes.
 *
 * Strict where leniency would guess: IPv6 without brackets is refused, because `::1:2181` is both an
 * address and an address with a port; so are empty parts, which are more often a variable that was
 * empty than a wish.
 */

#include "zk/hosts.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zk/path.h"

#define DEFAULT_PORT 2181

/* A stretch of the text; not terminated. */
struct part {
	const char *text;
	size_t len;
};

/* Says what is wrong with which part, on one line that is not too long. Returns -EINVAL. */
static int refuse(struct zk_hosts_error *error, const char *what, struct part part)
{
	char shown[120];
	size_t n = part.len < sizeof(shown) - 1 ? part.len : sizeof(shown) - 1;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)part.text[i];

		shown[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	shown[n] = '\0';
	snprintf(error->text, sizeof(error->text), "%s '%s'", what, shown);
	return -EINVAL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct part trim(struct part part)
{
	while (part.len > 0 && is_blank(part.text[0])) {
		part.text++;
		part.len--;
	}
	while (part.len > 0 && is_blank(part.text[part.len - 1]))
		part.len--;
	return part;
}

/* What is before the first `c`; *restp is what is after it, or has a NULL text. */
static struct part split(struct part part, char c, struct part *restp)
{
	const char *at = memchr(part.text, c, part.len);
	struct part first = { part.text, at ? (size_t)(at - part.text) : part.len };

	*restp = at ? (struct part){ at + 1, part.len - first.len - 1 } : (struct part){ NULL, 0 };
	return first;
}

static bool is_host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '-' || c == '_';
}

static bool host_name_valid(struct part part)
{
	for (size_t i = 0; i < part.len; i++)
		if (!is_host_char(part.text[i]))
			return false;
	return part.len > 0;
}

static int port_parse(struct part part, uint16_t *portp)
{
	unsigned port = 0;

	for (size_t i = 0; i < part.len; i++) {
		char c = part.text[i];

		if (c < '0' || c > '9' || port > UINT16_MAX)
			return -EINVAL;
		port = port * 10 + (unsigned)(c - '0');
	}
	if (port == 0 || port > UINT16_MAX)
		return -EINVAL;
	*portp = (uint16_t)port;
	return 0;
}

static int host_set_name(struct zk_host *host, struct part name)
{
	struct in_addr in;

	host->name = strndup(name.text, name.len);
	if (!host->name)
		return -ENOMEM;
	host->numeric = inet_pton(AF_INET, host->name, &in) == 1;
	return 0;
}

/* `part` is what is between the brackets. An address with a zone (fe80::1%eth0) is valid, but must
 * be resolved: only the resolver knows the zone's number. */
static int host_set_ipv6(struct zk_host *host, struct part part, struct zk_hosts_error *error)
{
	struct part zone;
	struct part address = split(part, '%', &zone);
	char text[INET6_ADDRSTRLEN] = "";
	struct in6_addr in6;

	if (address.len < sizeof(text))
		memcpy(text, address.text, address.len);
	if (inet_pton(AF_INET6, text, &in6) != 1 || (zone.text && !host_name_valid(zone)))
		return refuse(error, "not an IPv6 address", part);
	host->name = strndup(part.text, part.len);
	if (!host->name)
		return -ENOMEM;
	host->numeric = !zone.text;
	return 0;
}

static int host_parse_brackets(struct part part, struct zk_host *host, struct zk_hosts_error *error)
{
	struct part rest, port;
	struct part address = split((struct part){ part.text + 1, part.len - 1 }, ']', &rest);

	if (!rest.text)
		return refuse(error, "no closing bracket in", part);
	if (rest.len > 0 && (split(rest, ':', &port).len > 0 || port_parse(port, &host->port) < 0))
		return refuse(error, "bad port in", part);
	return host_set_ipv6(host, address, error);
}

static int host_parse(struct part part, struct zk_host *host, struct zk_hosts_error *error)
{
	struct part port;
	struct part name = split(part, ':', &port);

	host->port = DEFAULT_PORT;
	if (part.len > 0 && part.text[0] == '[')
		return host_parse_brackets(part, host, error);
	if (port.text && memchr(port.text, ':', port.len))
		return refuse(error, "IPv6 is written [::1]:2181, not", part);
	if (name.len == 0)
		return refuse(error, "no host in", part);
	if (!host_name_valid(name))
		return refuse(error, "bad host name", part);
	if (port.text && port_parse(port, &host->port) < 0)
		return refuse(error, "bad port in", part);
	return host_set_name(host, name);
}

static size_t count(struct part part, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < part.len; i++)
		n += part.text[i] == c;
	return n;
}

static int list_parse(struct part list, struct zk_hosts *hosts, struct zk_hosts_error *error)
{
	hosts->hosts = calloc(count(list, ',') + 1, sizeof(*hosts->hosts));
	if (!hosts->hosts)
		return -ENOMEM;

	for (struct part rest = list; rest.text;) {
		struct part part = trim(split(rest, ',', &rest));
		int r = part.len > 0 ? host_parse(part, &hosts->hosts[hosts->n_hosts++], error)
				     : refuse(error, "no host in", list);

		if (r < 0)
			return r;
	}
	return 0;
}

/* `part` begins behind the first slash; a NULL text: there was none. */
static int chroot_parse(struct part part, struct zk_hosts *hosts, struct zk_hosts_error *error)
{
	if (part.len > 1 && part.text[part.len - 1] == '/')
		part.len--;
	if (part.len == 0) {
		hosts->chroot = strdup("");
		return hosts->chroot ? 0 : -ENOMEM;
	}
	for (struct part rest = part; rest.text;) {
		struct part name = split(rest, '/', &rest);

		if (zk_path_check_name(name.text, name.len) < 0)
			return refuse(
				error, "bad chroot", (struct part){ part.text - 1, part.len + 1 });
	}
	hosts->chroot = strndup(part.text - 1, part.len + 1);
	return hosts->chroot ? 0 : -ENOMEM;
}

int zk_hosts_parse(const char *text, struct zk_hosts **hostsp, struct zk_hosts_error *error)
{
	struct part chroot;
	struct part list = split(trim((struct part){ text, strlen(text) }), '/', &chroot);
	struct zk_hosts *hosts = calloc(1, sizeof(*hosts));
	int r = hosts ? list_parse(list, hosts, error) : -ENOMEM;

	if (r == 0)
		r = chroot_parse(chroot, hosts, error);
	if (r < 0) {
		if (r == -ENOMEM)
			snprintf(error->text, sizeof(error->text), "out of memory");
		zk_hosts_free(hosts);
		return r;
	}
	*hostsp = hosts;
	return 0;
}

struct zk_hosts *zk_hosts_free(struct zk_hosts *hosts)
{
	if (!hosts)
		return NULL;
	for (size_t i = 0; i < hosts->n_hosts; i++)
		free(hosts->hosts[i].name);
	free(hosts->hosts);
	free(hosts->chroot);
	free(hosts);
	return NULL;
}

char *zk_hosts_join(const struct zk_hosts *hosts)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (size_t i = 0; i < hosts->n_hosts; i++) {
		assert(hosts->hosts[i].numeric);
		fprintf(out, "%s%s:%u", i > 0 ? "," : "", hosts->hosts[i].name,
			hosts->hosts[i].port);
	}

	bool failed = ferror(out);

	if (fclose(out) != 0 || failed) {
		free(text);
		return NULL;
	}
	return text;
}
