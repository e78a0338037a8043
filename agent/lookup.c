#include "config.h"

#include "lookup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "text.h"
#include "units.h"

/* An expired value that was confirmed this recently is not asked for again. */
#define LOOKUP_EXPIRED_RETRY_MS 1000

void
lookup_init_listing(struct lookup *lk, const struct fetch_query *q,
    enum ref_kind kind, uint64_t since)
{
	/* the messages are left as they are: they are many bytes, and unused
	 * in the common case */
	lk->kind = kind;
	lk->format = REF_FORMAT_JSON;
	lk->version = 0;
	lk->name = (struct view){ NULL, 0 };
	lk->list = true;
	lk->max_age_ms = q->max_age_ms;
	lk->max_stale_ms = q->max_stale_ms;
	lk->only_if_cached = q->only_if_cached;
	lk->fresh = q->fresh;
	lk->patient = q->patient;
	lk->preload = q->preload;
	lk->since = since;
	lk->by_name = lk->read_by_name = false;
	lk->tried_id = lk->relist = lk->relisted = false;
	lk->renew_behind = false;
	lk->attempted = lk->names_done = false;
}

void
lookup_fail(struct fetch_result *result, int error, const char *fmt, ...)
{
	va_list ap;

	result->error = error;
	result->object = NULL;
	result->listing = NULL;
	result->freshness = MSG_FRESHNESS_NONE;
	result->age_ms = 0;
	va_start(ap, fmt);
	(void)vsnprintf(result->message, sizeof(result->message), fmt, ap);
	va_end(ap);
}

void
lookup_init(struct lookup *lk, const struct fetch_query *q, uint64_t since)
{
	lookup_init_listing(lk, q, q->ref->kind, since);
	lk->list = false;
	lk->format = q->ref->format;
	lk->version = q->ref->version;
	lk->name = q->ref->name;
}

static const char *
lookup_noun(const struct lookup *lk)
{
	return lk->kind == REF_SECRET ? "secret" : "key";
}

/* --- which id --- */

bool
lookup_can_be_id(struct view text)
{
	size_t i;

	if (text.len == 0 || text.len > MSG_ID_MAX)
		return false;
	for (i = 0; i < text.len; i++) {
		if (!((text.p[i] >= 'a' && text.p[i] <= 'z') ||
		    (text.p[i] >= 'A' && text.p[i] <= 'Z') ||
		    (text.p[i] >= '0' && text.p[i] <= '9') ||
		    text.p[i] == '_' || text.p[i] == '-'))
			return false;
	}
	return true;
}

static bool
lookup_is_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
	    (c >= 'A' && c <= 'F');
}

static bool
lookup_is_uuid(struct view text)
{
	size_t i;

	if (text.len != 36)
		return false;
	for (i = 0; i < text.len; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text.p[i] != '-')
				return false;
		} else if (!lookup_is_hex(text.p[i])) {
			return false;
		}
	}
	return true;
}

bool
lookup_looks_like_id(struct view text)
{
	return lookup_is_uuid(text) || (text.len > 4 &&
	    (memcmp(text.p, "sec_", 4) == 0 ||
	    memcmp(text.p, "key_", 4) == 0) && lookup_can_be_id(text));
}

/* Is this text the id of something cached or being read? */
static bool
lookup_known_id(struct lookup *lk, const struct lookup_in *in,
    const struct now *now)
{
	const struct cache_key key = {
		.kind = lk->kind, .format = lk->format,
		.version = lk->version, .id = lk->name,
	};
	struct cache_entry *e = cache_find(in->cache, &key);

	/* it was read as an id, which failed without a definite word */
	if (lk->attempted && lk->tried_id && !lk->read_by_name &&
	    lk->attempt_error != 0 && lk->attempt_error != ERR_NOT_FOUND)
		return true;
	if (e == NULL)
		return false;
	if (e->object != NULL || e->job != NULL)
		return true;
	if (cache_state(in->cache, e, now) != CACHE_NEGATIVE)
		return false;
	if (e->negative_error != ERR_NOT_FOUND)
		return true;
	/* no id, then, or not any more; it may be a name all the same */
	lk->tried_id = true;
	return false;
}

/* Find it in the listing.  0, ERR_NOT_FOUND or ERR_AMBIGUOUS. */
static int
lookup_in_listing(struct lookup *lk, const struct lookup_in *in,
    const struct now *now, struct names_found *ret)
{
	uint64_t age;

	if (names_listing(in->names, lk->kind) == NULL || (lk->relist &&
	    names_sent(in->names, lk->kind) <= lk->since))
		return ERR_NOT_FOUND;
	age = now->boot_ms - names_begun(in->names, lk->kind);
	lk->renew_behind = age >= in->refresh_interval_ms;
	if (names_by_id(in->names, lk->kind, lk->name, ret) == 0)
		return 0;
	lk->by_name = true;
	return names_by_name(in->names, lk->kind, lk->name, ret);
}

/*
 * Is the listing so new that another would tell nothing new?  One of many
 * pages is not asked for as often as one of one, for names that are not there.
 */
static bool
lookup_listed_just_now(const struct lookup *lk, const struct lookup_in *in,
    const struct now *now)
{
	uint64_t quiet = in->negative_ttl_ms *
	    names_pages(in->names, lk->kind);

	if (quiet > in->refresh_interval_ms &&
	    quiet > in->negative_ttl_ms)
		quiet = in->refresh_interval_ms > in->negative_ttl_ms
		    ? in->refresh_interval_ms : in->negative_ttl_ms;
	return now->boot_ms - names_begun(in->names, lk->kind) < quiet;
}

/* The key may not list, and that was said a moment ago. */
static bool
lookup_may_not_list(const struct lookup *lk, const struct lookup_in *in,
    const struct now *now)
{
	int error = names_error(in->names, lk->kind);

	return (error == ERR_DENIED || error == ERR_INSUFFICIENT_SCOPE) &&
	    now->boot_ms - names_tried(in->names, lk->kind) <
	    in->negative_ttl_ms;
}

static enum lookup_step
lookup_not_found(const struct lookup *lk, struct fetch_result *result)
{
	lookup_fail(result, ERR_NOT_FOUND, lk->version != 0
	    ? "no %s of this name or id has this version"
	    : "no %s has this name or id", lookup_noun(lk));
	return LOOKUP_DONE;
}

/* Neither the cache nor the listing knows it: what is left to try? */
static enum lookup_step
lookup_unknown(struct lookup *lk, const struct lookup_in *in,
    const struct now *now, struct fetch_result *result)
{
	bool denied = lookup_may_not_list(lk, in, now);

	if (!lk->tried_id && (lookup_looks_like_id(lk->name) ||
	    (denied && lookup_can_be_id(lk->name)))) {
		lk->tried_id = true;
		return LOOKUP_READ;
	}
	if (lk->only_if_cached) {
		/* no id, as the service said, and no name */
		if (lk->tried_id &&
		    names_listing(in->names, lk->kind) != NULL)
			return lookup_not_found(lk, result);
		lookup_fail(result, ERR_UPSTREAM_UNAVAILABLE,
		    "it is not cached, and the service was not to be asked");
		return LOOKUP_DONE;
	}
	/* a renewal that others had begun before may not show it yet */
	if (lk->names_done && lk->names_error == 0 &&
	    (names_is_unsure(in->names, lk->kind, lk->since) ||
	    ((lk->relist || lk->fresh) &&
	    names_sent(in->names, lk->kind) <= lk->since))) {
		lk->names_done = false;
		return LOOKUP_NAMES;
	}
	if (lk->names_done && lk->names_error == 0)
		return lookup_not_found(lk, result);
	if (denied && lk->tried_id)
		return lookup_not_found(lk, result);
	if (lk->names_done) {
		lookup_fail(result, lk->names_error, "%s", lk->names_message);
		return LOOKUP_DONE;
	}
	if (denied) {
		lookup_fail(result, names_error(in->names, lk->kind),
		    "the agent's API key may not list, so names cannot be "
		    "found; use the id");
		return LOOKUP_DONE;
	}
	if (names_listing(in->names, lk->kind) != NULL && !lk->relist &&
	    !lk->fresh && !names_is_unsure(in->names, lk->kind, lk->since) &&
	    lookup_listed_just_now(lk, in, now))
		return lookup_not_found(lk, result);
	return LOOKUP_NAMES;
}

/* LOOKUP_READ means: *ret_id is the id to look at. */
static enum lookup_step
lookup_resolve(struct lookup *lk, const struct lookup_in *in,
    const struct now *now, struct fetch_result *result, struct view *ret_id)
{
	struct names_found found;
	int r;

	*ret_id = lk->name;
	lk->by_name = false;
	if (lookup_known_id(lk, in, now))
		return LOOKUP_READ;
	r = lookup_in_listing(lk, in, now, &found);
	if (r == ERR_AMBIGUOUS) {
		lookup_fail(result, r, "two %ss have this name, %s and %s",
		    lookup_noun(lk), (const char *)found.id.p,
		    (const char *)found.other.p);
		return LOOKUP_DONE;
	}
	if (r == 0) {
		*ret_id = found.id;
		return LOOKUP_READ;
	}
	lk->by_name = false;
	return lookup_unknown(lk, in, now, result);
}

/* --- what the entry has --- */

static enum lookup_step
lookup_serve(const struct cache_entry *e, enum cache_state state,
    const struct now *now, struct fetch_result *result)
{
	result->error = 0;
	result->object = object_ref(e->object);
	result->listing = NULL;
	result->age_ms = cache_age(e, now);
	result->freshness = state == CACHE_FRESH ? MSG_FRESH
	    : state == CACHE_STALE ? MSG_STALE : MSG_EXPIRED;
	return LOOKUP_DONE;
}

/* May this state be given to this caller where nothing newer can be had? */
static bool
lookup_usable(const struct lookup *lk, const struct cache_entry *e,
    enum cache_state state, const struct now *now)
{
	return state == CACHE_FRESH || state == CACHE_GRACE ||
	    (state == CACHE_STALE && cache_age(e, now) <= lk->max_stale_ms);
}

/* It has expired, or nobody can tell whether it has. */
static bool
lookup_is_withheld(enum cache_state state)
{
	return state == CACHE_EXPIRED || state == CACHE_UNJUDGED;
}

static enum lookup_step
lookup_withhold(const struct cache_entry *e, enum cache_state state,
    const struct now *now, struct fetch_result *result)
{
	char when[UNITS_TIME_LEN], clock[UNITS_TIME_LEN];

	(void)units_format_time(e->object->expires_at, when);
	if (state == CACHE_UNJUDGED)
		lookup_fail(result, ERR_EXPIRED, "it expires at %s; whether "
		    "that has passed cannot be told, as this machine's clock "
		    "reads %s: set it, or let the service be reached", when,
		    units_format_time(now->wall_ms, clock));
	else
		lookup_fail(result, ERR_EXPIRED, "it expired at %s, and the "
		    "service has no newer value", when);
	return LOOKUP_DONE;
}

static enum lookup_step
lookup_negative(const struct lookup *lk, const struct cache_entry *e,
    struct fetch_result *result)
{
	if (e->negative_error == ERR_NOT_FOUND)
		return lookup_not_found(lk, result);
	lookup_fail(result, e->negative_error, "%s",
	    lk->attempted && lk->attempt_error == e->negative_error
	    ? lk->attempt_message : err_text(e->negative_error));
	return LOOKUP_DONE;
}

/* The listing may be older than what it led to: ask for a new one, once. */
static bool
lookup_wants_relist(struct lookup *lk, const struct lookup_in *in,
    const struct now *now)
{
	if (!lk->by_name || lk->relisted || lk->only_if_cached ||
	    (lookup_listed_just_now(lk, in, now) &&
	    !names_is_outdated(in->names, lk->kind, lk->since)))
		return false;
	lk->relisted = lk->relist = true;
	lk->attempted = lk->names_done = false;
	return true;
}

static bool
lookup_renamed(const struct lookup *lk, const struct cache_entry *e)
{
	struct view name = object_name(e->object);

	/* not every form of a key tells its name */
	return lk->by_name && name.len > 0 && (name.len != lk->name.len ||
	    memcmp(name.p, lk->name.p, name.len) != 0);
}

/* Nothing newer is to be had: what is cached, or why not. */
static enum lookup_step
lookup_make_do(const struct lookup *lk, const struct lookup_in *in,
    struct cache_entry *e, const struct now *now, struct fetch_result *result,
    int error, const char *message)
{
	enum cache_state state = cache_state(in->cache, e, now);
	char age[UNITS_DURATION_LEN];

	if (!lk->fresh && lookup_usable(lk, e, state, now))
		return lookup_serve(e, state, now, result);
	if (state == CACHE_NEGATIVE &&
	    (!lk->fresh || e->negative_error == error))
		return lookup_negative(lk, e, result);
	/* who wants it confirmed learns why that could not be, not more */
	if (!lk->fresh && lookup_is_withheld(state))
		return lookup_withhold(e, state, now, result);
	if (!lk->fresh && (state == CACHE_STALE || state == CACHE_TOO_OLD))
		lookup_fail(result, error, "%s; the value held is %s old, "
		    "more than max-stale allows", message,
		    units_format_duration(cache_age(e, now) / 1000 * 1000, age));
	else
		lookup_fail(result, error, "%s", message);
	return LOOKUP_DONE;
}

/* A read of the entry was waited for and has ended. */
static enum lookup_step
lookup_after(struct lookup *lk, const struct lookup_in *in,
    struct cache_entry *e, const struct now *now, struct fetch_result *result)
{
	enum cache_state state;

	if (e == NULL) {
		lookup_fail(result, lk->attempt_error ? lk->attempt_error
		    : ERR_BUSY, "%s", lk->attempt_error ? lk->attempt_message
		    : "it was evicted at once; raise max-memory");
		return LOOKUP_DONE;
	}
	state = cache_state(in->cache, e, now);
	if (state == CACHE_NEGATIVE && e->negative_error == ERR_NOT_FOUND &&
	    lookup_wants_relist(lk, in, now))
		return LOOKUP_NAMES;
	if (lk->attempt_error != 0)
		return lookup_make_do(lk, in, e, now, result,
		    lk->attempt_error, lk->attempt_message);
	if (lookup_is_withheld(state))
		return lookup_withhold(e, state, now, result);
	if (e->object == NULL)
		return lookup_negative(lk, e, result);
	if (lookup_renamed(lk, e) && lookup_wants_relist(lk, in, now))
		return LOOKUP_NAMES;
	return lookup_serve(e, state, now, result);
}

/*
 * Does the read that was waited for tell this caller anything?  One that was
 * not sent at all, because the service wants a pause, would not be the next
 * time either.
 */
static bool
lookup_attempt_counts(const struct lookup *lk)
{
	return lk->attempted && lk->read_by_name == lk->by_name &&
	    (!lk->fresh || lk->attempt_sent == 0 ||
	    lk->attempt_sent > lk->since);
}

/* What the entry allows without asking the service; false: ask. */
static bool
lookup_at_once(struct lookup *lk, const struct lookup_in *in,
    struct cache_entry *e, const struct now *now, struct fetch_result *result)
{
	enum cache_state state = cache_state(in->cache, e, now);

	if (lk->fresh || (e->doubted && !lk->only_if_cached))
		return false;
	if (state == CACHE_NEGATIVE) {
		(void)lookup_negative(lk, e, result);
		return true;
	}
	if (lookup_usable(lk, e, state, now) &&
	    cache_age(e, now) <= lk->max_age_ms && !lookup_renamed(lk, e)) {
		(void)lookup_serve(e, state, now, result);
		return true;
	}
	if (lookup_is_withheld(state) &&
	    cache_age(e, now) < LOOKUP_EXPIRED_RETRY_MS) {
		(void)lookup_withhold(e, state, now, result);
		return true;
	}
	return false;
}

static enum lookup_step
lookup_entry(struct lookup *lk, const struct lookup_in *in, struct view id,
    const struct now *now, struct fetch_result *result,
    struct cache_entry **ret_entry)
{
	const struct cache_key key = {
		.kind = lk->kind, .format = lk->format,
		.version = lk->version, .id = id,
	};
	struct cache_entry *e = cache_find(in->cache, &key);

	if (lookup_attempt_counts(lk))
		return lookup_after(lk, in, e, now, result);
	if (e != NULL && lookup_at_once(lk, in, e, now, result)) {
		cache_touch(in->cache, e, now);
		return LOOKUP_DONE;
	}
	if (lk->only_if_cached) {
		if (e != NULL)
			return lookup_make_do(lk, in, e, now, result,
			    ERR_UPSTREAM_UNAVAILABLE, "nothing usable is cached");
		lookup_fail(result, ERR_UPSTREAM_UNAVAILABLE,
		    "it is not cached, and the service was not to be asked");
		return LOOKUP_DONE;
	}
	if (e == NULL)
		e = cache_get(in->cache, &key, now);
	if (e == NULL) {
		lookup_fail(result, ERR_BUSY, "out of memory");
		return LOOKUP_DONE;
	}
	cache_touch(in->cache, e, now);
	lk->read_by_name = lk->by_name;
	*ret_entry = e;
	return LOOKUP_READ;
}

/* --- the listing itself --- */

static enum lookup_step
lookup_listing(const struct lookup *lk, const struct lookup_in *in,
    const struct now *now, struct fetch_result *result)
{
	struct listing *l = names_listing(in->names, lk->kind);
	uint64_t age = now->boot_ms - names_begun(in->names, lk->kind);
	bool newer = names_sent(in->names, lk->kind) > lk->since;
	/* a renewal has failed: this caller's, or the newest where it is not
	 * to ask for one */
	bool stale = lk->names_done ? lk->names_error != 0
	    : lk->only_if_cached && names_error(in->names, lk->kind) != 0;
	/* or something was written that it may not show */
	bool outdated = names_is_outdated(in->names, lk->kind, lk->since);

	stale = stale || (outdated && lk->only_if_cached);
	if (stale && (age > lk->max_stale_ms || age > in->max_stale_ms))
		l = NULL;
	if (l != NULL && (stale || !outdated) && (newer || lk->names_done || lk->only_if_cached ||
	    (age < in->refresh_interval_ms && age <= lk->max_age_ms)) &&
	    !(lk->fresh && !newer)) {
		result->error = 0;
		result->object = NULL;
		result->listing = listing_ref(l);
		result->freshness = stale ? MSG_STALE : MSG_FRESH;
		result->age_ms = age;
		return LOOKUP_DONE;
	}
	if (lk->names_done && lk->names_error != 0) {
		lookup_fail(result, lk->names_error, "%s", lk->names_message);
		return LOOKUP_DONE;
	}
	if (lk->only_if_cached) {
		lookup_fail(result, ERR_UPSTREAM_UNAVAILABLE,
		    "no listing is cached, and the service was not to be asked");
		return LOOKUP_DONE;
	}
	/* also after a renewal that had been sent before this caller came */
	return LOOKUP_NAMES;
}

enum lookup_step
lookup_next(struct lookup *lk, const struct lookup_in *in,
    const struct now *now, struct fetch_result *result,
    struct cache_entry **ret_entry)
{
	enum lookup_step step;
	struct view id;

	if (lk->list)
		return lookup_listing(lk, in, now, result);
	/* A failed renewal leaves the old listing as the best there is. */
	if (lk->names_done && lk->names_error != 0)
		lk->relist = false;
	step = lookup_resolve(lk, in, now, result, &id);
	if (step != LOOKUP_READ)
		return step;
	return lookup_entry(lk, in, id, now, result, ret_entry);
}

void
lookup_give_up(struct lookup *lk, const struct lookup_in *in,
    const struct now *now, struct fetch_result *result)
{
	struct cache_entry *e;
	bool was_fresh = lk->fresh;

	lk->only_if_cached = true;
	lk->max_age_ms = MSG_NO_LIMIT;
	lk->fresh = false;
	lk->attempted = false;
	if (!was_fresh &&
	    lookup_next(lk, in, now, result, &e) == LOOKUP_DONE &&
	    result->error != ERR_UPSTREAM_UNAVAILABLE) {
		/* newer was wanted and did not come in time */
		if (result->error != 0 || result->freshness != MSG_FRESH)
			return;
		if (result->age_ms <= lk->max_stale_ms) {
			result->freshness = MSG_STALE;
			return;
		}
		object_unref(result->object);
		listing_unref(result->listing);
	}
	lookup_fail(result, ERR_TIMEOUT, "the service did not answer in the "
	    "time allowed");
}
