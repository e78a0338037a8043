/*
 * What a fuzz target includes.  Each is run by libFuzzer (--enable-fuzzers),
 * or by replay.c over its corpus.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* As assert(), but NDEBUG does not take it away. */
#define FUZZ_ASSERT(cond)						\
	do {								\
		if (!(cond)) {						\
			(void)fprintf(stderr, "%s:%d: not true: %s\n",	\
			    __FILE__, __LINE__, #cond);			\
			abort();					\
		}							\
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* FUZZ_FUZZ_H */
