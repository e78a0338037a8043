#include "config.h"

#include "unit.h"

#include "text.h"

/* The slow and plain truth that text_is_utf8() is compared with. */
static bool
reference_is_utf8(const uint8_t *p, size_t len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c;
	size_t n;
	size_t i;

	while (len > 0) {
		n = *p < 0x80 ? 1 : *p >> 5 == 6 ? 2 : *p >> 4 == 14 ? 3 :
		    *p >> 3 == 30 ? 4 : 0;
		if (n == 0 || n > len)
			return false;
		c = n == 1 ? *p : *p & (0x7fu >> n);
		for (i = 1; i < n; i++) {
			if (p[i] >> 6 != 2)
				return false;
			c = c << 6 | (p[i] & 0x3f);
		}
		if (c < least[n] || c > 0x10ffff ||
		    (c >= 0xd800 && c <= 0xdfff))
			return false;
		p += n;
		len -= n;
	}
	return true;
}

static bool
reference_is_plain(const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] < 0x20 || p[i] == 0x7f)
			return false;
	}
	return reference_is_utf8(p, len);
}

static void
compare(const uint8_t *p, size_t len)
{
	bool valid = reference_is_utf8(p, len);

	assert_int_equal(text_is_utf8(p, len), valid);
	assert_int_equal(text_is_text(p, len),
	    valid && (len == 0 || memchr(p, 0, len) == NULL));
	assert_int_equal(text_is_plain(p, len), reference_is_plain(p, len));
}

static void
test_utf8_examples(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} cases[] = {
		{ "", true },
		{ "plain", true },
		{ "caf\xc3\xa9", true },
		{ "\xe2\x82\xac", true },
		{ "\xf0\x9f\x94\x91", true },
		{ "\xf4\x8f\xbf\xbf", true },		/* U+10FFFF */
		{ "\xed\x9f\xbf", true },		/* U+D7FF */
		{ "\xee\x80\x80", true },		/* U+E000 */
		{ "\xc0\xaf", false },			/* overlong */
		{ "\xc1\xbf", false },
		{ "\xe0\x9f\xbf", false },
		{ "\xf0\x8f\xbf\xbf", false },
		{ "\xed\xa0\x80", false },		/* surrogate */
		{ "\xed\xbf\xbf", false },
		{ "\xf4\x90\x80\x80", false },		/* U+110000 */
		{ "\xf5\x80\x80\x80", false },
		{ "\xff", false },
		{ "\x80", false },			/* tail alone */
		{ "\xc3", false },			/* cut */
		{ "\xe2\x82", false },
		{ "\xf0\x9f\x94", false },
		{ "\xc3(", false },
		{ "\xe2\x82(", false },
		{ "\xf0\x9f\x94(", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		assert_int_equal(text_is_utf8(cases[i].text,
		    strlen(cases[i].text)), cases[i].valid);
	}
	assert_true(text_is_utf8(NULL, 0));
	assert_true(text_is_utf8("a\0b", 3));
	assert_false(text_is_text("a\0b", 3));
	assert_true(text_is_text("a\nb", 3));
	assert_false(text_is_plain("a\nb", 3));
	assert_false(text_is_plain("a\x7f", 2));
}

/* Every byte at every place of texts around the size of a word. */
static void
test_utf8_agrees_at_every_place(void **state)
{
	uint8_t buf[20];
	size_t len;
	size_t at;
	int byte;

	(void)state;
	for (len = 1; len <= sizeof(buf); len++) {
		for (at = 0; at < len; at++) {
			for (byte = 0; byte < 256; byte++) {
				memset(buf, 'a', sizeof(buf));
				buf[at] = (uint8_t)byte;
				compare(buf, len);
			}
		}
	}
}

static void
test_utf8_agrees_on_random_text(void **state)
{
	/* bytes at the edges of what UTF-8 allows */
	static const uint8_t edges[] = {
		0, 1, 0x1f, 0x20, 'a', 'b', 'z', 0x7e, 0x7f, 0x80, 0x8f, 0x90,
		0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
		0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff
	};
	static const char *const chars[] = {
		"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x94\x91"
	};
	uint64_t seed = unit_seed();
	uint8_t buf[64];
	const char *c;
	size_t len;
	int i;

	(void)state;
	for (i = 0; i < 200000; i++) {
		/* mostly valid, so that the end is reached */
		len = 0;
		while (len < 40 && unit_below(&seed, 24) != 0) {
			c = chars[unit_below(&seed, UNIT_COUNT(chars))];
			memcpy(buf + len, c, strlen(c));
			len += strlen(c);
		}
		if (len > 0 && unit_below(&seed, 2) == 0) {
			buf[unit_below(&seed, len)] =
			    edges[unit_below(&seed, sizeof(edges))];
		}
		compare(buf, len);
	}
}

static void
test_cut_keeps_characters_whole(void **state)
{
	static const char text[] = "a\xc3\xa9\xf0\x9f\x94\x91";
	static const size_t expected[] = { 0, 1, 1, 3, 3, 3, 3, 7, 7 };
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(expected); i++)
		assert_int_equal(text_cut(text, 7, i), expected[i]);
	assert_int_equal(text_cut(NULL, 0, 0), 0);
}

static void
test_nearest(void **state)
{
	static const char *const names[] = {
		"get", "list", "run", "inject", "refresh", "reject", "status",
		"max-stale", "refresh-interval"
	};
	static const struct {
		const char *typed;
		const char *expected;
	} cases[] = {
		{ "gte", "get" },		/* neighbours swapped */
		{ "ge", "get" },
		{ "gett", "get" },
		{ "GET", "get" },
		{ "GTE", "get" },
		{ "lsit", "list" },
		{ "injekt", "inject" },
		{ "rejcet", "reject" },
		{ "max_stale", "max-stale" },
		{ "refresh-intervall", "refresh-interval" },
		{ "refreshinterval", "refresh-interval" },
		{ "status", "status" },
		{ "", NULL },
		{ "x", NULL },
		{ "frobnicate", NULL },
	};
	char longer[200];
	const char *got;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		got = text_nearest(cases[i].typed, names, UNIT_COUNT(names));
		if (cases[i].expected == NULL)
			assert_null(got);
		else
			assert_string_equal(got, cases[i].expected);
	}
	assert_null(text_nearest("get", names, 0));

	/* too long to have been meant, on either side */
	memset(longer, 'g', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_null(text_nearest(longer, names, UNIT_COUNT(names)));
	got = longer;
	assert_null(text_nearest("get", &got, 1));
	longer[64] = '\0';
	assert_string_equal(text_nearest(longer, &got, 1), longer);
}

static void
test_printable(void **state)
{
	static const struct {
		const char *in;
		size_t len;
		const char *out;
	} cases[] = {
		{ "", 0, "" },
		{ "plain text", 10, "plain text" },
		{ "a\nb", 3, "a\\x0ab" },
		{ "a\0b", 3, "a\\x00b" },
		{ "\x1b[31m", 5, "\\x1b[31m" },
		{ "\x7f", 1, "\\x7f" },
		{ "caf\xc3\xa9", 5, "caf\xc3\xa9" },
		{ "\xf0\x9f\x94\x91", 4, "\xf0\x9f\x94\x91" },
		{ "\xc2\x9b", 2, "\\xc2\\x9b" },	/* CSI in one */
		{ "\xc2\xa0", 2, "\xc2\xa0" },
		{ "\xff\xfe", 2, "\\xff\\xfe" },
		{ "\xc3", 1, "\\xc3" },
	};
	char buf[64];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		assert_ptr_equal(text_printable(cases[i].in, cases[i].len,
		    buf, sizeof(buf)), buf);
		assert_string_equal(buf, cases[i].out);
	}
}

static void
test_printable_cuts(void **state)
{
	static const char *const expected[] = {
		"", "", ".", "..", "...", "a...", "ab...", "ab...", "ab...",
		"ab...", "ab\\x0ac..."
	};
	char buf[16];
	size_t size;

	(void)state;
	for (size = 0; size <= 10; size++) {
		memset(buf, 'Z', sizeof(buf));
		assert_string_equal(text_printable("ab\ncdefgh", 9, buf,
		    size == 10 ? 11 : size), expected[size]);
		assert_int_equal(buf[11], 'Z');
	}
	/* just fits */
	assert_string_equal(text_printable("abcd", 4, buf, 5), "abcd");
	assert_string_equal(text_printable("abcd", 4, buf, 4), "...");
	/* never within a character */
	assert_string_equal(text_printable("a\xf0\x9f\x94\x91""bcdef", 10,
	    buf, 8), "a...");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8_examples),
		cmocka_unit_test(test_utf8_agrees_at_every_place),
		cmocka_unit_test(test_utf8_agrees_on_random_text),
		cmocka_unit_test(test_cut_keeps_characters_whole),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_printable_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
