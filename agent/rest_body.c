#include "config.h"

#include "rest_body.h"

#include <jansson.h>
#include <string.h>

#include "base64.h"
#include "json_parts.h"
#include "secjson.h"
#include "secmem.h"

#define MEMBER_MAX 32		/* names of members that we look for */

enum flags {
	REQUIRED = 1 << 0,	/* without it, it is about any */
	ITEMS = 1 << 1,		/* of each of the objects in items[] */
	PAYLOAD = 1 << 2,	/* encryptedPayload names a key as well */
};

/*
 * Members by their names in small letters without "_": the service is known to
 * read two spellings of each, and may well not care about capitals.
 */
static const struct body_rule {
	const char *method;
	const char *pattern;
	enum ref_kind kind;
	enum rest_by by;
	const char *member;
	unsigned int flags;
} rules[] = {
	{ "POST", "/encrypt", REF_KEY, REST_BY_ID, "keyid", REQUIRED },
	{ "POST", "/decrypt", REF_KEY, REST_BY_ID, "keyid", PAYLOAD },
	{ "POST", "/sign", REF_KEY, REST_BY_ID, "keyid", REQUIRED },
	{ "POST", "/verify", REF_KEY, REST_BY_ID, "keyid", REQUIRED },
	{ "POST", "/secrets", REF_SECRET, REST_BY_NAME, "name", REQUIRED },
	{ "POST", "/secrets/import", REF_SECRET, REST_BY_NAME, "name",
	    REQUIRED | ITEMS },
	/* another name must be one that the rules cover too */
	{ "PATCH", "/secrets/{id}", REF_SECRET, REST_BY_NAME, "name", 0 },
	/* the group tells its name; what is no secret is none of them */
	{ "POST", "/resource-groups/{groupId}/items", REF_SECRET, REST_BY_ID,
	    "resourceid", REQUIRED },
	{ "POST", "/vault/share", REF_SECRET, REST_BY_ID, "secretid",
	    REQUIRED },
	{ "POST", "/keys", REF_KEY, REST_BY_NAME, "name", REQUIRED },
	{ "POST", "/keys/import", REF_KEY, REST_BY_NAME, "name", REQUIRED },
	{ "PATCH", "/keys/{id}", REF_KEY, REST_BY_NAME, "name", 0 },
	{ "POST", "/keys/{id}/rotate", REF_KEY, REST_BY_NAME, "name", 0 },
};

struct pass {
	const struct body_rule *rule;
	rest_subject_fn *fn;
	void *arg;
};

static void
tell(const struct pass *p, enum rest_by by, struct view text)
{
	const struct rest_subject subject = {
		.kind = p->rule->kind, .by = by, .text = text,
	};

	p->fn(p->arg, &subject);
}

static void
tell_nothing(const struct pass *p)
{
	tell(p, REST_BY_NOTHING, (struct view){ NULL, 0 });
}

/* In small letters and without "_"; "" for one that is none of ours. */
static void
plain_name(const char *name, char ret[MEMBER_MAX])
{
	size_t n = 0;

	for (; *name != '\0'; name++) {
		if (*name == '_')
			continue;
		if (n + 1 == MEMBER_MAX) {
			n = 0;
			break;
		}
		ret[n++] = *name >= 'A' && *name <= 'Z'
		    ? (char)(*name - 'A' + 'a') : *name;
	}
	ret[n] = '\0';
}

/* Letters that some take for others when capitals do not count. */
static bool
has_odd_name(json_t *doc)
{
	const char *key, *c;
	json_t *v;

	json_object_foreach(doc, key, v) {
		for (c = key; *c != '\0'; c++) {
			if ((unsigned char)*c >= 0x80)
				return true;
		}
	}
	return false;
}

/* Each member of that name, in whatever spelling.  How many there were. */
static size_t
tell_members(const struct pass *p, json_t *doc)
{
	char plain[MEMBER_MAX];
	const char *key;
	json_t *v;
	size_t count = 0;

	if (!json_is_object(doc) || has_odd_name(doc)) {
		tell_nothing(p);
		return 1;
	}
	json_object_foreach(doc, key, v) {
		plain_name(key, plain);
		if (strcmp(plain, p->rule->member) != 0 || json_is_null(v))
			continue;
		count++;
		if (json_is_string(v) && json_string_length(v) > 0)
			tell(p, p->rule->by, (struct view){
			    (const uint8_t *)json_string_value(v),
			    json_string_length(v) });
		else
			tell_nothing(p);
	}
	return count;
}

static json_t *
parse(struct view text)
{
	/* it comes from a caller, who need not mean well */
	if (!json_parts_within(text, JSON_PARTS_MAX_BODY))
		return NULL;
	return secjson_load(text, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES,
	    NULL);
}

/* Each key that an encryptedPayload names: base64 of {"k": id, …}. */
static void
tell_payload(const struct pass *p, const json_t *payload)
{
	static const struct body_rule k = { NULL, NULL, REF_KEY, REST_BY_ID,
	    "k", 0 };
	const struct pass inner = { .rule = &k, .fn = p->fn, .arg = p->arg };
	struct view text = { (const uint8_t *)json_string_value(payload),
	    json_string_length(payload) };
	json_t *doc = NULL;
	uint8_t *bytes = NULL;
	size_t len;

	if (text.len > 0)
		bytes = secmem_malloc(text.len);
	if (bytes != NULL && base64_decode(text, bytes, &len) == 0)
		doc = parse((struct view){ bytes, len });
	secmem_free(bytes);
	if (doc == NULL || tell_members(&inner, doc) == 0)
		tell_nothing(p);
	json_decref(doc);
}

static size_t
tell_payloads(const struct pass *p, json_t *doc)
{
	char plain[MEMBER_MAX];
	const char *key;
	size_t count = 0;
	json_t *v;

	json_object_foreach(doc, key, v) {
		plain_name(key, plain);
		if (strcmp(plain, "encryptedpayload") != 0 || json_is_null(v))
			continue;
		tell_payload(p, v);
		count++;
	}
	return count;
}

static void
tell_items(const struct pass *p, json_t *doc)
{
	char plain[MEMBER_MAX];
	const char *key;
	json_t *v, *item;
	size_t i, count = 0;

	if (has_odd_name(doc))
		tell_nothing(p);
	json_object_foreach(doc, key, v) {
		plain_name(key, plain);
		if (strcmp(plain, "items") != 0)
			continue;
		json_array_foreach(v, i, item) {
			count++;
			if (tell_members(p, item) == 0)
				tell_nothing(p);
		}
	}
	if (count == 0)
		tell_nothing(p);
}

static void
tell_all(const struct pass *p, json_t *doc)
{
	size_t count;

	if (p->rule->flags & ITEMS) {
		tell_items(p, doc);
		return;
	}
	count = tell_members(p, doc);
	if (p->rule->flags & PAYLOAD)
		count += tell_payloads(p, doc);
	if (count == 0 && (p->rule->flags & (REQUIRED | PAYLOAD)))
		tell_nothing(p);
}

void
rest_body_subjects(const struct endpoint *e, struct view body,
    rest_subject_fn *fn, void *arg)
{
	struct pass p = { .fn = fn, .arg = arg };
	json_t *doc;
	size_t i;

	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (strcmp(rules[i].pattern, e->pattern) == 0 &&
		    strcmp(rules[i].method, e->method) == 0)
			break;
	}
	if (i == sizeof(rules) / sizeof(rules[0]))
		return;
	p.rule = &rules[i];
	doc = body.len > 0 ? parse(body) : NULL;
	if (doc != NULL)
		tell_all(&p, doc);
	else if (body.len > 0 || (p.rule->flags & (REQUIRED | PAYLOAD)))
		tell_nothing(&p);
	json_decref(doc);
	secmem_scrub_stack();
}
