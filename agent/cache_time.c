#include "config.h"

#include "cache_impl.h"

#include <string.h>

#include "err.h"
#include "msg.h"

/* First wait for a newer value than one that has expired; then it doubles. */
#define CACHE_EXPIRED_RETRY_MS 5000
#define CACHE_EXPIRED_DOUBLINGS 16
#define CACHE_GOLDEN 0x9e3779b9u		/* 2^32 by the golden ratio */
/* Jitter of what has no phase: up to 1/8 earlier. */
#define CACHE_JITTER_SHIFT 3
/* Jitter of what has one: up to 1/16 of the interval earlier. */
#define CACHE_PHASE_JITTER_SHIFT 4
/* What was confirmed less than 1/4 before its moment waits so much longer. */
#define CACHE_PHASE_SKIP_SHIFT 2
#define CACHE_PARKED_KEEP 1024u	/* places for those are not given back */

/* --- wall time --- */

/* The wall clock as expiry is judged by it. */
static int64_t
cache_wall(const struct cache *c, const struct now *now)
{
	int64_t since, floor_ms;

	if (!c->has_floor)
		return now->wall_ms;
	since = (int64_t)(now->boot_ms - c->floor_boot_ms);
	if (since < 0)
		since = 0;
	floor_ms = c->floor_wall_ms > INT64_MAX - since ? INT64_MAX
	    : c->floor_wall_ms + since;
	return floor_ms > now->wall_ms ? floor_ms : now->wall_ms;
}

bool
cache_can_judge(const struct cache *c, const struct now *now)
{
	return cache_wall(c, now) >= CACHE_WALL_PLAUSIBLE_MS;
}

void
cache_set_wall_floor(struct cache *c, int64_t wall_ms, const struct now *now)
{
	struct now unset = { .boot_ms = now->boot_ms, .wall_ms = INT64_MIN };

	if (wall_ms <= cache_wall(c, &unset))
		return;
	c->has_floor = true;
	c->floor_wall_ms = wall_ms;
	c->floor_boot_ms = now->boot_ms;
	cache_latch_expired(c, now);
}

/* a - b where b may be any 64-bit span, at least INT64_MIN. */
static int64_t
cache_wall_before(int64_t wall_ms, uint64_t span_ms)
{
	if (span_ms > INT64_MAX || wall_ms < INT64_MIN + (int64_t)span_ms)
		return INT64_MIN;
	return wall_ms - (int64_t)span_ms;
}

/* --- the lists --- */

void
cache_unpark(struct cache *c, struct cache_entry *e)
{
	if (!e->parked)
		return;
	heap_remove(&c->parked, e->due_slot);
	e->parked = false;
	/* all may have been here, once, after an outage */
	if (c->parked.count == 0 && c->parked.cap > CACHE_PARKED_KEEP)
		heap_done(&c->parked);
}

int
cache_park(struct cache *c, struct cache_entry *e)
{
	if (e->parked)
		return 0;
	if (heap_reserve(&c->parked, (size_t)c->parked.count + 1) != 0)
		return ERR_NOMEM;
	cache_clear_due(c, e);
	e->parked = true;
	heap_insert(&c->parked, slab_number(&c->entries, e), 0);
	return 0;
}

struct cache_entry *
cache_parked(const struct cache *c)
{
	uint32_t number;

	return heap_first(&c->parked, &number, NULL) ? cache_at(c, number)
	    : NULL;
}

void
cache_set_due(struct cache *c, struct cache_entry *e, uint64_t due_boot_ms)
{
	int64_t key = due_boot_ms > INT64_MAX ? INT64_MAX
	    : (int64_t)due_boot_ms;

	cache_unpark(c, e);
	if (e->due_slot == CACHE_NOT_IN_HEAP)
		heap_insert(&c->due, slab_number(&c->entries, e), key);
	else
		heap_update(&c->due, e->due_slot, key);
}

void
cache_clear_due(struct cache *c, struct cache_entry *e)
{
	cache_unpark(c, e);
	if (e->due_slot != CACHE_NOT_IN_HEAP)
		heap_remove(&c->due, e->due_slot);
}

uint64_t
cache_due_boot_ms(const struct cache *c, const struct cache_entry *e)
{
	return e->due_slot == CACHE_NOT_IN_HEAP || e->parked ? UINT64_MAX
	    : (uint64_t)heap_key(&c->due, e->due_slot);
}

static void
cache_set_expiry(struct cache *c, struct cache_entry *e, int64_t wall_ms)
{
	if (e->expiry_slot == CACHE_NOT_IN_HEAP)
		heap_insert(&c->expiry, slab_number(&c->entries, e), wall_ms);
	else
		heap_update(&c->expiry, e->expiry_slot, wall_ms);
}

void
cache_clear_expiry(struct cache *c, struct cache_entry *e)
{
	if (e->expiry_slot != CACHE_NOT_IN_HEAP)
		heap_remove(&c->expiry, e->expiry_slot);
}

static void
cache_tell_expiring(struct cache *c, struct cache_entry *e)
{
	if (e->told_expiring)
		return;
	e->told_expiring = true;
	cache_tell(c, e, CACHE_EVENT_EXPIRING);
}

void
cache_schedule_expiry(struct cache *c, struct cache_entry *e, uint32_t rnd,
    const struct now *now)
{
	uint64_t jitter = c->cfg.refresh_lead_ms >> CACHE_JITTER_SHIFT;
	int64_t expires = e->object->expires_at, lead;

	if (expires == MSG_NO_TIME || e->expired) {
		cache_clear_expiry(c, e);
		return;
	}
	lead = cache_wall_before(expires,
	    c->cfg.refresh_lead_ms + (jitter ? rnd % jitter : 0));
	if (lead > cache_wall(c, now)) {
		cache_set_expiry(c, e, lead);
		return;
	}
	cache_set_expiry(c, e, expires);
	if (cache_can_judge(c, now))
		cache_tell_expiring(c, e);
}

/* --- expiring --- */

bool
cache_past_expiry(const struct cache *c, const struct object *o,
    const struct now *now)
{
	return o->expires_at != MSG_NO_TIME && cache_can_judge(c, now) &&
	    o->expires_at <= cache_wall(c, now);
}

uint64_t
cache_expires_ms(const struct cache *c, const struct cache_entry *e,
    const struct now *now)
{
	int64_t wall_ms = cache_wall(c, now), at = e->object->expires_at;

	if (at == MSG_NO_TIME)
		return UINT64_MAX;
	return e->expired || at <= wall_ms ? 0
	    : (uint64_t)at - (uint64_t)wall_ms;
}

bool
cache_expires_soon(const struct cache *c, const struct cache_entry *e,
    const struct now *now)
{
	uint64_t lead = c->cfg.refresh_lead_ms;

	return cache_expires_ms(c, e, now) <=
	    lead + (lead >> CACHE_JITTER_SHIFT);
}

void
cache_expire(struct cache *c, struct cache_entry *e, const struct now *now)
{
	uint64_t since = (uint64_t)cache_wall(c, now) -
	    (uint64_t)e->object->expires_at;

	e->expired = true;
	e->expired_reads = 0;
	e->expired_boot_ms = since > INT64_MAX / 2 ? INT64_MIN / 2
	    : (int64_t)now->boot_ms - (int64_t)since;
	cache_clear_expiry(c, e);
	c->stats.changes++;
	cache_tell(c, e, CACHE_EVENT_EXPIRED);
}

/* The time has come for what the expiry list has first. */
static void
cache_expiry_is_up(struct cache *c, struct cache_entry *e, int64_t wall_ms,
    const struct now *now)
{
	if (e->object->expires_at <= wall_ms) {
		cache_expire(c, e, now);
	} else {
		cache_set_expiry(c, e, e->object->expires_at);
		cache_tell_expiring(c, e);
	}
	if (e->job == NULL)
		cache_set_due(c, e, now->boot_ms);
}

void
cache_latch_expired(struct cache *c, const struct now *now)
{
	int64_t wall_ms = cache_wall(c, now), key;
	uint32_t number;

	if (!cache_can_judge(c, now))
		return;
	while (heap_first(&c->expiry, &number, &key) && key <= wall_ms)
		cache_expiry_is_up(c, cache_at(c, number), wall_ms, now);
}

/* --- when to refresh --- */

/* a + b, at most UINT64_MAX. */
static uint64_t
cache_after(uint64_t a, uint64_t b)
{
	return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

/* interval less up to 1/2^shift of it. */
static uint64_t
cache_jittered(uint64_t interval_ms, unsigned int shift, uint32_t rnd)
{
	uint64_t span = interval_ms >> shift;

	return interval_ms - (span ? rnd % span : 0);
}

/* Other bits from rnd, for another purpose. */
static uint32_t
cache_mix(uint32_t rnd)
{
	rnd = (rnd ^ rnd >> 16) * 0x45d9f3bu;
	return rnd ^ rnd >> 16;
}

/* Some part of a span: rnd / 2^32 of it. */
static uint64_t
cache_part(uint64_t span_ms, uint32_t rnd)
{
	return (span_ms >> 32) * rnd + ((span_ms & UINT32_MAX) * rnd >> 32);
}

/* The same for the same thing on the same host, whatever process asks. */
static uint64_t
cache_phase_of(const struct cache *c, struct view what)
{
	struct hash_key key = { { 0 } };

	memcpy(key.bytes, &c->cfg.phase, sizeof(c->cfg.phase));
	return hash_bytes(&key, what.p, what.len);
}

static const struct view cache_group = { (const uint8_t *)"secrets", 7 };

/* Whose phase an entry has. */
static struct view
cache_phase_name(const struct cache *c, const struct cache_entry *e)
{
	if (c->grouped && e->kind == REF_SECRET && e->version == 0)
		return cache_group;
	return cache_id(e);
}

void
cache_set_grouped(struct cache *c, bool grouped)
{
	c->grouped = grouped;
}

/* The next moment of this phase: after now, at most interval_ms. */
static uint64_t
cache_until_phase(const struct cache *c, struct view what,
    uint64_t interval_ms, const struct now *now)
{
	uint64_t phase = cache_phase_of(c, what) % interval_ms;
	uint64_t here = now->boot_ms % interval_ms;

	return phase > here ? phase - here : interval_ms - here + phase;
}

uint64_t
cache_next_phase(const struct cache *c, struct view what,
    uint64_t interval_ms, uint32_t rnd, const struct now *now)
{
	uint64_t span = interval_ms >> CACHE_PHASE_JITTER_SHIFT, wait;

	if (interval_ms == 0)
		return now->boot_ms;
	wait = cache_until_phase(c, what, interval_ms, now);
	/*
	 * Not sooner than a quarter of the interval after a confirmation: else
	 * a quarter later, and on the phase the time after.  (With a half, who
	 * is late there by some jitter would be put off by a half for ever.)  A
	 * fleet that was confirmed together is spread by that as its phases
	 * are, and at worst asks twice as often as ever for a quarter of it.
	 */
	if (wait < interval_ms >> CACHE_PHASE_SKIP_SHIFT)
		wait += interval_ms >> CACHE_PHASE_SKIP_SHIFT;
	/* later by some jitter, but never by the interval after all */
	if (span > interval_ms - wait)
		span = interval_ms - wait;
	return cache_after(now->boot_ms, wait + (span ? rnd % span : 0));
}

/*
 * After expiresAt, while the service has nothing newer: at first soon, then
 * with backoff to the ordinary interval.
 */
static uint64_t
cache_expired_interval(const struct cache *c, const struct cache_entry *e)
{
	unsigned int n = e->expired_reads > 0 ? e->expired_reads - 1u : 0;
	uint64_t wait = (uint64_t)CACHE_EXPIRED_RETRY_MS <<
	    (n < CACHE_EXPIRED_DOUBLINGS ? n : CACHE_EXPIRED_DOUBLINGS);

	return wait < c->cfg.refresh_interval_ms ? wait
	    : c->cfg.refresh_interval_ms;
}

uint64_t
cache_next_ordinary(const struct cache *c, const struct cache_entry *e,
    uint32_t rnd, const struct now *now)
{
	if (e->expired)
		return cache_after(now->boot_ms, cache_jittered(
		    cache_expired_interval(c, e), CACHE_JITTER_SHIFT, rnd));
	/* A pinned version never changes; see it now and then all the same. */
	if (e->version != 0)
		return cache_after(now->boot_ms, cache_jittered(
		    c->cfg.reread_interval_ms, CACHE_JITTER_SHIFT, rnd));
	return cache_next_phase(c, cache_phase_name(c, e),
	    c->cfg.refresh_interval_ms, rnd, now);
}

uint64_t
cache_next_group(const struct cache *c, uint32_t rnd, const struct now *now)
{
	return cache_next_phase(c, cache_group, c->cfg.refresh_interval_ms,
	    rnd, now);
}

uint64_t
cache_next_restored(const struct cache *c, const struct cache_entry *e,
    uint64_t age_ms, uint64_t spread_ms, uint32_t rnd, const struct now *now)
{
	uint64_t interval = e->version != 0 ? c->cfg.reread_interval_ms
	    : c->cfg.refresh_interval_ms;
	uint64_t span = interval >> CACHE_PHASE_JITTER_SHIFT, wait;

	if (age_ms >= interval || e->failures > 0 || e->expired)
		return cache_after(now->boot_ms,
		    cache_part(spread_ms - spread_ms / 16, (uint32_t)
		    cache_phase_of(c, cache_phase_name(c, e))) +
		    cache_part(spread_ms / 16, rnd));
	wait = interval - age_ms;
	if (e->version == 0) {
		span = span ? rnd % span : 0;
		span += cache_until_phase(c, cache_phase_name(c, e), interval,
		    now);
		wait = span < wait ? span : wait;
	}
	return cache_after(now->boot_ms, wait);
}

uint64_t
cache_next_reread(struct cache *c, bool first, uint32_t rnd,
    const struct now *now)
{
	uint64_t interval = c->cfg.reread_interval_ms;

	if (!first)
		return cache_after(now->boot_ms, interval);
	/*
	 * At first anywhere within it, each as far as can be from those before
	 * (steps of the golden ratio), so that rereads stay spread out evenly.
	 */
	if (c->reread_place == 0)
		c->reread_place = cache_mix(rnd);
	c->reread_place += CACHE_GOLDEN;
	return cache_after(now->boot_ms, cache_part(interval,
	    c->reread_place));
}

bool
cache_wants_reread(const struct cache *c, const struct cache_entry *e,
    const struct now *now)
{
	(void)c;
	return (int64_t)(now->boot_ms - e->reread_boot_ms) >= 0;
}

/* --- what may be served --- */

uint64_t
cache_age(const struct cache_entry *e, const struct now *now)
{
	uint64_t age = now->boot_ms - e->confirmed_boot_ms;

	return age > INT64_MAX ? 0 : age;
}

/* On the boot clock, so that no step of the wall clock prolongs it. */
static bool
cache_in_grace(const struct cache *c, const struct cache_entry *e,
    const struct now *now)
{
	return (uint64_t)((int64_t)now->boot_ms - e->expired_boot_ms) <
	    c->cfg.serve_expired_ms;
}

/*
 * max_stale counts from the last success.  Without a failure a value may be
 * older by the refresh that is due (after suspend, say) and no more.  A pinned
 * version never changes, so its age means nothing until a refresh fails.
 */
static bool
cache_too_old(const struct cache *c, const struct cache_entry *e,
    const struct now *now)
{
	uint64_t limit = c->cfg.max_stale_ms;

	if (e->failures == 0) {
		if (e->version != 0)
			return false;
		limit = cache_after(limit, c->cfg.refresh_interval_ms);
	}
	return cache_age(e, now) > limit;
}

enum cache_state
cache_state(struct cache *c, struct cache_entry *e, const struct now *now)
{
	if (e->object == NULL) {
		if (e->negative_error == ERR_AGAIN ||
		    cache_age(e, now) >= c->cfg.negative_ttl_ms)
			return CACHE_NONE;
		return CACHE_NEGATIVE;
	}
	/* of all: this clock may be set back before anybody asks again */
	if (c->expiry.count > 0)
		cache_latch_expired(c, now);
	if (cache_too_old(c, e, now))
		return e->expired ? CACHE_EXPIRED : CACHE_TOO_OLD;
	if (e->expired)
		return cache_in_grace(c, e, now) ? CACHE_GRACE : CACHE_EXPIRED;
	if (e->object->expires_at != MSG_NO_TIME && !cache_can_judge(c, now))
		return CACHE_UNJUDGED;
	return e->failures > 0 ? CACHE_STALE : CACHE_FRESH;
}

/* --- what is due --- */

void
cache_make_failed_due(struct cache *c, uint64_t spread_ms, uint64_t rnd,
    const struct now *now)
{
	struct cache_entry *e;
	uint64_t x = rnd | 1;

	for (e = cache_at(c, c->oldest); e != NULL; e = cache_at(c, e->newer)) {
		if (e->object == NULL || e->failures == 0)
			continue;
		/* xorshift: spreading needs no more than that */
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (e->due_slot != CACHE_NOT_IN_HEAP)
			cache_set_due(c, e, now->boot_ms +
			    (spread_ms ? x % spread_ms : 0));
	}
}

void
cache_retime(struct cache *c, uint64_t rnd, const struct now *now)
{
	struct cache_entry *e;
	uint64_t due, x = rnd | 1;

	if (c->stats.bytes > c->cfg.max_bytes)
		(void)cache_evict(c, c->stats.bytes - c->cfg.max_bytes);
	cache_latch_expired(c, now);
	for (e = cache_at(c, c->oldest); e != NULL; e = cache_at(c, e->newer)) {
		if (e->object == NULL)
			continue;
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		cache_schedule_expiry(c, e, (uint32_t)x, now);
		/* others have a time of their own: a failure's, an expiry's */
		if (e->failures > 0 || e->expired || e->parked ||
		    e->due_slot == CACHE_NOT_IN_HEAP)
			continue;
		due = cache_next_restored(c, e, cache_age(e, now),
		    c->cfg.refresh_interval_ms, (uint32_t)(x >> 32), now);
		if (due < cache_due_boot_ms(c, e))
			cache_set_due(c, e, due);
	}
}

static bool
cache_is_idle(const struct cache *c, const struct cache_entry *e,
    const struct now *now)
{
	return !e->kept && e->watchers == 0 && (e->object == NULL ||
	    now->boot_ms - e->read_boot_ms >= c->cfg.idle_evict_ms);
}

struct cache_entry *
cache_next_due(struct cache *c, const struct now *now)
{
	struct cache_entry *e;
	uint32_t number;
	int64_t due;

	cache_latch_expired(c, now);
	while (heap_first(&c->due, &number, &due) &&
	    due <= (int64_t)now->boot_ms) {
		e = cache_at(c, number);
		cache_clear_due(c, e);
		if (e->job != NULL)
			continue;	/* being read: comes back by itself */
		if (cache_is_idle(c, e, now)) {
			cache_drop(c, e);
			continue;
		}
		if (e->object == NULL) {
			/* kept but refused: ask again now and then */
			cache_set_due(c, e, cache_after(now->boot_ms,
			    c->cfg.refresh_interval_ms));
		}
		return e;
	}
	return NULL;
}

uint64_t
cache_wait_ms(const struct cache *c, const struct now *now)
{
	int64_t wall_ms = cache_wall(c, now), key;
	uint64_t wait = UINT64_MAX, until;
	uint32_t number;

	if (heap_first(&c->due, &number, &key))
		wait = key <= (int64_t)now->boot_ms ? 0
		    : (uint64_t)key - now->boot_ms;
	/* until the clock is set there is nothing to do for an expiry */
	if (cache_can_judge(c, now) &&
	    heap_first(&c->expiry, &number, &key)) {
		until = key <= wall_ms ? 0
		    : (uint64_t)key - (uint64_t)wall_ms;
		if (until < wait)
			wait = until;
	}
	return wait;
}
