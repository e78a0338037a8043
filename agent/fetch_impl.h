/*
 * What fetch.c, fetch_find.c and fetch_service.c share: the first carries reads
 * out, the second finds what is there, the third hears of the service as a
 * whole.  For nobody else.
 */
#ifndef AGENT_FETCH_IMPL_H
#define AGENT_FETCH_IMPL_H

#include <sys/queue.h>

#include "fetch.h"
#include "lookup.h"
#include "names.h"

struct revalidate;
struct timer;
struct walltimer;

TAILQ_HEAD(wait_list, fetch_wait);

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
};

/*
 * The last probe before the service is back may be 15 s and a sixteenth away:
 * with this, all is fresh again within 20 s.
 */
#define FETCH_RECOVERY_SPREAD_MS 3500

/* In fetch.c: refresh what is due. */
void fetch_due_cb(void *arg);
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

#endif /* AGENT_FETCH_IMPL_H */
