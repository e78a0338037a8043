#include "config.h"

#include "cli.h"

const struct command commands[] = {
	{"get", " REF...", "Print values",
	    "REF is a reference (qapi://secrets/NAME) or the name or id of a "
	    "secret.\nOf several, each value is followed by a newline.\n",
	    cmd_get, false},
	{"list", " [secrets|keys]", "List names, ids and freshness, no values",
	    NULL, cmd_list, false},
	{"run", " [--] COMMAND [ARGUMENT]...",
	    "Start a program with secrets in its environment",
	    "Variables whose value is a reference are replaced, also those "
	    "that are inherited.\nIf one fails, nothing is started.\n",
	    cmd_run, true},
	{"refresh", " REF...|--all", "Have the service asked now", NULL,
	    cmd_refresh, false},
	{"purge", " REF...|--all", "Drop and wipe what is cached", NULL,
	    cmd_purge, false},
	{"status", "", "Show how the agent is doing", NULL, cmd_status, false},
	{"ping", "", "Ask whether the agent answers", NULL, cmd_ping, false},
	{NULL, NULL, NULL, NULL, NULL, false},
};
