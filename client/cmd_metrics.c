#include "config.h"

#include "cli.h"
#include "errors.h"
#include "out.h"

static int
metrics(struct cli *cli, bool names)
{
	char *text = NULL;
	size_t len = 0;
	struct out o;
	int r;

	if ((r = cli_connect(cli)) != 0)
		return r;
	(void)harden_unlock(&cli->harden);
	if ((r = qapi_agent_metrics(cli->agent, names, &text, &len)) != 0)
		return cli_failed(cli, r, NULL, 0);
	out_init(&o);
	out_bytes(&o, text, len);
	r = cli_print(cli, &o, STATUS_DONE);
	out_done(&o);
	qapi_agent_text_free(&text);
	return r;
}

int
cmd_metrics(struct cli *cli, int argc, char **argv)
{
	bool names = false;
	const struct option_spec own[] = {
		{'\0', "names", OPTION_FLAG, &names, NULL,
		    "single references too, with their names"},
	};
	struct option_list operands = {NULL, 0};
	int status;

	if (cli_options(cli, own, 1, argc, argv, &operands, &status)) {
		if (operands.count > 0)
			status = cli_usage(cli, "%.100s: metrics takes no "
			    "operand: leave it out", operands.v[0]);
		else
			status = metrics(cli, names);
	}
	options_list_free(&operands);
	return status;
}
