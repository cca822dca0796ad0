/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status of hosts: what the one that deploys writes, and whoever looks after the fleet reads.
 *
 * What is read comes from other machines, and ends on somebody's terminal: each text is cleaned when
 * it is taken, so that nobody who prints it has to think of that.
 */
#include "hooks/deploy_status.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hooks/lib/file.h"

static int add_text(json_t *object, const char *key, const char *text)
{
	char clean[sizeof(struct deploy_status)];

	deploy_clean(clean, sizeof(clean), text);
	return json_object_set_new(object, key, json_string(clean));
}

static json_t *to_object(const struct deploy_status *status)
{
	json_t *object = json_object();
	int r = 0;

	r |= add_text(object, "host", status->host);
	r |= add_text(object, "phase", status->phase);
	r |= add_text(object, "desired", status->desired);
	r |= add_text(object, "current", status->current);
	r |= json_object_set_new(object, "code", json_integer(status->code));
	r |= add_text(object, "message", status->message);
	r |= add_text(object, "relativePath", status->path);
	r |= add_text(object, "time", status->time);
	r |= add_text(object, "owner", status->owner);
	if (r == 0)
		return object;
	json_decref(object);
	return NULL;
}

char *deploy_status_format(const struct deploy_status *status)
{
	json_t *object = to_object(status);
	char *json = object ? json_dumps(object, 0) : NULL, *line = NULL;

	if (json && asprintf(&line, "%s\n", json) < 0)
		line = NULL;
	free(json);
	json_decref(object);
	return line;
}

static void take_text(const json_t *object, const char *key, char *text, size_t size)
{
	const char *value = json_string_value(json_object_get(object, key));

	deploy_clean(text, size, value ? value : "");
}

static int code_of(const json_t *object)
{
	json_int_t code = json_integer_value(json_object_get(object, "code")); /* else 0 */

	return code >= 0 && code <= 255 ? (int)code : HOOK_DATA;
}

int deploy_status_parse(const char *text, size_t size, struct deploy_status *status)
{
	json_error_t error;
	json_t *object = json_loadb(text, size, 0, &error);
	int r = json_is_object(object) ? 0 : -EBADMSG;

	if (r == 0) {
		take_text(object, "host", status->host, sizeof(status->host));
		take_text(object, "phase", status->phase, sizeof(status->phase));
		take_text(object, "desired", status->desired, sizeof(status->desired));
		take_text(object, "current", status->current, sizeof(status->current));
		take_text(object, "message", status->message, sizeof(status->message));
		take_text(object, "relativePath", status->path, sizeof(status->path));
		take_text(object, "time", status->time, sizeof(status->time));
		take_text(object, "owner", status->owner, sizeof(status->owner));
		status->code = code_of(object);
	}
	json_decref(object);
	return r;
}

static int read_host(const char *path, const char *name, struct deploy_status *status)
{
	struct hook_bytes bytes = { 0 };
	int r = hook_file_read(path, &bytes);

	*status = (struct deploy_status){ 0 };
	if (r != -EISDIR && hook_file_is_unfit(r))
		deploy_clean(status->message, sizeof(status->message), strerror(-r));
	else if (r < 0)
		return r;
	else if (deploy_status_parse(bytes.data, bytes.size, status) < 0)
		snprintf(status->message, sizeof(status->message), "what it tells makes no sense");
	deploy_clean(status->host, sizeof(status->host), name);
	hook_bytes_done(&bytes);
	return 0;
}

/* A name that is gone meanwhile is no host any more, and a directory never was one. */
static int add_host(void *data, const char *path, const char *name)
{
	struct deploy_status_list *list = data;
	struct deploy_status *hosts = reallocarray(list->hosts, list->n + 1, sizeof(*list->hosts));
	int r;

	if (!hosts)
		return -ENOMEM;
	list->hosts = hosts;
	r = read_host(path, name, &hosts[list->n]);
	if (r == 0)
		list->n++;
	return r == -ENOENT || r == -EISDIR ? 0 : r;
}

static int by_host(const void *a, const void *b)
{
	const struct deploy_status *one = a, *two = b;

	return strverscmp(one->host, two->host);
}

int deploy_status_list_read(const char *dir, struct deploy_status_list *list)
{
	struct deploy_status_list new = { 0 };
	int r = hook_file_each(dir, add_host, &new);

	if (r < 0) {
		deploy_status_list_done(&new);
		return r;
	}
	if (new.n)
		qsort(new.hosts, new.n, sizeof(*new.hosts), by_host);
	*list = new;
	return 0;
}

void deploy_status_list_done(struct deploy_status_list *list)
{
	free(list->hosts);
	*list = (struct deploy_status_list){ 0 };
}
