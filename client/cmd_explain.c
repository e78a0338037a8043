#include "config.h"

#include "cli.h"
#include "err.h"
#include "errors.h"
#include "json.h"
#include "out.h"
#include "units.h"

#define VALUE_COLUMN 14

static void
put_json(struct out *o, const char *ref,
    const struct qapi_agent_explanation *e)
{
	const struct qapi_agent_item *item = qapi_agent_explanation_item(e);
	enum qapi_agent_freshness freshness = qapi_agent_item_freshness(item);
	uint64_t next_ms = qapi_agent_explanation_next_refresh_ms(e);
	int error = qapi_agent_explanation_last_error(e);
	struct json j;

	json_init(&j, o);
	json_open(&j, NULL);
	json_text(&j, "ref", ref);
	json_bool(&j, "allowed", qapi_agent_explanation_allowed(e));
	json_text(&j, "rule", qapi_agent_explanation_rule(e));
	json_bool(&j, "cached", qapi_agent_explanation_cached(e));
	if (freshness == QAPI_AGENT_FRESHNESS_NONE) {
		json_null(&j, "freshness");
		json_null(&j, "ageSeconds");
	} else {
		json_text(&j, "freshness",
		    qapi_agent_freshness_name(freshness));
		json_uint(&j, "ageSeconds",
		    qapi_agent_item_age_ms(item) / 1000);
	}
	if (next_ms == QAPI_AGENT_NEVER)
		json_null(&j, "nextRefreshSeconds");
	else
		json_uint(&j, "nextRefreshSeconds", next_ms / 1000);
	json_time(&j, "expiresAt", qapi_agent_item_expires_at_ms(item));
	json_text(&j, "lastError", error == 0 ? NULL : err_name(error));
	json_close(&j);
	out_char(o, '\n');
}

/* One line; without a text a dash. */
static void
put_line(struct out *o, const char *name, const char *text)
{
	size_t start = o->len;

	out_text(o, name);
	out_pad(o, VALUE_COLUMN - (long)(o->len - start));
	out_printable(o, text != NULL && *text != '\0' ? text : "-");
	out_char(o, '\n');
}

static void
put_cached(struct out *o, const struct qapi_agent_explanation *e)
{
	const struct qapi_agent_item *item = qapi_agent_explanation_item(e);
	char age[UNITS_DURATION_LEN];

	out_text(o, "cached");
	out_pad(o, VALUE_COLUMN - (long)sizeof("cached") + 1);
	if (!qapi_agent_explanation_cached(e)) {
		out_text(o, "no\n");
		return;
	}
	out_text(o, "yes");
	if (*qapi_agent_freshness_name(qapi_agent_item_freshness(item)) != '\0')
		out_fmt(o, ", %s, %s old", qapi_agent_freshness_name(
		    qapi_agent_item_freshness(item)),
		    cli_age(qapi_agent_item_age_ms(item), age));
	out_char(o, '\n');
}

static void
put_text(struct out *o, const char *ref, const struct qapi_agent_explanation *e)
{
	const struct qapi_agent_item *item = qapi_agent_explanation_item(e);
	uint64_t next_ms = qapi_agent_explanation_next_refresh_ms(e);
	int64_t expires_at = qapi_agent_item_expires_at_ms(item);
	int error = qapi_agent_explanation_last_error(e);
	char in[UNITS_DURATION_LEN], when[UNITS_TIME_LEN];

	put_line(o, "reference", ref);
	put_line(o, "name", qapi_agent_item_name(item));
	put_line(o, "id", qapi_agent_item_id(item));
	put_line(o, "allowed", qapi_agent_explanation_allowed(e) ? "yes"
								 : "no");
	put_line(o, "rule", qapi_agent_explanation_rule(e));
	put_line(o, "why", qapi_agent_explanation_why(e));
	put_cached(o, e);
	put_line(o, "next refresh", next_ms == QAPI_AGENT_NEVER
	    ? NULL : next_ms == 0 ? "due" : cli_age(next_ms, in));
	put_line(o, "expires", expires_at == QAPI_AGENT_NO_TIME
	    ? NULL : units_format_time(expires_at, when));
	put_line(o, "last error", error == 0 ? NULL : err_name(error));
	if (*qapi_agent_explanation_last_message(e) != '\0')
		put_line(o, "", qapi_agent_explanation_last_message(e));
}

static int
explain(struct cli *cli, char **refs, const char *as)
{
	struct qapi_agent_explanation *e = NULL;
	struct out o;
	int r;

	if ((r = cli_connect(cli)) != 0)
		return r;
	if ((r = qapi_agent_explain(cli->agent, refs[0], as, &e)) != 0)
		return cli_failed(cli, r, refs, 1);
	out_init(&o);
	if (cli->json)
		put_json(&o, refs[0], e);
	else
		put_text(&o, refs[0], e);
	r = cli_print(cli, &o, STATUS_DONE);
	out_done(&o);
	qapi_agent_explanation_free(&e);
	return r;
}

int
cmd_explain(struct cli *cli, int argc, char **argv)
{
	const char *as = NULL;
	const struct option_spec own[] = {
		{'\0', "as", OPTION_TEXT, &as, "WHO",
		    "for this user or unit, not for yourself"},
		{'\0', "json", OPTION_FLAG, &cli->json, NULL,
		    "one JSON object, errors too"},
	};
	struct option_list operands = {NULL, 0};
	char **refs = NULL;
	int status;

	if (!cli_options(cli, own, 2, argc, argv, &operands, &status))
		goto out;
	if (operands.count != 1)
		status = cli_usage(cli, "%s: write one reference",
		    operands.count == 0 ? "no reference"
					: "more than one reference");
	else if ((status = cli_refs(cli, &operands, NULL, NULL,
		&refs)) == 0)
		status = explain(cli, refs, as);
out:
	cli_refs_free(&refs, operands.count);
	options_list_free(&operands);
	return status;
}
