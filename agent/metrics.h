/*
 * Counters of the daemon; plain numbers, event-loop thread only.
 */
#ifndef AGENT_METRICS_H
#define AGENT_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#define METRICS_EVENTS 6	/* enum cache_event */

/* What takes a walk through the cache; metrics_text's. */
struct metrics_walked {
	bool done;
	uint64_t at_boot_ms;
	uint64_t oldest_ms;	/* age of the oldest value */
	uint64_t next_expiry_ms; /* UINT64_MAX: none expires */
};

struct metrics {
	uint64_t start_boot_ms;
	uint64_t hits;		/* reads answered from the cache at once */
	uint64_t misses;	/* reads that had to wait for the service */
	uint64_t stale_served;	/* answers marked stale */
	uint64_t refreshes;	/* refreshes that confirmed or replaced a value */
	uint64_t refresh_failures;
	uint64_t expired;	/* answers that it has expired */
	uint64_t expired_served; /* answers within serve-expired */
	uint64_t denied;
	uint64_t watch_events[METRICS_EVENTS]; /* told */
	uint64_t rejects;	/* references said to be refused */
	uint64_t rejects_changed; /* of those, answered by another value */
	uint64_t reject_reads;	/* reads of the service that they took */
	uint64_t requests;	/* local requests */
	uint64_t bad_frames;
	uint64_t connections;	/* accepted since start */
	uint64_t clients;	/* connected now */
	struct metrics_walked walked;
};

#endif /* AGENT_METRICS_H */
