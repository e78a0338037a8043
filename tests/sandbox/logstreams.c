/*
 * Requests on /log-streams.
 */
#include "logstreams.h"

#include "apply.h"
#include "call.h"
#include "json_util.h"
#include "logarchive.h"
#include "mem.h"
#include "rules.h"
#include "store.h"
#include "tenant.h"
#include "asset.h"
#include "timefmt.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define RETENTION_DEFAULT 30
#define DAY_US (INT64_C(86400) * 1000000)

enum stream_field {
	STREAM_ID = STORE_ID,
	STREAM_NAME = STORE_NAME,
	STREAM_TYPE,
	STREAM_CONFIG_JSON,
	STREAM_IS_ACTIVE,
	STREAM_LAST_STREAMED_AT,
	STREAM_CONSECUTIVE_FAILURES,
	STREAM_LAST_ERROR,
	STREAM_CREATED_AT,
	STREAM_UPDATED_AT,
	STREAM_FIELDS
};

static const char *const fields[STREAM_FIELDS] = {
    [STREAM_ID] = "id",
    [STREAM_NAME] = "name",
    [STREAM_TYPE] = "streamType",
    [STREAM_CONFIG_JSON] = "configJson",
    [STREAM_IS_ACTIVE] = "isActive",
    [STREAM_LAST_STREAMED_AT] = "lastStreamedAt",
    [STREAM_CONSECUTIVE_FAILURES] = "consecutiveFailures",
    [STREAM_LAST_ERROR] = "lastError",
    [STREAM_CREATED_AT] = "createdAt",
    [STREAM_UPDATED_AT] = "updatedAt",
};

const struct store_kind logstreams_kind = {
    .fields = fields,
    .n_fields = STREAM_FIELDS,
    .created_at = STREAM_CREATED_AT,
    .is_active = STREAM_IS_ACTIVE,
    .free_item = asset_free_item,
};

static const struct rule rules[] = {
    {"name", STREAM_NAME, RULE_NAME, 200, RULE_CREATE | RULE_REQUIRED},
    {"streamType", STREAM_TYPE, RULE_NAME, 0, RULE_CREATE | RULE_REQUIRED},
    {"configJson", STREAM_CONFIG_JSON, RULE_TEXT, 0, RULE_CREATE},
    {NULL, 0, RULE_TEXT, 0, 0},
};

/* What a test of a stream looks for in its settings; NULL: nothing. */
static const struct {
	const char *type;
	const char *needs;
} types[] = {
    {"Webhook", "url"},
    {"Datadog", "apiKey"},
    {"Splunk", "url"},
    {"File", NULL},
};

#define N_TYPES (sizeof(types) / sizeof(*types))

static struct asset *
find(struct call *c)
{
	struct asset *t = asset_find(c->tenant->log_streams, c->match.param[0]);

	if (t == NULL)
		call_not_found(c, "log stream");
	return t;
}

static json_t *
show(const struct asset *t)
{
	return store_object(&logstreams_kind, &t->item, UINT32_MAX, true);
}

static bool
is_file(const struct asset *t)
{
	return strcmp(json_string_value(t->field[STREAM_TYPE]), "File") == 0;
}

static bool
is_blank(const char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	return *s == '\0';
}

/* The settings as an object, a new reference; NULL: they are none. */
static json_t *
settings(const char *text)
{
	json_error_t err;
	json_t *v;

	if (text == NULL || is_blank(text))
		return json_object();
	v = json_util_parse(text, strlen(text), &err);
	if (!json_is_object(v)) {
		json_decref(v);
		return NULL;
	}
	return v;
}

static json_int_t
retention_days(const struct asset *t)
{
	json_t *v = settings(json_string_value(t->field[STREAM_CONFIG_JSON]));
	json_int_t days = json_integer_value(json_util_get(v, "retentionDays"));

	json_decref(v);
	return days == 0 ? RETENTION_DEFAULT : days;
}

static bool
retention_is_good(const json_t *config)
{
	const json_t *v = json_util_get(config, "retentionDays");
	json_int_t n = json_integer_value(v);

	return v == NULL ||
	       (json_is_integer(v) && (n == 7 || n == 30 || n == 365));
}

/* The three fields that a request gives. false: *p is set. */
static bool
check(const json_t *body, struct asset_problem *p)
{
	const char *type, *text = asset_text(body, "configJson");
	json_t *config;
	size_t i = 0;
	bool ok = true;

	if (!asset_check(rules, body, p))
		return false;
	type = asset_text(body, "streamType");
	while (i < N_TYPES && strcmp(types[i].type, type) != 0)
		i++;
	if (i == N_TYPES)
		return asset_fail(p, 400, "streamType",
		    "must be Webhook, Datadog, Splunk or File");
	if (types[i].needs != NULL && (text == NULL || is_blank(text)))
		return asset_fail(p, 400, "configJson", "is required");
	config = settings(text);
	if (config == NULL)
		ok = asset_fail(
		    p, 400, "configJson", "must be a JSON object in a string");
	else if (types[i].needs == NULL && !retention_is_good(config))
		ok = asset_fail(p, 400, "configJson",
		    "retentionDays must be 7, 30 or 365");
	json_decref(config);
	return ok;
}

static void
free_archive(void *own)
{
	logarchive_done(own);
	free(own);
}

static json_t *
config_of(const json_t *body)
{
	json_t *v = json_util_get(body, "configJson");

	return json_is_string(v) ? json_incref(v) : json_string("");
}

static struct asset *
make_stream(struct tenant *tenant, const json_t *body, struct asset_problem *p)
{
	struct asset *t;

	if (!check(body, p))
		return NULL;
	t = asset_new(&logstreams_kind, json_object_get(body, "id"));
	t->own = mem_zero(sizeof(struct logarchive));
	t->free_own = free_archive;
	asset_set(t, STREAM_NAME, json_incref(json_util_get(body, "name")));
	asset_set(
	    t, STREAM_TYPE, json_incref(json_util_get(body, "streamType")));
	asset_set(t, STREAM_CONFIG_JSON, config_of(body));
	asset_set(t, STREAM_IS_ACTIVE, json_true());
	asset_set(t, STREAM_CONSECUTIVE_FAILURES, json_integer(0));
	asset_set(t, STREAM_CREATED_AT, timefmt_stamp(NULL));
	store_add(tenant->log_streams, &t->item);
	return t;
}

/* --- events --- */

static void
note_sent(struct store *st, struct asset *t)
{
	int64_t now = timefmt_now_us();

	store_set_new(st, &t->item, STREAM_LAST_STREAMED_AT,
	    timefmt_json(now - now % 1000000));
}

static void
write_event(struct store *st, struct asset *t, const json_t *event)
{
	int64_t now = timefmt_now_us();

	logarchive_drop_before(t->own, now - retention_days(t) * DAY_US);
	logarchive_add(t->own, now, event);
	note_sent(st, t);
}

void
logstreams_measure(
    const struct tenant *t, int64_t *ret_items, int64_t *ret_bytes)
{
	const struct store *st = t->log_streams;

	*ret_items = *ret_bytes = 0;
	for (size_t i = 0; i < store_count(st); i++) {
		const struct logarchive *a =
		    ((const struct asset *)store_at(st, i))->own;

		*ret_items += (int64_t)a->n;
		for (size_t j = 0; j < a->n; j++)
			*ret_bytes += (int64_t)a->day[j].gzip.len;
	}
}

void
logstreams_event(
    struct tenant *t, json_t *(*make)(const void *arg), const void *arg)
{
	struct store *st = t->log_streams;
	json_t *event = NULL;

	for (size_t i = 0; i < store_count(st); i++) {
		struct asset *stream = (struct asset *)store_at(st, i);

		/* The others would send it away, which nothing here does. */
		if (!is_file(stream) ||
		    !json_is_true(stream->field[STREAM_IS_ACTIVE]))
			continue;
		if (event == NULL)
			event = make(arg);
		write_event(st, stream, event);
	}
	json_decref(event);
}

/* --- requests --- */

static void
streams_list(struct call *c)
{
	const struct store *st = c->tenant->log_streams;
	json_t *items = json_array();

	for (size_t i = 0; i < store_count(st); i++)
		json_array_append_new(
		    items, show((const struct asset *)store_at(st, i)));
	call_json(c, 200,
	    json_pack("{s:o, s:I}", "items", items, "totalCount",
		(json_int_t)store_count(st)));
}

static void
streams_create(struct call *c)
{
	struct asset_problem p = {0};
	struct asset *t;

	if (!asset_body(c))
		return;
	t = make_stream(c->tenant, c->json, &p);
	asset_answer_made(c, t, &p, "LogStream", show);
}

static void
streams_get(struct call *c)
{
	struct asset *t = find(c);

	if (t != NULL)
		call_json(c, 200, show(t));
}

static void
touch(struct call *c, struct asset *t)
{
	store_set_new(c->tenant->log_streams, &t->item, STREAM_UPDATED_AT,
	    timefmt_stamp(t->field[STREAM_UPDATED_AT]));
}

static void
streams_put(struct call *c)
{
	struct store *st = c->tenant->log_streams;
	struct asset_problem p = {0};
	struct asset *t = find(c);

	if (t == NULL || !call_body(c, false))
		return;
	if (!check(c->json, &p)) {
		asset_answer_problem(c, &p);
		return;
	}
	store_set(st, &t->item, STREAM_NAME, json_util_get(c->json, "name"));
	store_set(
	    st, &t->item, STREAM_TYPE, json_util_get(c->json, "streamType"));
	store_set_new(st, &t->item, STREAM_CONFIG_JSON, config_of(c->json));
	touch(c, t);
	call_json(c, 200, show(t));
}

static void
streams_delete(struct call *c)
{
	struct asset *t = find(c);

	if (t == NULL)
		return;
	store_remove(c->tenant->log_streams, &t->item);
	call_empty(c, 204);
}

static void
set_active(struct call *c, bool active)
{
	struct asset *t = find(c);

	if (t == NULL)
		return;
	store_set(c->tenant->log_streams, &t->item, STREAM_IS_ACTIVE,
	    active ? json_true() : json_false());
	touch(c, t);
	call_json(c, 200, show(t));
}

static void
streams_activate(struct call *c)
{
	set_active(c, true);
}

static void
streams_deactivate(struct call *c)
{
	set_active(c, false);
}

/* What the settings lack, or NULL. */
static const char *
lacks(const struct asset *t)
{
	json_t *config =
	    settings(json_string_value(t->field[STREAM_CONFIG_JSON]));
	const char *type = json_string_value(t->field[STREAM_TYPE]);
	const char *needs = NULL;

	for (size_t i = 0; i < N_TYPES; i++) {
		if (strcmp(types[i].type, type) == 0)
			needs = types[i].needs;
	}
	if (needs != NULL &&
	    json_string_length(json_util_get(config, needs)) != 0)
		needs = NULL;
	json_decref(config);
	return needs;
}

static void
streams_test(struct call *c)
{
	struct store *st = c->tenant->log_streams;
	struct asset *t = find(c);
	json_t *failures, *error = NULL;
	const char *missing;

	if (t == NULL)
		return;
	missing = lacks(t);
	failures = t->field[STREAM_CONSECUTIVE_FAILURES];
	if (missing != NULL)
		error = json_sprintf("The settings lack \"%s\".", missing);
	else
		note_sent(st, t);
	store_set_new(st, &t->item, STREAM_CONSECUTIVE_FAILURES,
	    json_integer(
		missing == NULL ? 0 : json_integer_value(failures) + 1));
	store_set(st, &t->item, STREAM_LAST_ERROR, error);
	call_json(c, 200,
	    json_pack("{s:b, s:o}", "success", missing == NULL, "error",
		json_util_or_null(error)));
	json_decref(error);
}

/* The File stream that the path names; NULL: answered. */
static struct asset *
find_file(struct call *c)
{
	struct asset *t = find(c);

	if (t != NULL && !is_file(t)) {
		call_not_found(c, "archive of this log stream");
		return NULL;
	}
	if (t != NULL)
		logarchive_drop_before(t->own,
		    timefmt_now_us() - retention_days(t) * DAY_US);
	return t;
}

static void
files_list(struct call *c)
{
	struct asset *t = find_file(c);
	const struct logarchive *a;
	json_int_t total = 0;
	json_t *days;

	if (t == NULL)
		return;
	a = t->own;
	days = json_array();
	for (size_t i = a->n; i > 0; i--) {
		const struct logarchive_day *d = &a->day[i - 1];

		total += (json_int_t)d->gzip.len;
		json_array_append_new(days,
		    json_pack("{s:s, s:I, s:I, s:o, s:o}", "day", d->day,
			"lineCount", (json_int_t)d->lines, "sizeBytes",
			(json_int_t)d->gzip.len, "firstEventAt",
			timefmt_json(d->first_us), "lastEventAt",
			timefmt_json(d->last_us)));
	}
	call_json(c, 200,
	    json_pack("{s:o, s:I, s:I}", "days", days, "totalSizeBytes", total,
		"retentionDays", retention_days(t)));
}

static void
files_get(struct call *c)
{
	const struct logarchive_day *d;
	struct asset *t = find_file(c);

	if (t == NULL)
		return;
	if (!logarchive_is_day(c->match.param[1])) {
		call_bad_field(c, "day", "must be YYYY-MM-DD");
		return;
	}
	d = logarchive_find(t->own, c->match.param[1]);
	if (d == NULL)
		call_not_found(c, "archive of this day");
	else
		answer_bytes(&c->answer, 200, "application/gzip", d->gzip.p,
		    d->gzip.len);
}

/* --- seeds --- */

static bool
seed_day(struct logarchive *a, const char *day, const json_t *events)
{
	char *text = mem_printf("%sT00:00:00Z", day);
	int64_t us = 0;
	bool ok = logarchive_is_day(day) && json_is_array(events) &&
		  timefmt_parse(text, &us);

	free(text);
	for (size_t i = 0; ok && i < json_array_size(events); i++)
		logarchive_add(a, us + (int64_t)i * 1000000,
		    json_array_get(events, i));
	return ok;
}

bool
logstreams_seed(
    struct tenant *tenant, json_t *obj, struct apply_problem *ret_problem)
{
	json_t *files = json_object_get(obj, "files"), *events;
	const json_t *active = json_util_get(obj, "isActive");
	struct asset_problem p = {0};
	struct asset *t;
	const char *day;

	if (!asset_seed_id(tenant->log_streams, obj, ret_problem))
		return false;
	if ((t = make_stream(tenant, obj, &p)) == NULL)
		return asset_seed_problem(&p, ret_problem);
	if (json_is_false(active))
		store_set(tenant->log_streams, &t->item, STREAM_IS_ACTIVE,
		    json_false());
	json_object_foreach (files, day, events) {
		if (seed_day(t->own, day, events))
			continue;
		(void)asset_fail(&p, 400, "files",
		    "must be lists of events by day, YYYY-MM-DD");
		return asset_seed_problem(&p, ret_problem);
	}
	return true;
}

const struct route logstreams_routes[] = {
    {"GET", "/log-streams", "logstreams:read", streams_list},
    {"POST", "/log-streams", "logstreams:write", streams_create},
    {"GET", "/log-streams/{streamId}", "logstreams:read", streams_get},
    {"PUT", "/log-streams/{streamId}", "logstreams:write", streams_put},
    {"DELETE", "/log-streams/{streamId}", "logstreams:write", streams_delete},
    {"POST", "/log-streams/{streamId}/activate", "logstreams:write",
	streams_activate},
    {"POST", "/log-streams/{streamId}/deactivate", "logstreams:write",
	streams_deactivate},
    {"POST", "/log-streams/{streamId}/test", "logstreams:write",
	streams_test},
    {"GET", "/log-streams/{streamId}/files", "logstreams:read", files_list},
    {"GET", "/log-streams/{streamId}/files/{day}", "logstreams:read",
	files_get},
    {NULL, NULL, NULL, NULL},
};
