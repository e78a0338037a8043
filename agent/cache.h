/*
 * The cache: what is held, how old it is, whether it may be served, what is
 * due.  A pure data structure: it fetches nothing, has no timers and reads no
 * clock; the time is an argument.
 *
 * An entry is one thing as the service is asked for it: the newest version of
 * a secret, one pinned version, one form of a public key.  It holds an object,
 * or (negative) the definite refusal that the service gave, for negative_ttl.
 *
 * Times: confirmed, due and read run on the boot clock, expiry on wall time.
 * What another run of the agent confirmed or read may lie before the boot, so
 * such a time is only ever looked at as an age: now less it, modulo 2^64.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_CACHE_H
#define AGENT_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "object.h"

struct cache;

struct cache_config {
	size_t max_bytes;
	uint64_t refresh_interval_ms;
	uint64_t refresh_lead_ms;	/* before expiresAt */
	uint64_t reread_interval_ms;	/* of pinned versions */
	uint64_t max_stale_ms;
	uint64_t negative_ttl_ms;
	uint64_t idle_evict_ms;
	uint64_t serve_expired_ms;	/* 0: never */
	uint64_t phase;			/* this host's: a hash of its machine id.
					 * Hosts that boot together do not ask
					 * together.  0: as good as any */
};

/* What happened to a value, for those who watch it. */
enum cache_event {
	CACHE_EVENT_CHANGED,
	CACHE_EVENT_EXPIRING,	/* refresh_lead before expiresAt */
	CACHE_EVENT_EXPIRED,
	CACHE_EVENT_GONE,	/* a definite no of the service */
	CACHE_EVENT_STALE,	/* a due refresh failed, for the first time */
	CACHE_EVENT_FRESH_AGAIN, /* confirmed after CACHE_EVENT_STALE */
};

/* What an entry is asked for by. */
struct cache_key {
	enum ref_kind kind;
	enum ref_format format;		/* keys */
	uint64_t version;		/* secrets: pinned, else 0 */
	struct view id;
};

/*
 * A wall clock before this cannot be true: this code is younger.  2026-01-01
 * 00:00:00 UTC; raised with releases.
 */
#define CACHE_WALL_PLAUSIBLE_MS INT64_C(1767225600000)

#define CACHE_NOT_IN_HEAP UINT32_MAX

/*
 * Fields are read freely, written by the cache alone unless marked.  100,000
 * of these are held, so it has no byte to spare: entries refer to one another
 * by number (slab.h), and the id lies in the object, or in what is left of it.
 */
struct cache_entry {
	struct object *object;	/* NULL: negative */
	union {
		struct object *label;	/* without an object: has the id */
		int64_t expired_boot_ms; /* with an object that expired: when,
					  * on the boot clock; may lie before
					  * the boot */
	};
	uint64_t confirmed_boot_ms;	/* the service said so, last */
	uint64_t reread_boot_ms;	/* from then on the next refresh is by id,
					 * whatever a listing says */
	uint64_t read_boot_ms;		/* last read by a caller */
	uint64_t version;		/* as in its key */
	void *job;			/* fetch's, while it reads this */
	uint32_t chain;			/* next in its hash bucket */
	uint32_t older;			/* by last read */
	uint32_t newer;
	uint32_t due_slot;		/* place on the due list, or among those
					 * that are parked */
	uint32_t expiry_slot;
	unsigned int watchers;	/* watch's: while not 0, neither idle nor
				 * evicted */
	uint16_t failures;	/* refreshes failed since confirmed, at most
				 * UINT16_MAX */
	int8_t negative_error;	/* ERR_* of a negative entry */
	int8_t last_error;	/* of the newest refresh, 0: none */
	uint8_t expired_reads;	/* confirmed since it expired */
	enum ref_kind kind : 2;
	enum ref_format format : 3;
	bool expired : 1;	/* seen past expiresAt: stays so, whatever the
				 * wall clock does next */
	bool kept : 1;		/* preload's: never evicted */
	bool parked : 1;	/* waits for a listing */
	bool told_expiring : 1;	/* of the expiresAt that it has */
	bool told_stale : 1;	/* and not yet that it is fresh again */
	bool missed : 1;	/* had a value, which cache_clear() dropped */
	bool gone : 1;		/* refused, and no value came since */
	bool doubted : 1;	/* see cache_doubt() */
};

enum cache_state {
	CACHE_NONE,		/* no entry, or nothing servable in it */
	CACHE_FRESH,
	CACHE_STALE,		/* a due refresh failed; within max_stale */
	CACHE_GRACE,		/* expired, within serve_expired */
	CACHE_EXPIRED,		/* expired, not servable */
	CACHE_TOO_OLD,		/* stale for longer than max_stale */
	CACHE_NEGATIVE,		/* negative_error is the answer */
	CACHE_UNJUDGED,		/* it has an expiresAt, and nobody knows what
				 * time it is, see cache_can_judge(): not
				 * servable */
};

struct cache_stats {
	size_t secrets;		/* entries with an object */
	size_t keys;
	size_t negatives;
	size_t stale;		/* entries in CACHE_STALE by failures */
	size_t bytes;		/* what all of it really takes */
	size_t max_bytes;
	uint64_t evictions;
	uint64_t changes;	/* contents came, changed or went, expired or
				 * became stale: a counter */
	uint64_t confirms;	/* only their age became less: likewise */
};

/* NULL for no memory. */
struct cache *cache_new(const struct cache_config *cfg);
/* Drops and wipes everything.  No entry may have a job. */
void cache_free(struct cache *c);
/* Another configuration; entries over the budget go at the next install. */
void cache_configure(struct cache *c, const struct cache_config *cfg);

/*
 * Whom to tell what happens to values, each thing once.  From within the calls
 * below, so cb must not call back into the cache; e is as it is afterwards,
 * for CACHE_EVENT_GONE without its object.
 *
 * CHANGED: something that a caller sees differs, or a value is there where the
 * service had refused one, or where cache_clear() had dropped one (nobody
 * knows then whether it is another).  GONE: refused where there was one, or
 * where cache_clear() had dropped one.  EXPIRING and EXPIRED: once for each
 * expiresAt.  STALE: at the first failure, unless it has expired; FRESH_AGAIN:
 * when that is over.  Nothing is told of what is purged, evicted, restored, or
 * held for the first time, but that it expires.
 */
void cache_set_watcher(struct cache *c,
    void (*cb)(void *arg, const struct cache_entry *e, enum cache_event ev),
    void *arg);

/*
 * A lower bound of the wall clock that is not this machine's: the Date of an
 * answer by the service, as of now.  It goes on with the boot clock and never
 * goes down.  Expiry is judged by the later of the two, and at once, so that
 * values may expire here.
 */
void cache_set_wall_floor(struct cache *c, int64_t wall_ms,
    const struct now *now);

/*
 * Does anybody know what time it is?  False while the wall clock (with the
 * lower bound) is before CACHE_WALL_PLAUSIBLE_MS, as on a machine that boots
 * in 1970: no expiry can be judged until it is set, or the service heard.
 */
bool cache_can_judge(const struct cache *c, const struct now *now);

/* Find an entry; NULL if there is none.  Does not count as a read. */
struct cache_entry *cache_find(struct cache *c, const struct cache_key *key);

/*
 * Find or make an entry, negative with ERR_AGAIN until something is installed
 * (CACHE_NONE).  NULL for no memory.
 */
struct cache_entry *cache_get(struct cache *c, const struct cache_key *key,
    const struct now *now);

/*
 * The id; a NUL follows it.  Valid until something is installed in e, or e is
 * dropped.
 */
struct view cache_id(const struct cache_entry *e);
bool cache_has_id(const struct cache_entry *e, struct view id);

/* When its next refresh is due; UINT64_MAX while it is not on the due list. */
uint64_t cache_due_boot_ms(const struct cache *c, const struct cache_entry *e);

/* What it takes in cache_stats.bytes. */
size_t cache_entry_bytes(const struct cache_entry *e);

/* What may be served now.  Latches expiry, so it is not const. */
enum cache_state cache_state(struct cache *c, struct cache_entry *e,
    const struct now *now);

/*
 * Milliseconds until its expiresAt, by the time that expiry is judged by: 0 if
 * it has expired, UINT64_MAX if it never does.  e has an object.
 */
uint64_t cache_expires_ms(const struct cache *c, const struct cache_entry *e,
    const struct now *now);
/* Is that within refresh_lead, and the jitter of it?  Or has it expired? */
bool cache_expires_soon(const struct cache *c, const struct cache_entry *e,
    const struct now *now);

/* Milliseconds since the service confirmed it. */
uint64_t cache_age(const struct cache_entry *e, const struct now *now);

/* A caller read it: moves it in the LRU order, keeps it from going idle. */
void cache_touch(struct cache *c, struct cache_entry *e, const struct now *now);

/*
 * The service confirmed this object, which has the entry's id: replaces what
 * is held as one step and makes room by dropping others, but none that is kept
 * or watched.  rnd: 32 random bits, for jitter.  Takes a reference of its own.
 * ret_changed (may be NULL): something a caller sees differs from before.
 * Returns 0; ERR_TOO_LARGE: it can never fit, or not beside what must stay;
 * or ERR_NOMEM.  After an error the entry is unchanged.
 */
int cache_install(struct cache *c, struct cache_entry *e, struct object *o,
    uint32_t rnd, const struct now *now, bool *ret_changed);

/*
 * A listing that was asked for at sent_boot_ms shows what is held to be
 * current.  due_boot_ms: the next refresh, for all that it confirmed; where a
 * value has expired, which this does not end, it comes by backoff instead, and
 * where a job is under way it is left alone.  What was confirmed later than
 * sent_boot_ms only becomes due.
 */
void cache_confirm(struct cache *c, struct cache_entry *e,
    uint64_t sent_boot_ms, uint64_t due_boot_ms, const struct now *now);

/*
 * Is its next refresh to be a read by its id, whatever a listing says?  That
 * comes every reread_interval.
 */
bool cache_wants_reread(const struct cache *c, const struct cache_entry *e,
    const struct now *now);

/*
 * e, which cache_next_due() gave out, waits for a listing.  Whatever is
 * installed, confirmed or failed for it ends that.  Returns 0 or ERR_NOMEM.
 */
int cache_park(struct cache *c, struct cache_entry *e);
/* It waits no longer; it is not due either until something happens to it. */
void cache_unpark(struct cache *c, struct cache_entry *e);
/* One that waits, or NULL. */
struct cache_entry *cache_parked(const struct cache *c);

/*
 * When to refresh next what was confirmed now, on this host's phase: at most
 * interval_ms from now and not before a quarter of it, the same moment of each
 * interval for the same what on the same host, or up to a sixteenth of it
 * later.  rnd: 32 random bits.
 */
uint64_t cache_next_phase(const struct cache *c, struct view what,
    uint64_t interval_ms, uint32_t rnd, const struct now *now);

/*
 * From now on all secrets (but pinned versions) have one phase, or again one
 * each: a listing refreshes all at once, so that the first of them to be due
 * stands for all.  At first they have one.
 */
void cache_set_grouped(struct cache *c, bool grouped);

/* That phase, until an interval is over. */
uint64_t cache_next_group(const struct cache *c, uint32_t rnd,
    const struct now *now);

/* An entry as another run of the agent left it. */
struct cache_restored {
	struct cache_key key;
	struct object *object;	/* not NULL */
	uint64_t age_ms;	/* since it was confirmed, downtime included */
	uint64_t read_age_ms;
	uint64_t reread_in_ms;
	unsigned int failures;	/* not 0: it was stale */
	bool expired;
	uint64_t expired_age_ms;
};

/*
 * Put it in, with its age, failures and expiry: due when it had been due, or
 * within spread_ms if that was before now.  Evicts nothing.  An entry of which
 * anything is known by now, or which is being read, stays as it is.  Least
 * recently read first, so that this stays their order.  Takes a reference of
 * its own.
 * Returns 0, ERR_TOO_LARGE (there is no room) or ERR_NOMEM.
 */
int cache_restore(struct cache *c, const struct cache_restored *r,
    uint64_t spread_ms, uint32_t rnd, const struct now *now);

/*
 * The service definitely refused: drops and wipes the value.  Where very many
 * refusals are remembered, this one is due to be forgotten at once.
 */
void cache_install_negative(struct cache *c, struct cache_entry *e, int error,
    const struct now *now);

/*
 * A refresh failed without a definite word.  retry_ms: when to try again; 0
 * leaves that to cache_make_due().
 */
void cache_refresh_failed(struct cache *c, struct cache_entry *e, int error,
    uint64_t retry_ms, const struct now *now);

/*
 * It may be another by now, which nobody knows: due at once.  Until a read of
 * it has ended, well or not, whoever asks for it is to wait for that.  e has
 * an object.
 */
void cache_doubt(struct cache *c, struct cache_entry *e,
    const struct now *now);

/* Drop and wipe the value but keep the entry: nothing is known (CACHE_NONE). */
void cache_clear(struct cache *c, struct cache_entry *e,
    const struct now *now);

/* Remove an entry without a job; wipes its value unless a reader holds it. */
void cache_drop(struct cache *c, struct cache_entry *e);

/*
 * Evict least useful entries until want bytes went or none is left; how many
 * went.
 */
size_t cache_evict(struct cache *c, size_t want);

/*
 * Everything whose last refresh failed becomes due within spread_ms from now,
 * at random: the service is back.  rnd as above, one for all.
 */
void cache_make_failed_due(struct cache *c, uint64_t spread_ms,
    uint64_t rnd, const struct now *now);

/*
 * The settings have changed: what is cached becomes due when it would be, had
 * they been so before, but no later than it is now; what is late already is
 * spread over a refresh interval.  Evicts what no longer fits.  rnd as above,
 * one for all.
 */
void cache_retime(struct cache *c, uint64_t rnd, const struct now *now);

/*
 * The next entry that wants a refresh now, or NULL.  It is taken off the due
 * list until it is installed, confirmed or failed.  Idle and over-aged
 * negative entries met on the way are dropped.  Before that, all values whose
 * time has come expire.
 */
struct cache_entry *cache_next_due(struct cache *c, const struct now *now);

/* Milliseconds until cache_next_due() is worth a call; UINT64_MAX: never. */
uint64_t cache_wait_ms(const struct cache *c, const struct now *now);

/*
 * Walk all entries, least recently read first; return false from cb to stop.
 * cb may drop e.
 */
void cache_foreach(struct cache *c,
    bool (*cb)(void *arg, struct cache_entry *e), void *arg);

/*
 * Walk the entries of the next bucket, in an order that neither reads nor
 * growth of the table disturb: an entry that is there from the first call to
 * the last is met exactly once.  *pos starts at 0.  False after the last
 * bucket.  cb must not add or drop entries.
 */
bool cache_iterate(struct cache *c, uint32_t *pos,
    void (*cb)(void *arg, struct cache_entry *e), void *arg);

/* Put the LRU list into the order of the last reads, after a restore. */
void cache_sort(struct cache *c, const struct now *now);

/* The wall floor as of now; INT64_MIN if none was ever set. */
int64_t cache_get_wall_floor(const struct cache *c, const struct now *now);

void cache_get_stats(const struct cache *c, struct cache_stats *ret_stats);

#endif /* AGENT_CACHE_H */
