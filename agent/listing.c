#include "config.h"

#include "listing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "hash.h"

#define LISTING_NONE SIZE_MAX

struct listing_slot {
	struct upstream_row row;
	size_t next_id;		/* in the same bucket */
	size_t next_name;
};

struct listing {
	unsigned int refs;
	bool lacks_versions;
	struct hash_key hash_key;
	struct listing_slot *slots;
	size_t count;
	size_t cap;		/* of slots and of both bucket arrays */
	size_t *by_id;		/* buckets: index of the first slot */
	size_t *by_name;
};

struct listing *
listing_new(void)
{
	struct listing *l;

	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	l->refs = 1;
	hash_key_init(&l->hash_key);
	return l;
}

struct listing *
listing_ref(struct listing *l)
{
	assert(l->refs > 0);
	l->refs++;
	return l;
}

static void
listing_row_clear(struct upstream_row *row)
{
	free(row->id);
	free(row->name);
	row->id = row->name = NULL;
}

void
listing_unref(struct listing *l)
{
	size_t i;

	if (l == NULL || --l->refs > 0)
		return;
	for (i = 0; i < l->count; i++)
		listing_row_clear(&l->slots[i].row);
	free(l->slots);
	free(l->by_id);
	free(l->by_name);
	free(l);
}

static size_t
listing_bucket(const struct listing *l, const void *p, size_t len)
{
	return (size_t)hash_bytes(&l->hash_key, p, len) & (l->cap - 1);
}

static void
listing_index(struct listing *l, size_t i)
{
	struct listing_slot *slot = &l->slots[i];
	size_t b;

	b = listing_bucket(l, slot->row.id, strlen(slot->row.id));
	slot->next_id = l->by_id[b];
	l->by_id[b] = i;
	b = listing_bucket(l, slot->row.name, strlen(slot->row.name));
	slot->next_name = l->by_name[b];
	l->by_name[b] = i;
}

/* Room for count slots, with as many buckets, all indexed anew. */
static int
listing_reserve(struct listing *l, size_t count)
{
	struct listing_slot *slots;
	size_t *by_id, *by_name;
	size_t i, cap = l->cap ? l->cap : 64;

	if (count <= l->cap)
		return 0;
	while (cap < count) {
		if (cap > SIZE_MAX / 2 / sizeof(*slots))
			return ERR_NOMEM;
		cap *= 2;
	}
	by_id = malloc(cap * sizeof(*by_id));
	by_name = malloc(cap * sizeof(*by_name));
	slots = by_id != NULL && by_name != NULL
	    ? realloc(l->slots, cap * sizeof(*slots)) : NULL;
	if (slots == NULL) {
		free(by_id);
		free(by_name);
		return ERR_NOMEM;
	}
	free(l->by_id);
	free(l->by_name);
	l->slots = slots;
	l->by_id = by_id;
	l->by_name = by_name;
	l->cap = cap;
	for (i = 0; i < cap; i++)
		l->by_id[i] = l->by_name[i] = LISTING_NONE;
	for (i = 0; i < l->count; i++)
		listing_index(l, i);
	return 0;
}

static size_t
listing_find_id(const struct listing *l, struct view id)
{
	size_t i;

	if (l->cap == 0)
		return LISTING_NONE;
	for (i = l->by_id[listing_bucket(l, id.p, id.len)]; i != LISTING_NONE;
	    i = l->slots[i].next_id) {
		if (strlen(l->slots[i].row.id) == id.len &&
		    memcmp(l->slots[i].row.id, id.p, id.len) == 0)
			return i;
	}
	return LISTING_NONE;
}

static void
listing_unlink_name(struct listing *l, size_t i)
{
	const char *name = l->slots[i].row.name;
	size_t *pos = &l->by_name[listing_bucket(l, name, strlen(name))];

	while (*pos != i)
		pos = &l->slots[*pos].next_name;
	*pos = l->slots[i].next_name;
}

/* The row met a second time, on a later page: the later one counts. */
static void
listing_replace(struct listing *l, size_t i, struct upstream_row *row)
{
	struct listing_slot *slot = &l->slots[i];
	size_t b;

	listing_unlink_name(l, i);
	listing_row_clear(&slot->row);
	slot->row = *row;
	b = listing_bucket(l, row->name, strlen(row->name));
	slot->next_name = l->by_name[b];
	l->by_name[b] = i;
}

int
listing_add(struct listing *l, struct upstream_page *page, size_t *ret_news)
{
	struct upstream_row *row;
	size_t i, known, news = 0;

	if (page->count > SIZE_MAX - l->count ||
	    listing_reserve(l, l->count + page->count) != 0)
		return ERR_NOMEM;
	if (!page->has_versions)
		l->lacks_versions = true;
	for (i = 0; i < page->count; i++) {
		row = &page->rows[i];
		known = listing_find_id(l, (struct view){
		    .p = (const uint8_t *)row->id, .len = strlen(row->id) });
		if (known != LISTING_NONE) {
			listing_replace(l, known, row);
		} else {
			l->slots[l->count].row = *row;
			listing_index(l, l->count);
			l->count++;
			news++;
		}
		row->id = row->name = NULL; /* the listing's now */
	}
	if (ret_news != NULL)
		*ret_news = news;
	return 0;
}

bool
listing_has_versions(const struct listing *l)
{
	return !l->lacks_versions;
}

size_t
listing_count(const struct listing *l)
{
	return l->count;
}

const struct upstream_row *
listing_row(const struct listing *l, size_t i)
{
	assert(i < l->count);
	return &l->slots[i].row;
}

const struct upstream_row *
listing_by_id(const struct listing *l, struct view id)
{
	size_t i = listing_find_id(l, id);

	return i == LISTING_NONE ? NULL : &l->slots[i].row;
}

int
listing_by_name(const struct listing *l, struct view name,
    const struct upstream_row **ret_row, const struct upstream_row **ret_other)
{
	const struct upstream_row *row, *found = NULL, *other = NULL;
	size_t i;

	if (l->cap == 0)
		return ERR_NOT_FOUND;
	for (i = l->by_name[listing_bucket(l, name.p, name.len)];
	    i != LISTING_NONE; i = l->slots[i].next_name) {
		row = &l->slots[i].row;
		if (strlen(row->name) != name.len ||
		    memcmp(row->name, name.p, name.len) != 0)
			continue;
		if (found == NULL || (row->is_active && !found->is_active)) {
			found = row;
			other = NULL;
		} else if (row->is_active == found->is_active) {
			other = row;
		}
	}
	if (found == NULL)
		return ERR_NOT_FOUND;
	*ret_row = found;
	*ret_other = other;
	return other != NULL ? ERR_AMBIGUOUS : 0;
}
