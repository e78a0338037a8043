#include "config.h"

#include "err.h"
#include "msg.h"
#include "object.h"
#include "unit.h"

#define FIELD_TEXT(n, c) {{(const uint8_t *)(n), sizeof(n) - 1}, true, \
	{(const uint8_t *)(c), sizeof(c) - 1}}
#define FIELD_JSON(n, c) {{(const uint8_t *)(n), sizeof(n) - 1}, false, \
	{(const uint8_t *)(c), sizeof(c) - 1}}

static struct view
view_of(const char *text)
{
	return (struct view){(const uint8_t *)text, strlen(text)};
}

static void
assert_view(struct view v, const char *text)
{
	assert_int_equal(v.len, strlen(text));
	assert_memory_equal(v.p, text, v.len);
}

static struct object *
secret(const struct object_field *fields, size_t count)
{
	struct object *o;

	o = object_new(REF_SECRET, view_of("sec_1"), view_of("db/prod"));
	assert_non_null(o);
	assert_int_equal(object_set_data(o, view_of("hunter2"), fields, count),
	    0);
	return o;
}

static void
check_field(const struct object *o, const char *name, bool is_text,
    const char *content)
{
	struct object_field f;

	assert_int_equal(object_field(o, view_of(name), &f), 0);
	assert_view(f.name, name);
	assert_view(f.content, content);
	assert_int_equal(f.is_text, is_text);
}

static void
test_new_object_is_empty(void **state)
{
	struct object *o;

	(void)state;
	o = object_new(REF_KEY, view_of("key_1"), view_of(""));
	assert_non_null(o);
	assert_int_equal(o->refs, 1);
	assert_int_equal(o->kind, REF_KEY);
	assert_true(o->is_active);
	assert_true(o->expires_at == MSG_NO_TIME);
	assert_view(object_id(o), "key_1");
	assert_view(object_name(o), "");
	assert_int_equal(object_value(o).len, 0);
	assert_string_equal(o->text, "key_1");
	object_unref(o);
}

static void
test_value_and_fields_are_found(void **state)
{
	const struct object_field fields[] = {
		FIELD_TEXT("username", "app"),
		FIELD_JSON("labels", "[\"a\",\"b\"]"),
		FIELD_JSON("isActive", "true"),
		FIELD_JSON("isFavorite", "false"),
		FIELD_TEXT("notes", "true"),
		FIELD_JSON("version", "3"),
		FIELD_TEXT("customFields.user", "u\0v"),
		FIELD_JSON("future", "{\"x\":1}"),
		FIELD_TEXT("description", ""),
	};
	struct object *o = secret(fields, UNIT_COUNT(fields));
	struct object_field f;

	(void)state;
	assert_view(object_value(o), "hunter2");
	check_field(o, "username", true, "app");
	check_field(o, "labels", false, "[\"a\",\"b\"]");
	check_field(o, "isActive", false, "true");
	check_field(o, "isFavorite", false, "false");
	check_field(o, "notes", true, "true");
	check_field(o, "version", false, "3");
	check_field(o, "future", false, "{\"x\":1}");
	check_field(o, "description", true, "");
	check_field(o, "id", true, "sec_1");
	check_field(o, "name", true, "db/prod");
	assert_int_equal(object_field(o, view_of("customFields.user"), &f), 0);
	assert_int_equal(f.content.len, 3);
	assert_memory_equal(f.content.p, "u\0v", 3);
	assert_int_equal(object_field(o, view_of("value"), &f), ERR_NOT_FOUND);
	assert_int_equal(object_field(o, view_of("customFields"), &f),
	    ERR_NOT_FOUND);
	assert_int_equal(object_field(o, view_of(""), &f), ERR_NOT_FOUND);
	object_unref(o);
}

static void
test_known_fields_take_little(void **state)
{
	const struct object_field fields[] = {
		FIELD_JSON("isActive", "true"),
		FIELD_JSON("isFavorite", "false"),
		FIELD_JSON("hasTotp", "false"),
		FIELD_TEXT("username", "app"),
	};
	struct object *o = secret(fields, UNIT_COUNT(fields));

	(void)state;
	assert_int_equal(secmem_len(&o->data), strlen("hunter2") + 3 + 5);
	object_unref(o);
}

static void
test_long_content(void **state)
{
	static const size_t lens[] = {127, 128, 16383, 16384, 300000};
	struct object_field f = FIELD_TEXT("notes", "");
	struct object_field got;
	char *text = malloc(300000);
	struct object *o;
	size_t i;

	(void)state;
	assert_non_null(text);
	memset(text, 'n', 300000);
	for (i = 0; i < UNIT_COUNT(lens); i++) {
		f.content = (struct view){(uint8_t *)text, lens[i]};
		o = secret(&f, 1);
		assert_int_equal(object_field(o, f.name, &got), 0);
		assert_int_equal(got.content.len, lens[i]);
		assert_memory_equal(got.content.p, text, lens[i]);
		object_unref(o);
	}
	free(text);
}

static void
test_next_walks_in_order(void **state)
{
	const struct object_field fields[] = {
		FIELD_TEXT("notes", "n"),
		FIELD_JSON("isActive", "true"),
		FIELD_TEXT("username", "u"),
	};
	struct object *o = secret(fields, 3);
	struct object_field f;
	size_t pos = 0;

	(void)state;
	assert_true(object_next_field(o, &pos, &f));
	assert_view(f.name, "notes");
	assert_true(object_next_field(o, &pos, &f));
	assert_view(f.name, "isActive");
	assert_true(object_next_field(o, &pos, &f));
	assert_view(f.content, "u");
	assert_false(object_next_field(o, &pos, &f));
	assert_false(object_next_field(o, &pos, &f));
	object_unref(o);
}

static void
test_field_names_are_listed_and_cut(void **state)
{
	const struct object_field fields[] = {
		FIELD_TEXT("username", "u"),
		FIELD_TEXT("totpSecret", "t"),
		FIELD_TEXT("customFields.a", "a"),
	};
	static const char all[] = "id, name, username, totp, customFields.a";
	struct object *o = secret(fields, 3);
	char buf[64];
	size_t size;

	(void)state;
	assert_string_equal(object_field_names(o, buf, sizeof(buf)), all);
	for (size = 1; size < sizeof(all); size++) {
		memset(buf, 'x', sizeof(buf));
		(void)object_field_names(o, buf, size);
		assert_true(strlen(buf) < size);
		assert_int_equal(buf[size], 'x');
	}
	assert_string_equal(object_field_names(o, buf, 20), "id, name, ...");
	object_unref(o);
}

static void
test_last_reference_wipes_and_frees(void **state)
{
	struct secmem_stats before, after;
	struct object *o;

	(void)state;
	secmem_get_stats(&before);
	o = secret(NULL, 0);
	assert_ptr_equal(object_ref(o), o);
	object_unref(o);
	assert_view(object_value(o), "hunter2");
	object_unref(o);
	object_unref(NULL);
	secmem_get_stats(&after);
	assert_int_equal(after.used_bytes, before.used_bytes);
}

/* An entry that was refused keeps the id, and nothing that was secret. */
static void
test_label_keeps_the_id_and_not_the_value(void **state)
{
	struct secmem_stats before, after;
	struct object *o;

	(void)state;
	secmem_get_stats(&before);
	o = secret(NULL, 0);
	(void)object_ref(o);		/* a reader */
	object_to_label(o);
	assert_view(object_value(o), "hunter2");
	object_unref(o);
	secmem_get_stats(&after);
	assert_int_equal(after.used_bytes, before.used_bytes);
	assert_view(object_id(o), "sec_1");
	assert_view(object_name(o), "db/prod");
	object_unref_label(o);
	/* the label first */
	o = secret(NULL, 0);
	(void)object_ref(o);
	object_to_label(o);
	object_unref_label(o);
	assert_int_equal(o->refs, 1);
	assert_view(object_value(o), "hunter2");
	object_unref(o);
	object_unref_label(NULL);
	secmem_get_stats(&after);
	assert_int_equal(after.used_bytes, before.used_bytes);
}

/* What 100,000 of are held: 36 bytes of id, 28 of name. */
static void
test_ordinary_object_takes_128_bytes(void **state)
{
	struct object *o;

	(void)state;
	o = object_new(REF_SECRET,
	    view_of("9f1c2b3a-0000-4000-8000-00000000002a"),
	    view_of("team-12/service-034/password"));
	assert_non_null(o);
	assert_int_equal(object_label_bytes(o), 128);
	assert_int_equal(object_set_data(o, view_of("hunter2"), NULL, 0), 0);
	assert_int_equal(object_bytes(o), 128 + secmem_class_size(7));
	object_unref(o);
}

static void
test_bytes_counts_both_memories(void **state)
{
	struct object *o = secret(NULL, 0);

	(void)state;
	assert_true(object_bytes(o) >= sizeof(*o) + strlen("sec_1") +
	    strlen("db/prod") + secmem_class_size(strlen("hunter2")));
	assert_true(object_bytes(o) < 256);
	object_unref(o);
}

static void
test_what_does_not_fit_is_no_memory(void **state)
{
	struct object_field f = FIELD_TEXT("notes", "");
	struct object *o;
	char *text = malloc(8u << 20);

	(void)state;
	assert_non_null(text);
	memset(text, 'n', 8u << 20);
	o = object_new(REF_SECRET, view_of("a"), view_of("b"));
	f.content = (struct view){(uint8_t *)text, 8u << 20};
	assert_int_equal(object_set_data(o, view_of("v"), &f, 1), ERR_NOMEM);
	assert_int_equal(object_value(o).len, 0);
	assert_int_equal(object_set_data(o, view_of("v"), NULL, 0), 0);
	object_unref(o);
	free(text);
}

static void
test_oversized_names_are_no_object(void **state)
{
	struct view v = {NULL, 65536};

	(void)state;
	assert_null(object_new(REF_SECRET, v, view_of("n")));
	assert_null(object_new(REF_SECRET, view_of("i"), v));
}

static void
test_known_field_names(void **state)
{
	(void)state;
	assert_string_equal(object_known_field(view_of("expiresAt")),
	    "expiresAt");
	assert_null(object_known_field(view_of("expires_at")));
	assert_null(object_known_field(view_of("")));
}

static int
set_up(void **state)
{
	struct secmem_config cfg = {
		.reserve_bytes = 4u << 20,
		.step_bytes = 1u << 20,
		.headroom_bytes = 1u << 20,
	};

	(void)state;
	return secmem_init(&cfg);
}

static int
tear_down(void **state)
{
	(void)state;
	secmem_done();
	return 0;
}

static void
test_buffer_becomes_a_value(void **state)
{
	struct object *o = object_new(REF_SECRET, (struct view){ NULL, 0 },
	    (struct view){ NULL, 0 });
	struct secbuf b;
	struct object_field field;
	size_t pos = 0;

	(void)state;
	assert_non_null(o);
	secbuf_init(&b, 1000);
	assert_int_equal(secbuf_append(&b, "any\0bytes", 9), 0);
	assert_int_equal(object_take(o, &b), 0);
	assert_int_equal(object_value(o).len, 9);
	assert_memory_equal(object_value(o).p, "any\0bytes", 9);
	assert_false(object_next_field(o, &pos, &field));
	/* and can be filled again */
	assert_int_equal(b.len, 0);
	assert_int_equal(secbuf_append(&b, "x", 1), 0);
	secbuf_clear(&b);
	object_unref(o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buffer_becomes_a_value),
		cmocka_unit_test(test_new_object_is_empty),
		cmocka_unit_test(test_value_and_fields_are_found),
		cmocka_unit_test(test_known_fields_take_little),
		cmocka_unit_test(test_long_content),
		cmocka_unit_test(test_next_walks_in_order),
		cmocka_unit_test(test_field_names_are_listed_and_cut),
		cmocka_unit_test(test_last_reference_wipes_and_frees),
		cmocka_unit_test(test_label_keeps_the_id_and_not_the_value),
		cmocka_unit_test(test_ordinary_object_takes_128_bytes),
		cmocka_unit_test(test_bytes_counts_both_memories),
		cmocka_unit_test(test_what_does_not_fit_is_no_memory),
		cmocka_unit_test(test_oversized_names_are_no_object),
		cmocka_unit_test(test_known_field_names),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
