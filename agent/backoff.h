/*
 * Exponential backoff with full jitter: the n-th wait is a random time between 0 and
 * min(max, base * 2^n).  Many agents that failed together then come back
 * spread out.  The random number is an argument's, so tests can choose it.
 */
#ifndef AGENT_BACKOFF_H
#define AGENT_BACKOFF_H

#include <stdint.h>

struct backoff {
	uint64_t base_ms;
	uint64_t max_ms;
	unsigned int failures;	/* since the last success */
};

void backoff_init(struct backoff *b, uint64_t base_ms, uint64_t max_ms);
void backoff_succeeded(struct backoff *b);
/* Count a failure; the wait before the next try.  rnd: 32 random bits. */
uint64_t backoff_failed(struct backoff *b, uint32_t rnd);

#endif /* AGENT_BACKOFF_H */
