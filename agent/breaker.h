/*
 * A circuit breaker for the service as a whole.  After a few failures in a
 * row it opens: nothing is sent but single probes, at first 1 s apart, then
 * twice as long each time, up to 15 s.  A caller who waits for something that
 * is not cached may bring the next probe forward to 1 s after the last.
 */
#ifndef AGENT_BREAKER_H
#define AGENT_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum breaker_state {
	BREAKER_CLOSED,
	BREAKER_OPEN,
	BREAKER_HALF_OPEN,	/* a probe is under way */
};

struct breaker {
	enum breaker_state state;
	unsigned int failures;	/* in a row */
	uint64_t wait_ms;	/* between the last probe and the next */
	uint64_t since_boot_ms;	/* from when wait_ms counts: the beginning of
				 * the last try, so that one that hangs does
				 * not put the next off */
	uint64_t tried_boot_ms;	/* beginning of the probe under way */
};

void breaker_init(struct breaker *b);

/*
 * May a request be sent now?  Where the breaker is open and this returns
 * true, that request is the probe.  waited: a caller waits for it.
 */
bool breaker_try(struct breaker *b, bool waited, uint64_t now_boot_ms);

/* How long until breaker_try() can say yes; 0: now; UINT64_MAX: a probe is under way. */
uint64_t breaker_wait_ms(const struct breaker *b, bool waited,
    uint64_t now_boot_ms);

/* The service answered.  Returns true if it had been given up before. */
bool breaker_succeeded(struct breaker *b);

/* No answer.  Returns true if this opened a closed breaker. */
bool breaker_failed(struct breaker *b, uint64_t now_boot_ms);

/* A failure that needs no confirmation: opens at once. */
void breaker_trip(struct breaker *b, uint64_t now_boot_ms);

/* The probe was taken back before it had an outcome. */
void breaker_abandoned(struct breaker *b, uint64_t now_boot_ms);

const char *breaker_name(enum breaker_state state);

#endif /* AGENT_BREAKER_H */
