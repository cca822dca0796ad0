/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_CONFIG_H
#define HOOKS_DEPLOY_CONFIG_H

#include <stddef.h>

#include "hooks/deploy.h"

/* What shall be deployed, and where. Zeroed: nothing. */
struct deploy_config {
	char *url;
	char commit[DEPLOY_ID_SIZE];
	char path[DEPLOY_PATH_SIZE]; /* below the root; clean */
};

/* Which URLs are taken. */
struct deploy_policy {
	const char **prefixes; /* --allow-url */
	size_t n_prefixes;
};

/* Whether a prefix can ever allow anything. */
bool deploy_policy_is_prefix(const char *prefix);

/*
 * Reads the JSON object that names a commit. HOOK_DATA: it makes no sense; HOOK_POLICY: it is not
 * allowed. *config belongs to the caller; but for HOOK_OK it has no url, and the others only as
 * far as they are known.
 */
enum hook_exit deploy_config_parse(const char *text, size_t size,
	const struct deploy_policy *policy, struct deploy_config *config,
	char why[DEPLOY_WHY_SIZE]);

/* Whether a path may be deployed to, as far as the path itself tells. */
enum hook_exit deploy_config_check_path(const char *path, char why[DEPLOY_WHY_SIZE]);

void deploy_config_done(struct deploy_config *config);

#endif
