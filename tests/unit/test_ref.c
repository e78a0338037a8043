#include "config.h"

#include "unit.h"

#include "err.h"
#include "ref.h"
#include "text.h"

/* too large for a frame of the stack that the compiler would let pass */
static struct ref ref;

static int
parse(const char *text)
{
	return ref_parse(text, strlen(text), &ref, NULL);
}

static void
assert_view(struct view v, const char *expected)
{
	assert_int_equal(v.len, strlen(expected));
	assert_memory_equal(v.p, expected, v.len);
}

static void
assert_refused(const char *text, size_t len)
{
	const char *why = NULL;

	memset(&ref, 0x55, sizeof(ref));
	if (ref_parse(text, len, &ref, &why) != ERR_BAD_REQUEST)
		fail_msg("%s is accepted", text);
	assert_non_null(why);
	assert_true(strlen(why) > 10);
}

static void
test_secret_defaults(void **state)
{
	static const char text[] = "qapi://secrets/db/prod/password";
	const char *why = "untouched";

	(void)state;
	memset(&ref, 0x55, sizeof(ref));
	assert_int_equal(ref_parse(text, strlen(text), &ref, &why), 0);
	assert_int_equal(ref.kind, REF_SECRET);
	assert_view(ref.name, "db/prod/password");
	assert_ptr_equal(ref.name.p, text + 15);
	assert_view(ref.field, "value");
	assert_false(ref.has_field);
	assert_true(ref.version == 0);
	assert_string_equal(why, "untouched");
}

static void
test_secret_parameters(void **state)
{
	(void)state;
	assert_int_equal(parse("qapi://secrets/a?field=username&version=3"),
	    0);
	assert_view(ref.name, "a");
	assert_view(ref.field, "username");
	assert_true(ref.has_field);
	assert_true(ref.version == 3);

	assert_int_equal(parse("qapi://secrets/a?version=1&field=value"), 0);
	assert_view(ref.field, "value");
	assert_true(ref.has_field);
	assert_true(ref.version == 1);

	assert_int_equal(parse("qapi://secrets/a?field=customFields.x=y?z"),
	    0);
	assert_view(ref.field, "customFields.x=y?z");
	assert_int_equal(parse("qapi://secrets/a?field=totp"), 0);
	assert_view(ref.field, "totp");
}

static void
test_versions(void **state)
{
	static const struct {
		const char *text;
		uint64_t version;
	} cases[] = {
		{ "1", 1 },
		{ "007", 7 },
		{ "%31%32", 12 },
		{ "9223372036854775807", INT64_MAX },
	};
	static const char *const refused[] = {
		"", "0", "00", "-1", "+1", " 1", "1 ", "1.0", "0x1", "a",
		"9223372036854775808", "18446744073709551615",
		"18446744073709551617", "99999999999999999999999999",
		"%00", "%", "%3", "%3g", "1%00"
	};
	char text[128];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		(void)snprintf(text, sizeof(text),
		    "qapi://secrets/a?version=%s", cases[i].text);
		assert_int_equal(parse(text), 0);
		assert_true(ref.version == cases[i].version);
	}
	for (i = 0; i < UNIT_COUNT(refused); i++) {
		(void)snprintf(text, sizeof(text),
		    "qapi://secrets/a?version=%s", refused[i]);
		assert_refused(text, strlen(text));
	}
}

static void
test_keys(void **state)
{
	static const struct {
		const char *text;
		const char *name;
		enum ref_format format;
	} cases[] = {
		{ "qapi://keys/signing/public", "signing", REF_FORMAT_JSON },
		{ "qapi://keys/a/b/public?format=json", "a/b",
		    REF_FORMAT_JSON },
		{ "qapi://keys/a/public?format=jwk", "a", REF_FORMAT_JWK },
		{ "qapi://keys/a/public?format=raw", "a", REF_FORMAT_RAW },
		{ "qapi://keys/a/public?format=pem", "a", REF_FORMAT_PEM },
		{ "qapi://keys/a/public?format=%64er", "a", REF_FORMAT_DER },
		/* the name runs to the last /public */
		{ "qapi://keys/a/public/public", "a/public",
		    REF_FORMAT_JSON },
		{ "qapi://keys/public/public", "public", REF_FORMAT_JSON },
		{ "qapi://keys//public/public", "/public", REF_FORMAT_JSON },
		{ "qapi://keys///public", "/", REF_FORMAT_JSON },
		{ "qapi://keys/a%2Fpublic/public", "a/public",
		    REF_FORMAT_JSON },
		{ "qapi://keys/publicpublic/public", "publicpublic",
		    REF_FORMAT_JSON },
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		assert_int_equal(parse(cases[i].text), 0);
		assert_int_equal(ref.kind, REF_KEY);
		assert_view(ref.name, cases[i].name);
		assert_int_equal(ref.format, cases[i].format);
	}
}

static void
test_names_are_decoded(void **state)
{
	static const struct {
		const char *text;
		const char *name;
	} cases[] = {
		{ "qapi://secrets/a%20b", "a b" },
		{ "qapi://secrets/a%2Fb", "a/b" },
		{ "qapi://secrets/a%2fb/c", "a/b/c" },
		{ "qapi://secrets/%3F", "?" },
		{ "qapi://secrets/100%25", "100%" },
		{ "qapi://secrets/%2525", "%25" },
		{ "qapi://secrets/caf%C3%A9", "caf\xc3\xa9" },
		{ "qapi://secrets/caf\xc3\xa9", "caf\xc3\xa9" },
		{ "qapi://secrets/a+b&c=d#e", "a+b&c=d#e" },
		{ "qapi://secrets/ ", " " },
		{ "qapi://secrets//", "/" },
		{ "qapi://secrets/qapi://secrets/a", "qapi://secrets/a" },
		{ "qapi://secrets/a/public", "a/public" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		assert_int_equal(parse(cases[i].text), 0);
		assert_view(ref.name, cases[i].name);
	}
	/* both parts in the store at once */
	assert_int_equal(parse("qapi://secrets/%61%62?field=%63%64"), 0);
	assert_view(ref.name, "ab");
	assert_view(ref.field, "cd");
	/* the store is not the text's */
	assert_int_equal(parse("qapi://secrets/ab?field=c%26d"), 0);
	assert_view(ref.name, "ab");
	assert_view(ref.field, "c&d");
}

static void
test_malformed(void **state)
{
	static const char *const cases[] = {
		/* scheme and words */
		"", "a", "qapi", "qapi:", "qapi://", "qapi://secrets",
		"qapi://keys", "QAPI://secrets/a", "qapi://Secrets/a",
		"qapi:/secrets/a", "qapi://other/a", " qapi://secrets/a",
		"qapi://secret/a", "qapi://secretsa", "https://secrets/a",
		/* names */
		"qapi://secrets/", "qapi://secrets/?field=a",
		"qapi://keys/", "qapi://keys/a", "qapi://keys/public",
		"qapi://keys//public", "qapi://keys/a/Public",
		"qapi://keys/a/public/", "qapi://keys/a/public/b",
		"qapi://keys/a%2Fpublic", "qapi://keys/a/publi%63",
		"qapi://keys/a?x=/public", "qapi://secrets/%00",
		"qapi://secrets/a%00", "qapi://secrets/%1f",
		"qapi://secrets/%7F", "qapi://secrets/\x01",
		"qapi://secrets/a\nb", "qapi://secrets/\x7f",
		"qapi://secrets/\xff", "qapi://secrets/%ff",
		"qapi://secrets/%c3", "qapi://secrets/%c0%af",
		"qapi://secrets/%ed%a0%80",
		/* percent signs */
		"qapi://secrets/%", "qapi://secrets/a%", "qapi://secrets/a%2",
		"qapi://secrets/a%2g", "qapi://secrets/a%g2",
		"qapi://secrets/100%", "qapi://secrets/%?field=a",
		"qapi://secrets/%-1", "qapi://secrets/% 1",
		/* parameters */
		"qapi://secrets/a?", "qapi://secrets/a?field",
		"qapi://secrets/a?field=", "qapi://secrets/a?=a",
		"qapi://secrets/a?field=a&", "qapi://secrets/a?&field=a",
		"qapi://secrets/a?field=a&&version=1",
		"qapi://secrets/a?field=a&field=a",
		"qapi://secrets/a?version=1&version=1",
		"qapi://secrets/a?Field=a", "qapi://secrets/a?%66ield=a",
		"qapi://secrets/a?fields=a", "qapi://secrets/a?fiel=a",
		"qapi://secrets/a?format=json", "qapi://secrets/a?x=1",
		"qapi://secrets/a?field=%00", "qapi://secrets/a?field=%",
		"qapi://secrets/a?field=\x1b", "qapi://secrets/a?field=%ff",
		"qapi://secrets/a?field=customFields.",
		"qapi://secrets/a?field=customFields%2e",
		"qapi://keys/a/public?", "qapi://keys/a/public?field=a",
		"qapi://keys/a/public?version=1",
		"qapi://keys/a/public?format=",
		"qapi://keys/a/public?format=xml",
		"qapi://keys/a/public?format=JSON",
		"qapi://keys/a/public?format=json&format=json",
		"qapi://keys/a/public?format=%", "qapi://keys/a/public?format"
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++)
		assert_refused(cases[i], strlen(cases[i]));
	assert_refused("qapi://secrets/a\0", 17);
	assert_refused("qapi://secrets/a\0b", 18);
	assert_refused("qapi://secrets/a?field=\0", 24);
	assert_refused(NULL, 0);
	/* why may be left out */
	assert_int_equal(parse(""), ERR_BAD_REQUEST);
}

/* prefix, then n times unit, then suffix */
static size_t
fill(char *out, const char *prefix, const char *unit, size_t n,
    const char *suffix)
{
	size_t len = strlen(prefix);
	size_t i;

	memcpy(out, prefix, len);
	for (i = 0; i < n; i++) {
		memcpy(out + len, unit, strlen(unit));
		len += strlen(unit);
	}
	memcpy(out + len, suffix, strlen(suffix) + 1);
	return len + strlen(suffix);
}

static void
test_limits(void **state)
{
	static char text[3 * REF_MAX];
	size_t len;

	(void)state;
	len = fill(text, "qapi://secrets/", "n", REF_NAME_MAX, "");
	assert_int_equal(ref_parse(text, len, &ref, NULL), 0);
	assert_int_equal(ref.name.len, REF_NAME_MAX);
	len = fill(text, "qapi://secrets/", "n", REF_NAME_MAX + 1, "");
	assert_refused(text, len);
	/* decoded bytes count */
	len = fill(text, "qapi://secrets/", "%6e", REF_NAME_MAX, "");
	assert_int_equal(ref_parse(text, len, &ref, NULL), 0);
	assert_int_equal(ref.name.len, REF_NAME_MAX);
	len = fill(text, "qapi://secrets/", "%6e", REF_NAME_MAX + 1, "");
	assert_refused(text, len);
	len = fill(text, "qapi://keys/", "%6e", REF_NAME_MAX, "/public");
	assert_int_equal(ref_parse(text, len, &ref, NULL), 0);
	len = fill(text, "qapi://keys/", "%6e", REF_NAME_MAX + 1, "/public");
	assert_refused(text, len);

	len = fill(text, "qapi://secrets/a?field=", "f", REF_FIELD_MAX, "");
	assert_int_equal(ref_parse(text, len, &ref, NULL), 0);
	assert_int_equal(ref.field.len, REF_FIELD_MAX);
	len = fill(text, "qapi://secrets/a?field=", "f", REF_FIELD_MAX + 1,
	    "");
	assert_refused(text, len);
	len = fill(text, "qapi://secrets/a?field=", "%66", REF_FIELD_MAX,
	    "&version=2");
	assert_int_equal(ref_parse(text, len, &ref, NULL), 0);
	assert_int_equal(ref.field.len, REF_FIELD_MAX);
	len = fill(text, "qapi://secrets/a?field=", "%66", REF_FIELD_MAX + 1,
	    "");
	assert_refused(text, len);

	/* 4096 bytes in all */
	len = fill(text, "qapi://secrets/", "%6e", REF_NAME_MAX, "?field=");
	len += fill(text + len, "", "%66", (REF_MAX - len) / 3, "");
	assert_int_equal(len, REF_MAX);
	assert_int_equal(ref_parse(text, len, &ref, NULL), 0);
	text[len] = 'f';
	assert_refused(text, len + 1);
	/* an encoded word longer than any that is valid */
	len = fill(text, "qapi://secrets/a?version=", "%30", 64, "1");
	assert_refused(text, len);
}

static void
test_is_reference(void **state)
{
	(void)state;
	assert_true(ref_is_reference("qapi://", 7));
	assert_true(ref_is_reference("qapi://x", 8));
	assert_false(ref_is_reference("qapi://", 6));
	assert_false(ref_is_reference("QAPI://x", 8));
	assert_false(ref_is_reference("db/qapi://", 10));
	assert_false(ref_is_reference("", 0));
}

static void
test_complete(void **state)
{
	static const struct {
		enum ref_kind kind;
		const char *text;
		const char *extra;
		const char *expected;
	} cases[] = {
		{ REF_SECRET, "db/prod", NULL, "qapi://secrets/db/prod" },
		{ REF_SECRET, "db", "field=a", "qapi://secrets/db?field=a" },
		{ REF_SECRET, "50% off?", NULL,
		    "qapi://secrets/50%25%20off%3F" },
		{ REF_SECRET, "a?b", "field=c",
		    "qapi://secrets/a%3Fb?field=c" },
		{ REF_SECRET, "qapi://secrets/a", NULL, "qapi://secrets/a" },
		{ REF_SECRET, "qapi://secrets/a", "field=b",
		    "qapi://secrets/a?field=b" },
		{ REF_SECRET, "qapi://secrets/a?version=1", "field=b",
		    "qapi://secrets/a?version=1&field=b" },
		{ REF_KEY, "k/1", NULL, "qapi://keys/k/1/public" },
		{ REF_KEY, "k/public", "format=pem",
		    "qapi://keys/k/public/public?format=pem" },
		{ REF_KEY, "qapi://keys/k/public", "format=pem",
		    "qapi://keys/k/public?format=pem" },
		/* the parser is who refuses it */
		{ REF_SECRET, "", NULL, "qapi://secrets/" },
	};
	char buf[128];
	size_t size;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		assert_int_equal(ref_complete(cases[i].kind, cases[i].text,
		    cases[i].extra, buf, sizeof(buf)), 0);
		assert_string_equal(buf, cases[i].expected);
		/* cut never, and nothing written past the end */
		for (size = 0; size <= strlen(cases[i].expected); size++) {
			memset(buf, 'Z', sizeof(buf));
			assert_int_equal(ref_complete(cases[i].kind,
			    cases[i].text, cases[i].extra, buf, size),
			    ERR_TOO_LARGE);
			assert_int_equal(buf[size], 'Z');
		}
		assert_int_equal(ref_complete(cases[i].kind, cases[i].text,
		    cases[i].extra, buf, size), 0);
	}
}

static void
test_escape(void **state)
{
	char buf[64];

	(void)state;
	assert_int_equal(ref_escape("a/b-c._~:@9", 11, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "a/b-c._~:@9");
	assert_int_equal(ref_escape("\0 %&=?#{}|\x7f", 11, buf, sizeof(buf)),
	    0);
	assert_string_equal(buf, "%00%20%25%26%3D%3F%23%7B%7D%7C%7F");
	assert_int_equal(ref_escape("caf\xc3\xa9", 5, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "caf\xc3\xa9");
	assert_int_equal(ref_escape("", 0, buf, 1), 0);
	assert_string_equal(buf, "");
	assert_int_equal(ref_escape("", 0, buf, 0), ERR_TOO_LARGE);
	assert_int_equal(ref_escape("ab", 2, buf, 2), ERR_TOO_LARGE);
	assert_int_equal(ref_escape(" ", 1, buf, 3), ERR_TOO_LARGE);
	assert_int_equal(ref_escape(" ", 1, buf, 4), 0);
}

static void
test_formats(void **state)
{
	static const char *const names[] = { "json", "jwk", "raw", "pem",
		"der" };
	int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		assert_string_equal(ref_format_name((enum ref_format)i),
		    names[i]);
		assert_int_equal(ref_format_from_name(names[i],
		    strlen(names[i])), i);
	}
	assert_string_equal(ref_format_name((enum ref_format)5), "json");
	assert_int_equal(ref_format_from_name("", 0), -1);
	assert_int_equal(ref_format_from_name("jso", 3), -1);
	assert_int_equal(ref_format_from_name("jsonx", 5), -1);
	assert_int_equal(ref_format_from_name("PEM", 3), -1);
}

/* Random names and fields, encoded as a client does, come back. */
static void
test_random_round_trip(void **state)
{
	static const char *const chars[] = {
		"a", "Z", "0", "/", "%", "?", "&", "=", " ", "#", "/public",
		"\xc3\xa9", "\xf0\x9f\x94\x91", "%2F", "+", "customFields."
	};
	static char text[REF_MAX + 1];
	static char name[600];
	static char field[600];
	static char extra[2000];
	uint64_t seed = unit_seed();
	size_t n;
	int i;

	(void)state;
	for (i = 0; i < 20000; i++) {
		name[0] = field[0] = '\0';
		for (n = 1 + unit_below(&seed, 30); n > 0; n--)
			(void)strcat(name, chars[unit_below(&seed,
			    UNIT_COUNT(chars))]);
		(void)strcpy(field, "f");
		for (n = unit_below(&seed, 30); n > 0; n--)
			(void)strcat(field, chars[unit_below(&seed,
			    UNIT_COUNT(chars))]);
		(void)strcpy(extra, "field=");
		assert_int_equal(ref_escape(field, strlen(field), extra + 6,
		    sizeof(extra) - 6), 0);
		assert_int_equal(ref_complete(REF_SECRET, name, extra, text,
		    sizeof(text)), 0);
		assert_int_equal(parse(text), 0);
		assert_view(ref.name, name);
		assert_view(ref.field, field);
		assert_int_equal(ref_complete(REF_KEY, name, NULL, text,
		    sizeof(text)), 0);
		assert_int_equal(parse(text), 0);
		assert_int_equal(ref.kind, REF_KEY);
		assert_view(ref.name, name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secret_defaults),
		cmocka_unit_test(test_secret_parameters),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_names_are_decoded),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_is_reference),
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_random_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
