#include "config.h"

#include "fetch_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "err.h"
#include "hash.h"
#include "revalidate.h"
#include "timers.h"
#include "walltimer.h"

#define FETCH_RETRY_BASE_MS 1000
#define FETCH_RETRY_MAX_MS 15000	/* as the breaker's probes */
#define FETCH_PROBE_JITTER_SHIFT 4
#define FETCH_DUE_AT_ONCE 256		/* then other events get their turn */
#define FETCH_ROOM_BYTES (1u << 20)	/* evicted when the arena is full */

static void fetch_continue(struct fetch_wait *w, const struct now *now);
static void fetch_deliver_cb(void *arg);
static void fetch_names_cb(void *arg, enum ref_kind kind,
    const struct upstream_answer *answer);
static bool fetch_page_cb(void *arg, enum ref_kind kind,
    const struct upstream_page *page, uint64_t asked_boot_ms);
static void fetch_read_changed(void *arg, struct cache_entry *e,
    const struct now *now);
static uint64_t fetch_batch_retry_ms(void *arg, const struct cache_entry *e,
    int error, const struct now *now);
static void fetch_settled(void *arg, const struct now *now);
static void fetch_event(void *arg, const struct cache_entry *e,
    enum cache_event ev);

/* --- life --- */

struct fetch *
fetch_new(struct event_base *base, struct upstream *up,
    const struct fetch_config *cfg, const struct fetch_hooks *hooks,
    struct metrics *metrics)
{
	struct jobs_hooks job_hooks = {
		.reload_key = fetch_reload_key,
		.key_pending = fetch_key_pending,
		.state_changed = fetch_state_changed,
		.heard = fetch_heard,
	};
	struct revalidate_hooks value_hooks = {
		.read = fetch_read_changed,
		.retry_ms = fetch_batch_retry_ms,
		.settled = fetch_settled,
	};
	struct fetch *f;
	struct now now;

	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return NULL;
	f->cfg = *cfg;
	f->base = base;
	f->hooks = *hooks;
	f->metrics = metrics;
	TAILQ_INIT(&f->on_secret_names);
	TAILQ_INIT(&f->on_key_names);
	TAILQ_INIT(&f->ready);
	LIST_INIT(&f->relays);
	job_hooks.arg = value_hooks.arg = f;
	if ((f->cache = cache_new(&cfg->cache)) == NULL ||
	    (f->jobs = jobs_new(base, up, cfg->max_in_flight,
	    &job_hooks)) == NULL ||
	    (f->names = names_new(f->jobs, fetch_page_cb, fetch_names_cb,
	    f)) == NULL ||
	    (f->revalidate = revalidate_new(base, f->cache, f->names,
	    &value_hooks)) == NULL ||
	    (f->due = timer_new(base, fetch_due_cb, f)) == NULL ||
	    (f->deliver = timer_new(base, fetch_deliver_cb, f)) == NULL ||
	    (f->grace = timer_new(base, fetch_grace_cb, f)) == NULL ||
	    (f->wall = walltimer_new(base, fetch_wall_cb, f)) == NULL) {
		fetch_free(f);
		return NULL;
	}
	/* only to be told of steps: the moments themselves are in f->due */
	walltimer_set(f->wall, INT64_MAX);
	clock_read(&now);
	f->can_judge = cache_can_judge(f->cache, &now);
	cache_set_watcher(f->cache, fetch_event, f);
	revalidate_configure(f->revalidate, cfg->cache.refresh_interval_ms);
	return f;
}

static bool
fetch_end_reading(void *arg, struct cache_entry *e)
{
	struct reading *rd = e->job;

	(void)arg;
	if (rd != NULL) {
		assert(TAILQ_EMPTY(&rd->waits));
		job_cancel(rd->job);
		e->job = NULL;
		free(rd);
	}
	return true;
}

void
fetch_free(struct fetch *f)
{
	if (f == NULL)
		return;
	fetch_free_relays(f);
	if (f->cache != NULL)
		cache_foreach(f->cache, fetch_end_reading, NULL);
	revalidate_free(f->revalidate);
	names_free(f->names);
	jobs_free(f->jobs);
	cache_free(f->cache);
	timer_free(f->due);
	timer_free(f->deliver);
	timer_free(f->grace);
	walltimer_free(f->wall);
	free(f);
}

void
fetch_configure(struct fetch *f, const struct fetch_config *cfg)
{
	uint64_t grace_ms = f->cfg.unauthorized_grace_ms;
	struct now now;

	clock_read(&now);
	f->cfg = *cfg;
	fetch_move_grace(f, grace_ms, &now);
	cache_configure(f->cache, &cfg->cache);
	revalidate_configure(f->revalidate, cfg->cache.refresh_interval_ms);
	jobs_set_max_in_flight(f->jobs, cfg->max_in_flight);
	cache_retime(f->cache, (uint64_t)hash_random() << 32 | hash_random(),
	    &now);
	fetch_schedule(f, &now);
}

struct cache *
fetch_cache(struct fetch *f)
{
	return f->cache;
}

void
fetch_get_stats(const struct fetch *f, struct jobs_stats *ret_stats)
{
	jobs_get_stats(f->jobs, ret_stats);
}

struct names *
fetch_names(struct fetch *f)
{
	return f->names;
}

static void
fetch_event(void *arg, const struct cache_entry *e, enum cache_event ev)
{
	struct fetch *f = arg;
	struct reading *rd = e->job;

	/* queued as a plain refresh: not behind those any more */
	if (rd != NULL && (ev == CACHE_EVENT_EXPIRING ||
	    ev == CACHE_EVENT_EXPIRED))
		job_set_waited(rd->job, JOB_EXPIRY);
	if (f->hooks.event != NULL)
		f->hooks.event(f->hooks.arg, e, ev);
}

/* --- timers --- */

void
fetch_schedule(struct fetch *f, const struct now *now)
{
	uint64_t wait = cache_wait_ms(f->cache, now);

	if (wait == UINT64_MAX)
		timer_stop(f->due);
	else
		timer_set(f->due, wait);
}

static uint64_t
fetch_retry_ms(const struct fetch *f, const struct cache_entry *e, int error,
    const struct now *now)
{
	struct backoff b;
	uint64_t retry, probe = jobs_probe_ms(f->jobs, now);
	uint64_t held = jobs_held_ms(f->jobs, now);
	bool away = error == ERR_UPSTREAM_UNAVAILABLE ||
	    error == ERR_UNAUTHORIZED;

	/* A service that answers, but wrongly, is not asked every 15 s. */
	backoff_init(&b, FETCH_RETRY_BASE_MS, away ? FETCH_RETRY_MAX_MS
	    : f->cfg.cache.refresh_interval_ms);
	b.failures = e->failures;
	retry = FETCH_RETRY_BASE_MS / 4 + backoff_failed(&b, hash_random());
	/*
	 * Somebody has to be there when the next probe is allowed; but not at
	 * once who could not send it, for lack of memory, say.
	 */
	if (away && retry > probe)
		retry = probe + hash_random() %
		    ((probe >> FETCH_PROBE_JITTER_SHIFT) + 1);
	if (retry < held)
		retry = held + hash_random() % FETCH_RECOVERY_SPREAD_MS;
	return retry;
}

/* --- results --- */

static void
fetch_make_ready(struct fetch_wait *w)
{
	struct fetch *f = w->f;

	w->reading = NULL;
	w->on = &f->ready;
	TAILQ_INSERT_TAIL(&f->ready, w, link);
	timer_set(f->deliver, 0);
}

/*
 * Callbacks run from here alone, with nothing else on the stack, so whatever
 * they do cannot pull an entry from under somebody.
 */
static void
fetch_deliver_cb(void *arg)
{
	struct fetch *f = arg;
	struct fetch_wait *w;
	fetch_cb *cb;
	void *cb_arg;
	struct fetch_result result;

	while ((w = TAILQ_FIRST(&f->ready)) != NULL) {
		TAILQ_REMOVE(&f->ready, w, link);
		cb = w->cb;
		cb_arg = w->arg;
		result = w->result;
		free(w);
		cb(cb_arg, &result);
	}
}

/* --- reading an entry --- */

static void fetch_read_cb(void *arg, struct job *job,
    struct upstream_answer *answer);

/* What is held expires soon or has expired: that goes before other refreshes. */
static bool
fetch_is_expiring(const struct fetch *f, const struct cache_entry *e)
{
	struct now now;

	if (e->object == NULL)
		return false;
	clock_read(&now);
	return cache_expires_soon(f->cache, e, &now);
}

static enum job_waited
reading_waited(const struct reading *rd)
{
	if (!TAILQ_EMPTY(&rd->waits))
		return JOB_PATIENT;
	return fetch_is_expiring(rd->f, rd->entry) ? JOB_EXPIRY : JOB_REFRESH;
}

static int
reading_send(struct reading *rd)
{
	const struct cache_entry *e = rd->entry;
	const struct upstream_request req = {
		.op = e->kind == REF_SECRET ? UPSTREAM_READ_SECRET
		    : UPSTREAM_READ_KEY,
		.id = cache_id(e),
		.version = e->version,
		.format = e->format,
	};

	return jobs_start(rd->f->jobs, &req, reading_waited(rd),
	    fetch_read_cb, rd, &rd->job);
}

int
fetch_start_reading(struct fetch *f, struct cache_entry *e)
{
	struct reading *rd;
	int r;

	if (e->job != NULL)
		return 0;
	rd = calloc(1, sizeof(*rd));
	if (rd == NULL)
		return ERR_NOMEM;
	rd->f = f;
	rd->entry = e;
	TAILQ_INIT(&rd->waits);
	r = reading_send(rd);
	if (r != 0) {
		free(rd);
		return r;
	}
	e->job = rd;
	return 0;
}

/* Where a definite answer or a failure goes. */
static void
fetch_settle(struct fetch *f, struct cache_entry *e,
    struct upstream_answer *answer, const struct now *now)
{
	if (answer->error == 0) {
		answer->error = cache_install(f->cache, e, answer->object,
		    hash_random(), now, NULL);
		if (answer->error == 0) {
			f->metrics->refreshes++;
			return;
		}
		(void)snprintf(answer->message, sizeof(answer->message),
		    answer->error == ERR_TOO_LARGE
		    ? "it needs more memory than max-memory leaves"
		    : "out of memory");
	}
	if (answer->gone || answer->forbidden ||
	    answer->error == ERR_TOO_LARGE) {
		cache_install_negative(f->cache, e, answer->error, now);
		return;
	}
	f->metrics->refresh_failures++;
	cache_refresh_failed(f->cache, e, answer->error,
	    fetch_retry_ms(f, e, answer->error, now), now);
}

struct fetch_drop {
	struct fetch *f;
	const struct cache_entry *cause;
	const struct now *now;
};

/* A secret that is gone takes its pinned versions along; a key its forms. */
static bool
fetch_drop_sibling(void *arg, struct cache_entry *e)
{
	struct fetch_drop *d = arg;

	if (e == d->cause || e->kind != d->cause->kind ||
	    !cache_has_id(e, cache_id(d->cause)))
		return true;
	if (e->job != NULL || e->kept || e->watchers > 0)
		cache_clear(d->f->cache, e, d->now);
	else
		cache_drop(d->f->cache, e);
	return true;
}

/* Every waiter gets its answer, or waits on for something else. */
static void
fetch_wake_reading(struct reading *rd, struct job *job,
    const struct upstream_answer *answer, const struct now *now)
{
	struct wait_list waits = TAILQ_HEAD_INITIALIZER(waits);
	struct fetch_wait *w;

	TAILQ_CONCAT(&waits, &rd->waits, link);
	while ((w = TAILQ_FIRST(&waits)) != NULL) {
		TAILQ_REMOVE(&waits, w, link);
		w->reading = NULL;
		w->lookup.attempt_error = answer->error;
		w->lookup.attempt_sent = job_sent(job);
		w->lookup.attempted = true;
		(void)snprintf(w->lookup.attempt_message,
		    sizeof(w->lookup.attempt_message), "%s", answer->message);
		fetch_continue(w, now);
	}
}

static void
fetch_read_cb(void *arg, struct job *job, struct upstream_answer *answer)
{
	struct reading *rd = arg;
	struct fetch *f = rd->f;
	struct cache_entry *e = rd->entry;
	struct fetch_drop drop = { .f = f, .cause = e };
	struct now now;

	clock_read(&now);
	if (answer->error == ERR_NOMEM && !rd->made_room &&
	    (!TAILQ_EMPTY(&rd->waits) ||
	    jobs_probe_ms(f->jobs, &now) == UINT64_MAX)) {
		/* the arena is full before the budget is: make room, once */
		rd->made_room = true;
		if (cache_evict(f->cache, FETCH_ROOM_BYTES) > 0 &&
		    reading_send(rd) == 0)
			return;
	}
	e->job = NULL;
	fetch_settle(f, e, answer, &now);
	object_unref(answer->object);
	answer->object = NULL;
	drop.now = &now;
	if ((answer->gone || answer->forbidden) && e->version == 0)
		cache_foreach(f->cache, fetch_drop_sibling, &drop);
	fetch_wake_reading(rd, job, answer, &now);
	/* nothing came of a first read: nothing to remember */
	if (e->job == NULL && e->object == NULL && !e->kept &&
	    e->watchers == 0 && e->negative_error == ERR_AGAIN)
		cache_drop(f->cache, e);
	free(rd);
	fetch_schedule(f, &now);
}

void
fetch_due_cb(void *arg)
{
	struct fetch *f = arg;
	struct cache_entry *e;
	struct now now;
	unsigned int n;
	bool given_up;

	clock_read(&now);
	given_up = jobs_probe_ms(f->jobs, &now) != UINT64_MAX;
	for (n = 0; n < FETCH_DUE_AT_ONCE &&
	    (e = cache_next_due(f->cache, &now)) != NULL; n++) {
		if (!revalidate_take(f->revalidate, e, given_up, &now))
			fetch_read_changed(f, e, &now);
	}
	fetch_schedule(f, &now);
}

/* --- refreshing by the listing --- */

static bool
fetch_page_cb(void *arg, enum ref_kind kind, const struct upstream_page *page,
    uint64_t asked_boot_ms)
{
	struct fetch *f = arg;
	struct now now;

	if (kind != REF_SECRET)
		return true;
	clock_read(&now);
	return revalidate_page(f->revalidate, page, asked_boot_ms, &now);
}

static void
fetch_read_changed(void *arg, struct cache_entry *e, const struct now *now)
{
	struct fetch *f = arg;

	if (fetch_start_reading(f, e) != 0)
		cache_refresh_failed(f->cache, e, ERR_NOMEM,
		    FETCH_RETRY_BASE_MS, now);
}

static uint64_t
fetch_batch_retry_ms(void *arg, const struct cache_entry *e, int error,
    const struct now *now)
{
	return fetch_retry_ms(arg, e, error, now);
}

static void
fetch_settled(void *arg, const struct now *now)
{
	fetch_schedule(arg, now);
}

/* --- callers --- */

static struct lookup_in
fetch_lookup_in(const struct fetch *f)
{
	return (struct lookup_in){
		.cache = f->cache,
		.names = f->names,
		.refresh_interval_ms = f->cfg.cache.refresh_interval_ms,
		.negative_ttl_ms = f->cfg.cache.negative_ttl_ms,
		.max_stale_ms = f->cfg.cache.max_stale_ms,
	};
}

static struct wait_list *
fetch_names_waits(struct fetch *f, enum ref_kind kind)
{
	return kind == REF_SECRET ? &f->on_secret_names : &f->on_key_names;
}

/*
 * Take the next step of a lookup, and start what it waits for.  Returns
 * LOOKUP_DONE with the result, or what to wait for; *ret_list then is where.
 */
static enum lookup_step
fetch_step(struct fetch *f, struct lookup *lk, const struct now *now,
    struct fetch_result *result, struct wait_list **ret_list,
    struct reading **ret_reading)
{
	const struct lookup_in in = fetch_lookup_in(f);
	const enum job_waited waited = lk->preload ? JOB_PRELOAD
	    : lk->patient ? JOB_PATIENT : JOB_FIRST;
	struct cache_entry *e;
	enum lookup_step step;
	int r = 0;

	step = lookup_next(lk, &in, now, result, &e);
	if (lk->renew_behind && !lk->only_if_cached &&
	    now->boot_ms >= f->names_quiet_until_boot_ms &&
	    now->boot_ms - names_tried(f->names, lk->kind) >=
	    f->cfg.cache.negative_ttl_ms)
		(void)names_renew(f->names, lk->kind, JOB_REFRESH, now);
	*ret_reading = NULL;
	if (step == LOOKUP_READ) {
		r = fetch_start_reading(f, e);
		if (r == 0) {
			*ret_reading = e->job;
			*ret_list = &(*ret_reading)->waits;
			job_set_waited((*ret_reading)->job, waited);
		} else if (e->object == NULL) {
			/*
			 * Dropped when it is due: fetch_read_cb(), further up
			 * the stack, may still look at it.
			 */
			cache_refresh_failed(f->cache, e, r, 0, now);
		}
	} else if (step == LOOKUP_NAMES) {
		r = names_renew(f->names, lk->kind, waited, now);
		*ret_list = fetch_names_waits(f, lk->kind);
	}
	if (r != 0) {
		lookup_fail(result, ERR_BUSY, "out of memory");
		return LOOKUP_DONE;
	}
	return step;
}

/* What a wait was for has ended: answer, or wait for the next thing. */
static void
fetch_continue(struct fetch_wait *w, const struct now *now)
{
	struct wait_list *list;

	if (fetch_step(w->f, &w->lookup, now, &w->result, &list,
	    &w->reading) == LOOKUP_DONE) {
		fetch_make_ready(w);
		return;
	}
	w->on = list;
	TAILQ_INSERT_TAIL(list, w, link);
}

static int
fetch_wait_new(struct fetch *f, const struct lookup *lk,
    struct wait_list *list, struct reading *rd, fetch_cb *cb,
    struct fetch_wait **ret_wait)
{
	struct fetch_wait *w;

	w = malloc(sizeof(*w) + lk->name.len);
	if (w == NULL)
		return ERR_NOMEM;
	w->f = f;
	w->lookup = *lk;
	if (lk->name.len > 0)
		memcpy(w->name, lk->name.p, lk->name.len);
	w->lookup.name.p = (const uint8_t *)w->name;
	w->cb = cb;
	w->arg = NULL;
	w->reading = rd;
	w->on = list;
	TAILQ_INSERT_TAIL(list, w, link);
	*ret_wait = w;
	return 0;
}

static int
fetch_begin(struct fetch *f, struct lookup *lk, bool quiet,
    const struct now *now, struct fetch_result *result, fetch_cb *cb,
    struct fetch_wait **ret_wait)
{
	struct wait_list *list;
	struct reading *rd;

	if (fetch_step(f, lk, now, result, &list, &rd) == LOOKUP_DONE) {
		if (!quiet && result->error == 0)
			f->metrics->hits++;
		return 0;
	}
	if (!quiet)
		f->metrics->misses++;
	if (fetch_wait_new(f, lk, list, rd, cb, ret_wait) != 0) {
		lookup_fail(result, ERR_BUSY, "out of memory");
		return 0;
	}
	return ERR_AGAIN;
}

int
fetch_get(struct fetch *f, const struct fetch_query *q,
    const struct now *now, struct fetch_result *result, fetch_cb *cb,
    struct fetch_wait **ret_wait)
{
	struct lookup lk;

	lookup_init(&lk, q, jobs_now(f->jobs));
	return fetch_begin(f, &lk, q->quiet, now, result, cb, ret_wait);
}

int
fetch_list(struct fetch *f, enum ref_kind kind, const struct fetch_query *q,
    const struct now *now, struct fetch_result *result, fetch_cb *cb,
    struct fetch_wait **ret_wait)
{
	struct lookup lk;

	lookup_init_listing(&lk, q, kind, jobs_now(f->jobs));
	return fetch_begin(f, &lk, true, now, result, cb, ret_wait);
}

void
fetch_set_arg(struct fetch_wait *w, void *arg)
{
	w->arg = arg;
}

/* A listing has been renewed, or not. */
static void
fetch_names_cb(void *arg, enum ref_kind kind,
    const struct upstream_answer *answer)
{
	struct fetch *f = arg;
	struct wait_list waits = TAILQ_HEAD_INITIALIZER(waits);
	struct fetch_wait *w;
	struct now now;

	clock_read(&now);
	if (kind == REF_SECRET)
		revalidate_end(f->revalidate, answer->error, &now);
	TAILQ_CONCAT(&waits, fetch_names_waits(f, kind), link);
	while ((w = TAILQ_FIRST(&waits)) != NULL) {
		TAILQ_REMOVE(&waits, w, link);
		w->lookup.names_done = true;
		w->lookup.names_error = answer->error;
		(void)snprintf(w->lookup.names_message,
		    sizeof(w->lookup.names_message), "%s", answer->message);
		fetch_continue(w, &now);
	}
}

/*
 * Nobody waits any more: its read may wait for others.  A first read that was
 * not even sent is forgotten, or a caller that asks for one thing after the
 * other and leaves could fill the queue, and the cache with what stands for
 * it, without a bound.
 */
static void
fetch_leave(struct fetch_wait *w)
{
	struct reading *rd = w->reading;

	TAILQ_REMOVE(w->on, w, link);
	if (rd == NULL || !TAILQ_EMPTY(&rd->waits))
		return;
	if (!job_is_unsent(rd->job) || rd->entry->object != NULL ||
	    rd->entry->kept || rd->entry->watchers > 0) {
		job_set_waited(rd->job, JOB_REFRESH);
		return;
	}
	job_cancel(rd->job);
	rd->entry->job = NULL;
	cache_drop(w->f->cache, rd->entry);
	free(rd);
}

void
fetch_cancel(struct fetch_wait *w)
{
	if (w->on == &w->f->ready) {
		object_unref(w->result.object);
		listing_unref(w->result.listing);
	}
	fetch_leave(w);
	free(w);
}

void
fetch_give_up(struct fetch_wait *w, const struct now *now,
    struct fetch_result *result)
{
	const struct lookup_in in = fetch_lookup_in(w->f);
	bool ready = w->on == &w->f->ready;

	fetch_leave(w);
	if (ready)
		*result = w->result;
	else
		lookup_give_up(&w->lookup, &in, now, result);
	free(w);
}
