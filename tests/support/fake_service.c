#include "config.h"

#include "fake_service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envelope.h"
#include "err.h"

static void
check(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static struct view
view_of(const char *text)
{
	struct view v = {(const uint8_t *)text, strlen(text)};

	return v;
}

void
fake_send_called(struct fake_conn *c, uint64_t id, uint16_t status,
    const char *content_type, const void *body, size_t len)
{
	struct msg_called m = {
		.status = status,
		.value = {len > 0 ? body : NULL, len},
	};
	size_t size = MSG_CALLED_HEAD_MAX + len;
	uint8_t *buf = malloc(size);
	struct wr wr;

	check(buf != NULL, "malloc");
	if (content_type != NULL)
		m.content_type = view_of(content_type);
	if (status == 429)
		m.retry_after_ms = 7000;
	wr_init(&wr, buf, size);
	msg_called_encode(&wr, id, &m, false);
	fake_send_wr(c, &wr);
	free(buf);
}

static bool
ends_in(struct view v, const char *end)
{
	size_t n = strlen(end);

	return v.len >= n && memcmp(v.p + v.len - n, end, n) == 0;
}

static void
serve_call(struct fake_conn *c, const struct frame *frame)
{
	static const char made[] = "{\"note\":\"{\\\"id\\\":1}\",\"id\":"
				   "\"sec_9\",\"version\":12}";
	unsigned int status = 200;
	struct msg_call m;
	char *body;
	size_t size;
	int n;

	check(msg_call_decode(frame->body, &m) == 0, "decode");
	if (m.target.len > 4 && m.target.p[m.target.len - 4] == '/')
		status = (unsigned int)strtoul(
		    (const char *)m.target.p + m.target.len - 3, NULL, 10);
	if (status < 100 || status > 599)
		status = 200;
	if (m.has_data && status == 200 &&
	    (ends_in(m.target, "/secrets") || ends_in(m.target, "/value"))) {
		fake_send_called(c, frame->id, 201, "application/json", made,
		    strlen(made));
		return;
	}
	size = m.data.len + 8192;
	body = malloc(size);
	check(body != NULL, "malloc");
	n = snprintf(body, size, "%.*s %.*s ref=%.*s type=%.*s data=%s",
	    (int)m.method.len, (const char *)m.method.p, (int)m.target.len,
	    (const char *)m.target.p, (int)m.ref.len,
	    m.ref.len > 0 ? (const char *)m.ref.p : "",
	    (int)m.content_type.len,
	    m.content_type.len > 0 ? (const char *)m.content_type.p : "",
	    m.has_data ? ":" : "-");
	if (m.data.len > 0)
		memcpy(body + n, m.data.p, m.data.len);
	fake_send_called(c, frame->id, (uint16_t)status, "text/plain", body,
	    (size_t)n + m.data.len);
	free(body);
}

static void
send_bytes(struct fake_conn *c, uint64_t id, const void *p, size_t len)
{
	struct msg_result m = {.content = MSG_CONTENT_BYTES};

	msg_meta_init(&m.meta);
	m.value.p = len > 0 ? p : NULL;
	m.value.len = len;
	fake_send_result(c, id, false, &m);
}

static void
serve_encrypt(struct fake_conn *c, uint64_t id, const struct msg_crypt *m)
{
	char *text = malloc(m->data.len * 2 + m->key.len + m->aad.len + 8);
	size_t i, n = 0;

	check(text != NULL, "malloc");
	text[n++] = 'P';
	if (m->key.len > 0)
		memcpy(text + n, m->key.p, m->key.len);
	n += m->key.len;
	text[n++] = '.';
	if (m->aad.len > 0)
		memcpy(text + n, m->aad.p, m->aad.len);
	n += m->aad.len;
	text[n++] = '.';
	for (i = 0; i < m->data.len; i++) {
		text[n++] = "0123456789abcdef"[m->data.p[i] >> 4];
		text[n++] = "0123456789abcdef"[m->data.p[i] & 15];
	}
	send_bytes(c, id, text, n);
	free(text);
}

static int
hex(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0'
	    : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void
serve_decrypt(struct fake_conn *c, uint64_t id, const struct msg_crypt *m)
{
	const uint8_t *p = m->data.p, *end = p + m->data.len, *dot, *dot2;
	uint8_t *out = malloc(m->data.len);
	size_t n = 0;

	check(out != NULL, "malloc");
	dot = memchr(p, '.', m->data.len);
	dot2 = dot == NULL ? NULL
	    : memchr(dot + 1, '.', (size_t)(end - dot - 1));
	if (*p != 'P' || dot2 == NULL ||
	    m->aad.len != (size_t)(dot2 - dot - 1) ||
	    (m->aad.len > 0 && memcmp(dot + 1, m->aad.p, m->aad.len) != 0)) {
		fake_send_error(c, id, ERR_BAD_REQUEST,
		    "the service cannot decrypt this: look at the key");
		free(out);
		return;
	}
	for (p = dot2 + 1; p + 1 < end; p += 2) {
		check(hex(p[0]) >= 0 && hex(p[1]) >= 0, "hex");
		out[n++] = (uint8_t)(hex(p[0]) << 4 | hex(p[1]));
	}
	send_bytes(c, id, out, n);
	free(out);
}

static void
sign(const struct msg_crypt *m, uint8_t sig[64])
{
	uint32_t sum = 7;
	size_t i;

	for (i = 0; i < m->key.len; i++)
		sum = sum * 31 + m->key.p[i];
	for (i = 0; i < m->data.len; i++)
		sum = sum * 31 + m->data.p[i];
	for (i = 0; i < 64; i++) {
		sum = sum * 1664525 + 1013904223;
		sig[i] = (uint8_t)(sum >> 24);
	}
}

static void
serve_verify(struct fake_conn *c, uint64_t id, const struct msg_crypt *m)
{
	struct msg_verified v = {.by = MSG_VERIFIED_BY_SERVICE};
	uint8_t sig[64], buf[64];
	struct wr wr;

	sign(m, sig);
	if (m->key.len == 5 && memcmp(m->key.p, "local", 5) == 0)
		v.by = MSG_VERIFIED_BY_AGENT;
	v.valid = m->signature.len == sizeof(sig) &&
	    memcmp(m->signature.p, sig, sizeof(sig)) == 0;
	wr_init(&wr, buf, sizeof(buf));
	msg_verified_encode(&wr, id, &v);
	fake_send_wr(c, &wr);
}

static void
serve_crypt(struct fake_conn *c, const struct frame *frame)
{
	struct msg_crypt m;
	uint8_t sig[64];

	check(msg_crypt_decode(frame->type, frame->body, &m) == 0, "decode");
	if (m.key.len == 4 && memcmp(m.key.p, "none", 4) == 0) {
		fake_send_error(c, frame->id, ERR_NOT_FOUND, "no such key");
	} else if (frame->type == FRAME_ENCRYPT) {
		serve_encrypt(c, frame->id, &m);
	} else if (frame->type == FRAME_DECRYPT) {
		serve_decrypt(c, frame->id, &m);
	} else if (frame->type == FRAME_SIGN) {
		sign(&m, sig);
		send_bytes(c, frame->id, sig, sizeof(sig));
	} else {
		serve_verify(c, frame->id, &m);
	}
}

/* --- streams -------------------------------------------------------------- */

static void
send_stream_bytes(struct fake_conn *c, uint64_t id, const void *p, size_t len)
{
	struct msg_stream_bytes m = {{len > 0 ? p : NULL, len}};
	uint8_t *buf = malloc(len + 64);
	struct wr wr;

	check(buf != NULL, "malloc");
	wr_init(&wr, buf, len + 64);
	msg_stream_bytes_encode(&wr, id, &m);
	fake_send_wr(c, &wr);
	free(buf);
}

static void
serve_open(struct fake_conn *c, const struct frame *frame,
    struct fake_stream *s)
{
	static const uint8_t nonce[ENVELOPE_STREAM_LEN] = "a nonce of 24 bytes";
	struct msg_stream_open m;
	struct envelope e = {
		.cipher = ENVELOPE_XCHACHA20_POLY1305,
		.chunk_len = MSG_CHUNK_MAX,
		.stream = {nonce, sizeof(nonce)},
		.key_id = view_of("key_1"),
		.wrapped = view_of("wrapped"),
	};
	uint8_t buf[1024];
	struct wr wr;

	check(msg_stream_open_decode(frame->body, &m) == 0, "decode");
	memset(s, 0, sizeof(*s));
	s->id = frame->id;
	s->seal = m.seal;
	if (m.aad.len > 0)
		memcpy(s->aad, m.aad.p, m.aad.len);
	if (m.key.len == 4 && memcmp(m.key.p, "none", 4) == 0) {
		fake_send_error(c, frame->id, ERR_NOT_FOUND, "no such key");
		return;
	}
	/* additional data travel in the toy's header, to be compared */
	if (*s->aad != '\0')
		e.wrapped = view_of(s->aad);
	wr_init(&wr, buf, sizeof(buf));
	envelope_encode(&wr, &e);
	check(!wr.failed, "encode");
	if (!m.seal && (m.header.len != wr.len ||
	    memcmp(m.header.p, buf, wr.len) != 0)) {
		fake_send_error(c, frame->id, ERR_BAD_REQUEST,
		    "the envelope cannot be opened: another key, or aad");
		return;
	}
	send_stream_bytes(c, frame->id, buf, m.seal ? wr.len : 0);
}

static uint8_t
sum_of(const uint8_t *p, size_t len)
{
	uint8_t sum = 1;
	size_t i;

	for (i = 0; i < len; i++)
		sum = (uint8_t)(sum * 3 + p[i]);
	return sum;
}

static void
serve_data(struct fake_conn *c, const struct frame *frame,
    struct fake_stream *s)
{
	struct msg_stream_data m;
	uint8_t *out, *tail;
	size_t i, len;

	check(msg_stream_data_decode(frame->body, &m) == 0, "decode");
	check(m.stream == s->id, "id of the stream");
	check(!s->seal || m.final || m.data.len == MSG_CHUNK_MAX, "chunk");
	len = s->seal ? m.data.len : m.data.len - MSG_CHUNK_EXTRA;
	out = calloc(1, len + MSG_CHUNK_EXTRA);
	check(out != NULL, "calloc");
	for (i = 0; i < len; i++)
		out[i] = (uint8_t)~m.data.p[i];
	tail = out + len;
	if (s->seal) {
		tail[0] = m.final;
		tail[1] = s->next;
		tail[2] = sum_of(out, len);
		len += MSG_CHUNK_EXTRA;
	} else if (m.data.p[len] != m.final || m.data.p[len + 1] != s->next ||
	    m.data.p[len + 2] != sum_of(m.data.p, len)) {
		fake_send_error(c, frame->id, ERR_BAD_REQUEST,
		    "a chunk is not what was sealed: it was changed, or the "
		    "envelope is cut short");
		free(out);
		return;
	}
	s->next++;
	send_stream_bytes(c, frame->id, out, len);
	free(out);
}

bool
fake_serve_service(struct fake_conn *c, const struct frame *frame,
    struct fake_stream *stream)
{
	switch (frame->type) {
	case FRAME_CALL:
		serve_call(c, frame);
		return true;
	case FRAME_ENCRYPT:
	case FRAME_DECRYPT:
	case FRAME_SIGN:
	case FRAME_VERIFY:
		serve_crypt(c, frame);
		return true;
	case FRAME_STREAM_OPEN:
		serve_open(c, frame, stream);
		return true;
	case FRAME_STREAM_DATA:
		serve_data(c, frame, stream);
		return true;
	default:
		return false;
	}
}
