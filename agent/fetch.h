/*
 * Reading through the cache: from a reference and the caller's terms to an
 * answer, with one upstream read shared by all who wait for the same thing,
 * and refreshes behind the answers.
 *
 * Who may read what is not its business: the caller asks the policy, before
 * for what was asked for and afterwards for what was found.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_FETCH_H
#define AGENT_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "cache.h"
#include "clock.h"
#include "jobs.h"
#include "listing.h"
#include "metrics.h"
#include "msg.h"
#include "object.h"
#include "ref.h"

struct event_base;
struct fetch;
struct fetch_wait;

#define FETCH_MESSAGE_MAX 512

struct fetch_config {
	struct cache_config cache;
	uint64_t unauthorized_grace_ms;
	unsigned int max_in_flight;
};

struct fetch_hooks {
	bool (*reload_key)(void *arg);	/* as in struct jobs_hooks */
	bool (*key_pending)(void *arg);	/* likewise; may be NULL */
	void (*state_changed)(void *arg);
	void (*wiped)(void *arg); /* unauthorized-grace is over */
	/* whether it can be told what has expired changed; may be NULL */
	void (*judging)(void *arg, bool can);
	/* what happens to cached values; may be NULL.  As cache_set_watcher(),
	 * and it must not end a wait */
	void (*event)(void *arg, const struct cache_entry *e,
	    enum cache_event ev);
	void *arg;
};

/* What to read, and on what terms. */
struct fetch_query {
	const struct ref *ref;
	uint64_t max_age_ms;	/* MSG_NO_LIMIT: the agent's own rules */
	uint64_t max_stale_ms;
	bool only_if_cached;
	bool fresh;		/* confirmed after this call, or an error */
	bool quiet;		/* no read of a caller: counts for nothing */
	bool patient;		/* its caller waits for much: others go first */
	bool preload;		/* nobody waits: all others go first */
};

struct fetch_result {
	int error;		/* 0 or ERR_* */
	struct object *object;	/* without error; the receiver's reference */
	enum msg_freshness freshness;
	uint64_t age_ms;
	struct listing *listing; /* lists: in place of object */
	char message[FETCH_MESSAGE_MAX]; /* with an error: a sentence */
};

/* Called once for each wait that is not cancelled. */
typedef void fetch_cb(void *arg, struct fetch_result *result);

/* up stays the caller's and must outlive it.  NULL for no memory. */
struct fetch *fetch_new(struct event_base *base, struct upstream *up,
    const struct fetch_config *cfg, const struct fetch_hooks *hooks,
    struct metrics *metrics);
/* All waits must have been cancelled. */
void fetch_free(struct fetch *f);

/* Other settings from now on. */
void fetch_configure(struct fetch *f, const struct fetch_config *cfg);

/*
 * Answer now if that can be, else start or join what it takes.
 * Returns 0 with *result filled (an error in it, perhaps), or ERR_AGAIN: cb
 * will be called, never from within; ret_wait can be cancelled until then.
 */
int fetch_get(struct fetch *f, const struct fetch_query *q,
    const struct now *now, struct fetch_result *result, fetch_cb *cb,
    struct fetch_wait **ret_wait);

/* The listing of the secrets or keys; otherwise as fetch_get(). */
int fetch_list(struct fetch *f, enum ref_kind kind, const struct fetch_query *q,
    const struct now *now, struct fetch_result *result, fetch_cb *cb,
    struct fetch_wait **ret_wait);

/* The argument of cb: to be set before the loop goes on. */
void fetch_set_arg(struct fetch_wait *w, void *arg);

/*
 * The caller's time is up: the best that is cached within its terms, else
 * ERR_TIMEOUT.  Ends the wait without a callback.
 */
void fetch_give_up(struct fetch_wait *w, const struct now *now,
    struct fetch_result *result);

/* The callback will not be called; what was started goes on. */
void fetch_cancel(struct fetch_wait *w);

/*
 * Drop what is cached under a reference: the newest version, or all versions
 * if it pins none, or all forms of a key.  Returns how many entries went.
 */
size_t fetch_purge(struct fetch *f, const struct ref *ref);
/* Everything cached and both listings. */
size_t fetch_purge_all(struct fetch *f);

/*
 * Id and name of what a text means, as an id or a name, as far as the newest
 * versions cached and the listing tell; nothing is asked, and it takes no
 * longer for a full cache.  Views die with the next event.
 * Returns 0, ERR_NOT_FOUND, or ERR_AMBIGUOUS: ret_id and ret_name are the ids
 * of two then.
 */
int fetch_known(struct fetch *f, enum ref_kind kind, struct view text,
    struct view *ret_id, struct view *ret_name);

/*
 * The same for a reference, looking through all that is cached: a name that no
 * listing has, a key of which only another form is there.  ret_name may be
 * empty.
 */
int fetch_identify(struct fetch *f, const struct ref *ref,
    struct view *ret_id, struct view *ret_name);

/*
 * The name of what was found.  Not every form of a key tells it: then what
 * the listing or the cached whole key says; empty if nothing does.  The view
 * dies with the next event.
 */
struct view fetch_name_of(struct fetch *f, const struct object *o);

/*
 * Is this text the id of something, or does it look like one, so that a name
 * which the service gives decides about it?
 */
bool fetch_may_be_id(struct fetch *f, enum ref_kind kind, struct view text);

/* Mark as never to be evicted once it is cached (preload). */
void fetch_keep(struct fetch *f, const struct ref *ref);
/* And no longer: it may be evicted as others are. */
void fetch_release(struct fetch *f, const struct ref *ref);

/* What callers are told of a state; MSG_FRESHNESS_NONE without a value. */
enum msg_freshness fetch_freshness(enum cache_state state);

/* Where the value of a reference stands; nothing is asked of the service. */
struct fetch_standing {
	struct cache_entry *entry; /* NULL: it is not cached */
	enum cache_state state;
	uint64_t age_ms;	/* where there is an object */
	uint64_t next_refresh_ms; /* from now; UINT64_MAX: none is planned */
	uint64_t expires_ms;	/* as cache_expires_ms(); where there is one */
	uint64_t usable_ms;	/* from now, until neither max-stale nor
				 * expiresAt lets it be served, should the
				 * service stay away; UINT64_MAX: no end */
	int last_error;		/* of the newest refresh; 0: none */
};

/* Views and entry die with the next event. */
void fetch_stand(struct fetch *f, const struct ref *ref,
    const struct now *now, struct fetch_standing *ret);
/* The same for an entry, when walking the cache. */
void fetch_stand_entry(struct fetch *f, struct cache_entry *e,
    const struct now *now, struct fetch_standing *ret);

/*
 * Behave as if the service could not be reached (drill), or no longer so.
 * What is under way is taken back.
 */
void fetch_set_offline(struct fetch *f, bool offline);
bool fetch_is_offline(const struct fetch *f);

/* Another API key is in force: what was refused for the old one is asked again. */
void fetch_key_changed(struct fetch *f);
/* Or the one in force stays: what key_pending() had wait is refused. */
void fetch_key_settled(struct fetch *f);

/* How values are refreshed, and why so: revalidate_mode(). */
const char *fetch_revalidation(const struct fetch *f);

/* The listings, to save and restore them. */
struct names *fetch_names(struct fetch *f);
/* Entries were restored: look when they are due. */
void fetch_restored(struct fetch *f);

/* The cache, to walk it or read its figures. */
struct cache *fetch_cache(struct fetch *f);
void fetch_get_stats(const struct fetch *f, struct jobs_stats *ret_stats);

#endif /* AGENT_FETCH_H */
