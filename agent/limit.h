/*
 * How often one user may ask: a bucket of tokens each, filled at
 * max-requests-per-second-per-caller, one second's worth deep.
 */
#ifndef AGENT_LIMIT_H
#define AGENT_LIMIT_H

#include <stdbool.h>

#include <sys/types.h>

#include "clock.h"

struct limit;

/* per_second: 0 is no limit.  NULL for no memory. */
struct limit *limit_new(unsigned int per_second);
/* The same with burst tokens at most, which must not be 0. */
struct limit *limit_new_burst(unsigned int per_second, unsigned int burst);
void limit_free(struct limit *l);

/* Take one token of this user; false if none is left. */
bool limit_take(struct limit *l, uid_t uid, const struct now *now);

/* Take up to n more of what is left, after limit_take() said yes. */
void limit_spend(struct limit *l, uid_t uid, unsigned int n);

#endif /* AGENT_LIMIT_H */
