#include "config.h"

#include "msg_call.h"

#include <assert.h>

#include "err.h"
#include "fields.h"

#define INT_FIELD (FIELD_HEAD + 8)	/* at most */

static_assert(4 * INT_FIELD + 5 * FIELD_HEAD + MSG_METHOD_MAX +
    MSG_TARGET_MAX + REF_MAX + MSG_CONTENT_TYPE_MAX + MSG_DATA_MAX <=
    FRAME_REQUEST_MAX, "the largest CALL does not fit a frame");
static_assert(INT_FIELD + 5 * FIELD_HEAD + MSG_NAME_MAX + MSG_ALGORITHM_MAX +
    MSG_AAD_MAX + MSG_DATA_MAX <= FRAME_REQUEST_MAX,
    "the largest ENCRYPT does not fit a frame");
static_assert(INT_FIELD + 3 * FIELD_HEAD + MSG_NAME_MAX + MSG_SIGNATURE_MAX +
    MSG_DATA_MAX <= FRAME_REQUEST_MAX,
    "the largest VERIFY does not fit a frame");
static_assert(FRAME_HEADER_LEN + 4 * INT_FIELD + 2 * FIELD_HEAD +
    MSG_CONTENT_TYPE_MAX <= MSG_CALLED_HEAD_MAX,
    "MSG_CALLED_HEAD_MAX is too small");
static_assert(MSG_CALLED_HEAD_MAX + MSG_VALUE_MAX <= FRAME_ANSWER_MAX,
    "the largest CALLED does not fit a frame");
static_assert(FRAME_HEADER_LEN + 2 * INT_FIELD <= MSG_VERIFIED_MAX,
    "MSG_VERIFIED_MAX is too small");
static_assert(FRAME_HEADER_LEN + FIELD_HEAD == MSG_STREAM_BYTES_HEAD_LEN,
    "MSG_STREAM_BYTES_HEAD_LEN is wrong");

static void
put_deadline(struct wr *wr, uint64_t deadline_ms)
{
	if (deadline_ms != MSG_NO_LIMIT)
		fields_put_u64(wr, TAG_DEADLINE_MS, deadline_ms);
}

/* A field that is left out when it is empty. */
static void
put_view(struct wr *wr, uint16_t tag, struct view v, size_t max)
{
	if (v.len > 0)
		fields_put_bytes(wr, tag, v.p, v.len, max);
}

/* One without which the message says nothing. */
static void
put_required(struct wr *wr, uint16_t tag, struct view v, size_t max)
{
	if (v.len == 0)
		wr_fail(wr);
	fields_put_bytes(wr, tag, v.p, v.len, max);
}

/* --- CALL -------------------------------------------------------------- */

void
msg_call_init(struct msg_call *m)
{
	*m = (struct msg_call){ .has_data = false };
	msg_terms_init(&m->terms);
}

void
msg_call_encode(struct wr *wr, uint64_t id, const struct msg_call *m,
    bool external)
{
	size_t start = frame_begin(wr, FRAME_CALL, 0, id);
	size_t extra = 0;

	fields_put_terms(wr, &m->terms);
	put_required(wr, TAG_METHOD, m->method, MSG_METHOD_MAX);
	put_required(wr, TAG_TARGET, m->target, MSG_TARGET_MAX);
	put_view(wr, TAG_REF, m->ref, REF_MAX);
	put_view(wr, TAG_CONTENT_TYPE, m->content_type, MSG_CONTENT_TYPE_MAX);
	if (m->has_data)
		extra = fields_put_last(wr, TAG_DATA, m->data, MSG_DATA_MAX,
		    external);
	frame_end(wr, start, extra);
}

/* Places of fields in msg_call_decode(). */
enum {
	CALL_METHOD = 4,
	CALL_TARGET = 5,
	CALL_DATA = 8,
};

/* Nothing else can become the first word of a request to the service. */
static bool
is_method(struct view v)
{
	size_t i;

	for (i = 0; i < v.len; i++) {
		if ((v.p[i] < 'A' || v.p[i] > 'Z') && v.p[i] != '-')
			return false;
	}
	return true;
}

int
msg_call_decode(struct view body, struct msg_call *ret)
{
	static const struct field fields[] = {
		F_TERMS(struct msg_call),
		[CALL_METHOD] = { TAG_METHOD, FIELD_TEXT,
		    offsetof(struct msg_call, method), 1, MSG_METHOD_MAX },
		[CALL_TARGET] = { TAG_TARGET, FIELD_TEXT,
		    offsetof(struct msg_call, target), 1, MSG_TARGET_MAX },
		{ TAG_REF, FIELD_TEXT, offsetof(struct msg_call, ref), 1,
		    REF_MAX },
		{ TAG_CONTENT_TYPE, FIELD_TEXT,
		    offsetof(struct msg_call, content_type), 1,
		    MSG_CONTENT_TYPE_MAX },
		[CALL_DATA] = { TAG_DATA, FIELD_BYTES,
		    offsetof(struct msg_call, data), 0, MSG_DATA_MAX },
	};
	static const struct spec spec = SPEC(fields,
	    BIT(CALL_METHOD) | BIT(CALL_TARGET));
	uint32_t seen;
	int r;

	msg_call_init(ret);
	r = fields_decode(&spec, body, ret, &seen);
	if (r != 0)
		return r;
	ret->has_data = (seen & BIT(CALL_DATA)) != 0;
	return is_method(ret->method) ? 0 : ERR_BAD_REQUEST;
}

void
msg_called_encode(struct wr *wr, uint64_t id, const struct msg_called *m,
    bool external)
{
	size_t start = frame_begin(wr, FRAME_CALLED, 0, id);
	const struct msg_meta meta = { .freshness = m->freshness,
		.age_ms = m->age_ms };
	size_t extra = 0;

	fields_put_u16(wr, TAG_STATUS, m->status);
	put_view(wr, TAG_CONTENT_TYPE, m->content_type, MSG_CONTENT_TYPE_MAX);
	if (m->retry_after_ms != 0)
		fields_put_u64(wr, TAG_RETRY_AFTER_MS, m->retry_after_ms);
	fields_put_freshness(wr, &meta);
	if (m->value.len > 0)
		extra = fields_put_last(wr, TAG_VALUE, m->value, MSG_VALUE_MAX,
		    external);
	frame_end(wr, start, extra);
}

int
msg_called_decode(struct view body, struct msg_called *ret)
{
	static const struct field fields[] = {
		{ TAG_STATUS, FIELD_U16, offsetof(struct msg_called, status),
		    0, 0 },
		{ TAG_CONTENT_TYPE, FIELD_TEXT,
		    offsetof(struct msg_called, content_type), 1,
		    MSG_CONTENT_TYPE_MAX },
		{ TAG_RETRY_AFTER_MS, FIELD_U64,
		    offsetof(struct msg_called, retry_after_ms), 0, 0 },
		F_FRESHNESS(struct msg_called, ),
		{ TAG_VALUE, FIELD_BYTES, offsetof(struct msg_called, value),
		    0, MSG_VALUE_MAX },
	};
	static const struct spec spec = SPEC(fields, BIT(0));

	*ret = (struct msg_called){ .status = 0 };
	return fields_decode(&spec, body, ret, NULL);
}

/* --- ENCRYPT, DECRYPT, SIGN, VERIFY ------------------------------------ */

void
msg_crypt_encode(struct wr *wr, uint8_t type, uint64_t id,
    const struct msg_crypt *m, bool external)
{
	bool seals = type == FRAME_ENCRYPT || type == FRAME_DECRYPT;
	size_t start = frame_begin(wr, type, 0, id);

	put_deadline(wr, m->deadline_ms);
	if (seals)
		put_view(wr, TAG_KEY, m->key, MSG_NAME_MAX);
	else
		put_required(wr, TAG_KEY, m->key, MSG_NAME_MAX);
	if (type == FRAME_ENCRYPT || type == FRAME_SIGN)
		put_view(wr, TAG_ALGORITHM, m->algorithm, MSG_ALGORITHM_MAX);
	if (seals)
		put_view(wr, TAG_AAD, m->aad, MSG_AAD_MAX);
	if (type == FRAME_VERIFY)
		put_required(wr, TAG_SIGNATURE, m->signature,
		    MSG_SIGNATURE_MAX);
	if (type == FRAME_DECRYPT && m->data.len == 0)
		wr_fail(wr);
	frame_end(wr, start, fields_put_last(wr, TAG_DATA, m->data,
	    MSG_DATA_MAX, external));
}

/*
 * The same places in all four, so that one word says what each needs.  What
 * has no business in a message is not told from a field that nobody knows.
 */
enum {
	CRYPT_DEADLINE,
	CRYPT_KEY,
	CRYPT_DATA,
	CRYPT_THIRD,		/* of those below, none is in every message */
	CRYPT_FOURTH,
};

#define F_CRYPT(data_type, data_min) \
	[CRYPT_DEADLINE] = { TAG_DEADLINE_MS, FIELD_U64, \
	    offsetof(struct msg_crypt, deadline_ms), 0, 0 }, \
	[CRYPT_KEY] = { TAG_KEY, FIELD_TEXT, offsetof(struct msg_crypt, key), \
	    1, MSG_NAME_MAX }, \
	[CRYPT_DATA] = { TAG_DATA, data_type, \
	    offsetof(struct msg_crypt, data), data_min, MSG_DATA_MAX }
#define F_ALGORITHM \
	{ TAG_ALGORITHM, FIELD_TEXT, offsetof(struct msg_crypt, algorithm), \
	    1, MSG_ALGORITHM_MAX }
#define F_AAD(s) \
	{ TAG_AAD, FIELD_TEXT, offsetof(s, aad), 1, MSG_AAD_MAX }

int
msg_crypt_decode(uint8_t type, struct view body, struct msg_crypt *ret)
{
	static const struct field encrypt[] = {
		F_CRYPT(FIELD_BYTES, 0),
		[CRYPT_THIRD] = F_ALGORITHM,
		[CRYPT_FOURTH] = F_AAD(struct msg_crypt),
	};
	static const struct field decrypt[] = {
		F_CRYPT(FIELD_TEXT, 1),
		[CRYPT_THIRD] = F_AAD(struct msg_crypt),
	};
	static const struct field sign[] = {
		F_CRYPT(FIELD_BYTES, 0),
		[CRYPT_THIRD] = F_ALGORITHM,
	};
	static const struct field verify[] = {
		F_CRYPT(FIELD_BYTES, 0),
		[CRYPT_THIRD] = { TAG_SIGNATURE, FIELD_BYTES,
		    offsetof(struct msg_crypt, signature), 1,
		    MSG_SIGNATURE_MAX },
	};
	static const struct spec specs[] = {
		SPEC(encrypt, BIT(CRYPT_DATA)),
		SPEC(decrypt, BIT(CRYPT_DATA)),
		SPEC(sign, BIT(CRYPT_DATA) | BIT(CRYPT_KEY)),
		SPEC(verify, BIT(CRYPT_DATA) | BIT(CRYPT_KEY) |
		    BIT(CRYPT_THIRD)),
	};

	assert(type >= FRAME_ENCRYPT && type <= FRAME_VERIFY);
	*ret = (struct msg_crypt){ .deadline_ms = MSG_NO_LIMIT };
	return fields_decode(&specs[type - FRAME_ENCRYPT], body, ret, NULL);
}

void
msg_verified_encode(struct wr *wr, uint64_t id, const struct msg_verified *m)
{
	size_t start = frame_begin(wr, FRAME_VERIFIED, 0, id);

	if (m->valid)
		fields_put_u8(wr, TAG_VALID, 1);
	fields_put_u8(wr, TAG_VERIFIED_BY, m->by);
	frame_end(wr, start, 0);
}

int
msg_verified_decode(struct view body, struct msg_verified *ret)
{
	static const struct field fields[] = {
		{ TAG_VALID, FIELD_FLAG, offsetof(struct msg_verified, valid),
		    0, 0 },
		{ TAG_VERIFIED_BY, FIELD_U8, offsetof(struct msg_verified, by),
		    0, UINT8_MAX },
	};
	static const struct spec spec = SPEC(fields, BIT(1));

	*ret = (struct msg_verified){ .valid = false };
	return fields_decode(&spec, body, ret, NULL);
}

/* --- streams ----------------------------------------------------------- */

void
msg_stream_open_encode(struct wr *wr, uint64_t id,
    const struct msg_stream_open *m)
{
	size_t start = frame_begin(wr, FRAME_STREAM_OPEN, 0, id);

	put_deadline(wr, m->deadline_ms);
	if (m->seal) {
		fields_put_u8(wr, TAG_SEAL, 1);
		put_view(wr, TAG_KEY, m->key, MSG_NAME_MAX);
	}
	put_view(wr, TAG_AAD, m->aad, MSG_AAD_MAX);
	if (!m->seal)
		put_required(wr, TAG_HEADER, m->header, MSG_ENVELOPE_MAX);
	frame_end(wr, start, 0);
}

int
msg_stream_open_decode(struct view body, struct msg_stream_open *ret)
{
	static const struct field fields[] = {
		{ TAG_DEADLINE_MS, FIELD_U64,
		    offsetof(struct msg_stream_open, deadline_ms), 0, 0 },
		{ TAG_SEAL, FIELD_FLAG, offsetof(struct msg_stream_open, seal),
		    0, 0 },
		{ TAG_KEY, FIELD_TEXT, offsetof(struct msg_stream_open, key),
		    1, MSG_NAME_MAX },
		F_AAD(struct msg_stream_open),
		{ TAG_HEADER, FIELD_BYTES,
		    offsetof(struct msg_stream_open, header), 1,
		    MSG_ENVELOPE_MAX },
	};
	static const struct spec spec = SPEC(fields, 0);
	int r;

	*ret = (struct msg_stream_open){ .deadline_ms = MSG_NO_LIMIT };
	r = fields_decode(&spec, body, ret, NULL);
	if (r == 0 && ret->seal == (ret->header.len > 0))
		return ERR_BAD_REQUEST;
	return r;
}

void
msg_stream_data_encode(struct wr *wr, uint64_t id,
    const struct msg_stream_data *m, bool external)
{
	size_t start = frame_begin(wr, FRAME_STREAM_DATA, 0, id);

	fields_put_u64(wr, TAG_STREAM, m->stream);
	if (m->final)
		fields_put_u8(wr, TAG_FINAL, 1);
	frame_end(wr, start, fields_put_last(wr, TAG_DATA, m->data,
	    MSG_CHUNK_MAX + MSG_CHUNK_EXTRA, external));
}

int
msg_stream_data_decode(struct view body, struct msg_stream_data *ret)
{
	static const struct field fields[] = {
		{ TAG_STREAM, FIELD_U64,
		    offsetof(struct msg_stream_data, stream), 0, 0 },
		{ TAG_FINAL, FIELD_FLAG,
		    offsetof(struct msg_stream_data, final), 0, 0 },
		{ TAG_DATA, FIELD_BYTES,
		    offsetof(struct msg_stream_data, data), 0,
		    MSG_CHUNK_MAX + MSG_CHUNK_EXTRA },
	};
	static const struct spec spec = SPEC(fields, BIT(0) | BIT(2));

	*ret = (struct msg_stream_data){ .final = false };
	return fields_decode(&spec, body, ret, NULL);
}

void
msg_stream_bytes_encode(struct wr *wr, uint64_t id,
    const struct msg_stream_bytes *m)
{
	uint8_t *p = msg_stream_bytes_room(wr, id, m->value.len);

	if (p != NULL && m->value.len > 0)
		memcpy(p, m->value.p, m->value.len);
}

uint8_t *
msg_stream_bytes_room(struct wr *wr, uint64_t id, size_t len)
{
	size_t start = frame_begin(wr, FRAME_STREAM_BYTES, 0, id);
	uint8_t *p;

	if (len > MSG_CHUNK_MAX + MSG_CHUNK_EXTRA) {
		wr_fail(wr);
		return NULL;
	}
	p = fields_put_head(wr, TAG_VALUE, (uint32_t)len);
	frame_end(wr, start, 0);
	return p;
}

int
msg_stream_bytes_decode(struct view body, struct msg_stream_bytes *ret)
{
	static const struct field fields[] = {
		{ TAG_VALUE, FIELD_BYTES,
		    offsetof(struct msg_stream_bytes, value), 0,
		    MSG_CHUNK_MAX + MSG_CHUNK_EXTRA },
	};
	static const struct spec spec = SPEC(fields, BIT(0));

	*ret = (struct msg_stream_bytes){ .value = { NULL, 0 } };
	return fields_decode(&spec, body, ret, NULL);
}
