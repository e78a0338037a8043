/*
 * Positions: which state of a value somebody has seen, in 16 bytes that tell
 * nothing about it (PROTOCOL.md, 4, "Positions").
 *
 * A keyed hash over all that a caller can see of an object.  The key comes
 * from the API key, so that a position means the same after a restart.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_POSITION_H
#define AGENT_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "msg.h"
#include "object.h"
#include "secmem.h"

struct position {
	uint8_t bytes[MSG_POSITION_LEN];
};

/*
 * Derive the key from the API key.  ret_key: empty; the caller frees it with
 * secmem_free_bytes().  Returns 0 or ERR_NOMEM.
 */
int position_key(const struct secmem *api_key, struct secmem *ret_key);

/* Of an object; NULL: of no value, which is all zero. */
void position_of(const struct secmem *key, const struct object *o,
    struct position *ret);

bool position_equal(const struct position *a, const struct position *b);
bool position_is_none(const struct position *p);

struct view position_view(const struct position *p);
/* v: of MSG_POSITION_LEN bytes. */
void position_from_view(struct view v, struct position *ret);

#endif /* AGENT_POSITION_H */
