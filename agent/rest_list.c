/*
 * GET /secrets and GET /keys: of who may see all, byte for byte from the
 * service; of others, and while the service is away, rows out of the cached
 * listing, as far as it tells them.
 */
#include "config.h"

#include "rest_impl.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "key_words.h"
#include "listing.h"
#include "metrics.h"
#include "rest_json.h"
#include "settings.h"

#define PAGE_SIZE 50		/* when none is named */
#define PAGE_SIZE_MAX 200	/* larger ones are clamped, as the answer tells */
#define SEARCH_MAX 1024
#define ROWS_A_TURN 2000	/* then others have theirs */

enum sight {
	SIGHT_NONE,
	SIGHT_SOME,		/* what the rules cover */
	SIGHT_ALL,
};

struct rest_rows {
	enum ref_kind kind;
	enum sight sight;
	uint64_t page;
	uint64_t page_size;
	bool inactive;		/* those too */
	char search[SEARCH_MAX]; /* "": none */
	struct listing *listing;
	enum msg_freshness freshness;
	uint64_t age_ms;
	size_t cursor;		/* rows looked at */
	uint64_t total;		/* of them, those that are to be seen */
	size_t nrows;
	const struct upstream_row *rows[PAGE_SIZE_MAX];
};

void
rest_rows_free(struct rest_rows *rows)
{
	if (rows == NULL)
		return;
	listing_unref(rows->listing);
	free(rows);
}

/* --- who may see what --- */

static enum ref_kind
kind_of(const struct rest *r)
{
	return r->m.endpoint->way == ENDPOINT_LIST_KEYS ? REF_KEY : REF_SECRET;
}

static enum sight
sight_of(struct rest *r)
{
	const struct policy *pol = r->s->env->settings->policy;
	const struct view none = { NULL, 0 };
	enum ref_kind kind = kind_of(r);
	enum policy_verdict by_call;
	struct rest_right right;

	if (policy_covers_all(pol, r->s->peer, POLICY_LIST, kind) &&
	    policy_covers_all(pol, r->s->peer, POLICY_READ, kind))
		return SIGHT_ALL;
	rest_right(r, 0, &right);
	by_call = access_to(r->s, &right.by, kind, none, none, NULL);
	if (by_call == POLICY_ALLOWED)
		return SIGHT_ALL;
	return by_call == POLICY_MAYBE ||
	    policy_may(pol, r->s->peer, POLICY_LIST) ? SIGHT_SOME : SIGHT_NONE;
}

static struct view
text_view(const char *text)
{
	return (struct view){ (const uint8_t *)text, strlen(text) };
}

static bool
is_seen(const struct rest *r, const struct rest_right *right,
    const struct upstream_row *row)
{
	const struct rest_rows *rows = r->rows;

	if (!row->is_active && !rows->inactive)
		return false;
	if (rows->search[0] != '\0' &&
	    strcasestr(row->name, rows->search) == NULL)
		return false;
	return rows->sight == SIGHT_ALL || access_to(r->s, &right->by,
	    rows->kind, text_view(row->name), text_view(row->id),
	    NULL) == POLICY_ALLOWED;
}

/* --- the query --- */

/* What the agent's listing of names does not tell. */
static bool
is_beyond(struct view name)
{
	static const char *const words[] = { "contentType", "label",
	    "keyType", "status" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (rest_query_is(name, words[i]))
			return true;
	}
	return false;
}

static int
read_search(struct view value, struct rest_rows *rows,
    struct rest_answer *answer)
{
	size_t len;

	if (!rest_query_decode(value, rows->search, sizeof(rows->search),
	    &len) || strlen(rows->search) != len)
		return rest_bad_field(answer, "search", "is too long for a "
		    "part of a name, or holds a NUL");
	return REST_DONE;
}

/* One parameter; an answer with an error if it cannot be had. */
static void
read_param(struct view name, struct view value, struct rest_rows *rows,
    struct rest_answer *answer)
{
	bool flag;

	if (rest_query_is(name, "page")) {
		if (!rest_query_number(value, 1, INT32_MAX, &rows->page))
			(void)rest_bad_field(answer, "page",
			    "must be a whole number from 1");
	} else if (rest_query_is(name, "pageSize")) {
		if (!rest_query_number(value, 1, INT32_MAX, &rows->page_size))
			(void)rest_bad_field(answer, "pageSize",
			    "must be a whole number from 1");
		if (rows->page_size > PAGE_SIZE_MAX)
			rows->page_size = PAGE_SIZE_MAX;
	} else if (rest_query_is(name, "search")) {
		(void)read_search(value, rows, answer);
	} else if (rest_query_is(name, "includeInactive")) {
		if (!rest_query_bool(value, &flag))
			(void)rest_bad_field(answer, "includeInactive",
			    "must be true or false");
		else
			rows->inactive |= flag;
	} else if (rest_query_is(name, "allVersions") &&
	    (!rest_query_bool(value, &flag) || flag)) {
		(void)rest_bad_field(answer, "allVersions", "cannot be "
		    "answered from the agent's listing, which has one row for "
		    "a key");
	} else if (is_beyond(name)) {
		(void)rest_fail(answer, ERR_BAD_REQUEST, "contentType, label, "
		    "keyType and status cannot be answered from the agent's "
		    "listing, which is what a caller gets whose rules do not "
		    "cover everything: leave them out");
	}
}

/* r->rows, or an answer with an error. */
static void
rows_new(struct rest *r, enum sight sight, struct rest_answer *answer)
{
	struct view query = r->m.query, name, value;
	struct rest_rows *rows;

	rest_rows_free(r->rows);
	r->rows = rows = calloc(1, sizeof(*rows));
	if (rows == NULL) {
		(void)rest_fail(answer, ERR_NOMEM, NULL);
		return;
	}
	rows->kind = kind_of(r);
	rows->sight = sight;
	rows->page = 1;
	rows->page_size = PAGE_SIZE;
	rows->inactive = rows->kind == REF_KEY;
	while (answer->error == 0 && rest_query_next(&query, &name, &value))
		read_param(name, value, rows, answer);
}

/* --- the answer --- */

static void
put_word(struct rest_json *j, const char *name, const char *word)
{
	rest_json_text(j, name);
	if (word != NULL)
		rest_json_string(j, text_view(word));
	else
		rest_json_text(j, "null");
}

static void
put_row(struct rest_json *j, enum ref_kind kind,
    const struct upstream_row *row)
{
	rest_json_text(j, "{\"id\":");
	rest_json_string(j, text_view(row->id));
	rest_json_text(j, ",\"name\":");
	rest_json_string(j, text_view(row->name));
	rest_json_text(j, ",\"version\":");
	rest_json_number(j, row->version);
	rest_json_text(j, ",\"createdAt\":");
	rest_json_time(j, row->created_at);
	rest_json_text(j, kind == REF_KEY ? ",\"lastRotatedAt\":"
	    : ",\"updatedAt\":");
	rest_json_time(j, row->updated_at);
	rest_json_text(j, ",\"expiresAt\":");
	rest_json_time(j, row->expires_at);
	if (kind == REF_KEY) {
		put_word(j, ",\"keyType\":", key_type_name(row->key_type));
		put_word(j, ",\"algorithm\":",
		    key_algorithm_name(row->key_algorithm));
		put_word(j, ",\"status\":",
		    row->is_active ? "active" : "inactive");
	}
	rest_json_text(j, row->is_active ? ",\"isActive\":true}"
	    : ",\"isActive\":false}");
}

static void
put_rows(struct rest_json *j, const void *ctx)
{
	const struct rest_rows *rows = ctx;
	const char *more = rows->total > rows->page * rows->page_size ? "true"
	    : "false";
	size_t i;

	rest_json_text(j, rows->kind == REF_KEY ? "{\"keys\":["
	    : "{\"secrets\":[");
	for (i = 0; i < rows->nrows; i++) {
		if (i > 0)
			rest_json_text(j, ",");
		put_row(j, rows->kind, rows->rows[i]);
	}
	rest_json_text(j, "],\"total\":");
	rest_json_number(j, rows->total);
	rest_json_text(j, ",\"page\":");
	rest_json_number(j, rows->page);
	rest_json_text(j, ",\"pageSize\":");
	rest_json_number(j, rows->page_size);
	if (rows->kind == REF_SECRET) {
		/* both spellings, where the official SDK wants the other */
		rest_json_text(j, ",\"page_size\":");
		rest_json_number(j, rows->page_size);
		rest_json_text(j, ",\"has_more\":");
		rest_json_text(j, more);
	}
	rest_json_text(j, ",\"hasMore\":");
	rest_json_text(j, more);
	rest_json_text(j, "}");
}

static int
rows_scan(struct rest *r, const struct now *now, const struct rest_event *ev,
    struct rest_answer *answer)
{
	struct rest_rows *rows = r->rows;
	size_t count = listing_count(rows->listing), turn = 0;
	const struct upstream_row *row;
	struct rest_right right;
	uint64_t first = (rows->page - 1) * rows->page_size;

	(void)now;
	(void)ev;
	rest_right(r, POLICY_LIST, &right);
	for (; rows->cursor < count && turn < ROWS_A_TURN; turn++) {
		row = listing_row(rows->listing, rows->cursor++);
		if (!is_seen(r, &right, row))
			continue;
		if (rows->total >= first && rows->nrows < rows->page_size)
			rows->rows[rows->nrows++] = row;
		rows->total++;
	}
	if (rows->cursor < count && rest_later(r, rows_scan) == ERR_AGAIN)
		return ERR_AGAIN;
	if (rows->cursor < count)
		return rest_fail(answer, ERR_NOMEM, NULL);
	rest_cached(r, rows->freshness, rows->age_ms, answer);
	rest_record(r, POLICY_LIST, 0, NULL);
	return rest_json_answer(answer, put_rows, rows);
}

static int
rows_go_on(struct rest *r, const struct now *now,
    const struct fetch_result *result, struct rest_answer *answer)
{
	struct rest_rows *rows = r->rows;
	int error = result->error;

	if (error == ERR_UPSTREAM_UNAVAILABLE && r->rq.only_if_cached)
		error = ERR_TIMEOUT;
	if (error != 0) {
		rest_record(r, POLICY_LIST, error, NULL);
		return rest_fail(answer, error, result->message);
	}
	rows->listing = result->listing;
	rows->freshness = result->freshness;
	rows->age_ms = result->age_ms;
	if (!r->kept && listing_count(rows->listing) > ROWS_A_TURN)
		return REST_KEEP;
	return rows_scan(r, now, NULL, answer);
}

static int
rows_listed(struct rest *r, const struct now *now, const struct rest_event *ev,
    struct rest_answer *answer)
{
	return rows_go_on(r, now, ev->fetched, answer);
}

static int
rows_start(struct rest *r, enum sight sight, const struct now *now,
    struct rest_answer *answer)
{
	struct fetch_result result;
	struct fetch_query q;

	rows_new(r, sight, answer);
	if (answer->error != 0)
		return REST_DONE;
	rest_terms(r, &q);
	if (rest_fetch(r, &q, r->rows->kind, now, &result, rows_listed) ==
	    ERR_AGAIN)
		return ERR_AGAIN;
	return rows_go_on(r, now, &result, answer);
}

/* --- byte for byte --- */

/* Is that no answer about the list, so that an older one may do? */
static bool
is_away(const struct relay_result *result)
{
	return result->error == ERR_UPSTREAM_UNAVAILABLE ||
	    result->error == ERR_TIMEOUT ||
	    /* during unauthorized-grace; then there is no listing any more */
	    result->error == ERR_UNAUTHORIZED ||
	    (result->error == 0 && (result->status == 429 ||
	    result->status >= 500));
}

static int
list_relayed(struct rest *r, const struct now *now,
    const struct rest_event *ev, struct rest_answer *answer)
{
	struct rest_answer *instead;
	int e;

	if (!is_away(ev->relayed) ||
	    (instead = calloc(1, sizeof(*instead))) == NULL)
		return rest_sent(r, now, ev, answer);
	/* what is listed is at hand, and as fresh as it must be, or not */
	r->rq.only_if_cached = true;
	r->away = true;
	e = rows_start(r, SIGHT_ALL, now, instead);
	if (e == REST_DONE && instead->error != 0) {
		object_unref(instead->body);
		e = rest_sent(r, now, ev, answer);
	} else {
		object_unref(ev->relayed->reply.body);
		*answer = *instead;
	}
	free(instead);
	return e;
}

int
rest_list_start(struct rest *r, const struct now *now,
    struct rest_answer *answer)
{
	enum sight sight = sight_of(r);

	if (sight == SIGHT_NONE)
		return rest_deny(r, POLICY_LIST, answer);
	if (sight == SIGHT_ALL && !r->rq.only_if_cached)
		return rest_send(r, now, answer, list_relayed);
	return rows_start(r, sight, now, answer);
}
