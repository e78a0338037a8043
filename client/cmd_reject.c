#include "config.h"

#include "cli.h"
#include "errors.h"
#include "out.h"

static int
reject(struct cli *cli, char **refs)
{
	struct qapi_agent_item *item = NULL;
	bool changed;
	struct out o;
	int r;

	if ((r = cli_connect(cli)) != 0)
		return r;
	if ((r = qapi_agent_reject(cli->agent, refs[0], NULL, &item)) != 0)
		return cli_failed(cli, r, refs, 1);
	changed = qapi_agent_item_changed(item);
	out_init(&o);
	out_fmt(&o, "%s\t", changed ? "changed" : "unchanged");
	out_printable(&o, refs[0]);
	out_char(&o, '\n');
	r = cli_print(cli, &o, changed ? STATUS_DONE : STATUS_FAILED);
	out_done(&o);
	qapi_agent_item_free(&item);
	return r;
}

int
cmd_reject(struct cli *cli, int argc, char **argv)
{
	struct option_list operands = {NULL, 0};
	char **refs = NULL;
	int status;

	if (!cli_options(cli, NULL, 0, argc, argv, &operands, &status))
		goto out;
	if (operands.count != 1)
		status = cli_usage(cli, "%s: write one reference",
		    operands.count == 0 ? "no reference"
					: "more than one reference");
	else if ((status = cli_refs(cli, &operands, NULL, NULL,
		&refs)) == 0)
		status = reject(cli, refs);
out:
	cli_refs_free(&refs, operands.count);
	options_list_free(&operands);
	return status;
}
