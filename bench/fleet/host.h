/*
 * One machine of the fleet: the agent's own fetch (and with it cache, jobs,
 * names, breaker, backoff) under virtual time, and programs that read each of
 * its secrets, by name, once a minute.
 */
#ifndef FLEET_HOST_H
#define FLEET_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "service.h"

struct host;
struct host_saved;

#define HOST_READ_EVERY_MS 60000
#define HOST_REREAD_S 86400	/* reread-interval */
#define HOST_DEADLINE_MS 10000	/* qapi-agent's --timeout */

struct host_config {
	unsigned int secrets;
	uint64_t refresh_interval_ms;
	uint64_t max_stale_ms;
	unsigned int max_in_flight;
	unsigned int boot_spread_ms; /* programs read all within that of a
				 * start of theirs */
	bool by_id;		/* they read by id, not by name */
};

/* What readers got.  One for all hosts. */
struct host_stats {
	uint64_t reads;
	uint64_t stale;		/* answers marked stale */
	uint64_t outdated;	/* a newer version was there already */
	uint64_t failed;
	uint64_t timeouts;	/* of those, by their own deadline */
	uint64_t too_old;	/* of those, by max-stale */
	uint64_t oldest_ms;	/* greatest age of an answer */
};

/*
 * Not running yet.  cfg, names (of the secrets, in order) and *stats are
 * shared and outlive it; *stats may be pointed elsewhere at any time.
 */
struct host *host_new(unsigned int index, struct service *s,
    const struct host_config *cfg, char (*names)[SERVICE_NAME_MAX],
    struct host_stats **stats);
void host_free(struct host *h);

/*
 * Start the agent, with what an earlier run left (NULL: nothing), and the
 * programs with it.
 */
void host_start(struct host *h, const struct host_saved *saved);
/* As a machine that loses power. */
void host_stop(struct host *h);

/* What a state file would hold; free it after the last use. */
struct host_saved *host_save(struct host *h);
void host_saved_free(struct host_saved *saved);

/* All secrets held, none marked stale. */
bool host_is_fresh(struct host *h);
/* How many are not. */
unsigned int host_unfresh(struct host *h);
/* Has a read failed because of max-stale since it was made? */
bool host_was_too_old(const struct host *h);
/* Entries that are not the service's newest version, or not fresh. */
unsigned int host_wrong(struct host *h);
/* Requests sent since it was made, as the agent's own counters have it. */
uint64_t host_requests(const struct host *h);

#endif /* FLEET_HOST_H */
