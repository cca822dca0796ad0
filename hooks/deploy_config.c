/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file that names a commit: {"url", "commitId", "relativePath"}.
 *
 * Whoever can write it can make every host fetch from somewhere and replace a directory. So all that
 * it may say is checked here, before anything is done; what the path leads through is seen when it is
 * walked (deploy_target.c).
 */
#include "hooks/deploy_config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The order of the array is that of the messages. Bare: allowed without a prefix that names it. */
static const struct scheme {
	const char *name;
	bool bare, user;
} schemes[] = {
	{ .name = "https://", .bare = true },
	{ .name = "ssh://", .bare = true, .user = true },
	{ .name = "git://" },
	{ .name = "file://" },
};

static const struct scheme *scheme_of(const char *url)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (strncmp(url, schemes[i].name, strlen(schemes[i].name)) == 0)
			return &schemes[i];
	return NULL;
}

bool deploy_policy_is_prefix(const char *prefix)
{
	return scheme_of(prefix) != NULL;
}

/* A prefix ends where a part of the path does: what begins with ".../org" may be ".../organ". */
static bool has_prefix(const char *url, const char *prefix)
{
	size_t n = strlen(prefix);

	if (strncmp(url, prefix, n) != 0)
		return false;
	return prefix[n - 1] == '/' || url[n] == '/' || url[n] == '\0';
}

static bool is_allowed(const struct deploy_policy *policy, const char *url, bool bare)
{
	for (size_t i = 0; i < policy->n_prefixes; i++)
		if (has_prefix(url, policy->prefixes[i]))
			return true;
	return bare && policy->n_prefixes == 0;
}

/* Blanks, control characters, and what is not ASCII: none of that is in a URL. */
static bool has_other(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f)
			return true;
	return false;
}

/* Calls nobody's attention to a secret: the userinfo of a URL is never printed. */
static enum hook_exit check_user(const struct scheme *scheme, const char *url, char *why)
{
	const char *host = url + strlen(scheme->name);
	size_t n = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', n);

	if (at && memchr(host, ':', (size_t)(at - host)))
		return deploy_fail(why, HOOK_POLICY, "there is a password in the url");
	if (at && !scheme->user)
		return deploy_fail(why, HOOK_POLICY, "there is a user in the %s url", scheme->name);
	if (at && *host == '-')
		return deploy_fail(why, HOOK_POLICY, "the user in the url begins with '-'");
	host = at ? at + 1 : host;
	if (*host == '-')
		return deploy_fail(why, HOOK_POLICY, "the host in the url begins with '-'");
	return HOOK_OK;
}

/* ".." as a part, also written as %2e: a server may take it for the way out of a prefix. */
static bool climbs(const char *url)
{
	if (strcasestr(url, "%2e") || strcasestr(url, "%2f") || strchr(url, '\\'))
		return true;
	for (const char *p = strstr(url, "/.."); p; p = strstr(p + 1, "/.."))
		if (p[3] == '/' || p[3] == '\0')
			return true;
	return false;
}

static enum hook_exit check_url(const struct deploy_policy *policy, const char *url, char *why)
{
	const struct scheme *scheme = scheme_of(url);
	enum hook_exit code;

	if (strlen(url) >= DEPLOY_URL_SIZE)
		return deploy_fail(why, HOOK_POLICY, "the url is too long");
	if (has_other(url))
		return deploy_fail(why, HOOK_POLICY,
			"there are blanks, control characters or others that are not ASCII in the "
			"url");
	if (!scheme)
		return deploy_fail(why, HOOK_POLICY,
			"the url begins with none of https://, ssh://, git:// and file://");
	code = check_user(scheme, url, why);
	if (code != HOOK_OK)
		return code;
	if (climbs(url))
		return deploy_fail(
			why, HOOK_POLICY, "the url %s has '..' or an escaped '.' or '/'", url);
	if (!is_allowed(policy, url, scheme->bare))
		return deploy_fail(why, HOOK_POLICY, "no --allow-url allows %s", url);
	return HOOK_OK;
}

static enum hook_exit check_commit(const char *commit, char *why)
{
	if (strlen(commit) != DEPLOY_ID_SIZE - 1 ||
		strspn(commit, "0123456789abcdef") != DEPLOY_ID_SIZE - 1)
		return deploy_fail(why, HOOK_DATA,
			"commitId is not 40 lower-case hexadecimal digits: '%.60s'", commit);
	return HOOK_OK;
}

static bool is_ours(const char *part, size_t n)
{
	return n == strlen(".zkfs-git-deploy") && strncmp(part, ".zkfs-git-deploy", n) == 0;
}

enum hook_exit deploy_config_check_path(const char *path, char why[DEPLOY_WHY_SIZE])
{
	char clean[DEPLOY_PATH_SIZE];
	const char *part = path;

	if (strlen(path) >= DEPLOY_PATH_SIZE)
		return deploy_fail(why, HOOK_POLICY, "relativePath is too long");
	deploy_clean(clean, sizeof(clean), path);
	if (strcmp(clean, path) != 0)
		return deploy_fail(
			why, HOOK_POLICY, "there are control characters in relativePath");
	if (*path == '/')
		return deploy_fail(why, HOOK_POLICY, "relativePath is absolute: %s", path);
	for (;;) {
		size_t n = strcspn(part, "/");

		if (!deploy_is_name(part, n) || is_ours(part, n))
			return deploy_fail(why, HOOK_POLICY,
				"'%.*s' cannot be a part of relativePath", (int)n, part);
		if (!part[n])
			return HOOK_OK;
		part += n + 1;
	}
}

static const char *string_of(const json_t *object, const char *key, char *why)
{
	const json_t *value = json_object_get(object, key);

	if (!value)
		deploy_fail(why, HOOK_DATA, "%s is missing", key);
	else if (!json_is_string(value))
		deploy_fail(why, HOOK_DATA, "%s is not a string", key);
	return json_string_value(value);
}

/* The commit first: what is refused for another reason is still known by it. */
static enum hook_exit take(const json_t *object, const struct deploy_policy *policy,
	struct deploy_config *config, char *why)
{
	const char *commit = string_of(object, "commitId", why), *path, *url;
	enum hook_exit code = commit ? check_commit(commit, why) : HOOK_DATA;

	if (code != HOOK_OK)
		return code;
	strcpy(config->commit, commit);
	path = string_of(object, "relativePath", why);
	snprintf(config->path, sizeof(config->path), "%s", path ? path : "");
	url = path ? string_of(object, "url", why) : NULL;
	code = url ? deploy_config_check_path(path, why) : HOOK_DATA;
	if (code == HOOK_OK)
		code = check_url(policy, url, why);
	if (code != HOOK_OK)
		return code;
	config->url = strdup(url);
	return config->url ? HOOK_OK : deploy_fail(why, HOOK_IO, "out of memory");
}

enum hook_exit deploy_config_parse(const char *text, size_t size,
	const struct deploy_policy *policy, struct deploy_config *config, char why[DEPLOY_WHY_SIZE])
{
	json_error_t error;
	json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	enum hook_exit code = HOOK_DATA;

	if (!object)
		deploy_fail(
			why, code, "the file is not JSON: %s (line %d)", error.text, error.line);
	else if (!json_is_object(object))
		deploy_fail(why, code, "the file is no JSON object");
	else
		code = take(object, policy, config, why);
	json_decref(object);
	return code;
}

void deploy_config_done(struct deploy_config *config)
{
	free(config->url);
	*config = (struct deploy_config){ 0 };
}
