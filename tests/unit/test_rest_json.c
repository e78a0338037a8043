#include "config.h"

#include "rest_json.h"

#include <jansson.h>

#include "agent_unit.h"
#include "base64.h"

struct text {
	struct view view;
	bool is_base64;
};

static void
put(struct rest_json *j, const void *ctx)
{
	const struct text *t = ctx;

	if (t->is_base64)
		rest_json_base64(j, t->view);
	else
		rest_json_string(j, t->view);
}

static json_t *
made(struct view text, bool is_base64)
{
	const struct text t = { text, is_base64 };
	struct object *o = rest_json_make(put, &t);
	struct view v;
	json_t *doc;

	assert_non_null(o);
	v = object_value(o);
	doc = json_loadb((const char *)v.p, v.len, JSON_DECODE_ANY |
	    JSON_ALLOW_NUL, NULL);
	if (doc == NULL)
		fail_msg("%.*s", (int)v.len, (const char *)v.p);
	object_unref(o);
	return doc;
}

static void
check_string(struct view text)
{
	json_t *doc = made(text, false);

	assert_int_equal(json_string_length(doc), text.len);
	assert_memory_equal(json_string_value(doc), text.p, text.len);
	json_decref(doc);
}

/* Each character that needs it, at each place of eight. */
static void
test_strings(void **state)
{
	uint8_t text[24];
	unsigned int c;
	size_t at;

	(void)state;
	check_string(unit_view(""));
	check_string(unit_view("plain"));
	check_string(unit_view("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 \x7f/<>"));
	for (c = 0; c < 0x80; c++) {
		for (at = 0; at < sizeof(text); at++) {
			memset(text, 'a', sizeof(text));
			text[at] = (uint8_t)c;
			check_string((struct view){ text, sizeof(text) });
			check_string((struct view){ text, at + 1 });
		}
		memset(text, (int)c, sizeof(text));
		check_string((struct view){ text, sizeof(text) });
	}
}

static void
test_base64(void **state)
{
	uint8_t bytes[70], back[70];
	size_t len, n, i;
	json_t *doc;

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 200);
	for (len = 0; len < 64; len++) {
		doc = made((struct view){ bytes, len }, true);
		assert_int_equal(json_string_length(doc), (len + 2) / 3 * 4);
		assert_int_equal(base64_decode((struct view){
		    (const uint8_t *)json_string_value(doc),
		    json_string_length(doc) }, back, &n), 0);
		assert_int_equal(n, len);
		assert_memory_equal(back, bytes, len);
		json_decref(doc);
	}
}

static void
put_values(struct rest_json *j, const void *ctx)
{
	(void)ctx;
	rest_json_text(j, "[");
	rest_json_number(j, 0);
	rest_json_text(j, ",");
	rest_json_number(j, UINT64_MAX);
	rest_json_text(j, ",");
	rest_json_time(j, MSG_NO_TIME);
	rest_json_text(j, ",");
	rest_json_time(j, INT64_C(1778241600000));
	rest_json_text(j, "]");
}

static void
test_values(void **state)
{
	struct object *o = rest_json_make(put_values, NULL);

	(void)state;
	assert_non_null(o);
	assert_true(unit_view_is(object_value(o), "[0,18446744073709551615,"
	    "null,\"2026-05-08T12:00:00Z\"]"));
	object_unref(o);
}

static void
test_members(void **state)
{
	static const char *const want[][2] = {
		{ "a", "1" }, { "b", "\"x\\\"},{\"" },
		{ "c", "{ \"d\" : [1, {\"e\":2}] }" }, { "f\\u0041", "[]" },
		{ "g", "null" },
	};
	const struct view doc = unit_view(" { \"a\":1 ,\n\"b\": \"x\\\"},{\","
	    "\"c\":{ \"d\" : [1, {\"e\":2}] }, \"f\\u0041\":[],\"g\":null\t}");
	struct rest_member m;
	size_t pos = 0, i = 0;

	(void)state;
	while (rest_json_next(doc, &pos, &m)) {
		assert_true(i < UNIT_COUNT(want));
		assert_true(unit_view_is(m.name, want[i][0]));
		assert_true(unit_view_is(m.value, want[i][1]));
		i++;
	}
	assert_int_equal(i, UNIT_COUNT(want));
	pos = 0;
	assert_false(rest_json_next(unit_view("{}"), &pos, &m));
}

/* Whatever is cut off, nothing is read behind it. */
static void
test_members_cut_short(void **state)
{
	static const char text[] = "{\"a\":{\"b\":[1,\"\\\\\\\"\"]},\"c\":\"d\"}";
	struct rest_member m;
	size_t len, pos;
	uint8_t *copy;

	(void)state;
	for (len = 0; len < sizeof(text); len++) {
		copy = malloc(len + 1);
		assert_non_null(copy);
		memcpy(copy, text, len);
		copy[len] = '"';
		pos = 0;
		while (rest_json_next((struct view){ copy, len }, &pos, &m))
			assert_true(m.value.p + m.value.len <= copy + len &&
			    m.name.p + m.name.len <= copy + len);
		free(copy);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_members_cut_short),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
