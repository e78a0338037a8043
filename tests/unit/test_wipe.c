#include "config.h"

#include "unit.h"

#include "wipe.h"

static void
test_wipe_zeroes_just_what_it_is_told(void **state)
{
	char buf[6] = "abcde";

	(void)state;
	wipe(buf + 1, 3);
	assert_memory_equal(buf, "a\0\0\0e", 6);
	wipe(NULL, 0);
	wipe(buf, 0);
	assert_int_equal(buf[0], 'a');
}

static void
test_wipe_free_keeps_errno(void **state)
{
	char *p = malloc(16);

	(void)state;
	assert_non_null(p);
	memset(p, 'x', 16);
	errno = EDOM;
	wipe_free(p, 16);
	assert_int_equal(errno, EDOM);
	wipe_free(NULL, 0);
	wipe_free(NULL, 16);
	wipe_free(malloc(1), 0);
}

static void
test_wipe_equal(void **state)
{
	char a[64];
	char b[64];
	size_t i;
	int bit;

	(void)state;
	memset(a, 'x', sizeof(a));
	memset(b, 'x', sizeof(b));
	assert_true(wipe_equal(a, b, sizeof(a)));
	assert_true(wipe_equal(NULL, NULL, 0));
	assert_true(wipe_equal(a, "y", 0));
	for (i = 0; i < sizeof(a); i++) {
		for (bit = 0; bit < 8; bit++) {
			b[i] = (char)(b[i] ^ 1 << bit);
			assert_false(wipe_equal(a, b, sizeof(a)));
			assert_true(wipe_equal(a, b, i));
			b[i] = (char)(b[i] ^ 1 << bit);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wipe_zeroes_just_what_it_is_told),
		cmocka_unit_test(test_wipe_free_keeps_errno),
		cmocka_unit_test(test_wipe_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
