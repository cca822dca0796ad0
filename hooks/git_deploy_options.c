/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of zkfs-git-deploy. */
#include "hooks/git_deploy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks/lib/log.h"

enum {
	OPT_CONFIG = 256,
	OPT_ROOT,
	OPT_ALLOW_URL,
	OPT_STATUS_DIR,
	OPT_NAME,
	OPT_CHECK,
	OPT_POST,
	OPT_KEEP,
	OPT_TIMEOUT,
	OPT_SPLAY,
	OPT_SETTLE,
	OPT_SSH_KEY,
	OPT_ADOPT,
	OPT_PATH
};

static const struct option table[] = {
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "root", required_argument, NULL, OPT_ROOT },
	{ "allow-url", required_argument, NULL, OPT_ALLOW_URL },
	{ "status-dir", required_argument, NULL, OPT_STATUS_DIR },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "check", required_argument, NULL, OPT_CHECK },
	{ "post", required_argument, NULL, OPT_POST },
	{ "keep", required_argument, NULL, OPT_KEEP },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "splay", required_argument, NULL, OPT_SPLAY },
	{ "settle", required_argument, NULL, OPT_SETTLE },
	{ "ssh-key", required_argument, NULL, OPT_SSH_KEY },
	{ "adopt", no_argument, NULL, OPT_ADOPT },
	{ "path", required_argument, NULL, OPT_PATH },
	HOOK_COMMON_OPTIONS,
	{ 0 },
};

static const char help[] =
	"usage: zkfs-git-deploy --config FILE --root DIR [OPTIONS]\n"
	"       zkfs-git-deploy rollback --root DIR [--path P] [--post CMD]\n"
	"       zkfs-git-deploy resume --root DIR [--path P]\n"
	"       zkfs-git-deploy status --root DIR | --status-dir DIR\n"
	"\n"
	"Deploys the git commit that the JSON of FILE names: {\"url\", \"commitId\", "
	"\"relativePath\"}.\n"
	"\n"
	"      --allow-url PREFIX only URLs that begin with it; may be given several times\n"
	"      --status-dir DIR   tell there how it goes, in a file for each host\n"
	"      --name HOST        the name of that file (the host's name)\n"
	"      --check CMD        run in the new tree before it is published; may refuse it\n"
	"      --post CMD         run in the new tree once it is published\n"
	"      --keep N           how many old trees are kept (3)\n"
	"      --timeout S        for fetch and checkout, and for each command (300)\n"
	"      --splay S          wait first, for a time below S that goes by the host's name (0)\n"
	"      --settle MS        how long FILE must be left alone before it is read (100)\n"
	"      --ssh-key FILE     a private key without passphrase (the keys of the agent)\n"
	"      --adopt            replace a directory that was not deployed, and keep "
	"it\n" HOOK_COMMON_HELP;

static int add_prefix(struct deploy_policy *policy, const char *prefix)
{
	const char **more;

	if (!deploy_policy_is_prefix(prefix)) {
		hook_log(HOOK_LOG_ERROR,
			"--allow-url begins with https://, ssh://, git:// or file://, not '%s'",
			prefix);
		return -EINVAL;
	}
	more = realloc(policy->prefixes, (policy->n_prefixes + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	more[policy->n_prefixes++] = prefix;
	policy->prefixes = more;
	return 0;
}

/* As it is written into .lease, and is the name of a file. */
static int take_name(struct git_deploy_options *options, const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= sizeof(options->name) || name[0] == '.' ||
		strpbrk(name, "/ \t\r\n\\\"")) {
		hook_log(HOOK_LOG_ERROR, "--name '%s' cannot be the name of a file", name);
		return -EINVAL;
	}
	strcpy(options->name, name);
	return 0;
}

static int take_settle(struct git_deploy_options *options, const char *text)
{
	long ms;

	if (hook_parse_number("--settle", text, 0, 60000, &ms) < 0)
		return -EINVAL;
	options->settle = ms * HOOK_NS_PER_MS;
	return 0;
}

static int take(struct git_deploy_options *options, int option)
{
	switch (option) {
	case OPT_CONFIG:
		options->config = optarg;
		break;
	case OPT_ROOT:
		options->root = optarg;
		break;
	case OPT_ALLOW_URL:
		return add_prefix(&options->policy, optarg);
	case OPT_STATUS_DIR:
		options->status_dir = optarg;
		break;
	case OPT_NAME:
		return take_name(options, optarg);
	case OPT_CHECK:
		options->check = optarg;
		break;
	case OPT_POST:
		options->post = optarg;
		break;
	case OPT_KEEP:
		return hook_parse_number("--keep", optarg, 0, 1000, &options->keep);
	case OPT_TIMEOUT:
		return hook_parse_seconds("--timeout", optarg, &options->timeout);
	case OPT_SPLAY:
		return hook_parse_seconds("--splay", optarg, &options->splay);
	case OPT_SETTLE:
		return take_settle(options, optarg);
	case OPT_SSH_KEY:
		options->ssh_key = optarg;
		break;
	case OPT_ADOPT:
		options->adopt = true;
		break;
	case OPT_PATH:
		options->path = optarg;
		break;
	}
	return 0;
}

/* An argument that is no option is a command. */
static int take_command(struct git_deploy_options *options, int argc, char **argv)
{
	static const char *const names[] = {
		[GIT_DEPLOY_ROLLBACK] = "rollback",
		[GIT_DEPLOY_RESUME] = "resume",
		[GIT_DEPLOY_STATUS] = "status",
	};

	if (optind == argc)
		return 0;
	for (int i = GIT_DEPLOY_ROLLBACK; optind + 1 == argc && i <= GIT_DEPLOY_STATUS; i++)
		if (strcmp(argv[optind], names[i]) == 0) {
			options->command = (enum git_deploy_command)i;
			return 0;
		}
	hook_log(HOOK_LOG_ERROR, "what is '%s'? See --help", argv[argc - 1]);
	return -EINVAL;
}

static int check_needs(const struct git_deploy_options *options)
{
	const char *missing = NULL;

	if (!options->root && !(options->command == GIT_DEPLOY_STATUS && options->status_dir))
		missing = options->command == GIT_DEPLOY_STATUS ? "--root or --status-dir is"
								: "--root is";
	if (options->command == GIT_DEPLOY_FOLLOW && (!options->config || !options->root))
		missing = "--config and --root are";
	if (missing)
		hook_log(HOOK_LOG_ERROR, "%s needed; see --help", missing);
	if (!missing && options->timeout == 0) {
		hook_log(HOOK_LOG_ERROR, "--timeout cannot be 0");
		missing = "";
	}
	return missing ? -EINVAL : 0;
}

static int set_defaults(struct git_deploy_options *options)
{
	char host[256] = "";

	options->keep = 3;
	options->settle = 100 * HOOK_NS_PER_MS;
	options->timeout = 300 * HOOK_NS_PER_S;
	gethostname(host, sizeof(host) - 1);
	return take_name(options, *host ? host : "localhost");
}

int git_deploy_options_parse(struct git_deploy_options *options, int argc, char **argv, int *exitp)
{
	enum hook_taken taken = set_defaults(options) < 0 ? HOOK_TAKEN_BAD : HOOK_TAKEN;
	int option;

	*exitp = HOOK_USAGE;
	while (taken == HOOK_TAKEN && (option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		if (option >= OPT_CONFIG)
			taken = take(options, option) < 0 ? HOOK_TAKEN_BAD : HOOK_TAKEN;
		else
			taken = hook_common_take(&options->common, option, help);
	}
	if (taken == HOOK_TAKEN_END)
		*exitp = HOOK_OK;
	if (taken != HOOK_TAKEN || take_command(options, argc, argv) < 0)
		return -EINVAL;
	return check_needs(options);
}
