#include "config.h"

#include "revalidate.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "hash.h"
#include "timers.h"

/*
 * A read by its id tells more than a row, as that this key may not read this
 * one secret any more: a listing has to save so many requests.
 */
#define REVALIDATE_WORTH 10
/* How long a listing that is of no use is not tried again, in intervals. */
#define REVALIDATE_PAUSE_INTERVALS 12
/* So many listings in a row that contradict the reads, and none is trusted. */
#define REVALIDATE_ODD_MAX 2
#define REVALIDATE_SWEEP 256	/* then other events get their turn */

enum revalidate_use {
	REVALIDATE_USABLE,
	REVALIDATE_MAY_NOT_LIST,
	REVALIDATE_LACKS_MEMBERS,
	REVALIDATE_CONTRADICTS,
};

struct revalidate {
	struct cache *cache;
	struct names *names;
	struct revalidate_hooks hooks;
	struct timer *sweep;
	uint64_t interval_ms;
	enum revalidate_use use;
	uint64_t unused_until_boot_ms;	/* while not REVALIDATE_USABLE */
	uint64_t pages;		/* of the listing; 0: not known */
	/* the renewal under way */
	uint64_t due_boot_ms;	/* of all that it confirms; 0: none yet */
	uint64_t seen;		/* rows of what is cached */
	uint64_t odd;		/* of them, changed with the same version */
	unsigned int odd_listings; /* in a row */
	/* what is left of the last one */
	bool sweeping;
	int error;
	uint64_t retry_ms;
};

static void revalidate_sweep_cb(void *arg);

struct revalidate *
revalidate_new(struct event_base *base, struct cache *cache,
    struct names *names, const struct revalidate_hooks *hooks)
{
	struct revalidate *r;

	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	r->cache = cache;
	r->names = names;
	r->hooks = *hooks;
	r->sweep = timer_new(base, revalidate_sweep_cb, r);
	if (r->sweep == NULL) {
		free(r);
		return NULL;
	}
	return r;
}

void
revalidate_free(struct revalidate *r)
{
	if (r == NULL)
		return;
	timer_free(r->sweep);
	free(r);
}

void
revalidate_configure(struct revalidate *r, uint64_t refresh_interval_ms)
{
	r->interval_ms = refresh_interval_ms;
}

/* --- which way --- */

static void
revalidate_give_up(struct revalidate *r, enum revalidate_use why,
    const struct now *now)
{
	r->use = why;
	r->unused_until_boot_ms = now->boot_ms +
	    REVALIDATE_PAUSE_INTERVALS * r->interval_ms;
	cache_set_grouped(r->cache, false);
}

/* Does a listing need sufficiently fewer requests than reading each? */
static bool
revalidate_pays(const struct revalidate *r)
{
	struct cache_stats stats;

	cache_get_stats(r->cache, &stats);
	return stats.secrets > (r->pages > 0 ? r->pages : 1) +
	    REVALIDATE_WORTH;
}

/* What is read one by one is not due all at once. */
static void
revalidate_group(struct revalidate *r)
{
	cache_set_grouped(r->cache, r->use == REVALIDATE_USABLE &&
	    (r->pages <= 1 || revalidate_pays(r)));
}

static bool
revalidate_can(struct revalidate *r, const struct cache_entry *e,
    bool given_up, const struct now *now)
{
	if (e->kind != REF_SECRET || e->version != 0 || e->object == NULL ||
	    r->sweeping || e->doubted ||
	    (!given_up && cache_wants_reread(r->cache, e, now)))
		return false;
	if (r->use != REVALIDATE_USABLE &&
	    now->boot_ms >= r->unused_until_boot_ms) {
		r->use = REVALIDATE_USABLE;
		revalidate_group(r);
	}
	/* what expires soon is not left to many pages */
	return r->use == REVALIDATE_USABLE && revalidate_pays(r) &&
	    (r->pages <= 1 || !cache_expires_soon(r->cache, e, now));
}

bool
revalidate_take(struct revalidate *r, struct cache_entry *e, bool given_up,
    const struct now *now)
{
	if (!revalidate_can(r, e, given_up, now) ||
	    names_renew_for_values(r->names, REF_SECRET, now) != 0)
		return false;
	return cache_park(r->cache, e) == 0;
}

/* --- what a page tells --- */

static bool
revalidate_same_name(const struct upstream_row *row, const struct object *o)
{
	struct view name = object_name(o);

	return strlen(row->name) == name.len &&
	    memcmp(row->name, name.p, name.len) == 0;
}

static void
revalidate_row(struct revalidate *r, const struct upstream_row *row,
    uint64_t asked_boot_ms, const struct now *now)
{
	const struct cache_key key = {
		.kind = REF_SECRET,
		.id = { (const uint8_t *)row->id, strlen(row->id) },
	};
	struct cache_entry *e = cache_find(r->cache, &key);
	const struct object *o;

	if (e == NULL || e->object == NULL || e->job != NULL)
		return;
	o = e->object;
	r->seen++;
	if (row->version == o->version && row->is_active &&
	    row->updated_at == o->updated_at &&
	    row->expires_at == o->expires_at && revalidate_same_name(row, o)) {
		cache_confirm(r->cache, e, asked_boot_ms, r->due_boot_ms, now);
		return;
	}
	if (row->version == o->version && row->is_active)
		r->odd++;
	cache_unpark(r->cache, e);
	r->hooks.read(r->hooks.arg, e, now);
}

/* How many there are of them, as far as the first one tells. */
static void
revalidate_count_pages(struct revalidate *r, const struct upstream_page *page)
{
	if (!page->has_more)
		r->pages = 1;
	else if (page->total > 0 && page->count > 0)
		r->pages = (page->total + page->count - 1) / page->count;
}

bool
revalidate_page(struct revalidate *r, const struct upstream_page *page,
    uint64_t asked_boot_ms, const struct now *now)
{
	size_t i;

	if (r->due_boot_ms == 0) {
		/* all that it confirms is due together again, for the next */
		r->due_boot_ms = cache_next_group(r->cache, hash_random(),
		    now);
		revalidate_count_pages(r, page);
	}
	revalidate_group(r);
	if (!page->has_versions && page->count > 0) {
		revalidate_give_up(r, REVALIDATE_LACKS_MEMBERS, now);
		return false;
	}
	if (r->use != REVALIDATE_USABLE)
		return false;
	for (i = 0; i < page->count; i++)
		revalidate_row(r, &page->rows[i], asked_boot_ms, now);
	r->hooks.settled(r->hooks.arg, now);
	return revalidate_pays(r);
}

/* --- the rest --- */

/*
 * What no page told of is read: it may be gone, and only a read of it is
 * definite.  After a failure all of it fails, and tries again together.
 */
static void
revalidate_sweep_cb(void *arg)
{
	struct revalidate *r = arg;
	struct cache_entry *e;
	struct now now;
	unsigned int n;

	clock_read(&now);
	for (n = 0; n < REVALIDATE_SWEEP &&
	    (e = cache_parked(r->cache)) != NULL; n++) {
		cache_unpark(r->cache, e);
		if (e->job != NULL)
			continue; /* a caller wanted it newer */
		if (r->error != 0)
			cache_refresh_failed(r->cache, e, r->error,
			    r->retry_ms, &now);
		else
			r->hooks.read(r->hooks.arg, e, &now);
	}
	r->sweeping = cache_parked(r->cache) != NULL;
	if (r->sweeping)
		timer_set(r->sweep, 0);
	r->hooks.settled(r->hooks.arg, &now);
}

/* Values that changed while their version did not, most of them, each time. */
static void
revalidate_judge(struct revalidate *r, const struct now *now)
{
	if (r->seen < 2 || r->odd * 2 <= r->seen) {
		r->odd_listings = 0;
		return;
	}
	if (++r->odd_listings < REVALIDATE_ODD_MAX)
		return;
	r->odd_listings = 0;
	revalidate_give_up(r, REVALIDATE_CONTRADICTS, now);
}

void
revalidate_end(struct revalidate *r, int error, const struct now *now)
{
	struct cache_entry *e = cache_parked(r->cache);

	if (error == ERR_DENIED || error == ERR_INSUFFICIENT_SCOPE)
		revalidate_give_up(r, REVALIDATE_MAY_NOT_LIST, now);
	if (error == 0)
		revalidate_judge(r, now);
	r->due_boot_ms = 0;
	r->seen = r->odd = 0;
	/* of no use after all, or it turned out too long: read each */
	r->error = error == ERR_AGAIN || r->use != REVALIDATE_USABLE
	    ? 0 : error;
	if (e == NULL)
		return;
	if (r->error != 0)
		r->retry_ms = r->hooks.retry_ms(r->hooks.arg, e, r->error, now);
	r->sweeping = true;
	timer_set(r->sweep, 0);
}

void
revalidate_key_changed(struct revalidate *r)
{
	r->use = REVALIDATE_USABLE;
	r->odd_listings = 0;
	r->pages = 0;
	revalidate_group(r);
}

const char *
revalidate_mode(const struct revalidate *r)
{
	switch (r->use) {
	case REVALIDATE_USABLE:
		return revalidate_pays(r) ? "listing" : "single reads";
	case REVALIDATE_MAY_NOT_LIST:
		return "single reads: the API key may not list";
	case REVALIDATE_LACKS_MEMBERS:
		return "single reads: the listing lacks version, updatedAt, "
		    "expiresAt or isActive";
	case REVALIDATE_CONTRADICTS:
		return "single reads: the listing contradicts what is read";
	}
	return "single reads";
}
