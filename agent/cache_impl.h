/*
 * What the parts of the cache share: cache.c holds entries and what the
 * service said of them, cache_time.c decides when something is to happen, and
 * what that means for what may be served.  For nobody else.
 */
#ifndef AGENT_CACHE_IMPL_H
#define AGENT_CACHE_IMPL_H

#include "cache.h"
#include "hash.h"
#include "heap.h"
#include "slab.h"

struct cache {
	struct cache_config cfg;
	bool grouped;
	uint32_t reread_place;	/* of the newest entry's first reread, in 2^-32
				 * of the interval; 0: there was none */
	struct hash_key hash_key;
	struct slab entries;
	uint32_t *buckets;	/* linear hashing: grows by one at a time */
	uint32_t nbuckets;
	uint32_t buckets_cap;
	uint32_t buckets_low;	/* the greatest power of two <= nbuckets */
	uint32_t count;		/* entries of all kinds */
	uint32_t oldest;	/* by last read; SLAB_NONE: no entry */
	uint32_t newest;
	struct heap due;	/* by when, on the boot clock */
	struct heap parked;	/* waiting for a listing, in no order */
	struct heap expiry;	/* of all that can expire and have not: by the
				 * next thing to do for it, on wall time */
	bool has_floor;
	int64_t floor_wall_ms;	/* see cache_set_wall_floor() */
	uint64_t floor_boot_ms;
	struct cache_stats stats;
	void (*watcher)(void *arg, const struct cache_entry *e,
	    enum cache_event ev);
	void *watcher_arg;
};

static inline struct cache_entry *
cache_at(const struct cache *c, uint32_t number)
{
	return number == SLAB_NONE ? NULL : slab_at(&c->entries, number);
}

static inline void
cache_tell(struct cache *c, const struct cache_entry *e, enum cache_event ev)
{
	if (c->watcher != NULL)
		c->watcher(c->watcher_arg, e, ev);
}

/* --- cache_time.c --- */

/* Put it on the due list, or elsewhere on it. */
void cache_set_due(struct cache *c, struct cache_entry *e,
    uint64_t due_boot_ms);
/* Take it off, and from those that are parked. */
void cache_clear_due(struct cache *c, struct cache_entry *e);

/*
 * The next moments because of expiresAt: refresh_lead (and some jitter) before
 * it, then at it.  There must be room in the heap.  May tell that it expires.
 */
void cache_schedule_expiry(struct cache *c, struct cache_entry *e,
    uint32_t rnd, const struct now *now);
void cache_clear_expiry(struct cache *c, struct cache_entry *e);

/* All whose expiry has passed by now; from here on that is a fact. */
void cache_latch_expired(struct cache *c, const struct now *now);

/* Is that so for an object that comes now? */
bool cache_past_expiry(const struct cache *c, const struct object *o,
    const struct now *now);

/* It has expired, just now or at expiresAt. */
void cache_expire(struct cache *c, struct cache_entry *e,
    const struct now *now);

/* When what was confirmed now is to be refreshed next. */
uint64_t cache_next_ordinary(const struct cache *c,
    const struct cache_entry *e, uint32_t rnd, const struct now *now);

/* The same for what was restored with such an age. */
uint64_t cache_next_restored(const struct cache *c,
    const struct cache_entry *e, uint64_t age_ms, uint64_t spread_ms,
    uint32_t rnd, const struct now *now);

/* When it is read by its id next, whatever listings say. */
uint64_t cache_next_reread(struct cache *c, bool first, uint32_t rnd,
    const struct now *now);

#endif /* AGENT_CACHE_IMPL_H */
