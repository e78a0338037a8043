/*
 * qapi-agentd: options, then the daemon.
 */
#include "config.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "log.h"
#include "settings.h"
#include "text.h"

#define MAIN_DEFAULT_FILE "/etc/qapi-agent/agent.conf"

static const struct option main_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check", no_argument, NULL, 'C' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static const char main_help[] =
"usage: qapi-agentd [-c FILE] [--check]\n"
"\n"
"Holds the API key of QuantumAPI, caches secrets and public keys in locked\n"
"memory, and serves them on a Unix socket.  Stays in the foreground and logs\n"
"to standard error.\n"
"\n"
"  -c, --config FILE  read this configuration (" MAIN_DEFAULT_FILE ",\n"
"                     or the defaults where that does not exist)\n"
"      --check        check the configuration, print every fault, and exit:\n"
"                     0 and `ok', or 1\n"
"  -h, --help         print this\n"
"      --version      print the version\n"
"\n"
"SIGTERM stops it cleanly; SIGHUP reads the configuration and the key again.\n"
"See qapi-agentd(8), agent.conf(5), qapi-agent(1).\n";

static int
main_usage(const char *bad)
{
	const char *names[] = { "--config", "--check", "--help", "--version" };
	const char *near = bad != NULL ? text_nearest(bad, names,
	    sizeof(names) / sizeof(names[0])) : NULL;

	if (bad != NULL)
		(void)fprintf(stderr, "qapi-agentd: %s: unknown or incomplete "
		    "option%s%s: see qapi-agentd --help\n", bad,
		    near ? "; did you mean " : "", near ? near : "");
	return 2;
}

static int
main_serve(struct settings *settings, const char *path)
{
	struct agent *a;
	int status = 1;

	if (agent_init_process(settings) != 0) {
		settings_free(settings);
		return 1;
	}
	if (agent_new(settings, path != NULL ? path : MAIN_DEFAULT_FILE,
	    path == NULL, &a) == 0) {
		status = agent_run(a) == 0 ? 0 : 1;
		agent_free(a);
	}
	return status;
}

int
main(int argc, char **argv)
{
	const char *path = NULL;
	struct settings *settings;
	bool check = false;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":c:h", main_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'C':
			check = true;
			break;
		case 'h':
			(void)fputs(main_help, stdout);
			return 0;
		case 'V':
			(void)puts("qapi-agentd " PACKAGE_VERSION);
			return 0;
		default:
			return main_usage(argv[optind - 1]);
		}
	}
	if (optind < argc)
		return main_usage(argv[optind]);
	if (path == NULL && access(MAIN_DEFAULT_FILE, F_OK) == 0)
		path = MAIN_DEFAULT_FILE;
	log_init();
	if (settings_load(path, stderr, &settings) != 0)
		return 1;
	if (check) {
		settings_free(settings);
		(void)puts("ok");
		return 0;
	}
	log_set_level(settings->log_level);
	return main_serve(settings, path);
}
