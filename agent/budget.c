#include "config.h"

#include "budget.h"

#include <string.h>

/*
 * One who has sent fewer in a minute learns nothing from a 429 but to pause:
 * others use the key too, or it was a hiccup.
 */
#define BUDGET_LEARN_MIN 30
/* A limit learnt from a 429 alone: tried a little higher now and then. */
#define BUDGET_RAISE_MS 60000
#define BUDGET_RAISE_SHIFT 3
/* And forgotten, once it was not met for so long. */
#define BUDGET_FORGET_MS 3600000
/* The least share of a key that others use too, and how fast it changes. */
#define BUDGET_SHARE_MIN 6
#define BUDGET_SHARE_HALVE_MS 10000
#define BUDGET_SHARE_RAISE_MS 60000
#define BUDGET_SHARE_RAISE_SHIFT 3
/* The service's clock and ours need not agree on where a minute ends. */
#define BUDGET_RESET_MAX_MS 120000

/* What each share leaves free, in sixteenths of the limit. */
static const unsigned int budget_reserve[] = {
	[BUDGET_CALLER] = 0,
	[BUDGET_EXPIRY] = 2,
	[BUDGET_REFRESH] = 4,
	[BUDGET_PRELOAD] = 6,
};

void
budget_init(struct budget *b)
{
	memset(b, 0, sizeof(*b));
}

void
budget_forget(struct budget *b)
{
	budget_init(b);
}

/* Move the ring on to this second. */
static void
budget_advance(struct budget *b, uint64_t now_boot_ms)
{
	uint64_t second = now_boot_ms / 1000, gone = second - b->second, i;

	if (gone == 0 || second < b->second)
		return;
	for (i = 1; i <= gone && i <= BUDGET_SECONDS; i++) {
		b->sent_sum -= b->sent[(b->second + i) % BUDGET_SECONDS];
		b->sent[(b->second + i) % BUDGET_SECONDS] = 0;
	}
	b->second = second;
}

void
budget_sent(struct budget *b, enum budget_share share, uint64_t now_boot_ms)
{
	budget_advance(b, now_boot_ms);
	if (b->sent[b->second % BUDGET_SECONDS] < UINT16_MAX) {
		b->sent[b->second % BUDGET_SECONDS]++;
		b->sent_sum++;
	}
	if (b->remaining > 0)
		b->remaining--;
	if (share != BUDGET_CALLER)
		b->last_boot_ms = now_boot_ms;
}

uint64_t
budget_used(struct budget *b, uint64_t now_boot_ms)
{
	budget_advance(b, now_boot_ms);
	return b->sent_sum;
}

void
budget_told(struct budget *b, const struct upstream_rate *rate,
    uint32_t rnd, uint64_t now_boot_ms)
{
	uint64_t reset = rate->reset_ms;

	if (!rate->told || rate->limit == 0)
		return;
	if (reset == 0 || reset > BUDGET_RESET_MAX_MS)
		reset = (uint64_t)BUDGET_SECONDS * 1000;
	b->limit = rate->limit;
	b->limit_boot_ms = now_boot_ms;
	b->remaining = rate->remaining;
	b->reset_boot_ms = now_boot_ms + reset;
	b->late_ms = rnd % (reset / 2 + 1);
}

/* Others use the key as well. */
static void
budget_halve_share(struct budget *b, uint64_t used, uint64_t now_boot_ms)
{
	uint64_t share = b->share != 0 ? b->share : b->limit;

	/* those that were under way together are one refusal */
	if (b->share != 0 &&
	    now_boot_ms - b->share_boot_ms < BUDGET_SHARE_HALVE_MS)
		return;
	if (used < share)
		share = used;
	share /= 2;
	b->share = share > BUDGET_SHARE_MIN ? share : BUDGET_SHARE_MIN;
	b->share_boot_ms = now_boot_ms;
}

void
budget_refused(struct budget *b, uint64_t now_boot_ms)
{
	uint64_t used = budget_used(b, now_boot_ms);

	/* the one that was refused does not count */
	used = used > 1 ? used - 1 : 1;
	if (b->reset_boot_ms > now_boot_ms) {
		b->remaining = 0;
		budget_halve_share(b, used, now_boot_ms);
		return;
	}
	if (used < BUDGET_LEARN_MIN)
		return;
	if (b->limit == 0 || used < b->limit)
		b->limit = used;
	b->limit_boot_ms = now_boot_ms;
}

/* A limit that nobody told wears off. */
static void
budget_age(struct budget *b, uint64_t now_boot_ms)
{
	uint64_t age = now_boot_ms - b->limit_boot_ms;

	if (b->reset_boot_ms != 0 &&
	    now_boot_ms >= b->reset_boot_ms + b->late_ms)
		b->reset_boot_ms = 0;
	if (b->share != 0 &&
	    now_boot_ms - b->share_boot_ms >= BUDGET_SHARE_RAISE_MS) {
		b->share += (b->share >> BUDGET_SHARE_RAISE_SHIFT) + 1;
		b->share_boot_ms = now_boot_ms;
		if (b->share >= b->limit)
			b->share = 0;
	}
	if (b->limit == 0 || b->reset_boot_ms != 0)
		return;
	if (b->sent_sum + 1 < b->limit && age >= BUDGET_FORGET_MS) {
		b->limit = 0;
	} else if (b->sent_sum >= b->limit && age >= BUDGET_RAISE_MS) {
		b->limit += (b->limit >> BUDGET_RAISE_SHIFT) + 1;
		b->limit_boot_ms = now_boot_ms;
	}
}

/* Until enough of what was sent lies 60 s back that so many are left. */
static uint64_t
budget_until(const struct budget *b, uint64_t allowed, uint64_t now_boot_ms)
{
	uint64_t left = b->sent_sum, second, i;

	for (i = 1; i <= BUDGET_SECONDS; i++) {
		second = b->second + i; /* the slot that goes first */
		left -= b->sent[second % BUDGET_SECONDS];
		if (left < allowed)
			return second * 1000 - now_boot_ms;
	}
	return (uint64_t)BUDGET_SECONDS * 1000;
}

/* What is left of so long since the last was sent. */
static uint64_t
budget_gap_ms(const struct budget *b, uint64_t gap_ms, uint64_t now_boot_ms)
{
	uint64_t since = now_boot_ms - b->last_boot_ms;

	return since < gap_ms ? gap_ms - since : 0;
}

/* By what the service told, while that holds. */
static uint64_t
budget_told_wait_ms(const struct budget *b, uint64_t reserve,
    uint64_t now_boot_ms)
{
	uint64_t until = b->reset_boot_ms + b->late_ms;

	if (b->remaining <= reserve || b->reset_boot_ms <= now_boot_ms)
		return until - now_boot_ms;
	if (b->remaining >= b->limit / 2)
		return 0;
	return budget_gap_ms(b, (b->reset_boot_ms - now_boot_ms) /
	    (b->remaining - reserve), now_boot_ms);
}

uint64_t
budget_wait_ms(struct budget *b, enum budget_share share, uint64_t now_boot_ms)
{
	uint64_t reserve, allowed, wait = 0, told;

	budget_advance(b, now_boot_ms);
	budget_age(b, now_boot_ms);
	if (share == BUDGET_CALLER || b->limit == 0)
		return 0;
	if (b->share != 0)
		wait = budget_gap_ms(b, (uint64_t)BUDGET_SECONDS * 1000 /
		    b->share, now_boot_ms);
	reserve = b->limit * budget_reserve[share] / 16;
	if (b->reset_boot_ms != 0) {
		told = budget_told_wait_ms(b, reserve, now_boot_ms);
		return told > wait ? told : wait;
	}
	allowed = b->limit - reserve;
	if (allowed == 0)
		allowed = 1;
	if (b->sent_sum < allowed)
		return wait;
	told = budget_until(b, allowed, now_boot_ms);
	return told > wait ? told : wait;
}
