/*
 * CALL, the typed operations and streams: what the table of test_msg.c, which
 * has the limits of their fields, and the vectors do not say.
 */
#include "config.h"

#include "unit.h"

#include "err.h"
#include "msg_call.h"

static uint8_t out[FRAME_REQUEST_MAX + FRAME_HEADER_LEN];
static uint8_t other[FRAME_REQUEST_MAX + FRAME_HEADER_LEN];
static uint8_t big[MSG_DATA_MAX + 1];
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

static void
begin(void)
{
	wr_init(&wr, out, sizeof(out));
}

static void
add(uint16_t tag, const void *p, size_t len)
{
	wr_u16(&wr, tag);
	wr_u32(&wr, (uint32_t)len);
	wr_bytes(&wr, p, len);
}

static struct view
body(void)
{
	struct view v = { out, wr.len };

	assert_false(wr.failed);
	return v;
}

/* The one frame that was written, as the agent would cut it. */
static struct frame
written(size_t max_body)
{
	struct frame f;

	assert_false(wr.failed);
	assert_int_equal(frame_cut(wr.p, wr.len, max_body, &f), 0);
	assert_int_equal(f.total, wr.len);
	return f;
}

static struct msg_call
full_call(void)
{
	struct msg_call m;

	m.terms = (struct msg_terms){ UINT64_MAX - 1, UINT64_MAX - 1,
		UINT64_MAX - 1, 7 };
	m.method = view_of("VERSION-CONTROL-");
	m.target = filled(MSG_TARGET_MAX);
	m.ref = filled(REF_MAX);
	m.content_type = filled(MSG_CONTENT_TYPE_MAX);
	m.has_data = true;
	m.data = filled(MSG_DATA_MAX);
	return m;
}

static struct msg_crypt
full_crypt(void)
{
	const struct msg_crypt m = {
		.deadline_ms = 1,
		.key = filled(MSG_NAME_MAX),
		.algorithm = filled(MSG_ALGORITHM_MAX),
		.aad = filled(MSG_AAD_MAX),
		.signature = filled(MSG_SIGNATURE_MAX),
		.data = filled(MSG_DATA_MAX),
	};

	return m;
}

static void
test_largest_requests_fit_a_frame(void **state)
{
	const struct msg_call call = full_call();
	const struct msg_crypt crypt = full_crypt();
	struct msg_call m;
	struct msg_crypt c;
	uint8_t type;

	(void)state;
	begin();
	msg_call_encode(&wr, 1, &call, false);
	assert_int_equal(msg_call_decode(written(FRAME_REQUEST_MAX).body, &m),
	    0);
	assert_int_equal(m.data.len, MSG_DATA_MAX);
	assert_int_equal(m.ref.len, REF_MAX);
	assert_int_equal(m.terms.flags, 7);
	for (type = FRAME_ENCRYPT; type <= FRAME_VERIFY; type++) {
		begin();
		msg_crypt_encode(&wr, type, 1, &crypt, false);
		assert_int_equal(msg_crypt_decode(type,
		    written(FRAME_REQUEST_MAX).body, &c), 0);
		assert_int_equal(c.data.len, MSG_DATA_MAX);
		assert_int_equal(c.key.len, MSG_NAME_MAX);
	}
}

static void
test_method_is_a_token(void **state)
{
	static const char *const good[] = { "GET", "M-SEARCH", "-" };
	static const char *const bad[] = { "get", "GET ", "GET\r\n", "G3T",
		"GET /", "G\xc3\x84T", "@", "[" };
	struct msg_call m;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(good); i++) {
		begin();
		add(0x17, good[i], strlen(good[i]));
		add(0x18, "/", 1);
		assert_int_equal(msg_call_decode(body(), &m), 0);
	}
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		begin();
		add(0x17, bad[i], strlen(bad[i]));
		add(0x18, "/", 1);
		assert_int_equal(msg_call_decode(body(), &m),
		    ERR_BAD_REQUEST);
	}
	begin();
	add(0x17, "AAAAAAAAAAAAAAAAA", 17);
	add(0x18, "/", 1);
	assert_int_equal(msg_call_decode(body(), &m), ERR_BAD_REQUEST);
}

static void
test_call_tells_an_empty_body_from_none(void **state)
{
	struct msg_call in;
	struct msg_call m;

	(void)state;
	msg_call_init(&in);
	in.method = view_of("POST");
	in.target = view_of("/x");
	begin();
	msg_call_encode(&wr, 1, &in, false);
	assert_int_equal(msg_call_decode(written(FRAME_REQUEST_MAX).body, &m),
	    0);
	assert_false(m.has_data);
	in.has_data = true;
	begin();
	msg_call_encode(&wr, 1, &in, false);
	assert_int_equal(msg_call_decode(written(FRAME_REQUEST_MAX).body, &m),
	    0);
	assert_true(m.has_data);
	assert_int_equal(m.data.len, 0);
}

/* A second REF would be one that nobody judged. */
static void
test_call_has_one_ref(void **state)
{
	struct msg_call m;

	(void)state;
	begin();
	add(0x17, "GET", 3);
	add(0x18, "/", 1);
	add(0x10, "a", 1);
	assert_int_equal(msg_call_decode(body(), &m), 0);
	add(0x10, "b", 1);
	assert_int_equal(msg_call_decode(body(), &m), ERR_BAD_REQUEST);
}

static void
test_crypt_leaves_out_what_is_not_its_own(void **state)
{
	struct msg_crypt in = full_crypt();
	struct msg_crypt m;

	(void)state;
	in.data = filled(1);
	begin();
	msg_crypt_encode(&wr, FRAME_ENCRYPT, 1, &in, false);
	assert_int_equal(msg_crypt_decode(FRAME_ENCRYPT, written(
	    FRAME_REQUEST_MAX).body, &m), 0);
	assert_int_equal(m.signature.len, 0);
	assert_int_equal(m.aad.len, MSG_AAD_MAX);
	assert_int_equal(m.algorithm.len, MSG_ALGORITHM_MAX);
	begin();
	msg_crypt_encode(&wr, FRAME_DECRYPT, 1, &in, false);
	assert_int_equal(msg_crypt_decode(FRAME_DECRYPT, written(
	    FRAME_REQUEST_MAX).body, &m), 0);
	assert_int_equal(m.algorithm.len, 0);
	assert_int_equal(m.aad.len, MSG_AAD_MAX);
	begin();
	msg_crypt_encode(&wr, FRAME_VERIFY, 1, &in, false);
	assert_int_equal(msg_crypt_decode(FRAME_VERIFY, written(
	    FRAME_REQUEST_MAX).body, &m), 0);
	assert_int_equal(m.aad.len, 0);
	assert_int_equal(m.signature.len, MSG_SIGNATURE_MAX);
	/* and what is nobody's is passed over: it may be of a later version */
	begin();
	add(0x2e, "x", 1);
	add(0x1a, "k", 1);
	add(0x1c, "aad", 3);
	assert_int_equal(msg_crypt_decode(FRAME_SIGN, body(), &m), 0);
	assert_int_equal(m.aad.len, 0);
}

static void
refuse_crypt(uint8_t type, const struct msg_crypt *m)
{
	begin();
	msg_crypt_encode(&wr, type, 1, m, false);
	assert_true(wr.failed);
}

/* An encoder writes nothing that a decoder would refuse. */
static void
test_crypt_limits_when_writing(void **state)
{
	struct msg_crypt m = { .key = view_of("k"), .data = view_of("d"),
		.signature = view_of("s") };

	(void)state;
	m.data = filled(MSG_DATA_MAX + 1);
	refuse_crypt(FRAME_ENCRYPT, &m);
	m.data.len = 0;
	refuse_crypt(FRAME_DECRYPT, &m);
	m.data = filled(1);
	m.key.len = 0;
	refuse_crypt(FRAME_SIGN, &m);
	refuse_crypt(FRAME_VERIFY, &m);
	m.key = filled(MSG_NAME_MAX + 1);
	refuse_crypt(FRAME_ENCRYPT, &m);
	m.key = view_of("k");
	m.aad = filled(MSG_AAD_MAX + 1);
	refuse_crypt(FRAME_DECRYPT, &m);
	m.aad.len = 0;
	m.algorithm = filled(MSG_ALGORITHM_MAX + 1);
	refuse_crypt(FRAME_SIGN, &m);
	m.signature = filled(MSG_SIGNATURE_MAX + 1);
	refuse_crypt(FRAME_VERIFY, &m);
	m.signature.len = 0;
	refuse_crypt(FRAME_VERIFY, &m);
}

static void
test_call_limits_when_writing(void **state)
{
	struct msg_call m;
	struct msg_called called = { .status = 200 };

	(void)state;
	msg_call_init(&m);
	m.method = view_of("GET");
	begin();
	msg_call_encode(&wr, 1, &m, false);
	assert_true(wr.failed);
	m.target = view_of("/");
	m.method.len = 0;
	begin();
	msg_call_encode(&wr, 1, &m, false);
	assert_true(wr.failed);
	m.method = view_of("GET");
	m.has_data = true;
	m.data = filled(MSG_DATA_MAX + 1);
	begin();
	msg_call_encode(&wr, 1, &m, true);
	assert_true(wr.failed);

	called.content_type = filled(MSG_CONTENT_TYPE_MAX + 1);
	begin();
	msg_called_encode(&wr, 1, &called, false);
	assert_true(wr.failed);
	called.content_type.len = MSG_CONTENT_TYPE_MAX;
	called.value = (struct view){ big, MSG_VALUE_MAX + 1 };
	begin();
	msg_called_encode(&wr, 1, &called, true);
	assert_true(wr.failed);
	called.value.len = MSG_VALUE_MAX;
	called.freshness = MSG_FRESH;
	called.retry_after_ms = 1;
	wr_init(&wr, out, MSG_CALLED_HEAD_MAX);
	msg_called_encode(&wr, 1, &called, true);
	assert_false(wr.failed);
	assert_true(be_get_u32(out) == wr.len - 16 + MSG_VALUE_MAX);
}

/* Head and bytes apart are the same as in one. */
static void
assert_same_apart(size_t whole_len, struct view bytes)
{
	assert_false(wr.failed);
	assert_int_equal(wr.len + bytes.len, whole_len);
	wr_bytes(&wr, bytes.p, bytes.len);
	assert_memory_equal(out, other, whole_len);
}

static void
test_external_is_the_same_on_the_wire(void **state)
{
	struct msg_call call = full_call();
	const struct msg_crypt crypt = full_crypt();
	const struct msg_called called = { .status = 200,
		.value = filled(3000) };
	const struct msg_stream_data data = { 5, true, filled(70) };
	size_t len;

	(void)state;
	begin();
	msg_call_encode(&wr, 1, &call, false);
	len = wr.len;
	memcpy(other, out, len);
	begin();
	msg_call_encode(&wr, 1, &call, true);
	assert_same_apart(len, call.data);

	begin();
	msg_crypt_encode(&wr, FRAME_VERIFY, 1, &crypt, false);
	len = wr.len;
	memcpy(other, out, len);
	begin();
	msg_crypt_encode(&wr, FRAME_VERIFY, 1, &crypt, true);
	assert_same_apart(len, crypt.data);

	begin();
	msg_called_encode(&wr, 1, &called, false);
	len = wr.len;
	memcpy(other, out, len);
	begin();
	msg_called_encode(&wr, 1, &called, true);
	assert_same_apart(len, called.value);

	begin();
	msg_stream_data_encode(&wr, 1, &data, false);
	len = wr.len;
	memcpy(other, out, len);
	begin();
	msg_stream_data_encode(&wr, 1, &data, true);
	assert_same_apart(len, data.data);
}

static void
test_stream_open_is_one_or_the_other(void **state)
{
	struct msg_stream_open m = { .seal = true };
	struct msg_stream_open got;

	(void)state;
	/* the default key */
	begin();
	msg_stream_open_encode(&wr, 1, &m);
	assert_int_equal(msg_stream_open_decode(written(
	    FRAME_REQUEST_MAX).body, &got), 0);
	assert_true(got.seal);
	assert_int_equal(got.key.len, 0);
	/* the header says which key it is */
	m.seal = false;
	m.key = view_of("k");
	m.header = filled(MSG_ENVELOPE_MAX);
	begin();
	msg_stream_open_encode(&wr, 1, &m);
	assert_int_equal(msg_stream_open_decode(written(
	    FRAME_REQUEST_MAX).body, &got), 0);
	assert_int_equal(got.key.len, 0);
	assert_int_equal(got.header.len, MSG_ENVELOPE_MAX);
	m.header.len = 0;
	begin();
	msg_stream_open_encode(&wr, 1, &m);
	assert_true(wr.failed);
	m.header = filled(MSG_ENVELOPE_MAX + 1);
	begin();
	msg_stream_open_encode(&wr, 1, &m);
	assert_true(wr.failed);
}

static void
test_stream_bytes_are_made_in_place(void **state)
{
	struct msg_stream_bytes m;
	uint8_t *p;

	(void)state;
	begin();
	p = msg_stream_bytes_room(&wr, 9, MSG_CHUNK_MAX + MSG_CHUNK_EXTRA);
	assert_non_null(p);
	memset(p, 0x5a, MSG_CHUNK_MAX + MSG_CHUNK_EXTRA);
	assert_int_equal(wr.len, MSG_STREAM_BYTES_HEAD_LEN + MSG_CHUNK_MAX +
	    MSG_CHUNK_EXTRA);
	assert_int_equal(msg_stream_bytes_decode(written(
	    FRAME_ANSWER_MAX).body, &m), 0);
	assert_int_equal(m.value.len, MSG_CHUNK_MAX + MSG_CHUNK_EXTRA);
	assert_int_equal(m.value.p[m.value.len - 1], 0x5a);

	begin();
	assert_null(msg_stream_bytes_room(&wr, 9, MSG_CHUNK_MAX +
	    MSG_CHUNK_EXTRA + 1));
	assert_true(wr.failed);
	wr_init(&wr, out, MSG_STREAM_BYTES_HEAD_LEN + 9);
	assert_null(msg_stream_bytes_room(&wr, 9, 10));
	assert_true(wr.failed);
}

int
main(void)
{
	const struct CMUnitTest group[] = {
		cmocka_unit_test(test_largest_requests_fit_a_frame),
		cmocka_unit_test(test_method_is_a_token),
		cmocka_unit_test(test_call_tells_an_empty_body_from_none),
		cmocka_unit_test(test_call_has_one_ref),
		cmocka_unit_test(test_crypt_leaves_out_what_is_not_its_own),
		cmocka_unit_test(test_crypt_limits_when_writing),
		cmocka_unit_test(test_call_limits_when_writing),
		cmocka_unit_test(test_external_is_the_same_on_the_wire),
		cmocka_unit_test(test_stream_open_is_one_or_the_other),
		cmocka_unit_test(test_stream_bytes_are_made_in_place),
	};

	return cmocka_run_group_tests(group, NULL, NULL);
}
