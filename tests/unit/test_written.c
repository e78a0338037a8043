#include "config.h"

#include "agent_unit.h"

#include "err.h"
#include "upstream_json.h"
#include "written.h"

/* --- written.h --- */

static int
add(struct written *w, const char *name, const char *id, bool there,
    uint64_t at)
{
	return written_add(w, unit_view(name), unit_view(id), there, at);
}

static size_t
count_named(const struct written *w, const char *name)
{
	size_t pos = 0, n = 0;

	while (written_next(w, unit_view(name), &pos) != NULL)
		n++;
	return n;
}

static void
test_last_word_counts(void **state)
{
	struct written w = { .count = 0 };

	(void)state;
	assert_null(written_find(&w, unit_view("a"), unit_view("1")));
	assert_int_equal(add(&w, "a", "1", true, 5), 0);
	assert_int_equal(add(&w, "a", "2", true, 6), 0);
	assert_int_equal(count_named(&w, "a"), 2);
	assert_int_equal(add(&w, "a", "1", false, 7), 0);
	assert_int_equal(count_named(&w, "a"), 1);
	assert_int_equal(w.count, 2);
	assert_false(written_find(&w, unit_view("a"), unit_view("1"))->there);
	assert_null(written_by_id(&w, unit_view("1")));
	assert_int_equal(add(&w, "b", "1", true, 8), 0);
	assert_string_equal(written_by_id(&w, unit_view("1"))->name, "b");
	assert_int_equal(count_named(&w, "c"), 0);
	written_clear(&w);
	assert_int_equal(w.count, 0);
}

static void
test_arguments_may_lie_in_what_goes(void **state)
{
	struct written w = { .count = 0 };

	(void)state;
	assert_int_equal(add(&w, "name", "id", true, 1), 0);
	assert_int_equal(written_add(&w, unit_view(w.rows[0].name),
	    unit_view(w.rows[0].id), false, 2), 0);
	assert_int_equal(w.count, 1);
	assert_string_equal(w.rows[0].name, "name");
	assert_string_equal(w.rows[0].id, "id");
	written_clear(&w);
}

static void
test_older_is_forgotten(void **state)
{
	struct written w = { .count = 0 };

	(void)state;
	assert_int_equal(add(&w, "a", "1", true, 5), 0);
	assert_int_equal(add(&w, "b", "2", true, 6), 0);
	assert_int_equal(add(&w, "c", "3", true, 7), 0);
	written_forget(&w, 6);
	assert_int_equal(w.count, 2);
	assert_null(written_by_id(&w, unit_view("1")));
	assert_non_null(written_by_id(&w, unit_view("2")));
	written_forget(&w, 100);
	assert_int_equal(w.count, 0);
	written_clear(&w);
}

static void
test_it_is_bounded(void **state)
{
	struct written w = { .count = 0 };
	char id[16];
	unsigned int i;

	(void)state;
	for (i = 0; i < WRITTEN_MAX; i++) {
		(void)snprintf(id, sizeof(id), "%u", i);
		assert_int_equal(add(&w, "a", id, true, i + 1), 0);
	}
	assert_int_equal(add(&w, "a", "one more", true, 999), ERR_TOO_LARGE);
	assert_int_equal(w.count, WRITTEN_MAX);
	/* what is there can be said anew */
	assert_int_equal(add(&w, "a", "7", false, 999), 0);
	assert_int_equal(w.count, WRITTEN_MAX);
	assert_int_equal(w.rows[WRITTEN_MAX - 1].at, 999);
	written_clear(&w);
}

/* --- upstream_json_write.c --- */

static bool
named(const char *body, enum ref_kind kind, struct upstream_named *ret)
{
	return upstream_json_named(unit_view(body), kind, ret);
}

static void
test_what_an_answer_is_about(void **state)
{
	static const char *const nothing[] = {
		"", "{", "[]", "7", "null", "{}", "{\"id\":\"a\"}",
		"{\"name\":\"n\"}", "{\"id\":7,\"name\":\"n\"}",
		"{\"id\":\"a/b\",\"name\":\"n\"}",
		"{\"id\":\"a\",\"name\":\"\"}",
		"{\"id\":\"a\",\"name\":\"n\\u0000\"}",
		"{\"id\":\"a\",\"name\":\"n\",\"id\":\"b\"}",
	};
	struct upstream_named n;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(nothing); i++) {
		if (named(nothing[i], REF_SECRET, &n))
			fail_msg("%s", nothing[i]);
	}
	assert_true(named("{\"id\":\"a\",\"keyId\":\"b\",\"name\":\"n\\/x\"}",
	    REF_SECRET, &n));
	assert_string_equal(n.id, "a");
	assert_string_equal(n.name, "n/x");
	assert_true(n.is_active);
	assert_true(named("{\"id\":\"a\",\"keyId\":\"b\",\"name\":\"n\","
	    "\"isActive\":false}", REF_KEY, &n));
	assert_string_equal(n.id, "b");
	assert_false(n.is_active);
	assert_true(named("{\"id\":\"a\",\"key_id\":null,\"name\":\"n\","
	    "\"is_active\":false}", REF_KEY, &n));
	assert_string_equal(n.id, "a");
	assert_false(n.is_active);
}

static void
test_names_of_an_import(void **state)
{
	static const char *const bad[] = {
		"", "{", "{}", "[]", "{\"items\":{}}", "{\"items\":null}",
	};
	struct upstream_names n;
	char longest[400];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad); i++)
		assert_int_equal(upstream_json_item_names(unit_view(bad[i]),
		    &n), ERR_BAD_REQUEST);
	assert_int_equal(upstream_json_item_names(unit_view("{\"items\":[]}"),
	    &n), 0);
	assert_false(upstream_names_have(&n, unit_view("a")));
	upstream_names_clear(&n);
	assert_int_equal(upstream_json_item_names(unit_view("{\"items\":["
	    "{\"name\":\"b\",\"value\":\"x\"},7,{\"name\":\"a\"},"
	    "{\"name\":\"db/\\u00fc\"},{\"value\":\"b\"},{\"name\":\"b\"}]}"),
	    &n), 0);
	assert_int_equal(n.count, 4);
	assert_true(upstream_names_have(&n, unit_view("a")));
	assert_true(upstream_names_have(&n, unit_view("b")));
	assert_true(upstream_names_have(&n, unit_view("db/\xc3\xbc")));
	assert_false(upstream_names_have(&n, unit_view("x")));
	assert_false(upstream_names_have(&n, unit_view("")));
	memset(longest, 'l', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_false(upstream_names_have(&n, unit_view(longest)));
	upstream_names_clear(&n);
	assert_int_equal(n.count, 0);
}

static int
set_up(void **state)
{
	return unit_secmem_setup(state) != 0 ? -1
	    : upstream_json_global_init();
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_word_counts),
		cmocka_unit_test(test_arguments_may_lie_in_what_goes),
		cmocka_unit_test(test_older_is_forgotten),
		cmocka_unit_test(test_it_is_bounded),
		cmocka_unit_test(test_what_an_answer_is_about),
		cmocka_unit_test(test_names_of_an_import),
	};

	return cmocka_run_group_tests(tests, set_up, unit_secmem_teardown);
}
