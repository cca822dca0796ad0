/* SPDX-License-Identifier: Apache-2.0 */
#include "hooks/deploy_status.h"
#include <jansson.h>
char *deploy_status_format(const struct deploy_status *status)
{
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:i,s:s,s:s,s:s,s:s}", "host", status->host,
		"phase", status->phase, "desired", status->desired, "current", status->current,
		"code", status->code, "message", status->message, "relativePath", status->path,
		"time", status->time, "owner", status->owner);
	char *t = json_dumps(o, 0);
	json_decref(o);
	return t;
}
