/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_REPORT_H
#define HOOKS_DEPLOY_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "hooks/lib/lease.h"

/*
 * The file by which this host tells how it fares: a lease, or, for who does not stay, an ephemeral; in
 * a directory that has neither, a plain file.
 */
struct deploy_report {
	struct hook_lease lease; /* dir and name are the caller's */
	const char *owner;       /* of a file that may be replaced */
	char *file, *text;       /* owned */
	bool plain;              /* the file is there, and no lease is behind it */
	bool owed;               /* text is not in the file yet */
	unsigned failures;       /* in a row */
	int64_t again;           /* when to try that again, or to look whether it is still there */
	int told;                /* the error that was logged last, negative */
};

/* dir NULL: nothing is ever told. stays: the process follows the file, and goes on. -ENOMEM. */
int deploy_report_init(struct deploy_report *report, const char *dir, const char *name,
	const char *owner, bool stays);

/* A plain file and a lease go; an ephemeral stays. */
void deploy_report_done(struct deploy_report *report);

/* What shall be in the file from now on; text is taken over. It is written at once, if that can be. */
void deploy_report_set(struct deploy_report *report, char *text);

/* To be called when report->again is over. */
void deploy_report_check(struct deploy_report *report);

#endif
