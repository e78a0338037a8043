/*
 * What is watched: which cached values, by whom, and what happened to them
 * that has not been told yet.
 *
 * A subscriber is told by a callback that something is there, and takes it
 * when it can be sent.  Until then at most one of each kind is kept for each
 * reference, so who does not listen takes no memory.
 *
 * It knows no policy and no sessions; subscribe does.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_WATCH_H
#define AGENT_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <sys/queue.h>

#include "cache.h"
#include "fetch.h"
#include "position.h"

struct event_base;
struct watch;
struct watch_target;

#define WATCH_EVENTS 6
#define WATCH_BIT(ev) ((uint8_t)(1u << (ev)))

/* How a subscription stands. */
enum watch_state {
	WATCH_BOUND,	/* to a cached value, or to one that was */
	WATCH_ABSENT,	/* the service has nothing of this name or id */
	WATCH_UNKNOWN,	/* it could not be asked */
};

/* One reference of one subscriber, embedded in what is the subscriber's. */
struct watch_sub {
	TAILQ_ENTRY(watch_sub) link;	/* of all */
	TAILQ_ENTRY(watch_sub) target_link;
	struct watch *w;
	struct watch_target *target;	/* NULL: none was found yet */
	enum watch_state state;
	enum ref_kind kind;
	struct view text;	/* id or name, as asked for; the owner's, and
				 * as long as the subscription */
	uint8_t pending;	/* WATCH_BIT() of what is to be told */
	bool look_again;	/* what the text means has to be found anew */
	bool recheck;		/* another policy is in force */
	unsigned int tries;	/* in WATCH_UNKNOWN */
	uint64_t again_boot_ms;	/* then too: when to look again */
	void (*ready)(void *arg); /* pending, look_again or recheck is set;
				 * from the loop or watch_recheck(), never
				 * from within the cache.  May not end
				 * another subscription */
	void *arg;
};

/* Sets what has happened beside what is pending already. */
uint8_t watch_coalesce(uint8_t pending, enum cache_event ev);

/*
 * position_key: as position_key() makes it; the caller's, and must outlive
 * it.  NULL for no memory.
 */
struct watch *watch_new(struct event_base *base, struct fetch *f,
    const struct secmem *position_key);
/* All subscriptions must have ended. */
void watch_free(struct watch *w);
/* How long what the service does not have is let be, before it is asked. */
void watch_configure(struct watch *w, uint64_t refresh_interval_ms);

/* A fetch_hooks.event: only takes note. */
void watch_event(struct watch *w, const struct cache_entry *e,
    enum cache_event ev);

/* Another policy is in force: each subscriber is to look whether it may. */
void watch_recheck(struct watch *w);

/* Begin, in WATCH_UNKNOWN; ready and arg as above. */
void watch_begin(struct watch *w, struct watch_sub *sub, enum ref_kind kind,
    struct view text, void (*ready)(void *arg), void *arg);
void watch_end(struct watch_sub *sub);

/*
 * The text means this entry.  Moves the subscription there, keeps the entry
 * from going idle.  Returns 0; ERR_NOT_FOUND: it is not in the cache (any
 * more), ERR_NOMEM.
 */
int watch_bind(struct watch_sub *sub, const struct cache_key *key);

/* Does it hang on this entry already? */
bool watch_is_bound_to(const struct watch_sub *sub,
    const struct cache_key *key);

/*
 * The service has no such thing, or (unless definite) could not be asked.
 * What it was bound to it stays bound to, so that it is seen when it comes
 * back.
 */
void watch_lost(struct watch_sub *sub, bool definite, const struct now *now);

/* The entry that it hangs on; NULL if there is none.  Dies with the event. */
struct cache_entry *watch_entry(const struct watch_sub *sub);

/* Where the value is now; all zero if none is held. */
void watch_position(struct watch_sub *sub, struct position *ret);

/* What is to be told; it is the caller's to tell from here. */
uint8_t watch_take(struct watch_sub *sub);

/* Was it asked for by name, and not by the id that it hangs on? */
bool watch_is_by_name(const struct watch_sub *sub);

/* Figures. */
struct watch_stats {
	size_t subscriptions;
	size_t values;		/* that they are about */
};

void watch_get_stats(const struct watch *w, struct watch_stats *ret_stats);

#endif /* AGENT_WATCH_H */
