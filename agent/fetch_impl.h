/*
 * What fetch.c and fetch_find.c share: the first carries reads out, the second
 * finds what is there.  For nobody else.
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
	bool can_judge;		/* expiry; as was told last */
	bool offline;
	struct wait_list on_secret_names;
	struct wait_list on_key_names;
	struct wait_list ready;
};

/* Set the timer to what is due next. */
void fetch_schedule(struct fetch *f, const struct now *now);

#endif /* AGENT_FETCH_IMPL_H */
