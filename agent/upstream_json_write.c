/*
 * The part of upstream_json that looks at what is written: which secret or key
 * an answer is about, and which names an import has.
 */
#include "config.h"

#include "upstream_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "json_parts.h"
#include "secjson.h"

static json_t *
parse_quietly(struct view body)
{
	return body.len == 0 ? NULL
	    : secjson_load(body, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES,
	    NULL);
}

/* A text of at most max bytes, without a NUL; false if it is none. */
static bool
take_text(const json_t *v, size_t max, char *ret)
{
	size_t len = json_is_string(v) ? json_string_length(v) : 0;
	const char *text = json_string_value(v);

	if (len == 0 || len > max || memchr(text, '\0', len) != NULL)
		return false;
	memcpy(ret, text, len + 1);
	return true;
}

static json_t *
either(const json_t *doc, const char *camel, const char *snake)
{
	json_t *v = json_object_get(doc, camel);

	return v != NULL && !json_is_null(v) ? v
	    : json_object_get(doc, snake);
}

bool
upstream_json_named(struct view body, enum ref_kind kind,
    struct upstream_named *ret)
{
	json_t *doc = parse_quietly(body), *id = NULL;
	bool got;

	if (kind == REF_KEY)
		id = either(doc, "keyId", "key_id");
	if (!json_is_string(id))
		id = json_object_get(doc, "id");
	got = take_text(id, MSG_ID_MAX, ret->id) &&
	    upstream_id_valid((struct view){ (const uint8_t *)ret->id,
	    strlen(ret->id) }) &&
	    take_text(json_object_get(doc, "name"), MSG_NAME_MAX, ret->name);
	ret->is_active = !json_is_false(either(doc, "isActive", "is_active"));
	json_decref(doc);
	return got;
}

/* --- imports --- */

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

bool
upstream_names_have(const struct upstream_names *names, struct view name)
{
	char text[MSG_NAME_MAX + 1];
	const char *key = text;

	if (name.len == 0 || name.len > MSG_NAME_MAX || names->count == 0)
		return false;
	memcpy(text, name.p, name.len);
	text[name.len] = '\0';
	return bsearch(&key, names->list, names->count,
	    sizeof(names->list[0]), compare_names) != NULL;
}

void
upstream_names_clear(struct upstream_names *names)
{
	size_t i;

	for (i = 0; i < names->count; i++)
		free(names->list[i]);
	free(names->list);
	*names = (struct upstream_names){ .count = 0 };
}

static int
take_names(const json_t *items, struct upstream_names *ret)
{
	char text[MSG_NAME_MAX + 1];
	json_t *item;
	size_t i;

	if (!json_is_array(items))
		return ERR_BAD_REQUEST;
	ret->list = calloc(json_array_size(items) + 1, sizeof(ret->list[0]));
	if (ret->list == NULL)
		return ERR_NOMEM;
	json_array_foreach(items, i, item) {
		if (!take_text(json_object_get(item, "name"), MSG_NAME_MAX,
		    text))
			continue; /* can be none that is cached */
		if ((ret->list[ret->count] = strdup(text)) == NULL)
			return ERR_NOMEM;
		ret->count++;
	}
	qsort(ret->list, ret->count, sizeof(ret->list[0]), compare_names);
	return 0;
}

int
upstream_json_item_names(struct view body, struct upstream_names *ret)
{
	json_t *doc = NULL;
	int r = ERR_BAD_REQUEST;

	*ret = (struct upstream_names){ .count = 0 };
	if (json_parts_within(body, JSON_PARTS_MAX_BODY))
		doc = parse_quietly(body);
	if (doc != NULL)
		r = take_names(json_object_get(doc, "items"), ret);
	json_decref(doc);
	if (r != 0)
		upstream_names_clear(ret);
	return r;
}
