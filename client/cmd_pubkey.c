#include "config.h"

#include <string.h>

#include "cli.h"
#include "err.h"
#include "errors.h"
#include "ref.h"
#include "text.h"
#include "values.h"

static const char *const formats[] = {"json", "jwk", "raw", "pem", "der"};

#define NFORMATS (sizeof(formats) / sizeof(formats[0]))

static int
check_format(const struct cli *cli, const char *format)
{
	const char *near;
	size_t i;

	for (i = 0; i < NFORMATS; i++) {
		if (strcmp(format, formats[i]) == 0)
			return STATUS_DONE;
	}
	near = text_nearest(format, formats, NFORMATS);
	if (near != NULL)
		return cli_usage(cli, "--format %.40s: unknown: did you mean "
		    "%s?", format, near);
	return cli_usage(cli, "--format %.40s: unknown: write json, jwk, raw, "
	    "pem or der", format);
}

static int
pubkey(struct cli *cli, const struct values *values, char **refs,
    size_t count)
{
	struct qapi_agent_terms *terms;
	struct qapi_agent_items *items = NULL;
	int r;

	if ((r = cli_connect(cli)) != 0)
		return r;
	if ((terms = cli_terms(cli)) == NULL)
		return STATUS_FAILED;
	r = cli_get(cli, refs, count, terms, &items);
	qapi_agent_terms_free(&terms);
	if (r != 0)
		return cli_failed(cli, r, refs, count);
	r = values_deliver(cli, values, items);
	qapi_agent_items_free(&items);
	return r;
}

int
cmd_pubkey(struct cli *cli, int argc, char **argv)
{
	struct values values = {.output = NULL};
	const char *format = NULL;
	const struct option_spec own[] = {
		{'\0', "format", OPTION_TEXT, &format, "FORMAT",
		    "json (default), jwk, raw, pem or der"},
		{'o', "output", OPTION_TEXT, &values.output, "FILE",
		    "write to FILE, mode 0600, as a whole or not at all"},
		{'\0', "json", OPTION_FLAG, &cli->json, NULL,
		    "one JSON object a reference, errors too"},
		{'0', "null", OPTION_FLAG, &values.nul, NULL,
		    "end each value with NUL"},
	};
	struct option_list operands = {NULL, 0};
	char **refs = NULL;
	int status;

	if (!cli_options(cli, own, sizeof(own) / sizeof(own[0]), argc, argv,
		&operands, &status))
		goto out;
	if (operands.count == 0)
		status = cli_usage(cli, "no key: write qapi-agent pubkey KEY, "
		    "its name or id");
	else if ((format == NULL ||
		(status = check_format(cli, format)) == STATUS_DONE) &&
	    (status = cli_key_refs(cli, &operands, format, &refs)) == 0)
		status = pubkey(cli, &values, refs, operands.count);
out:
	cli_refs_free(&refs, operands.count);
	options_list_free(&operands);
	return status;
}
