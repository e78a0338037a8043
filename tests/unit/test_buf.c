#include "config.h"

#include "unit.h"

#include "buf.h"

static void
test_rd_reads_big_endian(void **state)
{
	static const uint8_t in[] = {
		0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xff, 0xfe, 0xfd,
		0xfc, 0xfb, 0xfa, 0xf9, 0xf8, 'a', 'b'
	};
	struct rd rd;
	struct view v;

	(void)state;
	rd_init(&rd, in, sizeof(in));
	assert_int_equal(rd_u8(&rd), 0x01);
	assert_int_equal(rd_u16(&rd), 0x0203);
	assert_int_equal(rd_u32(&rd), 0x04050607);
	assert_true(rd_u64(&rd) == UINT64_C(0xfffefdfcfbfaf9f8));
	assert_false(rd_done(&rd));
	v = rd_bytes(&rd, 2);
	assert_ptr_equal(v.p, in + 15);
	assert_int_equal(v.len, 2);
	assert_true(rd_done(&rd));
}

static void
test_rd_latches_the_first_failure(void **state)
{
	static const uint8_t in[] = { 1, 2, 3 };
	struct rd rd;
	struct view v;

	(void)state;
	rd_init(&rd, in, sizeof(in));
	assert_int_equal(rd_u32(&rd), 0);
	assert_true(rd.failed);
	assert_int_equal(rd_u8(&rd), 0);
	assert_int_equal(rd_u16(&rd), 0);
	assert_true(rd_u64(&rd) == 0);
	v = rd_bytes(&rd, 1);
	assert_null(v.p);
	assert_int_equal(v.len, 0);
	v = rd_bytes(&rd, 0);
	assert_int_equal(v.len, 0);
	assert_false(rd_done(&rd));
}

static void
test_rd_each_function_fails_one_byte_short(void **state)
{
	static const uint8_t in[8] = { 0 };
	struct rd rd;

	(void)state;
	rd_init(&rd, in, 0);
	(void)rd_u8(&rd);
	assert_true(rd.failed);
	rd_init(&rd, in, 1);
	(void)rd_u16(&rd);
	assert_true(rd.failed);
	rd_init(&rd, in, 3);
	(void)rd_u32(&rd);
	assert_true(rd.failed);
	rd_init(&rd, in, 7);
	(void)rd_u64(&rd);
	assert_true(rd.failed);
	rd_init(&rd, in, 7);
	(void)rd_bytes(&rd, 8);
	assert_true(rd.failed);
	rd_init(&rd, in, 7);
	(void)rd_bytes(&rd, SIZE_MAX);
	assert_true(rd.failed);
	rd_init(&rd, in, 7);
	rd_fail(&rd);
	(void)rd_u8(&rd);
	assert_false(rd_done(&rd));
}

static void
test_rd_takes_nothing(void **state)
{
	struct rd rd;
	struct view v;

	(void)state;
	rd_init(&rd, NULL, 0);
	v = rd_bytes(&rd, 0);
	assert_int_equal(v.len, 0);
	assert_true(rd_done(&rd));
	(void)rd_bytes(&rd, 1);
	assert_false(rd_done(&rd));
}

static void
test_wr_writes_big_endian(void **state)
{
	static const uint8_t expected[] = {
		0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xff, 0xfe, 0xfd,
		0xfc, 0xfb, 0xfa, 0xf9, 0xf8, 'a', 'b'
	};
	uint8_t out[sizeof(expected)];
	struct wr wr;

	(void)state;
	wr_init(&wr, out, sizeof(out));
	wr_u8(&wr, 0x01);
	wr_u16(&wr, 0x0203);
	wr_u32(&wr, 0x04050607);
	wr_u64(&wr, UINT64_C(0xfffefdfcfbfaf9f8));
	wr_bytes(&wr, "ab", 2);
	wr_bytes(&wr, NULL, 0);
	assert_false(wr.failed);
	assert_int_equal(wr.len, sizeof(expected));
	assert_memory_equal(out, expected, sizeof(expected));
}

static void
test_wr_latches_overflow(void **state)
{
	uint8_t out[8];
	struct wr wr;

	(void)state;
	memset(out, 0x55, sizeof(out));
	wr_init(&wr, out, 7);
	wr_u32(&wr, 0);
	wr_u32(&wr, 0);
	assert_true(wr.failed);
	assert_int_equal(wr.len, 4);
	/* they would fit, but something is missing before them */
	wr_u8(&wr, 0);
	wr_u16(&wr, 0);
	wr_bytes(&wr, "a", 1);
	wr_patch_u32(&wr, 0, UINT32_MAX);
	assert_int_equal(wr.len, 4);
	assert_int_equal(out[0], 0);
	assert_int_equal(out[4], 0x55);
	assert_int_equal(out[7], 0x55);
}

static void
test_wr_each_function_fails_one_byte_short(void **state)
{
	uint8_t out[8];
	struct wr wr;

	(void)state;
	wr_init(&wr, out, 0);
	wr_u8(&wr, 0);
	assert_true(wr.failed);
	wr_init(&wr, out, 1);
	wr_u16(&wr, 0);
	assert_true(wr.failed);
	wr_init(&wr, out, 3);
	wr_u32(&wr, 0);
	assert_true(wr.failed);
	wr_init(&wr, out, 7);
	wr_u64(&wr, 0);
	assert_true(wr.failed);
	wr_init(&wr, out, 7);
	wr_bytes(&wr, out, SIZE_MAX);
	assert_true(wr.failed);
	wr_init(&wr, NULL, 0);
	wr_bytes(&wr, NULL, 0);
	assert_false(wr.failed);
}

static void
test_wr_patch(void **state)
{
	uint8_t out[12];
	struct wr wr;

	(void)state;
	wr_init(&wr, out, sizeof(out));
	wr_u64(&wr, 0);
	wr_patch_u32(&wr, 4, 0x01020304);
	assert_false(wr.failed);
	assert_int_equal(out[4], 1);
	assert_int_equal(out[7], 4);
	assert_int_equal(wr.len, 8);

	/* not into what has not been written */
	wr_patch_u32(&wr, 5, 0);
	assert_true(wr.failed);
	wr.failed = false;
	wr_patch_u32(&wr, SIZE_MAX - 1, 0);
	assert_true(wr.failed);
}

static void
test_random_round_trip(void **state)
{
	uint64_t seed = unit_seed();
	uint8_t out[15];
	uint64_t v[4];
	struct wr wr;
	struct rd rd;
	int i;
	int j;

	(void)state;
	for (i = 0; i < 1000; i++) {
		for (j = 0; j < 4; j++)
			v[j] = unit_random(&seed);
		wr_init(&wr, out, sizeof(out));
		wr_u8(&wr, (uint8_t)v[0]);
		wr_u16(&wr, (uint16_t)v[1]);
		wr_u32(&wr, (uint32_t)v[2]);
		wr_u64(&wr, v[3]);
		rd_init(&rd, out, wr.len);
		assert_int_equal(rd_u8(&rd), (uint8_t)v[0]);
		assert_int_equal(rd_u16(&rd), (uint16_t)v[1]);
		assert_int_equal(rd_u32(&rd), (uint32_t)v[2]);
		assert_true(rd_u64(&rd) == v[3]);
		assert_true(rd_done(&rd));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rd_reads_big_endian),
		cmocka_unit_test(test_rd_latches_the_first_failure),
		cmocka_unit_test(test_rd_each_function_fails_one_byte_short),
		cmocka_unit_test(test_rd_takes_nothing),
		cmocka_unit_test(test_wr_writes_big_endian),
		cmocka_unit_test(test_wr_latches_overflow),
		cmocka_unit_test(test_wr_each_function_fails_one_byte_short),
		cmocka_unit_test(test_wr_patch),
		cmocka_unit_test(test_random_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
