/*
 * A min-heap of 32-bit numbers (of slab.h, say) ordered by a 64-bit key,
 * which tells each element its place, so that it can be moved or taken out
 * from the middle.  Four children a node: half as many moves as with two.
 */
#ifndef AGENT_HEAP_H
#define AGENT_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_NOWHERE UINT32_MAX
/* Bytes an element takes, with what is reserved ahead. */
#define HEAP_COST 14u

/* 12 bytes: the key need not be aligned. */
struct heap_item {
	int64_t key;
	uint32_t element;
} __attribute__((packed, aligned(4)));

struct heap {
	struct heap_item *items;
	uint32_t count;
	uint32_t cap;
	/* tells an element its place, HEAP_NOWHERE once it is out */
	void (*moved)(void *arg, uint32_t element, uint32_t slot);
	void *arg;
};

void heap_init(struct heap *h,
    void (*moved)(void *arg, uint32_t element, uint32_t slot), void *arg);
void heap_done(struct heap *h);
/* Room for count elements, so that heap_insert() cannot fail.  0 or ERR_NOMEM. */
int heap_reserve(struct heap *h, size_t count);
/* There must be room. */
void heap_insert(struct heap *h, uint32_t element, int64_t key);
/* Another key for the element at slot. */
void heap_update(struct heap *h, uint32_t slot, int64_t key);
void heap_remove(struct heap *h, uint32_t slot);
/* The least; false if empty.  ret_key may be NULL. */
bool heap_first(const struct heap *h, uint32_t *ret_element, int64_t *ret_key);
/* The key of the element at slot. */
int64_t heap_key(const struct heap *h, uint32_t slot);

#endif /* AGENT_HEAP_H */
