#include "order.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

void
order_done(struct order *o)
{
	free(o->at);
	memset(o, 0, sizeof(*o));
}

static int
compare(const void *va, const void *vb)
{
	const struct order_entry *a = va, *b = vb;

	if (a->created_us != b->created_us)
		return a->created_us < b->created_us ? -1 : 1;
	return strcmp(a->id, b->id);
}

/* The first place whose entry is not before e. */
static size_t
place_of(const struct order *o, const struct order_entry *e)
{
	size_t lo = 0, hi = o->n;

	/* New things are nearly always the newest. */
	if (o->n != 0 && compare(&o->at[o->n - 1], e) < 0)
		return o->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare(&o->at[mid], e) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void
order_add(struct order *o, int64_t created_us, const char *id, void *item)
{
	struct order_entry e = {created_us, id, item};
	size_t i = o->bulk ? o->n : place_of(o, &e);

	if (o->n == o->cap) {
		o->cap = o->cap == 0 ? 64 : o->cap * 2;
		o->at = mem_grow(o->at, o->cap, sizeof(*o->at));
	}
	memmove(&o->at[i + 1], &o->at[i], (o->n - i) * sizeof(*o->at));
	o->at[i] = e;
	o->n++;
}

void
order_del(struct order *o, int64_t created_us, const char *id)
{
	struct order_entry e = {created_us, id, NULL};
	size_t i = place_of(o, &e);

	if (i == o->n || compare(&o->at[i], &e) != 0)
		return;
	memmove(&o->at[i], &o->at[i + 1], (o->n - i - 1) * sizeof(*o->at));
	o->n--;
}

void
order_bulk(struct order *o, bool on)
{
	if (o->bulk && !on && o->n > 1)
		qsort(o->at, o->n, sizeof(*o->at), compare);
	o->bulk = on;
}
