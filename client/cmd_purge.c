#include "config.h"

#include "cli.h"
#include "every.h"

int
cmd_purge(struct cli *cli, int argc, char **argv)
{
	static const struct every purge = {
		.some = qapi_agent_invalidate,
		.all = qapi_agent_invalidate_all,
		.done = "purged",
	};

	return every_run(&purge, cli, argc, argv);
}
