/* What is in the header of an envelope: docs/envelope.md. */
#include "config.h"

#include "unit.h"

#include "envelope.h"
#include "err.h"
#include "msg_call.h"

static uint8_t out[MSG_ENVELOPE_MAX + 64];
static uint8_t big[MSG_ENVELOPE_MAX];
static struct wr wr;

static struct view
view_of(const char *text)
{
	struct view v = { (const uint8_t *)text, strlen(text) };

	return v;
}

static struct view
filled(size_t len)
{
	struct view v = { big, len };

	assert_true(len <= sizeof(big));
	memset(big, 'x', sizeof(big));
	return v;
}

static struct envelope
some(void)
{
	const struct envelope e = {
		.cipher = ENVELOPE_XCHACHA20_POLY1305,
		.chunk_len = MSG_CHUNK_MAX,
		.stream = view_of("012345678901234567890123"),
		.key_version = 3,
		.key_id = view_of("5f0c1a7e"),
		.algorithm = view_of("AES-256-GCM"),
		.wrapped = view_of("d3JhcHBlZA=="),
	};

	return e;
}

static void
write_header(const struct envelope *e)
{
	wr_init(&wr, out, sizeof(out));
	envelope_encode(&wr, e);
}

static int
decode(struct envelope *ret)
{
	return envelope_decode((struct view){ out, wr.len }, ret);
}

static void
test_header(void **state)
{
	struct envelope e = some();
	struct envelope got;
	size_t len;

	(void)state;
	write_header(&e);
	assert_false(wr.failed);
	assert_int_equal(envelope_header_len(out, wr.len, &len), 0);
	assert_int_equal(len, wr.len);
	/* what follows it does not matter */
	assert_int_equal(envelope_header_len(out, sizeof(out), &len), 0);
	assert_int_equal(decode(&got), 0);
	assert_int_equal(got.cipher, e.cipher);
	assert_int_equal(got.chunk_len, MSG_CHUNK_MAX);
	assert_true(got.key_version == 3);
	assert_memory_equal(got.stream.p, e.stream.p, ENVELOPE_STREAM_LEN);
	assert_int_equal(got.key_id.len, e.key_id.len);
	assert_memory_equal(got.key_id.p, e.key_id.p, e.key_id.len);
	assert_int_equal(got.algorithm.len, e.algorithm.len);
	assert_int_equal(got.wrapped.len, e.wrapped.len);
	assert_memory_equal(got.wrapped.p, e.wrapped.p, e.wrapped.len);
	e.algorithm.len = 0;
	write_header(&e);
	assert_int_equal(decode(&got), 0);
	assert_int_equal(got.algorithm.len, 0);
}

/* Every header that is too short, too long, or whose parts overlap its end. */
static void
test_cut_headers_are_refused(void **state)
{
	struct envelope e = some();
	struct envelope got;
	size_t len;

	(void)state;
	write_header(&e);
	len = wr.len;
	for (wr.len = 0; wr.len < len; wr.len++)
		assert_int_equal(decode(&got), ERR_BAD_REQUEST);
	/* also where the length agrees with what is there */
	for (wr.len = ENVELOPE_PREFIX_LEN; wr.len < len; wr.len++) {
		be_put_u32(out + 8, (uint32_t)wr.len);
		assert_int_equal(decode(&got), ERR_BAD_REQUEST);
	}
	wr.len = len + 1;
	be_put_u32(out + 8, (uint32_t)wr.len);
	assert_int_equal(decode(&got), ERR_BAD_REQUEST);
	wr.len = len;
	be_put_u32(out + 8, (uint32_t)len + 1);
	assert_int_equal(decode(&got), ERR_BAD_REQUEST);
	be_put_u32(out + 8, (uint32_t)len - 1);
	assert_int_equal(decode(&got), ERR_BAD_REQUEST);
	be_put_u32(out + 8, (uint32_t)wr.len);
	assert_int_equal(decode(&got), 0);
}

static void
test_later_versions_are_unsupported(void **state)
{
	struct envelope e = some();
	struct envelope got;

	(void)state;
	write_header(&e);
	out[7]++;
	assert_int_equal(decode(&got), ERR_UNSUPPORTED);
	e.cipher = ENVELOPE_XCHACHA20_POLY1305 + 1;
	write_header(&e);
	assert_int_equal(decode(&got), ERR_UNSUPPORTED);
	e = some();
	e.chunk_len = MSG_CHUNK_MAX + 1;
	write_header(&e);
	assert_int_equal(decode(&got), ERR_UNSUPPORTED);
}

static void
refuse(const struct envelope *e)
{
	write_header(e);
	assert_true(wr.failed);
}

static void
test_limits(void **state)
{
	struct envelope e = some();
	struct envelope got;

	(void)state;
	e.key_id = filled(MSG_ID_MAX);
	e.algorithm = filled(ENVELOPE_ALGORITHM_MAX);
	e.wrapped = filled(ENVELOPE_WRAPPED_MAX);
	write_header(&e);
	assert_false(wr.failed);
	assert_true(wr.len <= MSG_ENVELOPE_MAX);
	assert_int_equal(decode(&got), 0);
	assert_int_equal(got.wrapped.len, ENVELOPE_WRAPPED_MAX);
	e.wrapped.len++;
	refuse(&e);
	e.wrapped.len = 0;
	refuse(&e);
	e = some();
	e.key_id = filled(MSG_ID_MAX + 1);
	refuse(&e);
	e.key_id.len = 0;
	refuse(&e);
	e = some();
	e.algorithm = filled(ENVELOPE_ALGORITHM_MAX + 1);
	refuse(&e);
	e = some();
	e.stream.len--;
	refuse(&e);
	/* by hand, what no encoder writes: no key, no text */
	e = some();
	write_header(&e);
	be_put_u16(out + 50, 0);
	assert_int_equal(decode(&got), ERR_BAD_REQUEST);
	write_header(&e);
	out[52] = 0;
	assert_int_equal(decode(&got), ERR_BAD_REQUEST);
	write_header(&e);
	out[52] = 0xff;
	assert_int_equal(decode(&got), ERR_BAD_REQUEST);
}

int
main(void)
{
	const struct CMUnitTest group[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_cut_headers_are_refused),
		cmocka_unit_test(test_later_versions_are_unsupported),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(group, NULL, NULL);
}
