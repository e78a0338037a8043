#include "config.h"

#include "stream.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caller.h"
#include "chunks.h"
#include "crypt_json.h"
#include "envelope.h"
#include "err.h"
#include "msg_call.h"
#include "oper.h"
#include "request.h"
#include "settings.h"

/*
 * Bound into each data key: one that was made for something else opens no
 * envelope, and the other way round (docs/envelope.md).
 */
static const char stream_context[] = "qapi-agent envelope 1";

static_assert(MSG_STREAM_BYTES_HEAD_LEN + MSG_CHUNK_MAX + MSG_CHUNK_EXTRA <=
    SESSION_ANSWER_MAX, "a chunk's answer may find no room");

/* Pages of the listing that are searched for the default key. */
#define STREAM_PAGES_MAX 50

enum {
	KEEP_KEY,
	KEEP_AAD,
	KEEP_WRAPPED,
	KEEP_STREAM,
	KEEP_HEADER,
	KEEPS,
};

struct stream {
	struct oper op;		/* first */
	bool seal;
	bool is_open;		/* chunks may come */
	unsigned int page;	/* of the search for the default key; 0: none */
	struct view part[KEEPS]; /* in op.text */
	struct secmem chunks;
	uint8_t *header;	/* to seal: what is answered, until it is */
	size_t header_len;
};

static struct stream *
stream_of(struct oper *op)
{
	return (struct stream *)(void *)op;
}

static void
stream_free(struct oper *op)
{
	struct stream *st = stream_of(op);

	secmem_free_bytes(&st->chunks);
	free(st->header);
	op->s->streams--;
	if (op->s->caller != NULL)
		op->s->caller->streams--;
	free(st);
}

static void
stream_fail(struct stream *st, int r)
{
	if (r == ERR_NOMEM)
		oper_settle(&st->op, ERR_BUSY,
		    "no memory is left for this stream; ask again later");
	else
		oper_settle(&st->op, r,
		    "the service's answer is not what it should be");
}

/* POST to "/keys/{id}/" and that. */
static void
stream_post(struct stream *st, const char *what, const struct crypt_body *b,
    const struct now *now)
{
	struct secmem body = { .mem = NULL };
	char target[MSG_ID_MAX + 64];
	int r;

	(void)snprintf(target, sizeof(target), "/keys/%s/%s", st->op.id, what);
	r = crypt_json_body(b, &body);
	if (r != 0)
		stream_fail(st, r);
	else
		oper_send(&st->op, "POST", target, &body, now);
}

static struct view
stream_context_view(void)
{
	return (struct view){ (const uint8_t *)stream_context,
	    sizeof(stream_context) - 1 };
}

/* --- sealing ----------------------------------------------------------- */

static void
seal_list(struct stream *st, const struct now *now)
{
	struct secmem none = { .mem = NULL };
	char target[64];

	(void)snprintf(target, sizeof(target),
	    "/keys?keyType=encryption&page=%u&pageSize=200", ++st->page);
	oper_send(&st->op, "GET", target, &none, now);
}

static void
seal_found(struct oper *op, const struct now *now)
{
	struct stream *st = stream_of(op);
	const struct crypt_body b = {
		.context = stream_context_view(),
		.key_bytes = CRYPT_KEY_LEN,
	};

	if (op->id[0] == '\0')
		seal_list(st, now);
	else
		stream_post(st, "generate-data-key", &b, now);
}

/* The caller's rules are for all keys, or it had to name one. */
static void
seal_listed(struct stream *st, struct view body, const struct now *now)
{
	bool more = false;
	int r;

	r = crypt_json_default_key(body, st->op.id, &more);
	if (r == 0)
		seal_found(&st->op, now);
	else if (r == ERR_NOT_FOUND && more && st->page < STREAM_PAGES_MAX)
		seal_list(st, now);
	else if (r == ERR_NOT_FOUND)
		oper_settle(&st->op, r, "there is no default encryption key; "
		    "name one (--key), or make one the default");
	else
		stream_fail(st, r);
}

/* The state of the stream, and the header that tells how to have it again. */
static int
seal_begin(struct stream *st, const struct crypt_data_key *dk)
{
	uint8_t stream[ENVELOPE_STREAM_LEN];
	const struct envelope e = {
		.cipher = ENVELOPE_XCHACHA20_POLY1305,
		.chunk_len = MSG_CHUNK_MAX,
		.stream = { stream, sizeof(stream) },
		.key_version = dk->about->version,
		.key_id = object_id(dk->about),
		.algorithm = { (const uint8_t *)dk->algorithm,
		    strlen(dk->algorithm) },
		.wrapped = object_value(dk->about),
	};
	struct wr wr;
	int r;

	r = chunks_seal_begin(&dk->key, &st->chunks, stream);
	if (r != 0)
		return r;
	st->header = malloc(MSG_ENVELOPE_MAX);
	if (st->header == NULL)
		return ERR_NOMEM;
	wr_init(&wr, st->header, MSG_ENVELOPE_MAX);
	envelope_encode(&wr, &e);
	if (wr.failed)
		return ERR_UPSTREAM_ERROR;
	st->header_len = wr.len;
	chunks_bind(&st->chunks, (struct view){ st->header, st->header_len },
	    st->part[KEEP_AAD]);
	return 0;
}

static void
seal_replied(struct oper *op, struct view body, const struct now *now)
{
	struct stream *st = stream_of(op);
	struct crypt_data_key dk;
	int r;

	if (op->id[0] == '\0') {
		seal_listed(st, body, now);
		return;
	}
	r = crypt_json_data_key(body, &dk);
	if (r == 0) {
		r = seal_begin(st, &dk);
		crypt_data_key_clear(&dk);
	}
	if (r != 0)
		stream_fail(st, r);
	else
		oper_settle(op, 0, NULL);
}

/* --- opening ----------------------------------------------------------- */

static void
open_found(struct oper *op, const struct now *now)
{
	struct stream *st = stream_of(op);
	const struct crypt_body b = {
		.text_name = "wrappedKey",
		.text = st->part[KEEP_WRAPPED],
		.context = stream_context_view(),
	};

	stream_post(st, "unwrap", &b, now);
}

static void
open_replied(struct oper *op, struct view body, const struct now *now)
{
	struct stream *st = stream_of(op);
	struct secmem key = { .mem = NULL };
	int r;

	(void)now;
	r = crypt_json_unwrapped(body, &key);
	if (r == 0)
		r = chunks_open_begin(&key, st->part[KEEP_STREAM],
		    &st->chunks);
	secmem_free_bytes(&key);
	if (r != 0) {
		stream_fail(st, r);
		return;
	}
	chunks_bind(&st->chunks, st->part[KEEP_HEADER], st->part[KEEP_AAD]);
	oper_settle(op, 0, NULL);
}

/* --- STREAM_OPEN ------------------------------------------------------- */

/* It stays: the request is the stream from now on. */
static bool
stream_render(struct oper *op, struct out *out)
{
	struct stream *st = stream_of(op);
	const struct msg_stream_bytes m = {
		.value = { st->header, st->header_len },
	};
	struct wr wr = out_begin(out);

	msg_stream_bytes_encode(&wr, op->rq->id, &m);
	out_commit(out, &wr);
	free(st->header);
	st->header = NULL;
	st->header_len = 0;
	st->is_open = true;
	return false;
}

static const struct oper_ops seal_ops = {
	"encrypt", POLICY_ENCRYPT, seal_found, seal_replied, NULL,
	stream_render, stream_free,
};
static const struct oper_ops open_ops = {
	"decrypt", POLICY_DECRYPT, open_found, open_replied, NULL,
	stream_render, stream_free,
};

static void
stream_keep(struct stream *st, const struct view *part)
{
	const uint8_t *at = secmem_bytes(&st->op.text);
	size_t i;

	for (i = 0; i < KEEPS; i++) {
		st->part[i] = (struct view){ at, part[i].len };
		at += part[i].len;
	}
}

/* Returns NULL when that was answered. */
static struct stream *
stream_new(struct session *s, const struct frame *frame, bool seal,
    struct out *out)
{
	struct stream *st;

	if (s->streams >= SESSION_STREAMS_MAX || (s->caller != NULL &&
	    s->caller->streams >= CALLER_STREAMS_MAX)) {
		session_error(out, frame->id, ERR_BUSY, "this connection, or "
		    "this user, has as many streams as it may have");
		return NULL;
	}
	st = calloc(1, sizeof(*st));
	if (st == NULL) {
		session_error(out, frame->id, ERR_BUSY, "out of memory");
		return NULL;
	}
	st->op.s = s;
	st->seal = seal;
	s->streams++;
	if (s->caller != NULL)
		s->caller->streams++;
	return st;
}

int
stream_open(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	struct view part[KEEPS] = { { NULL, 0 } };
	struct msg_stream_open m;
	struct envelope e;
	struct stream *st;
	int r;

	r = msg_stream_open_decode(frame->body, &m);
	if (r != 0)
		return r;
	part[KEEP_KEY] = m.key;
	part[KEEP_AAD] = m.aad;
	if (!m.seal) {
		r = envelope_decode(m.header, &e);
		if (r != 0) {
			session_error(out, frame->id, r, r == ERR_UNSUPPORTED
			    ? "this envelope is of a later version"
			    : "this is not the header of an envelope");
			return 0;
		}
		part[KEEP_KEY] = e.key_id;
		part[KEEP_WRAPPED] = e.wrapped;
		part[KEEP_STREAM] = e.stream;
		part[KEEP_HEADER] = m.header;
	}
	st = stream_new(s, frame, m.seal, out);
	if (st == NULL || oper_begin(&st->op, m.seal ? &seal_ops : &open_ops,
	    s, frame, m.deadline_ms, part, KEEPS, 8 * m.aad.len + 65536,
	    out) != 0)
		return 0;
	stream_keep(st, part);
	oper_find(&st->op, st->part[KEEP_KEY], now);
	return 0;
}

/* --- STREAM_DATA ------------------------------------------------------- */

static struct stream *
stream_find(struct session *s, uint64_t id)
{
	struct request *rq;
	struct stream *st;

	TAILQ_FOREACH(rq, &s->requests, link) {
		if (rq->id != id || rq->type != FRAME_STREAM_OPEN)
			continue;
		st = rq->data;
		if (st->is_open)
			return st;
	}
	return NULL;
}

/* Is a chunk as long as one in this place has to be? */
static bool
stream_length_fits(const struct stream *st, const struct msg_stream_data *m)
{
	size_t extra = st->seal ? 0 : MSG_CHUNK_EXTRA;

	return m->final ? m->data.len >= extra &&
	    m->data.len <= MSG_CHUNK_MAX + extra
	    : m->data.len == MSG_CHUNK_MAX + extra;
}

/* Returns 0 with the answer in out, or an error. */
static int
stream_work(struct stream *st, uint64_t id, const struct msg_stream_data *m,
    struct out *out)
{
	size_t len = st->seal ? m->data.len + MSG_CHUNK_EXTRA
	    : m->data.len - MSG_CHUNK_EXTRA;
	struct wr wr = out_begin(out);
	uint8_t *to = msg_stream_bytes_room(&wr, id, len);
	int r = 0;

	if (to == NULL)
		return ERR_INTERNAL;
	if (st->seal)
		chunks_seal(&st->chunks, m->data, m->final, to);
	else
		r = chunks_open(&st->chunks, m->data, m->final, to);
	if (r == 0)
		out_commit(out, &wr);
	return r;
}

int
stream_data(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	struct msg_stream_data m;
	struct stream *st;
	int r;

	(void)now;
	r = msg_stream_data_decode(frame->body, &m);
	if (r != 0)
		return r;
	st = stream_find(s, m.stream);
	if (st == NULL) {
		session_error(out, frame->id, ERR_NOT_FOUND, "there is no such "
		    "stream: it has ended, or is not begun yet");
		return 0;
	}
	if (!stream_length_fits(st, &m)) {
		session_error(out, frame->id, ERR_BAD_REQUEST, st->seal
		    ? "a chunk has 65536 bytes, unless it is the last"
		    : "the envelope is cut, or is none");
		request_free(st->op.rq);
		return 0;
	}
	r = stream_work(st, frame->id, &m, out);
	if (r == ERR_BAD_REQUEST)
		session_error(out, frame->id, r, "this is not the chunk that "
		    "was sealed here: the envelope was changed or cut, or the "
		    "additional data are others");
	else if (r != 0)
		session_error(out, frame->id, r, err_text(r));
	if (r != 0 || m.final)
		request_free(st->op.rq);
	return 0;
}
