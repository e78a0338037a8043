#include "config.h"

#include "report.h"

#include <inttypes.h>

static const char *const window_names[FLEET_WINDOWS] = {
	[FLEET_BEFORE] = "before",
	[FLEET_DURING] = "during",
	[FLEET_AFTER] = "after",
	[FLEET_LATER] = "later",
};

void
report_head(FILE *out, const struct fleet_options *opt)
{
	(void)fprintf(out,
	    "%u agents x %u secrets, refresh-interval %u s, outage %u s, "
	    "%u minutes, seed %" PRIu64 "\n"
	    "service: %u requests/min a key, %u/s in all (queue %u ms), "
	    "latency %u-%u ms\n"
	    "steady by listing %.1f/s, by single reads %.1f/s\n\n",
	    opt->agents, opt->secrets, opt->interval_s, opt->outage_s,
	    opt->minutes, opt->seed, opt->limit, opt->capacity, opt->queue_ms,
	    opt->latency_ms, 2 * opt->latency_ms, fleet_listing_rate(opt),
	    fleet_single_rate(opt));
}

static double
report_steady(const struct fleet_result *r)
{
	return r->windows[FLEET_BEFORE].mean;
}

static double
report_ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}

static void
report_window(FILE *out, const struct fleet_result *r, unsigned int i)
{
	const struct fleet_rates *w = &r->windows[i];

	if (w->to_s <= w->from_s)
		return;
	(void)fprintf(out, "%-15s %-7s %6u %9.1f %9.0f %9.1f %9.2f %9.2f "
	    "%9" PRIu64 " %9" PRIu64 "\n",
	    i == FLEET_BEFORE ? r->scenario->name : "", window_names[i],
	    w->to_s - w->from_s, w->mean, w->peak, w->peak10,
	    report_ratio(w->peak10, report_steady(r)),
	    report_ratio(w->peak10, fleet_single_rate(&r->options)),
	    w->limited, w->overload);
}

void
report_rates(FILE *out, const struct fleet_result *r, size_t n)
{
	unsigned int j;
	size_t i;

	(void)fprintf(out, "%-15s %-7s %6s %9s %9s %9s %9s %9s %9s %9s\n",
	    "scenario", "window", "s", "mean/s", "peak/s", "peak10/s",
	    "x before", "x single", "429", "503");
	for (i = 0; i < n; i++) {
		for (j = 0; j < FLEET_WINDOWS; j++)
			report_window(out, &r[i], j);
	}
	(void)fputc('\n', out);
}

/* Each read stands for the time until the next of that secret. */
static double
report_seconds(const struct fleet_result *r, uint64_t reads)
{
	return (double)reads * (HOST_READ_EVERY_MS / 1000) /
	    ((double)r->options.agents * r->options.secrets);
}

static void
report_ms(FILE *out, uint64_t ms)
{
	if (ms == UINT64_MAX)
		(void)fprintf(out, " %8s", "-");
	else
		(void)fprintf(out, " %8.1f", (double)ms / 1000);
}

void
report_readers(FILE *out, const struct fleet_result *r, size_t n)
{
	struct host_stats sum;
	uint64_t oldest;
	unsigned int j;
	size_t i;

	(void)fprintf(out, "%-15s %8s %8s %8s %9s %9s %9s %9s %8s %9s\n",
	    "scenario", "half s", "99% s", "all s", "stale s", "outdat. s",
	    "failed", "timeouts", "oldest s", "too old");
	for (i = 0; i < n; i++) {
		sum = (struct host_stats){ .reads = 0 };
		oldest = 0;
		for (j = FLEET_DURING; j < FLEET_WINDOWS; j++) {
			const struct host_stats *s = &r[i].windows[j].reads;

			sum.stale += s->stale;
			sum.outdated += s->outdated;
			sum.failed += s->failed;
			sum.timeouts += s->timeouts;
			if (s->oldest_ms > oldest)
				oldest = s->oldest_ms;
		}
		(void)fprintf(out, "%-15s", r[i].scenario->name);
		report_ms(out, r[i].half_ms);
		report_ms(out, r[i].most_ms);
		report_ms(out, r[i].all_ms);
		(void)fprintf(out, " %9.1f %9.1f %9" PRIu64 " %9" PRIu64
		    " %8.0f %9u\n", report_seconds(&r[i], sum.stale),
		    report_seconds(&r[i], sum.outdated), sum.failed,
		    sum.timeouts, (double)oldest / 1000, r[i].too_old);
	}
	(void)fputc('\n', out);
}

int
report_csv(FILE *out, const struct fleet_result *r, size_t n)
{
	const struct service_second *sec;
	unsigned int s;
	size_t i;

	(void)fprintf(out,
	    "scenario,second,requests,reads,lists,s429,s503,bad\n");
	for (i = 0; i < n; i++) {
		for (s = 0; s < r[i].seconds; s++) {
			sec = &r[i].per_second[s];
			(void)fprintf(out, "%s,%u,%" PRIu32 ",%" PRIu32
			    ",%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32
			    "\n", r[i].scenario->name, s, sec->requests,
			    sec->reads, sec->lists, sec->limited,
			    sec->overload, r[i].bad[s]);
		}
	}
	return ferror(out) ? -1 : 0;
}

/* --- what has to hold --- */

#define REPORT_RETURN_MS 20000	/* contract, section 6 */
#define REPORT_GAP_MS 1000
#define REPORT_PROBE_S 15
/* Below this a peak says more of chance than of the agents. */
#define REPORT_MEAN_MIN 2.0
#define REPORT_WAVE 3.0		/* times the steady rate; chance makes it 2 */
#define REPORT_START 4.0	/* the same, after a restart with state */
#define REPORT_HALF 1.4		/* the same, over half an interval */
#define REPORT_RECOVERY 1.25	/* times the rate of probes */

struct report_checking {
	FILE *out;
	const char *scenario;
	unsigned int passed;
	unsigned int failed;
};

static void
report_must(struct report_checking *c, bool ok, const char *what,
    double is, double limit)
{
	if (ok) {
		c->passed++;
		return;
	}
	c->failed++;
	(void)fprintf(c->out, "FAILED: %s: %s: is %.10g, limit %.10g\n",
	    c->scenario, what, is, limit);
}

static bool
report_is_outage(enum fleet_event event)
{
	return event == FLEET_REFUSED || event == FLEET_HANGING ||
	    event == FLEET_FAILING;
}

static void
report_check_outage(struct report_checking *c, const struct fleet_result *r)
{
	const struct fleet_rates *w = &r->windows[FLEET_DURING];

	report_must(c, r->all_ms <= REPORT_RETURN_MS,
	    "ms until all is fresh after the service's return",
	    (double)r->all_ms, REPORT_RETURN_MS);
	report_must(c, r->least_gap_ms >= REPORT_GAP_MS,
	    "least ms between two probes of an agent",
	    (double)r->least_gap_ms, REPORT_GAP_MS);
	report_must(c, w->requests > 0,
	    "requests during the outage: somebody has to probe",
	    (double)w->requests, 1);
	report_must(c, w->reads.stale > 0,
	    "stale answers during the outage", (double)w->reads.stale, 1);
	report_must(c, w->reads.failed == 0,
	    "reads failed during the outage", (double)w->reads.failed, 0);
}

/* The most in any half of an interval, a second. */
static double
report_half_peak(const struct fleet_result *r, const struct fleet_rates *w)
{
	unsigned int half = r->options.interval_s / 2, i;
	uint64_t sum = 0, most = 0;

	for (i = w->from_s; i < w->to_s; i++) {
		sum += r->per_second[i].requests;
		if (i >= w->from_s + half)
			sum -= r->per_second[i - half].requests;
		if (sum > most)
			most = sum;
	}
	return (double)most / half;
}

/* No waves: neither at once nor an interval later. */
static void
report_check_peaks(struct report_checking *c, const struct fleet_result *r)
{
	double mean = r->windows[FLEET_BEFORE].mean;
	double probes = (double)r->options.agents / REPORT_PROBE_S;
	const struct fleet_rates *after = &r->windows[FLEET_AFTER];
	double half = report_half_peak(r, &r->windows[FLEET_LATER]);

	if (mean < REPORT_MEAN_MIN)
		return;
	report_must(c, r->windows[FLEET_LATER].peak10 <= REPORT_WAVE * mean,
	    "peak of ten seconds after an interval",
	    r->windows[FLEET_LATER].peak10, REPORT_WAVE * mean);
	report_must(c, half <= REPORT_HALF * mean,
	    "mean of the busiest half of an interval", half,
	    REPORT_HALF * mean);
	if (r->scenario->event == FLEET_RESTART_STATE)
		report_must(c, after->peak10 <= REPORT_START * mean,
		    "peak of ten seconds after a start", after->peak10,
		    REPORT_START * mean);
	/* the probe lists, and that is all that an agent needs */
	if (report_is_outage(r->scenario->event) && r->scenario->lists)
		report_must(c, after->peak10 <= REPORT_RECOVERY * probes +
		    mean, "peak of ten seconds after an outage",
		    after->peak10, REPORT_RECOVERY * probes + mean);
}

/*
 * Seconds that a key needs, by its limit alone, for what its agents have to
 * ask for: everything once after a restart or a rotation, and again and again
 * where they cannot list.
 */
static double
report_floor(const struct fleet_result *r)
{
	const struct fleet_scenario *sc = r->scenario;
	const struct fleet_options *opt = &r->options;
	unsigned int agents = sc->shared ? opt->agents_per_key : 1;
	bool all = !sc->lists || sc->event == FLEET_RESTART ||
	    sc->event == FLEET_ROTATION;

	return agents * (all ? opt->secrets + 1.0 : 1.0) * 60 / opt->limit;
}

unsigned int
report_check(FILE *out, const struct fleet_result *r,
    unsigned int *ret_failed)
{
	struct report_checking c = { .out = out,
	    .scenario = r->scenario->name };
	const struct fleet_rates *last = &r->windows[FLEET_LATER];
	double floor_s = report_floor(r);

	report_must(&c, r->requests == r->sent,
	    "requests as the service counts them and as the agents do",
	    (double)r->requests, (double)r->sent);
	report_must(&c, r->most_of_key <= r->options.limit,
	    "requests answered for a key in a minute", r->most_of_key,
	    r->options.limit);
	if (floor_s * 1000 < (double)r->max_stale_ms)
		report_must(&c, r->too_old == 0,
		    "agents past max-stale that need not be", r->too_old, 0);
	if (floor_s < r->options.interval_s * 7 / 8) {
		report_must(&c, r->wrong == 0,
		    "secrets not fresh or not the newest at the end",
		    (double)r->wrong, 0);
		report_must(&c, last->limited == 0,
		    "429s after it is over", (double)last->limited, 0);
		report_check_peaks(&c, r);
	}
	report_must(&c, last->overload == 0,
	    "503s after it is over", (double)last->overload, 0);
	if (r->scenario->event != FLEET_NOTHING)
		report_must(&c, r->all_ms != UINT64_MAX,
		    "ms until all is fresh: never", (double)r->all_ms, 0);
	if (report_is_outage(r->scenario->event))
		report_check_outage(&c, r);
	*ret_failed = c.failed;
	return c.passed;
}
