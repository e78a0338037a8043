#include "config.h"

#include "status.h"

#include <stdio.h>
#include <unistd.h>

#include "drill.h"
#include "msg.h"
#include "secmem.h"
#include "settings.h"
#include "state.h"
#include "units.h"
#include "watch.h"

static const char *
status_upstream(enum jobs_state state)
{
	switch (state) {
	case JOBS_UNKNOWN:
		return "unknown";
	case JOBS_OK:
		return "ok";
	case JOBS_DOWN:
		return "down";
	case JOBS_UNAUTHORIZED:
		return "unauthorized";
	}
	return "unknown";
}

static void
status_put_upstream(struct wr *wr, struct session_env *env,
    const struct now *now)
{
	struct jobs_stats jobs;

	fetch_get_stats(env->fetch, &jobs);
	msg_stat_text(wr, "upstream.url", env->settings->url);
	msg_stat_text(wr, "upstream.state", status_upstream(jobs.state));
	msg_stat_text(wr, "upstream.breaker", breaker_name(jobs.breaker));
	if (jobs.last_success_boot_ms != 0)
		msg_stat_uint(wr, "upstream.lastSuccessAgeSeconds",
		    (now->boot_ms - jobs.last_success_boot_ms) / 1000);
	else
		msg_stat_null(wr, "upstream.lastSuccessAgeSeconds");
	msg_stat_uint(wr, "upstream.requests", jobs.requests);
	msg_stat_uint(wr, "upstream.failed", jobs.failed);
	msg_stat_uint(wr, "upstream.inFlight", jobs.in_flight);
	msg_stat_uint(wr, "upstream.heldSeconds",
	    jobs.held_until_boot_ms > now->boot_ms
	    ? (jobs.held_until_boot_ms - now->boot_ms + 999) / 1000 : 0);
	if (jobs.budget != 0)
		msg_stat_uint(wr, "upstream.budgetPerMinute", jobs.budget);
	else
		msg_stat_null(wr, "upstream.budgetPerMinute");
}

/* What is done on purpose, and who is told what happens. */
static void
status_put_extras(struct wr *wr, struct session_env *env,
    const struct now *now)
{
	struct watch_stats watch = { .subscriptions = 0 };

	if (env->watch != NULL)
		watch_get_stats(env->watch, &watch);
	msg_stat_uint(wr, "watch.subscriptions", watch.subscriptions);
	if (drill_runs(env->drill))
		msg_stat_uint(wr, "drill.secondsLeft",
		    (drill_left_ms(env->drill, now) + 999) / 1000);
	else
		msg_stat_null(wr, "drill.secondsLeft");
}

static void
status_put_cache(struct wr *wr, struct session_env *env)
{
	const struct metrics *m = env->metrics;
	struct cache_stats cache;

	cache_get_stats(fetch_cache(env->fetch), &cache);
	msg_stat_uint(wr, "cache.secrets", cache.secrets);
	msg_stat_uint(wr, "cache.keys", cache.keys);
	msg_stat_uint(wr, "cache.bytes", cache.bytes);
	msg_stat_uint(wr, "cache.maxBytes", cache.max_bytes);
	msg_stat_uint(wr, "cache.hits", m->hits);
	msg_stat_uint(wr, "cache.misses", m->misses);
	msg_stat_uint(wr, "cache.stale", cache.stale);
	msg_stat_uint(wr, "cache.staleServed", m->stale_served);
	msg_stat_uint(wr, "cache.refreshes", m->refreshes);
	msg_stat_uint(wr, "cache.refreshFailures", m->refresh_failures);
	msg_stat_uint(wr, "cache.evictions", cache.evictions);
	msg_stat_text(wr, "cache.revalidation",
	    fetch_revalidation(env->fetch));
}

static void
status_put_memory(struct wr *wr)
{
	struct secmem_stats mem;

	secmem_get_stats(&mem);
	msg_stat_uint(wr, "memory.lockedBytes", mem.locked_bytes);
	msg_stat_uint(wr, "memory.usedBytes", mem.used_bytes);
	msg_stat_text(wr, "memory.backing",
	    mem.backing == SECMEM_BACKING_SECRETMEM ? "memfd_secret" : "mlock");
	msg_stat_uint(wr, "memory.lockFailures", mem.grow_failures);
}

static void
status_put_state(struct wr *wr, struct session_env *env,
    const struct now *now)
{
	struct state_status state;

	state_get_status(env->state, now, &state);
	if (!state.enabled)
		return;
	if (state.saved)
		msg_stat_uint(wr, "state.savedAgeSeconds",
		    state.saved_age_ms / 1000);
	else
		msg_stat_null(wr, "state.savedAgeSeconds");
	msg_stat_uint(wr, "state.entries", state.items);
	if (state.error != NULL)
		msg_stat_text(wr, "state.error", state.error);
	else
		msg_stat_null(wr, "state.error");
}

int
status_answer(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	struct session_env *env = s->env;
	struct wr wr;
	size_t start;
	int r;

	r = msg_empty_decode(frame->body);
	if (r != 0)
		return r;
	wr = out_begin(out);
	start = msg_stats_begin(&wr, 0, frame->id);
	msg_stat_text(&wr, "version", PACKAGE_VERSION);
	msg_stat_uint(&wr, "pid", (uint64_t)getpid());
	msg_stat_uint(&wr, "uptimeSeconds",
	    (now->boot_ms - env->metrics->start_boot_ms) / 1000);
	status_put_upstream(&wr, env, now);
	status_put_cache(&wr, env);
	msg_stat_uint(&wr, "clients", env->metrics->clients);
	msg_stat_uint(&wr, "requests", env->metrics->requests);
	msg_stat_uint(&wr, "denied", env->metrics->denied);
	status_put_extras(&wr, env, now);
	status_put_memory(&wr);
	status_put_state(&wr, env, now);
	frame_end(&wr, start, 0);
	out_commit(out, &wr);
	return 0;
}

struct status_oldest {
	const struct now *now;
	uint64_t age_ms;
};

static bool
status_age(void *arg, struct cache_entry *e)
{
	struct status_oldest *o = arg;
	uint64_t age = cache_age(e, o->now);

	if (e->object != NULL && e->version == 0 && age > o->age_ms)
		o->age_ms = age;
	return true;
}

const char *
status_line(struct session_env *env, const struct now *now, char *buf,
    size_t size)
{
	struct status_oldest oldest = { .now = now };
	struct cache_stats cache;
	struct jobs_stats jobs;
	char age[UNITS_DURATION_LEN], left[UNITS_DURATION_LEN];
	int n = 0;

	fetch_get_stats(env->fetch, &jobs);
	cache_get_stats(fetch_cache(env->fetch), &cache);
	cache_foreach(fetch_cache(env->fetch), status_age, &oldest);
	if (drill_runs(env->drill))
		n = snprintf(buf, size, "DRILL, %s left: the service is not "
		    "asked; ", units_format_duration(drill_left_ms(env->drill,
		    now) / 1000 * 1000, left));
	if (n < 0 || (size_t)n >= size)
		return buf;
	(void)snprintf(buf + n, size - (size_t)n, "service %s (breaker %s), "
	    "%zu cached, %zu stale, oldest %s", status_upstream(jobs.state),
	    breaker_name(jobs.breaker), cache.secrets + cache.keys,
	    cache.stale, units_format_duration(
	    oldest.age_ms / 1000 * 1000, age));
	return buf;
}
