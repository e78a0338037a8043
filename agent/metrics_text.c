#include "config.h"

#include "metrics_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "cache.h"
#include "drill.h"
#include "err.h"
#include "fetch.h"
#include "listing.h"
#include "msg_report.h"
#include "names.h"
#include "policy.h"
#include "request.h"
#include "secmem.h"
#include "settings.h"
#include "state.h"
#include "textbuf.h"
#include "watch.h"

#define METRICS_FRAME_MAX 32768	/* bytes of text in one frame */
#define METRICS_TEXT_MAX CALLER_TEXT_MAX
#define METRICS_PREFIX "qapi_agent_"
/* A walk through the cache is not repeated before. */
#define METRICS_WALK_MS 1000

/* Everything that the text is made of. */
struct metrics_view {
	struct session *s;
	const struct now *now;
	const struct metrics *m;
	struct jobs_stats jobs;
	struct cache_stats cache;
	struct secmem_stats memory;
	struct watch_stats watch;
	struct textbuf *t;
};

/* --- lines --- */

static void
metrics_family(struct metrics_view *v, const char *name, const char *type,
    const char *unit, const char *help)
{
	textbuf_printf(v->t, "# TYPE " METRICS_PREFIX "%s %s\n", name, type);
	if (unit != NULL)
		textbuf_printf(v->t, "# UNIT " METRICS_PREFIX "%s %s\n", name,
		    unit);
	textbuf_printf(v->t, "# HELP " METRICS_PREFIX "%s %s\n", name, help);
}

static void
metrics_counter(struct metrics_view *v, const char *name, const char *help,
    uint64_t n)
{
	metrics_family(v, name, "counter", NULL, help);
	textbuf_printf(v->t, METRICS_PREFIX "%s_total %" PRIu64 "\n", name, n);
}

static void
metrics_gauge(struct metrics_view *v, const char *name, const char *unit,
    const char *help, uint64_t n)
{
	metrics_family(v, name, "gauge", unit, help);
	textbuf_printf(v->t, METRICS_PREFIX "%s %" PRIu64 "\n", name, n);
}

static void
metrics_seconds(struct metrics_view *v, const char *name, const char *labels,
    uint64_t ms)
{
	textbuf_printf(v->t, METRICS_PREFIX "%s%s %" PRIu64 ".%03u\n", name,
	    labels, ms / 1000, (unsigned int)(ms % 1000));
}

static void
metrics_gauge_seconds(struct metrics_view *v, const char *name,
    const char *help, uint64_t ms)
{
	metrics_family(v, name, "gauge", "seconds", help);
	metrics_seconds(v, name, "", ms);
}

/* --- what is found by walking the cache --- */

/* Figures that take a walk; kept a while, as anybody may ask for them. */
static bool
metrics_walk(void *arg, struct cache_entry *e)
{
	struct metrics_view *v = arg;
	struct metrics_walked *w = &v->s->env->metrics->walked;
	uint64_t age, left;

	if (e->object == NULL)
		return true;
	age = cache_age(e, v->now);
	if (e->version == 0 && age > w->oldest_ms)
		w->oldest_ms = age;
	left = cache_expires_ms(fetch_cache(v->s->env->fetch), e, v->now);
	if (left > 0 && left < w->next_expiry_ms)
		w->next_expiry_ms = left;
	return true;
}

static const struct metrics_walked *
metrics_walked(struct metrics_view *v)
{
	struct metrics_walked *w = &v->s->env->metrics->walked;

	if (w->done && v->now->boot_ms - w->at_boot_ms < METRICS_WALK_MS)
		return w;
	*w = (struct metrics_walked){
		.done = true, .at_boot_ms = v->now->boot_ms,
		.next_expiry_ms = UINT64_MAX,
	};
	cache_foreach(fetch_cache(v->s->env->fetch), metrics_walk, v);
	return w;
}

/* --- families --- */

static void
metrics_put_answers(struct metrics_view *v)
{
	const struct metrics *m = v->m;

	metrics_counter(v, "cache_hits", "Reads answered from the cache at "
	    "once.", m->hits);
	metrics_counter(v, "cache_misses", "Reads that had to wait for the "
	    "service.", m->misses);
	metrics_counter(v, "stale_answers", "Values given that were marked "
	    "stale.", m->stale_served);
	metrics_family(v, "expired_answers", "counter", NULL, "Answers about "
	    "values past their expiry: refused, or given within "
	    "serve-expired.");
	textbuf_printf(v->t, METRICS_PREFIX "expired_answers_total{outcome="
	    "\"refused\"} %" PRIu64 "\n" METRICS_PREFIX
	    "expired_answers_total{outcome=\"served\"} %" PRIu64 "\n",
	    m->expired, m->expired_served);
	metrics_counter(v, "denied_answers", "References and requests that "
	    "were denied.", m->denied);
	metrics_counter(v, "requests", "Requests of callers.", m->requests);
	metrics_counter(v, "bad_frames", "Frames that cost their sender the "
	    "connection.", m->bad_frames);
	metrics_counter(v, "connections", "Connections accepted.",
	    m->connections);
	metrics_gauge(v, "open_connections", NULL, "Connections now.",
	    m->clients);
}

static void
metrics_put_cache(struct metrics_view *v)
{
	const struct metrics_walked *w = metrics_walked(v);

	metrics_family(v, "cache_entries", "gauge", NULL, "Values cached, and "
	    "definite refusals of the service.");
	textbuf_printf(v->t,
	    METRICS_PREFIX "cache_entries{kind=\"secret\"} %zu\n"
	    METRICS_PREFIX "cache_entries{kind=\"key\"} %zu\n"
	    METRICS_PREFIX "cache_entries{kind=\"refusal\"} %zu\n",
	    v->cache.secrets, v->cache.keys, v->cache.negatives);
	metrics_gauge(v, "cache_stale_entries", NULL, "Values whose refresh "
	    "is due and has failed.", v->cache.stale);
	metrics_gauge(v, "cache_size_bytes", "bytes", "Memory that cached "
	    "values take.", v->cache.bytes);
	metrics_gauge(v, "cache_size_limit_bytes", "bytes", "max-memory.",
	    v->cache.max_bytes);
	metrics_counter(v, "cache_evictions", "Values dropped to make room.",
	    v->cache.evictions);
	metrics_gauge_seconds(v, "cache_oldest_value_age_seconds",
	    "Time since the service confirmed the value that it confirmed "
	    "longest ago.", w->oldest_ms);
	metrics_family(v, "cache_next_expiry_seconds", "gauge", "seconds",
	    "Time until the next value expires; +Inf if none does.");
	if (w->next_expiry_ms == UINT64_MAX)
		textbuf_printf(v->t, METRICS_PREFIX
		    "cache_next_expiry_seconds +Inf\n");
	else
		metrics_seconds(v, "cache_next_expiry_seconds", "",
		    w->next_expiry_ms);
	metrics_family(v, "refreshes", "counter", NULL, "Values read or "
	    "revalidated, by outcome.");
	textbuf_printf(v->t,
	    METRICS_PREFIX "refreshes_total{outcome=\"changed\"} %" PRIu64 "\n"
	    METRICS_PREFIX "refreshes_total{outcome=\"confirmed\"} %" PRIu64
	    "\n" METRICS_PREFIX "refreshes_total{outcome=\"failed\"} %" PRIu64
	    "\n", v->cache.changes, v->cache.confirms,
	    v->m->refresh_failures);
}

static const struct {
	enum jobs_outcome outcome;
	const char *name;
} metrics_outcomes[JOBS_OUTCOMES] = {
	{ JOBS_OUTCOME_OK, "ok" },
	{ JOBS_OUTCOME_REFUSED, "refused" },
	{ JOBS_OUTCOME_UNAUTHORIZED, "unauthorized" },
	{ JOBS_OUTCOME_RATE_LIMITED, "rate-limited" },
	{ JOBS_OUTCOME_UNAVAILABLE, "unavailable" },
	{ JOBS_OUTCOME_ERROR, "error" },
};

/* As floating point numbers are written canonically: 0.05, 10.0. */
static const char *
metrics_le(unsigned int ms, char buf[16])
{
	size_t len;

	(void)snprintf(buf, 16, "%u.%03u", ms / 1000, ms % 1000);
	len = strlen(buf);
	while (buf[len - 1] == '0' && buf[len - 2] != '.')
		buf[--len] = '\0';
	return buf;
}

static void
metrics_put_latency(struct metrics_view *v)
{
	uint64_t sum = 0;
	char le[16];
	size_t i;

	metrics_family(v, "upstream_request_duration_seconds", "histogram",
	    "seconds", "Time that the service took for a whole answer.");
	for (i = 0; i < JOBS_LATENCIES - 1; i++) {
		sum += v->jobs.latencies[i];
		textbuf_printf(v->t, METRICS_PREFIX
		    "upstream_request_duration_seconds_bucket{le=\"%s\"} "
		    "%" PRIu64 "\n", metrics_le(jobs_latency_ms[i], le), sum);
	}
	sum += v->jobs.latencies[i];
	textbuf_printf(v->t, METRICS_PREFIX
	    "upstream_request_duration_seconds_bucket{le=\"+Inf\"} %" PRIu64
	    "\n", sum);
	metrics_seconds(v, "upstream_request_duration_seconds_sum", "",
	    v->jobs.latency_sum_ms);
	textbuf_printf(v->t, METRICS_PREFIX
	    "upstream_request_duration_seconds_count %" PRIu64 "\n", sum);
}

/* One line a state, 1 for the one it is in. */
static void
metrics_put_states(struct metrics_view *v)
{
	static const char *const states[] = {
		[JOBS_UNKNOWN] = "unknown", [JOBS_OK] = "ok",
		[JOBS_DOWN] = "down", [JOBS_UNAUTHORIZED] = "unauthorized",
	};
	static const enum breaker_state breakers[] = {
		BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN,
	};
	size_t i;

	metrics_family(v, "upstream_state", "gauge", NULL, "How the service "
	    "is: 1 for the state it is in.");
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		textbuf_printf(v->t, METRICS_PREFIX
		    "upstream_state{state=\"%s\"} %d\n", states[i],
		    v->jobs.state == i);
	metrics_family(v, "upstream_breaker", "gauge", NULL, "The circuit "
	    "breaker: 1 for the state it is in.");
	for (i = 0; i < sizeof(breakers) / sizeof(breakers[0]); i++)
		textbuf_printf(v->t, METRICS_PREFIX
		    "upstream_breaker{state=\"%s\"} %d\n",
		    breaker_name(breakers[i]), v->jobs.breaker == breakers[i]);
}

static void
metrics_put_upstream(struct metrics_view *v)
{
	size_t i;

	metrics_family(v, "upstream_requests", "counter", NULL, "Requests to "
	    "the service that have ended, by outcome.");
	for (i = 0; i < JOBS_OUTCOMES; i++)
		textbuf_printf(v->t, METRICS_PREFIX
		    "upstream_requests_total{outcome=\"%s\"} %" PRIu64 "\n",
		    metrics_outcomes[i].name,
		    v->jobs.outcomes[metrics_outcomes[i].outcome]);
	metrics_counter(v, "upstream_probes", "Requests sent to find out "
	    "whether the service is back.", v->jobs.probes);
	metrics_put_latency(v);
	metrics_put_states(v);
	metrics_gauge(v, "upstream_requests_in_flight", NULL,
	    "Requests to the service under way.", v->jobs.in_flight);
	metrics_gauge(v, "upstream_requests_queued", NULL,
	    "Requests to the service that wait for their turn.",
	    v->jobs.queued);
	metrics_gauge_seconds(v, "upstream_held_seconds", "How long the pause "
	    "still lasts that the service asked for.",
	    v->jobs.held_until_boot_ms > v->now->boot_ms
	    ? v->jobs.held_until_boot_ms - v->now->boot_ms : 0);
	metrics_gauge(v, "upstream_budget_requests", NULL, "Requests a minute "
	    "that the service allows the key; 0: not known.",
	    v->jobs.budget);
	if (v->jobs.last_success_boot_ms != 0)
		metrics_gauge_seconds(v, "upstream_last_success_age_seconds",
		    "Time since the service answered last.",
		    v->now->boot_ms - v->jobs.last_success_boot_ms);
}

static void
metrics_put_listings(struct metrics_view *v)
{
	struct names *names = fetch_names(v->s->env->fetch);
	static const struct {
		enum ref_kind kind;
		const char *labels;
	} kinds[] = {
		{ REF_SECRET, "{kind=\"secret\"}" },
		{ REF_KEY, "{kind=\"key\"}" },
	};
	size_t i;

	metrics_family(v, "listing_age_seconds", "gauge", "seconds",
	    "Age of the list of names.");
	for (i = 0; i < 2; i++) {
		if (names_listing(names, kinds[i].kind) != NULL)
			metrics_seconds(v, "listing_age_seconds",
			    kinds[i].labels, v->now->boot_ms -
			    names_begun(names, kinds[i].kind));
	}
}

static void
metrics_put_watch(struct metrics_view *v)
{
	static const char *const reasons[METRICS_EVENTS] = {
		[CACHE_EVENT_CHANGED] = "changed",
		[CACHE_EVENT_EXPIRING] = "expiring",
		[CACHE_EVENT_EXPIRED] = "expired",
		[CACHE_EVENT_GONE] = "gone",
		[CACHE_EVENT_STALE] = "stale",
		[CACHE_EVENT_FRESH_AGAIN] = "fresh-again",
	};
	size_t i;

	metrics_gauge(v, "watch_subscriptions", NULL, "References that "
	    "callers watch.", v->watch.subscriptions);
	metrics_family(v, "watch_events", "counter", NULL, "Events told to "
	    "who watches, by reason.");
	for (i = 0; i < METRICS_EVENTS; i++)
		textbuf_printf(v->t, METRICS_PREFIX
		    "watch_events_total{reason=\"%s\"} %" PRIu64 "\n",
		    reasons[i], v->m->watch_events[i]);
	metrics_counter(v, "rejects", "Times that a caller said a value was "
	    "refused.", v->m->rejects);
	metrics_counter(v, "rejects_changed", "Of those, answered by another "
	    "value.", v->m->rejects_changed);
	metrics_counter(v, "reject_reads", "Reads of the service because of "
	    "them.", v->m->reject_reads);
	metrics_gauge(v, "drill", NULL, "1 while a drill runs: the service "
	    "is not asked.", drill_runs(v->s->env->drill));
}

static void
metrics_put_process(struct metrics_view *v)
{
	struct state_status state;

	metrics_family(v, "build_info", "gauge", NULL, "Always 1; which "
	    "version this is.");
	textbuf_printf(v->t, METRICS_PREFIX "build_info{version=\""
	    PACKAGE_VERSION "\"} 1\n");
	metrics_gauge_seconds(v, "uptime_seconds", "Time since the start.",
	    v->now->boot_ms - v->m->start_boot_ms);
	metrics_gauge(v, "memory_locked_bytes", "bytes", "Secret memory that "
	    "is locked.", v->memory.locked_bytes);
	metrics_gauge(v, "memory_used_bytes", "bytes", "Of that, in use.",
	    v->memory.used_bytes);
	metrics_counter(v, "memory_lock_failures", "Times that more of it "
	    "could not be had.", v->memory.grow_failures);
	state_get_status(v->s->env->state, v->now, &state);
	if (state.enabled && state.saved)
		metrics_gauge_seconds(v, "state_age_seconds",
		    "Time since the newest snapshot of the cache was begun.",
		    state.saved_age_ms);
}

/* --- single values --- */

struct metrics_names {
	struct metrics_view *v;
	struct cache_entry *entries[METRICS_NAMES_MAX];
	size_t count;
	uint64_t omitted;
};

/* The caller may read it, and it is the value that a name stands for. */
static bool
metrics_note_name(void *arg, struct cache_entry *e)
{
	struct metrics_names *n = arg;

	if (e->object == NULL || e->version != 0 ||
	    (e->kind == REF_KEY && e->format != REF_FORMAT_JSON) ||
	    !access_may_have(n->v->s, POLICY_READ, e->object))
		return true;
	if (n->count < METRICS_NAMES_MAX)
		n->entries[n->count++] = e;
	else
		n->omitted++;
	return true;
}

/* As the format wants it: backslash, quote and line feed escaped. */
static void
metrics_label(struct textbuf *t, const char *name, struct view text)
{
	size_t i;

	textbuf_printf(t, "%s=\"", name);
	for (i = 0; i < text.len; i++) {
		if (text.p[i] == '\n')
			textbuf_add(t, "\\n", 2);
		else if (text.p[i] == '\\' || text.p[i] == '"')
			textbuf_printf(t, "\\%c", text.p[i]);
		else
			textbuf_add(t, text.p + i, 1);
	}
	textbuf_add(t, "\"", 1);
}

static void
metrics_name_labels(struct metrics_view *v, const char *family,
    const struct cache_entry *e)
{
	textbuf_printf(v->t, METRICS_PREFIX "%s{kind=\"%s\",", family,
	    e->kind == REF_SECRET ? "secret" : "key");
	metrics_label(v->t, "id", object_id(e->object));
	textbuf_add(v->t, ",", 1);
	metrics_label(v->t, "name", fetch_name_of(v->s->env->fetch,
	    e->object));
	textbuf_add(v->t, "} ", 2);
}

static void
metrics_put_name_families(struct metrics_names *n)
{
	struct metrics_view *v = n->v;
	struct cache *c = fetch_cache(v->s->env->fetch);
	const struct object *o;
	uint64_t age;
	size_t i;

	metrics_family(v, "value_age_seconds", "gauge", "seconds",
	    "Time since the service confirmed the value.");
	for (i = 0; i < n->count; i++) {
		age = cache_age(n->entries[i], v->now);
		metrics_name_labels(v, "value_age_seconds", n->entries[i]);
		textbuf_printf(v->t, "%" PRIu64 ".%03u\n", age / 1000,
		    (unsigned int)(age % 1000));
	}
	metrics_family(v, "value_expiry_timestamp_seconds", "gauge", "seconds",
	    "When the value expires, since 1970; only of those that do.");
	for (i = 0; i < n->count; i++) {
		o = n->entries[i]->object;
		if (o->expires_at == MSG_NO_TIME)
			continue;
		metrics_name_labels(v, "value_expiry_timestamp_seconds",
		    n->entries[i]);
		textbuf_printf(v->t, "%" PRId64 "\n", o->expires_at / 1000);
	}
	metrics_family(v, "value_fresh", "gauge", NULL,
	    "1 if the value is fresh, 0 if it is stale or has expired.");
	for (i = 0; i < n->count; i++) {
		metrics_name_labels(v, "value_fresh", n->entries[i]);
		textbuf_printf(v->t, "%d\n", cache_state(c, n->entries[i],
		    v->now) == CACHE_FRESH);
	}
	metrics_gauge(v, "values_omitted", NULL, "Values beyond those that "
	    "are told by name.", n->omitted);
}

static void
metrics_put_names(struct metrics_view *v)
{
	struct metrics_names *n;

	n = calloc(1, sizeof(*n));
	if (n == NULL) {
		v->t->failed = true;
		return;
	}
	n->v = v;
	cache_foreach(fetch_cache(v->s->env->fetch), metrics_note_name, n);
	metrics_put_name_families(n);
	free(n);
}

/* The whole text. */
static void
metrics_put_all(struct session *s, bool names, const struct now *now,
    struct textbuf *t)
{
	struct metrics_view v = {
		.s = s, .now = now, .m = s->env->metrics, .t = t,
	};

	fetch_get_stats(s->env->fetch, &v.jobs);
	cache_get_stats(fetch_cache(s->env->fetch), &v.cache);
	secmem_get_stats(&v.memory);
	if (s->env->watch != NULL)
		watch_get_stats(s->env->watch, &v.watch);
	metrics_put_process(&v);
	metrics_put_answers(&v);
	metrics_put_cache(&v);
	metrics_put_upstream(&v);
	metrics_put_listings(&v);
	metrics_put_watch(&v);
	if (names)
		metrics_put_names(&v);
	textbuf_printf(t, "# EOF\n");
}

/* --- METRICS --- */

/* A text on its way to one caller. */
struct metrics_text {
	struct textbuf t;
	size_t sent;
	size_t counted;		/* in the caller's text_bytes */
};

static void
metrics_done(struct request *rq)
{
	struct metrics_text *mt = rq->data;
	struct caller *caller = rq->session->caller;

	if (mt == NULL)
		return;
	if (caller != NULL)
		caller->text_bytes -= mt->counted;
	textbuf_free(&mt->t);
	free(mt);
}

/* A request_ops.render: the next part. */
static bool
metrics_render(struct session_item *item, struct out *out)
{
	struct request *rq = item->request;
	struct metrics_text *mt = rq->data;
	struct msg_text m;
	struct wr wr;
	bool last;

	if (!out_has_room(out, METRICS_FRAME_MAX + MSG_TEXT_HEAD_LEN))
		return false;
	m.text = textbuf_lines(&mt->t, mt->sent, METRICS_FRAME_MAX);
	last = m.text.len == mt->t.len - mt->sent;
	wr = out_begin(out);
	msg_text_encode(&wr, (uint16_t)(last ? 0 : FRAME_MORE), rq->id, &m);
	out_commit(out, &wr);
	mt->sent += m.text.len;
	if (last)
		request_free(rq);
	return true;
}

static const struct request_ops metrics_ops = {
	.render = metrics_render,
	.done = metrics_done,
};

/* Make the text, if its caller does not hold too much of it already. */
static int
metrics_begin(struct request *rq, bool names, const struct now *now)
{
	struct session *s = rq->session;
	size_t held = s->caller != NULL ? s->caller->text_bytes : 0;
	struct metrics_text *mt;

	if (held >= METRICS_TEXT_MAX)
		return ERR_BUSY;
	mt = calloc(1, sizeof(*mt));
	if (mt == NULL)
		return ERR_BUSY;
	textbuf_init(&mt->t, METRICS_TEXT_MAX);
	rq->ops = &metrics_ops;
	rq->data = mt;
	metrics_put_all(s, names, now, &mt->t);
	if (mt->t.failed)
		return ERR_BUSY;
	mt->counted = mt->t.cap;
	if (s->caller != NULL)
		s->caller->text_bytes += mt->counted;
	rq->items[0].request = rq;
	request_ready(&rq->items[0]);
	return 0;
}

int
metrics_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	struct msg_terms terms;
	struct msg_metrics msg;
	struct request *rq;
	int r;

	r = msg_metrics_decode(frame->body, &msg);
	if (r != 0)
		return r;
	msg_terms_init(&terms);
	rq = request_new(s, frame, &terms, 1, 0);
	if (rq == NULL || metrics_begin(rq, msg.names, now) != 0) {
		if (rq != NULL)
			request_free(rq);
		session_error(out, frame->id, ERR_BUSY, "no memory, or too "
		    "many long answers to this user are not read yet");
	}
	return 0;
}
