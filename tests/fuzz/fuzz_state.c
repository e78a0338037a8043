/*
 * Reads the input as what is inside of a snapshot, after it was opened: cut
 * as the first byte says, decoded, and restored into a cache.  Whatever comes
 * out keeps the limits, and nothing stays in the arena.
 */
#include "config.h"

#include <string.h>

#include "cache.h"
#include "err.h"
#include "fuzz.h"
#include "listing.h"
#include "msg.h"
#include "state_format.h"
#include "text.h"

struct sink {
	struct cache *cache;
	struct listing *list;
	struct now now;
	uint64_t items, rows;
};

static void
set_up(void)
{
	static const struct secmem_config cfg = {
		.reserve_bytes = 128u << 20,
		.step_bytes = 4u << 20,
		.backing = SECMEM_BACKING_MLOCK,
	};
	static bool done;

	if (!done)
		FUZZ_ASSERT(secmem_init(&cfg) == 0);
	done = true;
}

static int
on_facts(void *arg, const struct state_facts *facts)
{
	struct sink *s = arg;

	cache_set_wall_floor(s->cache, facts->wall_floor_ms, &s->now);
	return 0;
}

static int
on_list(void *arg, const struct state_list *list)
{
	struct sink *s = arg;

	FUZZ_ASSERT(list->kind == REF_SECRET || list->kind == REF_KEY);
	listing_unref(s->list);
	s->list = listing_new();
	return s->list == NULL ? ERR_NOMEM : 0;
}

static int
on_row(void *arg, struct upstream_row *row)
{
	struct sink *s = arg;
	struct upstream_page page = { .rows = row, .count = 1 };

	FUZZ_ASSERT(s->list != NULL);
	FUZZ_ASSERT(upstream_id_valid((struct view){
	    (const uint8_t *)row->id, strlen(row->id)}));
	FUZZ_ASSERT(strlen(row->name) <= MSG_NAME_MAX);
	FUZZ_ASSERT(text_is_text(row->name, strlen(row->name)));
	s->rows++;
	return listing_add(s->list, &page, NULL);
}

static int
on_item(void *arg, const struct state_item *item)
{
	struct sink *s = arg;
	const struct object *o = item->object;
	const struct cache_restored r = {
		.key = { .kind = item->kind, .format = item->format,
			.version = item->version, .id = object_id(o) },
		.object = item->object, .age_ms = item->age_ms / 4,
		.read_age_ms = item->read_age_ms / 4,
		.reread_in_ms = item->reread_in_ms,
		.failures = item->failures, .expired = item->expired,
		.expired_age_ms = item->expired_age_ms / 4,
	};
	struct object_field field;
	struct cache_entry *e;
	size_t pos = 0;
	int error;

	FUZZ_ASSERT(o->refs == 1 && upstream_id_valid(object_id(o)));
	FUZZ_ASSERT(o->value_len <= secmem_len(&o->data));
	while (object_next_field(o, &pos, &field))
		continue;
	FUZZ_ASSERT(pos + o->value_len == secmem_len(&o->data));
	error = cache_restore(s->cache, &r, 1000, 7, &s->now);
	FUZZ_ASSERT(error == 0 || error == ERR_TOO_LARGE);
	e = cache_find(s->cache, &r.key);
	if (error == 0) {
		FUZZ_ASSERT(e != NULL);
		(void)cache_state(s->cache, e, &s->now);
	}
	s->items++;
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cache_config cfg = { .max_bytes = 1u << 20,
		.refresh_interval_ms = 1000, .max_stale_ms = 5000 };
	struct secmem_stats before, after;
	struct sink s = { .now = { 5000, INT64_C(1770000000000) } };
	const struct state_sink sink = { on_facts, on_list, on_row, on_item,
		&s };
	struct state_decoder d;
	size_t step, n;
	int r = 0;

	if (size == 0)
		return 0;
	set_up();
	secmem_get_stats(&before);
	s.cache = cache_new(&cfg);
	FUZZ_ASSERT(s.cache != NULL);
	step = (size_t)data[0] * 4 + 1;
	state_decoder_init(&d, &sink);
	for (data++, size--; size > 0 && r == 0; data += n, size -= n) {
		n = size < step ? size : step;
		r = state_decode(&d, data, n);
	}
	FUZZ_ASSERT(r == 0 || r == ERR_BAD_REQUEST);
	if (r == 0 && state_decode_end(&d) == 0) {
		FUZZ_ASSERT(d.seen.items == s.items && d.seen.rows == s.rows);
		cache_sort(s.cache, &s.now);
	}
	state_decoder_done(&d);
	listing_unref(s.list);
	cache_free(s.cache);
	secmem_get_stats(&after);
	FUZZ_ASSERT(before.used_bytes == after.used_bytes);
	return 0;
}
