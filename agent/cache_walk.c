#include "config.h"

#include "cache_impl.h"

#include <stdlib.h>

/*
 * Buckets are taken in the order of their numbers with the bits reversed.
 * One that is split then becomes two whose reversed numbers are neighbours,
 * so what was walked stays walked, and one that is not split yet stands for
 * both.  Buckets are split in order and never put together again.
 */
bool
cache_iterate(struct cache *c, uint32_t *pos,
    void (*cb)(void *arg, struct cache_entry *e), void *arg)
{
	uint32_t low = c->buckets_low, at = *pos, bit;
	struct cache_entry *e;

	for (e = cache_at(c, c->buckets[at]); e != NULL;
	    e = cache_at(c, e->chain))
		cb(arg, e);
	bit = at >= low || at + low < c->nbuckets ? low : low >> 1;
	for (; bit != 0 && (at & bit) != 0; bit >>= 1)
		at &= ~bit;
	*pos = at | bit;
	return bit != 0;
}

struct cache_rank {
	int64_t read_age_ms;
	uint32_t number;
};

static int
cache_compare_ranks(const void *a, const void *b)
{
	const struct cache_rank *x = a, *y = b;

	/* read longest ago first */
	return (x->read_age_ms < y->read_age_ms) -
	    (x->read_age_ms > y->read_age_ms);
}

void
cache_sort(struct cache *c, const struct now *now)
{
	struct cache_rank *ranks;
	struct cache_entry *e;
	uint32_t n = 0, i, at;

	ranks = malloc(((size_t)c->count + 1) * sizeof(*ranks));
	if (ranks == NULL)
		return;		/* another order is no fault */
	for (at = c->oldest; at != SLAB_NONE; at = e->newer) {
		e = cache_at(c, at);
		ranks[n].read_age_ms =
		    (int64_t)(now->boot_ms - e->read_boot_ms);
		ranks[n++].number = at;
	}
	qsort(ranks, n, sizeof(*ranks), cache_compare_ranks);
	for (i = 0; i < n; i++) {
		e = cache_at(c, ranks[i].number);
		e->older = i > 0 ? ranks[i - 1].number : SLAB_NONE;
		e->newer = i + 1 < n ? ranks[i + 1].number : SLAB_NONE;
	}
	if (n > 0) {
		c->oldest = ranks[0].number;
		c->newest = ranks[n - 1].number;
	}
	free(ranks);
}

int64_t
cache_get_wall_floor(const struct cache *c, const struct now *now)
{
	int64_t since = (int64_t)(now->boot_ms - c->floor_boot_ms);

	if (!c->has_floor || since < 0 ||
	    c->floor_wall_ms > INT64_MAX - since)
		return INT64_MIN;
	return c->floor_wall_ms + since;
}
