#include "config.h"

#include "limit.h"

#include <stdlib.h>

/*
 * A small table, by uid: two users that meet in a slot share its tokens,
 * which costs them speed and nothing else.
 */
#define LIMIT_SLOTS 256

struct limit_bucket {
	uint64_t filled_boot_ms;
	uint64_t tokens_milli;	/* thousandths of a token */
};

struct limit {
	uint64_t per_second;
	uint64_t full_milli;	/* what a bucket holds */
	struct limit_bucket buckets[LIMIT_SLOTS];
};

struct limit *
limit_new(unsigned int per_second)
{
	return limit_new_burst(per_second, per_second);
}

struct limit *
limit_new_burst(unsigned int per_second, unsigned int burst)
{
	struct limit *l;
	size_t i;

	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	l->per_second = per_second;
	l->full_milli = (uint64_t)burst * 1000;
	for (i = 0; i < LIMIT_SLOTS; i++)
		l->buckets[i].tokens_milli = l->full_milli;
	return l;
}

void
limit_free(struct limit *l)
{
	free(l);
}

bool
limit_take(struct limit *l, uid_t uid, const struct now *now)
{
	struct limit_bucket *b = &l->buckets[uid % LIMIT_SLOTS];
	uint64_t full = l->full_milli, elapsed;

	if (l->per_second == 0)
		return true;
	elapsed = now->boot_ms - b->filled_boot_ms;
	b->filled_boot_ms = now->boot_ms;
	if (elapsed > full / l->per_second || b->tokens_milli + elapsed * l->per_second > full)
		b->tokens_milli = full;
	else
		b->tokens_milli += elapsed * l->per_second;
	if (b->tokens_milli < 1000)
		return false;
	b->tokens_milli -= 1000;
	return true;
}

void
limit_spend(struct limit *l, uid_t uid, unsigned int n)
{
	struct limit_bucket *b = &l->buckets[uid % LIMIT_SLOTS];
	uint64_t milli = (uint64_t)n * 1000;

	if (l->per_second != 0)
		b->tokens_milli -= milli < b->tokens_milli
		    ? milli : b->tokens_milli;
}
