/*
 * What the floor server and the load client agree on.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stddef.h>
#include <stdint.h>

/* The floor's frames: the id comes back in the answer's header. */
#define FLOOR_REQUEST_LEN 24	/* 8 unused, id (8, any byte order), 8 unused */
#define FLOOR_ANSWER_LEN 16	/* length of the value (8, host order), id */
#define FLOOR_REQUEST_ID 8
#define FLOOR_ANSWER_ID 8

#define BENCH_VALUE_MAX (1024u * 1024u)

/* Every value is the beginning of this; run.py seeds the service with it. */
static inline void
bench_pattern(uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)('a' + (i + i / 26) % 26);
}

#endif /* BENCH_BENCH_H */
