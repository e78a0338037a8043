/*
 * The part of fetch that knows what a write makes void (upstream-api.md, 8).
 *
 * Done: what is held of it goes, before anybody learns that it was done, and
 * whatever was asked for before that is asked for again.  Perhaps done: it may
 * still be right, and all there is in an outage, so it stays; but whoever
 * wants it waits for a fresh one, and gets the old one as stale only if there
 * is none to be had.
 */
#include "config.h"

#include "fetch_impl.h"

#include <string.h>

#include "err.h"
#include "jobs.h"

struct writing {
	struct fetch *f;
	const struct fetch_write *w;
	unsigned int drops;
	struct now now;
};

/* Its value goes; what is watched or preloaded comes back at once. */
static void
writing_drop(struct writing *wr, struct cache_entry *e)
{
	struct fetch *f = wr->f;
	struct reading *rd = e->job;

	if (rd == NULL && !e->kept && e->watchers == 0) {
		cache_drop(f->cache, e);
		return;
	}
	cache_clear(f->cache, e, &wr->now);
	if (rd != NULL)
		job_restart(rd->job);
	else
		(void)fetch_start_reading(f, e);
}

static void
writing_doubt(struct writing *wr, struct cache_entry *e)
{
	struct reading *rd = e->job;

	if (e->object == NULL) {
		writing_drop(wr, e);
		return;
	}
	cache_doubt(wr->f->cache, e, &wr->now);
	if (rd != NULL)
		job_restart(rd->job);
}

/* Is it what was written, as far as its id goes? */
static bool
writing_means(const struct writing *wr, const struct cache_entry *e)
{
	bool is_it = upstream_id_same(cache_id(e), wr->w->id);

	if (e->kind == REF_KEY)
		return (wr->drops & ENDPOINT_DROPS_KEYS) != 0 ||
		    ((wr->drops & ENDPOINT_DROPS_KEY) != 0 && is_it);
	if (e->version != 0 && !(wr->drops & ENDPOINT_DROPS_VERSIONS))
		return false;
	return (wr->drops & (ENDPOINT_DROPS_SECRET |
	    ENDPOINT_DROPS_VERSIONS)) != 0 && is_it;
}

static bool
writing_entry(void *arg, struct cache_entry *e)
{
	struct writing *wr = arg;

	if (!writing_means(wr, e))
		return true;
	if (wr->w->outcome == FETCH_DONE)
		writing_drop(wr, e);
	else
		writing_doubt(wr, e);
	return true;
}

void
fetch_written(struct fetch *f, const struct fetch_write *w)
{
	struct writing wr = { .f = f, .w = w, .drops = w->drops };

	clock_read(&wr.now);
	cache_foreach(f->cache, writing_entry, &wr);
	if (wr.drops & ENDPOINT_DROPS_SECRET_LIST)
		names_forget(f->names, REF_SECRET);
	if (wr.drops & (ENDPOINT_DROPS_KEY_LIST | ENDPOINT_DROPS_KEYS))
		names_forget(f->names, REF_KEY);
	fetch_schedule(f, &wr.now);
}
