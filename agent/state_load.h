/*
 * Taking a snapshot over at start.  All of it or nothing: what was restored
 * before a fault is found is wiped again, and nobody has been served it, for
 * the loop does not run yet.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_STATE_LOAD_H
#define AGENT_STATE_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "cache.h"
#include "clock.h"
#include "names.h"
#include "seal.h"
#include "state_fault.h"

/* A key to try: of a source, with the API key that it may go with. */
struct state_load_key {
	enum seal_source source;
	const struct secmem *key;
	const struct secmem *api;
	size_t api_number;	/* the caller's, handed back */
};

struct state_load_config {
	struct cache *cache;
	struct names *names;
	const struct state_load_key *keys;
	size_t nkeys;
	struct view url;
	uint8_t boot_id[SEAL_BOOT_ID_BYTES]; /* all 0: not known */
	uint64_t spread_ms;	/* when what is restored is asked for */
};

struct state_loaded {
	struct seal_info info;
	size_t api_number;	/* of the key that opened it */
	uint64_t away_ms;	/* since it was begun */
	uint64_t items;
	uint64_t rows;
	uint64_t dropped;	/* items that there was no room for */
	uint64_t unauthorized_ms; /* as in struct state_facts, away_ms added */
};

/* What its header claims, to know which to try first.  fd is read from 0 on. */
enum state_fault state_load_peek(int fd, struct seal_info *ret_info);

/*
 * Verify it from end to end and restore it into a cache that is empty, and
 * names without listings; both are so again if it fails.  fd is read from 0
 * on.  ret is set with STATE_OK alone.
 */
enum state_fault state_load(const struct state_load_config *cfg, int fd,
    const struct now *now, struct state_loaded *ret);

/*
 * How long ago info was begun.  Returns STATE_OK, STATE_FUTURE or
 * STATE_CLOCK_UNSET.
 */
enum state_fault state_load_away(const struct seal_info *info,
    const uint8_t boot_id[SEAL_BOOT_ID_BYTES], const struct now *now,
    uint64_t *ret_ms);

#endif /* AGENT_STATE_LOAD_H */
