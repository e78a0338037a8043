#include "config.h"

#include "glob.h"

#include "unit.h"

static bool
match(const char *pattern, const char *text)
{
	return glob_match(pattern, text, strlen(text));
}

static void
test_match_table(void **state)
{
	static const struct {
		const char *pattern;
		const char *text;
		bool expected;
	} rows[] = {
	    {"", "", true},
	    {"", "a", false},
	    {"a", "", false},
	    {"db", "db", true},
	    {"db", "DB", false},
	    {"db", "dbx", false},
	    {"db", "xdb", false},
	    {"*", "", true},
	    {"*", "db", true},
	    {"*", "db/prod", false},
	    {"**", "", true},
	    {"**", "db/prod", true},
	    {"***", "db/prod/x", true},
	    {"db/*", "db/prod", true},
	    {"db/*", "db/", true},
	    {"db/*", "db", false},
	    {"db/*", "db/prod/password", false},
	    {"db/**", "db/prod/password", true},
	    {"db/**", "db", false},
	    {"db**", "db", true},
	    {"**/password", "db/prod/password", true},
	    {"**/password", "password", false},
	    {"**password", "password", true},
	    {"*/password", "a/b/password", false},
	    {"db/*/password", "db/prod/password", true},
	    {"db/*/password", "db/a/b/password", false},
	    {"db/**/password", "db/a/b/password", true},
	    {"a*b*c", "axxbxxc", true},
	    {"a*b*c", "axxcxxb", false},
	    {"a*b*c", "ab/bc", false},
	    {"a**b*c", "a/x/b/xbyc", true},
	    {"a**b*c", "abx/c", false},
	    {"**a*b**c", "xa/axb/yyc", true},
	    {"?", "", false},
	    {"?", "a", true},
	    {"?", "/", false},
	    {"?", "\xc3\xa4", true},
	    {"??", "\xc3\xa4", false},
	    {"?", "\xe2\x82\xac", true},
	    {"?", "\xf0\x9f\x94\x91", true},
	    {"?", "\xff", true},
	    {"??", "\xc3(", true},
	    {"\xc3\xa4*", "\xc3\xa4rger", true},
	    {"*\xc3\xa4", "x\xc3\xa5\xc3\xa4", true},
	    {"*\xc3\xa4", "x\xc3\xa5", false},
	    {"app[1]", "app[1]", true},
	    {"app[1]", "app1", false},
	    {"a\\*", "a*", false},
	    {"a\\*", "a\\x", true},
	    {"user@*.service", "user@1000.service", true},
	    {"*.service", "web.service", true},
	    {"*.service", "web.socket", false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		if (match(rows[i].pattern, rows[i].text) != rows[i].expected)
			fail_msg("\"%s\" against \"%s\"", rows[i].pattern,
			    rows[i].text);
	}
}

static void
test_match_nul_is_a_character(void **state)
{
	(void)state;
	assert_false(glob_match("a", "a\0b", 3));
	assert_true(glob_match("a*b", "a\0b", 3));
	assert_true(glob_match("a?b", "a\0b", 3));
	assert_false(glob_match("ab", "a\0", 2));
}

/* The obvious matcher, exponential and right. */
static bool
slow_match(const char *p, const char *t)
{
	size_t run = strspn(p, "*");

	if (*p == '\0')
		return *t == '\0';
	if (run > 0) {
		if (slow_match(p + run, t))
			return true;
		return *t != '\0' && (run > 1 || *t != '/') &&
		    slow_match(p, t + 1);
	}
	if (*t == '\0' || (*p == '?' ? *t == '/' : *p != *t))
		return false;
	return slow_match(p + 1, t + 1);
}

static void
test_match_agrees_with_the_obvious_matcher(void **state)
{
	uint64_t seed = unit_seed();
	char pattern[12];
	char text[12];
	size_t len;
	size_t i;
	int n;

	(void)state;
	for (n = 0; n < 200000; n++) {
		len = unit_below(&seed, 11);
		for (i = 0; i < len; i++)
			pattern[i] = "ab/*?*"[unit_below(&seed, 6)];
		pattern[len] = '\0';
		len = unit_below(&seed, 11);
		for (i = 0; i < len; i++)
			text[i] = "ab/"[unit_below(&seed, 3)];
		text[len] = '\0';
		if (match(pattern, text) != slow_match(pattern, text))
			fail_msg("\"%s\" against \"%s\"", pattern, text);
	}
}

/* Backtracking would take longer than the universe has. */
static void
test_match_hostile_pattern_is_quick(void **state)
{
	static char text[4096];
	char pattern[GLOB_MAX + 1];
	clock_t start = clock();
	size_t i;

	(void)state;
	for (i = 0; i + 5 < sizeof(pattern); i += 3)
		memcpy(pattern + i, "**a", 3);
	pattern[i] = 'b';
	pattern[i + 1] = '\0';
	memset(text, 'a', sizeof(text));
	assert_false(glob_match(pattern, text, sizeof(text)));
	assert_true(clock() - start < 5 * CLOCKS_PER_SEC);
}

static void
test_match_longest_pattern(void **state)
{
	char pattern[GLOB_MAX + 2];

	(void)state;
	memset(pattern, '?', sizeof(pattern));
	pattern[GLOB_MAX] = '\0';
	assert_true(match(pattern, pattern));
	pattern[GLOB_MAX] = '?';
	pattern[GLOB_MAX + 1] = '\0';
	assert_false(match(pattern, pattern));
}

static void
test_is_all(void **state)
{
	(void)state;
	assert_true(glob_is_all("**"));
	assert_true(glob_is_all("****"));
	assert_false(glob_is_all("*"));
	assert_false(glob_is_all(""));
	assert_false(glob_is_all("**/*"));
}

static void
test_min_len(void **state)
{
	(void)state;
	assert_int_equal(glob_min_len("web@*.service"), 12);
	assert_int_equal(glob_min_len("**"), 0);
	assert_int_equal(glob_min_len("a?"), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_match_table),
	    cmocka_unit_test(test_match_nul_is_a_character),
	    cmocka_unit_test(test_match_agrees_with_the_obvious_matcher),
	    cmocka_unit_test(test_match_hostile_pattern_is_quick),
	    cmocka_unit_test(test_match_longest_pattern),
	    cmocka_unit_test(test_is_all),
	    cmocka_unit_test(test_min_len),
	};

	return cmocka_run_group_tests_name("glob", tests, NULL, NULL);
}
