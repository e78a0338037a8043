#include "config.h"

#include "breaker.h"

#define BREAKER_THRESHOLD 3
#define BREAKER_WAIT_MIN_MS 1000
#define BREAKER_WAIT_MAX_MS 15000

void
breaker_init(struct breaker *b)
{
	b->state = BREAKER_CLOSED;
	b->failures = 0;
	b->wait_ms = BREAKER_WAIT_MIN_MS;
	b->since_boot_ms = 0;
	b->tried_boot_ms = 0;
}

uint64_t
breaker_wait_ms(const struct breaker *b, bool waited, uint64_t now_boot_ms)
{
	uint64_t wait = waited ? BREAKER_WAIT_MIN_MS : b->wait_ms;

	if (b->state == BREAKER_CLOSED)
		return 0;
	if (b->state == BREAKER_HALF_OPEN)
		return UINT64_MAX;
	if (now_boot_ms - b->since_boot_ms >= wait)
		return 0;
	return wait - (now_boot_ms - b->since_boot_ms);
}

bool
breaker_try(struct breaker *b, bool waited, uint64_t now_boot_ms)
{
	if (breaker_wait_ms(b, waited, now_boot_ms) != 0)
		return false;
	if (b->state == BREAKER_OPEN) {
		b->state = BREAKER_HALF_OPEN;
		b->tried_boot_ms = now_boot_ms;
	}
	return true;
}

bool
breaker_succeeded(struct breaker *b)
{
	bool was_open = b->state != BREAKER_CLOSED;

	breaker_init(b);
	return was_open;
}

/* The next wait counts from the probe's beginning, but is 1 s at least. */
static void
breaker_probe_failed(struct breaker *b, uint64_t now_boot_ms)
{
	uint64_t latest;

	b->wait_ms = b->wait_ms > BREAKER_WAIT_MAX_MS / 2
	    ? BREAKER_WAIT_MAX_MS : b->wait_ms * 2;
	latest = now_boot_ms - (b->wait_ms - BREAKER_WAIT_MIN_MS);
	b->since_boot_ms = (int64_t)(b->tried_boot_ms - latest) < 0
	    ? latest : b->tried_boot_ms;
}

bool
breaker_failed(struct breaker *b, uint64_t now_boot_ms)
{
	bool was_closed = b->state == BREAKER_CLOSED;

	/* what was under way before says nothing new */
	if (b->state == BREAKER_OPEN)
		return false;
	if (was_closed) {
		b->failures++;
		if (b->failures < BREAKER_THRESHOLD)
			return false;
		b->wait_ms = BREAKER_WAIT_MIN_MS;
		b->since_boot_ms = now_boot_ms;
	} else {
		breaker_probe_failed(b, now_boot_ms);
	}
	b->state = BREAKER_OPEN;
	return was_closed;
}

void
breaker_trip(struct breaker *b, uint64_t now_boot_ms)
{
	if (b->state == BREAKER_CLOSED)
		b->failures = BREAKER_THRESHOLD - 1;
	(void)breaker_failed(b, now_boot_ms);
}

void
breaker_abandoned(struct breaker *b, uint64_t now_boot_ms)
{
	if (b->state != BREAKER_HALF_OPEN)
		return;
	b->state = BREAKER_OPEN;
	b->since_boot_ms = now_boot_ms;
}

const char *
breaker_name(enum breaker_state state)
{
	switch (state) {
	case BREAKER_CLOSED:
		return "closed";
	case BREAKER_OPEN:
		return "open";
	case BREAKER_HALF_OPEN:
		return "half-open";
	}
	return "unknown";
}
