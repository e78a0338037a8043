#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "err.h"
#include "errors.h"
#include "json.h"
#include "out.h"
#include "screen.h"
#include "units.h"

#define TURN_MS 200		/* between looks at signals and the clock */
#define COLUMN 22

/* --- the report ---------------------------------------------------------- */

static const char *
read_outcome(const struct qapi_agent_drill *drill, size_t i)
{
	int error = qapi_agent_drill_read_error(drill, i);

	return error != 0 ? err_name(error)
	    : qapi_agent_freshness_name(
		  qapi_agent_drill_read_freshness(drill, i));
}

static void
put_json_reads(struct json *j, const struct qapi_agent_drill *drill)
{
	int error;
	size_t i;

	json_open_list(j, "references");
	for (i = 0; i < qapi_agent_drill_reads(drill); i++) {
		error = qapi_agent_drill_read_error(drill, i);
		json_open(j, NULL);
		json_text(j, "ref", qapi_agent_drill_read_ref(drill, i));
		json_text(j, "freshness", error != 0
		    ? NULL : read_outcome(drill, i));
		json_text(j, "error", error != 0 ? err_name(error) : NULL);
		json_uint(j, "times", qapi_agent_drill_read_times(drill, i));
		json_close(j);
	}
	json_close_list(j);
}

static const char *
kind_name(const struct qapi_agent_item *item)
{
	return qapi_agent_item_kind(item) == QAPI_AGENT_KIND_KEY ? "key"
								 : "secret";
}

static void
put_json_values(struct json *j, const struct qapi_agent_drill *drill)
{
	const struct qapi_agent_item *item;
	const char *limit;
	uint64_t in_ms;
	size_t i;

	json_open_list(j, "values");
	for (i = 0; i < qapi_agent_drill_values(drill); i++) {
		item = qapi_agent_drill_value(drill, i);
		in_ms = qapi_agent_drill_value_unusable_in_ms(drill, i);
		limit = qapi_agent_limit_name(
		    qapi_agent_drill_value_limit(drill, i));
		json_open(j, NULL);
		json_text(j, "kind", kind_name(item));
		json_text(j, "id", qapi_agent_item_id(item));
		json_text(j, "name", qapi_agent_item_name(item));
		if (in_ms == QAPI_AGENT_NEVER)
			json_null(j, "unusableInSeconds");
		else
			json_uint(j, "unusableInSeconds", in_ms / 1000);
		json_text(j, "limit", *limit == '\0' ? NULL : limit);
		json_close(j);
	}
	json_close_list(j);
}

static void
put_json(struct out *o, const struct qapi_agent_drill *drill)
{
	struct json j;

	json_init(&j, o);
	json_open(&j, NULL);
	json_uint(&j, "elapsedSeconds",
	    qapi_agent_drill_elapsed_ms(drill) / 1000);
	json_uint(&j, "asked", qapi_agent_drill_count(drill));
	json_uint(&j, "failed", qapi_agent_drill_failed(drill));
	put_json_reads(&j, drill);
	put_json_values(&j, drill);
	json_close(&j);
	out_char(o, '\n');
}

/* Those that failed, or those that were served otherwise than fresh. */
static void
put_reads(struct out *o, const struct qapi_agent_drill *drill, bool failed,
    const char *title)
{
	size_t i, start;
	bool any = false;

	for (i = 0; i < qapi_agent_drill_reads(drill); i++) {
		if ((qapi_agent_drill_read_error(drill, i) != 0) != failed)
			continue;
		if (!any)
			out_fmt(o, "\n%s:\n", title);
		any = true;
		start = o->len;
		out_fmt(o, "  %s", read_outcome(drill, i));
		out_pad(o, COLUMN - (long)(o->len - start));
		out_fmt(o, "  %8" PRIu64 "  ",
		    qapi_agent_drill_read_times(drill, i));
		out_printable(o, qapi_agent_drill_read_ref(drill, i));
		out_char(o, '\n');
	}
	if (!any)
		out_fmt(o, "\n%s: none\n", title);
}

static void
put_values(struct out *o, const struct qapi_agent_drill *drill)
{
	const struct qapi_agent_item *item;
	const char *limit;
	char in[UNITS_DURATION_LEN];
	uint64_t in_ms;
	size_t i, start;

	out_text(o, "\nWhat was cached, and when it becomes unusable after "
		    "the service goes away:\n");
	for (i = 0; i < qapi_agent_drill_values(drill); i++) {
		item = qapi_agent_drill_value(drill, i);
		in_ms = qapi_agent_drill_value_unusable_in_ms(drill, i);
		limit = qapi_agent_limit_name(
		    qapi_agent_drill_value_limit(drill, i));
		start = o->len;
		out_fmt(o, "  %s", in_ms == QAPI_AGENT_NEVER
		    ? "never" : cli_age(in_ms, in));
		if (*limit != '\0')
			out_fmt(o, " (%s)", limit);
		out_pad(o, COLUMN - (long)(o->len - start));
		out_fmt(o, "  %-6s  ", kind_name(item));
		out_printable(o, qapi_agent_item_name(item));
		out_char(o, '\n');
	}
	if (i == 0)
		out_text(o, "  nothing\n");
}

static int
report(const struct cli *cli, const struct qapi_agent_drill *drill)
{
	char took[UNITS_DURATION_LEN];
	struct out o;
	int status;

	out_init(&o);
	if (cli->json) {
		put_json(&o, drill);
	} else {
		out_fmt(&o, "The drill lasted %s. References asked for: "
		    "%" PRIu64 ", failed: %" PRIu64 ".\n",
		    cli_age(qapi_agent_drill_elapsed_ms(drill), took),
		    qapi_agent_drill_count(drill),
		    qapi_agent_drill_failed(drill));
		put_reads(&o, drill, true, "References that failed");
		put_reads(&o, drill, false, "References served all the same");
		put_values(&o, drill);
	}
	status = cli_print(cli, &o, STATUS_DONE);
	out_done(&o);
	return status;
}

/* --- the wait ------------------------------------------------------------ */

/* On one line of a terminal; the last call wipes it out. */
static void
progress(uint64_t passed_ms, uint64_t duration_ms, bool over)
{
	char a[UNITS_DURATION_LEN], b[UNITS_DURATION_LEN];
	struct out o;

	if (!isatty(STDERR_FILENO))
		return;
	out_init(&o);
	out_text(&o, "\r");
	if (!over)
		out_fmt(&o, "drill: %s of %s, Ctrl-C ends it",
		    cli_age(passed_ms, a), cli_age(duration_ms, b));
	out_text(&o, "\033[K");
	(void)out_write(&o, STDERR_FILENO);
	out_done(&o);
}

/* Until its end, which the first signal brings about.  The second is final. */
static int
wait_for_end(struct qapi_agent_drill *drill, uint64_t duration_ms,
    uint64_t timeout_ms, struct screen_signals *signals)
{
	const uint64_t start_ms = cli_now_ms();
	uint64_t now_ms = start_ms, give_up_ms = UINT64_MAX;
	int r, signo;

	while ((r = qapi_agent_drill_wait(drill, TURN_MS)) ==
	    QAPI_AGENT_ERR_TIMEOUT) {
		now_ms = cli_now_ms();
		if (now_ms >= give_up_ms)
			return r;
		signo = screen_signals_wait(signals, 0);
		if (signo != 0 && give_up_ms != UINT64_MAX)
			return QAPI_AGENT_ERR_CLOSED;
		if (signo != 0) {
			qapi_agent_drill_end(drill);
			give_up_ms = timeout_ms == 0 ? UINT64_MAX - 1
						     : now_ms + timeout_ms;
		}
		progress(now_ms - start_ms, duration_ms, false);
	}
	progress(0, 0, true);
	return r;
}

static int
drill_offline(struct cli *cli, uint64_t duration_ms)
{
	struct screen_signals signals = {.fd = -1};
	struct qapi_agent_drill *drill = NULL;
	int r;

	if ((r = cli_connect(cli)) != 0)
		return r;
	(void)harden_unlock(&cli->harden);
	if (screen_signals_init(&signals, false) == -1)
		return errors_say(cli->json, NULL, "cannot wait for signals: "
		    "%s", strerror(errno));
	r = qapi_agent_drill_offline(cli->agent, duration_ms, &drill);
	if (r != 0) {
		r = cli_failed(cli, r, NULL, 0);
		goto out;
	}
	r = wait_for_end(drill, duration_ms, cli->timeout_ms, &signals);
	if (r == 0)
		r = report(cli, drill);
	else if (r == QAPI_AGENT_ERR_TIMEOUT || r == QAPI_AGENT_ERR_CLOSED)
		r = errors_report(cli->json, NULL, r,
		    "the drill has ended without a report: the agent may "
		    "have been restarted, see its log");
	else
		r = errors_report(cli->json, NULL, r,
		    qapi_agent_drill_message(drill));
out:
	qapi_agent_drill_free(&drill);
	screen_signals_done(&signals);
	return r;
}

int
cmd_drill(struct cli *cli, int argc, char **argv)
{
	const struct option_spec own[] = {
		{'\0', "json", OPTION_FLAG, &cli->json, NULL,
		    "the report as a JSON object, errors too"},
	};
	struct option_list operands = {NULL, 0};
	uint64_t duration_ms = 0;
	int status;

	if (!cli_options(cli, own, 1, argc, argv, &operands, &status))
		goto out;
	if (operands.count != 2 || strcmp(operands.v[0], "offline") != 0)
		status = cli_usage(cli, "%.100s: no such drill: write offline "
		    "and how long, as in: drill offline 10m",
		    operands.count == 0 ? "nothing" : operands.v[0]);
	else if (units_parse_duration(operands.v[1], &duration_ms) != 0 ||
	    duration_ms == 0)
		status = cli_usage(cli, "%.100s: not a duration: write one "
		    "like 90s, 10m or 1h30m", operands.v[1]);
	else
		status = drill_offline(cli, duration_ms);
out:
	options_list_free(&operands);
	return status;
}
