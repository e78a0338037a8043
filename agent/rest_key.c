/*
 * GET /keys/{id}/public: a JWK as the service sent it; all else out of the JSON
 * form with all members, and of the form that was asked for where that one
 * has the key in another.
 */
#include "config.h"

#include "rest_impl.h"

#include <string.h>

#include "err.h"
#include "lookup.h"
#include "rest_json.h"

#define TRIES_MAX 3		/* to have two forms of one version */

static const char *const words[] = { "name", "description", "keyType",
    "isPostQuantum", "isActive", "isDefault", "isFavorite", "createdAt",
    "expiresAt", "lastRotatedAt", "labels", "state", "scheduledDeletionDate",
    NULL };

/* Besides id, which the service may leave out. */
static const char *const always[] = { "keyId", "algorithm", "version",
    "publicKey", "format", NULL };

#define WORDS (sizeof(words) / sizeof(words[0]) - 1)
#define ALWAYS (sizeof(always) / sizeof(always[0]) - 1)

/* Where the members of the JSON form go: of words, of always, and id. */
enum { PUBLIC_KEY = WORDS + 3, FORMAT, ID, FIELDS };

struct key_query {
	bool has_format;
	enum ref_format format;
	uint32_t include;
};

/* --- members of the JSON form --- */

/* The same name, be it spelled key_id or keyId? */
static bool
is_name(struct view name, const char *camel)
{
	size_t i = 0;

	for (; *camel != '\0'; camel++, i++) {
		if (i < name.len && name.p[i] == (uint8_t)*camel)
			continue;
		if (*camel < 'A' || *camel > 'Z' || i + 1 >= name.len ||
		    name.p[i] != '_' ||
		    name.p[i + 1] != (uint8_t)(*camel - 'A' + 'a'))
			return false;
		i++;
	}
	return i == name.len;
}

/* FIELDS for one that is none of ours. */
static size_t
field_number(struct view name)
{
	size_t i;

	for (i = 0; i < WORDS; i++) {
		if (is_name(name, words[i]))
			return i;
	}
	for (i = 0; i < ALWAYS; i++) {
		if (is_name(name, always[i]))
			return WORDS + i;
	}
	return is_name(name, "id") ? ID : FIELDS;
}

/* --- the projection --- */

struct projection {
	const struct object *base;
	const struct object *form; /* NULL: the key is in base */
	uint32_t include;
	struct view fields[FIELDS]; /* of base; empty: it has it not */
};

static void
collect(struct projection *p)
{
	struct view doc = object_value(p->base);
	struct rest_member m;
	size_t pos = 0, i;

	while (rest_json_next(doc, &pos, &m)) {
		if ((i = field_number(m.name)) < FIELDS)
			p->fields[i] = m.value;
	}
}

/* Has the JSON form the key in that format? */
static bool
base_has(const struct object *base, enum ref_format format)
{
	struct projection p = { .base = base };
	const char *word = ref_format_name(format);
	size_t len = strlen(word);

	collect(&p);
	return p.fields[FORMAT].len == len + 2 &&
	    memcmp(p.fields[FORMAT].p + 1, word, len) == 0;
}

static void
put_member(struct rest_json *j, const char *name, struct view value)
{
	rest_json_text(j, ",\"");
	rest_json_text(j, name);
	rest_json_text(j, "\":");
	if (value.len > 0)
		rest_json_raw(j, value.p, value.len);
	else
		rest_json_text(j, "null");
}

static void
put_form(struct rest_json *j, const struct object *form)
{
	rest_json_text(j, ",\"publicKey\":");
	if (form->format == REF_FORMAT_PEM)
		rest_json_string(j, object_value(form));
	else
		rest_json_base64(j, object_value(form));
	rest_json_text(j, ",\"format\":\"");
	rest_json_text(j, ref_format_name(form->format));
	rest_json_text(j, "\"");
}

static void
put_extras(struct rest_json *j, const struct object *base)
{
	struct rest_member m;
	size_t pos = 0;

	while (rest_json_next(object_value(base), &pos, &m)) {
		if (field_number(m.name) < FIELDS)
			continue;
		rest_json_text(j, ",\"");
		rest_json_raw(j, m.name.p, m.name.len);
		rest_json_text(j, "\":");
		rest_json_raw(j, m.value.p, m.value.len);
	}
}

static void
put_key(struct rest_json *j, const void *ctx)
{
	const struct projection *p = ctx;
	size_t end = p->form == NULL ? ID : (size_t)PUBLIC_KEY, i;

	rest_json_text(j, "{\"keyId\":");
	rest_json_string(j, object_id(p->base));
	if (p->fields[ID].len > 0)
		put_member(j, "id", p->fields[ID]);
	for (i = WORDS + 1; i < end; i++)
		put_member(j, always[i - WORDS], p->fields[i]);
	if (p->form != NULL)
		put_form(j, p->form);
	for (i = 0; i < WORDS; i++) {
		if (p->include & 1u << i)
			put_member(j, words[i], p->fields[i]);
	}
	if (p->include == REST_INCLUDE_ALL)
		put_extras(j, p->base);
	rest_json_text(j, "}");
}

/* --- the request --- */

static bool
read_format(struct view value, struct key_query *ret)
{
	static const char *const names[] = { "raw", "pem", "der", "jwk" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!rest_query_is(value, names[i]))
			continue;
		ret->has_format = true;
		ret->format = (enum ref_format)ref_format_from_name(names[i],
		    strlen(names[i]));
		return true;
	}
	return false;
}

/* False, with the answer, for what the service would refuse. */
static bool
read_query(const struct rest *r, struct key_query *ret,
    struct rest_answer *answer)
{
	struct view query = r->m.query, name, value;

	memset(ret, 0, sizeof(*ret));
	while (rest_query_next(&query, &name, &value)) {
		if (rest_query_is(name, "format") &&
		    !read_format(value, ret)) {
			(void)rest_bad_field(answer, "format",
			    "must be raw, pem, der or jwk");
			return false;
		}
	}
	if (ret->format == REF_FORMAT_JWK) /* takes no include */
		return true;
	if (!rest_query_include(r->m.query, words, &ret->include)) {
		(void)rest_bad_field(answer, "include",
		    "holds an unknown token");
		return false;
	}
	return true;
}

/* In the session's scratch; false: no name or id can be that. */
static bool
make_ref(const struct rest *r, enum ref_format format, struct ref *ref)
{
	size_t len;

	ref->kind = REF_KEY;
	ref->field = (struct view){ NULL, 0 };
	ref->has_field = false;
	ref->version = 0;
	ref->format = format;
	if (endpoints_decode(r->m.params[0], (uint8_t *)ref->store,
	    REF_NAME_MAX, &len) != 0)
		return false;
	ref->name = (struct view){ (const uint8_t *)ref->store, len };
	return memchr(ref->store, '\0', len) == NULL;
}

static int key_go_on(struct rest *r, const struct now *now,
    const struct fetch_result *result, struct rest_answer *answer);

static int
key_fetched(struct rest *r, const struct now *now, const struct rest_event *ev,
    struct rest_answer *answer)
{
	return key_go_on(r, now, ev->fetched, answer);
}

/* fresh: what is cached is older than the other form. */
static int
fetch_form(struct rest *r, enum ref_format format, bool fresh,
    const struct now *now, struct rest_answer *answer)
{
	struct ref *ref = &r->s->env->ref;
	struct fetch_result result;
	struct fetch_query fq;

	if (!make_ref(r, format, ref))
		return rest_fail(answer, ERR_BAD_REQUEST, "no key can have "
		    "this id or name");
	if (rest_may(r, POLICY_READ, ref) == POLICY_DENIED)
		return rest_deny(r, POLICY_READ, answer);
	rest_terms(r, &fq);
	fq.ref = ref;
	fq.fresh |= fresh && !fq.only_if_cached;
	fq.quiet = r->base != NULL; /* one read of the caller's, not two */
	if (rest_fetch(r, &fq, 0, now, &result, key_fetched) == ERR_AGAIN)
		return ERR_AGAIN;
	return key_go_on(r, now, &result, answer);
}

static int
answer_key(struct rest *r, const struct key_query *q,
    const struct object *form, struct rest_answer *answer)
{
	struct projection p = { .base = r->base, .form = form,
	    .include = q->include };
	int e;

	collect(&p);
	rest_cached(r, r->base_freshness, r->base_age_ms, answer);
	e = rest_json_answer(answer, put_key, &p);
	rest_record_read(r, POLICY_READ, r->base, r->base_freshness);
	return e;
}

static int
answer_jwk(struct rest *r, const struct fetch_result *result,
    struct rest_answer *answer)
{
	rest_cached(r, result->freshness, result->age_ms, answer);
	rest_record_read(r, POLICY_READ, result->object, result->freshness);
	return rest_whole(answer, object_ref(result->object));
}

/* Both forms are there: of one version? */
static int
join_forms(struct rest *r, const struct key_query *q,
    const struct fetch_result *result, const struct now *now,
    struct rest_answer *answer)
{
	struct object *form = result->object;
	bool base_is_old = r->base->version < form->version;

	if (r->base->version == form->version) {
		if (result->freshness > r->base_freshness)
			r->base_freshness = result->freshness;
		if (result->age_ms > r->base_age_ms)
			r->base_age_ms = result->age_ms;
		return answer_key(r, q, form, answer);
	}
	if (++r->tries == TRIES_MAX)
		return rest_fail(answer, ERR_UPSTREAM_UNAVAILABLE, "the key "
		    "is being rotated; ask again");
	if (!base_is_old)
		return fetch_form(r, q->format, true, now, answer);
	object_unref(r->base);
	r->base = NULL;
	return fetch_form(r, REF_FORMAT_JSON, true, now, answer);
}

/* One of the forms is there; r->base is the one that was before. */
static int
key_found(struct rest *r, const struct key_query *q,
    const struct fetch_result *result, const struct now *now,
    struct rest_answer *answer)
{
	if (q->format == REF_FORMAT_JWK)
		return answer_jwk(r, result, answer);
	if (r->base != NULL)
		return join_forms(r, q, result, now, answer);
	r->base = object_ref(result->object);
	r->base_freshness = result->freshness;
	r->base_age_ms = result->age_ms;
	if (!q->has_format ||
	    base_has(r->base, q->format))
		return answer_key(r, q, NULL, answer);
	return fetch_form(r, q->format, false, now, answer);
}

static int
key_go_on(struct rest *r, const struct now *now,
    const struct fetch_result *result, struct rest_answer *answer)
{
	struct ref *ref = &r->s->env->ref;
	struct key_query q;
	int e = REST_DONE;

	if (!read_query(r, &q, answer) || !make_ref(r, q.format, ref))
		; /* both went well before */
	else if (result->error != 0)
		return rest_fail_read(r, ref, result, answer);
	else if (!rest_may_have(r, POLICY_READ, result->object))
		e = rest_deny(r, POLICY_READ, answer);
	else
		e = key_found(r, &q, result, now, answer);
	object_unref(result->object);
	return e;
}

int
rest_key_start(struct rest *r, const struct now *now,
    struct rest_answer *answer)
{
	struct key_query q;

	if (!read_query(r, &q, answer))
		return REST_DONE;
	return fetch_form(r, q.format == REF_FORMAT_JWK ? REF_FORMAT_JWK
	    : REF_FORMAT_JSON, false, now, answer);
}
