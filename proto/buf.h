/*
 * Reading and writing wire bytes: the only code that touches them.
 *
 * Both latch the first failure: decode or encode everything, check once.
 * After a failure a reader returns zeros and empty views, and a writer drops
 * what it is given.  Neither allocates, and neither owns its memory.
 *
 * The small ones are inline: a request is some thirty of them, and a call
 * each would cost more than what they do.
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

/*
 * Big-endian integers at p, unchecked.  Compilers turn these into one load
 * or store and a byte swap.
 */
static inline uint16_t
be_get_u16(const uint8_t *p)
{
	return (uint16_t)((unsigned int)p[0] << 8 | p[1]);
}

static inline uint32_t
be_get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static inline uint64_t
be_get_u64(const uint8_t *p)
{
	return (uint64_t)p[0] << 56 | (uint64_t)p[1] << 48 |
	    (uint64_t)p[2] << 40 | (uint64_t)p[3] << 32 |
	    (uint64_t)p[4] << 24 | (uint64_t)p[5] << 16 |
	    (uint64_t)p[6] << 8 | (uint64_t)p[7];
}

static inline void
be_put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
be_put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline void
be_put_u64(uint8_t *p, uint64_t v)
{
	p[0] = (uint8_t)(v >> 56);
	p[1] = (uint8_t)(v >> 48);
	p[2] = (uint8_t)(v >> 40);
	p[3] = (uint8_t)(v >> 32);
	p[4] = (uint8_t)(v >> 24);
	p[5] = (uint8_t)(v >> 16);
	p[6] = (uint8_t)(v >> 8);
	p[7] = (uint8_t)v;
}

struct rd {
	const uint8_t *p;	/* next byte */
	size_t len;		/* bytes left */
	bool failed;
};

static inline void
rd_init(struct rd *rd, const void *p, size_t len)
{
	rd->p = p;
	rd->len = len;
	rd->failed = false;
}

/* Latch the failure by hand, for what is wrong with a value. */
void rd_fail(struct rd *rd);

/* Step over the next len bytes; NULL if they are not there. */
static inline const uint8_t *
rd_take(struct rd *rd, size_t len)
{
	const uint8_t *p = rd->p;

	if (len > rd->len) {
		rd_fail(rd);
		return NULL;
	}
	rd->p += len;
	rd->len -= len;
	return p;
}

static inline uint8_t
rd_u8(struct rd *rd)
{
	const uint8_t *p = rd_take(rd, 1);

	return p == NULL ? 0 : *p;
}

static inline uint16_t
rd_u16(struct rd *rd)
{
	const uint8_t *p = rd_take(rd, 2);

	return p == NULL ? 0 : be_get_u16(p);
}

static inline uint32_t
rd_u32(struct rd *rd)
{
	const uint8_t *p = rd_take(rd, 4);

	return p == NULL ? 0 : be_get_u32(p);
}

static inline uint64_t
rd_u64(struct rd *rd)
{
	const uint8_t *p = rd_take(rd, 8);

	return p == NULL ? 0 : be_get_u64(p);
}

/* A view of the next len bytes; dies with the buffer under rd. */
static inline struct view
rd_bytes(struct rd *rd, size_t len)
{
	struct view v = { NULL, 0 };

	/* nothing to step over, and rd->p may be NULL */
	if (len == 0)
		return v;
	v.p = rd_take(rd, len);
	if (v.p != NULL)
		v.len = len;
	return v;
}

/* Everything read and nothing failed? */
static inline bool
rd_done(const struct rd *rd)
{
	return !rd->failed && rd->len == 0;
}

struct wr {
	uint8_t *p;		/* start of the memory */
	size_t len;		/* written so far */
	size_t max;		/* size of the memory */
	bool failed;
};

static inline void
wr_init(struct wr *wr, void *p, size_t max)
{
	wr->p = p;
	wr->len = 0;
	wr->max = max;
	wr->failed = false;
}

/* Latch the failure by hand, for what may not be written. */
void wr_fail(struct wr *wr);

/*
 * Room for len bytes, more than 0, that the caller fills at once; NULL if
 * they do not fit or something failed before.
 */
static inline uint8_t *
wr_room(struct wr *wr, size_t len)
{
	uint8_t *p;

	if (wr->failed || len > wr->max - wr->len) {
		wr_fail(wr);
		return NULL;
	}
	p = wr->p + wr->len;
	wr->len += len;
	return p;
}

static inline void
wr_u8(struct wr *wr, uint8_t v)
{
	uint8_t *p = wr_room(wr, 1);

	if (p != NULL)
		*p = v;
}

static inline void
wr_u16(struct wr *wr, uint16_t v)
{
	uint8_t *p = wr_room(wr, 2);

	if (p != NULL)
		be_put_u16(p, v);
}

static inline void
wr_u32(struct wr *wr, uint32_t v)
{
	uint8_t *p = wr_room(wr, 4);

	if (p != NULL)
		be_put_u32(p, v);
}

static inline void
wr_u64(struct wr *wr, uint64_t v)
{
	uint8_t *p = wr_room(wr, 8);

	if (p != NULL)
		be_put_u64(p, v);
}

/* p may be NULL if len is 0. */
void wr_bytes(struct wr *wr, const void *p, size_t len);

/* Overwrite four bytes that were written before, at offset off. */
void wr_patch_u32(struct wr *wr, size_t off, uint32_t v);

#endif /* PROTO_BUF_H */
