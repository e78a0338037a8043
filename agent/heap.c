#include "config.h"

#include "heap.h"

#include <assert.h>
#include <stdlib.h>

#include "err.h"

void
heap_init(struct heap *h, void (*moved)(void *element, size_t slot))
{
	h->items = NULL;
	h->count = 0;
	h->cap = 0;
	h->moved = moved;
}

void
heap_done(struct heap *h)
{
	free(h->items);
	heap_init(h, h->moved);
}

int
heap_reserve(struct heap *h, size_t count)
{
	struct heap_item *items;
	size_t cap = h->cap ? h->cap : 64;

	if (count <= h->cap)
		return 0;
	while (cap < count) {
		if (cap > SIZE_MAX / 2 / sizeof(*items))
			return ERR_NOMEM;
		cap *= 2;
	}
	items = realloc(h->items, cap * sizeof(*items));
	if (items == NULL)
		return ERR_NOMEM;
	h->items = items;
	h->cap = cap;
	return 0;
}

static void
heap_place(struct heap *h, size_t slot, struct heap_item item)
{
	h->items[slot] = item;
	h->moved(item.element, slot);
}

static void
heap_sift_up(struct heap *h, size_t slot, struct heap_item item)
{
	while (slot > 0 && item.key < h->items[(slot - 1) / 2].key) {
		heap_place(h, slot, h->items[(slot - 1) / 2]);
		slot = (slot - 1) / 2;
	}
	heap_place(h, slot, item);
}

static void
heap_sift_down(struct heap *h, size_t slot, struct heap_item item)
{
	size_t child;

	while ((child = 2 * slot + 1) < h->count) {
		if (child + 1 < h->count &&
		    h->items[child + 1].key < h->items[child].key)
			child++;
		if (item.key <= h->items[child].key)
			break;
		heap_place(h, slot, h->items[child]);
		slot = child;
	}
	heap_place(h, slot, item);
}

void
heap_insert(struct heap *h, void *element, int64_t key)
{
	assert(h->count < h->cap);
	h->count++;
	heap_sift_up(h, h->count - 1,
	    (struct heap_item){ .key = key, .element = element });
}

void
heap_update(struct heap *h, size_t slot, int64_t key)
{
	struct heap_item item = h->items[slot];
	int64_t old = item.key;

	assert(slot < h->count);
	item.key = key;
	if (key < old)
		heap_sift_up(h, slot, item);
	else
		heap_sift_down(h, slot, item);
}

void
heap_remove(struct heap *h, size_t slot)
{
	struct heap_item last;
	int64_t gone;

	assert(slot < h->count);
	gone = h->items[slot].key;
	h->moved(h->items[slot].element, HEAP_NOWHERE);
	h->count--;
	if (slot == h->count)
		return;
	last = h->items[h->count];
	if (last.key < gone)
		heap_sift_up(h, slot, last);
	else
		heap_sift_down(h, slot, last);
}

void *
heap_first(const struct heap *h, int64_t *ret_key)
{
	if (h->count == 0)
		return NULL;
	if (ret_key != NULL)
		*ret_key = h->items[0].key;
	return h->items[0].element;
}
