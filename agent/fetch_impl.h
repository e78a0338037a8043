/*
 * What the parts of fetch share: fetch.c carries reads out, fetch_find.c finds
 * what is there, fetch_service.c hears of the service as a whole, relay.c hands
 * on what is no read of the cache, and fetch_write.c knows what that makes
 * void.  For nobody else.
 */
#ifndef AGENT_FETCH_IMPL_H
#define AGENT_FETCH_IMPL_H

#include <sys/queue.h>

#include "endpoints.h"
#include "fetch.h"
#include "lookup.h"
#include "names.h"

struct relay;
struct revalidate;
struct timer;
struct walltimer;

TAILQ_HEAD(wait_list, fetch_wait);
LIST_HEAD(relay_list, relay);

/* One caller that has to wait; lookup says for what. */
struct fetch_wait {
	TAILQ_ENTRY(fetch_wait) link;
	struct fetch *f;
	struct wait_list *on;	/* the list it is in */
	struct reading *reading; /* that one's waits are on, or NULL */
	struct lookup lookup;	/* its name points to the copy below */
	fetch_cb *cb;
	void *arg;
	struct fetch_result result; /* once it is on the ready list */
	char name[];
};

/* One read of an entry under way; the entry's job points here. */
struct reading {
	struct fetch *f;
	struct cache_entry *entry;
	struct job *job;
	struct wait_list waits;
	bool made_room;		/* has evicted for it once */
};

struct fetch {
	struct fetch_config cfg;
	struct event_base *base;
	struct cache *cache;
	struct jobs *jobs;
	struct names *names;
	struct revalidate *revalidate;
	struct metrics *metrics;
	struct fetch_hooks hooks;
	struct timer *due;
	struct timer *deliver;
	struct timer *grace;
	struct walltimer *wall;
	uint64_t grace_until_boot_ms; /* while unauthorized */
	uint64_t names_quiet_until_boot_ms; /* a listing that is old but there
				 * is not renewed for readers */
	bool unauthorized;
	bool wiped;		/* and the grace is over */
	bool can_judge;		/* expiry; as was told last */
	bool offline;
	struct wait_list on_secret_names;
	struct wait_list on_key_names;
	struct wait_list ready;
	struct relay_list relays;	/* all that have not ended */
	size_t relays_left_bytes; /* bodies that those keep whose callers have
				 * left */
};

/*
 * The last probe before the service is back may be 15 s and a sixteenth away:
 * with this, all is fresh again within 20 s.
 */
#define FETCH_RECOVERY_SPREAD_MS 3500

/* In fetch.c: refresh what is due. */
void fetch_due_cb(void *arg);
/* Read it by its id, unless that is under way.  0 or ERR_NOMEM. */
int fetch_start_reading(struct fetch *f, struct cache_entry *e);
/* In fetch_service.c: hooks of jobs, and timers. */
bool fetch_reload_key(void *arg);
bool fetch_key_pending(void *arg);
void fetch_state_changed(void *arg);
void fetch_heard(void *arg, int64_t date_ms);
void fetch_grace_cb(void *arg);
void fetch_wall_cb(void *arg, bool stepped);
/* unauthorized-grace was before_ms: another end of one that has begun. */
void fetch_move_grace(struct fetch *f, uint64_t before_ms,
    const struct now *now);
/* Set the timer to what is due next. */
void fetch_schedule(struct fetch *f, const struct now *now);

/* In relay.c: takes back what is under way, without callbacks. */
void fetch_free_relays(struct fetch *f);

/* What came of a request that may have changed something. */
enum fetch_outcome {
	FETCH_DONE,		/* the service says so */
	FETCH_PERHAPS,		/* no answer, or that it failed */
};

struct fetch_write {
	enum fetch_outcome outcome;
	unsigned int drops;	/* enum endpoint_drops */
	bool removes;		/* it is no longer there, or not readable */
	struct view id;		/* of what it was about; empty: none */
	struct view request;	/* bodies; secret memory, may be empty */
	struct view answer;
};

/*
 * In fetch_write.c: something was written, or may have been; now, before
 * anybody learns of it.
 */
void fetch_written(struct fetch *f, const struct fetch_write *w);

#endif /* AGENT_FETCH_IMPL_H */
