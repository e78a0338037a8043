#include "config.h"

#include "cache_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "msg.h"

#define CACHE_BUCKETS_MIN 256u
/*
 * What an entry takes beside its object: itself and its share of its chunk, a
 * place on the due list, and one in the table of buckets.
 */
#define CACHE_ENTRY_COST (sizeof(struct cache_entry) + 1u + HEAP_COST + 5u)

/*
 * Whoever may ask for ids can have any number of them refused: what is
 * remembered of that takes a sixteenth of the memory, each counted so large.
 */
#define CACHE_REFUSED_SHIFT 4
#define CACHE_REFUSED_BYTES 256u
#define CACHE_REFUSED_MIN 64u

_Static_assert(sizeof(struct cache_entry) <= 88, "100,000 of these are held");

/* --- life --- */

static void
cache_due_moved(void *arg, uint32_t number, uint32_t slot)
{
	cache_at(arg, number)->due_slot = slot;
}

static void
cache_expiry_moved(void *arg, uint32_t number, uint32_t slot)
{
	cache_at(arg, number)->expiry_slot = slot;
}

struct cache *
cache_new(const struct cache_config *cfg)
{
	struct cache *c;

	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->buckets = calloc(CACHE_BUCKETS_MIN, sizeof(*c->buckets));
	if (c->buckets == NULL) {
		free(c);
		return NULL;
	}
	c->nbuckets = c->buckets_cap = c->buckets_low = CACHE_BUCKETS_MIN;
	hash_key_init(&c->hash_key);
	slab_init(&c->entries, sizeof(struct cache_entry));
	heap_init(&c->due, cache_due_moved, c);
	heap_init(&c->parked, cache_due_moved, c);
	heap_init(&c->expiry, cache_expiry_moved, c);
	c->grouped = true;
	cache_configure(c, cfg);
	return c;
}

void
cache_free(struct cache *c)
{
	if (c == NULL)
		return;
	while (c->oldest != SLAB_NONE)
		cache_drop(c, cache_at(c, c->oldest));
	heap_done(&c->due);
	heap_done(&c->parked);
	heap_done(&c->expiry);
	slab_done(&c->entries);
	free(c->buckets);
	free(c);
}

void
cache_configure(struct cache *c, const struct cache_config *cfg)
{
	c->cfg = *cfg;
	c->stats.max_bytes = cfg->max_bytes;
}

void
cache_set_watcher(struct cache *c,
    void (*cb)(void *arg, const struct cache_entry *e, enum cache_event ev),
    void *arg)
{
	c->watcher = cb;
	c->watcher_arg = arg;
}

/* --- which entry --- */

struct view
cache_id(const struct cache_entry *e)
{
	return object_id(e->object != NULL ? e->object : e->label);
}

bool
cache_has_id(const struct cache_entry *e, struct view id)
{
	struct view own = cache_id(e);

	return own.len == id.len && memcmp(own.p, id.p, id.len) == 0;
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
cache_entry_is(const struct cache_entry *e, const struct cache_key *key)
{
	return e->kind == key->kind && e->format == key->format &&
	    e->version == key->version && cache_has_id(e, key->id);
}

static uint32_t *
cache_bucket(const struct cache *c, uint64_t hash)
{
	uint64_t i = hash & (2 * (uint64_t)c->buckets_low - 1);

	return &c->buckets[i < c->nbuckets ? i : i - c->buckets_low];
}

static uint32_t *
cache_bucket_of(const struct cache *c, const struct cache_entry *e)
{
	const struct cache_key key = {
		.kind = e->kind, .format = e->format,
		.version = e->version, .id = cache_id(e),
	};

	return cache_bucket(c, cache_hash(c, &key));
}

/*
 * One bucket more, which takes its part of another: no insertion has to move
 * all entries.  Goes on with longer chains if there is no memory.
 */
static void
cache_add_bucket(struct cache *c)
{
	uint32_t *buckets, number, next, *bucket;
	uint32_t from = c->nbuckets - c->buckets_low, cap;
	struct cache_entry *e;

	if (c->nbuckets == c->buckets_cap) {
		cap = c->buckets_cap + c->buckets_cap / 8;
		buckets = realloc(c->buckets, cap * sizeof(*buckets));
		if (buckets == NULL)
			return;
		c->buckets = buckets;
		c->buckets_cap = cap;
	}
	number = c->buckets[from];
	c->buckets[from] = c->buckets[c->nbuckets] = SLAB_NONE;
	c->nbuckets++;
	for (; number != SLAB_NONE; number = next) {
		e = cache_at(c, number);
		next = e->chain;
		bucket = cache_bucket_of(c, e);
		e->chain = *bucket;
		*bucket = number;
	}
	if (c->nbuckets == 2 * c->buckets_low)
		c->buckets_low = c->nbuckets;
}

static struct cache_entry *
cache_find_in(const struct cache *c, uint32_t number,
    const struct cache_key *key)
{
	struct cache_entry *e;

	while ((e = cache_at(c, number)) != NULL && !cache_entry_is(e, key))
		number = e->chain;
	return e;
}

struct cache_entry *
cache_find(struct cache *c, const struct cache_key *key)
{
	if (key->id.len == 0 || key->id.len > MSG_ID_MAX)
		return NULL;
	return cache_find_in(c, *cache_bucket(c, cache_hash(c, key)), key);
}

/* --- in the order of reads --- */

static void
cache_lru_add(struct cache *c, struct cache_entry *e, uint32_t number)
{
	e->older = c->newest;
	e->newer = SLAB_NONE;
	if (c->newest != SLAB_NONE)
		cache_at(c, c->newest)->newer = number;
	else
		c->oldest = number;
	c->newest = number;
}

static void
cache_lru_remove(struct cache *c, struct cache_entry *e)
{
	if (e->older != SLAB_NONE)
		cache_at(c, e->older)->newer = e->newer;
	else
		c->oldest = e->newer;
	if (e->newer != SLAB_NONE)
		cache_at(c, e->newer)->older = e->older;
	else
		c->newest = e->older;
}

static void
cache_lru_renew(struct cache *c, struct cache_entry *e)
{
	if (e->newer == SLAB_NONE)
		return;
	cache_lru_remove(c, e);
	cache_lru_add(c, e, slab_number(&c->entries, e));
}

void
cache_touch(struct cache *c, struct cache_entry *e, const struct now *now)
{
	e->read_boot_ms = now->boot_ms;
	cache_lru_renew(c, e);
}

/* --- figures --- */

/* What an entry with this object takes. */
static size_t
cache_cost(const struct object *o)
{
	return CACHE_ENTRY_COST + object_bytes(o) +
	    (o->expires_at != MSG_NO_TIME ? HEAP_COST : 0);
}

size_t
cache_entry_bytes(const struct cache_entry *e)
{
	return e->object != NULL ? cache_cost(e->object)
	    : CACHE_ENTRY_COST + object_label_bytes(e->label);
}

/* Count an entry in or out of the figures by what it holds. */
static void
cache_account(struct cache *c, const struct cache_entry *e, bool in)
{
	size_t bytes = cache_entry_bytes(e), one = in ? 1 : (size_t)-1;

	c->stats.bytes += in ? bytes : (size_t)0 - bytes;
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
cache_get_stats(const struct cache *c, struct cache_stats *ret_stats)
{
	*ret_stats = c->stats;
}

/* --- entries come and go --- */

struct cache_entry *
cache_get(struct cache *c, const struct cache_key *key, const struct now *now)
{
	struct cache_entry *e = cache_find(c, key);
	uint32_t number, *bucket;
	struct object *label;

	if (e != NULL || key->id.len == 0 || key->id.len > MSG_ID_MAX)
		return e;
	/* Room on the due list now, so that installing cannot fail later. */
	if (heap_reserve(&c->due, (size_t)c->count + 1) != 0)
		return NULL;
	label = object_new(key->kind, key->id, (struct view){ NULL, 0 });
	if (label == NULL)
		return NULL;
	e = slab_alloc(&c->entries, &number);
	if (e == NULL) {
		object_unref(label);
		return NULL;
	}
	object_to_label(label);
	if (c->count >= c->nbuckets)
		cache_add_bucket(c);
	e->label = label;
	e->kind = key->kind;
	e->format = key->format;
	e->version = key->version;
	e->negative_error = ERR_AGAIN;
	e->due_slot = e->expiry_slot = CACHE_NOT_IN_HEAP;
	e->read_boot_ms = e->confirmed_boot_ms = now->boot_ms;
	bucket = cache_bucket(c, cache_hash(c, key));
	e->chain = *bucket;
	*bucket = number;
	cache_lru_add(c, e, number);
	c->count++;
	cache_account(c, e, true);
	return e;
}

void
cache_drop(struct cache *c, struct cache_entry *e)
{
	uint32_t *at = cache_bucket_of(c, e);

	assert(e->job == NULL);
	cache_account(c, e, false);
	while (cache_at(c, *at) != e)
		at = &cache_at(c, *at)->chain;
	*at = e->chain;
	cache_lru_remove(c, e);
	cache_clear_due(c, e);
	cache_clear_expiry(c, e);
	c->count--;
	if (e->object != NULL) {
		c->stats.changes++;
		object_unref(e->object);
	} else {
		object_unref_label(e->label);
	}
	slab_free(&c->entries, e);
}

void
cache_foreach(struct cache *c, bool (*cb)(void *arg, struct cache_entry *e),
    void *arg)
{
	struct cache_entry *e, *next;

	for (e = cache_at(c, c->oldest); e != NULL; e = next) {
		next = cache_at(c, e->newer);
		if (!cb(arg, e))
			return;
	}
}

/* --- what the service said --- */

static bool
cache_same(const struct object *a, const struct object *b)
{
	return a->version == b->version && a->value_len == b->value_len &&
	    a->expires_at == b->expires_at && a->updated_at == b->updated_at &&
	    a->name_len == b->name_len &&
	    memcmp(a->text, b->text, (size_t)a->id_len + a->name_len + 1) == 0 &&
	    secmem_equal(&a->data, &b->data);
}

/* Another object, or none; the caller counts it in. */
static void
cache_replace(struct cache *c, struct cache_entry *e, struct object *o,
    const struct now *now)
{
	struct object *old = e->object;

	cache_account(c, e, false);
	if (o == NULL || old == NULL || old->expires_at != o->expires_at)
		e->told_expiring = false;
	if (old == NULL && o != NULL) {
		object_unref_label(e->label);
	} else if (old != NULL && o == NULL) {
		e->label = old;
		object_to_label(old);
	} else {
		object_unref(old);
	}
	e->object = o;
	e->confirmed_boot_ms = now->boot_ms;
	e->failures = 0;
	e->last_error = 0;
	e->expired = e->doubted = false;
	if (o != NULL) {
		e->negative_error = 0;
		e->missed = e->gone = false;
	}
}

/* How long an entry without an object stays; 0: there are too many. */
static uint64_t
cache_empty_ttl(const struct cache *c, const struct cache_entry *e)
{
	size_t max = (c->cfg.max_bytes >> CACHE_REFUSED_SHIFT) /
	    CACHE_REFUSED_BYTES;

	if (max < CACHE_REFUSED_MIN)
		max = CACHE_REFUSED_MIN;
	return e->negative_error != ERR_AGAIN && !e->kept &&
	    e->watchers == 0 && c->stats.negatives > max ? 0
	    : c->cfg.negative_ttl_ms;
}

/* Nothing is known of it any more, or that there is none. */
static void
cache_empty(struct cache *c, struct cache_entry *e, int error,
    const struct now *now)
{
	bool had = e->object != NULL;

	cache_replace(c, e, NULL, now);
	e->negative_error = (int8_t)error;
	e->told_stale = false;
	cache_account(c, e, true);
	cache_clear_expiry(c, e);
	/* due: when it is forgotten */
	cache_set_due(c, e, now->boot_ms + cache_empty_ttl(c, e));
	c->stats.changes += had;
}

/* May it be dropped for another's sake? */
static bool
cache_may_go(const struct cache_entry *e, const struct cache_entry *other)
{
	return e != other && !e->kept && e->watchers == 0;
}

/* What dropping it gives; of one that is being read only the value can go. */
static size_t
cache_gain(const struct cache_entry *e)
{
	size_t bytes = cache_entry_bytes(e);

	if (e->job == NULL)
		return bytes;
	return e->object == NULL ? 0
	    : bytes - CACHE_ENTRY_COST - object_label_bytes(e->object);
}

/* How much of want can be had from those with or without a job. */
static size_t
cache_room(const struct cache *c, const struct cache_entry *other, bool busy,
    size_t want)
{
	const struct cache_entry *e;
	size_t sum = 0;

	for (e = cache_at(c, c->oldest); e != NULL && sum < want;
	    e = cache_at(c, e->newer)) {
		if (cache_may_go(e, other) && (e->job != NULL) == busy)
			sum += cache_gain(e);
	}
	return sum;
}

static size_t
cache_evict_others(struct cache *c, const struct cache_entry *other, bool busy,
    size_t want, const struct now *now)
{
	struct cache_entry *e, *next;
	size_t went = 0;

	for (e = cache_at(c, c->oldest); e != NULL && went < want; e = next) {
		next = cache_at(c, e->newer);
		if (!cache_may_go(e, other) || (e->job != NULL) != busy ||
		    cache_gain(e) == 0)
			continue;
		went += cache_gain(e);
		c->stats.evictions++;
		if (!busy) {
			cache_drop(c, e);
			continue;
		}
		/* its job goes on, and brings the value back */
		cache_empty(c, e, ERR_AGAIN, now);
	}
	return went;
}

/* Make room for need bytes instead of what e has.  0 or ERR_TOO_LARGE. */
static int
cache_make_room(struct cache *c, const struct cache_entry *e, size_t need,
    const struct now *now)
{
	size_t used = c->stats.bytes - cache_entry_bytes(e), want, idle;

	if (need > c->cfg.max_bytes)
		return ERR_TOO_LARGE;
	if (used <= c->cfg.max_bytes - need)
		return 0;
	want = used - (c->cfg.max_bytes - need);
	idle = cache_room(c, e, false, want);
	if (idle < want && cache_room(c, e, true, want - idle) < want - idle)
		return ERR_TOO_LARGE;
	idle = cache_evict_others(c, e, false, want, now);
	if (idle < want)
		(void)cache_evict_others(c, e, true, want - idle, now);
	return 0;
}

/* It had failed and has been confirmed: tell that, once it can be so. */
static void
cache_tell_fresh(struct cache *c, struct cache_entry *e)
{
	if (!e->told_stale || e->expired)
		return;
	e->told_stale = false;
	cache_tell(c, e, CACHE_EVENT_FRESH_AGAIN);
}

int
cache_install(struct cache *c, struct cache_entry *e, struct object *o,
    uint32_t rnd, const struct now *now, bool *ret_changed)
{
	bool had, same, news, same_term;
	int64_t expired_boot_ms = 0;
	unsigned int reads;
	int r;

	assert(cache_has_id(e, object_id(o)));
	if (o->expires_at != MSG_NO_TIME &&
	    heap_reserve(&c->expiry, (size_t)c->expiry.count + 1) != 0)
		return ERR_NOMEM;
	r = cache_make_room(c, e, cache_cost(o), now);
	if (r != 0)
		return r;
	cache_latch_expired(c, now);
	had = e->object != NULL;
	same = had && cache_same(e->object, o);
	news = had ? !same : e->missed || e->gone;
	/* What has expired stays so until there is something newer, even if
	 * the wall clock was set back meanwhile. */
	same_term = e->expired && e->object->version == o->version &&
	    e->object->expires_at == o->expires_at;
	reads = e->expired && e->expired_reads < UINT8_MAX
	    ? e->expired_reads + 1u : e->expired_reads;
	if (same_term)
		expired_boot_ms = e->expired_boot_ms;
	cache_replace(c, e, object_ref(o), now);
	cache_account(c, e, true);
	*(same ? &c->stats.confirms : &c->stats.changes) += 1;
	if (news)
		cache_tell(c, e, CACHE_EVENT_CHANGED);
	if (same_term) {
		e->expired = true;
		e->expired_boot_ms = expired_boot_ms;
	} else if (cache_past_expiry(c, o, now)) {
		cache_expire(c, e, now);
	}
	cache_tell_fresh(c, e);
	e->expired_reads = e->expired ? (uint8_t)reads : 0;
	/* a read for another reason changes nothing of when its turn comes */
	if (!had || cache_wants_reread(c, e, now))
		e->reread_boot_ms = cache_next_reread(c, !had, rnd, now);
	cache_set_due(c, e, cache_next_ordinary(c, e, rnd, now));
	cache_schedule_expiry(c, e, rnd, now);
	if (ret_changed != NULL)
		*ret_changed = !same;
	return 0;
}

void
cache_confirm(struct cache *c, struct cache_entry *e, uint64_t sent_boot_ms,
    uint64_t due_boot_ms, const struct now *now)
{
	if (e->object == NULL)
		return;
	cache_latch_expired(c, now);
	/* what was said of it since then is newer */
	if ((int64_t)(sent_boot_ms - e->confirmed_boot_ms) >= 0) {
		cache_account(c, e, false);
		e->confirmed_boot_ms = sent_boot_ms;
		e->failures = 0;
		e->last_error = 0;
		if (e->expired && e->expired_reads < UINT8_MAX)
			e->expired_reads++;
		cache_account(c, e, true);
		c->stats.confirms++;
		cache_tell_fresh(c, e);
	}
	if (e->job != NULL) {
		cache_unpark(c, e);
		return;
	}
	/* no random bits came with it: each entry has jitter of its own */
	if (e->expired)
		due_boot_ms = cache_next_ordinary(c, e,
		    slab_number(&c->entries, e) * 2654435761u, now);
	cache_set_due(c, e, due_boot_ms);
}

void
cache_install_negative(struct cache *c, struct cache_entry *e, int error,
    const struct now *now)
{
	bool news = e->object != NULL || e->missed;

	cache_empty(c, e, error, now);
	e->missed = false;
	e->gone = true;
	if (news)
		cache_tell(c, e, CACHE_EVENT_GONE);
}

void
cache_clear(struct cache *c, struct cache_entry *e, const struct now *now)
{
	if (e->object != NULL)
		e->missed = true;
	cache_empty(c, e, ERR_AGAIN, now);
}

void
cache_doubt(struct cache *c, struct cache_entry *e, const struct now *now)
{
	e->doubted = true;
	if (e->job == NULL)
		cache_set_due(c, e, now->boot_ms);
}

void
cache_refresh_failed(struct cache *c, struct cache_entry *e, int error,
    uint64_t retry_ms, const struct now *now)
{
	if (e->object == NULL) {
		e->last_error = (int8_t)error;
		if (e->due_slot == CACHE_NOT_IN_HEAP)
			cache_set_due(c, e,
			    now->boot_ms + c->cfg.negative_ttl_ms);
		return;
	}
	cache_latch_expired(c, now);
	cache_account(c, e, false);
	e->doubted = false;
	e->last_error = (int8_t)error;
	if (e->failures < UINT16_MAX)
		e->failures++;
	cache_account(c, e, true);
	cache_set_due(c, e, now->boot_ms + retry_ms);
	c->stats.changes += e->failures == 1;
	if (e->failures == 1 && !e->expired && !e->told_stale) {
		e->told_stale = true;
		cache_tell(c, e, CACHE_EVENT_STALE);
	}
}

/* --- of another run --- */

/* Age and standing of an object that has just been put into e. */
static void
cache_restore_times(struct cache *c, struct cache_entry *e,
    const struct cache_restored *r, const struct now *now)
{
	e->confirmed_boot_ms = now->boot_ms - r->age_ms;
	e->read_boot_ms = now->boot_ms - r->read_age_ms;
	e->reread_boot_ms = now->boot_ms +
	    (r->reread_in_ms < c->cfg.reread_interval_ms ? r->reread_in_ms
	    : c->cfg.reread_interval_ms);
	e->failures = r->failures < UINT16_MAX ? (uint16_t)r->failures
	    : UINT16_MAX;
	if (r->expired) {
		e->expired = true;
		e->expired_boot_ms = r->expired_age_ms > INT64_MAX / 2
		    ? INT64_MIN / 2
		    : (int64_t)now->boot_ms - (int64_t)r->expired_age_ms;
	}
	e->told_stale = e->failures > 0 && !e->expired;
}

int
cache_restore(struct cache *c, const struct cache_restored *r,
    uint64_t spread_ms, uint32_t rnd, const struct now *now)
{
	struct cache_entry *e = cache_find(c, &r->key);
	bool made = e == NULL;

	if (!made && (e->object != NULL || e->job != NULL || e->missed ||
	    e->gone || e->negative_error != ERR_AGAIN))
		return 0;
	if (made)
		e = cache_get(c, &r->key, now);
	if (e == NULL || (r->object->expires_at != MSG_NO_TIME &&
	    heap_reserve(&c->expiry, (size_t)c->expiry.count + 1) != 0)) {
		if (made && e != NULL)
			cache_drop(c, e);
		return ERR_NOMEM;
	}
	assert(cache_has_id(e, object_id(r->object)));
	if (c->stats.bytes - cache_entry_bytes(e) > c->cfg.max_bytes ||
	    cache_cost(r->object) > c->cfg.max_bytes -
	    (c->stats.bytes - cache_entry_bytes(e))) {
		if (made)
			cache_drop(c, e);
		return ERR_TOO_LARGE;
	}
	cache_replace(c, e, object_ref(r->object), now);
	cache_restore_times(c, e, r, now);
	cache_account(c, e, true);
	if (!e->expired && cache_past_expiry(c, e->object, now))
		cache_expire(c, e, now);
	cache_set_due(c, e, cache_next_restored(c, e, r->age_ms, spread_ms,
	    rnd, now));
	cache_schedule_expiry(c, e, rnd, now);
	return 0;
}

/* --- room --- */

size_t
cache_evict(struct cache *c, size_t want)
{
	return cache_evict_others(c, NULL, false, want, NULL);
}
