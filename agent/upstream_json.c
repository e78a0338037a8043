#include "config.h"

#include "upstream_json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base64.h"
#include "err.h"
#include "key_words.h"
#include "msg.h"
#include "secjson.h"
#include "secmem.h"
#include "units.h"

#define MEMBER_MAX 32		/* names of members that we look for */
#define DUMP_FLAGS (JSON_COMPACT | JSON_ENCODE_ANY)
#define CUSTOM_PREFIX "customFields."

/*
 * Debian's jansson binds its symbols at the first call of each, which saves
 * the vector registers, and what secrets they hold, on the stack.  So have all
 * of that done with a document that is no secret.
 */
static bool
warm_up(void)
{
	static const char doc[] =
	    "{\"a\\u0000\\ud83d\\ude00\\n\":[1,-2.5e3,true,false,null,"
	    "\"\\\"\xc3\xa9\"],\"b\":{}}";
	json_t *root, *value;
	const char *key;
	char *text;

	/* A NUL in a key is an error, so both ways are gone through. */
	root = json_loadb(doc, sizeof(doc) - 1,
	    JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	json_decref(root);
	root = json_loadb(doc + sizeof("{\"a\\u0000\\ud83d\\ude00\\n\":") - 1,
	    sizeof("[1,-2.5e3,true,false,null,\"\\\"\xc3\xa9\"]") - 1,
	    JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
	if (root == NULL)
		return false;
	value = json_object();
	(void)json_object_set_new(value, "list", root);
	json_object_foreach(value, key, root)
		(void)json_array_size(root);
	text = json_dumps(value, DUMP_FLAGS);
	json_decref(value);
	secmem_free(text);
	return text != NULL;
}

int
upstream_json_global_init(void)
{
	size_t seed = 0;

	secjson_global_init();
	/* Of its own accord it would open /dev/urandom at some later time. */
	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return ERR_INTERNAL;
	json_object_seed(seed == 0 ? 1 : seed);
	return warm_up() ? 0 : ERR_INTERNAL;
}

/* --- outcomes --- */

static void
fail(struct upstream_answer *a, int error, const char *message)
{
	a->error = error;
	(void)snprintf(a->message, sizeof(a->message), "%s", message);
}

static void
wrong(struct upstream_answer *a, const char *message)
{
	fail(a, ERR_UPSTREAM_ERROR, message);
}

static void
no_memory(struct upstream_answer *a)
{
	fail(a, ERR_NOMEM, "no secret memory left for the answer");
}

/* --- documents --- */

/* NULL with a failure in a; the parser's own text would quote the body. */
static json_t *
parse(struct view body, struct upstream_answer *a)
{
	json_t *doc;
	int code;

	if (body.len == 0) {
		wrong(a, "the answer is empty");
		return NULL;
	}
	doc = secjson_load(body, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES,
	    &code);
	if (doc != NULL)
		return doc;
	if (code == json_error_out_of_memory)
		no_memory(a);
	else if (code == json_error_duplicate_key)
		wrong(a, "the JSON of the answer has a member twice");
	else if (code == json_error_numeric_overflow)
		wrong(a, "the JSON of the answer has a number out of range");
	else if (code == json_error_stack_overflow)
		wrong(a, "the JSON of the answer is nested too deeply");
	else
		wrong(a, "the answer is not JSON");
	return NULL;
}

/* A document that must be an object. */
static json_t *
parse_object(struct view body, struct upstream_answer *a)
{
	json_t *doc = parse(body, a);

	if (doc != NULL && !json_is_object(doc)) {
		wrong(a, "the answer is not a JSON object");
		json_decref(doc);
		return NULL;
	}
	return doc;
}

/* expiresAt to expires_at.  False if it does not fit. */
static bool
snake_name(const char *camel, char ret[MEMBER_MAX])
{
	size_t n = 0;

	for (; *camel != '\0'; camel++) {
		if (n + 3 > MEMBER_MAX)
			return false;
		if (*camel >= 'A' && *camel <= 'Z') {
			ret[n++] = '_';
			ret[n++] = (char)(*camel - 'A' + 'a');
		} else {
			ret[n++] = *camel;
		}
	}
	ret[n] = '\0';
	return true;
}

/* Known name for a spelling like expires_at, NULL if it is none. */
static const char *
camel_name(const char *snake)
{
	char camel[MEMBER_MAX];
	size_t n = 0;

	if (strchr(snake, '_') == NULL)
		return NULL;
	for (; *snake != '\0'; snake++) {
		if (n + 1 >= sizeof(camel))
			return NULL;
		if (snake[0] == '_' && snake[1] >= 'a' && snake[1] <= 'z') {
			snake++;
			camel[n++] = (char)(*snake - 'a' + 'A');
		} else {
			camel[n++] = *snake;
		}
	}
	return object_known_field((struct view){(uint8_t *)camel, n});
}

/* A member in either spelling, camelCase first; null is as good as absent. */
static json_t *
member(const json_t *doc, const char *camel)
{
	json_t *v = json_object_get(doc, camel);
	char snake[MEMBER_MAX];

	if ((v == NULL || json_is_null(v)) && snake_name(camel, snake))
		v = json_object_get(doc, snake);
	return json_is_null(v) ? NULL : v;
}

/* Is it there, in either spelling, if only as null? */
static bool
has_member(const json_t *doc, const char *camel)
{
	char snake[MEMBER_MAX];

	return json_object_get(doc, camel) != NULL ||
	    (snake_name(camel, snake) && json_object_get(doc, snake) != NULL);
}

static struct view
string_view(const json_t *v)
{
	if (!json_is_string(v))
		return (struct view){NULL, 0};
	return (struct view){(const uint8_t *)json_string_value(v),
	    json_string_length(v)};
}

/* Text of a member; empty if it is absent, none, or holds a NUL. */
static struct view
member_text(const json_t *doc, const char *camel)
{
	struct view v = string_view(member(doc, camel));

	if (v.len > 0 && memchr(v.p, '\0', v.len) != NULL)
		v.len = 0;
	return v;
}

static uint64_t
member_number(const json_t *doc, const char *camel)
{
	const json_t *v = member(doc, camel);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return 0;
	return (uint64_t)json_integer_value(v);
}

/* False if there is one that is no time; absent is MSG_NO_TIME. */
static bool
member_time(const json_t *doc, const char *camel, int64_t *ret)
{
	const json_t *v = member(doc, camel);
	struct view text = string_view(v);

	*ret = MSG_NO_TIME;
	return v == NULL || (text.len > 0 && units_parse_time(
	    (const char *)text.p, text.len, ret) == 0);
}

/* --- what secrets and keys have in common --- */

/*
 * The times.  A key dies at its scheduled deletion as at its expiry, and
 * changes by rotation: lastRotatedAt is in its row and in its public object,
 * updatedAt in its row alone.  A time of expiry that cannot be read is no
 * reason to serve a value for ever.
 */
static bool
read_times(const json_t *doc, enum ref_kind kind, int64_t *ret_updated,
    int64_t *ret_created, int64_t *ret_expires)
{
	int64_t deleted = MSG_NO_TIME;

	(void)member_time(doc, kind == REF_KEY ? "lastRotatedAt" : "updatedAt",
	    ret_updated);
	(void)member_time(doc, "createdAt", ret_created);
	if (!member_time(doc, "expiresAt", ret_expires) ||
	    (kind == REF_KEY &&
	    !member_time(doc, "scheduledDeletionDate", &deleted)))
		return false;
	if (deleted != MSG_NO_TIME &&
	    (*ret_expires == MSG_NO_TIME || deleted < *ret_expires))
		*ret_expires = deleted;
	return true;
}

/* isActive; where only keys' status is told, that. */
static bool
read_active(const json_t *doc, enum ref_kind kind)
{
	const json_t *v = member(doc, "isActive");
	struct view status;

	if (json_is_boolean(v) || kind != REF_KEY)
		return !json_is_false(v);
	status = member_text(doc, "status");
	return status.len == 0 ||
	    (strcmp((const char *)status.p, "inactive") != 0 &&
	    strcmp((const char *)status.p, "deleted") != 0);
}

/*
 * A new object with all but its data.  The id is the one asked for, so that
 * one thing has one id in the cache.
 */
static struct object *
new_object(const struct upstream_request *req, const json_t *doc,
    enum ref_kind kind, struct upstream_answer *a)
{
	struct view name = member_text(doc, "name");
	int64_t created;	/* no more than the field of that name */
	struct object *o;

	if (name.len > MSG_NAME_MAX) {
		wrong(a, "`name` is too long");
		return NULL;
	}
	if ((o = object_new(kind, req->id, name)) == NULL) {
		no_memory(a);
		return NULL;
	}
	o->version = member_number(doc, "version");
	o->is_active = read_active(doc, kind);
	if (!read_times(doc, kind, &o->updated_at, &created,
	    &o->expires_at)) {
		wrong(a, kind == REF_KEY ? "`expiresAt` or "
		    "`scheduledDeletionDate` is not a time" :
		    "`expiresAt` is not a time");
		object_unref(o);
		return NULL;
	}
	return o;
}

/* --- fields of a secret --- */

struct fields {
	struct object_field *list;
	size_t count;
	size_t cap;
	char **texts;		/* of jansson's memory, as many as cap */
	size_t ntexts;
	bool failed;		/* no memory */
};

static void
fields_done(struct fields *f)
{
	while (f->ntexts > 0)
		secmem_free(f->texts[--f->ntexts]);
	free(f->texts);
	free(f->list);
}

/* Room for cap fields, of which each may need two texts. */
static bool
fields_init(struct fields *f, size_t cap)
{
	*f = (struct fields){.cap = cap};
	f->list = calloc(cap + 1, sizeof(*f->list));
	f->texts = calloc(2 * cap + 1, sizeof(*f->texts));
	return f->list != NULL && f->texts != NULL;
}

static void
fields_add(struct fields *f, struct view name, const json_t *v)
{
	struct object_field *field = &f->list[f->count];
	char *text;

	if (v == NULL || json_is_null(v) || f->count == f->cap)
		return;
	field->name = name;
	field->is_text = json_is_string(v);
	field->content = string_view(v);
	if (!field->is_text) {
		if ((text = json_dumps(v, DUMP_FLAGS)) == NULL) {
			f->failed = true;
			return;
		}
		f->texts[f->ntexts++] = text;
		field->content = (struct view){(uint8_t *)text, strlen(text)};
	}
	f->count++;
}

static void
add_custom(struct fields *f, struct view name, const json_t *v)
{
	size_t len = sizeof(CUSTOM_PREFIX) - 1;
	char *full;

	if (name.len == 0 || name.len > REF_FIELD_MAX - len)
		return;
	if ((full = secjson_alloc(len + name.len)) == NULL) {
		f->failed = true;
		return;
	}
	f->texts[f->ntexts++] = full;
	memcpy(full, CUSTOM_PREFIX, len);
	memcpy(full + len, name.p, name.len);
	fields_add(f, (struct view){(uint8_t *)full, len + name.len}, v);
}

static size_t
custom_count(const json_t *custom)
{
	return json_is_array(custom) ? json_array_size(custom) :
	    json_object_size(custom);
}

/* customFields once more, one by one: array of {name, value}, or object. */
static void
add_customs(struct fields *f, json_t *custom)
{
	const char *key;
	json_t *v;
	size_t i;

	if (json_is_array(custom)) {
		json_array_foreach(custom, i, v)
			add_custom(f, member_text(v, "name"),
			    json_object_get(v, "value"));
		return;
	}
	json_object_foreach(custom, key, v)
		add_custom(f,
		    (struct view){(const uint8_t *)key, strlen(key)}, v);
}

static void
add_member(struct fields *f, const json_t *doc, const char *key,
    const json_t *v)
{
	const char *camel = camel_name(key);
	const json_t *other;

	if (camel != NULL) {
		other = json_object_get(doc, camel);
		if (other != NULL && !json_is_null(other))
			return; /* the same in the first spelling */
		key = camel;
	}
	/* One without a name could not be asked for. */
	if (key[0] == '\0' || strcmp(key, "value") == 0 ||
	    strcmp(key, "id") == 0 || strcmp(key, "name") == 0 ||
	    strlen(key) > REF_FIELD_MAX)
		return;
	fields_add(f, (struct view){(const uint8_t *)key, strlen(key)}, v);
}

static void
set_fields(struct object *o, json_t *doc, struct view value,
    struct upstream_answer *a)
{
	json_t *custom = member(doc, "customFields"), *v;
	struct fields f;
	const char *key;

	if (!fields_init(&f, json_object_size(doc) + custom_count(custom))) {
		no_memory(a);
		fields_done(&f);
		return;
	}
	json_object_foreach(doc, key, v)
		add_member(&f, doc, key, v);
	add_customs(&f, custom);
	if (f.failed || object_set_data(o, value, f.list, f.count) != 0)
		no_memory(a);
	fields_done(&f);
}

/* --- secrets --- */

static bool
check_id(const struct upstream_request *req, struct view id,
    struct upstream_answer *a)
{
	if (id.len == 0)
		wrong(a, "no `id` in the answer");
	else if (!upstream_id_same(id, req->id))
		wrong(a, "the answer is about another id");
	else
		return true;
	return false;
}

static bool
check_secret(const struct upstream_request *req, const json_t *doc,
    struct upstream_answer *a)
{
	uint64_t version = member_number(doc, "version");

	if (!check_id(req, member_text(doc, "id"), a))
		return false;
	if (!read_active(doc, REF_SECRET)) {
		fail(a, ERR_NOT_FOUND, "the secret is deactivated");
		a->gone = true;
	} else if (member(doc, "value") == NULL) {
		wrong(a, "no `value` in the answer");
	} else if (!json_is_string(member(doc, "value"))) {
		wrong(a, "`value` is not a string");
	} else if (member_text(doc, "name").len == 0) {
		wrong(a, "no `name` in the answer");
	} else if (req->version != 0 && version != 0 &&
	    version != req->version) {
		wrong(a, "the answer is another version");
	}
	return a->error == 0;
}

static void
read_secret(const struct upstream_request *req, struct view body,
    struct upstream_answer *a)
{
	struct object *o = NULL;
	json_t *doc;

	if ((doc = parse_object(body, a)) == NULL)
		return;
	if (!check_secret(req, doc, a) ||
	    (o = new_object(req, doc, REF_SECRET, a)) == NULL)
		goto out;
	if (o->version == 0)
		o->version = req->version;
	set_fields(o, doc, string_view(member(doc, "value")), a);
	if (a->error == 0) {
		a->object = o;
		o = NULL;
	}
out:
	object_unref(o);
	json_decref(doc);
}

/* --- keys --- */

static bool
begins_with(struct view v, const char *text)
{
	size_t len = strlen(text);

	return v.len >= len && memcmp(v.p, text, len) == 0;
}

/*
 * Is publicKey in the form asked for?  The service says so in `format`; where
 * it does not, the content must do.
 */
static bool
check_format(const struct upstream_request *req, const json_t *doc,
    struct upstream_answer *a)
{
	const char *want = ref_format_name(req->format);
	struct view told = member_text(doc, "format");

	if (member_text(doc, "publicKey").len == 0)
		wrong(a, "no `publicKey` in the answer");
	else if (told.len > 0 && strcasecmp((const char *)told.p, want) != 0)
		(void)snprintf(a->message, sizeof(a->message),
		    "the key was asked for as %s and came in another form",
		    want);
	else
		return true;
	a->error = ERR_UPSTREAM_ERROR;
	return false;
}

static void
set_key_bytes(struct object *o, struct view text, struct upstream_answer *a)
{
	uint8_t *bytes;
	size_t len;

	if ((bytes = secmem_malloc(text.len)) == NULL) {
		no_memory(a);
		return;
	}
	if (base64_decode(text, bytes, &len) != 0 || len == 0)
		wrong(a, "`publicKey` is not base64");
	else if (o->format == REF_FORMAT_DER && bytes[0] != 0x30)
		wrong(a, "`publicKey` is not DER");
	else if (object_set_data(o, (struct view){bytes, len}, NULL, 0) != 0)
		no_memory(a);
	secmem_free(bytes);
}

static void
set_key_value(struct object *o, const json_t *doc, struct view body,
    struct upstream_answer *a)
{
	struct view text = member_text(doc, "publicKey");

	switch (o->format) {
	case REF_FORMAT_JSON:
	case REF_FORMAT_JWK:
		text = body;
		break;
	case REF_FORMAT_PEM:
		if (!begins_with(text, "-----BEGIN ")) {
			wrong(a, "`publicKey` is not PEM");
			return;
		}
		break;
	case REF_FORMAT_RAW:
	case REF_FORMAT_DER:
		set_key_bytes(o, text, a);
		return;
	}
	if (object_set_data(o, text, NULL, 0) != 0)
		no_memory(a);
}

static bool
check_key(const struct upstream_request *req, const json_t *doc,
    struct upstream_answer *a)
{
	struct view id = member_text(doc, "keyId");

	if (req->format == REF_FORMAT_JWK) { /* a JWK need not tell its id */
		if (member_text(doc, "kty").len > 0)
			return true;
		wrong(a, "the answer is not a JWK: no `kty` in it");
		return false;
	}
	if (id.len == 0)
		id = member_text(doc, "id");
	return check_id(req, id, a) &&
	    (req->format == REF_FORMAT_JSON || check_format(req, doc, a));
}

static void
read_key(const struct upstream_request *req, struct view body,
    struct upstream_answer *a)
{
	struct object *o = NULL;
	json_t *doc;

	if ((doc = parse_object(body, a)) == NULL)
		return;
	if (!check_key(req, doc, a) ||
	    (o = new_object(req, doc, REF_KEY, a)) == NULL)
		goto out;
	o->format = req->format;
	set_key_value(o, doc, body, a);
	if (a->error == 0) {
		a->object = o;
		o = NULL;
	}
out:
	object_unref(o);
	json_decref(doc);
}

/* --- lists --- */

static json_t *
list_of(json_t *doc, enum ref_kind kind)
{
	const char *const names[] = {kind == REF_KEY ? "keys" : "secrets",
	    "items", "data", "results"};
	json_t *v;
	size_t i;

	if (json_is_array(doc))
		return doc;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		v = json_object_get(doc, names[i]);
		if (json_is_array(v))
			return v;
	}
	return NULL;
}

static char *
copy_text(struct view v)
{
	return strndup(v.len > 0 ? (const char *)v.p : "", v.len);
}

/*
 * Does a row tell all that a cached object is compared with?  null tells that
 * there is none; what cannot be read tells nothing.
 */
static bool
row_revalidates(const struct upstream_row *row, const json_t *v,
    enum ref_kind kind, bool expiry_read)
{
	const char *updated = kind == REF_KEY ? "lastRotatedAt" : "updatedAt";
	const json_t *active = member(v, "isActive");

	if (row->version == 0 || !expiry_read ||
	    !has_member(v, updated) || !has_member(v, "expiresAt") ||
	    (member(v, updated) != NULL && row->updated_at == MSG_NO_TIME))
		return false;
	if (active == NULL && !has_member(v, "isActive"))
		return kind == REF_KEY && member_text(v, "status").len > 0;
	return active == NULL || json_is_boolean(active);
}

/*
 * Append one row.  One whose id is none the agent could ask for is left out,
 * and a name it cannot use is "": one odd secret must not hide the others.
 * False for no memory.
 */
static bool
add_row(struct upstream_page *page, const json_t *v, enum ref_kind kind)
{
	struct upstream_row *row = &page->rows[page->count];
	struct view id = member_text(v, "id"), name = member_text(v, "name");
	bool expiry_read;

	if (id.len == 0 && kind == REF_KEY)
		id = member_text(v, "keyId");
	if (!upstream_id_valid(id))
		return true;
	if (name.len > MSG_NAME_MAX)
		name.len = 0;
	*row = (struct upstream_row){
		.id = copy_text(id),
		.name = copy_text(name),
		.version = member_number(v, "version"),
		.is_active = read_active(v, kind),
	};
	if (kind == REF_KEY) {
		row->key_type = key_type_number(member_text(v, "keyType"));
		row->key_algorithm = key_algorithm_number(
		    member_text(v, "algorithm"));
	}
	/* A bad expiresAt is met again, and refused, when it is read by id. */
	expiry_read = read_times(v, kind, &row->updated_at, &row->created_at,
	    &row->expires_at);
	if (!row_revalidates(row, v, kind, expiry_read))
		page->has_versions = false;
	page->count++;
	return row->id != NULL && row->name != NULL;
}

static bool
add_rows(struct upstream_page *page, const json_t *list, enum ref_kind kind,
    struct upstream_answer *a)
{
	json_t *v;
	size_t i;

	page->rows = calloc(json_array_size(list) + 1, sizeof(*page->rows));
	if (page->rows == NULL) {
		no_memory(a);
		return false;
	}
	page->has_versions = true;
	json_array_foreach(list, i, v) {
		if (!json_is_object(v)) {
			wrong(a, "a row of the list is not an object");
			return false;
		}
		if (!add_row(page, v, kind)) {
			no_memory(a);
			return false;
		}
	}
	return true;
}

/* count: rows as they came, also those that were left out. */
static bool
more_pages(const struct upstream_request *req, const json_t *doc,
    const struct upstream_page *page, size_t count)
{
	const json_t *more = member(doc, "hasMore");
	uint64_t size = member_number(doc, "pageSize");

	if (count == 0)
		return false;
	if (json_is_boolean(more))
		return json_is_true(more);
	if (size == 0 || size > req->page_size)
		size = req->page_size;
	if (size == 0)
		return false;
	if (page->total == 0)
		return count >= size;
	return req->page < (page->total - 1) / size + 1;
}

static void
set_totals(const struct upstream_request *req, json_t *doc, size_t count,
    struct upstream_page *page)
{
	page->total = member_number(doc, "total");
	if (page->total == 0)
		page->total = member_number(doc, "totalCount");
	page->has_more = more_pages(req, doc, page, count);
}

static void
read_list(const struct upstream_request *req, struct view body,
    enum ref_kind kind, struct upstream_answer *a)
{
	struct upstream_page *page;
	json_t *doc, *list;

	if ((doc = parse(body, a)) == NULL)
		return;
	if ((page = calloc(1, sizeof(*page))) == NULL)
		no_memory(a);
	else if ((list = list_of(doc, kind)) == NULL)
		wrong(a, "no list in the answer");
	else if (add_rows(page, list, kind, a)) {
		/* A bare array is all there is, but for a full page. */
		set_totals(req, doc, json_array_size(list), page);
		a->page = page;
		page = NULL;
	}
	upstream_page_free(page);
	json_decref(doc);
}

void
upstream_json_read(const struct upstream_request *req, struct view body,
    struct upstream_answer *answer)
{
	switch (req->op) {
	case UPSTREAM_READ_SECRET:
		read_secret(req, body, answer);
		break;
	case UPSTREAM_READ_KEY:
		read_key(req, body, answer);
		break;
	case UPSTREAM_LIST_SECRETS:
		read_list(req, body, REF_SECRET, answer);
		break;
	case UPSTREAM_LIST_KEYS:
		read_list(req, body, REF_KEY, answer);
		break;
	case UPSTREAM_RELAY: /* its body is handed on as it is */
		break;
	}
}

/* --- errors --- */

static void
read_scope(const json_t *doc, char ret_scope[UPSTREAM_SCOPE_MAX + 1])
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz0123456789:._-";
	struct view scope;

	scope = member_text(member(doc, "details"), "requiredScope");
	if (scope.len == 0 || scope.len > UPSTREAM_SCOPE_MAX ||
	    strspn((const char *)scope.p, chars) != scope.len)
		return;
	memcpy(ret_scope, scope.p, scope.len);
	ret_scope[scope.len] = '\0';
}

enum upstream_reason
upstream_json_reason(struct view body, char ret_scope[UPSTREAM_SCOPE_MAX + 1])
{
	static const struct {
		const char *code;
		enum upstream_reason reason;
	} codes[] = {
		{"insufficient_scope", UPSTREAM_REASON_SCOPE},
		{"key_revoked", UPSTREAM_REASON_KEY_REVOKED},
		{"key_version_below_minimum", UPSTREAM_REASON_KEY_VERSION},
		{"quota_exceeded", UPSTREAM_REASON_QUOTA},
	};
	enum upstream_reason reason = UPSTREAM_REASON_NONE;
	struct upstream_answer ignored = {0};
	json_t *doc = parse_object(body, &ignored);
	struct view code = member_text(doc, "error");
	size_t i;

	ret_scope[0] = '\0';
	for (i = 0; code.len > 0 && i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strcmp((const char *)code.p, codes[i].code) == 0)
			reason = codes[i].reason;
	}
	if (reason == UPSTREAM_REASON_SCOPE)
		read_scope(doc, ret_scope);
	json_decref(doc);
	return reason;
}
