#include "config.h"

#include "listing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "hash.h"

#define LISTING_NONE UINT32_MAX
#define LISTING_BUCKETS_MIN 64u
#define LISTING_TEXT_BYTES (16u << 10)

/*
 * 100,000 of these are held, twice while a listing is renewed: ids and names
 * lie close together, and the last reference is given up without a walk.
 */
struct listing_slot {
	struct upstream_row row; /* texts point into a struct listing_text */
	uint32_t next_id;	/* in the same bucket */
	uint32_t next_name;
};

struct listing_text {
	struct listing_text *next;
	size_t cap;
	size_t used;
	char bytes[];
};

struct listing {
	unsigned int refs;
	bool lacks_versions;
	struct hash_key hash_key;
	struct listing_slot *slots;
	struct listing_text *texts; /* the newest first */
	uint32_t count;
	uint32_t cap;		/* of slots */
	/* linear hashing, as in the cache: no page makes all be hashed anew */
	uint32_t *by_id;	/* buckets: index of the first slot */
	uint32_t *by_name;
	uint32_t nbuckets;
	uint32_t buckets_cap;
	uint32_t buckets_low;	/* the greatest power of two <= nbuckets */
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

void
listing_unref(struct listing *l)
{
	struct listing_text *text, *next;

	if (l == NULL || --l->refs > 0)
		return;
	for (text = l->texts; text != NULL; text = next) {
		next = text->next;
		free(text);
	}
	free(l->slots);
	free(l->by_id);
	free(l->by_name);
	free(l);
}

static uint32_t
listing_bucket(const struct listing *l, const void *p, size_t len)
{
	uint64_t i = hash_bytes(&l->hash_key, p, len) &
	    (2 * (uint64_t)l->buckets_low - 1);

	return (uint32_t)(i < l->nbuckets ? i : i - l->buckets_low);
}

static void
listing_index_id(struct listing *l, uint32_t i)
{
	struct listing_slot *slot = &l->slots[i];
	uint32_t b = listing_bucket(l, slot->row.id, strlen(slot->row.id));

	slot->next_id = l->by_id[b];
	l->by_id[b] = i;
}

static void
listing_index_name(struct listing *l, uint32_t i)
{
	struct listing_slot *slot = &l->slots[i];
	uint32_t b = listing_bucket(l, slot->row.name,
	    strlen(slot->row.name));

	slot->next_name = l->by_name[b];
	l->by_name[b] = i;
}

/* One bucket more, which takes its part of another.  There is room for it. */
static void
listing_add_bucket(struct listing *l)
{
	uint32_t from = l->nbuckets - l->buckets_low, i, next;

	l->by_id[l->nbuckets] = l->by_name[l->nbuckets] = LISTING_NONE;
	l->nbuckets++;
	i = l->by_id[from];
	for (l->by_id[from] = LISTING_NONE; i != LISTING_NONE; i = next) {
		next = l->slots[i].next_id;
		listing_index_id(l, i);
	}
	i = l->by_name[from];
	for (l->by_name[from] = LISTING_NONE; i != LISTING_NONE; i = next) {
		next = l->slots[i].next_name;
		listing_index_name(l, i);
	}
	if (l->nbuckets == 2 * l->buckets_low)
		l->buckets_low = l->nbuckets;
}

/* Room for as many buckets.  0 or ERR_NOMEM; the old ones stay in use. */
static int
listing_reserve_buckets(struct listing *l, uint32_t cap)
{
	uint32_t *by_id, *by_name;

	if (cap <= l->buckets_cap)
		return 0;
	by_id = realloc(l->by_id, (size_t)cap * sizeof(*by_id));
	if (by_id != NULL)
		l->by_id = by_id;
	by_name = realloc(l->by_name, (size_t)cap * sizeof(*by_name));
	if (by_name != NULL)
		l->by_name = by_name;
	if (by_id == NULL || by_name == NULL)
		return ERR_NOMEM;
	l->buckets_cap = cap;
	if (l->nbuckets == 0) {
		l->nbuckets = l->buckets_low = LISTING_BUCKETS_MIN;
		memset(by_id, 0xff, LISTING_BUCKETS_MIN * sizeof(*by_id));
		memset(by_name, 0xff, LISTING_BUCKETS_MIN * sizeof(*by_name));
	}
	return 0;
}

/* Room for count slots and buckets. */
static int
listing_reserve(struct listing *l, size_t count)
{
	struct listing_slot *slots;
	uint32_t cap = l->cap != 0 ? l->cap : LISTING_BUCKETS_MIN;

	if (count <= l->cap)
		return 0;
	while (cap < count) {
		if (cap > UINT32_MAX / 4)
			return ERR_NOMEM;
		cap *= 2;
	}
	slots = realloc(l->slots, (size_t)cap * sizeof(*slots));
	if (slots == NULL)
		return ERR_NOMEM;
	l->slots = slots;
	if (listing_reserve_buckets(l, cap) != 0)
		return ERR_NOMEM;
	l->cap = cap;
	return 0;
}

/* Room for len bytes of text in the newest piece. */
static int
listing_reserve_text(struct listing *l, size_t len)
{
	size_t cap = len > LISTING_TEXT_BYTES ? len : LISTING_TEXT_BYTES;
	struct listing_text *text = l->texts;

	if (text != NULL && text->cap - text->used >= len)
		return 0;
	text = malloc(sizeof(*text) + cap);
	if (text == NULL)
		return ERR_NOMEM;
	text->next = l->texts;
	text->cap = cap;
	text->used = 0;
	l->texts = text;
	return 0;
}

/* Take a text over; there is room for it. */
static char *
listing_take_text(struct listing *l, char **text)
{
	size_t len = strlen(*text) + 1;
	char *at = l->texts->bytes + l->texts->used;

	memcpy(at, *text, len);
	l->texts->used += len;
	free(*text);
	*text = NULL;
	return at;
}

static uint32_t
listing_find_id(const struct listing *l, struct view id)
{
	uint32_t i;

	if (l->count == 0)
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
listing_unlink_name(struct listing *l, uint32_t i)
{
	const char *name = l->slots[i].row.name;
	uint32_t *pos = &l->by_name[listing_bucket(l, name, strlen(name))];

	while (*pos != i)
		pos = &l->slots[*pos].next_name;
	*pos = l->slots[i].next_name;
}

/* Another row, or one met a second time, on a later page: that one counts. */
static bool
listing_add_row(struct listing *l, struct upstream_row *row)
{
	struct view id = { (const uint8_t *)row->id, strlen(row->id) };
	uint32_t i = listing_find_id(l, id);
	bool is_new = i == LISTING_NONE;
	struct upstream_row copy = *row;

	copy.id = listing_take_text(l, &row->id);
	copy.name = listing_take_text(l, &row->name);
	if (is_new) {
		i = l->count++;
		l->slots[i].row = copy;
		if (l->count > l->nbuckets)
			listing_add_bucket(l);
		listing_index_id(l, i);
	} else {
		listing_unlink_name(l, i);
		l->slots[i].row = copy;
	}
	listing_index_name(l, i);
	return is_new;
}

int
listing_add(struct listing *l, struct upstream_page *page, size_t *ret_news)
{
	size_t i, text = 0, news = 0;

	for (i = 0; i < page->count; i++)
		text += strlen(page->rows[i].id) +
		    strlen(page->rows[i].name) + 2;
	if (page->count > UINT32_MAX - l->count ||
	    listing_reserve(l, l->count + page->count) != 0 ||
	    listing_reserve_text(l, text) != 0)
		return ERR_NOMEM;
	if (!page->has_versions)
		l->lacks_versions = true;
	for (i = 0; i < page->count; i++)
		news += listing_add_row(l, &page->rows[i]);
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
	uint32_t i = listing_find_id(l, id);

	return i == LISTING_NONE ? NULL : &l->slots[i].row;
}

const struct upstream_row *
listing_next_named(const struct listing *l, struct view name,
    const struct upstream_row *after)
{
	const struct upstream_row *row;
	uint32_t i;

	if (l->count == 0)
		return NULL;
	/* a row is the first member of its slot */
	i = after != NULL ? ((const struct listing_slot *)after)->next_name
	    : l->by_name[listing_bucket(l, name.p, name.len)];
	for (; i != LISTING_NONE; i = l->slots[i].next_name) {
		row = &l->slots[i].row;
		if (strlen(row->name) == name.len &&
		    memcmp(row->name, name.p, name.len) == 0)
			return row;
	}
	return NULL;
}

int
listing_by_name(const struct listing *l, struct view name,
    const struct upstream_row **ret_row, const struct upstream_row **ret_other)
{
	const struct upstream_row *row = NULL, *found = NULL, *other = NULL;

	while ((row = listing_next_named(l, name, row)) != NULL) {
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
