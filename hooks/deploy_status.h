/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_STATUS_H
#define HOOKS_DEPLOY_STATUS_H

#include <stddef.h>

#include "hooks/deploy.h"

/*
 * How one host fares, as it tells in its file of a status directory: a JSON object in one line. Every
 * text is valid UTF-8 without control characters once it has been parsed, whatever the host wrote, and
 * is cut where it is too long. What a host does not tell is "", and HOOK_OK.
 */
struct deploy_status {
	char host[256];
	char phase[16];
	char desired[DEPLOY_ID_SIZE]; /* the commit that its file names */
	char current[DEPLOY_ID_SIZE]; /* the commit that is deployed */
	char message[DEPLOY_WHY_SIZE];
	char path[DEPLOY_PATH_SIZE]; /* relativePath */
	char time[DEPLOY_TIME_SIZE]; /* of the last change of the phase: 2026-11-25T16:30:00Z */
	char owner[512];             /* who may replace the file */
	int code;                    /* a hook_exit */
};

/* Sorted by host, each once. Zeroed: empty. */
struct deploy_status_list {
	size_t n;
	struct deploy_status *hosts;
};

/* The line, with its newline, as new text; NULL without memory. */
char *deploy_status_format(const struct deploy_status *status);

/* Keys that are not known are passed over. -EBADMSG: it is no JSON object; *status is untouched. */
int deploy_status_parse(const char *text, size_t size, struct deploy_status *status);

/*
 * Reads all files of a status directory. The host is the name of the file. One that cannot be read, or
 * makes no sense, has no phase, and the reason as its message. -errno where the directory, or what is
 * in it, cannot be known: part of a fleet is no fleet. The caller owns *list, which is untouched then.
 */
int deploy_status_list_read(const char *dir, struct deploy_status_list *list);
void deploy_status_list_done(struct deploy_status_list *list);

#endif
