/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file with one line that is replaced. Nothing waits for it: what cannot be written is tried again.
 *
 * A name that is there already is replaced only if the line in it says that it is ours, as of a
 * process of this host and this root that is gone. Whether a lease is still held, its own open file
 * tells; it is asked now and then, as a session may have been lost.
 */
#include "hooks/deploy_report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hooks/lib/file.h"
#include "hooks/lib/log.h"
#include "hooks/lib/options.h"
#include "hooks/lib/pace.h"

#define CHECK_PERIOD (30 * HOOK_NS_PER_S)

int deploy_report_init(struct deploy_report *report, const char *dir, const char *name,
	const char *owner, bool stays)
{
	*report = (struct deploy_report){
		.lease = { .fd = -1,
			.special = stays ? ".lease" : ".ephemeral",
			.dir = dir,
			.name = name },
		.owner = owner,
		.again = INT64_MAX,
	};
	if (dir && asprintf(&report->file, "%s/%s", dir, name) < 0) {
		report->file = NULL;
		return -ENOMEM;
	}
	return 0;
}

static bool is_ours(const struct deploy_report *report)
{
	struct hook_bytes bytes = { 0 };
	json_error_t error;
	const char *owner;
	json_t *object;
	bool ours;

	if (hook_file_read(report->file, &bytes) < 0)
		return false;
	object = json_loadb(bytes.data, bytes.size, 0, &error);
	owner = json_string_value(json_object_get(object, "owner"));
	ours = owner && strcmp(owner, report->owner) == 0;
	json_decref(object);
	hook_bytes_done(&bytes);
	return ours;
}

void deploy_report_done(struct deploy_report *report)
{
	if (report->plain && is_ours(report))
		unlink(report->file);
	hook_lease_drop(&report->lease);
	free(report->file);
	free(report->text);
	*report = (struct deploy_report){ .lease.fd = -1 };
}

/* In place, by one write: it stays the node that the lease is on. */
static int write_file(const struct deploy_report *report)
{
	int fd = open(report->file, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW), r = 0;
	size_t size = strlen(report->text);

	if (fd < 0)
		return -errno;
	errno = 0;
	if (write(fd, report->text, size) != (ssize_t)size)
		r = errno ? -errno : -EIO;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	return r;
}

static int write_plain(struct deploy_report *report)
{
	struct stat st;
	int r;

	if (stat(report->lease.dir, &st) < 0)
		return -errno;
	if (lstat(report->file, &st) == 0 && !is_ours(report))
		return -EEXIST;
	if (report->plain && !report->owed && lstat(report->file, &st) == 0)
		return 0;
	r = hook_file_replace(report->file, report->text, strlen(report->text), 0644);
	report->plain = r == 0 && report->lease.special[1] == 'l';
	return r;
}

static int take_name(struct deploy_report *report)
{
	int r;

	report->lease.data = report->text;
	r = hook_lease_take(&report->lease);
	if (r == -EEXIST && is_ours(report)) {
		if (unlink(report->file) < 0 && errno != ENOENT)
			return -errno;
		r = hook_lease_take(&report->lease);
	}
	return r == -ENOENT || r == -ENOTDIR ? write_plain(report) : r;
}

static int bring_up_to_date(struct deploy_report *report)
{
	int r = report->lease.fd >= 0 ? hook_lease_check(&report->lease) : 0;

	if (r < 0)
		return r;
	if (r == 0)
		return take_name(report);
	return report->owed ? write_file(report) : 0;
}

static void tell(struct deploy_report *report, int r)
{
	if (r < 0 && r != report->told)
		hook_log(HOOK_LOG_WARNING, "the status %s cannot be written: %s", report->file,
			r == -EEXIST ? "somebody else has the name" : strerror(-r));
	report->told = r;
}

void deploy_report_check(struct deploy_report *report)
{
	int r;

	if (!report->file || !report->text)
		return;
	r = bring_up_to_date(report);
	tell(report, r);
	report->owed = r < 0;
	report->again =
		hook_pace_now() + (r < 0 ? hook_pace_backoff(report->failures) : CHECK_PERIOD);
	report->failures = r < 0 ? report->failures + 1 : 0;
}

void deploy_report_set(struct deploy_report *report, char *text)
{
	free(report->text);
	report->text = text;
	report->owed = true;
	if (report->failures == 0 || hook_pace_now() >= report->again)
		deploy_report_check(report);
}
