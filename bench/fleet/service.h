/*
 * A model of the service as a fleet sees it: secrets with versions, a rate
 * limit for each key, a capacity for all, latency, outages.  Each agent gets
 * a struct upstream of its own.
 *
 * The rate limit counts in windows of a minute that begin with a key's first
 * request, as the sandbox's; over it a request is a 429 with Retry-After.  The
 * capacity is one queue: a request waits for those before it, and over
 * queue_ms of waiting it is a 503.
 */
#ifndef FLEET_SERVICE_H
#define FLEET_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "upstream.h"

#define SERVICE_ID_LEN 36	/* a UUID */
#define SERVICE_NAME_MAX 32
#define SERVICE_SECRETS_MAX 200	/* of an agent: a page of the listing */

struct service;

struct service_config {
	unsigned int agents;
	unsigned int secrets;		/* of each agent */
	unsigned int agents_per_key;	/* 1: each has its own */
	unsigned int limit;		/* a minute for a key; 0: none */
	unsigned int capacity;		/* requests a second for all; 0: none */
	unsigned int queue_ms;
	unsigned int latency_ms;	/* least; up to twice that, evenly */
	unsigned int timeout_ms;	/* the agents' request-timeout */
	bool tell_rate;			/* X-RateLimit-* */
	bool lists;			/* false: the keys may not list */
};

enum service_state {
	SERVICE_UP,
	SERVICE_REFUSING,	/* no connection, at once */
	SERVICE_HANGING,	/* accepts and never answers; what was asked
				 * then is lost even if it comes back */
	SERVICE_FAILING,	/* 503 */
};

/* What arrived in one second. */
struct service_second {
	uint32_t requests;	/* all of the rest, and what was lost */
	uint32_t reads;
	uint32_t lists;
	uint32_t limited;	/* 429 */
	uint32_t overload;	/* 503 */
};

/* seconds: how many are to be counted. */
struct service *service_new(const struct service_config *cfg, size_t seconds);
void service_free(struct service *s);

/* The agent's way to the service; owned by s. */
struct upstream *service_upstream(struct service *s, unsigned int agent);

void service_set_state(struct service *s, enum service_state state);
/* A new version of one secret. */
void service_rotate(struct service *s, unsigned int agent,
    unsigned int secret);

uint64_t service_version(const struct service *s, unsigned int agent,
    unsigned int secret);
/* When that version came. */
uint64_t service_changed_ms(const struct service *s, unsigned int agent,
    unsigned int secret);

/* The agent has lost what it held. */
void service_forget(struct service *s, unsigned int agent);
/* Secrets of all agents of which the newest version was not handed out. */
uint64_t service_outdated(const struct service *s);

const struct service_second *service_seconds(const struct service *s,
    size_t *ret_count);
uint64_t service_requests(const struct service *s);
/* Most that any key was answered in a window: never above the limit. */
unsigned int service_most_of_key(const struct service *s);
/* Least time between two requests of one agent since the last reset, which
 * begins after_ms from now.  UINT64_MAX: there were no two. */
uint64_t service_least_gap_ms(const struct service *s);
void service_reset_gap(struct service *s, uint64_t after_ms);

/* ret: SERVICE_ID_LEN bytes and NUL; SERVICE_NAME_MAX with NUL. */
void service_id(unsigned int agent, unsigned int secret, char *ret);
void service_name(unsigned int secret, char *ret);

#endif /* FLEET_SERVICE_H */
