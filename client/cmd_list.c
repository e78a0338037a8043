#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "err.h"
#include "errors.h"
#include "json.h"
#include "out.h"

#define COLUMNS 6

/* Which rows are shown. */
struct filter {
	const char *search;	/* in the name or the id; NULL: all */
	uint64_t expires_ms;	/* within this time; OPTIONS_NOT_GIVEN */
	bool stale;
	bool cached;
};

static const char *const titles[COLUMNS] = {
	"NAME", "ID", "KIND", "FRESHNESS", "AGE", "EXPIRES",
};

static const char *
kind_name(const struct qapi_agent_item *item)
{
	return qapi_agent_item_kind(item) == QAPI_AGENT_KIND_KEY ? "key"
								 : "secret";
}

static void
put_json(struct out *o, const struct qapi_agent_item *item)
{
	enum qapi_agent_freshness freshness = qapi_agent_item_freshness(item);
	struct json j;

	json_init(&j, o);
	json_open(&j, NULL);
	json_text(&j, "kind", kind_name(item));
	json_text(&j, "id", qapi_agent_item_id(item));
	json_text(&j, "name", qapi_agent_item_name(item));
	if (qapi_agent_item_version(item) != 0)
		json_uint(&j, "version", qapi_agent_item_version(item));
	else
		json_null(&j, "version");
	if (freshness == QAPI_AGENT_FRESHNESS_NONE) {
		json_null(&j, "freshness");
		json_null(&j, "ageSeconds");
	} else {
		json_text(&j, "freshness",
		    qapi_agent_freshness_name(freshness));
		json_uint(&j, "ageSeconds",
		    qapi_agent_item_age_ms(item) / 1000);
	}
	json_time(&j, "updatedAt", qapi_agent_item_updated_at_ms(item));
	json_time(&j, "expiresAt", qapi_agent_item_expires_at_ms(item));
	json_close(&j);
	out_char(o, '\n');
}

/* Is word in text?  Case does not matter in ASCII. */
static bool
has_word(const char *text, const char *word)
{
	return text != NULL && strcasestr(text, word) != NULL;
}

static bool
is_shown(const struct filter *f, const struct qapi_agent_item *item)
{
	enum qapi_agent_freshness freshness = qapi_agent_item_freshness(item);
	int64_t expires_at = qapi_agent_item_expires_at_ms(item);
	struct timespec now;

	if (f->search != NULL &&
	    !has_word(qapi_agent_item_name(item), f->search) &&
	    !has_word(qapi_agent_item_id(item), f->search))
		return false;
	if (f->cached && freshness == QAPI_AGENT_FRESHNESS_NONE)
		return false;
	if (f->stale && freshness != QAPI_AGENT_STALE &&
	    freshness != QAPI_AGENT_EXPIRED)
		return false;
	if (f->expires_ms == OPTIONS_NOT_GIVEN)
		return true;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return expires_at != QAPI_AGENT_NO_TIME &&
	    (expires_at < 0 || (uint64_t)expires_at <=
	    (uint64_t)now.tv_sec * 1000 + f->expires_ms);
}

/* The rows that are shown; count of them. */
static size_t
select_rows(const struct filter *f, const struct qapi_agent_items *items,
    const struct qapi_agent_item **rows)
{
	size_t i, n = 0;

	for (i = 0; i < qapi_agent_items_count(items); i++) {
		rows[n] = qapi_agent_items_at(items, i);
		n += is_shown(f, rows[n]);
	}
	return n;
}

/* Column c of a row; "-" where nothing is known. */
static void
put_cell(struct out *o, const struct qapi_agent_item *item, unsigned int c)
{
	enum qapi_agent_freshness freshness = qapi_agent_item_freshness(item);
	int64_t expires_at = qapi_agent_item_expires_at_ms(item);
	char age[UNITS_DURATION_LEN], when[UNITS_TIME_LEN];
	const char *text = NULL;

	if (c == 0)
		text = qapi_agent_item_name(item);
	else if (c == 1)
		text = qapi_agent_item_id(item);
	else if (c == 2)
		text = kind_name(item);
	else if (c == 3 && freshness != QAPI_AGENT_FRESHNESS_NONE)
		text = qapi_agent_freshness_name(freshness);
	else if (c == 4 && freshness != QAPI_AGENT_FRESHNESS_NONE)
		text = cli_age(qapi_agent_item_age_ms(item), age);
	else if (c == 5 && expires_at != QAPI_AGENT_NO_TIME)
		text = units_format_time(expires_at, when);
	out_printable(o, text != NULL && *text != '\0' ? text : "-");
}

/* Characters, not bytes, since offset start. */
static long
width(const struct out *o, size_t start)
{
	long n = 0;

	for (; start < o->len; start++)
		n += ((unsigned char)o->p[start] & 0xc0) != 0x80;
	return n;
}

static void
measure(const struct qapi_agent_item *const *rows, size_t count,
    long widths[COLUMNS])
{
	struct out cell;
	unsigned int c;
	size_t i;
	long w;

	out_init(&cell);
	for (c = 0; c < COLUMNS; c++)
		widths[c] = (long)strlen(titles[c]);
	for (i = 0; i < count; i++) {
		for (c = 0; c < COLUMNS; c++) {
			cell.len = 0;
			put_cell(&cell, rows[i], c);
			w = width(&cell, 0);
			if (w > widths[c])
				widths[c] = w;
		}
	}
	out_done(&cell);
}

/* For people: aligned, under titles. */
static void
put_table(struct out *o, const struct qapi_agent_item *const *rows,
    size_t count)
{
	long widths[COLUMNS];
	unsigned int c;
	size_t i, start;

	measure(rows, count, widths);
	for (c = 0; c < COLUMNS; c++) {
		out_text(o, titles[c]);
		if (c + 1 < COLUMNS)
			out_pad(o, widths[c] + 2 - (long)strlen(titles[c]));
	}
	out_char(o, '\n');
	for (i = 0; i < count; i++) {
		for (c = 0; c < COLUMNS; c++) {
			start = o->len;
			put_cell(o, rows[i], c);
			if (c + 1 < COLUMNS)
				out_pad(o, widths[c] + 2 - width(o, start));
		}
		out_char(o, '\n');
	}
}

/* For programs: the same columns, a tab between them. */
static void
put_lines(struct out *o, const struct qapi_agent_item *const *rows,
    size_t count)
{
	unsigned int c;
	size_t i;

	for (i = 0; i < count; i++) {
		for (c = 0; c < COLUMNS; c++) {
			put_cell(o, rows[i], c);
			out_char(o, c + 1 < COLUMNS ? '\t' : '\n');
		}
	}
}

static int
print(const struct cli *cli, const struct filter *f,
    const struct qapi_agent_items *items)
{
	size_t i, count = qapi_agent_items_count(items);
	const struct qapi_agent_item **rows;
	char age[UNITS_DURATION_LEN];
	struct out o;
	int status = STATUS_DONE;

	rows = calloc(count + 1, sizeof(const struct qapi_agent_item *));
	if (rows == NULL)
		return errors_report(cli->json, NULL, ERR_NOMEM, NULL);
	count = select_rows(f, items, rows);
	out_init(&o);
	if (cli->json) {
		for (i = 0; i < count; i++)
			put_json(&o, rows[i]);
	} else if (isatty(STDOUT_FILENO)) {
		put_table(&o, rows, count);
	} else {
		put_lines(&o, rows, count);
	}
	free(rows);
	if (out_write(&o, STDOUT_FILENO) == -1)
		status = errors_say(cli->json, NULL, "cannot write to standard "
		    "output: %s", strerror(errno));
	out_done(&o);
	if (!cli->json &&
	    qapi_agent_items_freshness(items) == QAPI_AGENT_STALE)
		errors_note(NULL, "this list is stale, %s old: the service "
		    "could not be asked for a newer one",
		    cli_age(qapi_agent_items_age_ms(items), age));
	return status;
}

static int
list(struct cli *cli, enum qapi_agent_kind kind, const struct filter *f)
{
	struct qapi_agent_terms *terms;
	struct qapi_agent_items *items = NULL;
	int r;

	if ((r = cli_connect(cli)) != 0)
		return r;
	if ((terms = cli_terms(cli)) == NULL)
		return STATUS_FAILED;
	r = qapi_agent_list(cli->agent, kind, terms, &items);
	if (r == QAPI_AGENT_ERR_NOMEM && harden_unlock(&cli->harden))
		r = qapi_agent_list(cli->agent, kind, terms, &items);
	qapi_agent_terms_free(&terms);
	if (r != 0)
		return cli_failed(cli, r, NULL, 0);
	r = print(cli, f, items);
	qapi_agent_items_free(&items);
	return r;
}

int
cmd_list(struct cli *cli, int argc, char **argv)
{
	struct filter f = {.expires_ms = OPTIONS_NOT_GIVEN};
	const struct option_spec own[] = {
		{'\0', "search", OPTION_TEXT, &f.search, "TEXT",
		    "only those with TEXT in their name or id"},
		{'\0', "cached", OPTION_FLAG, &f.cached, NULL,
		    "only those whose value is cached"},
		{'\0', "stale", OPTION_FLAG, &f.stale, NULL,
		    "only those whose cached value is stale or expired"},
		{'\0', "expires", OPTION_DURATION, &f.expires_ms, "D",
		    "only those that expire within this time"},
		{'\0', "json", OPTION_FLAG, &cli->json, NULL,
		    "one JSON object a line, errors too"},
	};
	struct option_list operands = {NULL, 0};
	enum qapi_agent_kind kind = QAPI_AGENT_KIND_ANY;
	int status;

	if (!cli_options(cli, own, sizeof(own) / sizeof(own[0]), argc, argv,
		&operands, &status))
		goto out;
	if (operands.count > 0 && strcmp(operands.v[0], "secrets") == 0)
		kind = QAPI_AGENT_KIND_SECRET;
	else if (operands.count > 0 && strcmp(operands.v[0], "keys") == 0)
		kind = QAPI_AGENT_KIND_KEY;
	if (operands.count > 1 ||
	    (operands.count == 1 && kind == QAPI_AGENT_KIND_ANY))
		status = cli_usage(cli, "%.100s: cannot be listed: write "
		    "secrets, keys or nothing",
		    operands.v[operands.count - 1]);
	else
		status = list(cli, kind, &f);
out:
	options_list_free(&operands);
	return status;
}
