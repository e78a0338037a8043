#include "config.h"

#include "watch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "hash.h"
#include "listing.h"
#include "names.h"
#include "timers.h"

#define WATCH_BUCKETS_MIN 64
#define WATCH_TICK_MS 1000
/* Looked at in one turn of the loop, when a listing has changed. */
#define WATCH_SLICE 4096
/* What could not be asked is asked again, at first soon. */
#define WATCH_RETRY_MS 1000
#define WATCH_RETRY_MAX_MS 15000

TAILQ_HEAD(watch_subs, watch_sub);

/* A cached value that somebody watches.  It is found by its key, never by a
 * pointer to its entry: the cache is free to make another one. */
struct watch_target {
	struct watch_target *chain;
	TAILQ_ENTRY(watch_target) link;	/* of those with something new */
	struct watch_subs subs;
	size_t nsubs;
	uint64_t hash;
	uint8_t pending;	/* happened, not passed on yet */
	bool has_position;
	struct position position;
	const struct object *position_of; /* that object's; not looked into */
	struct cache_key key;	/* id is the copy below */
	uint8_t id[];
};

TAILQ_HEAD(watch_targets, watch_target);

struct watch {
	struct fetch *f;
	const struct secmem *position_key;
	struct hash_key hash_key;
	struct watch_target **buckets;
	size_t nbuckets;	/* power of two */
	size_t ntargets;
	size_t nsubs;
	struct watch_subs all;
	struct watch_targets news;
	struct timer *pass_on;	/* news, with nothing else on the stack */
	struct timer *tick;
	struct watch_sub *next;	/* all up to it were looked at; NULL: done */
	bool looking;
	uint64_t refresh_interval_ms;
	uint64_t begun[2];	/* of the listings that were looked at; by kind */
	uint64_t written[2];	/* as of that look: names_last_written() */
	uint64_t asked_boot_ms[2]; /* for what is absent */
};

static void watch_pass_on_cb(void *arg);
static void watch_tick_cb(void *arg);

/* --- what happens together --- */

/* Of two that say the opposite of each other the later counts. */
static const struct {
	uint8_t undoes;		/* pending ones that it makes void */
	uint8_t undone_by;	/* with one of these pending, both are void */
} watch_rules[WATCH_EVENTS] = {
	[CACHE_EVENT_CHANGED] = {
		.undoes = WATCH_BIT(CACHE_EVENT_GONE) |
		    WATCH_BIT(CACHE_EVENT_EXPIRING) |
		    WATCH_BIT(CACHE_EVENT_EXPIRED),
	},
	[CACHE_EVENT_EXPIRED] = {
		.undoes = WATCH_BIT(CACHE_EVENT_EXPIRING),
	},
	[CACHE_EVENT_GONE] = { .undoes = UINT8_MAX },
	[CACHE_EVENT_STALE] = {
		.undone_by = WATCH_BIT(CACHE_EVENT_FRESH_AGAIN),
	},
	[CACHE_EVENT_FRESH_AGAIN] = {
		.undone_by = WATCH_BIT(CACHE_EVENT_STALE),
	},
};

uint8_t
watch_coalesce(uint8_t pending, enum cache_event ev)
{
	uint8_t void_pair = pending & watch_rules[ev].undone_by;

	pending &= (uint8_t)~(watch_rules[ev].undoes | void_pair);
	if (void_pair == 0)
		pending |= WATCH_BIT(ev);
	return pending;
}

/* All of them, in the order in which they make sense. */
static uint8_t
watch_coalesce_all(uint8_t pending, uint8_t more)
{
	unsigned int ev;

	for (ev = 0; ev < WATCH_EVENTS; ev++) {
		if (more & WATCH_BIT(ev))
			pending = watch_coalesce(pending,
			    (enum cache_event)ev);
	}
	return pending;
}

/* --- life --- */

struct watch *
watch_new(struct event_base *base, struct fetch *f,
    const struct secmem *position_key)
{
	struct watch *w;

	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return NULL;
	w->f = f;
	w->position_key = position_key;
	hash_key_init(&w->hash_key);
	TAILQ_INIT(&w->all);
	TAILQ_INIT(&w->news);
	w->nbuckets = WATCH_BUCKETS_MIN;
	w->buckets = calloc(w->nbuckets, sizeof(struct watch_target *));
	w->pass_on = timer_new(base, watch_pass_on_cb, w);
	w->tick = timer_new(base, watch_tick_cb, w);
	if (w->buckets == NULL || w->pass_on == NULL || w->tick == NULL) {
		watch_free(w);
		return NULL;
	}
	return w;
}

void
watch_free(struct watch *w)
{
	if (w == NULL)
		return;
	assert(w->nsubs == 0);
	timer_free(w->pass_on);
	timer_free(w->tick);
	free(w->buckets);
	free(w);
}

void
watch_configure(struct watch *w, uint64_t refresh_interval_ms)
{
	w->refresh_interval_ms = refresh_interval_ms;
}

void
watch_get_stats(const struct watch *w, struct watch_stats *ret_stats)
{
	ret_stats->subscriptions = w->nsubs;
	ret_stats->values = w->ntargets;
}

/* --- targets --- */

static uint64_t
watch_hash(const struct watch *w, const struct cache_key *key)
{
	return hash_bytes(&w->hash_key, key->id.p, key->id.len) ^
	    key->version * UINT64_C(0x9e3779b97f4a7c15) ^
	    (uint64_t)key->kind << 8 ^ (uint64_t)key->format;
}

static bool
watch_key_equal(const struct cache_key *a, const struct cache_key *b)
{
	return a->kind == b->kind && a->format == b->format &&
	    a->version == b->version && a->id.len == b->id.len &&
	    memcmp(a->id.p, b->id.p, a->id.len) == 0;
}

static struct watch_target *
watch_find(const struct watch *w, const struct cache_key *key, uint64_t hash)
{
	struct watch_target *t;

	for (t = w->buckets[hash & (w->nbuckets - 1)]; t != NULL;
	    t = t->chain) {
		if (t->hash == hash && watch_key_equal(&t->key, key))
			return t;
	}
	return NULL;
}

/* Goes on with long chains if there is no memory. */
static void
watch_grow(struct watch *w)
{
	struct watch_target **buckets, *t, *next;
	size_t i, n = w->nbuckets * 2;

	buckets = calloc(n, sizeof(struct watch_target *));
	if (buckets == NULL)
		return;
	for (i = 0; i < w->nbuckets; i++) {
		for (t = w->buckets[i]; t != NULL; t = next) {
			next = t->chain;
			t->chain = buckets[t->hash & (n - 1)];
			buckets[t->hash & (n - 1)] = t;
		}
	}
	free(w->buckets);
	w->buckets = buckets;
	w->nbuckets = n;
}

static struct watch_target *
watch_target_get(struct watch *w, const struct cache_key *key)
{
	uint64_t hash = watch_hash(w, key);
	struct watch_target *t = watch_find(w, key, hash);

	if (t != NULL)
		return t;
	t = calloc(1, sizeof(*t) + key->id.len);
	if (t == NULL)
		return NULL;
	if (w->ntargets >= w->nbuckets)
		watch_grow(w);
	memcpy(t->id, key->id.p, key->id.len);
	t->key = *key;
	t->key.id.p = t->id;
	t->hash = hash;
	TAILQ_INIT(&t->subs);
	t->chain = w->buckets[hash & (w->nbuckets - 1)];
	w->buckets[hash & (w->nbuckets - 1)] = t;
	w->ntargets++;
	return t;
}

static void
watch_target_free(struct watch *w, struct watch_target *t)
{
	struct watch_target **pos = &w->buckets[t->hash & (w->nbuckets - 1)];

	while (*pos != t)
		pos = &(*pos)->chain;
	*pos = t->chain;
	if (t->pending != 0)
		TAILQ_REMOVE(&w->news, t, link);
	w->ntargets--;
	free(t);
}

/* The entry learns how many watch it; it may be another one than before. */
static struct cache_entry *
watch_target_mark(struct watch *w, const struct watch_target *t)
{
	struct cache_entry *e = cache_find(fetch_cache(w->f), &t->key);

	if (e != NULL)
		e->watchers = (unsigned int)t->nsubs;
	return e;
}

static void
watch_leave(struct watch_sub *sub)
{
	struct watch_target *t = sub->target;

	if (t == NULL)
		return;
	sub->target = NULL;
	TAILQ_REMOVE(&t->subs, sub, target_link);
	t->nsubs--;
	(void)watch_target_mark(sub->w, t);
	if (t->nsubs == 0)
		watch_target_free(sub->w, t);
}

/* --- subscriptions --- */

void
watch_begin(struct watch *w, struct watch_sub *sub, enum ref_kind kind,
    struct view text, void (*ready)(void *arg), void *arg)
{
	memset(sub, 0, sizeof(*sub));
	sub->w = w;
	sub->state = WATCH_UNKNOWN;
	sub->again_boot_ms = UINT64_MAX;
	sub->kind = kind;
	sub->text = text;
	sub->ready = ready;
	sub->arg = arg;
	TAILQ_INSERT_TAIL(&w->all, sub, link);
	if (w->nsubs++ == 0)
		timer_set(w->tick, WATCH_TICK_MS);
}

void
watch_end(struct watch_sub *sub)
{
	struct watch *w = sub->w;

	watch_leave(sub);
	if (w->next == sub)
		w->next = TAILQ_NEXT(sub, link);
	TAILQ_REMOVE(&w->all, sub, link);
	if (--w->nsubs == 0)
		timer_stop(w->tick);
}

int
watch_bind(struct watch_sub *sub, const struct cache_key *key)
{
	struct watch *w = sub->w;
	struct watch_target *t;

	if (cache_find(fetch_cache(w->f), key) == NULL)
		return ERR_NOT_FOUND;
	t = watch_target_get(w, key);
	if (t == NULL)
		return ERR_NOMEM;
	if (t != sub->target) {
		/* so that t is not freed where it has this one alone */
		t->nsubs++;
		watch_leave(sub);
		sub->target = t;
		TAILQ_INSERT_TAIL(&t->subs, sub, target_link);
	}
	(void)watch_target_mark(w, t);
	sub->state = WATCH_BOUND;
	sub->tries = 0;
	sub->again_boot_ms = UINT64_MAX;
	return 0;
}

bool
watch_is_bound_to(const struct watch_sub *sub, const struct cache_key *key)
{
	return sub->target != NULL && watch_key_equal(&sub->target->key, key);
}

void
watch_lost(struct watch_sub *sub, bool definite, const struct now *now)
{
	const struct cache_entry *e;
	uint64_t wait;
	unsigned int n = sub->tries < 4 ? sub->tries : 4;

	if (definite) {
		/* the name has gone elsewhere: what happens there is no news */
		e = watch_entry(sub);
		if (e != NULL && e->object != NULL)
			watch_leave(sub);
		sub->state = WATCH_ABSENT;
		sub->pending = 0;
		sub->tries = 0;
		sub->again_boot_ms = UINT64_MAX;
		return;
	}
	sub->state = WATCH_UNKNOWN;
	sub->tries++;
	wait = (uint64_t)WATCH_RETRY_MS << n;
	if (wait > WATCH_RETRY_MAX_MS)
		wait = WATCH_RETRY_MAX_MS;
	sub->again_boot_ms = now->boot_ms + wait / 2 + hash_random() % wait;
}

struct cache_entry *
watch_entry(const struct watch_sub *sub)
{
	if (sub->target == NULL)
		return NULL;
	return watch_target_mark(sub->w, sub->target);
}

/* One for all who watch: a thousand subscribers cost one hash. */
void
watch_position(struct watch_sub *sub, struct position *ret)
{
	const struct cache_entry *e = watch_entry(sub);
	const struct object *o = e != NULL ? e->object : NULL;
	struct watch_target *t = sub->target;

	if (o == NULL) {
		position_of(sub->w->position_key, NULL, ret);
		return;
	}
	if (!t->has_position || t->position_of != o) {
		position_of(sub->w->position_key, o, &t->position);
		t->position_of = o;
		t->has_position = true;
	}
	*ret = t->position;
}

uint8_t
watch_take(struct watch_sub *sub)
{
	uint8_t pending = sub->pending;

	sub->pending = 0;
	return pending;
}

bool
watch_is_by_name(const struct watch_sub *sub)
{
	const struct watch_target *t = sub->target;

	return t == NULL || t->key.id.len != sub->text.len ||
	    memcmp(t->key.id.p, sub->text.p, sub->text.len) != 0;
}

/* --- what happens --- */

void
watch_event(struct watch *w, const struct cache_entry *e, enum cache_event ev)
{
	const struct cache_key key = {
		.kind = e->kind, .format = e->format, .version = e->version,
		.id = cache_id(e),
	};
	struct watch_target *t;

	if (w->ntargets == 0)
		return;
	t = watch_find(w, &key, watch_hash(w, &key));
	if (t == NULL)
		return;
	/* the object may be another one at the address of the last */
	t->has_position = false;
	if (t->pending == 0) {
		TAILQ_INSERT_TAIL(&w->news, t, link);
		timer_set(w->pass_on, 0);
	}
	/* what cancels out stays in the list, with an impossible bit */
	t->pending = watch_coalesce(t->pending, ev) | WATCH_BIT(WATCH_EVENTS);
}

static void
watch_pass_on_cb(void *arg)
{
	struct watch *w = arg;
	struct watch_target *t;
	struct watch_sub *sub, *next;
	uint8_t news;

	while ((t = TAILQ_FIRST(&w->news)) != NULL) {
		TAILQ_REMOVE(&w->news, t, link);
		news = t->pending & (uint8_t)~WATCH_BIT(WATCH_EVENTS);
		t->pending = 0;
		if (news == 0)
			continue;
		/* its subscribers may leave from within, and so may it */
		t->nsubs++;
		for (sub = TAILQ_FIRST(&t->subs); sub != NULL; sub = next) {
			next = TAILQ_NEXT(sub, target_link);
			sub->pending = watch_coalesce_all(sub->pending, news);
			if (sub->pending != 0)
				sub->ready(sub->arg);
		}
		t->nsubs--;
		(void)watch_target_mark(w, t);
		if (t->nsubs == 0)
			watch_target_free(w, t);
	}
}

void
watch_recheck(struct watch *w)
{
	struct watch_sub *sub, *next;

	for (sub = TAILQ_FIRST(&w->all); sub != NULL; sub = next) {
		next = TAILQ_NEXT(sub, link);
		sub->recheck = true;
		sub->ready(sub->arg);
	}
}

/* --- what the names mean --- */

static size_t
watch_kind_index(enum ref_kind kind)
{
	return kind == REF_SECRET ? 0 : 1;
}

/* Does the listing say that the text means another thing than before? */
static bool
watch_means_another(const struct watch_sub *sub)
{
	const struct names *names = fetch_names(sub->w->f);
	struct names_found found;
	int r;

	if (names_listing(names, sub->kind) == NULL || !watch_is_by_name(sub))
		return false;
	r = names_by_name(names, sub->kind, sub->text, &found);
	if (sub->state == WATCH_ABSENT)
		return r != ERR_NOT_FOUND ||
		    names_by_id(names, sub->kind, sub->text, &found) == 0;
	if (sub->target == NULL)
		return true;
	return r != 0 || found.id.len != sub->target->key.id.len ||
	    memcmp(found.id.p, sub->target->key.id.p, found.id.len) != 0;
}

static void
watch_look_again(struct watch_sub *sub)
{
	if (sub->look_again)
		return;
	sub->look_again = true;
	sub->ready(sub->arg);
}

/* Has a listing changed?  Then begin to look through all subscriptions. */
static void
watch_look_at_listings(struct watch *w)
{
	struct names *names = fetch_names(w->f);
	const enum ref_kind kinds[2] = { REF_SECRET, REF_KEY };
	size_t i;

	for (i = 0; i < 2; i++) {
		if (names_listing(names, kinds[i]) == NULL ||
		    (names_begun(names, kinds[i]) == w->begun[i] &&
		    names_last_written(names, kinds[i]) == w->written[i]))
			continue;
		w->begun[i] = names_begun(names, kinds[i]);
		w->written[i] = names_last_written(names, kinds[i]);
		w->next = TAILQ_FIRST(&w->all);
		w->looking = true;
	}
}

static void
watch_look_slice(struct watch *w)
{
	struct watch_sub *sub;
	unsigned int n;

	for (n = 0; n < WATCH_SLICE && (sub = w->next) != NULL; n++) {
		w->next = TAILQ_NEXT(sub, link);
		if (watch_means_another(sub))
			watch_look_again(sub);
	}
	if (w->next == NULL)
		w->looking = false;
}

/* Time to ask the service once more for all that it did not have? */
static bool
watch_may_ask(struct watch *w, size_t kind, const struct now *now)
{
	if (now->boot_ms - w->asked_boot_ms[kind] < w->refresh_interval_ms)
		return false;
	w->asked_boot_ms[kind] = now->boot_ms;
	return true;
}

static void
watch_retry(struct watch *w, const struct now *now)
{
	struct watch_sub *sub, *next;
	const bool ask[2] = {
		watch_may_ask(w, 0, now), watch_may_ask(w, 1, now),
	};

	for (sub = TAILQ_FIRST(&w->all); sub != NULL; sub = next) {
		next = TAILQ_NEXT(sub, link);
		if (sub->state == WATCH_ABSENT
		    ? ask[watch_kind_index(sub->kind)]
		    : sub->again_boot_ms <= now->boot_ms) {
			sub->again_boot_ms = UINT64_MAX;
			watch_look_again(sub);
		}
	}
}

static void
watch_tick_cb(void *arg)
{
	struct watch *w = arg;
	struct now now;

	clock_read(&now);
	timer_set(w->tick, WATCH_TICK_MS);
	watch_look_at_listings(w);
	if (w->looking) {
		watch_look_slice(w);
		if (w->looking)
			timer_set(w->tick, 0);
		return;
	}
	watch_retry(w, &now);
}
