/*
 * qapi_agent_drill_offline(): an outage that is only played, and its report.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "handle.h"
#include "items.h"
#include "msg_report.h"
#include "qapi-agent.h"

/* So that an agent gone wrong cannot fill the memory of its client. */
#define ROWS_MAX ((size_t)1 << 24)

_Static_assert((int)QAPI_AGENT_LIMIT_EXPIRES == MSG_LIMIT_EXPIRES &&
    QAPI_AGENT_NEVER == MSG_NO_LIMIT, "numbers of the protocol");

enum drill_state {
	DRILL_ASKED,
	DRILL_ON,
	DRILL_OVER,		/* with a report, or with an error */
};

struct drill_read {
	char *ref;		/* owned */
	enum qapi_agent_freshness freshness;
	int error;
	uint64_t count;
};

struct drill_limit {
	uint64_t unusable_in_ms;
	enum qapi_agent_limit limit;
};

struct qapi_agent_drill {
	struct qapi_agent *agent; /* owned; for this connection only */
	enum drill_state state;
	int error;		/* of a drill that is over */
	uint64_t id;		/* of the request */
	char said[MSG_MESSAGE_MAX + 1]; /* by the agent, with error */
	uint64_t elapsed_ms;
	uint64_t count;
	uint64_t failed;
	struct drill_read *reads; /* owned */
	size_t nreads;
	size_t reads_size;
	struct qapi_agent_items *values; /* owned */
	struct drill_limit *limits; /* owned; one a value */
	size_t limits_size;
};

/* Room for one more in an array of *size things; NULL: no memory. */
static void *
grow(void *array, size_t count, size_t *size, size_t each)
{
	size_t larger = *size == 0 ? 64 : *size * 2;
	void *p;

	if (count < *size)
		return array;
	p = reallocarray(array, larger, each);
	if (p != NULL)
		*size = larger;
	return p;
}

static int
add_read(struct qapi_agent_drill *d, const struct msg_drill_read *m)
{
	struct drill_read *read;

	if (d->nreads == ROWS_MAX)
		return ERR_TOO_LARGE;
	read = grow(d->reads, d->nreads, &d->reads_size, sizeof(*read));
	if (read == NULL)
		return ERR_NOMEM;
	d->reads = read;
	read += d->nreads;
	read->ref = malloc(m->ref.len + 1);
	if (read->ref == NULL)
		return ERR_NOMEM;
	memcpy(read->ref, m->ref.p, m->ref.len);
	read->ref[m->ref.len] = '\0';
	read->freshness = (enum qapi_agent_freshness)m->freshness;
	read->error = m->error;
	read->count = m->count;
	d->nreads++;
	return 0;
}

static int
add_value(struct qapi_agent_drill *d, const struct msg_drill_value *m)
{
	struct msg_row row = {.kind = m->kind};
	struct drill_limit *limit;
	size_t n = d->values->count;
	int r;

	if (n == ROWS_MAX)
		return ERR_TOO_LARGE;
	limit = grow(d->limits, n, &d->limits_size, sizeof(*limit));
	if (limit == NULL)
		return ERR_NOMEM;
	d->limits = limit;
	msg_meta_init(&row.meta);
	row.meta.id = m->id;
	row.meta.name = m->name;
	if ((r = items_add_row(d->values, &row)) != 0)
		return r;
	d->limits[n].unusable_in_ms = m->unusable_in_ms;
	d->limits[n].limit = m->limit > MSG_LIMIT_EXPIRES
	    ? QAPI_AGENT_LIMIT_NONE : (enum qapi_agent_limit)m->limit;
	return 0;
}

static int
wrong(int r)
{
	return r == ERR_UNSUPPORTED ? r : ERR_INTERNAL;
}

static int
on_rows(struct qapi_agent_drill *d, struct view body)
{
	struct msg_drill_read read;
	struct msg_drill_value value;
	struct view pos = body;
	int r;

	while ((r = msg_drill_read_next(&pos, &read)) == 0) {
		if ((r = add_read(d, &read)) != 0)
			return r;
	}
	if (r != ERR_AGAIN)
		return wrong(r);
	pos = body;
	while ((r = msg_drill_value_next(&pos, &value)) == 0) {
		if ((r = add_value(d, &value)) != 0)
			return r;
	}
	return r == ERR_AGAIN ? 0 : wrong(r);
}

static int
on_drilled(struct qapi_agent_drill *d, const struct frame *frame)
{
	struct msg_drilled m;
	int r;

	if ((r = msg_drilled_decode(frame->body, &m)) != 0)
		return wrong(r);
	if (d->state == DRILL_ASKED) {
		if (!(frame->flags & FRAME_MORE))
			return ERR_INTERNAL;
		d->state = DRILL_ON;
		return 0;
	}
	if ((r = on_rows(d, frame->body)) != 0)
		return r;
	if (frame->flags & FRAME_MORE)
		return ERR_AGAIN;
	d->elapsed_ms = m.elapsed_ms == MSG_NO_LIMIT ? 0 : m.elapsed_ms;
	d->count = m.count;
	d->failed = m.failed;
	d->state = DRILL_OVER;
	return 0;
}

static int
on_frame(void *arg, const struct frame *frame)
{
	struct qapi_agent_drill *d = arg;
	struct msg_error m;

	if (frame->id != d->id &&
	    (frame->type != FRAME_ERROR || frame->id != 0))
		return ERR_AGAIN;
	if (frame->type == FRAME_DRILLED)
		return on_drilled(d, frame);
	if (frame->type != FRAME_ERROR)
		return ERR_INTERNAL;
	if (msg_error_decode(frame->body, &m) != 0)
		return ERR_INTERNAL;
	if (m.message.len > 0)
		memcpy(d->said, m.message.p, m.message.len);
	/* told apart from what the connection does: TIMEOUT, say */
	d->error = m.error;
	return ERR_CLOSED;
}

/* Something ended it that is no report. */
static int
fail(struct qapi_agent_drill *d, int error)
{
	if (d->error != 0)
		error = d->error;
	handle_explain(d->agent, error, d->said, d->agent->timeout_ms);
	handle_close(d->agent);
	d->state = DRILL_OVER;
	d->error = error;
	return error;
}

static int
begin(struct qapi_agent_drill *d, uint64_t duration_ms)
{
	struct qapi_agent *a = d->agent;
	struct msg_drill m = {.duration_ms = duration_ms};
	uint64_t deadline_boot_ms = conn_deadline(conn_now_ms(),
	    a->timeout_ms == 0 ? CONN_FOREVER : a->timeout_ms);
	struct wr wr;
	int r;

	d->id = ++a->last_id;
	if ((r = handle_connect(a, deadline_boot_ms)) != 0 ||
	    (r = conn_reserve(&a->conn, FRAME_HEADER_LEN + 32, &wr)) != 0)
		return fail(d, r);
	msg_drill_encode(&wr, d->id, &m);
	conn_queue(&a->conn, &wr);
	r = handle_pump(a, conn_deadline(deadline_boot_ms, HANDLE_GRACE_MS),
	    on_frame, d);
	return r == 0 ? 0 : fail(d, r);
}

int
qapi_agent_drill_offline(struct qapi_agent *agent, uint64_t duration_ms,
    struct qapi_agent_drill **ret)
{
	struct qapi_agent_drill *d;
	int r;

	agent->message[0] = '\0';
	if (duration_ms == 0 || duration_ms > MSG_DRILL_MAX_MS)
		return handle_fail(agent, ERR_BAD_REQUEST,
		    "a drill lasts a millisecond to a day: name such a time");
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return handle_fail(agent, ERR_NOMEM, err_text(ERR_NOMEM));
	d->agent = handle_clone(agent);
	d->values = items_new(0);
	if (d->agent == NULL || d->values == NULL) {
		r = handle_fail(agent, ERR_NOMEM, err_text(ERR_NOMEM));
	} else if ((r = begin(d, duration_ms)) != 0) {
		(void)handle_fail(agent, r, d->agent->message);
		memcpy(agent->used, d->agent->used, sizeof(agent->used));
	}
	if (r == 0)
		*ret = d;
	else
		qapi_agent_drill_free(&d);
	return r;
}

void
qapi_agent_drill_free(struct qapi_agent_drill **drill)
{
	struct qapi_agent_drill *d;
	size_t i;

	if (drill == NULL || *drill == NULL)
		return;
	d = *drill;
	qapi_agent_free(&d->agent);
	qapi_agent_items_free(&d->values);
	for (i = 0; i < d->nreads; i++)
		free(d->reads[i].ref);
	free(d->reads);
	free(d->limits);
	free(d);
	*drill = NULL;
}

int
qapi_agent_drill_wait(struct qapi_agent_drill *drill, uint64_t timeout_ms)
{
	int r;

	if (drill->state == DRILL_OVER)
		return drill->error;
	r = handle_pump(drill->agent, conn_deadline(conn_now_ms(),
	    timeout_ms == 0 ? CONN_FOREVER : timeout_ms), on_frame, drill);
	if (r == 0 || r == ERR_TIMEOUT)
		return r;
	return fail(drill, r);
}

void
qapi_agent_drill_end(struct qapi_agent_drill *drill)
{
	struct wr wr;

	if (drill->state == DRILL_OVER)
		return;
	/* without memory, what is left to do is to hang up */
	if (conn_reserve(&drill->agent->conn, FRAME_HEADER_LEN, &wr) != 0) {
		(void)fail(drill, ERR_NOMEM);
		return;
	}
	msg_empty_encode(&wr, FRAME_CANCEL, drill->id);
	conn_queue(&drill->agent->conn, &wr);
}

const char *
qapi_agent_drill_message(const struct qapi_agent_drill *drill)
{
	return drill->agent->message;
}

uint64_t
qapi_agent_drill_elapsed_ms(const struct qapi_agent_drill *drill)
{
	return drill->elapsed_ms;
}

uint64_t
qapi_agent_drill_count(const struct qapi_agent_drill *drill)
{
	return drill->count;
}

uint64_t
qapi_agent_drill_failed(const struct qapi_agent_drill *drill)
{
	return drill->failed;
}

size_t
qapi_agent_drill_reads(const struct qapi_agent_drill *drill)
{
	return drill->nreads;
}

const char *
qapi_agent_drill_read_ref(const struct qapi_agent_drill *drill, size_t i)
{
	return i < drill->nreads ? drill->reads[i].ref : NULL;
}

enum qapi_agent_freshness
qapi_agent_drill_read_freshness(const struct qapi_agent_drill *drill, size_t i)
{
	return i < drill->nreads ? drill->reads[i].freshness
				 : QAPI_AGENT_FRESHNESS_NONE;
}

int
qapi_agent_drill_read_error(const struct qapi_agent_drill *drill, size_t i)
{
	return i < drill->nreads ? drill->reads[i].error : 0;
}

uint64_t
qapi_agent_drill_read_times(const struct qapi_agent_drill *drill, size_t i)
{
	return i < drill->nreads ? drill->reads[i].count : 0;
}

size_t
qapi_agent_drill_values(const struct qapi_agent_drill *drill)
{
	return drill->values->count;
}

const struct qapi_agent_item *
qapi_agent_drill_value(const struct qapi_agent_drill *drill, size_t i)
{
	return qapi_agent_items_at(drill->values, i);
}

uint64_t
qapi_agent_drill_value_unusable_in_ms(const struct qapi_agent_drill *drill,
    size_t i)
{
	return i < drill->values->count ? drill->limits[i].unusable_in_ms : 0;
}

enum qapi_agent_limit
qapi_agent_drill_value_limit(const struct qapi_agent_drill *drill, size_t i)
{
	return i < drill->values->count ? drill->limits[i].limit
					: QAPI_AGENT_LIMIT_NONE;
}

const char *
qapi_agent_limit_name(enum qapi_agent_limit limit)
{
	switch (limit) {
	case QAPI_AGENT_LIMIT_MAX_STALE:
		return "max-stale";
	case QAPI_AGENT_LIMIT_EXPIRES:
		return "expires";
	case QAPI_AGENT_LIMIT_NONE:
		break;
	}
	return "";
}
