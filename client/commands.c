#include "config.h"

#include "cli.h"

const struct command commands[] = {
	{"get", " REF...", "Print values",
	    "REF is a reference (qapi://secrets/NAME) or the name or id of a "
	    "secret.\nOf several, each value is followed by a newline.\n",
	    cmd_get, false},
	{"list", " [secrets|keys]", "List names, ids and freshness, no values",
	    NULL, cmd_list, false},
	{"pubkey", " KEY...", "Print public keys",
	    "KEY is the name or id of a key, or a reference to it.  json is "
	    "the service's\nobject; raw and der are bytes.\n",
	    cmd_pubkey, false},
	{"encrypt", "", "Encrypt with a key of the service",
	    "Up to 512 KiB are encrypted by the service, into a payload, which "
	    "is text; what is\nlarger by the agent, into an envelope, which is "
	    "bytes.\n", cmd_encrypt, false},
	{"decrypt", "", "Decrypt what encrypt gave",
	    "Of an envelope, what is printed before the end is not to be "
	    "trusted: with -o\nnothing is there before.\n",
	    cmd_decrypt, false},
	{"sign", "", "Sign with a key of the service, at most 1 MiB", NULL,
	    cmd_sign, false},
	{"verify", "", "Verify a signature",
	    "Exit status 0 if it is valid, 1 if not.\n", cmd_verify, false},
	{"call", " METHOD PATH", "Ask the service anything else",
	    "PATH is below /api/v1, as in call GET /secrets.  The body of the "
	    "answer is printed\nwhatever its status.\n", cmd_call, false},
	{"secret", " create|set|rotate NAME", "Store a secret, or a new value",
	    "The value is read from standard input or a file, every byte of "
	    "it; rotate makes a\nrandom one.  Prints id and version.\n",
	    cmd_secret, false},
	{"run", " [--] COMMAND [ARGUMENT]...",
	    "Start a program with secrets in its environment",
	    "Variables whose value is a reference are replaced, also those "
	    "that are inherited.\nIf one fails, nothing is started.\n",
	    cmd_run, true},
	{"refresh", " REF...|--all", "Have the service asked now", NULL,
	    cmd_refresh, false},
	{"purge", " REF...|--all", "Drop and wipe what is cached", NULL,
	    cmd_purge, false},
	{"watch", " REF...", "Print a line for each change, until interrupted",
	    "A line is REASON, a tab, REF.  REASON is changed, expiring, "
	    "expired, gone,\nstale or fresh-again.  A restart of the agent "
	    "is survived.\n", cmd_watch, false},
	{"reject", " REF", "Say that a value was refused by whom it is for",
	    "The agent asks the service for a newer one.  Exit status 0 if "
	    "there is one, 1 if not.\n", cmd_reject, false},
	{"explain", " REF", "Say which rule matches and where a value stands",
	    NULL, cmd_explain, false},
	{"drill", " offline D", "Play an outage, and report what would break",
	    "For D, or until interrupted, the agent behaves as if the service "
	    "were down.\n", cmd_drill, false},
	{"status", "", "Show how the agent is doing", NULL, cmd_status, false},
	{"top", "", "Show how the agent is doing, again and again",
	    "The key q ends it.\n", cmd_top, false},
	{"metrics", "", "Print figures for monitoring (OpenMetrics)", NULL,
	    cmd_metrics, false},
	{"ping", "", "Ask whether the agent answers", NULL, cmd_ping, false},
	{NULL, NULL, NULL, NULL, NULL, false},
};
