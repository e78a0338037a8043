#include "config.h"

#include <string.h>

#include "cli.h"
#include "errors.h"
#include "values.h"

struct get {
	const char *field;
	const char *version;
	uint64_t max_age_ms;
	bool fresh;
	bool offline;
	struct values values;
};

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
	r = values_deliver(cli, &g->values, items);
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
	if (g->version != NULL && (*g->version < '1' || *g->version > '9' ||
	    strspn(g->version, "0123456789") != strlen(g->version)))
		return cli_usage(cli, "--version %.40s: not a number: write "
		    "one as list --json shows it", g->version);
	return STATUS_DONE;
}

int
cmd_get(struct cli *cli, int argc, char **argv)
{
	struct get g = {.max_age_ms = OPTIONS_NOT_GIVEN};
	const struct option_spec own[] = {
		{'\0', "field", OPTION_TEXT, &g.field, "F",
		    "this field of the secret, not its value"},
		{'\0', "version", OPTION_TEXT, &g.version, "N",
		    "this older value, not the newest"},
		{'\0', "max-age", OPTION_DURATION, &g.max_age_ms, "D",
		    "ask the service first if the value is older"},
		{'\0', "fresh", OPTION_FLAG, &g.fresh, NULL,
		    "have the service confirm it now, never fall back"},
		{'\0', "offline", OPTION_FLAG, &g.offline, NULL,
		    "take what is cached, never ask the service"},
		{'o', "output", OPTION_TEXT, &g.values.output, "FILE",
		    "write to FILE, mode 0600, as a whole or not at all"},
		{'\0', "json", OPTION_FLAG, &cli->json, NULL,
		    "one JSON object a reference, errors too"},
		{'0', "null", OPTION_FLAG, &g.values.nul, NULL,
		    "end each value with NUL"},
	};
	struct option_list operands = {NULL, 0};
	char **refs = NULL;
	int status;

	if (!cli_options(cli, own, sizeof(own) / sizeof(own[0]), argc, argv,
		&operands, &status))
		goto out;
	if ((status = check(cli, &g, &operands)) == STATUS_DONE &&
	    (status = cli_refs(cli, &operands, g.field, g.version,
		&refs)) == 0 &&
	    (status = cli_connect(cli)) == 0)
		status = get(cli, &g, refs, operands.count);
out:
	cli_refs_free(&refs, operands.count);
	options_list_free(&operands);
	return status;
}
