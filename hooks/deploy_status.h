/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_STATUS_H
#define HOOKS_DEPLOY_STATUS_H
#include "hooks/deploy.h"
struct deploy_status {
	char host[256], phase[16], desired[DEPLOY_ID_SIZE], current[DEPLOY_ID_SIZE],
		message[DEPLOY_WHY_SIZE], path[DEPLOY_PATH_SIZE], time[32], owner[512];
	int code;
};
char *deploy_status_format(const struct deploy_status *status);
#endif
