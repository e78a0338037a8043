#include "config.h"

#include "unit.h"

#include "err.h"
#include "frame.h"

/* A whole frame with a body of n bytes; returns its length. */
static size_t
make_frame(uint8_t *out, size_t size, uint8_t type, uint16_t flags,
    uint64_t id, size_t n)
{
	struct wr wr;
	size_t start;
	size_t i;

	wr_init(&wr, out, size);
	start = frame_begin(&wr, type, flags, id);
	assert_int_equal(start, 0);
	for (i = 0; i < n; i++)
		wr_u8(&wr, (uint8_t)i);
	frame_end(&wr, start, 0);
	assert_false(wr.failed);
	return wr.len;
}

static void
test_header_is_as_documented(void **state)
{
	static const uint8_t expected[] = {
		0, 0, 0, 2, 1, 0x81, 0x00, 0x01, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1
	};
	uint8_t out[32];

	(void)state;
	assert_int_equal(make_frame(out, sizeof(out), FRAME_RESULT, FRAME_MORE,
	    UINT64_C(0x0102030405060708), 2), sizeof(expected));
	assert_memory_equal(out, expected, sizeof(expected));
}

static void
test_cut_gives_what_was_written(void **state)
{
	struct frame f;
	uint8_t out[64];
	size_t len;

	(void)state;
	len = make_frame(out, sizeof(out), FRAME_GET, 0, 9, 5);
	/* more bytes after it belong to the next frame */
	assert_int_equal(frame_cut(out, sizeof(out), FRAME_REQUEST_MAX, &f),
	    0);
	assert_int_equal(f.type, FRAME_GET);
	assert_int_equal(f.flags, 0);
	assert_true(f.id == 9);
	assert_ptr_equal(f.body.p, out + FRAME_HEADER_LEN);
	assert_int_equal(f.body.len, 5);
	assert_int_equal(f.total, len);
}

static void
test_cut_says_how_much_is_missing(void **state)
{
	struct frame f;
	uint8_t out[64];
	size_t len;
	size_t i;

	(void)state;
	len = make_frame(out, sizeof(out), FRAME_GET, 0, 9, 5);
	for (i = 0; i < len; i++) {
		assert_int_equal(frame_cut(out, i, FRAME_REQUEST_MAX, &f),
		    ERR_AGAIN);
		assert_int_equal(f.total,
		    i < FRAME_HEADER_LEN ? FRAME_HEADER_LEN : len);
	}
	assert_int_equal(frame_cut(NULL, 0, FRAME_REQUEST_MAX, &f),
	    ERR_AGAIN);
}

static void
test_cut_refuses_a_length_before_the_body_is_there(void **state)
{
	static const size_t limits[] = { 0, FRAME_REQUEST_MAX,
		FRAME_ANSWER_MAX };
	struct frame f;
	uint8_t h[FRAME_HEADER_LEN];
	size_t i;

	(void)state;
	(void)make_frame(h, sizeof(h), FRAME_GET, 0, 9, 0);
	for (i = 0; i < UNIT_COUNT(limits); i++) {
		be_put_u32(h, (uint32_t)limits[i]);
		assert_int_equal(frame_cut(h, sizeof(h), limits[i], &f),
		    limits[i] == 0 ? 0 : ERR_AGAIN);
		assert_int_equal(f.total, limits[i] + FRAME_HEADER_LEN);
		be_put_u32(h, (uint32_t)limits[i] + 1);
		assert_int_equal(frame_cut(h, sizeof(h), limits[i], &f),
		    ERR_TOO_LARGE);
		assert_true(f.id == 9);
		assert_int_equal(f.total, 0);
	}
	be_put_u32(h, UINT32_MAX);
	assert_int_equal(frame_cut(h, sizeof(h), FRAME_ANSWER_MAX, &f),
	    ERR_TOO_LARGE);
}

static void
test_cut_refuses_another_version_at_once(void **state)
{
	struct frame f;
	uint8_t out[64];
	int version;

	(void)state;
	(void)make_frame(out, sizeof(out), FRAME_GET, 0, 9, 5);
	for (version = 0; version < 256; version++) {
		out[4] = (uint8_t)version;
		assert_int_equal(frame_cut(out, FRAME_HEADER_LEN,
		    FRAME_REQUEST_MAX, &f),
		    version == FRAME_VERSION ? ERR_AGAIN : ERR_UNSUPPORTED);
		if (version != FRAME_VERSION)
			assert_int_equal(f.total, 0);
	}
}

static void
test_cut_lets_critical_flags_be_skipped(void **state)
{
	struct frame f;
	uint8_t out[64];
	size_t len;
	int bit;

	(void)state;
	for (bit = 0; bit < 16; bit++) {
		len = make_frame(out, sizeof(out), FRAME_GET,
		    (uint16_t)(1u << bit), 9, 5);
		/* all of it has to be there to be skipped */
		assert_int_equal(frame_cut(out, len - 1, FRAME_REQUEST_MAX,
		    &f), ERR_AGAIN);
		assert_int_equal(frame_cut(out, len, FRAME_REQUEST_MAX, &f),
		    bit >= 8 || bit == 1 ? ERR_UNSUPPORTED : 0);
		assert_int_equal(f.total, len);
		assert_true(f.id == 9);
	}
}

static void
test_end_counts_what_is_sent_apart(void **state)
{
	struct frame f;
	uint8_t out[64];
	struct wr wr;
	size_t start;

	(void)state;
	wr_init(&wr, out, sizeof(out));
	wr_u8(&wr, 0xaa);
	start = frame_begin(&wr, FRAME_RESULT, 0, 1);
	assert_int_equal(start, 1);
	wr_u16(&wr, 7);
	frame_end(&wr, start, 1000);
	assert_false(wr.failed);
	assert_int_equal(frame_cut(out + 1, wr.len - 1, FRAME_ANSWER_MAX, &f),
	    ERR_AGAIN);
	assert_int_equal(f.total, FRAME_HEADER_LEN + 1002);
}

static void
test_end_keeps_the_limit_of_each_direction(void **state)
{
	uint8_t out[FRAME_HEADER_LEN];
	struct wr wr;

	(void)state;
	wr_init(&wr, out, sizeof(out));
	frame_end(&wr, frame_begin(&wr, FRAME_GET, 0, 1), FRAME_REQUEST_MAX);
	assert_false(wr.failed);
	wr_init(&wr, out, sizeof(out));
	frame_end(&wr, frame_begin(&wr, FRAME_GET, 0, 1),
	    FRAME_REQUEST_MAX + 1);
	assert_true(wr.failed);
	wr_init(&wr, out, sizeof(out));
	frame_end(&wr, frame_begin(&wr, FRAME_RESULT, 0, 1),
	    FRAME_ANSWER_MAX);
	assert_false(wr.failed);
	wr_init(&wr, out, sizeof(out));
	frame_end(&wr, frame_begin(&wr, FRAME_RESULT, 0, 1), SIZE_MAX);
	assert_true(wr.failed);
}

static void
test_begin_latches_overflow(void **state)
{
	uint8_t out[FRAME_HEADER_LEN];
	struct wr wr;

	(void)state;
	wr_init(&wr, out, FRAME_HEADER_LEN - 1);
	frame_end(&wr, frame_begin(&wr, FRAME_PING, 0, 1), 0);
	assert_true(wr.failed);
	assert_int_equal(wr.len, 0);
}

static void
test_random_stream_is_cut_into_its_frames(void **state)
{
	static uint8_t out[65536];
	uint64_t seed = unit_seed();
	uint64_t ids[64];
	struct frame f;
	struct wr wr;
	size_t start;
	size_t off = 0;
	size_t n;
	int i;

	(void)state;
	wr_init(&wr, out, sizeof(out));
	for (i = 0; i < 64; i++) {
		ids[i] = unit_random(&seed);
		start = frame_begin(&wr, FRAME_GET, 0, ids[i]);
		for (n = unit_below(&seed, 500); n > 0; n--)
			wr_u8(&wr, (uint8_t)unit_random(&seed));
		frame_end(&wr, start, 0);
	}
	assert_false(wr.failed);
	for (i = 0; i < 64; i++) {
		assert_int_equal(frame_cut(out + off, wr.len - off,
		    FRAME_REQUEST_MAX, &f), 0);
		assert_true(f.id == ids[i]);
		off += f.total;
	}
	assert_int_equal(off, wr.len);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_is_as_documented),
		cmocka_unit_test(test_cut_gives_what_was_written),
		cmocka_unit_test(test_cut_says_how_much_is_missing),
		cmocka_unit_test(
		    test_cut_refuses_a_length_before_the_body_is_there),
		cmocka_unit_test(test_cut_refuses_another_version_at_once),
		cmocka_unit_test(test_cut_lets_critical_flags_be_skipped),
		cmocka_unit_test(test_end_counts_what_is_sent_apart),
		cmocka_unit_test(test_end_keeps_the_limit_of_each_direction),
		cmocka_unit_test(test_begin_latches_overflow),
		cmocka_unit_test(test_random_stream_is_cut_into_its_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
