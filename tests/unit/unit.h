/*
 * What every unit test includes: cmocka with what it wants before it, and
 * random numbers that can be had again.
 */
#ifndef UNIT_UNIT_H
#define UNIT_UNIT_H

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define UNIT_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Seed of a randomized test: TEST_SEED if it is set, else a new one.  Printed,
 * so that a failure can be had again.
 */
static inline uint64_t
unit_seed(void)
{
	const char *env = getenv("TEST_SEED");
	struct timespec now;
	uint64_t seed;

	if (env != NULL) {
		seed = strtoull(env, NULL, 0);
	} else {
		(void)clock_gettime(CLOCK_REALTIME, &now);
		seed = (uint64_t)now.tv_sec * 1000000007u +
		    (uint64_t)now.tv_nsec;
	}
	print_message("TEST_SEED=%" PRIu64 "\n", seed);
	return seed;
}

/* splitmix64: state is the seed at first. */
static inline uint64_t
unit_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* From 0 to below. */
static inline size_t
unit_below(uint64_t *state, size_t below)
{
	return (size_t)(unit_random(state) % below);
}

#endif /* UNIT_UNIT_H */
