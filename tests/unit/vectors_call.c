/* The vectors of CALL, of the typed operations and of streams. */
#include "config.h"

#include "unit.h"

#include "err.h"
#include "msg.h"
#include "msg_call.h"
#include "vectors.h"

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

static void
check_call(const struct frame *f)
{
	struct msg_call m;

	assert_int_equal(f->type, FRAME_CALL);
	assert_int_equal(msg_call_decode(f->body, &m), 0);
	assert_true(m.terms.deadline_ms == 10000);
	assert_true(m.terms.max_age_ms == MSG_NO_LIMIT);
	assert_view(m.method, "GET");
	assert_view(m.target, "/audit-logs?page=2");
	assert_int_equal(m.ref.len, 0);
	assert_int_equal(m.content_type.len, 0);
	assert_false(m.has_data);
}

static void
encode_call(struct wr *wr)
{
	struct msg_call m;

	msg_call_init(&m);
	m.terms.deadline_ms = 10000;
	m.method = view_of("GET");
	m.target = view_of("/audit-logs?page=2");
	msg_call_encode(wr, 15, &m, false);
}

static const char patch_body[] = "{\"notes\":\"x\"}";

static void
check_call_data(const struct frame *f)
{
	struct msg_call m;

	assert_int_equal(msg_call_decode(f->body, &m), 0);
	assert_view(m.method, "PATCH");
	assert_view(m.target, "/api/v1/secrets/{id}");
	assert_view(m.ref, "qapi://secrets/a");
	assert_view(m.content_type, "application/merge-patch+json");
	assert_true(m.has_data);
	assert_view(m.data, patch_body);
}

static void
encode_call_data(struct wr *wr)
{
	struct msg_call m;

	msg_call_init(&m);
	m.method = view_of("PATCH");
	m.target = view_of("/api/v1/secrets/{id}");
	m.ref = view_of("qapi://secrets/a");
	m.content_type = view_of("application/merge-patch+json");
	m.has_data = true;
	m.data = view_of(patch_body);
	msg_call_encode(wr, 16, &m, false);
}

static const uint8_t plain[] = { 'p', 0, 'q' };
static const char payload[] = "eyJjIjoiIn0=";

static void
check_encrypt(const struct frame *f)
{
	struct msg_crypt m;

	assert_int_equal(f->type, FRAME_ENCRYPT);
	assert_int_equal(msg_crypt_decode(f->type, f->body, &m), 0);
	assert_true(m.deadline_ms == MSG_NO_LIMIT);
	assert_view(m.key, "mail");
	assert_view(m.algorithm, "ML-KEM-768");
	assert_view(m.aad, "order 7");
	assert_int_equal(m.data.len, sizeof(plain));
	assert_memory_equal(m.data.p, plain, sizeof(plain));
}

static void
encode_encrypt(struct wr *wr)
{
	const struct msg_crypt m = {
		.deadline_ms = MSG_NO_LIMIT,
		.key = view_of("mail"),
		.algorithm = view_of("ML-KEM-768"),
		.aad = view_of("order 7"),
		.data = { plain, sizeof(plain) },
	};

	msg_crypt_encode(wr, FRAME_ENCRYPT, 17, &m, false);
}

static void
check_decrypt(const struct frame *f)
{
	struct msg_crypt m;

	assert_int_equal(f->type, FRAME_DECRYPT);
	assert_int_equal(msg_crypt_decode(f->type, f->body, &m), 0);
	assert_true(m.deadline_ms == 10000);
	assert_int_equal(m.key.len, 0);
	assert_view(m.aad, "order 7");
	assert_view(m.data, payload);
}

static void
encode_decrypt(struct wr *wr)
{
	const struct msg_crypt m = { .deadline_ms = 10000,
		.aad = view_of("order 7"), .data = view_of(payload) };

	msg_crypt_encode(wr, FRAME_DECRYPT, 18, &m, false);
}

static void
check_sign(const struct frame *f)
{
	struct msg_crypt m;

	assert_int_equal(f->type, FRAME_SIGN);
	assert_int_equal(msg_crypt_decode(f->type, f->body, &m), 0);
	assert_view(m.key, "signing");
	assert_int_equal(m.algorithm.len, 0);
	assert_view(m.data, "hello");
}

static void
encode_sign(struct wr *wr)
{
	const struct msg_crypt m = { .deadline_ms = MSG_NO_LIMIT,
		.key = view_of("signing"), .data = view_of("hello") };

	msg_crypt_encode(wr, FRAME_SIGN, 19, &m, false);
}

static void
check_verify(const struct frame *f)
{
	struct msg_crypt m;

	assert_int_equal(f->type, FRAME_VERIFY);
	assert_int_equal(msg_crypt_decode(f->type, f->body, &m), 0);
	assert_view(m.key, "signing");
	assert_view(m.signature, "\xde\xad\xbe\xef");
	assert_view(m.data, "hello");
}

static void
encode_verify(struct wr *wr)
{
	const struct msg_crypt m = { .deadline_ms = MSG_NO_LIMIT,
		.key = view_of("signing"),
		.signature = view_of("\xde\xad\xbe\xef"),
		.data = view_of("hello") };

	msg_crypt_encode(wr, FRAME_VERIFY, 20, &m, false);
}

static void
check_stream_seal(const struct frame *f)
{
	struct msg_stream_open m;

	assert_int_equal(f->type, FRAME_STREAM_OPEN);
	assert_int_equal(msg_stream_open_decode(f->body, &m), 0);
	assert_true(m.seal);
	assert_view(m.key, "mail");
	assert_view(m.aad, "order 7");
	assert_int_equal(m.header.len, 0);
}

static void
encode_stream_seal(struct wr *wr)
{
	const struct msg_stream_open m = { .deadline_ms = MSG_NO_LIMIT,
		.seal = true, .key = view_of("mail"),
		.aad = view_of("order 7") };

	msg_stream_open_encode(wr, 21, &m);
}

static const uint8_t header[] = "QAPIENV\x01\0\0\0\x0c";

static void
check_stream_open(const struct frame *f)
{
	struct msg_stream_open m;

	assert_int_equal(msg_stream_open_decode(f->body, &m), 0);
	assert_true(m.deadline_ms == 10000);
	assert_false(m.seal);
	assert_int_equal(m.header.len, sizeof(header) - 1);
	assert_memory_equal(m.header.p, header, m.header.len);
}

static void
encode_stream_open(struct wr *wr)
{
	const struct msg_stream_open m = { .deadline_ms = 10000,
		.header = { header, sizeof(header) - 1 } };

	msg_stream_open_encode(wr, 22, &m);
}

static void
check_stream_data(const struct frame *f)
{
	struct msg_stream_data m;

	assert_int_equal(f->type, FRAME_STREAM_DATA);
	assert_true(f->id == 23);
	assert_int_equal(msg_stream_data_decode(f->body, &m), 0);
	assert_true(m.stream == 21);
	assert_true(m.final);
	assert_view(m.data, "the end");
}

static void
encode_stream_data(struct wr *wr)
{
	const struct msg_stream_data m = { 21, true, view_of("the end") };

	msg_stream_data_encode(wr, 23, &m, false);
}

static const char too_many[] = "{\"error\":\"rate_limit_exceeded\"}";

static void
check_called(const struct frame *f)
{
	struct msg_called m;

	assert_int_equal(f->type, FRAME_CALLED);
	assert_int_equal(msg_called_decode(f->body, &m), 0);
	assert_int_equal(m.status, 429);
	assert_view(m.content_type, "application/json");
	assert_true(m.retry_after_ms == 30000);
	assert_int_equal(m.freshness, MSG_FRESHNESS_NONE);
	assert_view(m.value, too_many);
}

static void
encode_called(struct wr *wr)
{
	const struct msg_called m = {
		.status = 429,
		.content_type = view_of("application/json"),
		.retry_after_ms = 30000,
		.value = view_of(too_many),
	};

	msg_called_encode(wr, 15, &m, false);
}

static void
check_called_cached(const struct frame *f)
{
	struct msg_called m;

	assert_int_equal(msg_called_decode(f->body, &m), 0);
	assert_int_equal(m.status, 200);
	assert_true(m.retry_after_ms == 0);
	assert_int_equal(m.freshness, MSG_STALE);
	assert_true(m.age_ms == 1500);
	assert_view(m.value, "{}");
}

static void
encode_called_cached(struct wr *wr)
{
	const struct msg_called m = {
		.status = 200,
		.content_type = view_of("application/json"),
		.freshness = MSG_STALE,
		.age_ms = 1500,
		.value = view_of("{}"),
	};

	msg_called_encode(wr, 16, &m, false);
}

static void
check_encrypted(const struct frame *f)
{
	struct msg_result m;

	assert_int_equal(msg_result_decode(f->body, &m), 0);
	assert_int_equal(m.index, 0);
	assert_view(m.meta.id, "k-1");
	assert_true(m.meta.version == 2);
	assert_int_equal(m.content, MSG_CONTENT_TEXT);
	assert_view(m.value, payload);
}

static void
encode_encrypted(struct wr *wr)
{
	struct msg_result m = { .content = MSG_CONTENT_TEXT,
		.value = view_of(payload) };

	msg_meta_init(&m.meta);
	m.meta.id = view_of("k-1");
	m.meta.version = 2;
	msg_result_encode(wr, 0, 17, &m, false);
}

static void
check_verified(const struct frame *f)
{
	struct msg_verified m;

	assert_int_equal(f->type, FRAME_VERIFIED);
	assert_int_equal(msg_verified_decode(f->body, &m), 0);
	assert_true(m.valid);
	assert_int_equal(m.by, MSG_VERIFIED_BY_AGENT);
}

static void
encode_verified(struct wr *wr)
{
	const struct msg_verified m = { true, MSG_VERIFIED_BY_AGENT };

	msg_verified_encode(wr, 20, &m);
}

static void
check_verified_not(const struct frame *f)
{
	struct msg_verified m;

	assert_int_equal(msg_verified_decode(f->body, &m), 0);
	assert_false(m.valid);
	assert_int_equal(m.by, MSG_VERIFIED_BY_SERVICE);
}

static void
encode_verified_not(struct wr *wr)
{
	const struct msg_verified m = { false, MSG_VERIFIED_BY_SERVICE };

	msg_verified_encode(wr, 20, &m);
}

static struct view
sealed_bytes(void)
{
	static uint8_t sealed[24];
	const struct view v = { sealed, sizeof(sealed) };
	size_t i;

	for (i = 0; i < sizeof(sealed); i++)
		sealed[i] = (uint8_t)(0xa0 + i);
	return v;
}

static void
check_stream_bytes(const struct frame *f)
{
	const struct view expected = sealed_bytes();
	struct msg_stream_bytes m;

	assert_int_equal(f->type, FRAME_STREAM_BYTES);
	assert_int_equal(msg_stream_bytes_decode(f->body, &m), 0);
	assert_int_equal(m.value.len, expected.len);
	assert_memory_equal(m.value.p, expected.p, expected.len);
}

static void
encode_stream_bytes(struct wr *wr)
{
	const struct msg_stream_bytes m = { sealed_bytes() };

	msg_stream_bytes_encode(wr, 23, &m);
	assert_int_equal(wr->len, MSG_STREAM_BYTES_HEAD_LEN + m.value.len);
}

const struct vector_test vectors_call[] = {
	{ "call", check_call, encode_call },
	{ "call-data", check_call_data, encode_call_data },
	{ "encrypt", check_encrypt, encode_encrypt },
	{ "decrypt", check_decrypt, encode_decrypt },
	{ "sign", check_sign, encode_sign },
	{ "verify", check_verify, encode_verify },
	{ "stream-seal", check_stream_seal, encode_stream_seal },
	{ "stream-open", check_stream_open, encode_stream_open },
	{ "stream-data", check_stream_data, encode_stream_data },
	{ "called", check_called, encode_called },
	{ "called-cached", check_called_cached, encode_called_cached },
	{ "encrypted", check_encrypted, encode_encrypted },
	{ "verified", check_verified, encode_verified },
	{ "verified-not", check_verified_not, encode_verified_not },
	{ "stream-bytes", check_stream_bytes, encode_stream_bytes },
};
const size_t vectors_call_count = UNIT_COUNT(vectors_call);

int
vectors_call_receive(uint8_t type, struct view body)
{
	union {
		struct msg_call call;
		struct msg_called called;
		struct msg_crypt crypt;
		struct msg_verified verified;
		struct msg_stream_open open;
		struct msg_stream_data data;
	} m;

	switch (type) {
	case FRAME_CALL:
		return msg_call_decode(body, &m.call);
	case FRAME_CALLED:
		return msg_called_decode(body, &m.called);
	case FRAME_VERIFIED:
		return msg_verified_decode(body, &m.verified);
	case FRAME_STREAM_OPEN:
		return msg_stream_open_decode(body, &m.open);
	case FRAME_STREAM_DATA:
		return msg_stream_data_decode(body, &m.data);
	case FRAME_ENCRYPT:
	case FRAME_DECRYPT:
	case FRAME_SIGN:
	case FRAME_VERIFY:
		return msg_crypt_decode(type, body, &m.crypt);
	default:
		fail_msg("no receiver of type 0x%02x", (unsigned int)type);
		return ERR_INTERNAL;
	}
}
