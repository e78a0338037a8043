/*
 * What test_vectors is made of: a test for each vector of PROTOCOL.md.
 */
#ifndef UNIT_VECTORS_H
#define UNIT_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

struct frame;

struct vector_test {
	const char *name;
	void (*check)(const struct frame *f);
	void (*encode)(struct wr *wr);	/* NULL: is read, never written */
};

/* Those of msg_call.h. */
extern const struct vector_test vectors_call[];
extern const size_t vectors_call_count;

/* What a receiver makes of a body of that type of msg_call.h. */
int vectors_call_receive(uint8_t type, struct view body);

#endif /* UNIT_VECTORS_H */
