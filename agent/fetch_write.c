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

#include "jobs.h"
#include "upstream_json.h"

struct writing {
	struct fetch *f;
	const struct fetch_write *w;
	unsigned int drops;
	struct upstream_names named; /* of an import */
	bool all_named;
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

/* Is it one of those that were imported? */
static bool
writing_is_named(const struct writing *wr, const struct cache_entry *e)
{
	struct names_found found;

	if (!(wr->drops & ENDPOINT_DROPS_NAMED))
		return false;
	if (wr->all_named)
		return true;
	if (e->object != NULL)
		return upstream_names_have(&wr->named, object_name(e->object));
	/* what is not there, or is being read */
	return names_by_id(wr->f->names, REF_SECRET, cache_id(e),
	    &found) == 0 && upstream_names_have(&wr->named, found.name);
}

/*
 * Does the write leave this as it is?  The value of a version does not change
 * until its secret goes; but that there was none is news of yesterday.
 */
static bool
writing_spares(const struct writing *wr, const struct cache_entry *e)
{
	return e->version != 0 && e->object != NULL && !wr->w->removes &&
	    !(wr->drops & ENDPOINT_DROPS_VERSIONS);
}

/* Is it what was written? */
static bool
writing_means(const struct writing *wr, const struct cache_entry *e)
{
	bool is_it = upstream_id_same(cache_id(e), wr->w->id);

	if (e->kind == REF_KEY)
		return (wr->drops & ENDPOINT_DROPS_KEYS) != 0 ||
		    ((wr->drops & ENDPOINT_DROPS_KEY) != 0 && is_it);
	if (writing_spares(wr, e))
		return false;
	return ((wr->drops & (ENDPOINT_DROPS_SECRET |
	    ENDPOINT_DROPS_VERSIONS)) != 0 && is_it) ||
	    writing_is_named(wr, e);
}

static bool
writing_entry(void *arg, struct cache_entry *e)
{
	struct writing *wr = arg;

	if (!writing_means(wr, e))
		return true;
	/* an import that cannot be read is no reason to drop everything */
	if (wr->w->outcome == FETCH_DONE && !(wr->all_named &&
	    e->kind == REF_SECRET))
		writing_drop(wr, e);
	else
		writing_doubt(wr, e);
	return true;
}

/* --- names --- */

static struct view
writing_view(const char *text)
{
	return (struct view){ (const uint8_t *)text, strlen(text) };
}

/* The id that the service writes so: the case of a UUID says nothing. */
static void
writing_lower(struct view id, char ret[MSG_ID_MAX + 1])
{
	size_t i;

	for (i = 0; i < id.len; i++)
		ret[i] = id.p[i] >= 'A' && id.p[i] <= 'Z'
		    ? (char)(id.p[i] - 'A' + 'a') : (char)id.p[i];
	ret[id.len] = '\0';
}

/* By what name the listing has it so far. */
static bool
writing_known(const struct writing *wr, enum ref_kind kind, struct view id,
    struct names_found *ret)
{
	char lower[MSG_ID_MAX + 1];

	if (id.len == 0 || id.len > MSG_ID_MAX)
		return false;
	if (names_by_id(wr->f->names, kind, id, ret) == 0)
		return true;
	writing_lower(id, lower);
	return upstream_id_same(writing_view(lower), id) &&
	    names_by_id(wr->f->names, kind, writing_view(lower), ret) == 0;
}

/* It is there, by this name. */
static void
writing_name(const struct writing *wr, enum ref_kind kind,
    const struct upstream_named *named, uint64_t at)
{
	struct names *names = wr->f->names;
	struct view id = writing_view(named->id);
	struct view name = writing_view(named->name);
	struct names_found old;
	bool known, same_id = true, same_name = false;

	names_changed(names, kind, at);
	known = writing_known(wr, kind, id, &old);
	if (!known && kind == REF_KEY) {
		/* a rotated key may have another id: its name means that now */
		known = writing_known(wr, kind, wr->w->id, &old);
		same_id = false;
	}
	if (known)
		same_name = old.name.len == name.len &&
		    memcmp(old.name.p, name.p, name.len) == 0;
	if (known && same_id && same_name && named->is_active)
		return; /* as before */
	if (known && (same_id || same_name))
		names_written(names, kind, old.name, old.id, false, at);
	names_written(names, kind, name, id, named->is_active, at);
}

static void
writing_names(const struct writing *wr, enum ref_kind kind)
{
	const struct fetch_write *w = wr->w;
	struct names *names = wr->f->names;
	uint64_t at = jobs_now(wr->f->jobs);
	bool known, there = !w->removes;
	struct upstream_named named;
	struct names_found found;

	if (w->outcome == FETCH_DONE && there &&
	    upstream_json_named(w->answer, kind, &named)) {
		writing_name(wr, kind, &named, at);
		return;
	}
	names_changed(names, kind, at);
	known = writing_known(wr, kind, w->id, &found);
	if (w->outcome == FETCH_DONE && known)
		names_written(names, kind, found.name, found.id, there, at);
	/* else a read by the id tells */
	if (w->outcome == FETCH_PERHAPS || there)
		names_unsure(names, kind, at);
}

/* --- all of it --- */

/* Which names an import has; where that cannot be read it may be any. */
static void
writing_take_names(struct writing *wr)
{
	if (!(wr->drops & ENDPOINT_DROPS_NAMED))
		return;
	wr->all_named = upstream_json_item_names(wr->w->request,
	    &wr->named) != 0;
}

void
fetch_written(struct fetch *f, const struct fetch_write *w)
{
	struct writing wr = { .f = f, .w = w, .drops = w->drops };

	clock_read(&wr.now);
	writing_take_names(&wr);
	if (wr.drops & ENDPOINT_DROPS_SECRET_LIST)
		writing_names(&wr, REF_SECRET);
	if (wr.drops & (ENDPOINT_DROPS_KEY_LIST | ENDPOINT_DROPS_KEYS))
		writing_names(&wr, REF_KEY);
	cache_foreach(f->cache, writing_entry, &wr);
	upstream_names_clear(&wr.named);
	fetch_schedule(f, &wr.now);
}
