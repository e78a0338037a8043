#include "config.h"

#include "cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "hash.h"
#include "heap.h"
#include "msg.h"

TAILQ_HEAD(cache_lru, cache_entry);

struct cache {
	struct cache_config cfg;
	struct hash_key hash_key;
	struct cache_entry **buckets;
	size_t nbuckets;	/* power of two */
	size_t count;		/* entries of all kinds */
	struct cache_lru lru;	/* least recently read first */
	struct heap due;	/* by due_boot_ms */
	struct heap expiry;	/* by expiry_wall_ms */
	struct cache_stats stats;
	void (*watcher)(void *arg, const struct cache_entry *e,
	    enum cache_event ev);
	void *watcher_arg;
};

/* First wait for a newer value than one that has expired; then it doubles. */
#define CACHE_EXPIRED_RETRY_MS 5000
#define CACHE_EXPIRED_DOUBLINGS 16
/* Jitter of the next refresh: up to 1/8 of the interval earlier. */
#define CACHE_JITTER_SHIFT 3
#define CACHE_BUCKETS_MIN 256

/* --- bookkeeping --- */

static void
cache_due_moved(void *element, size_t slot)
{
	struct cache_entry *e = element;

	e->due_slot = slot;
}

static void
cache_expiry_moved(void *element, size_t slot)
{
	struct cache_entry *e = element;

	e->expiry_slot = slot;
}

struct cache *
cache_new(const struct cache_config *cfg)
{
	struct cache *c;

	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->buckets = calloc(CACHE_BUCKETS_MIN, sizeof(struct cache_entry *));
	if (c->buckets == NULL) {
		free(c);
		return NULL;
	}
	c->nbuckets = CACHE_BUCKETS_MIN;
	hash_key_init(&c->hash_key);
	TAILQ_INIT(&c->lru);
	heap_init(&c->due, cache_due_moved);
	heap_init(&c->expiry, cache_expiry_moved);
	cache_configure(c, cfg);
	return c;
}

void
cache_free(struct cache *c)
{
	struct cache_entry *e;

	if (c == NULL)
		return;
	while ((e = TAILQ_FIRST(&c->lru)) != NULL)
		cache_drop(c, e);
	heap_done(&c->due);
	heap_done(&c->expiry);
	free(c->buckets);
	free(c);
}

void
cache_set_watcher(struct cache *c,
    void (*cb)(void *arg, const struct cache_entry *e, enum cache_event ev),
    void *arg)
{
	c->watcher = cb;
	c->watcher_arg = arg;
}

void
cache_set_wall_floor(struct cache *c, int64_t wall_ms, const struct now *now)
{
	(void)c;
	(void)wall_ms;
	(void)now;
}

void
cache_configure(struct cache *c, const struct cache_config *cfg)
{
	c->cfg = *cfg;
	c->stats.max_bytes = cfg->max_bytes;
}

/* The key as bytes to hash: everything that tells two entries apart. */
static uint64_t
cache_hash(const struct cache *c, const struct cache_key *key)
{
	uint8_t buf[10 + MSG_ID_MAX];
	size_t len = key->id.len < MSG_ID_MAX ? key->id.len : MSG_ID_MAX;

	buf[0] = (uint8_t)key->kind;
	buf[1] = (uint8_t)key->format;
	memcpy(buf + 2, &key->version, sizeof(key->version));
	if (len > 0)
		memcpy(buf + 10, key->id.p, len);
	return hash_bytes(&c->hash_key, buf, 10 + len);
}

static bool
cache_entry_is(const struct cache_entry *e, uint64_t hash,
    const struct cache_key *key)
{
	return e->hash == hash && e->kind == key->kind &&
	    e->format == key->format && e->version == key->version &&
	    e->id_len == key->id.len &&
	    memcmp(e->id, key->id.p, key->id.len) == 0;
}

static struct cache_entry *
cache_find_hashed(struct cache *c, const struct cache_key *key, uint64_t hash)
{
	struct cache_entry *e;

	for (e = c->buckets[hash & (c->nbuckets - 1)]; e != NULL; e = e->chain) {
		if (cache_entry_is(e, hash, key))
			return e;
	}
	return NULL;
}

struct cache_entry *
cache_find(struct cache *c, const struct cache_key *key)
{
	if (key->id.len == 0 || key->id.len > MSG_ID_MAX)
		return NULL;
	return cache_find_hashed(c, key, cache_hash(c, key));
}

/* Twice the buckets; goes on with long chains if there is no memory. */
static void
cache_grow_buckets(struct cache *c)
{
	struct cache_entry **buckets, *e, *next;
	size_t i, n = c->nbuckets * 2;

	buckets = calloc(n, sizeof(struct cache_entry *));
	if (buckets == NULL)
		return;
	for (i = 0; i < c->nbuckets; i++) {
		for (e = c->buckets[i]; e != NULL; e = next) {
			next = e->chain;
			e->chain = buckets[e->hash & (n - 1)];
			buckets[e->hash & (n - 1)] = e;
		}
	}
	free(c->buckets);
	c->buckets = buckets;
	c->nbuckets = n;
}

struct cache_entry *
cache_get(struct cache *c, const struct cache_key *key, const struct now *now)
{
	struct cache_entry *e;
	uint64_t hash;

	if (key->id.len == 0 || key->id.len > MSG_ID_MAX)
		return NULL;
	hash = cache_hash(c, key);
	e = cache_find_hashed(c, key, hash);
	if (e != NULL)
		return e;
	/* Room in the heaps now, so that installing cannot fail later. */
	if (heap_reserve(&c->due, c->count + 1) != 0 ||
	    heap_reserve(&c->expiry, c->count + 1) != 0)
		return NULL;
	e = calloc(1, sizeof(*e) + key->id.len + 1);
	if (e == NULL)
		return NULL;
	if (c->count >= c->nbuckets)
		cache_grow_buckets(c);
	e->hash = hash;
	e->kind = key->kind;
	e->format = key->format;
	e->version = key->version;
	e->id_len = (uint16_t)key->id.len;
	memcpy(e->id, key->id.p, key->id.len);
	e->negative_error = ERR_AGAIN;
	e->due_slot = e->expiry_slot = CACHE_NOT_IN_HEAP;
	e->read_boot_ms = e->confirmed_boot_ms = now->boot_ms;
	e->bytes = sizeof(*e) + key->id.len + 1;
	e->chain = c->buckets[hash & (c->nbuckets - 1)];
	c->buckets[hash & (c->nbuckets - 1)] = e;
	TAILQ_INSERT_TAIL(&c->lru, e, lru);
	c->count++;
	c->stats.bytes += e->bytes;
	return e;
}

static void
cache_unlink(struct cache *c, struct cache_entry *e)
{
	struct cache_entry **pos = &c->buckets[e->hash & (c->nbuckets - 1)];

	while (*pos != e)
		pos = &(*pos)->chain;
	*pos = e->chain;
	TAILQ_REMOVE(&c->lru, e, lru);
	if (e->due_slot != CACHE_NOT_IN_HEAP)
		heap_remove(&c->due, e->due_slot);
	if (e->expiry_slot != CACHE_NOT_IN_HEAP)
		heap_remove(&c->expiry, e->expiry_slot);
	c->count--;
}

/* Count an entry in or out of the figures by what it holds. */
static void
cache_account(struct cache *c, const struct cache_entry *e, bool in)
{
	size_t one = in ? 1 : (size_t)-1;

	c->stats.bytes += in ? e->bytes : (size_t)0 - e->bytes;
	if (e->object == NULL) {
		if (e->negative_error != ERR_AGAIN)
			c->stats.negatives += one;
		return;
	}
	if (e->kind == REF_SECRET)
		c->stats.secrets += one;
	else
		c->stats.keys += one;
	if (e->failures > 0)
		c->stats.stale += one;
}

void
cache_drop(struct cache *c, struct cache_entry *e)
{
	assert(e->job == NULL);
	cache_account(c, e, false);
	cache_unlink(c, e);
	object_unref(e->object);
	free(e);
}

/* --- when --- */

static void
cache_set_due(struct cache *c, struct cache_entry *e, uint64_t due_boot_ms)
{
	e->due_boot_ms = due_boot_ms;
	if (e->due_slot == CACHE_NOT_IN_HEAP)
		heap_insert(&c->due, e, (int64_t)due_boot_ms);
	else
		heap_update(&c->due, e->due_slot, (int64_t)due_boot_ms);
}

static void
cache_set_expiry(struct cache *c, struct cache_entry *e, int64_t wall_ms)
{
	e->expiry_wall_ms = wall_ms;
	if (e->expiry_slot == CACHE_NOT_IN_HEAP)
		heap_insert(&c->expiry, e, wall_ms);
	else
		heap_update(&c->expiry, e->expiry_slot, wall_ms);
}

static void
cache_clear_expiry(struct cache *c, struct cache_entry *e)
{
	if (e->expiry_slot != CACHE_NOT_IN_HEAP)
		heap_remove(&c->expiry, e->expiry_slot);
}

/* a - b where b may be any 64-bit span, at least INT64_MIN. */
static int64_t
cache_wall_before(int64_t wall_ms, uint64_t span_ms)
{
	if (span_ms > INT64_MAX || wall_ms < INT64_MIN + (int64_t)span_ms)
		return INT64_MIN;
	return wall_ms - (int64_t)span_ms;
}

/*
 * The next moment to ask because of expiresAt: refresh_lead (and some jitter)
 * before it, then at it.  Once it has passed, the due list takes over.
 */
static void
cache_schedule_expiry(struct cache *c, struct cache_entry *e, uint32_t rnd,
    const struct now *now)
{
	int64_t expires = e->object->expires_at, lead;
	uint64_t jitter = c->cfg.refresh_lead_ms >> CACHE_JITTER_SHIFT;

	if (expires == MSG_NO_TIME || e->expired) {
		cache_clear_expiry(c, e);
		return;
	}
	lead = cache_wall_before(expires,
	    c->cfg.refresh_lead_ms + (jitter ? rnd % jitter : 0));
	cache_set_expiry(c, e, lead > now->wall_ms ? lead : expires);
}

/* interval less up to 1/8 of it: hosts that start together drift apart. */
static uint64_t
cache_jittered(uint64_t interval_ms, uint32_t rnd)
{
	uint64_t span = interval_ms >> CACHE_JITTER_SHIFT;

	return interval_ms - (span ? rnd % span : 0);
}

/*
 * After expiresAt, while the service has nothing newer: at first soon, then
 * with backoff to the ordinary interval.
 */
static uint64_t
cache_expired_interval(const struct cache *c, const struct cache_entry *e)
{
	unsigned int n = e->expired_reads > 0 ? e->expired_reads - 1 : 0;
	uint64_t wait = (uint64_t)CACHE_EXPIRED_RETRY_MS <<
	    (n < CACHE_EXPIRED_DOUBLINGS ? n : CACHE_EXPIRED_DOUBLINGS);

	return wait < c->cfg.refresh_interval_ms ? wait
	    : c->cfg.refresh_interval_ms;
}

/* How long what was installed now needs no refresh. */
static uint64_t
cache_interval(const struct cache *c, const struct cache_entry *e,
    uint32_t rnd)
{
	if (e->expired)
		return cache_jittered(cache_expired_interval(c, e), rnd);
	/* A pinned version never changes; see it now and then all the same. */
	return cache_jittered(e->version != 0 ? c->cfg.reread_interval_ms
	    : c->cfg.refresh_interval_ms, rnd);
}

/* --- what may be served --- */

/* On the boot clock, so that no step of the wall clock prolongs it. */
static bool
cache_in_grace(const struct cache *c, const struct cache_entry *e,
    const struct now *now)
{
	return (uint64_t)((int64_t)now->boot_ms - e->expired_boot_ms) <
	    c->cfg.serve_expired_ms;
}

static bool
cache_past_expiry(const struct object *o, const struct now *now)
{
	return o->expires_at != MSG_NO_TIME && o->expires_at <= now->wall_ms;
}

/* It has expired, just now or at expiresAt; from here on that is a fact. */
static void
cache_expire(struct cache_entry *e, const struct now *now)
{
	uint64_t since = (uint64_t)now->wall_ms -
	    (uint64_t)e->object->expires_at;

	e->expired = true;
	e->expired_boot_ms = since > INT64_MAX / 2 ? INT64_MIN / 2
	    : (int64_t)now->boot_ms - (int64_t)since;
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
		limit += c->cfg.refresh_interval_ms;
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
	if (!e->expired && cache_past_expiry(e->object, now)) {
		cache_expire(e, now);
		cache_clear_expiry(c, e);
		if (e->due_slot != CACHE_NOT_IN_HEAP)
			cache_set_due(c, e, now->boot_ms);
	}
	if (cache_too_old(c, e, now))
		return e->expired ? CACHE_EXPIRED : CACHE_TOO_OLD;
	if (e->expired)
		return cache_in_grace(c, e, now) ? CACHE_GRACE : CACHE_EXPIRED;
	return e->failures > 0 ? CACHE_STALE : CACHE_FRESH;
}

uint64_t
cache_age(const struct cache_entry *e, const struct now *now)
{
	return now->boot_ms > e->confirmed_boot_ms
	    ? now->boot_ms - e->confirmed_boot_ms : 0;
}

void
cache_touch(struct cache *c, struct cache_entry *e, const struct now *now)
{
	e->read_boot_ms = now->boot_ms;
	if (TAILQ_NEXT(e, lru) == NULL)
		return;
	TAILQ_REMOVE(&c->lru, e, lru);
	TAILQ_INSERT_TAIL(&c->lru, e, lru);
}

/* --- what the service said --- */

static bool
cache_same(const struct object *a, const struct object *b)
{
	return a->version == b->version && a->value_len == b->value_len &&
	    a->expires_at == b->expires_at && a->updated_at == b->updated_at &&
	    a->created_at == b->created_at && a->name_len == b->name_len &&
	    memcmp(a->text, b->text, (size_t)a->id_len + a->name_len + 1) == 0 &&
	    secmem_equal(&a->data, &b->data);
}

static void
cache_replace(struct cache *c, struct cache_entry *e, struct object *o,
    const struct now *now)
{
	struct object *old = e->object;

	cache_account(c, e, false);
	e->object = o;
	e->bytes = sizeof(*e) + e->id_len + 1u + (o ? object_bytes(o) : 0);
	e->confirmed_boot_ms = now->boot_ms;
	e->failures = 0;
	e->last_error = 0;
	e->expired = false;
	if (o != NULL)
		e->negative_error = 0;
	object_unref(old);
}

int
cache_install(struct cache *c, struct cache_entry *e, struct object *o,
    uint32_t rnd, const struct now *now, bool *ret_changed)
{
	size_t need = sizeof(*e) + e->id_len + 1u + object_bytes(o);
	size_t used;
	unsigned int reads = e->expired ? e->expired_reads + 1 : 0;
	bool was_expired = e->expired, same, same_term;

	if (need > c->cfg.max_bytes)
		return ERR_TOO_LARGE;
	used = c->stats.bytes - e->bytes;
	if (used > c->cfg.max_bytes - need) {
		/* not itself: it would be evicted under our hands */
		TAILQ_REMOVE(&c->lru, e, lru);
		(void)cache_evict(c, used - (c->cfg.max_bytes - need));
		TAILQ_INSERT_TAIL(&c->lru, e, lru);
	}
	same = e->object != NULL && cache_same(e->object, o);
	/* What has expired stays so until there is something newer, even if
	 * the wall clock was set back meanwhile. */
	same_term = was_expired && e->object->version == o->version &&
	    e->object->expires_at == o->expires_at;
	cache_replace(c, e, object_ref(o), now);
	if (same_term)
		e->expired = true;
	else if (cache_past_expiry(o, now))
		cache_expire(e, now);
	e->expired_reads = e->expired ? reads : 0;
	cache_account(c, e, true);
	cache_set_due(c, e, now->boot_ms + cache_interval(c, e, rnd));
	cache_schedule_expiry(c, e, rnd, now);
	if (ret_changed != NULL)
		*ret_changed = !same || e->expired != was_expired;
	return 0;
}

void
cache_confirm(struct cache *c, struct cache_entry *e, uint64_t sent_boot_ms,
    uint64_t due_boot_ms, const struct now *now)
{
	(void)now;
	cache_account(c, e, false);
	e->confirmed_boot_ms = sent_boot_ms;
	e->failures = 0;
	e->last_error = 0;
	cache_account(c, e, true);
	cache_set_due(c, e, due_boot_ms);
}

uint64_t
cache_next_phase(const struct cache *c, struct view what,
    uint64_t interval_ms, uint32_t rnd, const struct now *now)
{
	(void)c;
	(void)what;
	return now->boot_ms + cache_jittered(interval_ms, rnd);
}

int
cache_restore(struct cache *c, const struct cache_restored *r,
    uint64_t spread_ms, uint32_t rnd, const struct now *now)
{
	struct cache_entry *e;
	int error;

	e = cache_get(c, &r->key, now);
	if (e == NULL)
		return ERR_NOMEM;
	if (e->object != NULL)
		return 0;
	error = cache_install(c, e, r->object, rnd, now, NULL);
	if (error != 0)
		return error;
	cache_account(c, e, false);
	e->confirmed_boot_ms = now->boot_ms - r->age_ms;
	e->read_boot_ms = now->boot_ms - r->read_age_ms;
	e->failures = r->failures;
	cache_account(c, e, true);
	cache_set_due(c, e, now->boot_ms + (spread_ms ? rnd % spread_ms : 0));
	return 0;
}

void
cache_install_negative(struct cache *c, struct cache_entry *e, int error,
    const struct now *now)
{
	cache_replace(c, e, NULL, now);
	e->negative_error = error;
	cache_account(c, e, true);
	cache_clear_expiry(c, e);
	/* due: when it is forgotten */
	cache_set_due(c, e, now->boot_ms + c->cfg.negative_ttl_ms);
}

void
cache_clear(struct cache *c, struct cache_entry *e, const struct now *now)
{
	cache_replace(c, e, NULL, now);
	e->negative_error = ERR_AGAIN;
	cache_account(c, e, true);
	cache_clear_expiry(c, e);
	cache_set_due(c, e, now->boot_ms + c->cfg.negative_ttl_ms);
}

void
cache_refresh_failed(struct cache *c, struct cache_entry *e, int error,
    uint64_t retry_ms, const struct now *now)
{
	cache_account(c, e, false);
	e->last_error = error;
	if (e->object != NULL && e->failures < UINT32_MAX)
		e->failures++;
	cache_account(c, e, true);
	if (e->object != NULL)
		cache_set_due(c, e, now->boot_ms + retry_ms);
	else if (e->due_slot == CACHE_NOT_IN_HEAP)
		cache_set_due(c, e, now->boot_ms + c->cfg.negative_ttl_ms);
}

/* --- room --- */

size_t
cache_evict(struct cache *c, size_t want)
{
	struct cache_entry *e, *next;
	size_t went = 0;

	for (e = TAILQ_FIRST(&c->lru); e != NULL && went < want; e = next) {
		next = TAILQ_NEXT(e, lru);
		if (e->kept || e->job != NULL)
			continue;
		went += e->bytes;
		c->stats.evictions++;
		cache_drop(c, e);
	}
	return went;
}

/* --- what is due --- */

void
cache_make_failed_due(struct cache *c, uint64_t spread_ms, uint64_t rnd,
    const struct now *now)
{
	struct cache_entry *e;
	uint64_t x = rnd | 1;

	TAILQ_FOREACH(e, &c->lru, lru) {
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

static bool
cache_is_idle(const struct cache *c, const struct cache_entry *e,
    const struct now *now)
{
	return !e->kept && (e->object == NULL ||
	    now->boot_ms - e->read_boot_ms >= c->cfg.idle_evict_ms);
}

/* Entries whose expiry comes up become due at once. */
static void
cache_expiry_to_due(struct cache *c, const struct now *now)
{
	struct cache_entry *e;
	int64_t wall_ms;

	while ((e = heap_first(&c->expiry, &wall_ms)) != NULL &&
	    wall_ms <= now->wall_ms) {
		if (e->object->expires_at > now->wall_ms)
			cache_set_expiry(c, e, e->object->expires_at);
		else
			(void)cache_state(c, e, now);
		if (e->job == NULL)
			cache_set_due(c, e, now->boot_ms);
	}
}

struct cache_entry *
cache_next_due(struct cache *c, const struct now *now)
{
	struct cache_entry *e;
	int64_t due;

	cache_expiry_to_due(c, now);
	while ((e = heap_first(&c->due, &due)) != NULL &&
	    due <= (int64_t)now->boot_ms) {
		heap_remove(&c->due, e->due_slot);
		if (e->job != NULL)
			continue;	/* being read: comes back by itself */
		if (cache_is_idle(c, e, now)) {
			cache_drop(c, e);
			continue;
		}
		if (e->object == NULL) {
			/* kept but refused: ask again now and then */
			cache_set_due(c, e,
			    now->boot_ms + c->cfg.refresh_interval_ms);
		}
		return e;
	}
	return NULL;
}

uint64_t
cache_wait_ms(const struct cache *c, const struct now *now)
{
	uint64_t wait = UINT64_MAX, until;
	int64_t key;

	if (heap_first(&c->due, &key) != NULL)
		wait = key <= (int64_t)now->boot_ms ? 0
		    : (uint64_t)key - now->boot_ms;
	if (heap_first(&c->expiry, &key) != NULL) {
		until = key <= now->wall_ms ? 0
		    : (uint64_t)key - (uint64_t)now->wall_ms;
		if (until < wait)
			wait = until;
	}
	return wait;
}

void
cache_foreach(struct cache *c, bool (*cb)(void *arg, struct cache_entry *e),
    void *arg)
{
	struct cache_entry *e, *next;

	for (e = TAILQ_FIRST(&c->lru); e != NULL; e = next) {
		next = TAILQ_NEXT(e, lru);
		if (!cb(arg, e))
			return;
	}
}

/*
 * Buckets are taken in the order of their numbers with the bits reversed.
 * The table only ever doubles; a bucket then becomes two whose reversed
 * numbers are neighbours, so what was walked stays walked.
 */
bool
cache_iterate(struct cache *c, size_t *pos,
    void (*cb)(void *arg, struct cache_entry *e), void *arg)
{
	struct cache_entry *e;
	size_t bit;

	for (e = c->buckets[*pos & (c->nbuckets - 1)]; e != NULL; e = e->chain)
		cb(arg, e);
	for (bit = c->nbuckets >> 1; bit != 0 && (*pos & bit) != 0; bit >>= 1)
		*pos &= ~bit;
	*pos |= bit;
	return bit != 0;
}

struct cache_rank {
	int64_t read_age_ms;
	struct cache_entry *e;
};

static int
cache_compare_ranks(const void *a, const void *b)
{
	const struct cache_rank *x = a, *y = b;

	/* read longest ago first */
	return (x->read_age_ms < y->read_age_ms) -
	    (x->read_age_ms > y->read_age_ms);
}

void
cache_sort(struct cache *c, const struct now *now)
{
	struct cache_rank *ranks;
	struct cache_entry *e;
	size_t i, n = 0;

	ranks = malloc((c->count + 1) * sizeof(*ranks));
	if (ranks == NULL)
		return;		/* another order is no fault */
	TAILQ_FOREACH(e, &c->lru, lru) {
		ranks[n].read_age_ms =
		    (int64_t)(now->boot_ms - e->read_boot_ms);
		ranks[n++].e = e;
	}
	qsort(ranks, n, sizeof(*ranks), cache_compare_ranks);
	TAILQ_INIT(&c->lru);
	for (i = 0; i < n; i++)
		TAILQ_INSERT_TAIL(&c->lru, ranks[i].e, lru);
	free(ranks);
}

int64_t
cache_get_wall_floor(const struct cache *c, const struct now *now)
{
	(void)c;
	(void)now;
	return INT64_MIN;
}

void
cache_get_stats(const struct cache *c, struct cache_stats *ret_stats)
{
	*ret_stats = c->stats;
}
