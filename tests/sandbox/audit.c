#include "audit.h"

#include "api_keys.h"
#include "apply.h"
#include "call.h"
#include "ids.h"
#include "include.h"
#include "json_util.h"
#include "key.h"
#include "keymat.h"
#include "logstreams.h"
#include "mem.h"
#include "secret.h"
#include "store.h"
#include "tenant.h"
#include "timefmt.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define AUDIT_BACK_US (10 * 1000000)

/*
 * The members that are text, in the order of an entry. A list of them is much
 * smaller than an object, and the most are shared with what they name.
 */
enum audit_text {
	AUDIT_ID,
	AUDIT_ACTION,
	AUDIT_CATEGORY,
	AUDIT_ACTOR,
	AUDIT_ACTOR_TYPE,
	AUDIT_RESOURCE_TYPE,
	AUDIT_RESOURCE_ID,
	AUDIT_RESOURCE_NAME,
	AUDIT_OUTCOME,
	AUDIT_ERROR,
	AUDIT_ALGORITHM,
	AUDIT_CHANNEL,
	AUDIT_IP_ADDRESS,
	AUDIT_USER_AGENT,
	AUDIT_TEXTS
};

/* What a seed may leave out; NULL: the member is null. */
static const struct {
	const char *name;
	const char *absent;
} texts[AUDIT_TEXTS] = {
    [AUDIT_ID] = {"id", NULL},
    [AUDIT_ACTION] = {"action", "ResourceRead"},
    [AUDIT_CATEGORY] = {"category", "other"},
    [AUDIT_ACTOR] = {"actor", "sandbox@example.com"},
    [AUDIT_ACTOR_TYPE] = {"actorType", "user"},
    [AUDIT_RESOURCE_TYPE] = {"resourceType", "Resource"},
    [AUDIT_RESOURCE_ID] = {"resourceId", AUDIT_NO_ID},
    [AUDIT_RESOURCE_NAME] = {"resourceName", NULL},
    [AUDIT_OUTCOME] = {"outcome", "success"},
    [AUDIT_ERROR] = {"error", NULL},
    [AUDIT_ALGORITHM] = {"algorithm", NULL},
    [AUDIT_CHANNEL] = {"channel", NULL},
    [AUDIT_IP_ADDRESS] = {"ipAddress", NULL},
    [AUDIT_USER_AGENT] = {"userAgent", NULL},
};

/* The numbers and truths are JSON too: most are null. */
enum audit_value {
	AUDIT_VALID,
	AUDIT_KEY_VERSION,
	AUDIT_BATCH_SIZE,
	AUDIT_FAILED_ITEMS,
	AUDIT_VALUES
};

static const char *const values[AUDIT_VALUES] = {
    [AUDIT_VALID] = "valid",
    [AUDIT_KEY_VERSION] = "keyVersion",
    [AUDIT_BATCH_SIZE] = "batchSize",
    [AUDIT_FAILED_ITEMS] = "failedItems",
};

struct entry {
	int64_t at_us; /* wall clock */
	json_t *text[AUDIT_TEXTS];
	json_t *value[AUDIT_VALUES];
};

struct audit {
	struct entry *entry; /* a ring of up to AUDIT_MAX */
	size_t n;
	size_t next; /* where the next one goes */
	int64_t last_us;
};

struct audit *
audit_new(void)
{
	return mem_zero(sizeof(struct audit));
}

static void
entry_done(struct entry *e)
{
	for (size_t i = 0; i < AUDIT_TEXTS; i++)
		json_decref(e->text[i]);
	for (size_t i = 0; i < AUDIT_VALUES; i++)
		json_decref(e->value[i]);
	memset(e, 0, sizeof(*e));
}

void
audit_free(struct audit *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->n; i++)
		entry_done(&a->entry[i]);
	free(a->entry);
	free(a);
}

/* Room for one more; the oldest goes where there is none. */
static struct entry *
add(struct audit *a)
{
	struct entry *e;

	if (a->n < AUDIT_MAX) {
		a->entry = mem_grow(a->entry, a->n + 1, sizeof(*a->entry));
		e = &a->entry[a->n++];
		memset(e, 0, sizeof(*e));
	} else {
		e = &a->entry[a->next];
		entry_done(e);
	}
	a->next = (a->next + 1) % AUDIT_MAX;
	return e;
}

/* The i-th, the newest being 0. */
static const struct entry *
at(const struct audit *a, size_t i)
{
	return &a->entry[(a->next + AUDIT_MAX - 1 - i) % AUDIT_MAX];
}

void
audit_action(struct call *c, const char *action)
{
	c->note.action = action;
}

void
audit_resource(
    struct call *c, const char *type, const json_t *id, const json_t *name)
{
	json_decref(c->note.id);
	json_decref(c->note.name);
	/* Copies: a name may be changed in place, and stays as it was. */
	c->note.id = json_copy((json_t *)(uintptr_t)id);
	c->note.name = json_copy((json_t *)(uintptr_t)name);
	c->note.type = type;
}

void
audit_key(struct call *c, const struct key *k, int64_t version)
{
	audit_resource(c, "CryptoKey", k->field[KEY_ID], k->field[KEY_NAME]);
	c->note.algorithm = key_current(k)->material->alg->name;
	c->note.key_version = version;
}

void
audit_skip(struct call *c)
{
	c->note.skip = true;
}

static bool
is_uuid(const char *s)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	for (size_t i = 0; i < sizeof(form); i++) {
		if (form[i] == 'x' ? !isxdigit((unsigned char)s[i])
				   : s[i] != form[i])
			return false;
	}
	return true;
}

/* The item that the path names, be it by its id or, in transit, its name. */
static const struct item *
named(const struct call *c, const char *type)
{
	bool transit = strncmp(c->match.route->path, "/transit/", 9) == 0;
	const struct store *st = NULL;

	if (c->match.param[0] == NULL)
		return NULL;
	if (strcmp(type, "Secret") == 0)
		st = c->tenant->secrets;
	else if (strcmp(type, "CryptoKey") == 0)
		st = c->tenant->keys;
	if (st == NULL)
		return NULL;
	return transit ? store_find_name(st, c->match.param[0])
		       : store_find(st, c->match.param[0]);
}

void
audit_look(struct call *c)
{
	const struct audit_name *name;
	const struct item *it;
	const char *last = NULL;

	if (c->match.control || c->note.type != NULL ||
	    (name = audit_name_of(c->match.route)) == NULL)
		return;
	c->note.action = name->action;
	c->note.type = name->type;
	if ((it = named(c, name->type)) != NULL) {
		if (strcmp(name->type, "CryptoKey") == 0)
			audit_key(c, (const struct key *)it, 0);
		else
			audit_resource(c, name->type, it->field[STORE_ID],
			    it->field[STORE_NAME]);
		return;
	}
	/* Of /applications/{}/end-users/{} it is the last that counts. */
	for (size_t i = 0; i < ROUTE_MAX_PARAMS; i++) {
		if (c->match.param[i] != NULL)
			last = c->match.param[i];
	}
	if (last != NULL && is_uuid(last))
		c->note.id = json_string(last);
}

static json_t *
text_or_null(const char *s)
{
	return s == NULL ? NULL : json_string(s);
}

static const char *
outcome(const struct call *c)
{
	const char *error = c->note.error;

	if (c->answer.status < 400)
		return "success";
	/* A 403 about the state of a key is not about rights. */
	return c->answer.status == 401 ||
		       (c->answer.status == 403 && error != NULL &&
			   (strcmp(error, "insufficient_scope") == 0 ||
			       strcmp(error, "forbidden") == 0))
		   ? "denied"
		   : "failure";
}

static void
fill_texts(const struct call *c, json_t **text)
{
	const struct audit_note *n = &c->note;
	bool keys = strcmp(n->type, "CryptoKey") == 0;

	text[AUDIT_ID] = ids_uuid();
	text[AUDIT_ACTION] = json_string(n->action);
	text[AUDIT_CATEGORY] = json_string(keys ? "keys" : "other");
	text[AUDIT_ACTOR] =
	    c->key == NULL ? json_string("anonymous") : call_actor(c);
	text[AUDIT_ACTOR_TYPE] =
	    json_string(c->key == NULL ? "other" : "apiKey");
	text[AUDIT_RESOURCE_TYPE] = json_string(n->type);
	text[AUDIT_RESOURCE_ID] =
	    n->id == NULL ? json_string(AUDIT_NO_ID) : json_incref(n->id);
	text[AUDIT_RESOURCE_NAME] = json_incref(n->name);
	text[AUDIT_OUTCOME] = json_string(outcome(c));
	text[AUDIT_ERROR] = text_or_null(n->error);
	text[AUDIT_ALGORITHM] = text_or_null(n->algorithm);
	text[AUDIT_CHANNEL] = text_or_null(n->channel);
	text[AUDIT_IP_ADDRESS] = text_or_null(c->peer);
	/* NULL too where it is no UTF-8. */
	text[AUDIT_USER_AGENT] = text_or_null(c->user_agent);
}

static json_t *
entry_object(const void *arg)
{
	const struct entry *e = arg;
	json_t *v = json_object();

	json_object_set_new(v, "timestamp", timefmt_json(e->at_us));
	for (size_t i = 0; i < AUDIT_TEXTS; i++)
		json_object_set_new(
		    v, texts[i].name, json_util_or_null(e->text[i]));
	for (size_t i = 0; i < AUDIT_VALUES; i++)
		json_object_set_new(
		    v, values[i], json_util_or_null(e->value[i]));
	return v;
}

void
audit_record(struct call *c)
{
	struct audit *a = c->tenant->audit;
	const struct audit_note *n = &c->note;
	int64_t now = timefmt_now_us();
	struct entry *e;

	audit_look(c);
	if (n->type == NULL || n->skip)
		return;
	/* The order shows in the times, though a clock be set back a little. */
	if (now <= a->last_us && a->last_us - now < AUDIT_BACK_US)
		now = a->last_us + 1;
	a->last_us = now;
	e = add(a);
	e->at_us = now;
	fill_texts(c, e->text);
	if (n->has_valid)
		e->value[AUDIT_VALID] = json_boolean(n->valid);
	if (n->key_version != 0)
		e->value[AUDIT_KEY_VERSION] = json_integer(n->key_version);
	if (n->has_batch) {
		e->value[AUDIT_BATCH_SIZE] = json_integer(n->batch_size);
		e->value[AUDIT_FAILED_ITEMS] = json_integer(n->failed_items);
	}
	logstreams_event(c->tenant, entry_object, e);
}

void
audit_done(struct audit_note *n)
{
	json_decref(n->id);
	json_decref(n->name);
	memset(n, 0, sizeof(*n));
}

bool
audit_seed(struct audit *a, json_t *obj, struct apply_problem *ret_problem)
{
	json_t *time = json_util_get(obj, "timestamp"), *v;
	int64_t us = timefmt_now_us();
	const char *bad = NULL;
	struct entry *e;

	if (time != NULL && (!json_is_string(time) ||
				!timefmt_parse(json_string_value(time), &us)))
		bad = "timestamp";
	for (size_t i = 0; i < AUDIT_TEXTS; i++) {
		v = json_util_get(obj, texts[i].name);
		if (v != NULL && !json_is_null(v) && !json_is_string(v))
			bad = texts[i].name;
	}
	if (bad != NULL) {
		(void)snprintf(
		    ret_problem->field, sizeof(ret_problem->field), "%s", bad);
		ret_problem->text = "is no text, or no timestamp";
		return false;
	}
	e = add(a);
	e->at_us = us;
	for (size_t i = 0; i < AUDIT_TEXTS; i++) {
		v = json_util_get(obj, texts[i].name);
		if (v == NULL || json_is_null(v))
			e->text[i] = i == AUDIT_ID
					 ? ids_uuid()
					 : text_or_null(texts[i].absent);
		else
			e->text[i] = json_incref(v);
	}
	for (size_t i = 0; i < AUDIT_VALUES; i++)
		e->value[i] = json_incref(json_util_get(obj, values[i]));
	return true;
}

/* What a list is narrowed by; NULL, and 0: not. */
struct filter {
	const char *category;
	const char *action;
	const char *key_id;
	const char *actor;
	bool has_from;
	bool has_to;
	int64_t from_us;
	int64_t to_us;
};

static bool
is_text(const struct entry *e, enum audit_text i, const char *want)
{
	const char *s = json_string_value(e->text[i]);

	return want == NULL || (s != NULL && strcmp(s, want) == 0);
}

/* One action, or some of them with commas between. */
static bool
is_one_of(const char *action, const char *list)
{
	size_t len = strlen(action);

	while (list != NULL) {
		size_t n = strcspn(list, ",");

		if (n == len && strncasecmp(action, list, n) == 0)
			return true;
		list = list[n] == ',' ? list + n + 1 : NULL;
	}
	return false;
}

static bool
fits(const struct entry *e, const struct filter *f)
{
	return is_text(e, AUDIT_CATEGORY, f->category) &&
	       (f->action == NULL ||
		   is_one_of(json_string_value(e->text[AUDIT_ACTION]),
		       f->action)) &&
	       (f->key_id == NULL ||
		   (is_text(e, AUDIT_RESOURCE_TYPE, "CryptoKey") &&
		       is_text(e, AUDIT_RESOURCE_ID, f->key_id))) &&
	       (f->actor == NULL ||
		   strcasestr(json_string_value(e->text[AUDIT_ACTOR]),
		       f->actor) != NULL) &&
	       (!f->has_from || e->at_us >= f->from_us) &&
	       (!f->has_to || e->at_us <= f->to_us);
}

/* A timestamp, or a day: its first moment. false: answered. */
static bool
query_time(struct call *c, const char *name, bool *ret_has, int64_t *ret_us)
{
	const char *s = query_get(&c->query, name);
	char *day;
	bool ok;

	if (s == NULL || *s == '\0')
		return true;
	day = mem_printf("%sT00:00:00Z", s);
	ok = timefmt_parse(strlen(s) == 10 ? day : s, ret_us);
	free(day);
	*ret_has = ok;
	if (!ok)
		call_bad_field(c, name, "must be an RFC 3339 timestamp");
	return ok;
}

/* A parameter that clients send empty where they mean none. */
static const char *
query_text(struct call *c, const char *name)
{
	const char *s = query_get(&c->query, name);

	return s == NULL || *s == '\0' ? NULL : s;
}

static void
audit_list(struct call *c)
{
	const struct audit *a = c->tenant->audit;
	struct filter f = {
	    .category = query_text(c, "category"),
	    .action = query_text(c, "action"),
	    .key_id = query_text(c, "keyId"),
	    .actor = query_text(c, "actor"),
	};
	struct include_page page;
	size_t first, n = 0;
	json_t *items;

	audit_skip(c);
	if (!include_page(c, &page) ||
	    !query_time(c, "from", &f.has_from, &f.from_us) ||
	    !query_time(c, "to", &f.has_to, &f.to_us))
		return;
	first = (page.page - 1) * page.size;
	items = json_array();
	for (size_t i = 0; i < a->n; i++) {
		const struct entry *e = at(a, i);

		if (!fits(e, &f))
			continue;
		if (n >= first && n - first < page.size)
			json_array_append_new(items, entry_object(e));
		n++;
	}
	call_json(c, 200,
	    json_pack("{s:o, s:I, s:I, s:I}", "items", items, "totalCount",
		(json_int_t)n, "page", (json_int_t)page.page, "pageSize",
		(json_int_t)page.size));
}

const struct route audit_routes[] = {
    {"GET", "/audit", "audit:read", audit_list},
    {"GET", "/audit-logs", "audit:read", audit_list},
    {NULL, NULL, NULL, NULL},
};
