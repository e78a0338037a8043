#include "config.h"

#include "cli.h"
#include "errors.h"
#include "out.h"

/*
 * References that the agent will not watch, and for people also those that
 * have no value now.  Returns the status of the first that is not watched.
 */
static int
report_ended(const struct cli *cli, const struct qapi_agent_watch *watch)
{
	const struct qapi_agent_items *items = qapi_agent_watch_items(watch);
	const struct qapi_agent_item *item;
	int r, status = STATUS_DONE;
	size_t i;

	for (i = 0; i < qapi_agent_items_count(items); i++) {
		item = qapi_agent_items_at(items, i);
		if (!qapi_agent_watch_has_ended(watch, i)) {
			if (qapi_agent_item_error(item) != 0)
				errors_note(qapi_agent_item_ref(item),
				    "watched, though there is no value now: %s",
				    qapi_agent_error_text(
				    qapi_agent_item_error(item)));
			continue;
		}
		r = errors_report(cli->json, qapi_agent_item_ref(item),
		    qapi_agent_item_error(item),
		    qapi_agent_item_message(item));
		if (status == STATUS_DONE)
			status = r;
	}
	return status;
}

static int
put_event(const struct cli *cli, const struct qapi_agent_item *item,
    enum qapi_agent_reason reason)
{
	struct out o;
	int status;

	if (reason == QAPI_AGENT_REASON_ENDED)
		return errors_report(cli->json, qapi_agent_item_ref(item),
		    qapi_agent_item_error(item),
		    qapi_agent_item_message(item));
	out_init(&o);
	out_text(&o, qapi_agent_reason_name(reason));
	out_char(&o, '\t');
	out_printable(&o, qapi_agent_item_ref(item));
	out_char(&o, '\n');
	status = cli_print(cli, &o, STATUS_DONE);
	out_done(&o);
	return status;
}

/* Until interrupted, or nothing is left to watch, or nobody to tell. */
static int
follow(const struct cli *cli, struct qapi_agent_watch *watch, int first_status)
{
	const struct qapi_agent_items *items = qapi_agent_watch_items(watch);
	enum qapi_agent_reason reason;
	size_t i;
	int r, status = first_status;

	while ((r = qapi_agent_watch_next(watch, 0, &i, &reason)) == 0) {
		r = put_event(cli, qapi_agent_items_at(items, i), reason);
		if (r != STATUS_DONE && reason != QAPI_AGENT_REASON_ENDED)
			return r;
		if (status == STATUS_DONE)
			status = r;
	}
	/* what is left to watch is nothing, and each was said */
	if (status != STATUS_DONE)
		return status;
	return errors_report(cli->json, NULL, r,
	    qapi_agent_watch_message(watch));
}

static int
watch_refs(struct cli *cli, char **refs, size_t count)
{
	struct qapi_agent_watch *watch = NULL;
	int r;

	if ((r = cli_connect(cli)) != 0)
		return r;
	/* no values come here, but it may run for long */
	(void)harden_unlock(&cli->harden);
	r = qapi_agent_watch(cli->agent, (const char *const *)(void *)refs,
	    NULL, count, &watch);
	if (r != 0)
		return cli_failed(cli, r, refs, count);
	r = follow(cli, watch, report_ended(cli, watch));
	qapi_agent_watch_free(&watch);
	return r;
}

int
cmd_watch(struct cli *cli, int argc, char **argv)
{
	struct option_list operands = {NULL, 0};
	char **refs = NULL;
	int status;

	if (!cli_options(cli, NULL, 0, argc, argv, &operands, &status))
		goto out;
	if (operands.count == 0)
		status = cli_usage(cli, "no reference: write what to watch");
	else if ((status = cli_refs(cli, &operands, NULL, NULL,
		&refs)) == 0)
		status = watch_refs(cli, refs, operands.count);
out:
	cli_refs_free(&refs, operands.count);
	options_list_free(&operands);
	return status;
}
