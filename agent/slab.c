#include "config.h"

#include "slab.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* At the start of each chunk; its pieces end where the chunk does. */
struct slab_chunk {
	uint32_t number;
	uint32_t next_room;	/* number + 1, as struct slab's room; 0: end */
	uint32_t prev_room;
	uint16_t used;
	uint8_t fresh;		/* pieces 1..fresh have been handed out */
	uint8_t free;		/* of those, the first that came back; a free
				 * piece begins with the next one's index */
};

static uint32_t
slab_per_chunk(const struct slab *s)
{
	uint32_t n = (uint32_t)(SLAB_CHUNK - sizeof(struct slab_chunk)) /
	    s->piece_size;

	return n < SLAB_NUMBER_MASK ? n : SLAB_NUMBER_MASK;
}

void
slab_init(struct slab *s, size_t piece_size)
{
	assert(piece_size >= 8 && piece_size % 8 == 0 &&
	    piece_size <= SLAB_CHUNK / 2);
	*s = (struct slab){ .piece_size = (uint32_t)piece_size };
}

void
slab_done(struct slab *s)
{
	uint32_t i;

	for (i = 0; i < s->nchunks; i++)
		free(s->chunks[i]);
	free(s->chunks);
	slab_init(s, s->piece_size);
}

/* --- the list of chunks with room --- */

static void
slab_link(struct slab *s, struct slab_chunk *k)
{
	k->prev_room = 0;
	k->next_room = s->room;
	if (s->room != 0)
		s->chunks[s->room - 1]->prev_room = k->number + 1;
	s->room = k->number + 1;
}

static void
slab_unlink(struct slab *s, struct slab_chunk *k)
{
	if (k->prev_room != 0)
		s->chunks[k->prev_room - 1]->next_room = k->next_room;
	else
		s->room = k->next_room;
	if (k->next_room != 0)
		s->chunks[k->next_room - 1]->prev_room = k->prev_room;
}

/* --- chunks --- */

/* A place in the table: one that came free, or a new one. */
static bool
slab_place(struct slab *s, uint32_t *ret_place)
{
	struct slab_chunk **chunks;
	uint32_t i, cap;

	if (s->live < s->nchunks) {
		for (i = 0; s->chunks[i] != NULL; i++)
			;
		*ret_place = i;
		return true;
	}
	if (s->nchunks == s->cap) {
		cap = s->cap + s->cap / 4 + 16;
		if (cap > UINT32_MAX >> SLAB_NUMBER_BITS)
			return false;
		chunks = realloc(s->chunks, cap * sizeof(struct slab_chunk *));
		if (chunks == NULL)
			return false;
		s->chunks = chunks;
		s->cap = cap;
	}
	*ret_place = s->nchunks;
	return true;
}

static struct slab_chunk *
slab_chunk_new(struct slab *s)
{
	struct slab_chunk *k;
	uint32_t place;

	if (!slab_place(s, &place))
		return NULL;
	k = aligned_alloc(SLAB_CHUNK, SLAB_CHUNK);
	if (k == NULL)
		return NULL;
	*k = (struct slab_chunk){ .number = place };
	s->chunks[place] = k;
	if (place == s->nchunks)
		s->nchunks++;
	s->live++;
	slab_link(s, k);
	return k;
}

static struct slab_chunk *
slab_chunk_of(const void *piece)
{
	return (struct slab_chunk *)((uintptr_t)piece &
	    ~(uintptr_t)(SLAB_CHUNK - 1));
}

/* --- pieces --- */

void *
slab_alloc(struct slab *s, uint32_t *ret_number)
{
	struct slab_chunk *k;
	uint32_t number;
	uint8_t *piece;

	k = s->room != 0 ? s->chunks[s->room - 1] : slab_chunk_new(s);
	if (k == NULL)
		return NULL;
	number = k->number << SLAB_NUMBER_BITS;
	if (k->free != 0) {
		number |= k->free;
		piece = slab_at(s, number);
		k->free = piece[0];
	} else {
		number |= ++k->fresh;
		piece = slab_at(s, number);
	}
	if (++k->used == slab_per_chunk(s))
		slab_unlink(s, k);
	memset(piece, 0, s->piece_size);
	*ret_number = number;
	return piece;
}

void
slab_free(struct slab *s, void *piece)
{
	uint32_t number = slab_number(s, piece);
	struct slab_chunk *k = slab_chunk_of(piece);

	if (k->used-- == slab_per_chunk(s))
		slab_link(s, k);
	*(uint8_t *)piece = k->free;
	k->free = (uint8_t)number;
	/* the only one with room stays: one piece may come and go often */
	if (k->used > 0 || (k->prev_room == 0 && k->next_room == 0))
		return;
	slab_unlink(s, k);
	s->chunks[k->number] = NULL;
	s->live--;
	free(k);
}

uint32_t
slab_number(const struct slab *s, const void *piece)
{
	const struct slab_chunk *k = slab_chunk_of(piece);
	uintptr_t end = (uintptr_t)k + SLAB_CHUNK;

	return k->number << SLAB_NUMBER_BITS |
	    (uint32_t)(end - (uintptr_t)piece) / s->piece_size;
}

size_t
slab_bytes(const struct slab *s)
{
	return (size_t)s->live * SLAB_CHUNK;
}
