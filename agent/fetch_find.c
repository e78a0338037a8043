/*
 * The part of fetch that finds, marks and drops what is cached, and asks
 * nothing of the service.
 */
#include "config.h"

#include "fetch_impl.h"

#include <string.h>

#include "err.h"
#include "jobs.h"
#include "revalidate.h"

/* --- what a text means --- */

struct fetch_by_text {
	const struct ref *ref;
	const struct cache_entry *by_id;
	const struct cache_entry *by_name;
};

static bool
fetch_match_text(void *arg, struct cache_entry *e)
{
	struct fetch_by_text *m = arg;
	struct view name;

	if (e->kind != m->ref->kind)
		return true;
	if (cache_has_id(e, m->ref->name) &&
	    (m->by_id == NULL || e->object != NULL))
		m->by_id = e;
	if (e->object != NULL) {
		name = object_name(e->object);
		if (name.len == m->ref->name.len &&
		    memcmp(name.p, m->ref->name.p, name.len) == 0)
			m->by_name = e;
	}
	return true;
}

int
fetch_known(struct fetch *f, enum ref_kind kind, struct view text,
    struct view *ret_id, struct view *ret_name)
{
	const struct cache_key key = { .kind = kind, .id = text };
	const struct cache_entry *e = cache_find(f->cache, &key);
	struct names_found found;
	int r;

	if (e != NULL && e->object != NULL) {
		*ret_id = object_id(e->object);
		*ret_name = object_name(e->object);
		return 0;
	}
	r = names_by_id(f->names, kind, text, &found);
	if (r != 0)
		r = names_by_name(f->names, kind, text, &found);
	if (r == 0 || r == ERR_AMBIGUOUS) {
		*ret_id = found.id;
		*ret_name = r == 0 ? found.name : found.other;
	}
	return r;
}

int
fetch_identify(struct fetch *f, const struct ref *ref,
    struct view *ret_id, struct view *ret_name)
{
	struct fetch_by_text m = { .ref = ref };
	int r;

	r = fetch_known(f, ref->kind, ref->name, ret_id, ret_name);
	if (r != ERR_NOT_FOUND)
		return r;
	cache_foreach(f->cache, fetch_match_text, &m);
	if (m.by_id == NULL)
		m.by_id = m.by_name;
	if (m.by_id == NULL)
		return ERR_NOT_FOUND;
	*ret_id = cache_id(m.by_id);
	*ret_name = m.by_id->object != NULL ? object_name(m.by_id->object)
	    : (struct view){ NULL, 0 };
	return 0;
}

struct view
fetch_name_of(struct fetch *f, const struct object *o)
{
	const struct cache_key key = { .kind = o->kind, .id = object_id(o) };
	struct names_found found;
	struct cache_entry *e;

	if (o->name_len > 0)
		return object_name(o);
	if (names_by_id(f->names, o->kind, key.id, &found) == 0)
		return found.name;
	e = cache_find(f->cache, &key);
	if (e != NULL && e->object != NULL)
		return object_name(e->object);
	return (struct view){ NULL, 0 };
}

bool
fetch_may_be_id(struct fetch *f, enum ref_kind kind, struct view text)
{
	const struct cache_key key = { .kind = kind, .id = text };
	const struct cache_entry *e;
	struct names_found found;

	if (lookup_looks_like_id(text) ||
	    names_by_id(f->names, kind, text, &found) == 0)
		return true;
	/* a name that was tried as an id, without success, is none */
	e = cache_find(f->cache, &key);
	return e != NULL && e->negative_error != ERR_NOT_FOUND;
}

static void
fetch_set_kept(struct fetch *f, const struct ref *ref, bool kept)
{
	struct view id, name;
	struct cache_entry *e;
	struct cache_key key = {
		.kind = ref->kind, .format = ref->format,
		.version = ref->version,
	};

	if (fetch_identify(f, ref, &id, &name) != 0)
		return;
	key.id = id;
	e = cache_find(f->cache, &key);
	if (e != NULL)
		e->kept = kept;
}

void
fetch_keep(struct fetch *f, const struct ref *ref)
{
	fetch_set_kept(f, ref, true);
}

void
fetch_release(struct fetch *f, const struct ref *ref)
{
	fetch_set_kept(f, ref, false);
}

/* --- dropping --- */

struct fetch_purging {
	struct fetch *f;
	const struct ref *ref;	/* NULL: everything */
	struct view id;
	size_t count;
	struct now now;
};

/* An entry that is being read is emptied, and read once more from now on. */
static bool
fetch_purge_entry(void *arg, struct cache_entry *e)
{
	struct fetch_purging *p = arg;
	struct reading *rd = e->job;

	if (p->ref != NULL && (e->kind != p->ref->kind ||
	    !cache_has_id(e, p->id) ||
	    (p->ref->version != 0 && e->version != p->ref->version)))
		return true;
	if (e->object != NULL || e->negative_error != ERR_AGAIN)
		p->count++;
	if (rd == NULL && !e->kept && e->watchers == 0) {
		cache_drop(p->f->cache, e);
		return true;
	}
	/* what is preloaded or watched stays so, and comes back by itself */
	cache_clear(p->f->cache, e, &p->now);
	if (rd != NULL)
		job_restart(rd->job);
	return true;
}

size_t
fetch_purge(struct fetch *f, const struct ref *ref)
{
	struct fetch_purging p = { .f = f, .ref = ref };
	struct view id, name;
	char copy[MSG_ID_MAX];

	if (fetch_identify(f, ref, &id, &name) != 0 || id.len > sizeof(copy))
		return 0;
	/* the id may lie in an entry that goes */
	memcpy(copy, id.p, id.len);
	p.id = (struct view){ .p = (const uint8_t *)copy, .len = id.len };
	clock_read(&p.now);
	cache_foreach(f->cache, fetch_purge_entry, &p);
	fetch_schedule(f, &p.now);
	return p.count;
}

size_t
fetch_purge_all(struct fetch *f)
{
	struct fetch_purging p = { .f = f };

	clock_read(&p.now);
	cache_foreach(f->cache, fetch_purge_entry, &p);
	fetch_schedule(f, &p.now);
	names_forget(f->names, REF_SECRET);
	names_forget(f->names, REF_KEY);
	return p.count;
}

/* --- how things stand --- */

bool
fetch_is_offline(const struct fetch *f)
{
	return f->offline;
}

const char *
fetch_revalidation(const struct fetch *f)
{
	return revalidate_mode(f->revalidate);
}

enum msg_freshness
fetch_freshness(enum cache_state state)
{
	switch (state) {
	case CACHE_FRESH:
		return MSG_FRESH;
	case CACHE_STALE:
	case CACHE_TOO_OLD:
		return MSG_STALE;
	case CACHE_GRACE:
	case CACHE_EXPIRED:
	case CACHE_UNJUDGED:
		return MSG_EXPIRED;
	case CACHE_NONE:
	case CACHE_NEGATIVE:
		break;
	}
	return MSG_FRESHNESS_NONE;
}

static void
fetch_stand_times(struct fetch *f, const struct now *now,
    struct fetch_standing *st)
{
	const struct cache_entry *e = st->entry;
	uint64_t due_boot_ms = cache_due_boot_ms(f->cache, e);

	st->age_ms = cache_age(e, now);
	st->usable_ms = f->cfg.cache.max_stale_ms > st->age_ms
	    ? f->cfg.cache.max_stale_ms - st->age_ms : 0;
	st->expires_ms = cache_expires_ms(f->cache, e, now);
	if (st->expires_ms < st->usable_ms)
		st->usable_ms = st->expires_ms;
	if (e->job != NULL || e->parked)
		st->next_refresh_ms = 0;
	else if (due_boot_ms != UINT64_MAX)
		st->next_refresh_ms = due_boot_ms > now->boot_ms
		    ? due_boot_ms - now->boot_ms : 0;
}

void
fetch_stand_entry(struct fetch *f, struct cache_entry *e,
    const struct now *now, struct fetch_standing *ret)
{
	*ret = (struct fetch_standing){
		.entry = e,
		.state = cache_state(f->cache, e, now),
		.next_refresh_ms = UINT64_MAX,
		.last_error = e->last_error,
	};
	if (e->object != NULL)
		fetch_stand_times(f, now, ret);
}

void
fetch_stand(struct fetch *f, const struct ref *ref, const struct now *now,
    struct fetch_standing *ret)
{
	struct cache_key key = {
		.kind = ref->kind, .format = ref->format,
		.version = ref->version,
	};
	struct cache_entry *e = NULL;
	struct view name;

	if (fetch_identify(f, ref, &key.id, &name) == 0)
		e = cache_find(f->cache, &key);
	if (e != NULL)
		fetch_stand_entry(f, e, now, ret);
	else
		*ret = (struct fetch_standing){
			.state = CACHE_NONE, .next_refresh_ms = UINT64_MAX,
		};
}
