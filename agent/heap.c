#include "config.h"

#include "heap.h"

#include <assert.h>
#include <stdlib.h>

#include "err.h"

#define HEAP_CHILDREN 4u
#define HEAP_CAP_MIN 64u

_Static_assert(sizeof(struct heap_item) == 12, "HEAP_COST is an eighth more");

void
heap_init(struct heap *h,
    void (*moved)(void *arg, uint32_t element, uint32_t slot), void *arg)
{
	h->items = NULL;
	h->count = 0;
	h->cap = 0;
	h->moved = moved;
	h->arg = arg;
}

void
heap_done(struct heap *h)
{
	free(h->items);
	heap_init(h, h->moved, h->arg);
}

int
heap_reserve(struct heap *h, size_t count)
{
	struct heap_item *items;
	size_t cap = (size_t)h->cap + h->cap / 8;

	if (count <= h->cap)
		return 0;
	if (count >= HEAP_NOWHERE)
		return ERR_NOMEM;
	if (cap < HEAP_CAP_MIN)
		cap = HEAP_CAP_MIN;
	if (cap < count)
		cap = count;
	if (cap >= HEAP_NOWHERE)
		cap = HEAP_NOWHERE - 1;
	items = realloc(h->items, cap * sizeof(*items));
	if (items == NULL)
		return ERR_NOMEM;
	h->items = items;
	h->cap = (uint32_t)cap;
	return 0;
}

static void
heap_place(struct heap *h, uint32_t slot, struct heap_item item)
{
	h->items[slot] = item;
	h->moved(h->arg, item.element, slot);
}

static void
heap_sift_up(struct heap *h, uint32_t slot, struct heap_item item)
{
	uint32_t parent;

	while (slot > 0) {
		parent = (slot - 1) / HEAP_CHILDREN;
		if (item.key >= h->items[parent].key)
			break;
		heap_place(h, slot, h->items[parent]);
		slot = parent;
	}
	heap_place(h, slot, item);
}

/* The least of slot's children; 0 if it has none. */
static uint32_t
heap_least_child(const struct heap *h, uint32_t slot)
{
	uint64_t first = (uint64_t)slot * HEAP_CHILDREN + 1;
	uint32_t child, end, least;

	if (first >= h->count)
		return 0;
	least = (uint32_t)first;
	end = h->count - least < HEAP_CHILDREN ? h->count
	    : least + HEAP_CHILDREN;
	for (child = least + 1; child < end; child++) {
		if (h->items[child].key < h->items[least].key)
			least = child;
	}
	return least;
}

static void
heap_sift_down(struct heap *h, uint32_t slot, struct heap_item item)
{
	uint32_t child;

	while ((child = heap_least_child(h, slot)) != 0 &&
	    item.key > h->items[child].key) {
		heap_place(h, slot, h->items[child]);
		slot = child;
	}
	heap_place(h, slot, item);
}

void
heap_insert(struct heap *h, uint32_t element, int64_t key)
{
	assert(h->count < h->cap);
	h->count++;
	heap_sift_up(h, h->count - 1,
	    (struct heap_item){ .key = key, .element = element });
}

void
heap_update(struct heap *h, uint32_t slot, int64_t key)
{
	struct heap_item item;
	int64_t old;

	assert(slot < h->count);
	item = h->items[slot];
	old = item.key;
	item.key = key;
	if (key < old)
		heap_sift_up(h, slot, item);
	else
		heap_sift_down(h, slot, item);
}

void
heap_remove(struct heap *h, uint32_t slot)
{
	struct heap_item last;
	int64_t gone;

	assert(slot < h->count);
	gone = h->items[slot].key;
	h->moved(h->arg, h->items[slot].element, HEAP_NOWHERE);
	h->count--;
	if (slot == h->count)
		return;
	last = h->items[h->count];
	if (last.key < gone)
		heap_sift_up(h, slot, last);
	else
		heap_sift_down(h, slot, last);
}

bool
heap_first(const struct heap *h, uint32_t *ret_element, int64_t *ret_key)
{
	if (h->count == 0)
		return false;
	*ret_element = h->items[0].element;
	if (ret_key != NULL)
		*ret_key = h->items[0].key;
	return true;
}

int64_t
heap_key(const struct heap *h, uint32_t slot)
{
	assert(slot < h->count);
	return h->items[slot].key;
}
