#include "config.h"

#include "fleet.h"

#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* Everything starts within an interval, and settles in another. */
#define FLEET_SETTLE_INTERVALS 2u
#define FLEET_ROTATION_S 60u
#define FLEET_TIMEOUT_MS 30000u	/* request-timeout */
#define FLEET_GIVE_UP 4u	/* so many of those until the breaker opens */
#define FLEET_MAX_IN_FLIGHT 16u
#define FLEET_PROGRAMS_MS 5000u
#define FLEET_GAP_AFTER_MS 30000u
/* What max-stale leaves over interval and outage: "that need not be". */
#define FLEET_SLACK_MS 30000u
#define FLEET_STEP_MS 100u

const struct fleet_scenario fleet_scenarios[] = {
	{ "steady", "steady state", FLEET_NOTHING, false, true },
	{ "refused", "outage, refused", FLEET_REFUSED, false, true },
	{ "hanging", "outage, hanging", FLEET_HANGING, false, true },
	{ "failing", "outage, 503", FLEET_FAILING, false, true },
	{ "restart", "restart of all, no state", FLEET_RESTART, false, true },
	{ "restart-state", "restart of all, with state", FLEET_RESTART_STATE,
	    false, true },
	{ "rotation", "rotation of all", FLEET_ROTATION, false, true },
	{ "shared-refused", "shared keys, outage, refused", FLEET_REFUSED,
	    true, true },
	{ "shared-restart", "shared keys, restart, no state", FLEET_RESTART,
	    true, true },
	{ "shared-rotation", "shared keys, rotation", FLEET_ROTATION, true,
	    true },
	{ "no-list", "no listing, outage, refused", FLEET_REFUSED, false,
	    false },
	{ "shared-no-list", "shared keys, no listing", FLEET_NOTHING, true,
	    false },
};
const size_t fleet_scenario_count =
    sizeof(fleet_scenarios) / sizeof(fleet_scenarios[0]);

struct fleet {
	const struct fleet_scenario *sc;
	const struct fleet_options *opt;
	struct fleet_result *r;
	struct service *service;
	struct host **hosts;
	struct host_saved **saved;
	struct sim_event *starts;	/* of the hosts, in the beginning */
	struct host_config host;
	char (*names)[SERVICE_NAME_MAX];
	struct host_stats *stats;	/* of the window */
	struct host_stats unwatched;	/* in none of them */
	uint64_t begin_ms;		/* of the event */
	uint64_t end_ms;
	uint64_t rotated;
};

const struct fleet_scenario *
fleet_scenario_find(const char *name)
{
	size_t i;

	for (i = 0; i < fleet_scenario_count; i++) {
		if (strcmp(fleet_scenarios[i].name, name) == 0)
			return &fleet_scenarios[i];
	}
	return NULL;
}

double
fleet_listing_rate(const struct fleet_options *opt)
{
	/* and each secret is read by its id once a reread-interval */
	return (double)opt->agents / opt->interval_s +
	    (double)opt->agents * opt->secrets / HOST_REREAD_S;
}

double
fleet_single_rate(const struct fleet_options *opt)
{
	return (double)opt->agents * opt->secrets / opt->interval_s;
}

/* --- set up --- */

static void
fleet_start_cb(void *arg)
{
	host_start(arg, NULL);
}

static void
fleet_windows(struct fleet *f)
{
	const struct fleet_options *opt = f->opt;
	struct fleet_rates *w = f->r->windows;
	unsigned int begin = (FLEET_SETTLE_INTERVALS + 1) * opt->interval_s;
	unsigned int long_s = 0, i;

	switch (f->sc->event) {
	case FLEET_REFUSED:
	case FLEET_HANGING:
	case FLEET_FAILING:
		long_s = opt->outage_s;
		break;
	case FLEET_RESTART:
	case FLEET_RESTART_STATE:
		long_s = opt->off_s;
		break;
	case FLEET_ROTATION:
		long_s = FLEET_ROTATION_S;
		break;
	case FLEET_NOTHING:
		break;
	}
	f->begin_ms = begin * UINT64_C(1000);
	f->end_ms = f->begin_ms + long_s * UINT64_C(1000);
	w[FLEET_BEFORE].from_s = begin - opt->interval_s;
	w[FLEET_DURING].from_s = begin;
	w[FLEET_AFTER].from_s = begin + long_s;
	w[FLEET_LATER].from_s = begin + long_s + opt->interval_s;
	for (i = 0; i + 1 < FLEET_WINDOWS; i++)
		w[i].to_s = w[i + 1].from_s;
	w[FLEET_LATER].to_s = f->r->seconds;
}

static void
fleet_init(struct fleet *f)
{
	const struct fleet_options *opt = f->opt;
	const struct service_config scfg = {
		.agents = opt->agents,
		.secrets = opt->secrets,
		.agents_per_key = f->sc->shared ? opt->agents_per_key : 1,
		.limit = opt->limit,
		.capacity = opt->capacity,
		.queue_ms = opt->queue_ms,
		.latency_ms = opt->latency_ms,
		.timeout_ms = FLEET_TIMEOUT_MS,
		.tell_rate = opt->tell_rate,
		.lists = f->sc->lists,
	};
	unsigned int i;

	sim_init(opt->seed);
	f->r->max_stale_ms = (opt->interval_s + opt->outage_s) *
	    UINT64_C(1000) + FLEET_SLACK_MS;
	f->host = (struct host_config){
		.secrets = opt->secrets,
		.refresh_interval_ms = opt->interval_s * UINT64_C(1000),
		.max_stale_ms = f->r->max_stale_ms,
		.max_in_flight = FLEET_MAX_IN_FLIGHT,
		.boot_spread_ms = FLEET_PROGRAMS_MS,
		/* a name needs the listing */
		.by_id = opt->by_id || !f->sc->lists,
	};
	f->service = service_new(&scfg, f->r->seconds);
	f->names = sim_alloc(opt->secrets, sizeof(*f->names));
	for (i = 0; i < opt->secrets; i++)
		service_name(i, f->names[i]);
	f->hosts = sim_alloc(opt->agents, sizeof(struct host *));
	f->saved = sim_alloc(opt->agents, sizeof(struct host_saved *));
	f->starts = sim_alloc(opt->agents, sizeof(*f->starts));
	for (i = 0; i < opt->agents; i++) {
		f->hosts[i] = host_new(i, f->service, &f->host, f->names,
		    &f->stats);
		sim_event_init(&f->starts[i], fleet_start_cb, f->hosts[i]);
		sim_at(&f->starts[i],
		    sim_random_below(f->host.refresh_interval_ms));
	}
}

static void
fleet_done(struct fleet *f)
{
	unsigned int i;

	for (i = 0; i < f->opt->agents; i++) {
		host_free(f->hosts[i]);
		host_saved_free(f->saved[i]);
	}
	free(f->hosts);
	free(f->saved);
	free(f->starts);
	free(f->names);
	service_free(f->service);
	sim_done();
}

/* --- what befalls them --- */

static void
fleet_stop_all(struct fleet *f)
{
	unsigned int i;

	for (i = 0; i < f->opt->agents; i++) {
		if (f->sc->event == FLEET_RESTART_STATE)
			f->saved[i] = host_save(f->hosts[i]);
		host_stop(f->hosts[i]);
	}
}

static void
fleet_start_all(struct fleet *f)
{
	unsigned int i;

	for (i = 0; i < f->opt->agents; i++)
		host_start(f->hosts[i], f->saved[i]);
}

static void
fleet_begin(struct fleet *f)
{
	switch (f->sc->event) {
	case FLEET_REFUSED:
		service_set_state(f->service, SERVICE_REFUSING);
		break;
	case FLEET_HANGING:
		service_set_state(f->service, SERVICE_HANGING);
		break;
	case FLEET_FAILING:
		service_set_state(f->service, SERVICE_FAILING);
		break;
	case FLEET_RESTART:
	case FLEET_RESTART_STATE:
		fleet_stop_all(f);
		break;
	case FLEET_NOTHING:
	case FLEET_ROTATION:
		break;
	}
	/* by then each agent has met the outage, and given the service up */
	service_reset_gap(f->service, f->host.refresh_interval_ms +
	    FLEET_GIVE_UP * FLEET_TIMEOUT_MS);
}

static void
fleet_end(struct fleet *f)
{
	f->r->least_gap_ms = service_least_gap_ms(f->service);
	service_set_state(f->service, SERVICE_UP);
	if (f->sc->event == FLEET_RESTART ||
	    f->sc->event == FLEET_RESTART_STATE)
		fleet_start_all(f);
}

/* Secrets change at an even pace, in an order that jumps about. */
static void
fleet_rotate(struct fleet *f)
{
	const uint64_t all = (uint64_t)f->opt->agents * f->opt->secrets;
	uint64_t now = sim_now_ms() - f->begin_ms, until, i;

	until = all * now / (f->end_ms - f->begin_ms);
	for (; f->rotated < until; f->rotated++) {
		i = f->rotated * UINT64_C(1000000007) % all;
		service_rotate(f->service,
		    (unsigned int)(i / f->opt->secrets),
		    (unsigned int)(i % f->opt->secrets));
	}
}

/* --- watching --- */

/* Secrets that are not held, marked stale, or not the newest. */
static uint64_t
fleet_bad(struct fleet *f)
{
	uint64_t unfresh = 0, outdated = service_outdated(f->service);
	unsigned int i;

	for (i = 0; i < f->opt->agents; i++)
		unfresh += host_unfresh(f->hosts[i]);
	return unfresh > outdated ? unfresh : outdated;
}

static void
fleet_look(struct fleet *f)
{
	struct fleet_result *r = f->r;
	uint64_t now = sim_now_ms(), all, bad, since;
	bool recovering = now >= f->end_ms && r->all_ms == UINT64_MAX &&
	    f->sc->event != FLEET_NOTHING;

	if (now % 1000 != 0 && !recovering)
		return;
	bad = fleet_bad(f);
	if (now % 1000 == 0 && now / 1000 < r->seconds)
		r->bad[now / 1000] = (uint32_t)bad;
	if (!recovering)
		return;
	all = (uint64_t)f->opt->agents * f->opt->secrets;
	since = now - f->end_ms;
	if (bad <= all / 2 && r->half_ms == UINT64_MAX)
		r->half_ms = since;
	if (bad <= all / 100 && r->most_ms == UINT64_MAX)
		r->most_ms = since;
	if (bad == 0)
		r->all_ms = since;
}

static void
fleet_window(struct fleet *f)
{
	unsigned int now_s = (unsigned int)(sim_now_ms() / 1000), i;

	f->stats = &f->unwatched;
	for (i = 0; i < FLEET_WINDOWS; i++) {
		if (now_s >= f->r->windows[i].from_s &&
		    now_s < f->r->windows[i].to_s)
			f->stats = &f->r->windows[i].reads;
	}
}

static void
fleet_sum(const struct service_second *sec, struct fleet_rates *w)
{
	uint32_t ten = 0;
	unsigned int i;

	for (i = w->from_s; i < w->to_s; i++) {
		w->requests += sec[i].requests;
		w->limited += sec[i].limited;
		w->overload += sec[i].overload;
		if (sec[i].requests > w->peak)
			w->peak = sec[i].requests;
		ten += sec[i].requests;
		if (i >= w->from_s + 10)
			ten -= sec[i - 10].requests;
		if (ten / 10.0 > w->peak10)
			w->peak10 = ten / 10.0;
	}
	if (w->to_s > w->from_s)
		w->mean = (double)w->requests / (w->to_s - w->from_s);
}

static void
fleet_measure(struct fleet *f)
{
	struct fleet_result *r = f->r;
	const struct service_second *sec;
	size_t n;
	unsigned int i;

	sec = service_seconds(f->service, &n);
	memcpy(r->per_second, sec, n * sizeof(*sec));
	for (i = 0; i < FLEET_WINDOWS; i++)
		fleet_sum(sec, &r->windows[i]);
	for (i = 0; i < f->opt->agents; i++) {
		r->too_old += host_was_too_old(f->hosts[i]);
		r->wrong += host_wrong(f->hosts[i]);
		r->sent += host_requests(f->hosts[i]);
	}
	r->requests = service_requests(f->service);
	r->most_of_key = service_most_of_key(f->service);
	r->events = sim_events();
}

void
fleet_run(const struct fleet_scenario *sc, const struct fleet_options *opt,
    struct fleet_result *r)
{
	struct fleet f = { .sc = sc, .opt = opt, .r = r };
	uint64_t t, end_ms;

	r->scenario = sc;
	r->options = *opt;
	r->seconds = opt->minutes * 60;
	r->half_ms = r->most_ms = r->all_ms = r->least_gap_ms = UINT64_MAX;
	fleet_windows(&f);
	fleet_window(&f);
	fleet_init(&f);
	end_ms = r->seconds * UINT64_C(1000);
	for (t = 0; t < end_ms; t += FLEET_STEP_MS) {
		sim_run_until(t);
		if (t == f.begin_ms)
			fleet_begin(&f);
		if (sc->event == FLEET_ROTATION && t > f.begin_ms &&
		    t <= f.end_ms)
			fleet_rotate(&f);
		if (t == f.end_ms)
			fleet_end(&f);
		if (t % 1000 == 0)
			fleet_window(&f);
		fleet_look(&f);
	}
	fleet_measure(&f);
	fleet_done(&f);
}
