/*
 * The cache across restarts: when a snapshot is made, where it goes, and what
 * is taken over at start.
 *
 * A snapshot goes to state-file, and to the service manager's descriptor
 * store if it has one for us.  Contents that change are there at most two
 * seconds later; where values were only confirmed, a snapshot is made at most
 * once a minute (or four times a refresh-interval, if that is longer).
 *
 * Event-loop thread only.  NULL is a state that keeps nothing.
 */
#ifndef AGENT_STATE_H
#define AGENT_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fetch.h"
#include "secmem.h"
#include "state_keys.h"

struct event_base;
struct state;

struct state_config {
	const char *file;	/* state-file; NULL: none */
	const char *key_file;	/* state-key-file; NULL: see state_new() */
	const char *url;
	const struct secmem *api_keys; /* the one in force first */
	size_t napi_keys;
	uint64_t refresh_interval_ms;
	uint64_t unauthorized_grace_ms;
};

/*
 * Take over the newest good snapshot into fetch's cache, which is empty, and
 * keep it up to date from now on.  The key: state-key-file, else the
 * credential "state-key", else one derived from the API key.  What is not
 * usable is logged and passed over: a bad state file or key is no reason not
 * to serve.
 * ret_api_key: which of the API keys the values that were taken over belong
 * to: that one has to be in force.  0 if nothing was.
 * Returns 0 or ERR_NOMEM; *ret_state is NULL if nothing is to be kept.
 */
int state_new(struct event_base *base, struct fetch *fetch,
    const struct state_config *cfg, struct state **ret_state,
    size_t *ret_api_key);

/* After a reload; the rest of the configuration takes a restart. */
void state_configure(struct state *s, uint64_t refresh_interval_ms,
    uint64_t unauthorized_grace_ms);

/* Other API keys from now on: what was sealed for the old ones is replaced. */
void state_key_changed(struct state *s, const struct secmem *api_keys,
    size_t napi_keys);

/* The clean stop: save what there is, and wait until it is on the disk. */
void state_stop(struct state *s);
/* Saves nothing. */
void state_free(struct state *s);

struct state_status {
	bool enabled;
	bool saved;
	uint64_t saved_age_ms;	/* since the newest whole one was begun */
	uint64_t items;		/* entries in that */
	const char *error;	/* why there is no newer one, or NULL */
};

/* The text is good until the next event. */
void state_get_status(const struct state *s, const struct now *now,
    struct state_status *ret);

#endif /* AGENT_STATE_H */
