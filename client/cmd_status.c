#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "err.h"
#include "errors.h"
#include "json.h"
#include "out.h"

#define VALUE_COLUMN 24

/* Names are dotted paths; both forms of output nest them. */
struct tree {
	const struct qapi_agent_stats *stats;
	bool *shown;		/* owned; figure i has been put out */
	struct out *out;
	struct json *json;	/* NULL: text for people */
};

static void
put_json(struct tree *t, const char *key, size_t i)
{
	switch (qapi_agent_stats_type(t->stats, i)) {
	case QAPI_AGENT_STAT_UINT:
		json_uint(t->json, key, qapi_agent_stats_uint(t->stats, i));
		break;
	case QAPI_AGENT_STAT_TEXT:
		json_text(t->json, key, qapi_agent_stats_text(t->stats, i));
		break;
	case QAPI_AGENT_STAT_NULL:
		json_null(t->json, key);
		break;
	}
}

static bool
ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && strcmp(text + len - n, end) == 0;
}

static void
put_text(struct tree *t, const char *key, unsigned int depth, size_t i)
{
	uint64_t n = qapi_agent_stats_uint(t->stats, i);
	const char *text = qapi_agent_stats_text(t->stats, i);
	enum qapi_agent_stat_type type = qapi_agent_stats_type(t->stats, i);
	char age[UNITS_DURATION_LEN];
	size_t start = t->out->len;

	out_pad(t->out, 2 * (long)depth);
	out_printable(t->out, key);
	out_pad(t->out, VALUE_COLUMN - (long)(t->out->len - start));
	out_char(t->out, ' ');
	if (type == QAPI_AGENT_STAT_TEXT)
		out_printable(t->out, text);
	else if (type == QAPI_AGENT_STAT_NULL)
		out_text(t->out, "-");
	else if (ends_in(key, "Seconds") && n < UINT64_MAX / 1000)
		out_fmt(t->out, "%" PRIu64 " (%s)", n, cli_age(n * 1000, age));
	else
		out_fmt(t->out, "%" PRIu64, n);
	out_char(t->out, '\n');
}

/*
 * Everything below prefix (of len bytes, ending in a dot unless empty).  A
 * group is opened where its first figure stands, and holds all of them.
 */
static void
put_group(struct tree *t, const char *prefix, size_t len, unsigned int depth)
{
	const char *name, *key, *dot;
	char group[129];	/* no name is longer */
	size_t i, n;

	for (i = 0; i < qapi_agent_stats_count(t->stats); i++) {
		name = qapi_agent_stats_name(t->stats, i);
		if (t->shown[i] || strncmp(name, prefix, len) != 0)
			continue;
		key = name + len;
		dot = strchr(key, '.');
		if (dot == NULL || dot == key || dot[1] == '\0') {
			t->shown[i] = true;
			if (t->json != NULL)
				put_json(t, key, i);
			else
				put_text(t, key, depth, i);
			continue;
		}
		n = (size_t)(dot - key);
		memcpy(group, key, n);
		group[n] = '\0';
		if (t->json != NULL) {
			json_open(t->json, group);
		} else {
			out_pad(t->out, 2 * (long)depth);
			out_printable(t->out, group);
			out_char(t->out, '\n');
		}
		put_group(t, name, len + n + 1, depth + 1);
		if (t->json != NULL)
			json_close(t->json);
	}
}

static int
print(const struct cli *cli, const struct qapi_agent_stats *stats)
{
	struct json j;
	struct out o;
	struct tree t = {.stats = stats, .out = &o};
	int status = STATUS_DONE;

	t.shown = calloc(qapi_agent_stats_count(stats) + 1, sizeof(bool));
	if (t.shown == NULL)
		return errors_report(cli->json, NULL, ERR_NOMEM, NULL);
	out_init(&o);
	json_init(&j, &o);
	if (cli->json) {
		t.json = &j;
		json_open(&j, NULL);
	}
	put_group(&t, "", 0, 0);
	if (cli->json) {
		json_close(&j);
		out_char(&o, '\n');
	}
	if (out_write(&o, STDOUT_FILENO) == -1)
		status = errors_say(cli->json, NULL, "cannot write to standard "
		    "output: %s", strerror(errno));
	out_done(&o);
	free(t.shown);
	return status;
}

static int
status_of_agent(struct cli *cli)
{
	struct qapi_agent_stats *stats = NULL;
	int r;

	if ((r = cli_connect(cli)) != 0)
		return r;
	if ((r = qapi_agent_status(cli->agent, &stats)) != 0)
		return cli_failed(cli, r, NULL, 0);
	r = print(cli, stats);
	qapi_agent_stats_free(&stats);
	return r;
}

int
cmd_status(struct cli *cli, int argc, char **argv)
{
	const struct option_spec own[] = {
		{'\0', "json", OPTION_FLAG, &cli->json, NULL,
		    "one JSON object, errors too"},
	};
	struct option_list operands = {NULL, 0};
	int status;

	if (cli_options(cli, own, 1, argc, argv, &operands, &status)) {
		if (operands.count > 0)
			status = cli_usage(cli, "%.100s: status takes no "
			    "operand: leave it out", operands.v[0]);
		else
			status = status_of_agent(cli);
	}
	options_list_free(&operands);
	return status;
}
