/*
 * A pool of pieces of one size, each known by a 32-bit number as well as by
 * its address: what refers to one needs 4 bytes, and a piece has no header of
 * malloc(3)'s.
 *
 * Pieces lie in chunks of SLAB_CHUNK bytes.  A piece stays where it is as long
 * as it is in use; a chunk without any is given back, but for one.
 */
#ifndef AGENT_SLAB_H
#define AGENT_SLAB_H

#include <stddef.h>
#include <stdint.h>

#define SLAB_CHUNK 16384u	/* aligned to this, too */
#define SLAB_NONE 0u		/* no piece has this number */

struct slab_chunk;

struct slab {
	struct slab_chunk **chunks;	/* by number; some may be NULL */
	uint32_t nchunks;		/* used of the table */
	uint32_t cap;
	uint32_t live;			/* chunks that are there */
	uint32_t room;			/* number + 1 of the first with room */
	uint32_t piece_size;
};

/* piece_size: at most SLAB_CHUNK / 2 and a multiple of 8. */
void slab_init(struct slab *s, size_t piece_size);
/* Frees all pieces, in use or not. */
void slab_done(struct slab *s);

/* A zeroed piece and its number; NULL for no memory. */
void *slab_alloc(struct slab *s, uint32_t *ret_number);
void slab_free(struct slab *s, void *piece);

/* The number of a piece. */
uint32_t slab_number(const struct slab *s, const void *piece);

/* Bytes that the chunks take, without the table of them. */
size_t slab_bytes(const struct slab *s);

/* --- the piece of a number: a shift, and two loads --- */

#define SLAB_NUMBER_BITS 8u
#define SLAB_NUMBER_MASK 0xffu

/* Not SLAB_NONE. */
static inline void *
slab_at(const struct slab *s, uint32_t number)
{
	/* index 1 is the last piece of the chunk, so that none is 0 and the
	 * place needs no size of a header */
	return (uint8_t *)s->chunks[number >> SLAB_NUMBER_BITS] + SLAB_CHUNK -
	    (size_t)(number & SLAB_NUMBER_MASK) * s->piece_size;
}

#endif /* AGENT_SLAB_H */
