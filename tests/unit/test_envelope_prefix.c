/*
 * The beginning of an envelope, as clients look at it.
 */
#include "config.h"

#include "unit.h"

#include "envelope.h"
#include "err.h"
#include "msg_call.h"

static void
test_length_is_read_from_twelve_bytes(void **state)
{
	static const uint8_t head[] = "QAPIENV\x01\x00\x00\x01\x2c" "more";
	size_t len = 0;

	(void)state;
	assert_int_equal(envelope_header_len(head, sizeof(head), &len), 0);
	assert_int_equal(len, 300);
	len = 0;
	assert_int_equal(envelope_header_len(head, 12, &len), 0);
	assert_int_equal(len, 300);
}

static void
test_fewer_bytes_do_not_tell(void **state)
{
	static const uint8_t head[] = "QAPIENV\x01\x00\x00\x01\x2c";
	size_t len = 7, i;

	(void)state;
	for (i = 0; i < 12; i++)
		assert_int_equal(envelope_header_len(head, i, &len),
		    ERR_AGAIN);
	assert_int_equal(len, 7);
}

static void
test_what_is_no_envelope_is_told_at_its_first_byte(void **state)
{
	size_t len = 7;

	(void)state;
	assert_int_equal(envelope_header_len("eyJjIjoi", 8, &len),
	    ERR_BAD_REQUEST);
	assert_int_equal(envelope_header_len("e", 1, &len), ERR_BAD_REQUEST);
	assert_int_equal(envelope_header_len("QAPIENX", 7, &len),
	    ERR_BAD_REQUEST);
	assert_int_equal(len, 7);
}

static void
test_other_version_is_unsupported(void **state)
{
	size_t len;

	(void)state;
	assert_int_equal(envelope_header_len("QAPIENV\x02", 8, &len),
	    ERR_UNSUPPORTED);
}

static void
test_length_has_bounds(void **state)
{
	uint8_t head[12] = "QAPIENV\x01\x00\x00\x00\x0b";
	size_t len;

	(void)state;
	assert_int_equal(envelope_header_len(head, 12, &len),
	    ERR_BAD_REQUEST);
	head[11] = 12;
	assert_int_equal(envelope_header_len(head, 12, &len), 0);
	be_put_u32(head + 8, MSG_ENVELOPE_MAX);
	assert_int_equal(envelope_header_len(head, 12, &len), 0);
	be_put_u32(head + 8, MSG_ENVELOPE_MAX + 1);
	assert_int_equal(envelope_header_len(head, 12, &len),
	    ERR_BAD_REQUEST);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_length_is_read_from_twelve_bytes),
		cmocka_unit_test(test_fewer_bytes_do_not_tell),
		cmocka_unit_test(
		    test_what_is_no_envelope_is_told_at_its_first_byte),
		cmocka_unit_test(test_other_version_is_unsupported),
		cmocka_unit_test(test_length_has_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
