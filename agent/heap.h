/*
 * A binary min-heap of pointers ordered by a 64-bit key, which tells each
 * element its place, so that it can be moved or taken out from the middle.
 */
#ifndef AGENT_HEAP_H
#define AGENT_HEAP_H

#include <stddef.h>
#include <stdint.h>

#define HEAP_NOWHERE SIZE_MAX

struct heap_item {
	int64_t key;
	void *element;
};

struct heap {
	struct heap_item *items;
	size_t count;
	size_t cap;
	/* tells an element its place, HEAP_NOWHERE once it is out */
	void (*moved)(void *element, size_t slot);
};

void heap_init(struct heap *h, void (*moved)(void *element, size_t slot));
void heap_done(struct heap *h);
/* Room for count elements, so that heap_insert() cannot fail.  0 or ERR_NOMEM. */
int heap_reserve(struct heap *h, size_t count);
/* There must be room. */
void heap_insert(struct heap *h, void *element, int64_t key);
/* Another key for the element at slot. */
void heap_update(struct heap *h, size_t slot, int64_t key);
void heap_remove(struct heap *h, size_t slot);
/* The least; NULL if empty.  ret_key may be NULL. */
void *heap_first(const struct heap *h, int64_t *ret_key);

#endif /* AGENT_HEAP_H */
