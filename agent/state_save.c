#include "config.h"

#include "state_save.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "listing.h"

#define SLICE_STEPS 128u		/* entries, rows or empty buckets */
#define SLICE_BYTES (64u << 10)

enum phase {
	PHASE_FACTS,
	PHASE_SECRETS,		/* the two listings */
	PHASE_KEYS,
	PHASE_ITEMS,
	PHASE_END,
	PHASE_PADDING,
	PHASE_DONE,
};

struct state_save {
	struct cache *cache;
	struct names *names;
	struct now now;		/* what ages are counted to */
	struct state_facts facts;
	struct seal *seal;
	struct state_writer *writer;
	struct secmem plain;	/* the chunk in the making */
	size_t plain_len;
	uint64_t chunks;	/* sealed */
	uint64_t padded;	/* how many they are to be */
	enum phase phase;
	bool failed;
	struct state_end end;
	struct listing *list;	/* being written; a reference */
	size_t next_row;
	uint32_t bucket;	/* of cache_iterate() */
	bool walked;
	struct state_item *items; /* of the buckets walked last: references */
	size_t nitems;
	size_t items_cap;
	size_t next_item;
	struct object *body;	/* whose data is to be written; a reference */
	size_t body_at;
	uint8_t record[STATE_RECORD_MAX]; /* in the making; no secret */
};

int
state_save_new(const struct state_save_config *cfg, const struct now *now,
    struct state_save **ret_save)
{
	struct state_save *sv = calloc(1, sizeof(*sv));
	uint8_t header[SEAL_HEADER_BYTES];
	struct seal_info info = cfg->info;
	int r;

	if (sv == NULL)
		return ERR_NOMEM;
	sv->cache = cfg->cache;
	sv->names = cfg->names;
	sv->now = *now;
	sv->facts = cfg->facts;
	info.wall_ms = now->wall_ms;
	info.boot_ms = now->boot_ms;
	if ((r = secmem_alloc(&sv->plain, SEAL_PLAIN_BYTES,
	    SECMEM_LIBRARY)) != 0 ||
	    (r = seal_new(cfg->key, &info, cfg->url, cfg->api, header,
	    &sv->seal)) != 0 ||
	    (r = state_writer_new(cfg->place, cfg->memory, header,
	    sizeof(header), SEAL_CHUNK_BYTES, &sv->writer)) != 0) {
		state_save_free(sv);
		return r;
	}
	*ret_save = sv;
	return 0;
}

static void
drop_items(struct state_save *sv)
{
	for (; sv->next_item < sv->nitems; sv->next_item++)
		object_unref(sv->items[sv->next_item].object);
	sv->nitems = sv->next_item = 0;
}

void
state_save_free(struct state_save *sv)
{
	if (sv == NULL)
		return;
	state_writer_free(sv->writer);
	seal_free(sv->seal);
	secmem_free_bytes(&sv->plain);
	listing_unref(sv->list);
	object_unref(sv->body);
	drop_items(sv);
	free(sv->items);
	free(sv);
}

struct state_writer *
state_save_writer(struct state_save *sv)
{
	return sv->writer;
}

uint64_t
state_save_items(const struct state_save *sv)
{
	return sv->end.items;
}

/* --- chunks --- */

/* Seal the chunk into the writer's buffer.  False: there is no room. */
static bool
flush(struct state_save *sv, bool last)
{
	uint8_t *room = state_writer_room(sv->writer);

	if (room == NULL)
		return false;
	seal_chunk(sv->seal, secmem_bytes(&sv->plain), last, room);
	state_writer_push(sv->writer);
	explicit_bzero(secmem_writable(&sv->plain), sv->plain_len);
	sv->plain_len = 0;
	sv->chunks++;
	return true;
}

/* As much as fits before a chunk has to be sealed that cannot be. */
static size_t
put(struct state_save *sv, const uint8_t *p, size_t len)
{
	size_t n, done = 0;

	while (done < len) {
		if (sv->plain_len == SEAL_PLAIN_BYTES && !flush(sv, false))
			break;
		n = SEAL_PLAIN_BYTES - sv->plain_len;
		if (n > len - done)
			n = len - done;
		memcpy(secmem_writable(&sv->plain) + sv->plain_len, p + done,
		    n);
		sv->plain_len += n;
		done += n;
	}
	return done;
}

/* Room for one record, which may have to seal a chunk; padding always does. */
static bool
has_room(struct state_save *sv)
{
	return (SEAL_PLAIN_BYTES - sv->plain_len >= STATE_RECORD_MAX &&
	    sv->phase != PHASE_PADDING) ||
	    state_writer_room(sv->writer) != NULL;
}

static void
put_record(struct state_save *sv, const struct wr *wr)
{
	size_t n;

	if (wr->failed) {
		sv->failed = true;
		return;
	}
	n = put(sv, wr->p, wr->len);
	assert(n == wr->len);
	(void)n;
}

/* --- the phases: true if something was written --- */

static void
write_facts(struct state_save *sv)
{
	struct wr wr;

	wr_init(&wr, sv->record, sizeof(sv->record));
	state_put_facts(&wr, &sv->facts);
	put_record(sv, &wr);
	sv->phase = PHASE_SECRETS;
}

static void
begin_list(struct state_save *sv, enum ref_kind kind, struct listing *l)
{
	const struct state_list head = {
		.kind = kind,
		.age_ms = sv->now.boot_ms - names_begun(sv->names, kind),
		.has_versions = listing_has_versions(l),
		.count = listing_count(l),
	};
	struct wr wr;

	sv->list = listing_ref(l);
	sv->next_row = 0;
	wr_init(&wr, sv->record, sizeof(sv->record));
	state_put_list(&wr, &head);
	put_record(sv, &wr);
}

static void
write_list(struct state_save *sv, enum ref_kind kind, enum phase next)
{
	struct listing *l;
	struct wr wr;

	if (sv->list == NULL) {
		l = names_listing(sv->names, kind);
		if (l == NULL)
			sv->phase = next;
		else
			begin_list(sv, kind, l);
		return;
	}
	if (sv->next_row == listing_count(sv->list)) {
		listing_unref(sv->list);
		sv->list = NULL;
		sv->phase = next;
		return;
	}
	wr_init(&wr, sv->record, sizeof(sv->record));
	state_put_row(&wr, listing_row(sv->list, sv->next_row++));
	put_record(sv, &wr);
	sv->end.rows++;
}

/* What lies ahead or behind on a clock that differences are right on. */
static uint64_t
span(uint64_t until, uint64_t from)
{
	return (int64_t)(until - from) > 0 ? until - from : 0;
}

/* Remember an entry as it is now. */
static void
collect(void *arg, struct cache_entry *e)
{
	struct state_save *sv = arg;
	struct state_item *items = sv->items;
	uint64_t now = sv->now.boot_ms;
	size_t cap = sv->items_cap > 0 ? sv->items_cap * 2 : 16;

	if (e->object == NULL || sv->failed)
		return;
	if (sv->nitems == sv->items_cap) {
		items = reallocarray(items, cap, sizeof(*items));
		if (items == NULL) {
			sv->failed = true;
			return;
		}
		sv->items = items;
		sv->items_cap = cap;
	}
	items[sv->nitems++] = (struct state_item){
		.kind = e->kind,
		.format = e->format,
		.version = e->version,
		.object = object_ref(e->object),
		.age_ms = span(now, e->confirmed_boot_ms),
		.read_age_ms = span(now, e->read_boot_ms),
		.reread_in_ms = span(e->reread_boot_ms, now),
		.expired_age_ms = e->expired
		    ? span(now, (uint64_t)e->expired_boot_ms) : 0,
		.failures = e->failures,
		.expired = e->expired,
	};
}

static void
write_item(struct state_save *sv)
{
	struct state_item *item;
	struct wr wr;

	if (sv->next_item == sv->nitems) {
		sv->nitems = sv->next_item = 0;
		if (sv->walked)
			sv->phase = PHASE_END;
		else
			sv->walked = !cache_iterate(sv->cache, &sv->bucket,
			    collect, sv);
		return;
	}
	item = &sv->items[sv->next_item++];
	wr_init(&wr, sv->record, sizeof(sv->record));
	state_put_item(&wr, item);
	put_record(sv, &wr);
	sv->end.items++;
	sv->body = item->object;
	sv->body_at = 0;
}

static size_t
write_body(struct state_save *sv)
{
	size_t len = secmem_len(&sv->body->data) - sv->body_at, n;

	n = put(sv, secmem_bytes(&sv->body->data) + sv->body_at,
	    len < SLICE_BYTES ? len : SLICE_BYTES);
	sv->body_at += n;
	if (n == len) {
		object_unref(sv->body);
		sv->body = NULL;
	}
	return n;
}

static void
write_end(struct state_save *sv)
{
	struct wr wr;

	wr_init(&wr, sv->record, sizeof(sv->record));
	state_put_end(&wr, &sv->end);
	put_record(sv, &wr);
	sv->padded = seal_padded(sv->chunks + 1);
	sv->phase = PHASE_PADDING;
}

static void
write_padding(struct state_save *sv)
{
	bool last = sv->chunks + 1 == sv->padded;

	if (!flush(sv, last) || !last)
		return;
	state_writer_end(sv->writer);
	sv->phase = PHASE_DONE;
}

/* One step of the slice; how many bytes that were. */
static size_t
step(struct state_save *sv)
{
	uint64_t chunks = sv->chunks;
	size_t len = sv->plain_len;

	switch (sv->phase) {
	case PHASE_FACTS:
		write_facts(sv);
		break;
	case PHASE_SECRETS:
		write_list(sv, REF_SECRET, PHASE_KEYS);
		break;
	case PHASE_KEYS:
		write_list(sv, REF_KEY, PHASE_ITEMS);
		break;
	case PHASE_ITEMS:
		if (sv->body != NULL)
			return write_body(sv);
		write_item(sv);
		break;
	case PHASE_END:
		write_end(sv);
		break;
	case PHASE_PADDING:
		write_padding(sv);
		return SEAL_PLAIN_BYTES;
	case PHASE_DONE:
		break;
	}
	return sv->chunks == chunks ? sv->plain_len - len : SEAL_PLAIN_BYTES;
}

enum state_progress
state_save_step(struct state_save *sv)
{
	size_t steps, bytes = 0;

	for (steps = 0; steps < SLICE_STEPS && bytes < SLICE_BYTES; steps++) {
		if (sv->failed)
			return STATE_FAILED;
		if (sv->phase == PHASE_DONE)
			return STATE_DONE;
		if (!has_room(sv))
			return STATE_WAIT;
		bytes += step(sv);
	}
	return sv->failed ? STATE_FAILED : STATE_MORE;
}
