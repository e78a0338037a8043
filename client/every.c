#include "config.h"

#include "every.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "errors.h"
#include "out.h"

static int
do_all(const struct every *every, struct cli *cli)
{
	uint64_t count = 0, failed = 0;
	struct out o;
	int r, status = STATUS_DONE;

	if ((r = every->all(cli->agent, &count, &failed)) != 0)
		return cli_failed(cli, r, NULL, 0);
	out_init(&o);
	out_fmt(&o, "%" PRIu64 " %s\n", count, every->done);
	if (out_write(&o, STDOUT_FILENO) == -1)
		status = errors_say(cli->json, NULL, "cannot write to standard "
		    "output: %s", strerror(errno));
	out_done(&o);
	if (failed > 0)
		status = errors_say(cli->json, NULL, "%" PRIu64 " could not be "
		    "%s: qapi-agent list shows which", failed, every->done);
	return status;
}

static int
do_some(const struct every *every, struct cli *cli, char **refs, size_t count)
{
	struct qapi_agent_items *items = NULL;
	const struct qapi_agent_item *item;
	int r, status = STATUS_DONE;
	size_t i;

	r = every->some(cli->agent, (const char *const *)(void *)refs, count,
	    &items);
	if (r != 0)
		return cli_failed(cli, r, refs, count);
	for (i = 0; i < count; i++) {
		item = qapi_agent_items_at(items, i);
		r = 0;
		if (qapi_agent_item_error(item) != 0)
			r = errors_report(cli->json, refs[i],
			    qapi_agent_item_error(item),
			    qapi_agent_item_message(item));
		else if (every->check != NULL)
			r = every->check(cli, item);
		if (status == STATUS_DONE)
			status = r;
	}
	qapi_agent_items_free(&items);
	return status;
}

int
every_run(const struct every *every, struct cli *cli, int argc, char **argv)
{
	bool all = false;
	const struct option_spec own[] = {
		{'\0', "all", OPTION_FLAG, &all, NULL, "all that is cached"},
	};
	struct option_list operands = {NULL, 0};
	char **refs = NULL;
	int status;

	if (!cli_options(cli, own, 1, argc, argv, &operands, &status))
		goto out;
	if (all == (operands.count > 0))
		status = cli_usage(cli, "%s: write references or --all",
		    all ? "both references and --all" : "no reference");
	else if ((status = cli_refs(cli, &operands, NULL, NULL,
		&refs)) == 0 &&
	    (status = cli_connect(cli)) == 0)
		status = all ? do_all(every, cli)
			     : do_some(every, cli, refs, operands.count);
out:
	cli_refs_free(&refs, operands.count);
	options_list_free(&operands);
	return status;
}
