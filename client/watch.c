/*
 * qapi_agent_watch(): a subscription that outlives the agent's restarts.
 *
 * Everything but the waiting is a state machine of frames and times (ask(),
 * on_frame(), lost()), which turn() drives for who blocks and turn_now() for
 * an event loop.
 */
#include "config.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api.h"
#include "err.h"
#include "handle.h"
#include "items.h"
#include "msg_watch.h"
#include "qapi-agent.h"
#include "ref.h"

/* Between attempts to connect, or to subscribe what was not taken. */
#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS 5000
#define CONNECT_MS 1000		/* an agent that accepts nothing is away */
#define REASONS 7		/* that may be queued for one reference */

static_assert((int)QAPI_AGENT_REASON_FRESH_AGAIN == MSG_REASON_MAX &&
    (int)QAPI_AGENT_REASON_CHANGED == MSG_REASON_CHANGED &&
    (int)QAPI_AGENT_REASON_GONE == MSG_REASON_GONE &&
    QAPI_AGENT_POSITION_LEN == MSG_POSITION_LEN, "numbers of the protocol");

enum watched_state {
	WATCHED_IDLE,		/* to be asked for */
	WATCHED_ASKED,
	WATCHED_LIVE,		/* subscribed */
	WATCHED_ENDED,		/* refused for good */
};

/* Beside its item, whose position is the one that is known. */
struct watched {
	enum watched_state state;
	uint64_t id;		/* of the request that it is in */
	uint16_t place;		/* index there */
};

struct queued {
	size_t index;
	enum qapi_agent_reason reason;
};

struct qapi_agent_watch {
	struct qapi_agent *agent; /* owned; for this connection only */
	struct qapi_agent_items *items; /* owned */
	struct watched *v;	/* owned; one an item */
	struct queued *queue;	/* owned; room for REASONS an item */
	size_t queued;
	bool first;		/* nothing was answered so far */
	int whole_error;	/* of a request or the connection */
	unsigned int failures;	/* in a row */
	uint64_t retry_boot_ms;	/* connect or ask for idle ones then */
	char said[MSG_MESSAGE_MAX + 1]; /* with whole_error */
};

/* --- the queue ----------------------------------------------------------- */

/* The last of a kind counts, at the place where it came. */
static void
enqueue(struct qapi_agent_watch *w, size_t index, enum qapi_agent_reason reason)
{
	size_t i;

	for (i = 0; i < w->queued; i++) {
		if (w->queue[i].index != index ||
		    w->queue[i].reason != reason)
			continue;
		w->queued--;
		memmove(&w->queue[i], &w->queue[i + 1],
		    (w->queued - i) * sizeof(w->queue[0]));
		break;
	}
	w->queue[w->queued].index = index;
	w->queue[w->queued].reason = reason;
	w->queued++;
}

static void
dequeue(struct qapi_agent_watch *w, struct queued *ret)
{
	*ret = w->queue[0];
	w->queued--;
	memmove(&w->queue[0], &w->queue[1],
	    w->queued * sizeof(w->queue[0]));
}

/* --- asking -------------------------------------------------------------- */

static size_t
count_in(const struct qapi_agent_watch *w, enum watched_state state)
{
	size_t i, n = 0;

	for (i = 0; i < w->items->count; i++)
		n += w->v[i].state == state;
	return n;
}

/* Wait longer each time, and not in step with others. */
static void
back_off(struct qapi_agent_watch *w)
{
	uint64_t wait_ms = RETRY_MAX_MS;
	struct timespec ts;

	if (w->failures < 6)
		wait_ms = (uint64_t)RETRY_FIRST_MS << w->failures;
	w->failures++;
	if (wait_ms > RETRY_MAX_MS)
		wait_ms = RETRY_MAX_MS;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	wait_ms = wait_ms / 2 + ((uint64_t)ts.tv_nsec / 1000 +
	    (uint64_t)getpid()) % (wait_ms / 2 + 1);
	w->retry_boot_ms = conn_now_ms() + wait_ms;
}

/* The connection is gone, and with it what was subscribed. */
static void
lost(struct qapi_agent_watch *w)
{
	size_t i;

	handle_close(w->agent);
	for (i = 0; i < w->items->count; i++) {
		if (w->v[i].state != WATCHED_ENDED)
			w->v[i].state = WATCHED_IDLE;
	}
	back_off(w);
}

/* One request for idle references from *i on, which is advanced. */
static int
ask_some(struct qapi_agent_watch *w, size_t *i)
{
	struct qapi_agent *a = w->agent;
	const struct qapi_agent_item *item;
	struct msg_watch_ref m;
	size_t k, start, n = 0, max = FRAME_HEADER_LEN + 32;
	struct wr wr;
	int r;

	for (k = *i; k < w->items->count && n < MSG_REFS_MAX; k++) {
		if (w->v[k].state != WATCHED_IDLE)
			continue;
		max += strlen(w->items->v[k].ref) + 32 + MSG_POSITION_LEN;
		n++;
	}
	if ((r = conn_reserve(&a->conn, max, &wr)) != 0)
		return r;
	start = msg_watch_begin(&wr, ++a->last_id, a->timeout_ms == 0
	    ? MSG_NO_LIMIT : a->timeout_ms);
	for (n = 0; *i < k; (*i)++) {
		if (w->v[*i].state != WATCHED_IDLE)
			continue;
		item = &w->items->v[*i];
		m = (struct msg_watch_ref){
			.ref = {(const uint8_t *)item->ref, strlen(item->ref)},
		};
		if (item->has_position)
			m.position = (struct view){item->position,
			    sizeof(item->position)};
		msg_watch_add(&wr, &m);
		w->v[*i].state = WATCHED_ASKED;
		w->v[*i].id = a->last_id;
		w->v[*i].place = (uint16_t)n++;
	}
	frame_end(&wr, start, 0);
	if (wr.failed)
		return ERR_INTERNAL;
	conn_queue(&a->conn, &wr);
	return 0;
}

/* Connect if need be, and queue the requests for all that are idle. */
static int
ask(struct qapi_agent_watch *w, uint64_t deadline_boot_ms)
{
	size_t i = 0, left;
	int r;

	if (w->agent->conn.fd == -1 &&
	    (r = handle_connect(w->agent, deadline_boot_ms)) != 0)
		return r;
	for (left = count_in(w, WATCHED_IDLE); left > 0;
	    left -= left < MSG_REFS_MAX ? left : MSG_REFS_MAX) {
		if ((r = ask_some(w, &i)) != 0)
			return r;
	}
	/* an answer that asks for another attempt sets it again */
	w->retry_boot_ms = MSG_NO_LIMIT;
	return 0;
}

/* --- answers ------------------------------------------------------------- */

/* Which reference an answer is about; count if it is not ours to know. */
static size_t
find(const struct qapi_agent_watch *w, uint64_t id, uint16_t place)
{
	size_t i;

	for (i = 0; i < w->items->count; i++) {
		if (w->v[i].id == id && w->v[i].place == place &&
		    (w->v[i].state == WATCHED_ASKED ||
		    w->v[i].state == WATCHED_LIVE))
			break;
	}
	return i;
}

static bool
is_ours(const struct qapi_agent_watch *w, uint64_t id)
{
	size_t i;

	for (i = 0; i < w->items->count; i++) {
		if (w->v[i].id == id && w->v[i].state != WATCHED_IDLE)
			return true;
	}
	return false;
}

/* Will asking again give the same answer? */
static bool
is_final(int error)
{
	return error == ERR_BAD_REQUEST || error == ERR_NOT_FOUND ||
	    error == ERR_AMBIGUOUS || error == ERR_DENIED ||
	    error == ERR_UNSUPPORTED || error == ERR_TOO_LARGE;
}

/* Not subscribed, or not any more; the item has the error. */
static void
refused(struct qapi_agent_watch *w, size_t i)
{
	if (is_final(w->items->v[i].error)) {
		w->v[i].state = WATCHED_ENDED;
		if (!w->first)
			enqueue(w, i, QAPI_AGENT_REASON_ENDED);
		return;
	}
	w->v[i].state = WATCHED_IDLE;
	if (w->retry_boot_ms == MSG_NO_LIMIT)
		back_off(w);
}

static int
on_result(struct qapi_agent_watch *w, const struct frame *frame)
{
	unsigned char known[MSG_POSITION_LEN];
	struct qapi_agent_item *item;
	struct msg_result m;
	bool has;
	size_t i;
	int r;

	if (msg_result_decode(frame->body, &m) != 0)
		return ERR_INTERNAL;
	i = find(w, frame->id, m.index);
	if (i == w->items->count)
		return is_ours(w, frame->id) ? ERR_INTERNAL : ERR_AGAIN;
	item = &w->items->v[i];
	has = item->has_position;
	memcpy(known, item->position, sizeof(known));
	if ((r = items_answer(w->items, i, &m)) != 0)
		return r;
	/*
	 * What was known stays so until an event moves it: if this is another
	 * one, that event is still to come, and must come again if it is
	 * lost.
	 */
	if (has) {
		item->has_position = true;
		memcpy(item->position, known, sizeof(known));
	}
	if (m.position.len == 0 && m.error == 0)
		return ERR_INTERNAL;
	if (m.position.len == 0) {
		refused(w, i);
		return w->queued > 0 ? 0 : ERR_AGAIN;
	}
	w->v[i].state = WATCHED_LIVE;
	w->failures = 0;
	w->agent->message[0] = '\0';
	return ERR_AGAIN;
}

/* Whether there is a usable value now, as far as the event says. */
static void
note_error(struct qapi_agent_item *item, uint8_t reason)
{
	if (reason == MSG_REASON_CHANGED || reason == MSG_REASON_FRESH_AGAIN)
		item->error = 0;
	else if (reason == MSG_REASON_GONE)
		item->error = ERR_NOT_FOUND;
	else if (reason == MSG_REASON_EXPIRED)
		item->error = ERR_EXPIRED;
	else
		return;
	item->message = NULL;
}

static int
on_event(struct qapi_agent_watch *w, const struct frame *frame)
{
	struct qapi_agent_item *item;
	struct msg_event m;
	size_t i;

	if (msg_event_decode(frame->body, &m) != 0)
		return ERR_INTERNAL;
	i = find(w, frame->id, m.index);
	if (i == w->items->count)
		return is_ours(w, frame->id) ? ERR_INTERNAL : ERR_AGAIN;
	if (m.reason == 0 || m.reason > MSG_REASON_MAX)
		return ERR_AGAIN;
	item = &w->items->v[i];
	if (m.reason == MSG_REASON_CHANGED || m.reason == MSG_REASON_GONE) {
		memcpy(item->position, m.position.p, sizeof(item->position));
		item->has_position = true;
	}
	note_error(item, m.reason);
	enqueue(w, i, (enum qapi_agent_reason)m.reason);
	return 0;
}

/* An ERROR for a whole request, or for the connection (id 0). */
static int
on_error(struct qapi_agent_watch *w, const struct frame *frame)
{
	struct msg_error m;
	size_t i;

	if (msg_error_decode(frame->body, &m) != 0)
		return ERR_INTERNAL;
	if (frame->id != 0 && !is_ours(w, frame->id))
		return ERR_AGAIN;
	w->whole_error = m.error;
	memset(w->said, 0, sizeof(w->said));
	if (m.message.len > 0)
		memcpy(w->said, m.message.p, m.message.len);
	if (frame->id == 0)
		return ERR_CLOSED;	/* the agent hangs up after this */
	if (w->first)
		return m.error;
	for (i = 0; i < w->items->count; i++) {
		if (w->v[i].id != frame->id ||
		    w->v[i].state == WATCHED_ENDED ||
		    w->v[i].state == WATCHED_IDLE)
			continue;
		w->items->v[i].message = NULL;
		w->items->v[i].error = m.error;
		refused(w, i);
	}
	return w->queued > 0 ? 0 : ERR_AGAIN;
}

/* The agent ended it, though nobody asked it to. */
static int
on_done(struct qapi_agent_watch *w, const struct frame *frame)
{
	return is_ours(w, frame->id) ? ERR_CLOSED : ERR_AGAIN;
}

/* ERR_AGAIN for the next frame, 0 when there is something to tell. */
static int
on_frame(void *arg, const struct frame *frame)
{
	struct qapi_agent_watch *w = arg;
	int r = ERR_AGAIN;

	if (frame->type == FRAME_RESULT)
		r = on_result(w, frame);
	else if (frame->type == FRAME_EVENT)
		r = on_event(w, frame);
	else if (frame->type == FRAME_ERROR)
		r = on_error(w, frame);
	else if (frame->type == FRAME_DONE)
		r = on_done(w, frame);
	if (w->first && (r == ERR_AGAIN || r == 0))
		r = count_in(w, WATCHED_ASKED) == 0 ? 0 : ERR_AGAIN;
	return r;
}

/* --- waiting ------------------------------------------------------------- */

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The connection did not do what it should: say so, and begin anew. */
static int
broken(struct qapi_agent_watch *w, int r)
{
	struct qapi_agent *a = w->agent;

	if (r == ERR_CLOSED && w->whole_error != 0)
		r = w->whole_error;
	handle_explain(a, r, w->said, a->timeout_ms);
	lost(w);
	return r == ERR_NOMEM ? r : 0;
}

/*
 * One wait on the connection, or for the next attempt to get one.  0 when
 * there may be something to tell, ERR_TIMEOUT, or ERR_NOMEM.
 */
static int
turn(struct qapi_agent_watch *w, uint64_t deadline_boot_ms)
{
	struct qapi_agent *a = w->agent;
	uint64_t now_ms = conn_now_ms();
	int r = 0;

	w->whole_error = 0;
	w->said[0] = '\0';
	if (now_ms >= w->retry_boot_ms) {
		r = ask(w, earlier(deadline_boot_ms,
		    conn_deadline(now_ms, CONNECT_MS)));
	} else if (a->conn.fd == -1) {
		if (now_ms >= deadline_boot_ms)
			return ERR_TIMEOUT;
		handle_sleep(earlier(deadline_boot_ms, w->retry_boot_ms));
		return 0;
	}
	if (r == 0)
		r = handle_pump(a, earlier(deadline_boot_ms,
		    w->retry_boot_ms), on_frame, w);
	if (r == 0)
		return 0;
	if (r == ERR_TIMEOUT && a->conn.fd != -1)
		return conn_now_ms() >= deadline_boot_ms ? ERR_TIMEOUT : 0;
	return broken(w, r);
}

/* The same without waiting. */
static void
turn_now(struct qapi_agent_watch *w)
{
	struct qapi_agent *a = w->agent;
	int r = 0;

	w->whole_error = 0;
	w->said[0] = '\0';
	if (conn_now_ms() >= w->retry_boot_ms)
		r = ask(w, 0);
	else if (a->conn.fd == -1)
		return;
	if (r == 0 && (r = conn_step(&a->conn, POLLIN)) == 0) {
		while ((r = handle_feed_all(a, on_frame, w)) == 0)
			continue;
		if (r == ERR_AGAIN)
			return;
	}
	if (r != 0)
		(void)broken(w, r);
}

/* Nothing is watched any more: why. */
static int
all_ended(const struct qapi_agent_watch *w)
{
	const struct qapi_agent_item *item = &w->items->v[0];

	return handle_fail(w->agent, item->error, item->message != NULL
	    ? item->message : err_text(item->error));
}

int
qapi_agent_watch_next(struct qapi_agent_watch *watch, uint64_t timeout_ms,
    size_t *ret_index, enum qapi_agent_reason *ret_reason)
{
	uint64_t deadline_boot_ms = conn_deadline(conn_now_ms(),
	    timeout_ms == 0 ? CONN_FOREVER : timeout_ms);
	struct queued event;
	int r;

	watch->agent->message[0] = '\0';
	while (watch->queued == 0) {
		if (count_in(watch, WATCHED_ENDED) == watch->items->count)
			return all_ended(watch);
		r = turn(watch, deadline_boot_ms);
		/* else it says what is between us and the agent */
		if (r == ERR_TIMEOUT && watch->agent->message[0] == '\0')
			return handle_fail(watch->agent, r,
			    "nothing happened in this time");
		if (r != 0)
			return r;
	}
	dequeue(watch, &event);
	*ret_index = event.index;
	*ret_reason = event.reason;
	return 0;
}

/* --- the beginning, and the end ------------------------------------------ */

/* References and positions; one that is malformed ends at once. */
static int
take_refs(struct qapi_agent_watch *w, const char *const *refs,
    const void *const *positions)
{
	struct ref *ref = malloc(sizeof(*ref));	/* large for a stack */
	struct qapi_agent_item *item;
	const char *why;
	size_t i;
	int r = ref == NULL ? ERR_NOMEM : 0;

	for (i = 0; i < w->items->count && r == 0; i++) {
		item = &w->items->v[i];
		if (refs[i] == NULL) {
			r = ERR_BAD_REQUEST;
			break;
		}
		item->ref = strdup(refs[i]);
		if (item->ref == NULL) {
			r = ERR_NOMEM;
			break;
		}
		if (positions != NULL && positions[i] != NULL) {
			memcpy(item->position, positions[i],
			    sizeof(item->position));
			item->has_position = true;
		}
		if (ref_parse(refs[i], strlen(refs[i]), ref, &why) != 0) {
			items_fail(w->items, i, ERR_BAD_REQUEST, why);
			w->v[i].state = WATCHED_ENDED;
		} else {
			item->kind = (enum qapi_agent_kind)ref->kind;
		}
	}
	free(ref);
	return r;
}

/* Connect and wait until each reference has an answer. */
static int
begin(struct qapi_agent_watch *w)
{
	uint64_t timeout_ms = w->agent->timeout_ms;
	uint64_t deadline_boot_ms = conn_deadline(conn_now_ms(),
	    timeout_ms == 0 ? CONN_FOREVER : timeout_ms);
	bool again;
	int r;

	if (count_in(w, WATCHED_IDLE) == 0)
		return 0;
	do {
		again = false;
		r = ask(w, deadline_boot_ms);
		if (r == 0)
			r = handle_pump(w->agent, conn_deadline(
			    deadline_boot_ms, HANDLE_GRACE_MS), on_frame, w);
		/* an agent that is about to end, or has just begun */
		if (r == ERR_CLOSED && w->whole_error == 0 &&
		    w->failures == 0) {
			lost(w);
			again = true;
		}
	} while (again);
	if (r == ERR_CLOSED && w->whole_error != 0)
		r = w->whole_error;
	if (r != 0)
		handle_explain(w->agent, r, w->said,
		    w->agent->timeout_ms);
	return r;
}

/* r: the error if it cannot be made, with the message of agent. */
static struct qapi_agent_watch *
watch_new(struct qapi_agent *agent, const char *const *refs,
    const void *const *positions, size_t count, int *ret_r)
{
	struct qapi_agent_watch *w = NULL;
	int r = ERR_BAD_REQUEST;

	agent->message[0] = '\0';
	if (count == 0 || refs == NULL)
		goto out;
	r = ERR_NOMEM;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		goto out;
	w->first = true;
	w->retry_boot_ms = MSG_NO_LIMIT;
	w->agent = handle_clone(agent);
	w->items = items_new(count);
	w->v = calloc(count, sizeof(*w->v));
	w->queue = reallocarray(NULL, count, REASONS * sizeof(*w->queue));
	if (w->agent != NULL && w->items != NULL && w->v != NULL &&
	    w->queue != NULL)
		r = take_refs(w, refs, positions);
out:
	*ret_r = r;
	if (r == 0)
		return w;
	(void)handle_fail(agent, r, err_text(r));
	qapi_agent_watch_free(&w);
	return NULL;
}

int
qapi_agent_watch(struct qapi_agent *agent, const char *const *refs,
    const void *const *positions, size_t count, struct qapi_agent_watch **ret)
{
	struct qapi_agent_watch *w;
	int r;

	w = watch_new(agent, refs, positions, count, &r);
	if (w == NULL)
		return r;
	r = begin(w);
	memcpy(agent->used, w->agent->used, sizeof(agent->used));
	if (r != 0) {
		(void)handle_fail(agent, r, w->agent->message);
		qapi_agent_watch_free(&w);
		return r;
	}
	w->first = false;
	*ret = w;
	return 0;
}

int
qapi_agent_watch_start(struct qapi_agent *agent, const char *const *refs,
    const void *const *positions, size_t count, struct qapi_agent_watch **ret)
{
	struct qapi_agent_watch *w;
	int r;

	w = watch_new(agent, refs, positions, count, &r);
	if (w == NULL)
		return r;
	w->first = false;
	if (count_in(w, WATCHED_IDLE) > 0)
		w->retry_boot_ms = 0;
	*ret = w;
	return 0;
}

int
qapi_agent_watch_fd(struct qapi_agent_watch *watch)
{
	return handle_fd(watch->agent);
}

short
qapi_agent_watch_want(struct qapi_agent_watch *watch, int *ret_timeout_ms)
{
	handle_poll(watch->agent);
	*ret_timeout_ms = request_poll_ms(watch->retry_boot_ms);
	return watch->agent->conn.fd != -1 ? POLLIN : 0;
}

void
qapi_agent_watch_step(struct qapi_agent_watch *watch)
{
	turn_now(watch);
	handle_poll(watch->agent);
}

int
qapi_agent_watch_take(struct qapi_agent_watch *watch, size_t *ret_index,
    enum qapi_agent_reason *ret_reason)
{
	struct queued event;

	if (watch->queued == 0 &&
	    count_in(watch, WATCHED_ENDED) == watch->items->count)
		return all_ended(watch);
	if (watch->queued == 0)
		return ERR_TIMEOUT;
	dequeue(watch, &event);
	*ret_index = event.index;
	*ret_reason = event.reason;
	return 0;
}

void
qapi_agent_watch_free(struct qapi_agent_watch **watch)
{
	if (watch == NULL || *watch == NULL)
		return;
	qapi_agent_free(&(*watch)->agent);
	qapi_agent_items_free(&(*watch)->items);
	free((*watch)->v);
	free((*watch)->queue);
	free(*watch);
	*watch = NULL;
}

const struct qapi_agent_items *
qapi_agent_watch_items(const struct qapi_agent_watch *watch)
{
	return watch->items;
}

bool
qapi_agent_watch_has_ended(const struct qapi_agent_watch *watch, size_t i)
{
	return i >= watch->items->count ||
	    watch->v[i].state == WATCHED_ENDED;
}

const char *
qapi_agent_watch_message(const struct qapi_agent_watch *watch)
{
	return watch->agent->message;
}

const char *
qapi_agent_reason_name(enum qapi_agent_reason reason)
{
	if (reason == QAPI_AGENT_REASON_ENDED)
		return "ended";
	if (reason < QAPI_AGENT_REASON_CHANGED ||
	    reason > QAPI_AGENT_REASON_FRESH_AGAIN)
		return "";
	return msg_reason_name((uint8_t)reason);
}
