/*
 * Refreshes by listing: one page of it tells version, updatedAt, expiresAt and
 * isActive of up to 200 secrets, so that only those that changed are read by
 * their id.  Chosen where it saves requests (more than ten an interval: a read
 * by id tells more than a row, as that this one may not be read any more).
 * Where the key may not list, or the rows lack those members, each is read as ever.
 *
 * A due entry that is left to the listing is parked in the cache.  Nobody
 * waits for it: a caller that wants it newer reads it by itself.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_REVALIDATE_H
#define AGENT_REVALIDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache.h"
#include "names.h"

struct event_base;
struct revalidate;

struct revalidate_hooks {
	/* It changed, or nothing is known of it: read it by its id. */
	void (*read)(void *arg, struct cache_entry *e, const struct now *now);
	/* The listing failed: when to try again, the same for all of them. */
	uint64_t (*retry_ms)(void *arg, const struct cache_entry *e, int error,
	    const struct now *now);
	/* Something was made due, confirmed or failed: look at the timers. */
	void (*settled)(void *arg, const struct now *now);
	void *arg;
};

/* cache and names must outlive it.  NULL for no memory. */
struct revalidate *revalidate_new(struct event_base *base,
    struct cache *cache, struct names *names,
    const struct revalidate_hooks *hooks);
void revalidate_free(struct revalidate *r);

void revalidate_configure(struct revalidate *r,
    uint64_t refresh_interval_ms);

/*
 * e is due.  True: a listing was asked for, or is under way, and e is parked
 * until it tells.  False: read it.  given_up: the service does not answer, so
 * this may be the next probe: then the listing, which brings most.
 */
bool revalidate_take(struct revalidate *r, struct cache_entry *e,
    bool given_up, const struct now *now);

/*
 * A page of the secrets arrived; asked_boot_ms: when it was asked for.
 * Returns false where its sequels are of no use here.
 */
bool revalidate_page(struct revalidate *r, const struct upstream_page *page,
    uint64_t asked_boot_ms, const struct now *now);

/* The renewal of the secrets' listing has ended; error: ERR_* or 0. */
void revalidate_end(struct revalidate *r, int error, const struct now *now);

/* Another API key: it may be allowed to list. */
void revalidate_key_changed(struct revalidate *r);

/* What is done, and why, for the status: "listing", "single reads: ...". */
const char *revalidate_mode(const struct revalidate *r);

#endif /* AGENT_REVALIDATE_H */
