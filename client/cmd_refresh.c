#include "config.h"

#include <stdio.h>

#include "cli.h"
#include "err.h"
#include "errors.h"
#include "every.h"

/* The service was asked, but what is held is still the old value. */
static int
check_fresh(const struct cli *cli, const struct qapi_agent_item *item)
{
	enum qapi_agent_freshness freshness = qapi_agent_item_freshness(item);
	char message[128], age[UNITS_DURATION_LEN];

	if (freshness != QAPI_AGENT_STALE && freshness != QAPI_AGENT_EXPIRED)
		return STATUS_DONE;
	(void)snprintf(message, sizeof(message),
	    "still %s, %s old: qapi-agent status shows the state of the "
	    "service", qapi_agent_freshness_name(freshness),
	    cli_age(qapi_agent_item_age_ms(item), age));
	return errors_report(cli->json, qapi_agent_item_ref(item),
	    freshness == QAPI_AGENT_STALE ? ERR_UPSTREAM_UNAVAILABLE
					  : ERR_EXPIRED, message);
}

int
cmd_refresh(struct cli *cli, int argc, char **argv)
{
	static const struct every refresh = {
		.some = qapi_agent_refresh,
		.all = qapi_agent_refresh_all,
		.check = check_fresh,
		.done = "refreshed",
	};

	return every_run(&refresh, cli, argc, argv);
}
