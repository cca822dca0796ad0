/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: `zkfs [-f] [-o OPTIONS] HOSTS[/CHROOT] MOUNTPOINT`, also as mount(8) calls its
 * helpers (mount.zkfs HOSTS MOUNTPOINT [-sfnv] [-o OPTIONS]).
 *
 * libfuse's parser splits it; our options come as text, are checked here, and what is wrong is
 * named. libfuse is told its own options and what follows from ours.
 */
#include "fs/options.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/mountpoint.h"
#include "zk/auth.h"
#include "zk/hosts.h"

/* The options as text, before they are checked. NULL: not given. */
struct raw_options {
	char *timeout, *op_timeout, *auth_file, *acl, *stale, *max_data, *watches, *events, *log;
	char *uid, *gid, *file_mode, *dir_mode, *max_read;
	char *hosts, *mountpoint;
	int strict, read_only, foreground, debug, help, version, mount_fake;
	int allow_other, default_permissions, fsname, extra;
};

enum { KEY_DISCARD, KEY_FSNAME, KEY_KEEP };

/* clang-format off */
#define TEXT(name) { #name "=%s", offsetof(struct raw_options, name), 0 }
#define KEEP(text) FUSE_OPT_KEY(text, KEY_KEEP)
#define FLAG(text, field, value) { text, offsetof(struct raw_options, field), value }
static const struct fuse_opt option_specs[] = {
	TEXT(timeout), TEXT(op_timeout), TEXT(auth_file), TEXT(acl), TEXT(stale), TEXT(max_data),
	TEXT(watches), TEXT(events), TEXT(log), TEXT(uid), TEXT(gid), TEXT(file_mode), TEXT(dir_mode),
	TEXT(max_read),
	FLAG("strict", strict, 1),
	FLAG("ro", read_only, 1),
	FLAG("-r", read_only, 1),
	FLAG("rw", read_only, 0),
	FLAG("-w", read_only, 0),
	FLAG("-f", foreground, 1),
	FLAG("-d", debug, 1),
	FLAG("debug", debug, 1),
	FLAG("-h", help, 1),
	FLAG("--help", help, 1),
	FLAG("-V", version, 1),
	FLAG("--version", version, 1),
	FLAG("allow_other", allow_other, 1),
	FLAG("default_permissions", default_permissions, 1),
	FUSE_OPT_KEY("fsname=", KEY_FSNAME),
	/* libfuse's own */
	KEEP("subtype="), KEEP("allow_root"), KEEP("auto_unmount"), KEEP("blkdev"),
	KEEP("dev"), KEEP("nodev"), KEEP("suid"), KEEP("nosuid"), KEEP("exec"), KEEP("noexec"),
	KEEP("sync"), KEEP("async"), KEEP("dirsync"), KEEP("atime"), KEEP("noatime"),
	KEEP("diratime"), KEEP("nodiratime"), KEEP("relatime"), KEEP("norelatime"),
	KEEP("strictatime"), KEEP("nostrictatime"),
	/* what mount(8) and fstab(5) add for themselves */
	FUSE_OPT_KEY("-s", KEY_DISCARD), FUSE_OPT_KEY("-n", KEY_DISCARD),
	FUSE_OPT_KEY("-v", KEY_DISCARD), FUSE_OPT_KEY("-t ", KEY_DISCARD),
	FUSE_OPT_KEY("defaults", KEY_DISCARD), FUSE_OPT_KEY("auto", KEY_DISCARD),
	FUSE_OPT_KEY("noauto", KEY_DISCARD), FUSE_OPT_KEY("user", KEY_DISCARD),
	FUSE_OPT_KEY("nouser", KEY_DISCARD), FUSE_OPT_KEY("users", KEY_DISCARD),
	FUSE_OPT_KEY("_netdev", KEY_DISCARD), FUSE_OPT_KEY("nofail", KEY_DISCARD),
	FUSE_OPT_KEY("comment=", KEY_DISCARD),
	FUSE_OPT_END,
};
/* clang-format on */

static const char help_text[] =
	"usage: zkfs [-f] [-o OPTIONS] HOSTS[/CHROOT] MOUNTPOINT\n"
	"\n"
	"Mounts a ZooKeeper tree. HOSTS is HOST[:PORT],…; the port is 2181 if missing.\n"
	"\n"
	"    -f                     stay in the foreground, log to stderr\n"
	"    -h, --help             this text\n"
	"    -V, --version          the version\n"
	"\n"
	"OPTIONS, separated by commas:\n"
	"    timeout=MS             session timeout (10000)\n"
	"    op_timeout=MS          longest wait of one request (10000)\n"
	"    auth_file=PATH         credentials, lines `scheme credential`, readable by you alone\n"
	"    acl=open|creator|read  ACL of new znodes (open); creator and read need auth_file\n"
	"    ro                     refuse every change\n"
	"    strict                 refuse chmod, chown and explicit times, which are not kept\n"
	"    stale=serve|fail       what is cached when the session must have expired (serve)\n"
	"    max_data=BYTES         largest value (what an unchanged server takes, almost 1 MiB)\n"
	"    watches=N              budget of watches on the server (32768)\n"
	"    events=on|off          inotify events for changes made elsewhere (on)\n"
	"    uid=ID gid=ID          owner that is shown (who mounts)\n"
	"    file_mode=OCTAL        permissions that are shown of files (644)\n"
	"    dir_mode=OCTAL         permissions that are shown of directories (755)\n"
	"    allow_other            other users too; the kernel then checks the permissions\n"
	"    log=LEVEL              error, warning, info or debug (warning)\n"
	"    …                      and those of a mount: dev, suid, exec, atime, sync, fsname, "
	"subtype,\n"
	"                           max_read, auto_unmount, allow_root\n"
	"\n"
	"fusermount3 -u MOUNTPOINT (or umount) ends it. More in zkfs(1).\n";

static int take_argument(void *data, const char *arg, int key, struct fuse_args *out)
{
	struct raw_options *raw = data;
	char **slot;

	switch (key) {
	case KEY_DISCARD:
		return 0;
	case KEY_FSNAME:
		raw->fsname = 1;
		return 1;
	case FUSE_OPT_KEY_NONOPT:
		slot = !raw->hosts ? &raw->hosts : !raw->mountpoint ? &raw->mountpoint : NULL;
		if (slot)
			*slot = strdup(arg);
		else
			raw->extra = 1;
		return 0;
	case KEY_KEEP:
		return 1;
	default:
		if (strncmp(arg, "x-", 2) == 0)
			return 0; /* for others than the file system: fstab(5) */
		fprintf(stderr, "zkfs: unknown option %s (zkfs --help tells more)\n", arg);
		return -1;
	}
}

static int bad_value(const char *name, const char *value, const char *wanted)
{
	fprintf(stderr, "zkfs: %s=%s: not %s\n", name, value, wanted);
	return -EINVAL;
}

/* `text` NULL leaves *valuep alone. */
static int parse_number(
	const char *name, const char *text, int base, long min, long max, long *valuep)
{
	char wanted[80], *end;
	long value;

	if (!text)
		return 0;
	errno = 0;
	value = strtol(text, &end, base);
	if (errno == 0 && end != text && *end == '\0' && value >= min && value <= max) {
		*valuep = value;
		return 0;
	}
	snprintf(wanted, sizeof(wanted),
		base == 8 ? "an octal number from %lo to %lo" : "a number from %ld to %ld", min,
		max);
	return bad_value(name, text, wanted);
}

/* `choices`: NULL-terminated; gives the index. */
static int parse_choice(const char *name, const char *text, const char *const *choices,
	const char *wanted, int *valuep)
{
	if (!text)
		return 0;
	for (int i = 0; choices[i]; i++)
		if (strcmp(text, choices[i]) == 0) {
			*valuep = i;
			return 0;
		}
	return bad_value(name, text, wanted);
}

static int parse_numbers(struct fs_options *options, const struct raw_options *raw)
{
	long timeout = 10000, op_timeout = 10000, max_data = 0, watches = 32768;
	long uid = getuid(), gid = getgid(), file_mode = 0644, dir_mode = 0755, max_read = 0;

	if (parse_number("timeout", raw->timeout, 10, 100, INT_MAX, &timeout) < 0 ||
		parse_number("op_timeout", raw->op_timeout, 10, 1, INT_MAX, &op_timeout) < 0 ||
		parse_number("max_data", raw->max_data, 10, 1, 1 << 30, &max_data) < 0 ||
		parse_number("watches", raw->watches, 10, 0, INT_MAX, &watches) < 0 ||
		parse_number("uid", raw->uid, 10, 0, UINT_MAX - 1L, &uid) < 0 ||
		parse_number("gid", raw->gid, 10, 0, UINT_MAX - 1L, &gid) < 0 ||
		parse_number("file_mode", raw->file_mode, 8, 0, 0777, &file_mode) < 0 ||
		parse_number("max_read", raw->max_read, 10, 4096, INT_MAX, &max_read) < 0 ||
		parse_number("dir_mode", raw->dir_mode, 8, 0, 0777, &dir_mode) < 0)
		return -EINVAL;
	options->session_timeout_ms = timeout;
	options->op_timeout_ms = op_timeout;
	options->max_data = max_data;
	options->watches = watches;
	options->uid = uid;
	options->gid = gid;
	options->file_mode = file_mode;
	options->dir_mode = dir_mode;
	options->max_read = max_read;
	return 0;
}

static int parse_choices(struct fs_options *options, const struct raw_options *raw)
{
	static const char *const acls[] = { "open", "creator", "read", NULL };
	static const char *const stales[] = { "serve", "fail", NULL };
	static const char *const switches[] = { "off", "on", NULL };
	int acl = FS_ACL_OPEN, stale = FS_STALE_SERVE, events = 1, level;

	if (parse_choice("acl", raw->acl, acls, "open, creator or read", &acl) < 0 ||
		parse_choice("stale", raw->stale, stales, "serve or fail", &stale) < 0 ||
		parse_choice("events", raw->events, switches, "on or off", &events) < 0)
		return -EINVAL;
	options->acl = acl;
	options->stale = stale;
	options->events = events;
	options->log_level = raw->debug ? FS_LOG_DEBUG : FS_LOG_WARNING;
	if (raw->log) {
		level = fs_log_level_parse(raw->log);
		if (level < 0)
			return bad_value("log", raw->log, "error, warning, info or debug");
		options->log_level = level;
	}
	return 0;
}

static int parse_hosts(struct fs_options *options)
{
	struct zk_hosts_error error;
	int r;

	r = zk_hosts_parse(options->hosts_text, &options->hosts, &error);
	if (r < 0)
		fprintf(stderr, "zkfs: %s: %s\n", options->hosts_text, error.text);
	return r;
}

static int read_auth(struct fs_options *options, const struct raw_options *raw)
{
	struct zk_auth_error error;
	int r;

	if (raw->auth_file) {
		r = zk_auth_read(raw->auth_file, &options->auth, &error);
		if (r < 0) {
			fprintf(stderr, "zkfs: auth_file: %s\n", error.text);
			return r;
		}
	} else if (options->acl != FS_ACL_OPEN) {
		fprintf(stderr,
			"zkfs: acl=%s needs auth_file=PATH: nobody is the creator without\n",
			raw->acl);
		return -EINVAL;
	}
	return 0;
}

/* What libfuse is told for us: the name that df shows, and that the kernel checks the modes as soon
 * as others are let in (what it has cached would be open to all otherwise). */
static int add_fuse_options(struct fs_options *options, const struct raw_options *raw)
{
	char *fsname = NULL, max_read[32];
	int r = 0;

	if (!raw->fsname) {
		size_t n = 0;

		fsname = malloc(strlen("fsname=") + 2 * strlen(options->hosts_text) + 1);
		if (!fsname)
			return -ENOMEM;
		n = strlen(strcpy(fsname, "fsname="));
		for (const char *s = options->hosts_text; *s; s++) {
			if (*s == ',' || *s == '\\')
				fsname[n++] = '\\';
			fsname[n++] = *s;
		}
		fsname[n] = '\0';
		r = fuse_opt_add_arg(&options->fuse_args, "-o") ||
		    fuse_opt_add_arg(&options->fuse_args, fsname);
		free(fsname);
	}
	if (options->max_read > 0)
		snprintf(max_read, sizeof(max_read), "-omax_read=%u", options->max_read);
	r = r || (options->max_read > 0 && fuse_opt_add_arg(&options->fuse_args, max_read));
	r = r || fuse_opt_add_arg(&options->fuse_args, "-osubtype=zkfs");
	if (raw->allow_other)
		r = r || fuse_opt_add_arg(&options->fuse_args, "-oallow_other");
	if (raw->allow_other || raw->default_permissions)
		r = r || fuse_opt_add_arg(&options->fuse_args, "-odefault_permissions");
	if (raw->debug)
		r = r || fuse_opt_add_arg(&options->fuse_args, "-odebug");
	return r ? -ENOMEM : 0;
}

static int check(struct fs_options *options, struct raw_options *raw)
{
	int r;

	if (!raw->hosts || !raw->mountpoint || raw->extra) {
		fprintf(stderr, "zkfs: %s (zkfs --help tells more)\n",
			raw->extra   ? "too many arguments: HOSTS and MOUNTPOINT are all"
			: raw->hosts ? "MOUNTPOINT is missing"
				     : "HOSTS and MOUNTPOINT are missing");
		return -EINVAL;
	}
	options->foreground = raw->foreground || raw->debug;
	options->strict = raw->strict;
	options->read_only = raw->read_only;
	options->allow_other = raw->allow_other;
	options->hosts_text = raw->hosts;
	raw->hosts = NULL;
	r = parse_numbers(options, raw);
	if (r == 0)
		r = parse_choices(options, raw);
	if (r == 0)
		r = parse_hosts(options);
	if (r == 0)
		r = read_auth(options, raw);
	if (r == 0)
		r = fs_mountpoint_resolve(raw->mountpoint, &options->mountpoint);
	if (r == 0)
		r = add_fuse_options(options, raw);
	return r;
}

static void raw_done(struct raw_options *raw)
{
	char *texts[] = { raw->timeout, raw->op_timeout, raw->auth_file, raw->acl, raw->stale,
		raw->max_data, raw->watches, raw->events, raw->log, raw->uid, raw->gid,
		raw->file_mode, raw->dir_mode, raw->max_read, raw->hosts, raw->mountpoint };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(texts[i]);
}

/* mount(8)'s helper gets -f for "fake": do everything but mount. */
static bool is_mount_helper(const char *argv0)
{
	const char *base = strrchr(argv0, '/');

	return strncmp(base ? base + 1 : argv0, "mount.", strlen("mount.")) == 0;
}

enum fs_options_result fs_options_parse(struct fs_options *options, int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct raw_options raw = { 0 };
	enum fs_options_result result = FS_OPTIONS_BAD;

	memset(options, 0, sizeof(*options));
	if (fuse_opt_parse(&args, &raw, option_specs, take_argument) < 0)
		goto out; /* libfuse has said why */
	options->fuse_args = args;
	args = (struct fuse_args)FUSE_ARGS_INIT(0, NULL);
	if (raw.help) {
		fputs(help_text, stdout);
		result = FS_OPTIONS_HELP;
	} else if (raw.version) {
		puts("zkfs " ZKFS_VERSION);
		result = FS_OPTIONS_VERSION;
	} else if (check(options, &raw) == 0) {
		result = FS_OPTIONS_RUN;
		if (is_mount_helper(argv[0])) {
			if (raw.foreground)
				result = FS_OPTIONS_HELP;
			options->foreground = false;
		}
	}
out:
	raw_done(&raw);
	fuse_opt_free_args(&args);
	return result;
}

void fs_options_done(struct fs_options *options)
{
	fuse_opt_free_args(&options->fuse_args);
	zk_hosts_free(options->hosts);
	zk_auth_free(options->auth);
	free(options->hosts_text);
	free(options->mountpoint);
}
