#include "config.h"

#include "unit.h"

#include "json.h"
#include "qapi-agent.h"

static void
expect(struct out *o, const char *text)
{
	assert_false(o->failed);
	assert_int_equal(o->len, strlen(text));
	assert_memory_equal(o->p, text, o->len);
	out_done(o);
}

static void
test_objects_and_commas(void **state)
{
	struct json j;
	struct out o;

	(void)state;
	out_init(&o);
	json_init(&j, &o);
	json_open(&j, NULL);
	json_uint(&j, "n", UINT64_MAX);
	json_open(&j, "in");
	json_null(&j, "x");
	json_open(&j, "deep");
	json_close(&j);
	json_close(&j);
	json_text(&j, "t", NULL);
	json_time(&j, "when", INT64_C(1778241600000));
	json_time(&j, "never", QAPI_AGENT_NO_TIME);
	json_close(&j);
	expect(&o, "{\"n\":18446744073709551615,\"in\":{\"x\":null,\"deep\":{}}"
		   ",\"t\":null,\"when\":\"2026-05-08T12:00:00Z\","
		   "\"never\":null}");
}

static void
test_text_is_escaped(void **state)
{
	struct json j;
	struct out o;

	(void)state;
	out_init(&o);
	json_init(&j, &o);
	json_text(&j, "k\"", "a\"b\\c\n\r\t\x01\x7f/\xc3\xa9");
	expect(&o, "\"k\\\"\":\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f/\xc3\xa9\"");
}

static void
test_text_that_is_not_utf8_is_repaired(void **state)
{
	struct json j;
	struct out o;

	(void)state;
	out_init(&o);
	json_init(&j, &o);
	json_text(&j, "k", "a\xff" "b\xc3\xa9\xe2\x82" "\xed\xa0\x80");
	expect(&o, "\"k\":\"a\xef\xbf\xbd" "b\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd"
		   "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void
test_values_are_text_or_base64(void **state)
{
	static const struct {
		const char *p;
		size_t len;
		const char *json;
	} cases[] = {
		{"", 0, "\"v\":\"\""},
		{"a\0b", 3, "\"v\":\"a\\u0000b\""},
		{"\xff", 1, "\"b\":\"/w==\""},
		{"\xff\xfe", 2, "\"b\":\"//4=\""},
		{"\xff\xfe\xfd", 3, "\"b\":\"//79\""},
		{"\xff\xfe\xfd\x00", 4, "\"b\":\"//79AA==\""},
	};
	struct json j;
	struct out o;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		out_init(&o);
		json_init(&j, &o);
		json_value(&j, "v", "b", cases[i].p, cases[i].len);
		expect(&o, cases[i].json);
	}
}

static void
test_buffer_grows(void **state)
{
	struct out o;
	size_t i;

	(void)state;
	out_init(&o);
	for (i = 0; i < 100000; i++)
		out_char(&o, (char)('a' + i % 26));
	assert_int_equal(o.len, 100000);
	for (i = 0; i < o.len; i++)
		assert_int_equal(o.p[i], 'a' + i % 26);
	out_clear(&o);
	out_printable(&o, "a\x1b[m\n");
	out_pad(&o, 2);
	out_pad(&o, -1);
	expect(&o, "a\\x1b[m\\x0a  ");
	out_init(&o);
	out_bytes(&o, "x", SIZE_MAX / 2);
	assert_true(o.failed);
	out_text(&o, "more");
	assert_int_equal(out_write(&o, 1), -1);
	assert_int_equal(errno, ENOMEM);
	out_done(&o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects_and_commas),
		cmocka_unit_test(test_text_is_escaped),
		cmocka_unit_test(test_text_that_is_not_utf8_is_repaired),
		cmocka_unit_test(test_values_are_text_or_base64),
		cmocka_unit_test(test_buffer_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
