#include "config.h"

#include "state_load.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "hash.h"
#include "listing.h"
#include "state_format.h"

/* Clocks of one machine before and after a boot may differ by so much. */
#define FUTURE_MS (5 * 60 * 1000)

struct load {
	const struct state_load_config *cfg;
	const struct now *now;
	struct state_loaded out;
	struct seal *seal;
	struct state_decoder decoder;
	struct state_sink sink;
	struct secmem plain;
	uint8_t *chunk;		/* sealed */
	struct listing *list;	/* being read */
	struct state_list list_head;
};

/* --- time --- */

static bool
same_boot(const struct seal_info *info, const uint8_t *boot_id)
{
	return seal_boot_id_is_set(boot_id) &&
	    memcmp(info->boot_id, boot_id, SEAL_BOOT_ID_BYTES) == 0;
}

enum state_fault
state_load_away(const struct seal_info *info,
    const uint8_t boot_id[SEAL_BOOT_ID_BYTES], const struct now *now,
    uint64_t *ret_ms)
{
	uint64_t away;

	if (same_boot(info, boot_id)) {
		if (now->boot_ms < info->boot_ms)
			return STATE_FUTURE;
		*ret_ms = now->boot_ms - info->boot_ms;
		return STATE_OK;
	}
	/* Of two clocks that may count from anywhere nothing can be told. */
	if (now->wall_ms < CACHE_WALL_PLAUSIBLE_MS ||
	    info->wall_ms < CACHE_WALL_PLAUSIBLE_MS)
		return STATE_CLOCK_UNSET;
	if (info->wall_ms - now->wall_ms > FUTURE_MS)
		return STATE_FUTURE;
	away = now->wall_ms > info->wall_ms
	    ? (uint64_t)now->wall_ms - (uint64_t)info->wall_ms : 0;
	/* It was made before this boot, so at least that long ago. */
	if (seal_boot_id_is_set(info->boot_id) &&
	    seal_boot_id_is_set(boot_id) && away < now->boot_ms)
		away = now->boot_ms;
	*ret_ms = away;
	return STATE_OK;
}

/* --- what is restored --- */

static uint64_t
add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX / 4 || b > UINT64_MAX / 4 ? UINT64_MAX / 4 : a + b;
}

static int
take_facts(void *arg, const struct state_facts *facts)
{
	struct load *ld = arg;

	if (facts->wall_floor_ms > 0 && facts->wall_floor_ms < INT64_MAX / 4)
		cache_set_wall_floor(ld->cfg->cache, facts->wall_floor_ms +
		    (int64_t)add(0, ld->out.away_ms), ld->now);
	if (facts->unauthorized_ms > 0)
		ld->out.unauthorized_ms = add(facts->unauthorized_ms,
		    ld->out.away_ms);
	return 0;
}

/* The listing that is complete now, if there is one. */
static void
end_list(struct load *ld)
{
	if (ld->list == NULL)
		return;
	names_restore(ld->cfg->names, ld->list_head.kind, ld->list,
	    add(ld->list_head.age_ms, ld->out.away_ms), ld->now);
	ld->list = NULL;
}

static int
take_list(void *arg, const struct state_list *list)
{
	struct load *ld = arg;
	struct upstream_page none = { .has_versions = list->has_versions };

	end_list(ld);
	ld->list = listing_new();
	if (ld->list == NULL)
		return ERR_NOMEM;
	ld->list_head = *list;
	return listing_add(ld->list, &none, NULL);
}

static int
take_row(void *arg, struct upstream_row *row)
{
	struct load *ld = arg;
	struct upstream_page page = {
		.rows = row,
		.count = 1,
		.has_versions = ld->list_head.has_versions,
	};

	if (ld->list == NULL)
		return ERR_BAD_REQUEST;
	ld->out.rows++;
	return listing_add(ld->list, &page, NULL);
}

static int
take_item(void *arg, const struct state_item *item)
{
	struct load *ld = arg;
	uint64_t away = ld->out.away_ms;
	const struct cache_restored r = {
		.key = {
			.kind = item->kind,
			.format = item->format,
			.version = item->version,
			.id = object_id(item->object),
		},
		.object = item->object,
		.age_ms = add(item->age_ms, away),
		.read_age_ms = add(item->read_age_ms, away),
		.reread_in_ms = item->reread_in_ms > away
		    ? item->reread_in_ms - away : 0,
		.failures = item->failures,
		.expired = item->expired,
		.expired_age_ms = add(item->expired_age_ms, away),
	};
	int error;

	error = cache_restore(ld->cfg->cache, &r, ld->cfg->spread_ms,
	    hash_random(), ld->now);
	if (error == ERR_TOO_LARGE) {
		ld->out.dropped++;
		return 0;
	}
	ld->out.items++;
	return error;
}

/* --- reading --- */

/* len bytes from at on; fewer at the end.  -1 with errno. */
static ssize_t
read_at(int fd, uint8_t *p, size_t len, off_t at)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = pread(fd, p + done, len - done, at + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static enum state_fault
read_header(int fd, uint8_t *header, struct seal_info *ret_info)
{
	ssize_t n = read_at(fd, header, SEAL_HEADER_BYTES, 0);

	if (n < 0)
		return STATE_IO;
	if ((size_t)n < SEAL_HEADER_BYTES)
		return STATE_CUT;
	return seal_peek(header, ret_info);
}

enum state_fault
state_load_peek(int fd, struct seal_info *ret_info)
{
	uint8_t header[SEAL_HEADER_BYTES];

	return read_header(fd, header, ret_info);
}

/* The first key that fits; what is closest to fitting says why none does. */
static enum state_fault
open_seal(struct load *ld, const uint8_t *header)
{
	enum state_fault fault, nearest = STATE_NO_KEY;
	const struct state_load_key *k;
	size_t i;

	for (i = 0; i < ld->cfg->nkeys; i++) {
		k = &ld->cfg->keys[i];
		if (k->source != ld->out.info.source)
			continue;
		fault = seal_open_new(k->key, ld->cfg->url, k->api,
		    header, &ld->seal);
		if (fault == STATE_OK) {
			ld->out.api_number = k->api_number;
			return STATE_OK;
		}
		if (nearest == STATE_NO_KEY || nearest == STATE_OTHER_KEY)
			nearest = fault;
	}
	return nearest == STATE_NO_KEY &&
	    ld->out.info.source == SEAL_API_KEY ? STATE_OTHER_KEY : nearest;
}

static enum state_fault
decode_fault(int error)
{
	if (error == 0)
		return STATE_OK;
	return error == ERR_NOMEM ? STATE_NOMEM : STATE_CONTENT;
}

/* One chunk; at is where the next one begins. */
static enum state_fault
read_chunk(struct load *ld, int fd, off_t *at, bool *ret_last)
{
	uint8_t *plain = secmem_writable(&ld->plain);
	ssize_t n = read_at(fd, ld->chunk, SEAL_CHUNK_BYTES, *at);
	enum state_fault fault;

	if (n < 0)
		return STATE_IO;
	if ((size_t)n < SEAL_CHUNK_BYTES)
		return STATE_CUT;
	fault = seal_open_chunk(ld->seal, ld->chunk, plain, ret_last);
	if (fault != STATE_OK)
		return fault;
	/* The first one that opens proves the header. */
	if (*at == SEAL_HEADER_BYTES)
		fault = state_load_away(&ld->out.info, ld->cfg->boot_id,
		    ld->now, &ld->out.away_ms);
	*at += SEAL_CHUNK_BYTES;
	if (fault != STATE_OK)
		return fault;
	return decode_fault(state_decode(&ld->decoder, plain,
	    SEAL_PLAIN_BYTES));
}

static enum state_fault
read_all(struct load *ld, int fd)
{
	uint8_t header[SEAL_HEADER_BYTES], more;
	off_t at = SEAL_HEADER_BYTES;
	enum state_fault fault;
	bool last = false;

	fault = read_header(fd, header, &ld->out.info);
	if (fault == STATE_OK)
		fault = open_seal(ld, header);
	while (fault == STATE_OK && !last)
		fault = read_chunk(ld, fd, &at, &last);
	if (fault != STATE_OK)
		return fault;
	if (read_at(fd, &more, 1, at) != 0)
		return STATE_APPENDED;
	fault = decode_fault(state_decode_end(&ld->decoder));
	if (fault == STATE_OK)
		end_list(ld);
	return fault;
}

static bool
drop_entry(void *arg, struct cache_entry *e)
{
	cache_drop(arg, e);
	return true;
}

static void
undo(const struct load *ld)
{
	cache_foreach(ld->cfg->cache, drop_entry, ld->cfg->cache);
	names_forget(ld->cfg->names, REF_SECRET);
	names_forget(ld->cfg->names, REF_KEY);
}

enum state_fault
state_load(const struct state_load_config *cfg, int fd, const struct now *now,
    struct state_loaded *ret)
{
	struct load ld = { .cfg = cfg, .now = now };
	enum state_fault fault = STATE_NOMEM;
	int error;

	ld.sink = (struct state_sink){
		.facts = take_facts,
		.list = take_list,
		.row = take_row,
		.item = take_item,
		.arg = &ld,
	};
	state_decoder_init(&ld.decoder, &ld.sink);
	ld.chunk = malloc(SEAL_CHUNK_BYTES);
	if (ld.chunk != NULL && secmem_alloc(&ld.plain, SEAL_PLAIN_BYTES,
	    SECMEM_LIBRARY) == 0)
		fault = read_all(&ld, fd);
	if (fault == STATE_OK) {
		cache_sort(cfg->cache, now);
		*ret = ld.out;
	} else {
		undo(&ld);
	}
	error = errno;		/* what STATE_IO is about */
	listing_unref(ld.list);
	state_decoder_done(&ld.decoder);
	seal_free(ld.seal);
	secmem_free_bytes(&ld.plain);
	free(ld.chunk);
	secmem_scrub_stack();
	errno = error;
	return fault;
}
