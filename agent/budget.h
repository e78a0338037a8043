/*
 * How many requests a minute the API key is good for, as far as the service
 * has shown: by X-RateLimit-* of its answers, else by the 429 that came after
 * so many in a minute.  What callers wait for is never held back by it; the
 * rest leaves a part of the budget free for what is more urgent.
 *
 * Pure: the time is an argument, on the boot clock.  Event-loop thread only.
 */
#ifndef AGENT_BUDGET_H
#define AGENT_BUDGET_H

#include <stdint.h>

#include "upstream.h"

#define BUDGET_SECONDS 60

struct budget {
	uint64_t limit;		/* requests in 60 s; 0: not known */
	uint64_t limit_boot_ms;	/* when that was learnt, or last confirmed */
	uint64_t second;	/* of the newest element of sent */
	uint16_t sent[BUDGET_SECONDS]; /* by second, a ring */
	uint64_t sent_sum;
	/* what this agent takes of it, where others use the key as well; 0: all */
	uint64_t share;
	uint64_t share_boot_ms;	/* when it was changed last */
	/* the service's own account, until reset_boot_ms */
	uint64_t remaining;
	uint64_t reset_boot_ms;	/* 0: none */
	uint64_t late_ms;	/* so long after reset, not all at once */
	uint64_t last_boot_ms;	/* when something was sent last that no caller
				 * waited for */
};

/* What a request is for; each leaves room for those before it. */
enum budget_share {
	BUDGET_CALLER,		/* all of it */
	BUDGET_EXPIRY,
	BUDGET_REFRESH,
	BUDGET_PRELOAD,
};

void budget_init(struct budget *b);

/* A request was sent. */
void budget_sent(struct budget *b, enum budget_share share,
    uint64_t now_boot_ms);

/*
 * An answer told how things are.  Ignored without rate->told.  rnd: 32 random
 * bits.
 */
void budget_told(struct budget *b, const struct upstream_rate *rate,
    uint32_t rnd, uint64_t now_boot_ms);

/*
 * The service answered 429.  Where it tells its account, others have used the
 * key: this agent's share is halved, and grows again a little each minute, so
 * that all who share a key come to have as much.
 */
void budget_refused(struct budget *b, uint64_t now_boot_ms);

/* Another key: nothing is known of it. */
void budget_forget(struct budget *b);

/*
 * Milliseconds until such a request may be sent; 0: now.  Where the service
 * tells that more than half is used, the rest is spread until its reset: who
 * shares the key gets some of it too.
 */
uint64_t budget_wait_ms(struct budget *b, enum budget_share share,
    uint64_t now_boot_ms);

/* Requests in the last 60 s. */
uint64_t budget_used(struct budget *b, uint64_t now_boot_ms);

#endif /* AGENT_BUDGET_H */
