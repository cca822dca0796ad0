/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKS_DEPLOY_RECORD_H
#define HOOKS_DEPLOY_RECORD_H

#include "hooks/deploy.h"

/* What a deployed tree says of itself. It is kept in the tree's .git, so that it goes where it goes. */
struct deploy_record {
	char url[DEPLOY_URL_SIZE];
	char commit[DEPLOY_ID_SIZE];
	char previous[DEPLOY_ID_SIZE]; /* what was live before it, or "" */
	char path[DEPLOY_PATH_SIZE];   /* where it was deployed, below the root */
	char time[32];                 /* when it was made, in UTC */
	long number;                   /* what was deployed there later has a higher one */
	bool post_pending;             /* --post has not succeeded for it yet */
};

/* tree is a descriptor of the folder. -ENOENT: it is none of ours. */
int deploy_record_read(int tree, struct deploy_record *record);

/* Sets the time to now where it is empty. */
int deploy_record_write(int tree, struct deploy_record *record);

#endif
