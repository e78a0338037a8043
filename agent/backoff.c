#include "config.h"

#include "backoff.h"

#include <limits.h>

void
backoff_init(struct backoff *b, uint64_t base_ms, uint64_t max_ms)
{
	*b = (struct backoff){.base_ms = base_ms, .max_ms = max_ms};
}

void
backoff_succeeded(struct backoff *b)
{
	b->failures = 0;
}

/* base doubled n times, but no more than max and than 49 days. */
static uint64_t
ceiling(const struct backoff *b, unsigned int n)
{
	uint64_t max = b->max_ms < UINT32_MAX ? b->max_ms : UINT32_MAX;

	if (n >= 32 || b->base_ms > max >> n)
		return max;
	return b->base_ms << n;
}

uint64_t
backoff_failed(struct backoff *b, uint32_t rnd)
{
	uint64_t top = ceiling(b, b->failures);

	if (b->failures < UINT_MAX)
		b->failures++;
	return ((top + 1) * rnd) >> 32; /* 0 to top, evenly */
}
