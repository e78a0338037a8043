#include "config.h"

#include "agent.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "apikey.h"
#include "audit.h"
#include "clock.h"
#include "conn.h"
#include "drill.h"
#include "err.h"
#include "fetch.h"
#include "flood.h"
#include "harden.h"
#include "httpsock.h"
#include "keys.h"
#include "limit.h"
#include "listener.h"
#include "log.h"
#include "notify.h"
#include "position.h"
#include "preload.h"
#include "reject.h"
#include "reload.h"
#include "secmem.h"
#include "session.h"
#include "setup.h"
#include "signals.h"
#include "state.h"
#include "status.h"
#include "timers.h"
#include "upstream_http.h"
#include "userinfo.h"
#include "watch.h"

#define AGENT_STATUS_MS 15000	/* between two STATUS= */
#define AGENT_READY_RETRY_MS 200 /* while the service manager does not read */
#define AGENT_WHY 512

/* Secret memory kept back for transfers, keys and buffers. */
#define AGENT_HEADROOM_BYTES (2u << 20)
/* And what those may take at most, with max-in-flight large answers. */
#define AGENT_TRANSFER_BYTES (32u << 20)
/* Address space beyond twice the cache: connections to the service, mostly. */
#define AGENT_RESERVE_BYTES (256u << 20)

struct agent {
	struct settings *settings;
	char *path;
	struct event_base *base;
	struct signals *signals;
	struct keys *keys;
	struct upstream *upstream;
	struct metrics metrics;
	struct fetch *fetch;
	struct secmem position_key;
	struct watch *watch;
	struct rejects *rejects;
	struct drill *drill;
	struct userinfo *users;
	struct state *state;	/* NULL: nothing is kept across restarts */
	struct audit *audit;
	struct session_env env;
	struct conns *conns;
	struct listener *listener;
	struct httpsock *http;
	struct preload *preload;
	struct timer *status;
	struct timer *watchdog;
	struct timer *tell_ready;
	bool ready;
	char missing[AGENT_WHY]; /* of preload */
	bool may_lack;		/* path: see struct reload */
	size_t max_memory;	/* likewise */
	char reloaded[RELOAD_WHY + 32]; /* what is wrong since the last
					 * reload; "" if nothing */
};

/* --- before everything --- */

int
agent_init_process(const struct settings *settings)
{
	const struct secmem_config memory = {
		.reserve_bytes = settings->max_memory * 2 + AGENT_RESERVE_BYTES,
		.suggest_bytes = settings->max_memory + AGENT_TRANSFER_BYTES,
		.headroom_bytes = AGENT_HEADROOM_BYTES,
		.backing = SECMEM_BACKING_AUTO,
	};
	char why[AGENT_WHY];
	int r;

	r = harden_process(settings->max_connections, why, sizeof(why));
	if (r != 0) {
		log_error("%s", why);
		return r;
	}
	r = secmem_init(&memory);
	if (r != 0) {
		log_error("%s", secmem_strerror(r));
		return ERR_NOMEM;
	}
	event_set_mem_functions(secmem_malloc, secmem_realloc, secmem_free);
	r = upstream_http_global_init();
	if (r != 0)
		log_error("cannot lead the libraries' allocations into secret "
		    "memory; is something preloaded that allocates first?");
	return r;
}

/* --- the service --- */

static void
agent_tell_status(struct agent *a)
{
	struct now now;
	char line[AGENT_WHY];

	clock_read(&now);
	(void)status_line(&a->env, &now, line, sizeof(line));
	notify_status("%s%s%s%s%s", line, a->reloaded[0] != '\0' ? "; " : "",
	    a->reloaded, a->missing[0] != '\0' ? "; not held: " : "",
	    a->missing);
}

/* READY=1, which the start and each reload end with, must not get lost. */
static void
agent_tell_ready(void *arg)
{
	struct agent *a = arg;

	if (!notify_ready())
		timer_set(a->tell_ready, AGENT_READY_RETRY_MS);
}

static bool
agent_reload_key(void *arg)
{
	struct agent *a = arg;

	keys_refused(a->keys);
	return false; /* what comes of it, fetch is told */
}

static bool
agent_key_pending(void *arg)
{
	const struct agent *a = arg;

	return keys_pending(a->keys);
}

static void
agent_key_taken(void *arg, bool dropped)
{
	struct agent *a = arg;

	(void)dropped;
	state_key_changed(a->state, keys_in_force(a->keys), 1);
	agent_tell_status(a);
}

static void
agent_state_changed(void *arg)
{
	struct agent *a = arg;
	struct jobs_stats stats;

	fetch_get_stats(a->fetch, &stats);
	switch (stats.state) {
	case JOBS_OK:
		log_notice("the service answers");
		keys_service_back(a->keys);
		break;
	case JOBS_DOWN:
		if (stats.offline)
			break; /* a drill says so itself */
		log_warning("the service cannot be reached; what is cached "
		    "goes on being served");
		break;
	case JOBS_UNAUTHORIZED:
		log_error("the service refuses the API key; what is cached is "
		    "wiped after unauthorized-grace unless a good one is put "
		    "in its place");
		break;
	case JOBS_UNKNOWN:
		break;
	}
	agent_tell_status(a);
}

/* The clock cannot be true, or is again. */
static void
agent_judging(void *arg, bool can)
{
	(void)arg;
	if (can)
		log_notice("the time is known: what expires is served again");
	else
		log_warning("the clock of this machine reads a time before "
		    "this program was made: values with an expiresAt are "
		    "withheld until it is set or the service tells the time");
}

static void
agent_wiped(void *arg)
{
	(void)arg;
	log_error("unauthorized-grace is over: everything cached was wiped");
}

static void
agent_event(void *arg, const struct cache_entry *e, enum cache_event ev)
{
	struct agent *a = arg;

	if (a->watch != NULL)
		watch_event(a->watch, e, ev);
}

static int
agent_build_upstream(struct agent *a)
{
	const struct settings *s = a->settings;
	const struct upstream_http_config http = setup_http(s);
	const struct fetch_config cfg = setup_fetch(s);
	const struct fetch_hooks hooks = {
		.reload_key = agent_reload_key,
		.key_pending = agent_key_pending,
		.state_changed = agent_state_changed,
		.wiped = agent_wiped,
		.event = agent_event,
		.judging = agent_judging,
		.arg = a,
	};
	struct secmem key = { NULL, 0 };
	struct now now;
	int r;

	if ((a->keys = keys_new(a->base, s->api_key_files)) == NULL)
		return ERR_NOMEM;
	if ((r = keys_load(a->keys, &key)) != 0)
		return r;
	r = upstream_http_new(a->base, &http, &key, &a->upstream);
	secmem_free_bytes(&key);
	if (r != 0) {
		log_error("cannot set up the connection to %s: %s", s->url,
		    err_text(r));
		return r;
	}
	a->fetch = fetch_new(a->base, a->upstream, &cfg, &hooks, &a->metrics);
	if (a->fetch == NULL)
		return ERR_NOMEM;
	keys_watch(a->keys, a->upstream, a->fetch, agent_key_taken, a);
	clock_read(&now);
	if (!cache_can_judge(fetch_cache(a->fetch), &now))
		agent_judging(a, false);
	return 0;
}

/* --- what callers ask for besides values --- */

static void
agent_drill_changed(void *arg)
{
	/* before the loop runs, or at the end, there is nobody to tell */
	if (((struct agent *)arg)->ready)
		agent_tell_status(arg);
}

static int
agent_build_extras(struct agent *a)
{
	if (position_key(keys_in_force(a->keys), &a->position_key) != 0 ||
	    (a->watch = watch_new(a->base, a->fetch,
	    &a->position_key)) == NULL ||
	    (a->rejects = rejects_new(a->fetch, &a->metrics)) == NULL ||
	    (a->drill = drill_new(a->base, a->fetch, agent_drill_changed,
	    a)) == NULL ||
	    (a->users = userinfo_new(a->base)) == NULL)
		return ERR_NOMEM;
	watch_configure(a->watch, a->settings->refresh_interval_ms);
	a->env.position_key = &a->position_key;
	a->env.watch = a->watch;
	a->env.rejects = a->rejects;
	a->env.drill = a->drill;
	a->env.users = a->users;
	return 0;
}

static void
agent_free_extras(struct agent *a)
{
	userinfo_free(a->users);
	drill_free(a->drill);
	rejects_free(a->rejects);
	watch_free(a->watch);
	a->watch = NULL;
	secmem_free_bytes(&a->position_key);
}

/* What was read with one of the keys is served with that one in force. */
static int
agent_build_state(struct agent *a)
{
	const struct settings *s = a->settings;
	struct secmem keys[STATE_API_KEYS_MAX] = { { NULL, 0 } };
	const struct state_config cfg = {
		.file = s->state_file,
		.key_file = s->state_key_file,
		.url = s->url,
		.api_keys = keys,
		.napi_keys = keys_all(a->keys, keys, STATE_API_KEYS_MAX),
		.refresh_interval_ms = s->refresh_interval_ms,
		.unauthorized_grace_ms = s->unauthorized_grace_ms,
	};
	size_t i, used;
	int r;

	r = state_new(a->base, a->fetch, &cfg, &a->state, &used);
	if (r == 0 && used > 0)
		r = keys_use(a->keys, &keys[used]);
	for (i = 0; i < cfg.napi_keys; i++)
		secmem_free_bytes(&keys[i]);
	a->env.state = a->state;
	return r;
}

/* --- the socket --- */

static int
agent_build_audit(struct agent *a)
{
	char why[AGENT_WHY];

	a->audit = audit_new(a->settings->audit_log, why, sizeof(why));
	if (a->audit == NULL) {
		log_error("%s", why);
		return ERR_BAD_REQUEST;
	}
	a->env.flood = flood_new(a->base);
	audit_set_flood(a->audit, a->env.flood);
	return a->env.flood != NULL ? 0 : ERR_NOMEM;
}

static int
agent_build_http(struct agent *a)
{
	struct httpsock_next *next;
	char why[AGENT_WHY];
	int r;

	if ((a->http = httpsock_new(a->base, a->conns)) == NULL)
		return ERR_NOMEM;
	r = httpsock_prepare(a->http, a->settings, why, sizeof(why), &next);
	if (r != 0)
		log_error("%s", why);
	else
		httpsock_switch(a->http, next);
	return r;
}

static int
agent_build_sockets(struct agent *a)
{
	const struct settings *s = a->settings;
	const struct listener_config cfg = setup_listener(s);
	char why[AGENT_WHY];
	int r;

	a->env.base = a->base;
	a->env.fetch = a->fetch;
	a->env.settings = s;
	a->env.policy_generation = 1;
	hash_key_init(&a->env.audit_key);
	a->env.audit = a->audit;
	a->env.metrics = &a->metrics;
	a->env.limit = limit_new(s->max_requests_per_second);
	a->conns = conns_new(a->base, &a->env,
	    harden_connections(s->max_connections));
	if (a->env.limit == NULL || a->conns == NULL)
		return ERR_NOMEM;
	r = listener_new(a->base, &cfg, conns_accept, a->conns, why,
	    sizeof(why), &a->listener);
	if (r != 0)
		log_error("%s", why);
	return r != 0 ? r : agent_build_http(a);
}

/* --- signals and timers --- */

static void
agent_preloaded(void *arg, const char *missing)
{
	struct agent *a = arg;

	if (missing[0] != '\0')
		log_warning("serving without %s", missing);
	(void)snprintf(a->missing, sizeof(a->missing), "%s", missing);
	agent_tell_status(a);
	if (!a->ready) {
		a->ready = true;
		log_notice("ready on %s, service %s", a->settings->socket,
		    a->settings->url);
		agent_tell_ready(a);
	}
}

static void
agent_warn_unavailable(const struct settings *s)
{
	const struct {
		const char *key;
		const char *value;
	} later[] = {
		{ "credentials-socket", s->credentials_socket },
	};
	size_t i;

	for (i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		if (later[i].value != NULL)
			log_warning("%s= is not available in this version "
			    "and has no effect", later[i].key);
	}
}

static void
agent_reload(struct agent *a)
{
	struct reload rl = {
		.base = a->base, .path = a->path, .may_lack = &a->may_lack,
		.max_memory = a->max_memory, .settings = &a->settings,
		.env = &a->env, .upstream = a->upstream, .conns = a->conns,
		.audit = &a->audit, .listener = &a->listener, .http = a->http,
		.preload = &a->preload, .preloaded = agent_preloaded,
		.keys = a->keys, .arg = a,
	};

	notify_reloading();
	if (reload_run(&rl)) {
		agent_warn_unavailable(a->settings);
		watch_configure(a->watch, a->settings->refresh_interval_ms);
		watch_recheck(a->watch);
		drill_stop(a->drill);
		state_configure(a->state, a->settings->refresh_interval_ms,
		    a->settings->unauthorized_grace_ms);
		(void)snprintf(a->reloaded, sizeof(a->reloaded), "%s", rl.why);
	} else {
		(void)snprintf(a->reloaded, sizeof(a->reloaded),
		    "reload failed: %s", rl.why);
	}
	agent_tell_status(a);
	agent_tell_ready(a);
}

static void
agent_signal(void *arg, int signo)
{
	struct agent *a = arg;

	if (signo == SIGHUP) {
		agent_reload(a);
	} else if (signo == SIGTERM || signo == SIGINT) {
		log_notice("stopping on %s",
		    signo == SIGTERM ? "SIGTERM" : "SIGINT");
		notify_stopping();
		(void)event_base_loopbreak(a->base);
	}
}

static void
agent_status_cb(void *arg)
{
	struct agent *a = arg;

	log_flush();
	agent_tell_status(a);
	timer_set(a->status, AGENT_STATUS_MS);
}

/* The loop turns, so the daemon makes progress. */
static void
agent_watchdog_cb(void *arg)
{
	struct agent *a = arg;

	notify_watchdog();
	timer_set(a->watchdog, notify_watchdog_ms());
}

static int
agent_build_timers(struct agent *a)
{
	a->status = timer_new(a->base, agent_status_cb, a);
	a->watchdog = timer_new(a->base, agent_watchdog_cb, a);
	a->tell_ready = timer_new(a->base, agent_tell_ready, a);
	a->preload = preload_new(a->base, a->fetch, a->settings,
	    agent_preloaded, a);
	if (a->status == NULL || a->watchdog == NULL ||
	    a->tell_ready == NULL || a->preload == NULL)
		return ERR_NOMEM;
	preload_start(a->preload);
	timer_set(a->status, AGENT_STATUS_MS);
	if (notify_watchdog_ms() > 0)
		timer_set(a->watchdog, notify_watchdog_ms());
	return 0;
}

static struct event_base *
agent_event_base(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base;

	if (cfg == NULL)
		return NULL;
	(void)event_config_set_flag(cfg,
	    EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return base;
}

int
agent_new(struct settings *settings, const char *path, bool may_lack,
    struct agent **ret_agent)
{
	struct agent *a;
	struct now now;
	int r = ERR_NOMEM;

	a = calloc(1, sizeof(*a));
	if (a == NULL) {
		settings_free(settings);
		return ERR_NOMEM;
	}
	a->settings = settings;
	a->may_lack = may_lack;
	a->max_memory = settings->max_memory * 2;
	clock_read(&now);
	a->metrics.start_boot_ms = now.boot_ms;
	if ((a->path = strdup(path)) == NULL)
		goto out;
	agent_warn_unavailable(settings);
	if ((a->base = agent_event_base()) == NULL ||
	    (a->signals = signals_new(a->base, agent_signal, a)) == NULL)
		goto out;
	if ((r = agent_build_audit(a)) != 0 ||
	    (r = agent_build_upstream(a)) != 0 ||
	    (r = agent_build_extras(a)) != 0 ||
	    (r = agent_build_state(a)) != 0 ||
	    (r = agent_build_sockets(a)) != 0 ||
	    (r = agent_build_timers(a)) != 0)
		goto out;
	*ret_agent = a;
	a = NULL;
out:
	if (r == ERR_NOMEM)
		log_error("out of memory at start");
	agent_free(a);
	return r;
}

int
agent_run(struct agent *a)
{
	int r = event_base_dispatch(a->base) < 0 ? ERR_INTERNAL : 0;

	if (r == 0)
		state_stop(a->state);
	return r;
}

void
agent_free(struct agent *a)
{
	if (a == NULL)
		return;
	preload_free(a->preload);
	listener_free(a->listener);
	httpsock_close(a->http);
	conns_free(a->conns);
	httpsock_free(a->http);
	limit_free(a->env.limit);
	state_free(a->state);
	agent_free_extras(a);
	keys_free(a->keys);
	fetch_free(a->fetch);
	if (a->upstream != NULL)
		a->upstream->ops->free(a->upstream);
	audit_free(a->audit);
	flood_free(a->env.flood);
	timer_free(a->status);
	timer_free(a->watchdog);
	timer_free(a->tell_ready);
	signals_free(a->signals);
	if (a->base != NULL)
		event_base_free(a->base);
	settings_free(a->settings);
	free(a->path);
	free(a);
}
