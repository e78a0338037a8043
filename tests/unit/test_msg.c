#include "config.h"

#include "unit.h"

#include "err.h"
#include "msg.h"
#include "msg_call.h"
#include "msg_report.h"
#include "msg_watch.h"

static uint8_t out[FRAME_REQUEST_MAX + FRAME_HEADER_LEN];
static struct wr wr;

static struct view
view_of(const char *text)
{
	struct view v = { (const uint8_t *)text, strlen(text) };

	return v;
}

static void
assert_view(struct view v, const char *expected)
{
	assert_int_equal(v.len, strlen(expected));
	assert_memory_equal(v.p, expected, v.len);
}

/* The one frame that was written, as its receiver would cut it. */
static struct frame
written(void)
{
	struct frame f;

	assert_false(wr.failed);
	assert_int_equal(frame_cut(wr.p, wr.len, FRAME_ANSWER_MAX, &f), 0);
	assert_int_equal(f.total, wr.len);
	return f;
}

/* Bodies by hand, for what an encoder would never write. */
static void
body_begin(void)
{
	wr_init(&wr, out, sizeof(out));
}

static void
body_add(uint16_t tag, const void *p, size_t len)
{
	wr_u16(&wr, tag);
	wr_u32(&wr, (uint32_t)len);
	wr_bytes(&wr, p, len);
}

static void
body_int(uint16_t tag, size_t size, uint64_t v)
{
	uint8_t bytes[8];

	be_put_u64(bytes, v);
	body_add(tag, bytes + 8 - size, size);
}

static struct view
body(void)
{
	struct view v = { out, wr.len };

	assert_false(wr.failed);
	return v;
}

static int
decode_hello(struct view b)
{
	struct msg_hello m;

	return msg_hello_decode(b, &m);
}

static int
decode_refs(struct view b)
{
	struct msg_refs m;

	return msg_refs_decode(b, &m);
}

static int
decode_list(struct view b)
{
	struct msg_list m;

	return msg_list_decode(b, &m);
}

static int
decode_result(struct view b)
{
	struct msg_result m;

	return msg_result_decode(b, &m);
}

static int
decode_rows(struct view b)
{
	struct msg_meta m;

	return msg_rows_decode(b, &m);
}

static int
decode_row(struct view b)
{
	struct msg_row m;

	return msg_row_next(&b, &m);
}

static int
decode_stat(struct view b)
{
	struct msg_stat m;

	return msg_stat_next(&b, &m);
}

static int
decode_done(struct view b)
{
	struct msg_done m;

	return msg_done_decode(b, &m);
}

static int
decode_error(struct view b)
{
	struct msg_error m;

	return msg_error_decode(b, &m);
}

static int
decode_watch(struct view b)
{
	struct msg_watch m;

	return msg_watch_decode(b, &m);
}

static int
decode_event(struct view b)
{
	struct msg_event m;

	return msg_event_decode(b, &m);
}

static int
decode_reject(struct view b)
{
	struct msg_reject m;

	return msg_reject_decode(b, &m);
}

static int
decode_explain(struct view b)
{
	struct msg_explain m;

	return msg_explain_decode(b, &m);
}

static int
decode_explained(struct view b)
{
	struct msg_explained m;

	return msg_explained_decode(b, &m);
}

static int
decode_drill(struct view b)
{
	struct msg_drill m;

	return msg_drill_decode(b, &m);
}

static int
decode_drilled(struct view b)
{
	struct msg_drilled m;

	return msg_drilled_decode(b, &m);
}

static int
decode_drill_read(struct view b)
{
	struct msg_drill_read m;

	return msg_drill_read_next(&b, &m);
}

static int
decode_drill_value(struct view b)
{
	struct msg_drill_value m;

	return msg_drill_value_next(&b, &m);
}

static int
decode_metrics(struct view b)
{
	struct msg_metrics m;

	return msg_metrics_decode(b, &m);
}

static int
decode_text(struct view b)
{
	struct msg_text m;

	return msg_text_decode(b, &m);
}

static int
decode_call(struct view b)
{
	struct msg_call m;

	return msg_call_decode(b, &m);
}

static int
decode_called(struct view b)
{
	struct msg_called m;

	return msg_called_decode(b, &m);
}

static int
decode_encrypt(struct view b)
{
	struct msg_crypt m;

	return msg_crypt_decode(FRAME_ENCRYPT, b, &m);
}

static int
decode_decrypt(struct view b)
{
	struct msg_crypt m;

	return msg_crypt_decode(FRAME_DECRYPT, b, &m);
}

static int
decode_sign(struct view b)
{
	struct msg_crypt m;

	return msg_crypt_decode(FRAME_SIGN, b, &m);
}

static int
decode_verify(struct view b)
{
	struct msg_crypt m;

	return msg_crypt_decode(FRAME_VERIFY, b, &m);
}

static int
decode_verified(struct view b)
{
	struct msg_verified m;

	return msg_verified_decode(b, &m);
}

static int
decode_stream_open(struct view b)
{
	struct msg_stream_open m;

	return msg_stream_open_decode(b, &m);
}

static int
decode_stream_data(struct view b)
{
	struct msg_stream_data m;

	return msg_stream_data_decode(b, &m);
}

static int
decode_stream_bytes(struct view b)
{
	struct msg_stream_bytes m;

	return msg_stream_bytes_decode(b, &m);
}

/*
 * Every field of every message: what it needs beside it, and the lengths or
 * values on both sides of its limits.
 */
/* FIXED: bytes, exactly max of them; TOKEN: see test_msg_call.c */
enum { U8, U16, U32, U64, TEXT, BYTES, FIXED, TOKEN };

static const struct message {
	int (*decode)(struct view);
	uint16_t nested;	/* tag that the fields are within, or 0 */
	struct {
		uint16_t tag;
		int type;
		uint64_t min;	/* of a text's length or a u8's value */
		uint64_t max;
		bool required;
	} fields[14];
} messages[] = {
	{ decode_hello, 0, {
		{ 0x50, U16, 0, UINT16_MAX, true },
		{ 0x51, TEXT, 1, 128, false },
	} },
	{ decode_refs, 0, {
		{ 0x11, U8, 1, 1, true },
		{ 0x01, U64, 0, UINT64_MAX, false },
		{ 0x02, U64, 0, UINT64_MAX, false },
		{ 0x03, U64, 0, UINT64_MAX, false },
		{ 0x04, U32, 0, 7, false },
	} },
	{ decode_list, 0, {
		{ 0x01, U64, 0, UINT64_MAX, false },
		{ 0x02, U64, 0, UINT64_MAX, false },
		{ 0x03, U64, 0, UINT64_MAX, false },
		{ 0x04, U32, 0, 7, false },
		{ 0x12, U8, 1, 2, false },
	} },
	{ decode_result, 0, {
		{ 0x20, U16, 0, UINT16_MAX, true },
		{ 0x22, TEXT, 1, 1024, false },
		{ 0x23, U8, 1, 3, false },
		{ 0x24, U64, 0, UINT64_MAX, false },
		{ 0x25, TEXT, 1, 128, false },
		{ 0x26, TEXT, 1, 1020, false },
		{ 0x27, U64, 0, UINT64_MAX, false },
		{ 0x28, U64, 0, UINT64_MAX, false },
		{ 0x29, U64, 0, UINT64_MAX, false },
		{ 0x2a, U8, 1, 3, true },
		{ 0x2b, FIXED, 16, 16, false },
		{ 0x2c, U8, 1, 1, false },
		{ 0x2f, BYTES, 0, 16777216, true },
	} },
	{ decode_result, 0, {
		{ 0x20, U16, 0, UINT16_MAX, true },
		{ 0x21, U16, 1, UINT16_MAX, false },
		{ 0x2b, FIXED, 16, 16, false },
	} },
	{ decode_rows, 0, {
		{ 0x23, U8, 1, 3, false },
		{ 0x24, U64, 0, UINT64_MAX, false },
	} },
	{ decode_row, 0x30, {
		{ 0x12, U8, 1, 2, true },
		{ 0x25, TEXT, 1, 128, true },
		{ 0x26, TEXT, 1, 1020, true },
		{ 0x23, U8, 1, 3, false },
		{ 0x24, U64, 0, UINT64_MAX, false },
		{ 0x27, U64, 0, UINT64_MAX, false },
		{ 0x28, U64, 0, UINT64_MAX, false },
		{ 0x29, U64, 0, UINT64_MAX, false },
	} },
	{ decode_stat, 0x40, {
		{ 0x41, TEXT, 1, 128, true },
		{ 0x42, U64, 0, UINT64_MAX, false },
	} },
	{ decode_stat, 0x40, {
		{ 0x41, TEXT, 1, 128, true },
		{ 0x43, TEXT, 0, 1024, false },
	} },
	{ decode_done, 0, {
		{ 0x52, U64, 0, UINT64_MAX, false },
		{ 0x53, U64, 0, UINT64_MAX, false },
	} },
	{ decode_error, 0, {
		{ 0x21, U16, 1, UINT16_MAX, true },
		{ 0x22, TEXT, 1, 1024, false },
	} },
	{ decode_watch, 0x13, {
		{ 0x10, TEXT, 1, 4096, true },
		{ 0x2b, FIXED, 16, 16, false },
	} },
	{ decode_event, 0, {
		{ 0x20, U16, 0, UINT16_MAX, true },
		{ 0x2d, U8, 0, UINT8_MAX, true },
		{ 0x2b, FIXED, 16, 16, true },
	} },
	{ decode_reject, 0, {
		{ 0x01, U64, 0, UINT64_MAX, false },
		{ 0x10, TEXT, 1, 4096, true },
		{ 0x27, U64, 0, UINT64_MAX, false },
		{ 0x2b, FIXED, 16, 16, false },
	} },
	{ decode_explain, 0, {
		{ 0x10, TEXT, 1, 4096, true },
		{ 0x14, TEXT, 1, 255, false },
	} },
	{ decode_explained, 0, {
		{ 0x60, U8, 1, 1, false },
		{ 0x61, TEXT, 1, 1024, false },
		{ 0x62, TEXT, 1, 1024, false },
		{ 0x63, U8, 1, 1, false },
		{ 0x22, TEXT, 1, 1024, false },
		{ 0x23, U8, 1, 3, false },
		{ 0x24, U64, 0, UINT64_MAX, false },
		{ 0x25, TEXT, 1, 128, false },
		{ 0x26, TEXT, 1, 1020, false },
		{ 0x27, U64, 0, UINT64_MAX, false },
		{ 0x28, U64, 0, UINT64_MAX, false },
		{ 0x29, U64, 0, UINT64_MAX, false },
		{ 0x64, U64, 0, UINT64_MAX, false },
		{ 0x65, U16, 1, UINT16_MAX, false },
	} },
	{ decode_drill, 0, {
		{ 0x15, U64, 0, UINT64_MAX, true },
	} },
	{ decode_drilled, 0, {
		{ 0x15, U64, 0, UINT64_MAX, false },
		{ 0x74, U64, 0, UINT64_MAX, false },
		{ 0x52, U64, 0, UINT64_MAX, false },
		{ 0x53, U64, 0, UINT64_MAX, false },
	} },
	{ decode_drill_read, 0x70, {
		{ 0x10, TEXT, 1, 4096, true },
		{ 0x23, U8, 1, 3, true },
		{ 0x52, U64, 0, UINT64_MAX, true },
	} },
	{ decode_drill_read, 0x70, {
		{ 0x10, TEXT, 1, 4096, true },
		{ 0x21, U16, 1, UINT16_MAX, true },
		{ 0x52, U64, 0, UINT64_MAX, true },
	} },
	{ decode_drill_value, 0x71, {
		{ 0x12, U8, 1, 2, true },
		{ 0x25, TEXT, 1, 128, true },
		{ 0x26, TEXT, 1, 1020, true },
		{ 0x72, U64, 0, UINT64_MAX, false },
		{ 0x73, U8, 0, UINT8_MAX, false },
	} },
	{ decode_metrics, 0, {
		{ 0x16, U8, 1, 1, false },
	} },
	{ decode_text, 0, {
		{ 0x80, TEXT, 0, 16777216, true },
	} },
	{ decode_call, 0, {
		{ 0x01, U64, 0, UINT64_MAX, false },
		{ 0x02, U64, 0, UINT64_MAX, false },
		{ 0x03, U64, 0, UINT64_MAX, false },
		{ 0x04, U32, 0, 7, false },
		{ 0x17, TOKEN, 1, 16, true },
		{ 0x18, TEXT, 1, 4096, true },
		{ 0x10, TEXT, 1, 4096, false },
		{ 0x19, TEXT, 1, 128, false },
		{ 0x2e, BYTES, 0, 1048576, false },
	} },
	{ decode_called, 0, {
		{ 0x90, U16, 0, UINT16_MAX, true },
		{ 0x19, TEXT, 1, 128, false },
		{ 0x95, U64, 0, UINT64_MAX, false },
		{ 0x23, U8, 1, 3, false },
		{ 0x24, U64, 0, UINT64_MAX, false },
		{ 0x2f, BYTES, 0, 16777216, false },
	} },
	{ decode_encrypt, 0, {
		{ 0x01, U64, 0, UINT64_MAX, false },
		{ 0x1a, TEXT, 1, 1020, false },
		{ 0x1b, TEXT, 1, 64, false },
		{ 0x1c, TEXT, 1, 32768, false },
		{ 0x2e, BYTES, 0, 1048576, true },
	} },
	{ decode_decrypt, 0, {
		{ 0x01, U64, 0, UINT64_MAX, false },
		{ 0x1a, TEXT, 1, 1020, false },
		{ 0x1c, TEXT, 1, 32768, false },
		{ 0x2e, TEXT, 1, 1048576, true },
	} },
	{ decode_sign, 0, {
		{ 0x01, U64, 0, UINT64_MAX, false },
		{ 0x1a, TEXT, 1, 1020, true },
		{ 0x1b, TEXT, 1, 64, false },
		{ 0x2e, BYTES, 0, 1048576, true },
	} },
	{ decode_verify, 0, {
		{ 0x01, U64, 0, UINT64_MAX, false },
		{ 0x1a, TEXT, 1, 1020, true },
		{ 0x1d, BYTES, 1, 57344, true },
		{ 0x2e, BYTES, 0, 1048576, true },
	} },
	{ decode_verified, 0, {
		{ 0x91, U8, 1, 1, false },
		{ 0x92, U8, 0, UINT8_MAX, true },
	} },
	{ decode_stream_open, 0, {
		{ 0x93, U8, 1, 1, true },
		{ 0x01, U64, 0, UINT64_MAX, false },
		{ 0x1a, TEXT, 1, 1020, false },
		{ 0x1c, TEXT, 1, 32768, false },
	} },
	{ decode_stream_open, 0, {
		{ 0x94, BYTES, 1, 8192, true },
		{ 0x01, U64, 0, UINT64_MAX, false },
		{ 0x1c, TEXT, 1, 32768, false },
	} },
	{ decode_stream_data, 0, {
		{ 0x1e, U64, 0, UINT64_MAX, true },
		{ 0x1f, U8, 1, 1, false },
		{ 0x2e, BYTES, 0, 65553, true },
	} },
	{ decode_stream_bytes, 0, {
		{ 0x2f, BYTES, 0, 65553, true },
	} },
};

/* FRAME_ANSWER_MAX is more than a test should write for each case */
static uint8_t big[MSG_VALUE_MAX + 64];

static size_t
int_size(int type)
{
	return (size_t)1 << type;
}

/* Field number i with a content that is right. */
static void
add_good(const struct message *m, size_t i)
{
	if (m->fields[i].type <= U64)
		body_int(m->fields[i].tag, int_size(m->fields[i].type), 1);
	else
		body_add(m->fields[i].tag, "A123456789abcdef",
		    m->fields[i].type == FIXED ? m->fields[i].max : 1);
}

/* A message with all that it requires but field number skip. */
static void
begin_without(const struct message *m, size_t skip)
{
	size_t i;

	wr_init(&wr, big, sizeof(big));
	if (m->nested != 0)
		body_add(m->nested, NULL, 0);
	for (i = 0; i < UNIT_COUNT(m->fields) && m->fields[i].tag != 0; i++) {
		if (i == skip || !m->fields[i].required)
			continue;
		add_good(m, i);
	}
}

static int
decode(const struct message *m)
{
	struct view v = { big, wr.len };

	assert_false(wr.failed);
	if (m->nested != 0)
		be_put_u32(big + 2, (uint32_t)wr.len - 6);
	return m->decode(v);
}

static void
check_int(const struct message *m, size_t i)
{
	static const uint8_t one[9] = { [8] = 1 };
	size_t size = int_size(m->fields[i].type);
	uint64_t top = size == 8 ? UINT64_MAX : (UINT64_C(1) << size * 8) - 1;
	uint16_t tag = m->fields[i].tag;
	size_t n;

	/* wrong lengths */
	for (n = 0; n <= 9; n++) {
		begin_without(m, i);
		body_add(tag, one + sizeof(one) - n, n);
		assert_int_equal(decode(m), n == size ? 0 : ERR_BAD_REQUEST);
	}
	/* values on the edges */
	begin_without(m, i);
	body_int(tag, size, m->fields[i].min);
	assert_int_equal(decode(m), 0);
	begin_without(m, i);
	body_int(tag, size, m->fields[i].max);
	assert_int_equal(decode(m), 0);
	if (m->fields[i].min > 0) {
		begin_without(m, i);
		body_int(tag, size, 0);
		assert_int_equal(decode(m), ERR_UNSUPPORTED);
	}
	if (m->fields[i].max < top) {
		begin_without(m, i);
		body_int(tag, size, m->fields[i].max + 1);
		assert_int_equal(decode(m), ERR_UNSUPPORTED);
		begin_without(m, i);
		body_int(tag, size, top);
		assert_int_equal(decode(m), ERR_UNSUPPORTED);
	}
}

/* A field of n bytes 'x' whose last ones are end. */
static void
add_filled(uint16_t tag, size_t n, const char *end, size_t end_len)
{
	uint8_t *p;

	wr_u16(&wr, tag);
	wr_u32(&wr, (uint32_t)n);
	if (n == 0)
		return;
	p = wr_room(&wr, n);
	assert_non_null(p);
	memset(p, 'x', n);
	if (end_len <= n)
		memcpy(p + n - end_len, end, end_len);
}

static int
decode_filled(const struct message *m, size_t i, size_t n, const char *end,
    size_t end_len)
{
	begin_without(m, i);
	add_filled(m->fields[i].tag, n, end, end_len);
	return decode(m);
}

static void
check_bytes(const struct message *m, size_t i)
{
	size_t max = (size_t)m->fields[i].max;
	int bad = m->fields[i].type == TEXT ? ERR_BAD_REQUEST : 0;

	assert_int_equal(decode_filled(m, i, max, "", 0), 0);
	assert_int_equal(decode_filled(m, i, max + 1, "", 0),
	    ERR_BAD_REQUEST);
	assert_int_equal(decode_filled(m, i, 0, "", 0),
	    m->fields[i].min == 0 ? 0 : ERR_BAD_REQUEST);
	assert_int_equal(decode_filled(m, i, 20, "\0", 1), bad);
	assert_int_equal(decode_filled(m, i, 20, "\0x", 2), bad);
	assert_int_equal(decode_filled(m, i, 20, "\xff", 1), bad);
	assert_int_equal(decode_filled(m, i, 20, "\xc3", 1), bad);
	assert_int_equal(decode_filled(m, i, 20, "\xc3\xa9\n", 3), 0);
}

static void
check_fixed(const struct message *m, size_t i)
{
	size_t len = (size_t)m->fields[i].max;
	size_t n;

	for (n = 0; n <= 2 * len; n++) {
		assert_int_equal(decode_filled(m, i, n, "\0\xff", 2),
		    n == len ? 0 : ERR_BAD_REQUEST);
	}
}

static void
test_limits_of_every_field(void **state)
{
	size_t k;
	size_t i;

	(void)state;
	for (k = 0; k < UNIT_COUNT(messages); k++) {
		for (i = 0; i < UNIT_COUNT(messages[k].fields) &&
		    messages[k].fields[i].tag != 0; i++) {
			if (messages[k].fields[i].type <= U64)
				check_int(&messages[k], i);
			else if (messages[k].fields[i].type == FIXED)
				check_fixed(&messages[k], i);
			else if (messages[k].fields[i].type != TOKEN)
				check_bytes(&messages[k], i);
		}
	}
}

static void
test_every_field_comes_once_and_not_missing(void **state)
{
	const struct message *m;
	size_t k;
	size_t i;

	(void)state;
	for (k = 0; k < UNIT_COUNT(messages); k++) {
		m = &messages[k];
		begin_without(m, SIZE_MAX);
		assert_int_equal(decode(m), 0);
		for (i = 0; i < UNIT_COUNT(m->fields) &&
		    m->fields[i].tag != 0; i++) {
			begin_without(m, i);
			assert_int_equal(decode(m), m->fields[i].required ?
			    ERR_BAD_REQUEST : 0);
			add_good(m, i);
			add_good(m, i);
			assert_int_equal(decode(m), ERR_BAD_REQUEST);
		}
	}
}

static void
test_unknown_fields(void **state)
{
	const struct message *m;
	size_t k;
	size_t cut;

	(void)state;
	for (k = 0; k < UNIT_COUNT(messages); k++) {
		m = &messages[k];
		begin_without(m, SIZE_MAX);
		body_add(0x0000, "\xff\0", 2);
		body_add(0x7fff, NULL, 0);
		body_add(0x0777, "twice", 5);
		body_add(0x0777, "twice", 5);
		assert_int_equal(decode(m), 0);

		begin_without(m, SIZE_MAX);
		body_add(0x8000, NULL, 0);
		assert_int_equal(decode(m), ERR_UNSUPPORTED);
		begin_without(m, SIZE_MAX);
		body_add(0xffff, "x", 1);
		assert_int_equal(decode(m), ERR_UNSUPPORTED);
		/* malformed is worse, also after it */
		for (cut = 1; cut < 7; cut++) {
			begin_without(m, SIZE_MAX);
			body_add(0xffff, "x", 1);
			wr_bytes(&wr, "\0\1\0\0\0\1", cut);
			assert_int_equal(decode(m), ERR_BAD_REQUEST);
		}
	}
}

static void
test_fields_of_other_messages_are_skipped(void **state)
{
	struct msg_done done;

	(void)state;
	body_begin();
	body_int(0x52, 8, 5);
	body_add(0x10, "", 0);		/* no valid REF */
	body_add(0x30, "junk", 4);
	body_int(0x20, 1, 1);		/* no valid INDEX */
	assert_int_equal(msg_done_decode(body(), &done), 0);
	assert_true(done.count == 5);
	assert_int_equal(msg_empty_decode(body()), 0);
}

static void
test_empty(void **state)
{
	struct frame f;
	struct view v = { NULL, 0 };

	(void)state;
	wr_init(&wr, out, sizeof(out));
	msg_empty_encode(&wr, FRAME_STATUS, 77);
	f = written();
	assert_int_equal(f.type, FRAME_STATUS);
	assert_true(f.id == 77);
	assert_int_equal(msg_empty_decode(f.body), 0);
	assert_int_equal(msg_empty_decode(v), 0);
	body_begin();
	body_add(0x8000, "", 0);
	assert_int_equal(msg_empty_decode(body()), ERR_UNSUPPORTED);
	body_begin();
	wr_u8(&wr, 0);
	assert_int_equal(msg_empty_decode(body()), ERR_BAD_REQUEST);
}

static void
test_hello(void **state)
{
	struct msg_hello in = { 7, { NULL, 0 } };
	struct msg_hello m;
	struct frame f;

	(void)state;
	in.build = view_of("qapi-agent 0.1.0");
	wr_init(&wr, out, sizeof(out));
	msg_hello_encode(&wr, FRAME_AGENT_HELLO, &in);
	f = written();
	assert_int_equal(f.type, FRAME_AGENT_HELLO);
	assert_true(f.id == 0);
	assert_int_equal(msg_hello_decode(f.body, &m), 0);
	assert_int_equal(m.protocol, 7);
	assert_view(m.build, "qapi-agent 0.1.0");

	in.build.len = 0;
	wr_init(&wr, out, sizeof(out));
	msg_hello_encode(&wr, FRAME_HELLO, &in);
	assert_int_equal(msg_hello_decode(written().body, &m), 0);
	assert_int_equal(m.build.len, 0);

	in.build.p = big;
	in.build.len = MSG_BUILD_MAX + 1;
	wr_init(&wr, out, sizeof(out));
	msg_hello_encode(&wr, FRAME_HELLO, &in);
	assert_true(wr.failed);
}

static void
test_terms(void **state)
{
	struct msg_terms terms = { 1, 2, 3,
		MSG_TERM_FRESH | MSG_TERM_ONLY_IF_CACHED };
	struct msg_refs m;
	struct frame f;
	size_t start;

	(void)state;
	wr_init(&wr, out, sizeof(out));
	start = msg_refs_begin(&wr, FRAME_GET, 1, &terms, false);
	msg_refs_add(&wr, "a", 1);
	frame_end(&wr, start, 0);
	assert_int_equal(msg_refs_decode(written().body, &m), 0);
	assert_memory_equal(&m.terms, &terms, sizeof(uint64_t) * 3);
	assert_int_equal(m.terms.flags, terms.flags);

	/* what was not asked for is not written */
	msg_terms_init(&terms);
	wr_init(&wr, out, sizeof(out));
	start = msg_refs_begin(&wr, FRAME_REFRESH, 1, &terms, true);
	frame_end(&wr, start, 0);
	f = written();
	assert_int_equal(f.body.len, 7);
	assert_int_equal(msg_refs_decode(f.body, &m), 0);
	assert_true(m.all);
	assert_int_equal(m.nrefs, 0);
	assert_true(m.terms.deadline_ms == MSG_NO_LIMIT);
	assert_true(m.terms.max_age_ms == MSG_NO_LIMIT);
	assert_true(m.terms.max_stale_ms == MSG_NO_LIMIT);
	assert_int_equal(m.terms.flags, 0);
}

/* A GET of n references of len bytes each. */
static void
write_get(size_t n, size_t len)
{
	struct msg_terms terms = { 1, 2, 3, 1 };
	size_t start;
	size_t i;

	memset(big, 'r', len);
	wr_init(&wr, out, sizeof(out));
	start = msg_refs_begin(&wr, FRAME_GET, 1, &terms, false);
	for (i = 0; i < n; i++)
		msg_refs_add(&wr, (const char *)big, len);
	frame_end(&wr, start, 0);
}

static void
test_refs_limits(void **state)
{
	struct msg_refs m;
	struct view v;
	int n;

	(void)state;
	/* the largest request there is */
	write_get(MSG_REFS_MAX, REF_MAX);
	assert_int_equal(msg_refs_decode(written().body, &m), 0);
	assert_int_equal(m.nrefs, MSG_REFS_MAX);
	for (n = 0; msg_refs_next(&m, &v); n++)
		assert_int_equal(v.len, REF_MAX);
	assert_int_equal(n, MSG_REFS_MAX);
	assert_false(msg_refs_next(&m, &v));

	write_get(MSG_REFS_MAX + 1, 1);
	assert_int_equal(msg_refs_decode(written().body, &m),
	    ERR_BAD_REQUEST);
	write_get(0, 0);
	assert_int_equal(msg_refs_decode(written().body, &m),
	    ERR_BAD_REQUEST);

	/* the encoder does not write what the decoder refuses */
	write_get(1, 0);
	assert_true(wr.failed);
	write_get(1, REF_MAX + 1);
	assert_true(wr.failed);
	body_begin();
	body_add(0x10, big, REF_MAX + 1);
	assert_int_equal(msg_refs_decode(body(), &m), ERR_BAD_REQUEST);
	body_begin();
	body_add(0x10, big, 0);
	assert_int_equal(msg_refs_decode(body(), &m), ERR_BAD_REQUEST);
}

static void
test_refs_keep_their_order_between_others(void **state)
{
	struct msg_refs m;
	struct view v;

	(void)state;
	body_begin();
	body_add(0x10, "one", 3);
	body_add(0x777, "REF", 3);
	body_int(0x01, 8, 99);
	body_add(0x10, "two", 3);
	body_add(0x2f, "not of GET", 10);
	body_add(0x10, "one", 3);
	body_add(0x778, "", 0);
	assert_int_equal(msg_refs_decode(body(), &m), 0);
	assert_int_equal(m.nrefs, 3);
	assert_true(m.terms.deadline_ms == 99);
	assert_true(msg_refs_next(&m, &v));
	assert_view(v, "one");
	assert_true(msg_refs_next(&m, &v));
	assert_view(v, "two");
	assert_true(msg_refs_next(&m, &v));
	assert_view(v, "one");
	assert_false(msg_refs_next(&m, &v));
	assert_int_equal(m.nrefs, 3);
}

static void
test_refs_are_text(void **state)
{
	(void)state;
	body_begin();
	body_add(0x10, "ok", 2);
	body_add(0x10, "a\0", 2);
	assert_int_equal(decode_refs(body()), ERR_BAD_REQUEST);
	body_begin();
	body_add(0x10, "\xff", 1);
	assert_int_equal(decode_refs(body()), ERR_BAD_REQUEST);
	body_begin();
	body_add(0x10, "a", 1);
	body_int(0x11, 1, 1);
	assert_int_equal(decode_refs(body()), ERR_BAD_REQUEST);
}

static void
test_list(void **state)
{
	struct msg_list in = { { 5, 6, 7, 1 }, REF_KEY };
	struct msg_list m;
	struct frame f;

	(void)state;
	wr_init(&wr, out, sizeof(out));
	msg_list_encode(&wr, 3, &in);
	f = written();
	assert_int_equal(f.type, FRAME_LIST);
	assert_int_equal(msg_list_decode(f.body, &m), 0);
	assert_int_equal(m.kind, REF_KEY);
	assert_true(m.terms.deadline_ms == 5 && m.terms.max_age_ms == 6 &&
	    m.terms.max_stale_ms == 7);
	assert_int_equal(m.terms.flags, 1);

	msg_terms_init(&in.terms);
	in.kind = 0;
	wr_init(&wr, out, sizeof(out));
	msg_list_encode(&wr, 3, &in);
	f = written();
	assert_int_equal(f.body.len, 0);
	assert_int_equal(msg_list_decode(f.body, &m), 0);
	assert_int_equal(m.kind, 0);
}

static struct msg_result
full_result(void)
{
	struct msg_result m = { .index = 255 };

	msg_meta_init(&m.meta);
	m.meta.freshness = MSG_STALE;
	m.meta.age_ms = UINT64_MAX;
	m.meta.id = view_of("id-1");
	m.meta.name = view_of("db/prod");
	m.meta.version = UINT64_MAX;
	m.meta.updated_at = -1;
	m.meta.expires_at = INT64_MAX;
	m.content = MSG_CONTENT_BYTES;
	m.value.p = (const uint8_t *)"a\0\xff";
	m.value.len = 3;
	return m;
}

static void
test_result(void **state)
{
	struct msg_result in = full_result();
	struct msg_result m;
	struct frame f;

	(void)state;
	wr_init(&wr, out, sizeof(out));
	msg_result_encode(&wr, FRAME_MORE, 8, &in, false);
	f = written();
	assert_int_equal(f.type, FRAME_RESULT);
	assert_int_equal(f.flags, FRAME_MORE);
	assert_true(f.id == 8);
	assert_int_equal(msg_result_decode(f.body, &m), 0);
	assert_int_equal(m.index, 255);
	assert_int_equal(m.error, 0);
	assert_int_equal(m.message.len, 0);
	assert_int_equal(m.meta.freshness, MSG_STALE);
	assert_true(m.meta.age_ms == UINT64_MAX);
	assert_view(m.meta.id, "id-1");
	assert_view(m.meta.name, "db/prod");
	assert_true(m.meta.version == UINT64_MAX);
	assert_true(m.meta.updated_at == -1);
	assert_true(m.meta.expires_at == INT64_MAX);
	assert_int_equal(m.content, MSG_CONTENT_BYTES);
	assert_int_equal(m.value.len, 3);
	assert_memory_equal(m.value.p, "a\0\xff", 3);
}

static void
test_result_without_anything(void **state)
{
	struct msg_result in = { .index = 1 };
	struct msg_result m;
	struct frame f;

	(void)state;
	msg_meta_init(&in.meta);
	wr_init(&wr, out, sizeof(out));
	msg_result_encode(&wr, 0, 8, &in, false);
	f = written();
	assert_int_equal(f.body.len, 8);
	assert_int_equal(msg_result_decode(f.body, &m), 0);
	assert_int_equal(m.meta.freshness, MSG_FRESHNESS_NONE);
	assert_int_equal(m.meta.id.len, 0);
	assert_true(m.meta.version == 0);
	assert_true(m.meta.updated_at == MSG_NO_TIME);
	assert_true(m.meta.expires_at == MSG_NO_TIME);
	assert_int_equal(m.content, 0);

	/* an empty value is not none */
	in.content = MSG_CONTENT_TEXT;
	wr_init(&wr, out, sizeof(out));
	msg_result_encode(&wr, 0, 8, &in, false);
	assert_int_equal(msg_result_decode(written().body, &m), 0);
	assert_int_equal(m.content, MSG_CONTENT_TEXT);
	assert_int_equal(m.value.len, 0);
}

static void
test_result_external_is_the_same_on_the_wire(void **state)
{
	static uint8_t whole[512];
	struct msg_result in = full_result();
	struct wr other;

	(void)state;
	wr_init(&wr, whole, sizeof(whole));
	msg_result_encode(&wr, 0, 8, &in, false);
	(void)written();
	wr_init(&other, out, sizeof(out));
	msg_result_encode(&other, 0, 8, &in, true);
	assert_false(other.failed);
	assert_int_equal(other.len + in.value.len, wr.len);
	wr_bytes(&other, in.value.p, in.value.len);
	assert_memory_equal(out, whole, wr.len);

	in.value.len = 0;
	wr_init(&wr, whole, sizeof(whole));
	msg_result_encode(&wr, 0, 8, &in, true);
	(void)written();
}

static void
test_result_limits_when_writing(void **state)
{
	struct msg_result in = full_result();
	struct msg_result m;
	size_t len;
	size_t max;

	(void)state;
	memset(big, 'x', 2048);
	in.meta.id.p = in.meta.name.p = in.value.p = big;
	in.meta.id.len = MSG_ID_MAX;
	in.meta.name.len = MSG_NAME_MAX;
	in.value.len = MSG_VALUE_MAX;
	wr_init(&wr, out, MSG_RESULT_HEAD_MAX);
	msg_result_encode(&wr, 0, 8, &in, true);
	assert_false(wr.failed);
	assert_true(be_get_u32(out) == wr.len - 16 + MSG_VALUE_MAX);

	in.value.len = MSG_VALUE_MAX + 1;
	wr_init(&wr, out, sizeof(out));
	msg_result_encode(&wr, 0, 8, &in, true);
	assert_true(wr.failed);
	in.value.len = 1;
	in.meta.id.len = MSG_ID_MAX + 1;
	wr_init(&wr, out, sizeof(out));
	msg_result_encode(&wr, 0, 8, &in, false);
	assert_true(wr.failed);
	in.meta.id.len = 1;
	in.meta.name.len = MSG_NAME_MAX + 1;
	wr_init(&wr, out, sizeof(out));
	msg_result_encode(&wr, 0, 8, &in, false);
	assert_true(wr.failed);

	/* every size that is too small */
	in.meta.name.len = 1;
	wr_init(&wr, out, sizeof(out));
	msg_result_encode(&wr, 0, 8, &in, false);
	assert_int_equal(msg_result_decode(written().body, &m), 0);
	len = wr.len;
	for (max = 0; max < len; max++) {
		out[max] = 0x5a;
		wr_init(&wr, out, max);
		msg_result_encode(&wr, 0, 8, &in, false);
		assert_true(wr.failed);
		assert_int_equal(out[max], 0x5a);
		wr_init(&wr, out, max);
		msg_result_encode(&wr, 0, 8, &in, true);
		assert_int_equal(wr.failed, max < len - 1);
	}
}

static void
test_result_error(void **state)
{
	struct msg_result in = full_result();
	struct msg_result m;
	int i;

	(void)state;
	for (i = 1; i <= ERR_WIRE_MAX; i++) {
		in.error = -i;
		in.message = view_of("what happened");
		wr_init(&wr, out, sizeof(out));
		msg_result_encode(&wr, 0, 8, &in, true);
		assert_int_equal(msg_result_decode(written().body, &m), 0);
		assert_int_equal(m.error, -i);
		assert_view(m.message, "what happened");
		/* never a value with it */
		assert_int_equal(m.content, 0);
		assert_int_equal(m.value.len, 0);
		assert_int_equal(m.meta.id.len, 0);
	}
	/* a newer peer's error */
	body_begin();
	body_int(0x20, 2, 0);
	body_int(0x21, 2, 999);
	assert_int_equal(msg_result_decode(body(), &m), 0);
	assert_int_equal(m.error, ERR_INTERNAL);
	/* both at once */
	body_int(0x2a, 1, 1);
	body_add(0x2f, "v", 1);
	assert_int_equal(msg_result_decode(body(), &m), ERR_BAD_REQUEST);
}

static void
test_long_messages_are_cut(void **state)
{
	struct msg_error in = { ERR_NOMEM, { big, 2000 } };
	struct msg_error m;

	(void)state;
	memset(big, 'm', 2000);
	/* a character across the limit goes as a whole */
	memcpy(big + MSG_MESSAGE_MAX - 1, "\xc3\xa9", 2);
	wr_init(&wr, out, sizeof(out));
	msg_error_encode(&wr, 0, &in);
	assert_int_equal(msg_error_decode(written().body, &m), 0);
	assert_int_equal(m.error, ERR_BUSY);
	assert_int_equal(m.message.len, MSG_MESSAGE_MAX - 1);

	in.message.len = 0;
	wr_init(&wr, out, sizeof(out));
	msg_error_encode(&wr, 0, &in);
	assert_int_equal(msg_error_decode(written().body, &m), 0);
	assert_int_equal(m.message.len, 0);
}

static void
test_rows(void **state)
{
	struct msg_row row;
	struct msg_meta meta;
	struct frame f;
	struct view pos;
	size_t start;

	(void)state;
	memset(big, 'x', 2048);
	wr_init(&wr, out, sizeof(out));
	start = msg_rows_begin(&wr, 0, 4);
	row.kind = REF_SECRET;
	row.meta = full_result().meta;
	msg_row_add(&wr, &row);
	row.kind = REF_KEY;
	msg_meta_init(&row.meta);
	row.meta.id = view_of("k");
	row.meta.name = view_of("key");
	msg_row_add(&wr, &row);
	meta = full_result().meta;
	msg_rows_end(&wr, start, &meta);
	f = written();
	assert_int_equal(f.type, FRAME_ROWS);

	assert_int_equal(msg_rows_decode(f.body, &meta), 0);
	assert_int_equal(meta.freshness, MSG_STALE);
	assert_true(meta.age_ms == UINT64_MAX);
	pos = f.body;
	assert_int_equal(msg_row_next(&pos, &row), 0);
	assert_int_equal(row.kind, REF_SECRET);
	assert_int_equal(row.meta.freshness, MSG_STALE);
	assert_view(row.meta.name, "db/prod");
	assert_true(row.meta.updated_at == -1);
	assert_int_equal(msg_row_next(&pos, &row), 0);
	assert_int_equal(row.kind, REF_KEY);
	assert_int_equal(row.meta.freshness, MSG_FRESHNESS_NONE);
	assert_view(row.meta.id, "k");
	assert_int_equal(msg_row_next(&pos, &row), ERR_AGAIN);
	assert_int_equal(msg_row_next(&pos, &row), ERR_AGAIN);

	/* no rows, nothing said of the listing */
	wr_init(&wr, out, sizeof(out));
	msg_rows_end(&wr, msg_rows_begin(&wr, FRAME_MORE, 4), NULL);
	f = written();
	assert_int_equal(f.body.len, 0);
	assert_int_equal(msg_rows_decode(f.body, &meta), 0);
	assert_int_equal(meta.freshness, MSG_FRESHNESS_NONE);
	pos = f.body;
	assert_int_equal(msg_row_next(&pos, &row), ERR_AGAIN);
}

static void
test_row_bounds(void **state)
{
	struct msg_row row = { REF_KEY, full_result().meta };
	size_t before;

	(void)state;
	row.meta.id.p = row.meta.name.p = big;
	row.meta.id.len = MSG_ID_MAX;
	row.meta.name.len = MSG_NAME_MAX;
	wr_init(&wr, out, MSG_ROW_MAX);
	msg_row_add(&wr, &row);
	assert_false(wr.failed);
	before = wr.len;
	wr_init(&wr, out, before - 1);
	msg_row_add(&wr, &row);
	assert_true(wr.failed);
}

static void
test_nested_errors(void **state)
{
	struct msg_row row;
	struct msg_stat stat;
	struct view pos;

	(void)state;
	/* a bad row does not hide behind a good one */
	body_begin();
	body_add(0x30, "\0\x12\0\0\0\1\1\0\x25\0\0\0\1i\0\x26\0\0\0\1n", 21);
	body_add(0x30, "\0\x12\0\0\0\2\1", 7);
	pos = body();
	assert_int_equal(msg_row_next(&pos, &row), 0);
	assert_view(row.meta.name, "n");
	assert_int_equal(msg_row_next(&pos, &row), ERR_BAD_REQUEST);

	body_begin();
	body_add(0x30, "\x80\0\0\0\0\0", 6);
	assert_int_equal(decode_row(body()), ERR_UNSUPPORTED);
	/* also around the rows */
	body_begin();
	body_add(0x8000, "", 0);
	body_add(0x30, "", 0);
	body_add(0x40, "", 0);
	assert_int_equal(decode_rows(body()), ERR_UNSUPPORTED);
	assert_int_equal(decode_row(body()), ERR_UNSUPPORTED);
	assert_int_equal(decode_stat(body()), ERR_UNSUPPORTED);
	/* the outer sequence cut short */
	body_begin();
	body_add(0x777, "", 0);
	wr_u16(&wr, 0x30);
	pos = body();
	assert_int_equal(msg_row_next(&pos, &row), ERR_BAD_REQUEST);
	pos = body();
	assert_int_equal(msg_stat_next(&pos, &stat), ERR_BAD_REQUEST);

	/* two figures at once */
	body_begin();
	body_add(0x40, "\0\x41\0\0\0\1n\0\x42\0\0\0\x08\0\0\0\0\0\0\0\1"
	    "\0\x43\0\0\0\1t", 28);
	assert_int_equal(decode_stat(body()), ERR_BAD_REQUEST);
}

static void
test_stats(void **state)
{
	struct msg_stat stat;
	struct view pos;
	size_t start;

	(void)state;
	memset(big, 's', 2000);
	big[2000] = '\0';
	wr_init(&wr, out, sizeof(out));
	start = msg_stats_begin(&wr, FRAME_MORE, 4);
	msg_stat_uint(&wr, "a.b", UINT64_MAX);
	msg_stat_text(&wr, "c", "");
	msg_stat_text(&wr, "long", (const char *)big);
	msg_stat_null(&wr, "d");
	frame_end(&wr, start, 0);
	assert_int_equal(written().type, FRAME_STATS);

	pos = written().body;
	assert_int_equal(msg_stat_next(&pos, &stat), 0);
	assert_view(stat.name, "a.b");
	assert_int_equal(stat.type, MSG_STAT_UINT);
	assert_true(stat.number == UINT64_MAX);
	assert_int_equal(msg_stat_next(&pos, &stat), 0);
	assert_int_equal(stat.type, MSG_STAT_TEXT);
	assert_int_equal(stat.text.len, 0);
	assert_int_equal(msg_stat_next(&pos, &stat), 0);
	assert_int_equal(stat.text.len, MSG_STAT_TEXT_MAX);
	assert_int_equal(msg_stat_next(&pos, &stat), 0);
	assert_view(stat.name, "d");
	assert_int_equal(stat.type, MSG_STAT_NULL);
	assert_int_equal(msg_stat_next(&pos, &stat), ERR_AGAIN);

	wr_init(&wr, out, sizeof(out));
	msg_stat_null(&wr, (const char *)big);
	assert_true(wr.failed);
	wr_init(&wr, out, 20);
	msg_stat_uint(&wr, "a.b", 1);
	assert_true(wr.failed);
}

static void
test_done(void **state)
{
	struct msg_done in = { UINT64_MAX, 1 };
	struct msg_done m;

	(void)state;
	wr_init(&wr, out, sizeof(out));
	msg_done_encode(&wr, 2, &in);
	assert_int_equal(msg_done_decode(written().body, &m), 0);
	assert_true(m.count == UINT64_MAX && m.failed == 1);
	in.count = in.failed = 0;
	wr_init(&wr, out, sizeof(out));
	msg_done_encode(&wr, 2, &in);
	assert_int_equal(written().body.len, 0);
	assert_int_equal(msg_done_decode(written().body, &m), 0);
	assert_true(m.count == 0 && m.failed == 0);
}

static struct view
random_view(uint64_t *seed, size_t max)
{
	struct view v = { big + unit_below(seed, 1000),
		unit_below(seed, max + 1) };

	return v;
}

static uint64_t
random_u64(uint64_t *seed)
{
	return unit_random(seed) >> unit_below(seed, 64);
}

static struct msg_result
random_result(uint64_t *seed)
{
	struct msg_result m = { .index = (uint16_t)unit_random(seed) };

	msg_meta_init(&m.meta);
	if (unit_below(seed, 4) == 0) {
		m.error = -1 - (int)unit_below(seed, ERR_WIRE_MAX);
		m.message = random_view(seed, MSG_MESSAGE_MAX);
		if (unit_below(seed, 2) == 0)
			m.position = (struct view){ big, MSG_POSITION_LEN };
		return m;
	}
	if (unit_below(seed, 2) == 0)
		m.position = (struct view){ big + 16, MSG_POSITION_LEN };
	m.changed = unit_below(seed, 2) == 0;
	m.meta.freshness = (uint8_t)unit_below(seed, 4);
	if (m.meta.freshness != 0)
		m.meta.age_ms = random_u64(seed);
	m.meta.id = random_view(seed, MSG_ID_MAX);
	m.meta.name = random_view(seed, MSG_NAME_MAX);
	m.meta.version = random_u64(seed);
	m.meta.updated_at = (int64_t)random_u64(seed);
	m.meta.expires_at = -(int64_t)(random_u64(seed) >> 1);
	m.content = (uint8_t)unit_below(seed, 4);
	if (m.content != 0)
		m.value = random_view(seed, 5000);
	return m;
}

static void
assert_same_view(struct view a, struct view b)
{
	assert_int_equal(a.len, b.len);
	if (a.len > 0)
		assert_memory_equal(a.p, b.p, a.len);
}

static void
test_random_results(void **state)
{
	uint64_t seed = unit_seed();
	struct msg_result in;
	struct msg_result m;
	size_t i;

	(void)state;
	for (i = 0; i < 8000; i++)
		big[i] = (uint8_t)(1 + unit_below(&seed, 127));
	for (i = 0; i < 20000; i++) {
		in = random_result(&seed);
		wr_init(&wr, out, sizeof(out));
		msg_result_encode(&wr, 0, 1, &in, false);
		assert_int_equal(msg_result_decode(written().body, &m), 0);
		assert_int_equal(m.index, in.index);
		assert_int_equal(m.error, in.error);
		assert_same_view(m.message, in.message);
		assert_int_equal(m.meta.freshness, in.meta.freshness);
		assert_true(m.meta.age_ms == in.meta.age_ms);
		assert_same_view(m.meta.id, in.meta.id);
		assert_same_view(m.meta.name, in.meta.name);
		assert_true(m.meta.version == in.meta.version);
		assert_true(m.meta.updated_at == in.meta.updated_at);
		assert_true(m.meta.expires_at == in.meta.expires_at);
		assert_int_equal(m.content, in.content);
		assert_same_view(m.value, in.value);
		assert_same_view(m.position, in.position);
		assert_int_equal(m.changed, in.changed);
	}
}

/* One bit wrong anywhere: any answer will do, but no stray read. */
static void
test_random_damage_is_survived(void **state)
{
	static int (*const decoders[])(struct view) = {
		decode_hello, decode_refs, decode_list, decode_result,
		decode_rows, decode_row, decode_stat, decode_done,
		decode_error, msg_empty_decode, decode_watch, decode_event,
		decode_reject, decode_explain, decode_explained,
		decode_drill, decode_drilled, decode_drill_read,
		decode_drill_value, decode_metrics, decode_text
	};
	uint64_t seed = unit_seed();
	struct msg_result in;
	struct view v;
	uint8_t *copy;
	size_t i;
	size_t k;

	(void)state;
	memset(big, 'x', 8000);
	for (i = 0; i < 3000; i++) {
		in = random_result(&seed);
		wr_init(&wr, out, sizeof(out));
		msg_result_encode(&wr, 0, 1, &in, false);
		out[16 + unit_below(&seed, wr.len - 16)] ^=
		    (uint8_t)(1u << unit_below(&seed, 8));
		/* a block of its own, for the sanitizer to guard */
		v.len = unit_below(&seed, wr.len - 16) + 1;
		copy = malloc(v.len);
		assert_non_null(copy);
		memcpy(copy, out + 16, v.len);
		v.p = copy;
		for (k = 0; k < UNIT_COUNT(decoders); k++)
			(void)decoders[k](v);
		free(copy);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits_of_every_field),
		cmocka_unit_test(test_every_field_comes_once_and_not_missing),
		cmocka_unit_test(test_unknown_fields),
		cmocka_unit_test(test_fields_of_other_messages_are_skipped),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_terms),
		cmocka_unit_test(test_refs_limits),
		cmocka_unit_test(test_refs_keep_their_order_between_others),
		cmocka_unit_test(test_refs_are_text),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_result),
		cmocka_unit_test(test_result_without_anything),
		cmocka_unit_test(test_result_external_is_the_same_on_the_wire),
		cmocka_unit_test(test_result_limits_when_writing),
		cmocka_unit_test(test_result_error),
		cmocka_unit_test(test_long_messages_are_cut),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_row_bounds),
		cmocka_unit_test(test_nested_errors),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_random_results),
		cmocka_unit_test(test_random_damage_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
