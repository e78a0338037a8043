#include "config.h"

#include "key_words.h"

#include "unit.h"

static struct view
view(const char *text)
{
	return (struct view){ (const uint8_t *)text, strlen(text) };
}

/* What snapshots hold must mean the same in each later version. */
static void
test_numbers_stay(void **state)
{
	(void)state;
	assert_int_equal(key_type_number(view("encryption")), 1);
	assert_int_equal(key_type_number(view("hmac")), 3);
	assert_int_equal(key_algorithm_number(view("ML-KEM-768")), 2);
	assert_int_equal(key_algorithm_number(view("Ed25519")), 9);
	assert_int_equal(key_algorithm_number(view("HMAC-SHA512")), 31);
}

static void
test_there_and_back(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 1; i < 1u << KEY_ALGORITHM_BITS; i++) {
		assert_non_null(key_algorithm_name((uint8_t)i));
		assert_int_equal(key_algorithm_number(view(
		    key_algorithm_name((uint8_t)i))), i);
	}
	for (i = 1; i < 1u << KEY_TYPE_BITS; i++)
		assert_int_equal(key_type_number(view(
		    key_type_name((uint8_t)i))), i);
}

static void
test_none(void **state)
{
	(void)state;
	assert_int_equal(key_type_number(view("")), 0);
	assert_int_equal(key_type_number(view("Signing")), 0);
	assert_int_equal(key_algorithm_number(view("ML-KEM-7680")), 0);
	assert_null(key_type_name(0));
	assert_null(key_type_name(4));
	assert_null(key_algorithm_name(0));
	assert_null(key_algorithm_name(32));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_stay),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
