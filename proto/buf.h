/*
 * Reading and writing wire bytes: the only code that touches them.
 *
 * Both latch the first failure: decode or encode everything, check once.
 * After a failure a reader returns zeros and empty views, and a writer drops
 * what it is given.  Neither allocates, and neither owns its memory.
 */
#ifndef PROTO_BUF_H
#define PROTO_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A view of bytes owned by somebody else. */
struct view {
	const uint8_t *p;	/* NULL only if len is 0 */
	size_t len;
};

struct rd {
	const uint8_t *p;	/* next byte */
	size_t len;		/* bytes left */
	bool failed;
};

void rd_init(struct rd *rd, const void *p, size_t len);
uint8_t rd_u8(struct rd *rd);
uint16_t rd_u16(struct rd *rd);
uint32_t rd_u32(struct rd *rd);
uint64_t rd_u64(struct rd *rd);
/* A view of the next len bytes; dies with the buffer under rd. */
struct view rd_bytes(struct rd *rd, size_t len);
/* Everything read and nothing failed? */
bool rd_done(const struct rd *rd);

struct wr {
	uint8_t *p;		/* start of the memory */
	size_t len;		/* written so far */
	size_t max;		/* size of the memory */
	bool failed;
};

void wr_init(struct wr *wr, void *p, size_t max);
void wr_u8(struct wr *wr, uint8_t v);
void wr_u16(struct wr *wr, uint16_t v);
void wr_u32(struct wr *wr, uint32_t v);
void wr_u64(struct wr *wr, uint64_t v);
void wr_bytes(struct wr *wr, const void *p, size_t len);
/* Overwrite four bytes that were written before, at offset off. */
void wr_patch_u32(struct wr *wr, size_t off, uint32_t v);

#endif /* PROTO_BUF_H */
