/*
 * The keys that snapshots are sealed with: where they come from, and which of
 * them may open what.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_STATE_KEYS_H
#define AGENT_STATE_KEYS_H

#include <stddef.h>

#include "seal.h"
#include "secmem.h"
#include "state_load.h"

#define STATE_API_KEYS_MAX 4u	/* more of them are passed over */
#define STATE_KEY_MIN 32	/* bytes of the file */
#define STATE_KEY_MAX 4096

struct state_keys {
	struct secmem state_key; /* derived; empty: there is none */
	struct secmem api[STATE_API_KEYS_MAX]; /* derived; the first is in
						* force */
	size_t napi;
};

/*
 * path: state-key-file, or NULL for the credential "state-key", which need not
 * be there.  api_keys: at most STATE_API_KEYS_MAX are used.
 * Returns 0, or an error of keyfile_read() with why.
 */
int state_keys_init(struct state_keys *k, const char *path,
    const struct secmem *api_keys, size_t napi_keys, char *why,
    size_t why_size);
void state_keys_done(struct state_keys *k);

/* Other API keys.  Returns 0 or ERR_NOMEM; the old ones stay then. */
int state_keys_set_api(struct state_keys *k, const struct secmem *api_keys,
    size_t napi_keys);

/* This one of api is the one in force. */
void state_keys_use(struct state_keys *k, size_t api);

/* What to seal with. */
enum seal_source state_keys_source(const struct state_keys *k);
const struct secmem *state_keys_key(const struct state_keys *k);
const struct secmem *state_keys_api(const struct state_keys *k);

#define STATE_LOAD_KEYS_MAX (2 * STATE_API_KEYS_MAX)

/* What to try to open with; how many. */
size_t state_keys_for_load(const struct state_keys *k,
    struct state_load_key ret[STATE_LOAD_KEYS_MAX]);

#endif /* AGENT_STATE_KEYS_H */
