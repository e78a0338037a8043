#include "config.h"

#include "values.h"

#include <errno.h>
#include <unistd.h>

#include "errors.h"
#include "json.h"
#include "out.h"
#include "output.h"

static int
put_json(struct output *to, const struct qapi_agent_item *item)
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
	r = o.failed ? -1 : output_write(to, o.p, o.len);
	out_done(&o);
	return r;
}

/* alone: the only one, so that nothing needs to follow it. */
static int
put_value(struct output *to, const struct qapi_agent_item *item, bool nul,
    bool alone)
{
	const void *value;
	size_t len;

	value = qapi_agent_item_value(item, &len);
	if (len > 0 && output_write(to, value, len) == -1)
		return -1;
	if (nul)
		return output_write(to, "", 1);
	if (!alone || (to->path == NULL && isatty(STDOUT_FILENO)))
		return output_write(to, "\n", 1);
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
put_all(const struct cli *cli, struct output *to, bool nul,
    const struct qapi_agent_items *items)
{
	const struct qapi_agent_item *item;
	size_t i, n = qapi_agent_items_count(items);
	int r = 0;

	for (i = 0; i < n && r == 0; i++) {
		item = qapi_agent_items_at(items, i);
		if (qapi_agent_item_error(item) != 0)
			continue;
		note_age(cli, item);
		r = cli->json ? put_json(to, item)
			      : put_value(to, item, nul, n == 1);
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

int
values_deliver(const struct cli *cli, const struct values *values,
    const struct qapi_agent_items *items)
{
	struct output to;
	int status = report_all(cli, items);

	output_init(&to, values->output);
	/* A file is whole or not there; a stream gets what there is. */
	if (to.path != NULL && status != STATUS_DONE)
		return status;
	if (output_begin(&to, false) == -1 ||
	    put_all(cli, &to, values->nul, items) == -1 ||
	    output_commit(&to) == -1)
		status = output_failed(cli, &to);
	output_done(&to);
	return status;
}
