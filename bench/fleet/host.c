#include "config.h"

#include "host.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sys/queue.h>

#include "cache.h"
#include "clock.h"
#include "err.h"
#include "fetch.h"
#include "listing.h"
#include "metrics.h"
#include "msg.h"
#include "names.h"
#include "object.h"
#include "sim.h"

#define HOST_ROUNDS 10u		/* a minute's reads are spread over so many */
#define HOST_ROUND_MS (HOST_READ_EVERY_MS / HOST_ROUNDS)
#define HOST_MAX_BYTES (64u << 20)
#define HOST_HOUR_MS (UINT64_C(3600) * 1000)

/* A read that its program waits for. */
struct host_wait {
	TAILQ_ENTRY(host_wait) link;
	struct host *h;
	unsigned int secret;
	struct fetch_wait *fetch;
	struct sim_event deadline;
};

struct host {
	unsigned int index;
	const struct host_config *cfg;
	struct service *service;
	char (*names)[SERVICE_NAME_MAX];
	struct host_stats **stats;
	struct fetch *fetch;	/* NULL: it is off */
	struct metrics metrics;
	struct sim_event round;
	unsigned int rounds;	/* since its start */
	bool again[SERVICE_SECRETS_MAX]; /* the last read failed */
	bool too_old;
	uint64_t requests;	/* of runs before this one */
	TAILQ_HEAD(, host_wait) waits;
	struct ref ref;		/* of a read, while it is begun */
};

struct host_saved {
	uint64_t saved_ms;
	struct listing *listing;
	uint64_t listing_boot_ms;
	size_t count;
	struct cache_restored entries[];
};

static void host_round_cb(void *arg);

static struct now
host_now(void)
{
	struct now now;

	clock_read(&now);
	return now;
}

struct host *
host_new(unsigned int index, struct service *s, const struct host_config *cfg,
    char (*names)[SERVICE_NAME_MAX], struct host_stats **stats)
{
	struct host *h = sim_alloc(1, sizeof(*h));

	h->index = index;
	h->service = s;
	h->cfg = cfg;
	h->names = names;
	h->stats = stats;
	TAILQ_INIT(&h->waits);
	sim_event_init(&h->round, host_round_cb, h);
	return h;
}

void
host_free(struct host *h)
{
	if (h == NULL)
		return;
	host_stop(h);
	free(h);
}

/* --- the programs --- */

static struct view
host_view(const char *s, size_t len)
{
	return (struct view){ .p = (const uint8_t *)s, .len = len };
}

static void
host_note_failure(struct host *h, unsigned int secret, int error)
{
	char id[SERVICE_ID_LEN + 1];
	const struct cache_key key = {
		.kind = REF_SECRET, .id = { (uint8_t *)id, SERVICE_ID_LEN },
	};
	struct cache_entry *e;
	struct now now = host_now();

	h->again[secret] = true;
	(*h->stats)->failed++;
	if (error == ERR_TIMEOUT)
		(*h->stats)->timeouts++;
	service_id(h->index, secret, id);
	e = cache_find(fetch_cache(h->fetch), &key);
	if (e != NULL && cache_state(fetch_cache(h->fetch), e, &now) ==
	    CACHE_TOO_OLD) {
		(*h->stats)->too_old++;
		h->too_old = true;
	}
}

static void
host_note(struct host *h, unsigned int secret, struct fetch_result *result)
{
	struct host_stats *stats = *h->stats;

	stats->reads++;
	if (result->error != 0) {
		host_note_failure(h, secret, result->error);
		return;
	}
	h->again[secret] = false;
	if (result->freshness != MSG_FRESH)
		stats->stale++;
	if (result->object->version <
	    service_version(h->service, h->index, secret))
		stats->outdated++;
	if (result->age_ms > stats->oldest_ms)
		stats->oldest_ms = result->age_ms;
	object_unref(result->object);
}

static void
host_wait_free(struct host_wait *w)
{
	TAILQ_REMOVE(&w->h->waits, w, link);
	sim_cancel(&w->deadline);
	free(w);
}

static void
host_fetched_cb(void *arg, struct fetch_result *result)
{
	struct host_wait *w = arg;

	host_note(w->h, w->secret, result);
	host_wait_free(w);
}

static void
host_deadline_cb(void *arg)
{
	struct host_wait *w = arg;
	struct fetch_result result;
	struct now now = host_now();

	fetch_give_up(w->fetch, &now, &result);
	host_note(w->h, w->secret, &result);
	host_wait_free(w);
}

static void
host_read(struct host *h, unsigned int secret)
{
	struct ref *ref = &h->ref;
	const struct fetch_query q = {
		.ref = ref, .max_age_ms = MSG_NO_LIMIT,
		.max_stale_ms = MSG_NO_LIMIT,
	};
	struct now now = host_now();
	struct fetch_result result;
	struct fetch_wait *fw;
	struct host_wait *w;
	char id[SERVICE_ID_LEN + 1];

	service_id(h->index, secret, id);
	ref->kind = REF_SECRET;
	ref->name = h->cfg->by_id ? host_view(id, SERVICE_ID_LEN)
	    : host_view(h->names[secret], strlen(h->names[secret]));
	if (fetch_get(h->fetch, &q, &now, &result, host_fetched_cb, &fw) == 0) {
		host_note(h, secret, &result);
		return;
	}
	w = sim_alloc(1, sizeof(*w));
	w->h = h;
	w->secret = secret;
	w->fetch = fw;
	fetch_set_arg(fw, w);
	sim_event_init(&w->deadline, host_deadline_cb, w);
	sim_at(&w->deadline, sim_now_ms() + HOST_DEADLINE_MS);
	TAILQ_INSERT_TAIL(&h->waits, w, link);
}

/* At first everything, later a part, and what failed once more. */
static void
host_round_cb(void *arg)
{
	struct host *h = arg;
	unsigned int i;

	for (i = 0; i < h->cfg->secrets; i++) {
		if (h->rounds == 0 || h->again[i] ||
		    i % HOST_ROUNDS == h->rounds % HOST_ROUNDS) {
			h->again[i] = false;
			host_read(h, i);
		}
	}
	h->rounds++;
	sim_at(&h->round, sim_now_ms() + HOST_ROUND_MS);
}

/* --- on and off --- */

static bool
host_reload_key(void *arg)
{
	(void)arg;
	return false;
}

static void
host_state_changed(void *arg)
{
	(void)arg;
}

static void
host_wiped(void *arg)
{
	(void)arg;
}

static void
host_restore(struct host *h, const struct host_saved *saved)
{
	struct cache *c = fetch_cache(h->fetch);
	struct now now = host_now();
	struct cache_restored r;
	uint64_t off_ms = sim_now_ms() - saved->saved_ms;
	size_t i;

	for (i = 0; i < saved->count; i++) {
		r = saved->entries[i];
		r.age_ms += off_ms;
		r.read_age_ms += off_ms;
		r.reread_in_ms = r.reread_in_ms > off_ms
		    ? r.reread_in_ms - off_ms : 0;
		(void)cache_restore(c, &r, h->cfg->refresh_interval_ms,
		    sim_random(), &now);
	}
	if (saved->listing != NULL)
		names_restore(fetch_names(h->fetch), REF_SECRET,
		    listing_ref(saved->listing),
		    now.boot_ms - saved->listing_boot_ms, &now);
	fetch_restored(h->fetch);
}

void
host_start(struct host *h, const struct host_saved *saved)
{
	const struct host_config *cfg = h->cfg;
	const struct fetch_config fcfg = {
		.cache = {
			.max_bytes = HOST_MAX_BYTES,
			.refresh_interval_ms = cfg->refresh_interval_ms,
			.refresh_lead_ms = 60000,
			.reread_interval_ms = HOST_REREAD_S * UINT64_C(1000),
			.max_stale_ms = cfg->max_stale_ms,
			.negative_ttl_ms = 10000,
			.idle_evict_ms = 24 * HOST_HOUR_MS,
			/* of the machine, so the same after a restart */
			.phase = sim_mix(h->index + UINT64_C(1)),
		},
		.unauthorized_grace_ms = 300000,
		.max_in_flight = cfg->max_in_flight,
	};
	const struct fetch_hooks hooks = {
		.reload_key = host_reload_key,
		.state_changed = host_state_changed,
		.wiped = host_wiped,
		.arg = h,
	};

	assert(h->fetch == NULL);
	h->fetch = fetch_new(NULL, service_upstream(h->service, h->index),
	    &fcfg, &hooks, &h->metrics);
	if (h->fetch == NULL)
		abort();
	if (saved != NULL)
		host_restore(h, saved);
	else
		service_forget(h->service, h->index);
	h->rounds = 0;
	memset(h->again, 0, sizeof(h->again));
	sim_at(&h->round, sim_now_ms() +
	    sim_random_below(cfg->boot_spread_ms));
}

void
host_stop(struct host *h)
{
	struct host_wait *w;
	struct jobs_stats stats;

	if (h->fetch == NULL)
		return;
	sim_cancel(&h->round);
	while ((w = TAILQ_FIRST(&h->waits)) != NULL) {
		fetch_cancel(w->fetch);
		host_wait_free(w);
	}
	fetch_get_stats(h->fetch, &stats);
	h->requests += stats.requests;
	fetch_free(h->fetch);
	h->fetch = NULL;
}

/* --- what it leaves --- */

struct host_saving {
	struct host_saved *saved;
	struct now now;
};

static bool
host_save_entry(void *arg, struct cache_entry *e)
{
	struct host_saving *s = arg;
	struct cache_restored *r;
	uint64_t now_ms = s->now.boot_ms;

	if (e->object == NULL)
		return true;
	r = &s->saved->entries[s->saved->count++];
	r->object = object_ref(e->object);
	/* the view lives as long as the object */
	r->key = (struct cache_key){ .kind = e->kind, .format = e->format,
	    .version = e->version, .id = object_id(e->object) };
	r->age_ms = cache_age(e, &s->now);
	r->read_age_ms = now_ms - e->read_boot_ms;
	r->reread_in_ms = e->reread_boot_ms > now_ms
	    ? e->reread_boot_ms - now_ms : 0;
	r->failures = e->failures;
	return true;
}

struct host_saved *
host_save(struct host *h)
{
	struct cache *c = fetch_cache(h->fetch);
	struct names *names = fetch_names(h->fetch);
	struct cache_stats stats;
	struct host_saving s = { .now = host_now() };

	cache_get_stats(c, &stats);
	s.saved = sim_alloc(1, sizeof(*s.saved) +
	    stats.secrets * sizeof(s.saved->entries[0]));
	s.saved->saved_ms = sim_now_ms();
	if (names_listing(names, REF_SECRET) != NULL) {
		s.saved->listing = listing_ref(names_listing(names,
		    REF_SECRET));
		s.saved->listing_boot_ms = names_begun(names, REF_SECRET);
	}
	cache_foreach(c, host_save_entry, &s);
	return s.saved;
}

void
host_saved_free(struct host_saved *saved)
{
	size_t i;

	if (saved == NULL)
		return;
	for (i = 0; i < saved->count; i++)
		object_unref(saved->entries[i].object);
	listing_unref(saved->listing);
	free(saved);
}

/* --- how it stands --- */

unsigned int
host_unfresh(struct host *h)
{
	struct cache_stats stats;

	if (h->fetch == NULL)
		return h->cfg->secrets;
	cache_get_stats(fetch_cache(h->fetch), &stats);
	if (stats.secrets >= h->cfg->secrets + stats.stale)
		return 0;
	return (unsigned int)(h->cfg->secrets + stats.stale - stats.secrets);
}

bool
host_is_fresh(struct host *h)
{
	return host_unfresh(h) == 0;
}

bool
host_was_too_old(const struct host *h)
{
	return h->too_old;
}

unsigned int
host_wrong(struct host *h)
{
	struct cache *c = h->fetch != NULL ? fetch_cache(h->fetch) : NULL;
	char id[SERVICE_ID_LEN + 1];
	const struct cache_key key = {
		.kind = REF_SECRET, .id = { (uint8_t *)id, SERVICE_ID_LEN },
	};
	struct now now = host_now();
	struct cache_entry *e;
	unsigned int i, wrong = 0;

	for (i = 0; i < h->cfg->secrets; i++) {
		service_id(h->index, i, id);
		e = c != NULL ? cache_find(c, &key) : NULL;
		if (e == NULL || e->object == NULL ||
		    cache_state(c, e, &now) != CACHE_FRESH ||
		    e->object->version !=
		    service_version(h->service, h->index, i))
			wrong++;
	}
	return wrong;
}

uint64_t
host_requests(const struct host *h)
{
	struct jobs_stats stats = { .requests = 0 };

	if (h->fetch != NULL)
		fetch_get_stats(h->fetch, &stats);
	return h->requests + stats.requests;
}
