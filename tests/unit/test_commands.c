#include "config.h"

#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "command_shell.h"
#include "err.h"
#include "fake_agent.h"

static const struct fake_value table[] = {
	{.ref = "qapi://secrets/a", .value = "alpha"},
	{.ref = "qapi://secrets/b", .value = "beta\n"},
	{.ref = "qapi://secrets/a?field=username", .value = "me"},
	{.ref = "qapi://secrets/nul", .value = "x\0y", .len = 3},
	{.ref = "qapi://secrets/bin", .value = "\xff\x00z", .len = 3},
	{.ref = "qapi://secrets/old", .value = "o", .freshness = MSG_STALE},
	{.ref = "qapi://secrets/br", .error = ERR_BAD_REQUEST},
	{.ref = "qapi://secrets/am", .error = ERR_AMBIGUOUS,
	    .message = "two of this name, id1 and id2"},
	{.ref = "qapi://secrets/de", .error = ERR_DENIED},
	{.ref = "qapi://secrets/ex", .error = ERR_EXPIRED},
	{.ref = "qapi://secrets/ua", .error = ERR_UNAUTHORIZED},
	{.ref = "qapi://secrets/is", .error = ERR_INSUFFICIENT_SCOPE},
	{.ref = "qapi://secrets/rl", .error = ERR_RATE_LIMITED},
	{.ref = "qapi://secrets/uu", .error = ERR_UPSTREAM_UNAVAILABLE},
	{.ref = "qapi://secrets/ue", .error = ERR_UPSTREAM_ERROR},
	{.ref = "qapi://secrets/tl", .error = ERR_TOO_LARGE},
	{.ref = "qapi://secrets/bu", .error = ERR_BUSY},
	{.ref = "qapi://secrets/ti", .error = ERR_TIMEOUT},
	{.ref = "qapi://secrets/us", .error = ERR_UNSUPPORTED},
	{.ref = "qapi://secrets/in", .error = ERR_INTERNAL},
	{.ref = "qapi://secrets/evil", .error = ERR_DENIED,
	    .message = "no\n\x1b[2Jqapi-agent: forged"},
	{.ref = NULL},
};

/* Does the process block this signal? */
static bool
blocks_signal(pid_t pid, int signo)
{
	unsigned long long mask = 0;
	char path[64], line[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "SigBlk: %llx", &mask) == 1)
			break;
	}
	(void)fclose(f);
	return (mask >> (signo - 1) & 1) != 0;
}

static void
test_get(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q get qapi://secrets/a"), 0);
	assert_string_equal(out, "alpha");
	assert_string_equal(err, "");
	assert_int_equal(sh("$Q get a"), 0);
	assert_string_equal(out, "alpha");
	assert_int_equal(sh("$Q get b"), 0);
	assert_string_equal(out, "beta\n");
	assert_int_equal(sh("$Q get --field username a"), 0);
	assert_string_equal(out, "me");
	assert_int_equal(sh("$Q get nul"), 0);
	assert_int_equal(out_len, 3);
	assert_int_equal(sh("$Q get old"), 0);
	assert_string_equal(err, "");
	assert_int_equal(sh("$Q get a b"), 0);
	assert_string_equal(out, "alpha\nbeta\n\n");
	assert_int_equal(sh("$Q get -0 a b"), 0);
	assert_int_equal(out_len, 12);
	assert_memory_equal(out, "alpha\0beta\n\0", 12);
	assert_int_equal(sh("$Q --timeout 3s get a --socket nowhere"), 5);
}

static void
test_get_partial_failure(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q get none a de b"), 3);
	assert_string_equal(out, "alpha\nbeta\n\n");
	assert_int_equal(lines(err), 2);
	assert_non_null(strstr(err, "qapi-agent: qapi://secrets/none: no such "
				    "secret: "));
	assert_int_equal(sh("$Q get --json de a none"), 4);
	assert_int_equal(lines(err), 2);
	assert_non_null(strstr(err, "{\"ref\":\"qapi://secrets/de\",\"error\":"
				    "\"denied\",\"message\":\""));
	assert_int_equal(sh("$Q get a qapi://secrets/a?x=1"), 2);
	assert_string_equal(out, "alpha\n");
}

static void
test_get_json(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q get --json a nul bin old"), 0);
	assert_int_equal(lines(out), 4);
	assert_ptr_equal(strstr(out, "{\"ref\":\"qapi://secrets/a\",\"id\":\"sec_1"
	    "\",\"name\":\"a name\",\"version\":3,\"value\":\"alpha\","
	    "\"freshness\":\"fresh\",\"ageSeconds\":301,\"updatedAt\":"
	    "\"2026-05-08T12:00:00Z\",\"expiresAt\":null}\n"), out);
	assert_non_null(strstr(out, "\"value\":\"x\\u0000y\""));
	assert_non_null(strstr(out, "\"valueBase64\":\"/wB6\""));
	assert_non_null(strstr(out, "\"freshness\":\"stale\""));
}

static void
test_get_output_file(void **state)
{
	(void)state;
	assert_int_equal(sh("umask 0; $Q get -o f a && stat -c %a f && cat f"),
	    0);
	assert_string_equal(out, "600\nalpha");
	assert_int_equal(sh("echo was >g; $Q get -o g a none; echo $?; cat g; "
			    "ls -A | grep -c qapi-agent"), 1);
	assert_string_equal(out, "3\nwas\n0\n");
	assert_int_equal(sh("echo was >t; ln -s t l; $Q get -o l a; cat t l; "
			    "test -h l"), 1);
	assert_string_equal(out, "was\nalpha");
	assert_int_equal(sh("$Q get -o - a"), 0);
	assert_string_equal(out, "alpha");
	assert_int_equal(sh("$Q get -o /dev/null a"), 0);
	assert_int_equal(sh("$Q get -o no/such/dir a"), 1);
	assert_non_null(strstr(err, "qapi-agent: no/such/dir: cannot write: "));
	assert_int_equal(sh("$Q get a >/dev/full"), 1);
}

static void
test_exit_statuses(void **state)
{
	static const struct {
		const char *name;
		int status;
	} cases[] = {
		{"br", 2}, {"none", 3}, {"am", 9}, {"de", 4}, {"ex", 8},
		{"ua", 4}, {"is", 4}, {"rl", 6}, {"uu", 6}, {"ue", 1},
		{"tl", 1}, {"bu", 1}, {"ti", 7}, {"us", 1}, {"in", 1},
	};
	char line[64];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		(void)snprintf(line, sizeof(line), "$Q get %s", cases[i].name);
		assert_int_equal(sh(line), cases[i].status);
		assert_int_equal(lines(err), 1);
		assert_string_equal(out, "");
	}
}

static void
test_errors_are_one_safe_line(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q get evil"), 4);
	assert_int_equal(lines(err), 1);
	assert_null(strchr(err, '\x1b'));
	assert_int_equal(sh("$Q get \"$(printf 'a\\nb')\""), 2);
	assert_int_equal(lines(err), 1);
	assert_int_equal(sh("$Q --socket /nonexistent/s get a b"), 5);
	assert_int_equal(lines(err), 1);
	assert_non_null(strstr(err, "/nonexistent/s"));
	assert_int_equal(sh("$Q --socket /nonexistent/s get --json a b"), 5);
	assert_int_equal(lines(err), 2);
	assert_non_null(strstr(err, "\"error\":\"unreachable\""));
}

static void
test_usage(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q"), 2);
	assert_int_equal(sh("$Q gte a"), 2);
	assert_non_null(strstr(err, "did you mean get?"));
	assert_int_equal(sh("$Q get --filed x a"), 2);
	assert_non_null(strstr(err, "did you mean --field?"));
	assert_int_equal(lines(err), 1);
	assert_int_equal(sh("$Q get"), 2);
	assert_int_equal(sh("$Q get --fresh --offline a"), 2);
	assert_int_equal(sh("$Q get --timeout 5x a"), 2);
	assert_int_equal(sh("$Q list things"), 2);
	assert_int_equal(sh("$Q status x"), 2);
	assert_int_equal(sh("$Q ping x"), 2);
	assert_int_equal(sh("$Q refresh"), 2);
	assert_int_equal(sh("$Q purge --all a"), 2);
	assert_int_equal(sh("$Q run"), 125);
	assert_int_equal(sh("$Q run --evn A=a -- true"), 125);
	assert_non_null(strstr(err, "did you mean --env?"));
	assert_int_equal(sh("$Q run --on-change restart -- true"), 125);
	assert_int_equal(sh("$Q run --env Aa -- true"), 125);
	assert_int_equal(sh("$Q --version && $Q --help && "
			    "for c in get list run refresh purge watch reject "
			    "explain drill status top metrics ping; "
			    "do $Q $c --help || exit 9; done"), 0);
	assert_string_equal(err, "");
}

static void
test_list(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q list"), 0);
	assert_string_equal(out,
	    "db/password\tsec_1\tsecret\tstale\t1m1s\t-\n"
	    "sign\\x09me\\x1b[0m\tkey_1\tkey\t-\t-\t-\n");
	assert_int_equal(sh("$Q list secrets --json"), 0);
	assert_non_null(strstr(out, "{\"kind\":\"secret\",\"id\":\"sec_1\","
	    "\"name\":\"db/password\",\"version\":null,\"freshness\":\"stale\""
	    ",\"ageSeconds\":61,"));
	assert_non_null(strstr(out, "\"freshness\":null,\"ageSeconds\":null"));
}

static void
test_status_and_ping(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q status --json"), 0);
	assert_string_equal(out, "{\"version\":\"0.1.0\",\"pid\":42,"
	    "\"upstream\":{\"state\":\"ok\",\"lastSuccessAgeSeconds\":null},"
	    "\"cache\":{\"secrets\":7},\"memory\":{\"locked\":{\"bytes\":4096}}"
	    ",\"uptimeSeconds\":5400}\n");
	assert_int_equal(sh("$Q status"), 0);
	assert_non_null(strstr(out, "5400 (1h30m)\n"));
	assert_non_null(strstr(out, "upstream\n  state "));
	assert_int_equal(sh("$Q ping"), 0);
	assert_non_null(strstr(out, "qapi-agentd 0.1.0 at "));
	assert_int_equal(sh("$Q --socket /nonexistent/s ping"), 5);
}

static void
test_refresh_and_purge(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q refresh a b"), 0);
	assert_int_equal(sh("$Q refresh a none"), 3);
	assert_int_equal(sh("$Q refresh old"), 6);
	assert_int_equal(sh("$Q refresh --all"), 0);
	assert_string_equal(out, "7 refreshed\n");
	assert_int_equal(sh("$Q purge a"), 0);
	assert_int_equal(sh("$Q purge --all"), 0);
	assert_string_equal(out, "7 purged\n");
}

static void
test_watch(void **state)
{
	(void)state;
	/* the agent hangs up after each; SIGPIPE ends it in the end */
	assert_int_equal(sh("$Q watch a old | head -n 5"), 0);
	assert_string_equal(out, "changed\tqapi://secrets/a\n"
	    "stale\tqapi://secrets/old\n"
	    "changed\tqapi://secrets/a\n"
	    "stale\tqapi://secrets/old\n"
	    "changed\tqapi://secrets/a\n");
	assert_string_equal(err, "");
	/* what may not be watched is said at once, and the rest goes on */
	assert_int_equal(sh("$Q watch none a de | head -n 1"), 0);
	assert_string_equal(out, "changed\tqapi://secrets/a\n");
	assert_int_equal(lines(err), 2);
	assert_non_null(strstr(err, "qapi-agent: qapi://secrets/none: not "
				    "this one: "));
	/* nothing to watch is left */
	assert_int_equal(sh("$Q watch de none"), 4);
	assert_int_equal(lines(err), 2);
	assert_string_equal(out, "");
	assert_int_equal(sh("$Q watch qapi://secrets/a?x=1"), 2);
	assert_int_equal(lines(err), 1);
	assert_int_equal(sh("$Q --socket /nonexistent/s watch a"), 5);
	assert_int_equal(lines(err), 1);
	assert_int_equal(sh("$Q watch a >/dev/full"), 1);
	assert_int_equal(sh("$Q watch"), 2);
}

static void
test_reject(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q reject a"), 0);
	assert_string_equal(out, "changed\tqapi://secrets/a\n");
	assert_int_equal(sh("$Q reject old"), 1);
	assert_string_equal(out, "unchanged\tqapi://secrets/old\n");
	assert_string_equal(err, "");
	assert_int_equal(sh("$Q reject none"), 3);
	assert_int_equal(sh("$Q reject de"), 4);
	assert_string_equal(out, "");
	assert_int_equal(lines(err), 1);
	assert_int_equal(sh("$Q reject"), 2);
	assert_int_equal(sh("$Q reject a b"), 2);
	assert_int_equal(sh("$Q reject a >/dev/full"), 1);
}

static void
test_explain(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q explain --json a"), 0);
	assert_string_equal(out, "{\"ref\":\"qapi://secrets/a\",\"allowed\":"
	    "true,\"rule\":\"web\",\"cached\":true,\"freshness\":\"stale\","
	    "\"ageSeconds\":400,\"nextRefreshSeconds\":9,\"expiresAt\":"
	    "\"2026-05-08T12:00:00Z\",\"lastError\":\"upstream-unavailable\""
	    "}\n");
	assert_int_equal(sh("$Q explain a --as nobody --json"), 0);
	assert_string_equal(out, "{\"ref\":\"qapi://secrets/a\",\"allowed\":"
	    "false,\"rule\":null,\"cached\":false,\"freshness\":null,"
	    "\"ageSeconds\":null,\"nextRefreshSeconds\":null,\"expiresAt\":"
	    "null,\"lastError\":null}\n");
	assert_int_equal(sh("$Q explain a"), 0);
	assert_string_equal(out,
	    "reference     qapi://secrets/a\n"
	    "name          a name\n"
	    "id            sec_1\n"
	    "allowed       yes\n"
	    "rule          web\n"
	    "why           rule \"web\" lets user me read it\n"
	    "cached        yes, stale, 6m40s old\n"
	    "next refresh  9s\n"
	    "expires       2026-05-08T12:00:00Z\n"
	    "last error    upstream-unavailable\n"
	    "              connection refused\n");
	assert_int_equal(sh("$Q explain --as nobody a"), 0);
	assert_non_null(strstr(out, "allowed       no\nrule          -\n"
				    "why           no rule matches\n"
				    "cached        no\n"));
	assert_int_equal(sh("$Q explain de"), 4);
	assert_int_equal(sh("$Q explain de --json"), 4);
	assert_non_null(strstr(err, "\"error\":\"denied\""));
	assert_int_equal(sh("$Q explain"), 2);
	assert_int_equal(sh("$Q explain a b"), 2);
	assert_int_equal(sh("$Q explain a --as ''"), 2);
	assert_int_equal(sh("$Q explain a --sa x"), 2);
	assert_non_null(strstr(err, "did you mean --as?"));
}

static void
test_drill(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q drill offline 1s"), 0);
	assert_string_equal(out,
	    "The drill lasted 1s. References asked for: 5, failed: 1.\n"
	    "\nReferences that failed:\n"
	    "  upstream-unavailable         3  qapi://secrets/b\n"
	    "\nReferences served all the same:\n"
	    "  stale                       40  qapi://secrets/a\n"
	    "\nWhat was cached, and when it becomes unusable after the "
	    "service goes away:\n"
	    "  1d (max-stale)        secret  a\n"
	    "  never                 key     sign\\x1b[0m\n");
	assert_string_equal(err, "");
	assert_int_equal(sh("$Q drill --json offline 1s"), 0);
	assert_string_equal(out, "{\"elapsedSeconds\":1,\"asked\":5,"
	    "\"failed\":1,\"references\":[{\"ref\":\"qapi://secrets/a\","
	    "\"freshness\":\"stale\",\"error\":null,\"times\":40},"
	    "{\"ref\":\"qapi://secrets/b\",\"freshness\":null,\"error\":"
	    "\"upstream-unavailable\",\"times\":3}],\"values\":[{\"kind\":"
	    "\"secret\",\"id\":\"s-1\",\"name\":\"a\",\"unusableInSeconds\":"
	    "86400,\"limit\":\"max-stale\"},{\"kind\":\"key\",\"id\":\"k-1\","
	    "\"name\":\"sign\\u001b[0m\",\"unusableInSeconds\":null,"
	    "\"limit\":null}]}\n");
	assert_int_equal(sh("$Q drill"), 2);
	assert_int_equal(sh("$Q drill offline"), 2);
	assert_int_equal(sh("$Q drill online 1s"), 2);
	assert_int_equal(sh("$Q drill offline 1x"), 2);
	assert_int_equal(sh("$Q drill offline 0"), 2);
	assert_int_equal(sh("$Q drill offline 2d"), 2);
	assert_int_equal(lines(err), 1);
	assert_int_equal(sh("$Q --socket /nonexistent/s drill offline 1s"), 5);
}

/* A signal ends it early, with the report all the same. */
static void
test_drill_interrupted(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		(void)snprintf(out, sizeof(out), "%s/out", dir);
		if (freopen(out, "w", stdout) == NULL)
			_exit(99);
		(void)execl(QAPI_AGENT, "qapi-agent", "--socket",
		    fake_path(fake), "drill", "offline", "1h", (char *)NULL);
		_exit(99);
	}
	/* once signals are blocked they are waited for, and none is lost */
	while (!blocks_signal(pid, SIGINT))
		(void)usleep(1000);
	assert_int_equal(kill(pid, SIGINT), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	(void)slurp("out", out);
	assert_non_null(strstr(out, "The drill lasted 2s."));
}

static void
test_metrics(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q metrics"), 0);
	assert_string_equal(out, "a_total 1\n# EOF\n");
	assert_int_equal(sh("$Q metrics --names"), 0);
	assert_string_equal(out, "a_total{name=\"x\"} 1\n# EOF\n");
	assert_int_equal(sh("$Q metrics x"), 2);
	assert_int_equal(sh("$Q metrics >/dev/full"), 1);
	assert_int_equal(sh("$Q --socket /nonexistent/s metrics"), 5);
}

static const char top_picture[] =
    "qapi-agentd 0.1.0, pid 42, up 1h30m, clients -\n"
    "service: ok, breaker -, last success - ago\n"
    "cache: 7 secrets, - keys, - of -; hits -, misses -, stale -\n"
    "\n"
    "FRESHNESS  AGE        EXPIRES       KIND    NAME\n"
    "stale      1m1s       -             secret  db/password\n"
    "-          -          -             key     sign\\x09me\\x1b[0m\n";

static void
test_top_once(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q top"), 0);
	assert_string_equal(out, top_picture);
	assert_int_equal(sh("$Q top --once --delay 1s"), 0);
	assert_string_equal(out, top_picture);
	assert_int_equal(sh("$Q top x"), 2);
	assert_int_equal(sh("$Q top --delay 0"), 2);
	assert_int_equal(sh("$Q top --delay 2h"), 2);
	assert_int_equal(sh("$Q --socket /nonexistent/s top"), 5);
}

static void
test_run_environment(void **state)
{
	(void)state;
	spit("env", "# comment\nexport A=qapi://secrets/a\nLIT='a b'\n"
		    "OVER=qapi://secrets/none\n");
	assert_int_equal(sh("INH=qapi://secrets/b A=old OVER=x "
			    "$Q run --env-file env --env OVER=a -- sh -c "
			    "'printf \"%s|%s|%s|%s\" \"$A\" \"$LIT\" \"$OVER\" "
			    "\"$INH\"'"), 0);
	assert_string_equal(out, "alpha|a b|alpha|beta\n");
	assert_int_equal(sh("$Q run --env X=a --env X=b -- sh -c "
			    "'printf %s \"$X\"; exit 42'"), 42);
	assert_string_equal(out, "beta\n");
	/* no descriptor of ours, no parent, no core limit is left */
	assert_int_equal(sh("echo $$; ulimit -S -c; exec $Q run --env X=a -- "
			    "sh -c 'echo $$; ulimit -S -c; ls /proc/$$/fd | "
			    "wc -l'"), 0);
	{
		int before, after;
		char c1[32], c2[32];

		assert_int_equal(sscanf(out, "%d %31s %d %31s", &before, c1,
				     &after, c2), 4);
		assert_int_equal(before, after);
		assert_string_equal(c1, c2);
		assert_null(strstr(out, "\n4\n"));
	}
}

static void
test_run_memory_file(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q run --file F=nul --file G=b -- sh -c '"
			    "stat -L -c %a $F; wc -c <$F; cat $G; "
			    "{ echo x >>$F; } 2>/dev/null; echo $?; "
			    "case $F in /proc/self/fd/*) echo ok;; esac'"),
	    0);
	assert_non_null(strstr(out, "400\n3\nbeta\n"));
	assert_non_null(strstr(out, "ok\n"));
	assert_null(strstr(out, "\n0\nok"));
}

static void
test_run_failures(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q run --env A=none --env B=de --env C=a -- "
			    "echo started"), 125);
	assert_string_equal(out, "");
	assert_int_equal(lines(err), 2);
	assert_int_equal(sh("$Q run --env A=nul -- echo started"), 125);
	assert_non_null(strstr(err, "NUL byte"));
	assert_int_equal(sh("$Q run --env A=a -- /no/such/program"), 127);
	assert_int_equal(sh("$Q run -- /etc/passwd"), 126);
	assert_int_equal(sh("$Q --socket /nonexistent/s run --env A=a -- "
			    "echo started"), 125);
	assert_int_equal(sh("$Q --socket /nonexistent/s run -- echo started"),
	    0);
	assert_int_equal(sh("$Q run --env-file none -- echo started"), 125);
	spit("bad", "A=1\nB\n");
	assert_int_equal(sh("$Q run --env-file bad -- echo started"), 125);
	assert_non_null(strstr(err, "qapi-agent: bad:2: no = after the name"));
}

/* The value is in the program's environment, and nowhere before it. */
static void
test_run_value_is_not_in_own_environ(void **state)
{
	(void)state;
	assert_int_equal(sh("A=qapi://secrets/a $Q run -- sh -c "
			    "'tr \"\\0\" \"\\n\" </proc/$$/environ | "
			    "grep ^A='"), 0);
	assert_string_equal(out, "A=alpha\n");
}

static void
test_closed_std_descriptors(void **state)
{
	(void)state;
	assert_int_equal(sh("$Q run --file F=a -- sh -c 'cat $F >&2' <&- "
			    ">&-"), 0);
	assert_string_equal(err, "alpha");
}

/* --- on a terminal ------------------------------------------------------- */

/* A command with a terminal for itself, of rows rows. */
struct term {
	pid_t pid;
	int fd;			/* our end */
	char seen[OUT_MAX];	/* what it has written so far */
	size_t len;
};

static void
term_start(struct term *t, unsigned short rows, const char *const *argv)
{
	struct winsize size = {.ws_row = rows, .ws_col = 100};

	memset(t, 0, sizeof(*t));
	t->pid = forkpty(&t->fd, NULL, NULL, &size);
	assert_int_not_equal(t->pid, -1);
	if (t->pid == 0) {
		(void)setenv("QAPI_AGENT_SOCK", fake_path(fake), 1);
		(void)execv(QAPI_AGENT, (char *const *)(uintptr_t)argv);
		_exit(99);
	}
}

/* Read until text has come after what was seen up to from. */
static size_t
term_expect(struct term *t, size_t from, const char *text)
{
	struct pollfd pfd = {.fd = t->fd, .events = POLLIN};
	const char *found;
	ssize_t n;

	while ((found = strstr(t->seen + from, text)) == NULL) {
		if (poll(&pfd, 1, 10000) <= 0 || t->len + 1 >= OUT_MAX)
			fail_msg("no %s in: %s", text, t->seen + from);
		n = read(t->fd, t->seen + t->len, OUT_MAX - t->len - 1);
		if (n <= 0)
			fail_msg("ended without %s: %s", text,
			    t->seen + from);
		t->len += (size_t)n;
		t->seen[t->len] = '\0';
	}
	return (size_t)(found - t->seen) + strlen(text);
}

static int
term_wait(struct term *t)
{
	int status;

	/* what it writes to its end, so that it does not wait for us */
	while (t->len + 1 < OUT_MAX) {
		ssize_t n = read(t->fd, t->seen + t->len,
		    OUT_MAX - t->len - 1);

		if (n <= 0)
			break;
		t->len += (size_t)n;
	}
	t->seen[t->len] = '\0';
	assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
	assert_true(WIFEXITED(status));
	(void)close(t->fd);
	return WEXITSTATUS(status);
}

static bool
term_echoes(const struct term *t)
{
	struct termios settings;

	assert_int_equal(tcgetattr(t->fd, &settings), 0);
	return (settings.c_lflag & (ECHO | ICANON)) == (ECHO | ICANON);
}

static void
test_top_on_a_terminal(void **state)
{
	static const char *const argv[] = {"qapi-agent", "top", "-d", "100ms",
	    NULL};
	static struct term t;
	struct winsize small = {.ws_row = 6, .ws_col = 40};
	size_t at;
	int status;

	(void)state;
	term_start(&t, 24, argv);
	/* another screen, and the whole picture */
	at = term_expect(&t, 0, "\033[?1049h");
	at = term_expect(&t, at, "db/password");
	at = term_expect(&t, at, "sign\\x09me\\x1b[0m\033[K");
	assert_false(term_echoes(&t));
	/* again and again */
	at = term_expect(&t, at, "db/password");
	/* a smaller window has less of it */
	assert_int_equal(ioctl(t.fd, TIOCSWINSZ, &small), 0);
	at = term_expect(&t, at, "and 2 more");
	/* stopped, the terminal is as it was; and back */
	assert_int_equal(write(t.fd, "\032", 1), 1);
	assert_int_equal(waitpid(t.pid, &status, WUNTRACED), t.pid);
	assert_true(WIFSTOPPED(status));
	at = term_expect(&t, at, "\033[?1049l");
	assert_true(term_echoes(&t));
	assert_int_equal(kill(t.pid, SIGCONT), 0);
	at = term_expect(&t, at, "\033[?1049h");
	at = term_expect(&t, at, "and 2 more");
	assert_int_equal(write(t.fd, "q", 1), 1);
	at = term_expect(&t, at, "\033[?1049l");
	assert_int_equal(term_wait(&t), 0);
}

/* STATUS and LIST, and no more. */
static void
script_one_picture(struct fake_conn *c)
{
	c->frames_max = 2;
	fake_serve_table(c);
}

/* An agent that goes away is nothing to end for; a signal is. */
static void
test_top_is_interrupted(void **state)
{
	struct fake *f = fake_start(script_one_picture,
	    (void *)(uintptr_t)table);
	const char *const argv[] = {"qapi-agent", "--socket", fake_path(f),
	    "top", "--delay", "100ms", NULL};
	static struct term t;
	size_t at;

	(void)state;
	term_start(&t, 24, argv);
	at = term_expect(&t, 0, "db/password");
	assert_int_equal(unlink(fake_path(f)), 0);
	at = term_expect(&t, at, fake_path(f));
	at = term_expect(&t, at, "trying again");
	assert_int_equal(write(t.fd, "\003", 1), 1);
	at = term_expect(&t, at, "\033[?1049l");
	assert_int_equal(term_wait(&t), 0);
	assert_null(strstr(t.seen + at, "\033[?1049h"));
	fake_stop(&f);
}

/* STATUS is for everybody, LIST is not. */
static void
script_no_list(struct fake_conn *c)
{
	struct frame f;

	c->frames_max = 1;
	fake_serve_table(c);
	c->frames_max = 0;
	if (fake_read(c, &f))
		fake_send_error(c, f.id, ERR_DENIED, "no rule\tallows it");
	fake_drain(c);
}

static void
test_top_without_a_list(void **state)
{
	struct fake *f = fake_start(script_no_list,
	    (void *)(uintptr_t)table);
	char line[128];

	(void)state;
	(void)snprintf(line, sizeof(line), "$Q --socket %s top", fake_path(f));
	assert_int_equal(sh(line), 0);
	assert_non_null(strstr(out, "\n\nno list: no rule\\x09allows it\n"));
	fake_stop(&f);
}

static void
test_top_without_an_agent(void **state)
{
	static const char *const argv[] = {"qapi-agent", "--socket",
	    "/nonexistent/s", "top", NULL};
	static struct term t;

	(void)state;
	term_start(&t, 24, argv);
	assert_int_equal(term_wait(&t), 5);
	assert_null(strstr(t.seen, "\033[?1049h"));
}

static void
test_drill_on_a_terminal(void **state)
{
	static const char *const argv[] = {"qapi-agent", "drill", "offline",
	    "1h", NULL};
	static struct term t;
	size_t at;

	(void)state;
	term_start(&t, 24, argv);
	at = term_expect(&t, 0, "drill: 0s of 1h, Ctrl-C ends it");
	assert_int_equal(write(t.fd, "\003", 1), 1);
	/* the line is gone before the report */
	at = term_expect(&t, at, "\r\033[KThe drill lasted 2s.");
	assert_int_equal(term_wait(&t), 0);
}

static int
setup(void **state)
{
	(void)state;
	return command_setup(table);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_get_partial_failure),
		cmocka_unit_test(test_get_json),
		cmocka_unit_test(test_get_output_file),
		cmocka_unit_test(test_exit_statuses),
		cmocka_unit_test(test_errors_are_one_safe_line),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_status_and_ping),
		cmocka_unit_test(test_refresh_and_purge),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_reject),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_drill),
		cmocka_unit_test(test_drill_interrupted),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_top_once),
		cmocka_unit_test(test_top_on_a_terminal),
		cmocka_unit_test(test_top_is_interrupted),
		cmocka_unit_test(test_top_without_a_list),
		cmocka_unit_test(test_top_without_an_agent),
		cmocka_unit_test(test_drill_on_a_terminal),
		cmocka_unit_test(test_run_environment),
		cmocka_unit_test(test_run_memory_file),
		cmocka_unit_test(test_run_failures),
		cmocka_unit_test(test_run_value_is_not_in_own_environ),
		cmocka_unit_test(test_closed_std_descriptors),
	};

	return cmocka_run_group_tests(tests, setup, command_teardown);
}
