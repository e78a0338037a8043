/*
 * Counters of the daemon; plain numbers, event-loop thread only.
 */
#ifndef AGENT_METRICS_H
#define AGENT_METRICS_H

#include <stdint.h>

struct metrics {
	uint64_t start_boot_ms;
	uint64_t hits;		/* reads answered from the cache at once */
	uint64_t misses;	/* reads that had to wait for the service */
	uint64_t stale_served;	/* answers marked stale */
	uint64_t refreshes;	/* refreshes that confirmed or replaced a value */
	uint64_t refresh_failures;
	uint64_t denied;
	uint64_t requests;	/* local requests */
	uint64_t bad_frames;
	uint64_t connections;	/* accepted since start */
	uint64_t clients;	/* connected now */
};

#endif /* AGENT_METRICS_H */
