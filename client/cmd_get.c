#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "err.h"
#include "errors.h"
#include "json.h"
#include "out.h"
#include "outfile.h"

struct get {
	const char *field;
	const char *output;	/* NULL: standard output */
	uint64_t max_age_ms;
	bool fresh;
	bool offline;
	bool nul;		/* NUL in place of newline */
	struct outfile *file;	/* owned; with output */
};

static int
put(struct get *g, const void *p, size_t len)
{
	if (g->file != NULL)
		return outfile_write(g->file, p, len);
	return out_write_all(STDOUT_FILENO, p, len);
}

static int
put_json(struct get *g, const struct qapi_agent_item *item)
{
	const void *value;
	size_t len;
	struct json j;
	struct out o;
	int r;

	out_init(&o);
	json_init(&j, &o);
	json_open(&j, NULL);
	json_text(&j, "ref", qapi_agent_item_ref(item));
	json_text(&j, "id", qapi_agent_item_id(item));
	json_text(&j, "name", qapi_agent_item_name(item));
	if (qapi_agent_item_version(item) != 0)
		json_uint(&j, "version", qapi_agent_item_version(item));
	else
		json_null(&j, "version");
	value = qapi_agent_item_value(item, &len);
	json_value(&j, "value", "valueBase64", value, len);
	json_text(&j, "freshness",
	    qapi_agent_freshness_name(qapi_agent_item_freshness(item)));
	json_uint(&j, "ageSeconds", qapi_agent_item_age_ms(item) / 1000);
	json_time(&j, "updatedAt", qapi_agent_item_updated_at_ms(item));
	json_time(&j, "expiresAt", qapi_agent_item_expires_at_ms(item));
	json_close(&j);
	out_char(&o, '\n');
	if (o.failed)
		errno = ENOMEM;
	r = o.failed ? -1 : put(g, o.p, o.len);
	out_done(&o);
	return r;
}

/* alone: of the only reference, so that nothing needs to follow it. */
static int
put_value(struct get *g, const struct qapi_agent_item *item, bool alone)
{
	const void *value;
	size_t len;

	value = qapi_agent_item_value(item, &len);
	if (len > 0 && put(g, value, len) == -1)
		return -1;
	if (g->nul)
		return put(g, "", 1);
	if (!alone || (g->file == NULL && isatty(STDOUT_FILENO)))
		return put(g, "\n", 1);
	return 0;
}

static void
note_age(const struct cli *cli, const struct qapi_agent_item *item)
{
	enum qapi_agent_freshness freshness = qapi_agent_item_freshness(item);
	char buf[UNITS_DURATION_LEN];

	if (cli->json || freshness == QAPI_AGENT_FRESH ||
	    freshness == QAPI_AGENT_FRESHNESS_NONE)
		return;
	errors_note(qapi_agent_item_ref(item), "%s, %s old: %s",
	    qapi_agent_freshness_name(freshness),
	    cli_age(qapi_agent_item_age_ms(item), buf),
	    freshness == QAPI_AGENT_STALE
		? "the service could not be asked for a newer one"
		: "the service has no newer one");
}

/* Values in their order; returns -1 if they cannot be written. */
static int
put_all(struct cli *cli, struct get *g, const struct qapi_agent_items *items)
{
	const struct qapi_agent_item *item;
	size_t i, n = qapi_agent_items_count(items);
	int r = 0;

	for (i = 0; i < n && r == 0; i++) {
		item = qapi_agent_items_at(items, i);
		if (qapi_agent_item_error(item) != 0)
			continue;
		note_age(cli, item);
		r = cli->json ? put_json(g, item) : put_value(g, item, n == 1);
	}
	return r;
}

/* Say what failed.  Returns the status of the first failure. */
static int
report_all(const struct cli *cli, const struct qapi_agent_items *items)
{
	const struct qapi_agent_item *item;
	size_t i, n = qapi_agent_items_count(items);
	int status = STATUS_DONE, r;

	for (i = 0; i < n; i++) {
		item = qapi_agent_items_at(items, i);
		if (qapi_agent_item_error(item) == 0)
			continue;
		r = errors_report(cli->json, qapi_agent_item_ref(item),
		    qapi_agent_item_error(item),
		    qapi_agent_item_message(item));
		if (status == STATUS_DONE)
			status = r;
	}
	return status;
}

static int
fail_write(const struct cli *cli, const struct get *g)
{
	return errors_say(cli->json, g->output, "cannot write%s: %s",
	    g->output == NULL ? " to standard output" : "", strerror(errno));
}

static int
deliver(struct cli *cli, struct get *g, const struct qapi_agent_items *items)
{
	int status = report_all(cli, items);

	/* A file is whole or not there; a stream gets what there is. */
	if (g->output == NULL) {
		if (put_all(cli, g, items) == -1)
			return fail_write(cli, g);
		return status;
	}
	if (status != STATUS_DONE)
		return status;
	if (outfile_new(g->output, 0600, (uid_t)-1, (gid_t)-1, &g->file) ==
		-1 ||
	    put_all(cli, g, items) == -1 || outfile_commit(g->file) == -1)
		status = fail_write(cli, g);
	outfile_free(&g->file);
	return status;
}

static int
get(struct cli *cli, struct get *g, char **refs, size_t count)
{
	struct qapi_agent_terms *terms;
	struct qapi_agent_items *items = NULL;
	int r;

	if ((terms = cli_terms(cli)) == NULL)
		return STATUS_FAILED;
	if (g->max_age_ms != OPTIONS_NOT_GIVEN)
		qapi_agent_terms_set_max_age_ms(terms, g->max_age_ms);
	qapi_agent_terms_set_fresh(terms, g->fresh);
	qapi_agent_terms_set_only_if_cached(terms, g->offline);
	r = cli_get(cli, refs, count, terms, &items);
	qapi_agent_terms_free(&terms);
	if (r != 0)
		return cli_failed(cli, r, refs, count);
	r = deliver(cli, g, items);
	qapi_agent_items_free(&items);
	return r;
}

static int
check(const struct cli *cli, const struct get *g,
    const struct option_list *operands)
{
	if (operands->count == 0)
		return cli_usage(cli, "no reference: write qapi-agent get "
		    "REF, as in qapi://secrets/NAME");
	if (g->fresh && g->offline)
		return cli_usage(cli, "--fresh and --offline: contradict each "
		    "other: leave out one");
	return STATUS_DONE;
}

int
cmd_get(struct cli *cli, int argc, char **argv)
{
	struct get g = {.max_age_ms = OPTIONS_NOT_GIVEN};
	const struct option_spec own[] = {
		{'\0', "field", OPTION_TEXT, &g.field, "F",
		    "this field of the secret, not its value"},
		{'\0', "max-age", OPTION_DURATION, &g.max_age_ms, "D",
		    "ask the service first if the value is older"},
		{'\0', "fresh", OPTION_FLAG, &g.fresh, NULL,
		    "have the service confirm it now, never fall back"},
		{'\0', "offline", OPTION_FLAG, &g.offline, NULL,
		    "take what is cached, never ask the service"},
		{'o', "output", OPTION_TEXT, &g.output, "FILE",
		    "write to FILE, mode 0600, as a whole or not at all"},
		{'\0', "json", OPTION_FLAG, &cli->json, NULL,
		    "one JSON object a reference, errors too"},
		{'0', "null", OPTION_FLAG, &g.nul, NULL,
		    "end each value with NUL"},
	};
	struct option_list operands = {NULL, 0};
	char **refs = NULL;
	int status;

	if (!cli_options(cli, own, sizeof(own) / sizeof(own[0]), argc, argv,
		&operands, &status))
		goto out;
	if (g.output != NULL && strcmp(g.output, "-") == 0)
		g.output = NULL;
	if ((status = check(cli, &g, &operands)) == STATUS_DONE &&
	    (status = cli_refs(cli, &operands, g.field, &refs)) == 0 &&
	    (status = cli_connect(cli)) == 0)
		status = get(cli, &g, refs, operands.count);
out:
	cli_refs_free(&refs, operands.count);
	options_list_free(&operands);
	return status;
}
