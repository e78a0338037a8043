#include "config.h"

#include "agent_unit.h"

#include <stdint.h>

#include "position.h"
#include "wipe.h"

static struct secmem key;

static int
set_up(void **state)
{
	struct secmem api = { NULL, 0 };

	if (unit_secmem_setup(state) != 0 ||
	    secmem_copy(&api, "qapi_0123456789", 15, SECMEM_LIBRARY) != 0 ||
	    position_key(&api, &key) != 0)
		return -1;
	secmem_free_bytes(&api);
	return 0;
}

static int
tear_down(void **state)
{
	secmem_free_bytes(&key);
	return unit_secmem_teardown(state);
}

static struct object *
make(const char *value, const char *field, const char *content)
{
	struct object *o = object_new(REF_SECRET, unit_view("id"),
	    unit_view("name"));
	const struct object_field f = {
		.name = unit_view(field), .is_text = true,
		.content = unit_view(content),
	};

	assert_non_null(o);
	o->version = 3;
	o->updated_at = 1000;
	assert_int_equal(object_set_data(o, unit_view(value), &f, 1), 0);
	return o;
}

static struct position
of(struct object *o)
{
	struct position p;

	position_of(&key, o, &p);
	object_unref(o);
	return p;
}

static void
test_same_contents_are_at_the_same_position(void **state)
{
	struct position a = of(make("v", "username", "u"));
	struct position b = of(make("v", "username", "u"));

	(void)state;
	assert_true(position_equal(&a, &b));
	assert_false(position_is_none(&a));
}

static void
test_all_that_a_reader_sees_moves_it(void **state)
{
	struct position p[12];
	struct object *o;
	size_t n = 0, i, j;

	(void)state;
	p[n++] = of(make("v", "username", "u"));
	p[n++] = of(make("w", "username", "u"));
	p[n++] = of(make("v", "username", "x"));
	p[n++] = of(make("v", "usernam", "eu"));
	p[n++] = of(make("vusername", "u", ""));
	o = make("v", "username", "u");
	o->version = 4;
	p[n++] = of(o);
	o = make("v", "username", "u");
	o->updated_at = 1001;
	p[n++] = of(o);
	o = make("v", "username", "u");
	o->expires_at = 5;
	p[n++] = of(o);
	p[n++] = of(unit_object(REF_SECRET, "id", "name", 1, MSG_NO_TIME, 1,
	    'v'));
	p[n++] = of(unit_object(REF_SECRET, "i", "dname", 1, MSG_NO_TIME, 1,
	    'v'));
	p[n++] = of(unit_object(REF_KEY, "id", "name", 1, MSG_NO_TIME, 1,
	    'v'));
	p[n++] = of(unit_object(REF_SECRET, "id", "name", 1, MSG_NO_TIME, 0,
	    'v'));
	assert_int_equal(n, UNIT_COUNT(p));
	for (i = 0; i < n; i++) {
		for (j = 0; j < i; j++) {
			if (position_equal(&p[i], &p[j]))
				print_error("%zu and %zu\n", i, j);
			assert_false(position_equal(&p[i], &p[j]));
		}
	}
}

static void
test_no_value_is_all_zero(void **state)
{
	struct position p = of(NULL);
	static const uint8_t zero[MSG_POSITION_LEN];

	(void)state;
	assert_true(position_is_none(&p));
	assert_memory_equal(p.bytes, zero, sizeof(zero));
	p.bytes[15] = 1;
	assert_false(position_is_none(&p));
}

static void
test_key_comes_from_the_api_key_alone(void **state)
{
	struct secmem api = { NULL, 0 }, again = { NULL, 0 };
	struct secmem other = { NULL, 0 };
	struct position a, b;
	struct object *o = make("v", "username", "u");

	(void)state;
	assert_int_equal(secmem_copy(&api, "qapi_0123456789", 15,
	    SECMEM_LIBRARY), 0);
	assert_int_equal(position_key(&api, &again), 0);
	assert_true(secmem_equal(&key, &again));
	secmem_writable(&api)[14] = '8';
	assert_int_equal(position_key(&api, &other), 0);
	assert_false(secmem_equal(&key, &other));
	/* it is not the API key, in whole or in part */
	assert_memory_not_equal(secmem_bytes(&other), secmem_bytes(&api), 8);
	position_of(&key, o, &a);
	position_of(&other, o, &b);
	assert_false(position_equal(&a, &b));
	object_unref(o);
	secmem_free_bytes(&api);
	secmem_free_bytes(&again);
	secmem_free_bytes(&other);
}

static void
test_view_and_back(void **state)
{
	struct position a = of(make("v", "username", "u")), b;

	(void)state;
	assert_int_equal(position_view(&a).len, MSG_POSITION_LEN);
	position_from_view(position_view(&a), &b);
	assert_true(position_equal(&a, &b));
}

#if !defined(__SANITIZE_ADDRESS__)
#define STACK_LOOKED_AT (32u << 10)

/* Eight bytes of the value in the stack below this function? */
static __attribute__((noinline)) bool
stack_holds(const uint8_t *what, size_t len)
{
	const volatile uint8_t *top = (volatile uint8_t *)
	    __builtin_frame_address(0);
	const volatile uint8_t *p;
	size_t i, k;

	for (p = top - STACK_LOOKED_AT; p < top - 64; p++) {
		for (i = 0; i + 8 <= len; i += 8) {
			for (k = 0; k < 8 && p[k] == (what[i + k] ^ 0x55);
			    k++)
				;
			if (k == 8)
				return true;
		}
	}
	return false;
}

static __attribute__((noinline)) void
leave_on_stack(const uint8_t *what, size_t len)
{
	volatile uint8_t copy[6144];
	size_t i;

	for (i = 0; i < len; i++)
		copy[i + 2048] = what[i] ^ 0x55;
	(void)copy[2048];
}

static void
test_stack_holds_nothing_of_the_value(void **state)
{
	uint8_t coded[96], plain[96 + 1];
	struct object *o;
	struct position p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(coded); i++)
		coded[i] = (uint8_t)((i * 37 + 11) ^ 0x55);
	/* what looks would find it */
	leave_on_stack(coded, sizeof(coded));
	assert_true(stack_holds(coded, sizeof(coded)));
	secmem_scrub_stack();
	assert_false(stack_holds(coded, sizeof(coded)));
	for (i = 0; i < sizeof(coded); i++)
		plain[i] = coded[i] ^ 0x55;
	o = object_new(REF_SECRET, unit_view("id"), unit_view("name"));
	assert_non_null(o);
	assert_int_equal(object_set_data(o, (struct view){ plain,
	    sizeof(coded) }, NULL, 0), 0);
	wipe(plain, sizeof(plain));
	secmem_scrub_stack();
	position_of(&key, o, &p);
	assert_false(stack_holds(coded, sizeof(coded)));
	object_unref(o);
}
#endif

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_contents_are_at_the_same_position),
		cmocka_unit_test(test_all_that_a_reader_sees_moves_it),
		cmocka_unit_test(test_no_value_is_all_zero),
		cmocka_unit_test(test_key_comes_from_the_api_key_alone),
		cmocka_unit_test(test_view_and_back),
#if !defined(__SANITIZE_ADDRESS__)
		cmocka_unit_test(test_stack_holds_nothing_of_the_value),
#endif
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
