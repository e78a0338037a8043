#include "config.h"

#include "drill.h"

#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "audit.h"
#include "err.h"
#include "hash.h"
#include "log.h"
#include "msg_report.h"
#include "peer.h"
#include "policy.h"
#include "request.h"
#include "settings.h"
#include "timers.h"
#include "units.h"

#define DRILL_BUCKETS 1024
#define DRILL_PARTS 3		/* rows of one reference, at most */
#define DRILL_FRAME_ROWS 16	/* then the next frame begins */
#define DRILL_FRAME_MAX (DRILL_FRAME_ROWS * MSG_DRILL_ROW_MAX + 128)

/* What callers of one reference met. */
struct drill_read {
	SLIST_ENTRY(drill_read) chain;
	STAILQ_ENTRY(drill_read) link;	/* as they came */
	uint64_t stale;
	uint64_t expired;
	uint64_t failed;
	int error;		/* the last */
	size_t len;
	uint8_t text[];
};

SLIST_HEAD(drill_bucket, drill_read);
STAILQ_HEAD(drill_reads, drill_read);

/* A value as it was cached at the beginning. */
struct drill_value {
	uint64_t usable_ms;	/* UINT64_MAX: no end */
	size_t text;		/* offset of id and name in texts */
	uint16_t id_len;
	uint16_t name_len;
	uint8_t kind;
	uint8_t limit;
};

struct drill {
	struct fetch *f;
	void (*changed)(void *arg);
	void *arg;
	struct timer *timer;
	struct request *rq;	/* whose drill it is; NULL: none runs */
	bool ended;		/* its report is on its way */
	uint64_t begun_boot_ms;
	uint64_t elapsed_ms;
	uint64_t duration_ms;
	struct hash_key hash_key;
	struct drill_bucket buckets[DRILL_BUCKETS];
	struct drill_reads reads;
	size_t nreads;
	size_t text_bytes;
	uint64_t answers;	/* references asked for */
	uint64_t failures;	/* of those, without a value */
	struct drill_value *values;
	size_t nvalues;
	size_t max_values;
	uint8_t *texts;
	size_t texts_len;
	size_t texts_max;
	bool no_memory;
	/* how far the report is */
	struct drill_read *next_read;
	size_t step;		/* rows that were put or passed over */
	size_t steps;
};

static void drill_timer_cb(void *arg);

static void
drill_set_offline(struct drill *d, bool offline)
{
	fetch_set_offline(d->f, offline);
	if (d->changed != NULL)
		d->changed(d->arg);
}

/* --- life --- */

struct drill *
drill_new(struct event_base *base, struct fetch *f,
    void (*changed)(void *arg), void *arg)
{
	struct drill *d;
	size_t i;

	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return NULL;
	d->f = f;
	d->changed = changed;
	d->arg = arg;
	hash_key_init(&d->hash_key);
	for (i = 0; i < DRILL_BUCKETS; i++)
		SLIST_INIT(&d->buckets[i]);
	STAILQ_INIT(&d->reads);
	d->timer = timer_new(base, drill_timer_cb, d);
	if (d->timer == NULL) {
		free(d);
		return NULL;
	}
	return d;
}

/* Forget what was noted. */
static void
drill_clear(struct drill *d)
{
	struct drill_read *r;
	size_t i;

	while ((r = STAILQ_FIRST(&d->reads)) != NULL) {
		STAILQ_REMOVE_HEAD(&d->reads, link);
		free(r);
	}
	for (i = 0; i < DRILL_BUCKETS; i++)
		SLIST_INIT(&d->buckets[i]);
	free(d->values);
	free(d->texts);
	d->values = NULL;
	d->texts = NULL;
	d->nreads = d->nvalues = d->max_values = 0;
	d->text_bytes = d->texts_len = d->texts_max = 0;
	d->answers = d->failures = 0;
	d->no_memory = false;
}

void
drill_free(struct drill *d)
{
	if (d == NULL)
		return;
	drill_clear(d);
	timer_free(d->timer);
	free(d);
}

bool
drill_runs(const struct drill *d)
{
	return d != NULL && d->rq != NULL && !d->ended;
}

uint64_t
drill_left_ms(const struct drill *d, const struct now *now)
{
	uint64_t gone;

	if (!drill_runs(d))
		return 0;
	gone = now->boot_ms - d->begun_boot_ms;
	return gone < d->duration_ms ? d->duration_ms - gone : 0;
}

/* --- what is cached at the beginning --- */

static uint8_t
drill_limit(const struct fetch_standing *st)
{
	if (st->usable_ms == UINT64_MAX)
		return 0;
	return st->expires_ms <= st->usable_ms ? MSG_LIMIT_EXPIRES
	    : MSG_LIMIT_MAX_STALE;
}

/* Twice the room; false for no memory. */
static bool
drill_grow(struct drill *d, size_t text_len)
{
	size_t n;
	void *p;

	if (d->nvalues == d->max_values) {
		n = d->max_values > 0 ? d->max_values * 2 : 64;
		p = reallocarray(d->values, n, sizeof(d->values[0]));
		if (p == NULL)
			return false;
		d->values = p;
		d->max_values = n;
	}
	if (d->texts_max - d->texts_len < text_len) {
		n = (d->texts_max + text_len) * 2;
		p = realloc(d->texts, n);
		if (p == NULL)
			return false;
		d->texts = p;
		d->texts_max = n;
	}
	return true;
}

struct drill_walk {
	struct drill *d;
	const struct now *now;
};

static bool
drill_note_value(void *arg, struct cache_entry *e)
{
	const struct drill_walk *walk = arg;
	struct drill *d = walk->d;
	struct fetch_standing st;
	struct drill_value *v;
	struct view id, name;

	if (e->object == NULL)
		return true;
	id = object_id(e->object);
	name = fetch_name_of(d->f, e->object);
	if (name.len == 0)
		name = id;
	if (!drill_grow(d, id.len + name.len)) {
		d->no_memory = true;
		return false;
	}
	fetch_stand_entry(d->f, e, walk->now, &st);
	v = &d->values[d->nvalues++];
	*v = (struct drill_value){
		.usable_ms = st.usable_ms, .text = d->texts_len,
		.id_len = (uint16_t)id.len, .name_len = (uint16_t)name.len,
		.kind = (uint8_t)e->kind,
		.limit = drill_limit(&st),
	};
	memcpy(d->texts + d->texts_len, id.p, id.len);
	memcpy(d->texts + d->texts_len + id.len, name.p, name.len);
	d->texts_len += id.len + name.len;
	return true;
}

static int
drill_compare(const void *a, const void *b)
{
	const struct drill_value *x = a, *y = b;

	if (x->usable_ms != y->usable_ms)
		return x->usable_ms < y->usable_ms ? -1 : 1;
	return x->text < y->text ? -1 : x->text > y->text;
}

/* --- what callers meet --- */

/* Would it have failed in the same way with the service there? */
static bool
drill_is_unrelated(int error)
{
	return error == ERR_DENIED || error == ERR_BAD_REQUEST ||
	    error == ERR_NOT_FOUND || error == ERR_AMBIGUOUS ||
	    error == ERR_UNSUPPORTED || error == ERR_TOO_LARGE;
}

static struct drill_read *
drill_find(struct drill *d, struct view ref)
{
	struct drill_bucket *bucket = &d->buckets[hash_bytes(&d->hash_key,
	    ref.p, ref.len) % DRILL_BUCKETS];
	struct drill_read *r;

	SLIST_FOREACH(r, bucket, chain) {
		if (r->len == ref.len && memcmp(r->text, ref.p, ref.len) == 0)
			return r;
	}
	if (d->nreads >= DRILL_READS_MAX ||
	    ref.len > DRILL_TEXT_MAX - d->text_bytes)
		return NULL;
	r = calloc(1, sizeof(*r) + ref.len);
	if (r == NULL)
		return NULL;
	r->len = ref.len;
	memcpy(r->text, ref.p, ref.len);
	SLIST_INSERT_HEAD(bucket, r, chain);
	STAILQ_INSERT_TAIL(&d->reads, r, link);
	d->nreads++;
	d->text_bytes += ref.len;
	return r;
}

void
drill_record(struct drill *d, struct view ref, enum msg_freshness freshness,
    int error)
{
	struct drill_read *r;

	if (!drill_runs(d) || drill_is_unrelated(error))
		return;
	d->answers++;
	if (error != 0)
		d->failures++;
	if (error == 0 && freshness == MSG_FRESH)
		return;
	r = drill_find(d, ref);
	if (r == NULL)
		return;
	if (error != 0) {
		r->failed++;
		r->error = error;
	} else if (freshness == MSG_EXPIRED) {
		r->expired++;
	} else {
		r->stale++;
	}
}

/* --- the end --- */

/* The service may be asked again, and the report is to be sent. */
static void
drill_end(struct drill *d, const char *why)
{
	struct now now;
	char took[UNITS_DURATION_LEN];

	if (!drill_runs(d))
		return;
	clock_read(&now);
	d->ended = true;
	d->elapsed_ms = now.boot_ms - d->begun_boot_ms;
	timer_stop(d->timer);
	drill_set_offline(d, false);
	log_notice("the drill has ended after %s (%s)", units_format_duration(
	    d->elapsed_ms / 1000 * 1000, took), why);
	d->next_read = STAILQ_FIRST(&d->reads);
	d->step = 0;
	d->steps = d->nreads * DRILL_PARTS + d->nvalues;
	request_ready(&d->rq->items[0]);
	d->rq->session->wake(d->rq->session->arg);
}

/* libevent counts from when the loop woke up: that may be too soon by a bit. */
static void
drill_timer_cb(void *arg)
{
	struct drill *d = arg;
	uint64_t left_ms;
	struct now now;

	clock_read(&now);
	left_ms = drill_left_ms(d, &now);
	if (left_ms > 0)
		timer_set(d->timer, left_ms);
	else
		drill_end(d, "its time is over");
}

void
drill_stop(struct drill *d)
{
	if (d != NULL)
		drill_end(d, "the configuration was read again");
}

/* A request_ops.cancel. */
static void
drill_cancel(struct request *rq, struct out *out)
{
	(void)out;
	drill_end(rq->data, "cancelled");
}

/* A request_ops.done: reported, or whoever asked for it has left. */
static void
drill_done(struct request *rq)
{
	struct drill *d = rq->data;
	bool left;

	if (d == NULL)
		return;
	left = !d->ended;
	d->rq = NULL;
	d->ended = false;
	drill_clear(d);
	if (left) {
		timer_stop(d->timer);
		drill_set_offline(d, false);
		log_notice("the drill has ended: who asked for it has left");
	}
}

/* --- the report --- */

/* One of the things that one reference met, if it did. */
static void
drill_put_read(struct drill *d, struct wr *wr)
{
	struct drill_read *r = d->next_read;
	struct msg_drill_read m = { .ref = { r->text, r->len } };

	switch (d->step % DRILL_PARTS) {
	case 0:
		m.error = r->error;
		m.count = r->failed;
		break;
	case 1:
		m.freshness = MSG_STALE;
		m.count = r->stale;
		break;
	default:
		m.freshness = MSG_EXPIRED;
		m.count = r->expired;
		d->next_read = STAILQ_NEXT(r, link);
		break;
	}
	if (m.count > 0)
		msg_drill_read_add(wr, &m);
}

static void
drill_put_value(struct drill *d, struct wr *wr)
{
	const struct drill_value *v =
	    &d->values[d->step - d->nreads * DRILL_PARTS];
	const struct msg_drill_value m = {
		.kind = v->kind,
		.id = { d->texts + v->text, v->id_len },
		.name = { d->texts + v->text + v->id_len, v->name_len },
		.unusable_in_ms = v->usable_ms == UINT64_MAX ? MSG_NO_LIMIT
		    : v->usable_ms,
		.limit = v->limit,
	};

	msg_drill_value_add(wr, &m);
}

/* A request_ops.render: one frame of the report. */
static bool
drill_render(struct session_item *item, struct out *out)
{
	struct request *rq = item->request;
	struct drill *d = rq->data;
	struct msg_drilled whole;
	struct wr wr;
	size_t start, i;
	bool last = d->steps - d->step <= DRILL_FRAME_ROWS;

	if (!out_has_room(out, DRILL_FRAME_MAX))
		return false;
	wr = out_begin(out);
	start = msg_drilled_begin(&wr, (uint16_t)(last ? 0 : FRAME_MORE),
	    rq->id);
	for (i = 0; i < DRILL_FRAME_ROWS && d->step < d->steps; i++) {
		if (d->next_read != NULL)
			drill_put_read(d, &wr);
		else
			drill_put_value(d, &wr);
		d->step++;
	}
	msg_drilled_init(&whole);
	if (last) {
		whole.elapsed_ms = d->elapsed_ms;
		whole.count = d->answers;
		whole.failed = d->failures;
	}
	msg_drilled_end(&wr, start, &whole);
	out_commit(out, &wr);
	if (last)
		request_free(rq);
	return true;
}

static const struct request_ops drill_ops = {
	.render = drill_render,
	.cancel = drill_cancel,
	.done = drill_done,
};

/* --- DRILL --- */

static void
drill_refuse(struct session *s, const struct frame *frame, struct out *out,
    int error, const char *message)
{
	if (error == ERR_DENIED)
		s->env->metrics->denied++;
	audit_record(s->env->audit, s->peer, "drill",
	    (struct view){ NULL, 0 }, error, NULL);
	session_error(out, frame->id, error, message);
}

/* Not forever, and only for somebody who waits for the report. */
static int
drill_begin(struct drill *d, struct session *s, const struct frame *frame,
    uint64_t duration_ms, const struct now *now)
{
	struct drill_walk walk = { .d = d, .now = now };
	struct msg_terms terms;
	struct request *rq;

	cache_foreach(fetch_cache(d->f), drill_note_value, &walk);
	msg_terms_init(&terms);
	rq = d->no_memory ? NULL : request_new(s, frame, &terms, 1, 0);
	if (rq == NULL) {
		drill_clear(d);
		return ERR_NOMEM;
	}
	if (d->nvalues > 1)
		qsort(d->values, d->nvalues, sizeof(d->values[0]),
		    drill_compare);
	rq->ops = &drill_ops;
	rq->data = d;
	rq->items[0].request = rq;
	d->rq = rq;
	d->ended = false;
	d->begun_boot_ms = now->boot_ms;
	d->duration_ms = duration_ms;
	timer_set(d->timer, duration_ms);
	drill_set_offline(d, true);
	return 0;
}

int
drill_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	struct drill *d = s->env->drill;
	struct msg_drill msg;
	struct msg_drilled first;
	struct wr wr;
	char who[128], took[UNITS_DURATION_LEN];
	size_t start;
	int r;

	r = msg_drill_decode(frame->body, &msg);
	if (r != 0)
		return r;
	if (!policy_may(s->env->settings->policy, s->peer, POLICY_ADMIN)) {
		drill_refuse(s, frame, out, ERR_DENIED,
		    "this needs a rule with operations=admin");
		return 0;
	}
	if (msg.duration_ms == 0 || msg.duration_ms > MSG_DRILL_MAX_MS) {
		drill_refuse(s, frame, out, ERR_BAD_REQUEST,
		    "a drill lasts from a millisecond to a day");
		return 0;
	}
	if (d->rq != NULL || drill_begin(d, s, frame, msg.duration_ms,
	    now) != 0) {
		drill_refuse(s, frame, out, ERR_BUSY, d->rq != NULL
		    ? "another drill is under way; wait for its end"
		    : "out of memory");
		return 0;
	}
	audit_record(s->env->audit, s->peer, "drill",
	    (struct view){ NULL, 0 }, 0, NULL);
	log_notice("%s: a drill begins: for %s the agent behaves as if the "
	    "service could not be reached", peer_describe(s->peer, who,
	    sizeof(who)), units_format_duration(msg.duration_ms, took));
	msg_drilled_init(&first);
	first.duration_ms = msg.duration_ms;
	wr = out_begin(out);
	start = msg_drilled_begin(&wr, FRAME_MORE, frame->id);
	msg_drilled_end(&wr, start, &first);
	out_commit(out, &wr);
	return 0;
}
