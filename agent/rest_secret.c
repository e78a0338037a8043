/*
 * GET /secrets/{id}: every projection out of the one object that is cached.
 */
#include "config.h"

#include "rest_impl.h"

#include <string.h>

#include "err.h"
#include "lookup.h"
#include "rest_json.h"

/* Which version the query names; 0: none. */
struct secret_query {
	uint64_t version;
	uint32_t include;	/* bits of members[]'s words */
};

/* What comes only if it is asked for, in the order in which it is sent. */
static const char *const words[] = { "description", "notes", "labels",
    "customFields", "folderId", "expiresAt", "isActive", "isFavorite",
    "hasTotp", "isTravelSafe", "createdAt", "updatedAt", "createdBy",
    "updatedBy", NULL };

enum { IS_ACTIVE = 6, IS_FAVORITE = 7, HAS_TOTP = 8 };

/* What always comes besides id, name, value and version. */
static const char *const always[] = { "contentType", "username", "totpSecret",
    "urls", NULL };

enum { TOTP_SECRET = 2 };

#define WORDS (sizeof(words) / sizeof(words[0]) - 1)
#define ALWAYS (sizeof(always) / sizeof(always[0]) - 1)

/* --- the projection --- */

struct projection {
	const struct object *o;
	uint32_t include;
	struct view version;	/* empty: o->version */
	struct object_field fields[WORDS + ALWAYS]; /* of words, then always */
};

static bool
is_word(struct view name, const char *word)
{
	return name.len == strlen(word) &&
	    memcmp(name.p, word, name.len) == 0;
}

/* Which of the fields has that name; WORDS + ALWAYS: none. */
static size_t
field_number(struct view name)
{
	size_t i;

	for (i = 0; i < ALWAYS; i++) {
		if (is_word(name, always[i]))
			return WORDS + i;
	}
	for (i = 0; i < WORDS && !is_word(name, words[i]); i++)
		;
	return i < WORDS ? i : WORDS + ALWAYS;
}

static void
collect(struct projection *p)
{
	struct object_field field;
	size_t pos = 0, i;

	while (object_next_field(p->o, &pos, &field)) {
		if (is_word(field.name, "version"))
			p->version = field.content;
		else if ((i = field_number(field.name)) < WORDS + ALWAYS)
			p->fields[i] = field;
	}
}

static void
put_content(struct rest_json *j, const struct object_field *f)
{
	if (f->is_text)
		rest_json_string(j, f->content);
	else
		rest_json_raw(j, f->content.p, f->content.len);
}

/* A member that is not set is null, but for those that never are. */
static void
put_word(struct rest_json *j, const struct projection *p, size_t i)
{
	rest_json_text(j, ",\"");
	rest_json_text(j, words[i]);
	rest_json_text(j, "\":");
	if (p->fields[i].name.len > 0)
		put_content(j, &p->fields[i]);
	else if (i == IS_ACTIVE)
		rest_json_text(j, p->o->is_active ? "true" : "false");
	else if (i == HAS_TOTP)
		rest_json_text(j, p->fields[WORDS + TOTP_SECRET].name.len > 0
		    ? "true" : "false");
	else
		rest_json_text(j, i == IS_FAVORITE ? "false" : "null");
}

static bool
is_extra(struct view name)
{
	static const char prefix[] = "customFields.";

	/* the fields of customFields are there once more, one by one */
	return field_number(name) == WORDS + ALWAYS && 
	    !is_word(name, "version") && (name.len < sizeof(prefix) - 1 ||
	    memcmp(name.p, prefix, sizeof(prefix) - 1) != 0);
}

/* Members that the agent knows nothing of. */
static void
put_extras(struct rest_json *j, const struct object *o)
{
	struct object_field field;
	size_t pos = 0;

	while (object_next_field(o, &pos, &field)) {
		if (!is_extra(field.name))
			continue;
		rest_json_text(j, ",");
		rest_json_string(j, field.name);
		rest_json_text(j, ":");
		put_content(j, &field);
	}
}

static void
put_always(struct rest_json *j, const struct projection *p)
{
	size_t i;

	rest_json_text(j, "{\"id\":");
	rest_json_string(j, object_id(p->o));
	rest_json_text(j, ",\"name\":");
	rest_json_string(j, object_name(p->o));
	rest_json_text(j, ",\"value\":");
	rest_json_string(j, object_value(p->o));
	rest_json_text(j, ",\"version\":");
	if (p->version.len > 0)
		rest_json_raw(j, p->version.p, p->version.len);
	else if (p->o->version > 0)
		rest_json_number(j, p->o->version);
	else
		rest_json_text(j, "null");
	for (i = 0; i < ALWAYS; i++) {
		rest_json_text(j, ",\"");
		rest_json_text(j, always[i]);
		rest_json_text(j, "\":");
		if (p->fields[WORDS + i].name.len > 0)
			put_content(j, &p->fields[WORDS + i]);
		else
			rest_json_text(j, "null");
	}
}

static void
put_secret(struct rest_json *j, const void *ctx)
{
	const struct projection *p = ctx;
	size_t i;

	put_always(j, p);
	for (i = 0; i < WORDS; i++) {
		if (p->include & 1u << i)
			put_word(j, p, i);
	}
	if (p->include == REST_INCLUDE_ALL)
		put_extras(j, p->o);
	rest_json_text(j, "}");
}

/* --- the request --- */

/* False, with the answer, for what the service would refuse. */
static bool
read_query(const struct rest *r, struct secret_query *ret,
    struct rest_answer *answer)
{
	struct view query = r->m.query, name, value;

	ret->version = 0;
	if (!rest_query_include(query, words, &ret->include)) {
		(void)rest_bad_field(answer, "include",
		    "holds an unknown token");
		return false;
	}
	while (rest_query_next(&query, &name, &value)) {
		if (rest_query_is(name, "version") &&
		    !rest_query_number(value, 1, INT64_MAX, &ret->version)) {
			(void)rest_bad_field(answer, "version",
			    "must be a whole number from 1");
			return false;
		}
	}
	return true;
}

/* In the session's scratch; false: no name or id can be that. */
static bool
make_ref(const struct rest *r, uint64_t version, struct ref *ref)
{
	size_t len;

	ref->kind = REF_SECRET;
	ref->field = (struct view){ (const uint8_t *)"value", 5 };
	ref->has_field = false;
	ref->version = version;
	ref->format = REF_FORMAT_JSON;
	if (endpoints_decode(r->m.params[0], (uint8_t *)ref->store,
	    REF_NAME_MAX, &len) != 0)
		return false;
	ref->name = (struct view){ (const uint8_t *)ref->store, len };
	return memchr(ref->store, '\0', len) == NULL;
}

static int
answer_secret(struct rest *r, const struct secret_query *q,
    const struct fetch_result *result, struct rest_answer *answer)
{
	struct projection p = { .o = result->object, .include = q->include };

	collect(&p);
	rest_cached(r, result->freshness, result->age_ms, answer);
	return rest_json_answer(answer, put_secret, &p);
}

static int
secret_done(struct rest *r, const struct secret_query *q,
    const struct ref *ref, const struct fetch_result *result,
    struct rest_answer *answer)
{
	struct object *o = result->object;
	int e;

	if (result->error != 0)
		return rest_fail_read(r, ref, result, answer);
	if (!rest_may_have(r, POLICY_READ, o)) {
		object_unref(o);
		return rest_deny(r, POLICY_READ, answer);
	}
	e = answer_secret(r, q, result, answer);
	rest_record_read(r, POLICY_READ, o, result->freshness);
	object_unref(o);
	return e;
}

static int
secret_fetched(struct rest *r, const struct now *now,
    const struct rest_event *ev, struct rest_answer *answer)
{
	struct ref *ref = &r->s->env->ref;
	struct secret_query q;

	(void)now;
	/* both went well before */
	if (!read_query(r, &q, answer) || !make_ref(r, q.version, ref)) {
		object_unref(ev->fetched->object);
		return REST_DONE;
	}
	return secret_done(r, &q, ref, ev->fetched, answer);
}

int
rest_secret_start(struct rest *r, const struct now *now,
    struct rest_answer *answer)
{
	struct ref *ref = &r->s->env->ref;
	struct fetch_query fq;
	struct fetch_result result;
	struct secret_query q;

	if (!read_query(r, &q, answer))
		return REST_DONE;
	if (!make_ref(r, q.version, ref))
		return rest_fail(answer, ERR_BAD_REQUEST, "no secret can have "
		    "this id or name");
	if (rest_may(r, POLICY_READ, ref) == POLICY_DENIED)
		return rest_deny(r, POLICY_READ, answer);
	rest_terms(r, &fq);
	fq.ref = ref;
	if (rest_fetch(r, &fq, 0, now, &result, secret_fetched) == ERR_AGAIN)
		return ERR_AGAIN;
	return secret_done(r, &q, ref, &result, answer);
}
