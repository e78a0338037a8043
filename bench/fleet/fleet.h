/*
 * A whole fleet through one scenario: what happens when, and what is measured.
 */
#ifndef FLEET_FLEET_H
#define FLEET_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host.h"
#include "service.h"

/* What befalls the fleet. */
enum fleet_event {
	FLEET_NOTHING,
	FLEET_REFUSED,		/* no connection */
	FLEET_HANGING,		/* accepted and not answered */
	FLEET_FAILING,		/* 503 */
	FLEET_RESTART,		/* all at the same moment, with nothing */
	FLEET_RESTART_STATE,	/* with what they held */
	FLEET_ROTATION,		/* each secret changes, within a minute */
};

struct fleet_scenario {
	const char *name;
	const char *title;
	enum fleet_event event;
	bool shared;		/* keys as agents_per_key says, else own */
	bool lists;		/* the keys may list */
};

struct fleet_options {
	unsigned int agents;
	unsigned int secrets;
	unsigned int agents_per_key;	/* where a scenario shares keys */
	unsigned int limit;
	unsigned int capacity;
	unsigned int queue_ms;
	unsigned int latency_ms;
	unsigned int interval_s;	/* refresh-interval */
	unsigned int outage_s;
	unsigned int off_s;		/* of a restart */
	unsigned int minutes;		/* the whole run */
	unsigned int jobs;		/* scenarios at a time */
	uint64_t seed;
	bool by_id;
	bool tell_rate;
};

enum fleet_window {
	FLEET_BEFORE,
	FLEET_DURING,
	FLEET_AFTER,		/* one refresh-interval from its end */
	FLEET_LATER,
	FLEET_WINDOWS,
};

struct fleet_rates {
	unsigned int from_s;
	unsigned int to_s;	/* not in it any more */
	double mean;		/* requests a second */
	double peak;		/* the greatest second */
	double peak10;		/* mean of the greatest ten in a row */
	uint64_t requests;
	uint64_t limited;
	uint64_t overload;
	struct host_stats reads;
};

struct fleet_result {
	const struct fleet_scenario *scenario;
	struct fleet_options options;
	struct fleet_rates windows[FLEET_WINDOWS];
	unsigned int seconds;
	struct service_second *per_second; /* seconds of them */
	uint32_t *bad;		/* likewise: secrets not fresh or not newest */
	/* from the end of the event; UINT64_MAX: never, or not meant */
	uint64_t half_ms;	/* until half of the secrets are right */
	uint64_t most_ms;	/* 99 % */
	uint64_t all_ms;
	unsigned int too_old;	/* agents with a read refused by max-stale */
	uint64_t wrong;		/* secrets at the end, as each cache has them */
	uint64_t requests;	/* as the service counts them */
	uint64_t sent;		/* as the agents do */
	unsigned int most_of_key; /* requests answered in a window of a key */
	uint64_t least_gap_ms;	/* of an agent's requests in an outage, once
				 * each of them has given the service up */
	uint64_t max_stale_ms;
	uint64_t events;
};

extern const struct fleet_scenario fleet_scenarios[];
extern const size_t fleet_scenario_count;

/* NULL if there is none of this name. */
const struct fleet_scenario *fleet_scenario_find(const char *name);

/*
 * Run one.  *r: zeroed but for per_second and bad, which are the caller's:
 * zeroed, with an element for each second of the run.
 */
void fleet_run(const struct fleet_scenario *sc,
    const struct fleet_options *opt, struct fleet_result *r);

/* Requests a second if each secret is read by itself, and by listings. */
double fleet_single_rate(const struct fleet_options *opt);
double fleet_listing_rate(const struct fleet_options *opt);

#endif /* FLEET_FLEET_H */
