/*
 * qapi_agent_seal() and qapi_agent_open(): any number of bytes through the
 * agent, in chunks, several of them under way at a time (PROTOCOL.md, STREAM).
 */
#include "config.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "envelope.h"
#include "err.h"
#include "handle.h"
#include "msg_call.h"
#include "qapi-agent.h"
#include "text.h"
#include "wipe.h"

#define WINDOW 16		/* chunks under way */
#define SEALED_MAX (MSG_CHUNK_MAX + MSG_CHUNK_EXTRA)
#define DATA_HEAD_MAX (FRAME_HEADER_LEN + 64)
#define OPEN_HEAD_MAX (FRAME_HEADER_LEN + 128)

enum stream_state {
	STREAM_HEADER,		/* to open: the header is not there so far */
	STREAM_RUNS,
	STREAM_ENDED,		/* well */
	STREAM_FAILED,
};

struct qapi_agent_stream {
	struct qapi_agent *agent; /* owned; for this connection only */
	enum stream_state state;
	bool seal;
	qapi_agent_sink sink;
	void *arg;
	uint8_t *aad;		/* owned; to open, until it has begun */
	size_t aad_len;
	uint8_t header[MSG_ENVELOPE_MAX]; /* to open */
	size_t header_len;
	uint64_t id;		/* of STREAM_OPEN */
	uint64_t answered;	/* id of the last request that was */
	uint8_t *chunk;		/* owned; not sent: it may be the last */
	size_t chunk_len;
	size_t chunk_max;
	int error;		/* of one that failed, or what sink returned */
	int agent_error;	/* an ERROR; told apart from the connection's */
	char said[MSG_MESSAGE_MAX + 1]; /* with it */
};

/* --- answers -------------------------------------------------------------- */

static int
on_error(struct qapi_agent_stream *s, const struct frame *frame)
{
	struct msg_error m;

	if (msg_error_decode(frame->body, &m) != 0)
		return ERR_INTERNAL;
	/* A decoder let it through, so it fits and holds no NUL. */
	if (m.message.len > 0)
		memcpy(s->said, m.message.p, m.message.len);
	s->agent_error = m.error;
	return ERR_CLOSED;
}

/* 0: one more is answered. */
static int
on_frame(void *arg, const struct frame *frame)
{
	struct qapi_agent_stream *s = arg;
	struct msg_stream_bytes m;

	if (frame->type == FRAME_ERROR &&
	    (frame->id == 0 || frame->id >= s->id))
		return on_error(s, frame);
	if (frame->id < s->id)
		return ERR_AGAIN;
	/* each in its turn, or the bytes would be in another order */
	if (frame->type != FRAME_STREAM_BYTES || frame->id != s->answered + 1 ||
	    msg_stream_bytes_decode(frame->body, &m) != 0)
		return ERR_INTERNAL;
	s->answered++;
	if (m.value.len == 0)
		return 0;
	s->error = s->sink(s->arg, m.value.p, m.value.len);
	return s->error == 0 ? 0 : ERR_CLOSED;
}

/* Nothing more comes of it.  Returns the error. */
static int
fail(struct qapi_agent_stream *s, int error)
{
	struct qapi_agent *a = s->agent;

	if (s->error != 0) {
		error = s->error;
		(void)handle_fail(a, error, "ended by the one who takes the "
		    "bytes");
	} else if (s->agent_error != 0) {
		error = s->agent_error;
		handle_explain(a, error, s->said, a->timeout_ms);
	} else {
		handle_explain(a, error, "", a->timeout_ms);
	}
	handle_close(a);
	s->state = STREAM_FAILED;
	s->error = error;
	return error;
}

static int
fail_input(struct qapi_agent_stream *s, int error, const char *message)
{
	s->agent_error = error;
	(void)strncpy(s->said, message, sizeof(s->said) - 1);
	return fail(s, error);
}

static uint64_t
deadline_of(const struct qapi_agent_stream *s)
{
	uint64_t timeout_ms = s->agent->timeout_ms;

	return conn_deadline(conn_now_ms(),
	    timeout_ms == 0 ? CONN_FOREVER : timeout_ms);
}

/* Wait until at most so many are under way. */
static int
drain(struct qapi_agent_stream *s, uint64_t under_way)
{
	int r;

	while (s->agent->last_id - s->answered > under_way) {
		r = handle_pump(s->agent, conn_deadline(deadline_of(s),
		    HANDLE_GRACE_MS), on_frame, s);
		if (r != 0)
			return fail(s, r);
	}
	return 0;
}

/* --- requests ------------------------------------------------------------- */

/* STREAM_OPEN, and its answer. */
static int
begin(struct qapi_agent_stream *s, const char *key, const void *aad,
    size_t aad_len)
{
	struct qapi_agent *a = s->agent;
	struct msg_stream_open m = {
		.deadline_ms = a->timeout_ms == 0 ? MSG_NO_LIMIT
						  : a->timeout_ms,
		.seal = s->seal,
		.aad = {aad_len > 0 ? aad : NULL, aad_len},
		.header = {s->header_len > 0 ? s->header : NULL,
		    s->header_len},
	};
	struct wr wr;
	int r;

	if (key != NULL)
		m.key = (struct view){(const uint8_t *)key, strlen(key)};
	if ((r = handle_connect(a, deadline_of(s))) != 0 ||
	    (r = conn_reserve(&a->conn, OPEN_HEAD_MAX + m.key.len + aad_len +
	    s->header_len, &wr)) != 0)
		return fail(s, r);
	s->id = ++a->last_id;
	s->answered = s->id - 1;
	msg_stream_open_encode(&wr, s->id, &m);
	if (wr.failed)
		return fail(s, ERR_INTERNAL);
	conn_queue(&a->conn, &wr);
	if ((r = drain(s, 0)) == 0)
		s->state = STREAM_RUNS;
	return r;
}

static int
send_chunk(struct qapi_agent_stream *s, bool final)
{
	struct qapi_agent *a = s->agent;
	struct msg_stream_data m = {
		.stream = s->id,
		.final = final,
		.data = {s->chunk_len > 0 ? s->chunk : NULL, s->chunk_len},
	};
	struct wr wr;
	int r;

	if ((r = drain(s, WINDOW - 1)) != 0)
		return r;
	if ((r = conn_reserve(&a->conn, DATA_HEAD_MAX + s->chunk_len, &wr)) !=
	    0)
		return fail(s, r);
	msg_stream_data_encode(&wr, ++a->last_id, &m, false);
	if (wr.failed)
		return fail(s, ERR_INTERNAL);
	conn_queue(&a->conn, &wr);
	wipe(s->chunk, s->chunk_len);
	s->chunk_len = 0;
	/* Off with it, without waiting; what failed is told by the next. */
	r = conn_step(&a->conn, POLLOUT);
	return r == 0 ? 0 : fail(s, r);
}

/* --- in ------------------------------------------------------------------- */

/* Take what belongs to the header; then begin.  *used: bytes that did. */
static int
take_header(struct qapi_agent_stream *s, const uint8_t *p, size_t len,
    size_t *used)
{
	size_t want = ENVELOPE_PREFIX_LEN, n;
	int r;

	*used = 0;
	for (;;) {
		r = envelope_header_len(s->header, s->header_len, &want);
		if (r == ERR_BAD_REQUEST)
			return fail_input(s, ERR_BAD_REQUEST,
			    "this is no envelope: give what sealing gave, all of "
			    "it");
		if (r == ERR_UNSUPPORTED)
			return fail_input(s, r, "an envelope of a later "
			    "version: use a newer agent and client");
		if (r == ERR_AGAIN)
			want = ENVELOPE_PREFIX_LEN;
		n = want - s->header_len;
		if (n == 0)
			break;
		if (n > len - *used)
			n = len - *used;
		if (n == 0)
			return 0;
		memcpy(s->header + s->header_len, p + *used, n);
		s->header_len += n;
		*used += n;
	}
	r = begin(s, NULL, s->aad, s->aad_len);
	wipe_free(s->aad, s->aad_len);
	s->aad = NULL;
	s->aad_len = 0;
	return r;
}

int
qapi_agent_stream_write(struct qapi_agent_stream *stream, const void *bytes,
    size_t len)
{
	struct qapi_agent_stream *s = stream;
	const uint8_t *p = bytes;
	size_t n;
	int r;

	if (s->state == STREAM_FAILED)
		return s->error;
	if (s->state == STREAM_ENDED)
		return handle_fail(s->agent, ERR_BAD_REQUEST,
		    "the stream has ended: begin another one");
	if (s->state == STREAM_HEADER) {
		if ((r = take_header(s, p, len, &n)) != 0)
			return r;
		p += n;
		len -= n;
	}
	while (len > 0) {
		/* A whole chunk goes when there is more: it is not the last. */
		if (s->chunk_len == s->chunk_max &&
		    (r = send_chunk(s, false)) != 0)
			return r;
		n = s->chunk_max - s->chunk_len;
		if (n > len)
			n = len;
		memcpy(s->chunk + s->chunk_len, p, n);
		s->chunk_len += n;
		p += n;
		len -= n;
	}
	return 0;
}

int
qapi_agent_stream_end(struct qapi_agent_stream *stream)
{
	struct qapi_agent_stream *s = stream;
	int r;

	if (s->state == STREAM_FAILED)
		return s->error;
	if (s->state == STREAM_ENDED)
		return 0;
	if (s->state == STREAM_HEADER ||
	    (!s->seal && s->chunk_len < MSG_CHUNK_EXTRA))
		return fail_input(s, ERR_BAD_REQUEST,
		    "the envelope is cut short: give all of it");
	if ((r = send_chunk(s, true)) != 0 || (r = drain(s, 0)) != 0)
		return r;
	s->state = STREAM_ENDED;
	handle_close(s->agent);
	return 0;
}

/* --- the beginning, and the end ------------------------------------------- */

static struct qapi_agent_stream *
stream_new(const struct qapi_agent *agent, bool seal, qapi_agent_sink sink,
    void *arg)
{
	struct qapi_agent_stream *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->seal = seal;
	s->sink = sink;
	s->arg = arg;
	s->chunk_max = seal ? MSG_CHUNK_MAX : SEALED_MAX;
	s->chunk = malloc(s->chunk_max);
	s->agent = handle_clone(agent);
	if (s->chunk == NULL || s->agent == NULL)
		qapi_agent_stream_free(&s);
	return s;
}

static int
check_aad(struct qapi_agent *agent, const void *aad, size_t aad_len)
{
	if (aad_len > MSG_AAD_MAX)
		return handle_fail(agent, ERR_TOO_LARGE, "the additional data "
		    "are too large: at most 32 KiB");
	if (aad_len > 0 && !text_is_text(aad, aad_len))
		return handle_fail(agent, ERR_BAD_REQUEST, "the additional "
		    "data are no text: give UTF-8 without NUL");
	return 0;
}

int
qapi_agent_seal(struct qapi_agent *agent, const char *key, const void *aad,
    size_t aad_len, qapi_agent_sink sink, void *arg,
    struct qapi_agent_stream **ret)
{
	struct qapi_agent_stream *s;
	int r;

	agent->message[0] = '\0';
	if ((r = check_aad(agent, aad, aad_len)) != 0)
		return r;
	if (key != NULL && (strlen(key) > MSG_NAME_MAX ||
	    !text_is_plain(key, strlen(key))))
		return handle_fail(agent, ERR_BAD_REQUEST, "the key is none: "
		    "write its name or id, at most 1020 bytes");
	s = stream_new(agent, true, sink, arg);
	if (s == NULL)
		return handle_fail(agent, ERR_NOMEM, err_text(ERR_NOMEM));
	r = begin(s, key, aad, aad_len);
	memcpy(agent->used, s->agent->used, sizeof(agent->used));
	if (r == 0) {
		*ret = s;
		return 0;
	}
	(void)handle_fail(agent, r, s->agent->message);
	qapi_agent_stream_free(&s);
	return r;
}

int
qapi_agent_open(struct qapi_agent *agent, const void *aad, size_t aad_len,
    qapi_agent_sink sink, void *arg, struct qapi_agent_stream **ret)
{
	struct qapi_agent_stream *s;
	int r;

	agent->message[0] = '\0';
	if ((r = check_aad(agent, aad, aad_len)) != 0)
		return r;
	s = stream_new(agent, false, sink, arg);
	if (s != NULL && aad_len > 0) {
		s->aad = malloc(aad_len);
		if (s->aad == NULL)
			qapi_agent_stream_free(&s);
	}
	if (s == NULL)
		return handle_fail(agent, ERR_NOMEM, err_text(ERR_NOMEM));
	if (aad_len > 0)
		memcpy(s->aad, aad, aad_len);
	s->aad_len = aad_len;
	*ret = s;
	return 0;
}

const char *
qapi_agent_stream_message(const struct qapi_agent_stream *stream)
{
	return stream->agent->message;
}

void
qapi_agent_stream_free(struct qapi_agent_stream **stream)
{
	struct qapi_agent_stream *s;

	if (stream == NULL || *stream == NULL)
		return;
	s = *stream;
	qapi_agent_free(&s->agent);
	wipe_free(s->aad, s->aad_len);
	wipe_free(s->chunk, s->chunk_len);
	free(s);
	*stream = NULL;
}

bool
qapi_agent_is_envelope(const void *bytes, size_t len)
{
	size_t n;

	/* of a later version too; what its header says is looked at later */
	return len >= ENVELOPE_MAGIC_LEN && envelope_header_len(bytes,
	    ENVELOPE_MAGIC_LEN, &n) != ERR_BAD_REQUEST;
}
