#include "config.h"

#include "secjson.h"

#include "agent_unit.h"

static unsigned int fail_at;	/* this allocation fails; 0: none */
static unsigned int count;

void *__real_secmem_malloc(size_t len);
void *__wrap_secmem_malloc(size_t len);
void *__real_reallocarray(void *p, size_t n, size_t len);
void *__wrap_reallocarray(void *p, size_t n, size_t len);

void *
__wrap_secmem_malloc(size_t len)
{
	return ++count == fail_at ? NULL : __real_secmem_malloc(len);
}

void *
__wrap_reallocarray(void *p, size_t n, size_t len)
{
	return ++count == fail_at ? NULL : __real_reallocarray(p, n, len);
}

static size_t
used(void)
{
	struct secmem_stats stats;

	secmem_get_stats(&stats);
	return stats.used_bytes;
}

/* An object with many members, long strings and escapes. */
static char *
make_doc(void)
{
	char *doc = malloc(20000), *at = doc;
	unsigned int i;

	assert_non_null(doc);
	at += sprintf(at, "{\"long\":\"");
	for (i = 0; i < 500; i++)
		at += sprintf(at, "x\\u00e9\\\"\\\\\\n\\ud83d\\ude00");
	at += sprintf(at, "\"");
	for (i = 0; i < 60; i++)
		at += sprintf(at, ",\"k%u\":[%u,true,null,{\"a\":\"b\"}]", i,
		    i);
	(void)sprintf(at, "}");
	return doc;
}

/*
 * jansson's lexer goes on where its buffer could not grow, and reads behind
 * it: here each allocation of a parse fails once.
 */
static void
test_no_memory_at_any_moment(void **state)
{
	char *text = make_doc();
	struct view doc = unit_view(text);
	size_t before = used();
	json_t *root = NULL;
	int code;

	(void)state;
	for (fail_at = 1; root == NULL; fail_at++) {
		count = 0;
		code = 0;
		root = secjson_load(doc, JSON_ALLOW_NUL, &code);
		if (root == NULL) {
			assert_int_equal(code, json_error_out_of_memory);
			assert_int_equal(used(), before);
		}
	}
	assert_true(fail_at > 300);
	fail_at = 0;
	assert_int_equal(json_object_size(root), 61);
	assert_int_equal(json_string_length(json_object_get(root, "long")),
	    500 * 10);
	json_decref(root);
	assert_int_equal(used(), before);
	free(text);
}

static void
test_what_is_no_json(void **state)
{
	int code = 0;

	(void)state;
	assert_null(secjson_load(unit_view("{\"a\":1,\"a\":2}"),
	    JSON_REJECT_DUPLICATES, &code));
	assert_int_equal(code, json_error_duplicate_key);
	assert_null(secjson_load(unit_view("{\"a\":"), 0, &code));
	assert_int_not_equal(code, json_error_out_of_memory);
	assert_null(secjson_load(unit_view(""), 0, NULL));
}

/* What is made and freed outside of a parse is none of its affairs. */
static void
test_other_memory(void **state)
{
	json_t *list = json_array(), *root;
	unsigned int i;
	char *text;

	(void)state;
	for (i = 0; i < 100; i++)
		assert_int_equal(json_array_append_new(list,
		    json_integer((json_int_t)i)), 0);
	text = json_dumps(list, 0);
	assert_non_null(text);
	root = secjson_load(unit_view(text), 0, NULL);
	assert_true(json_equal(list, root));
	secmem_free(text);
	json_decref(list);
	json_decref(root);
}

static int
group_setup(void **state)
{
	int r = unit_secmem_setup(state);

	secjson_global_init();
	return r;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_memory_at_any_moment),
		cmocka_unit_test(test_what_is_no_json),
		cmocka_unit_test(test_other_memory),
	};

	return cmocka_run_group_tests(tests, group_setup,
	    unit_secmem_teardown);
}
