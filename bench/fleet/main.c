/*
 * fleet: many agents against a model of the service, under virtual time.
 * What it shows and what it does not: docs/fleet.md.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/wait.h>

#include "fleet.h"
#include "report.h"
#include "secmem.h"
#include "sim.h"

#define FLEET_RESERVE ((size_t)16 << 30)	/* address space, no more */
#define FLEET_STEP ((size_t)8 << 20)

struct fleet_main {
	struct fleet_options opt;
	const char *plot;
	const char *csv;
	bool check;
	const struct fleet_scenario **scenarios;
	size_t count;
};

/* Options with a number; the table is the usage as well. */
static const struct {
	const char *name;
	size_t offset;		/* of an unsigned int in the options */
	unsigned int min;
	unsigned int max;
	const char *help;
} numbers[] = {
	{ "agents", offsetof(struct fleet_options, agents), 1, 100000,
	    "machines, each with an agent" },
	{ "secrets", offsetof(struct fleet_options, secrets), 1,
	    SERVICE_SECRETS_MAX, "of each" },
	{ "agents-per-key", offsetof(struct fleet_options, agents_per_key), 1,
	    100000, "in the scenarios with shared keys" },
	{ "limit", offsetof(struct fleet_options, limit), 1, 1000000,
	    "requests a minute for each key" },
	{ "capacity", offsetof(struct fleet_options, capacity), 1, 1000000,
	    "requests a second for all" },
	{ "queue", offsetof(struct fleet_options, queue_ms), 0, 60000,
	    "ms of waiting before the service says 503" },
	{ "latency", offsetof(struct fleet_options, latency_ms), 1, 10000,
	    "ms, the least; up to twice that" },
	{ "interval", offsetof(struct fleet_options, interval_s), 10, 3600,
	    "s, refresh-interval" },
	{ "outage", offsetof(struct fleet_options, outage_s), 60, 36000,
	    "s" },
	{ "off", offsetof(struct fleet_options, off_s), 1, 36000,
	    "s, between the stop and the start of a restart" },
	{ "minutes", offsetof(struct fleet_options, minutes), 1, 600,
	    "of the whole run" },
	{ "jobs", offsetof(struct fleet_options, jobs), 1, 64,
	    "scenarios at a time" },
};

#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

enum {
	OPT_SEED = 1000, OPT_PLOT, OPT_CSV, OPT_CHECK, OPT_BY_ID, OPT_NO_RATE,
	OPT_HELP,
};

static unsigned int *
number_at(struct fleet_options *opt, size_t i)
{
	return (unsigned int *)(void *)((char *)opt + numbers[i].offset);
}

static void
usage(FILE *out, struct fleet_options *opt)
{
	size_t i;

	(void)fprintf(out, "usage: fleet [OPTION]... [SCENARIO]...\n\n");
	for (i = 0; i < NUMBERS; i++)
		(void)fprintf(out, "  --%-16s %s (%u)\n", numbers[i].name,
		    numbers[i].help, *number_at(opt, i));
	(void)fprintf(out,
	    "  --%-16s of the random numbers (%llu)\n"
	    "  --%-16s programs read by id, not by name\n"
	    "  --%-16s the service does not tell X-RateLimit-*\n"
	    "  --%-16s write an SVG there\n"
	    "  --%-16s write what arrived in each second there\n"
	    "  --%-16s exit with 1 if what must hold does not\n\n"
	    "scenarios (without any: all)\n", "seed",
	    (unsigned long long)opt->seed, "by-id", "no-rate-headers",
	    "plot FILE", "csv FILE", "check");
	for (i = 0; i < fleet_scenario_count; i++)
		(void)fprintf(out, "  %-16s %s\n", fleet_scenarios[i].name,
		    fleet_scenarios[i].title);
}

static bool
parse_number(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(s, &end, 10);
	return errno == 0 && end != s && *end == '\0' && *s != '-' &&
	    *ret >= min && *ret <= max;
}

static bool
set_number(struct fleet_main *m, int i, const char *value)
{
	uint64_t n;

	if (i == OPT_SEED)
		return parse_number(value, 0, UINT64_MAX, &m->opt.seed);
	if (!parse_number(value, numbers[i].min, numbers[i].max, &n))
		return false;
	*number_at(&m->opt, (size_t)i) = (unsigned int)n;
	return true;
}

static int
parse_options(int argc, char **argv, struct fleet_main *m)
{
	struct option longs[NUMBERS + 8] = { { 0 } };
	const struct option rest[] = {
		{ "seed", required_argument, NULL, OPT_SEED },
		{ "plot", required_argument, NULL, OPT_PLOT },
		{ "csv", required_argument, NULL, OPT_CSV },
		{ "check", no_argument, NULL, OPT_CHECK },
		{ "by-id", no_argument, NULL, OPT_BY_ID },
		{ "no-rate-headers", no_argument, NULL, OPT_NO_RATE },
		{ "help", no_argument, NULL, OPT_HELP },
	};
	size_t i;
	int c;

	for (i = 0; i < NUMBERS; i++)
		longs[i] = (struct option){ numbers[i].name,
		    required_argument, NULL, (int)i };
	memcpy(longs + NUMBERS, rest, sizeof(rest));
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == OPT_PLOT) {
			m->plot = optarg;
		} else if (c == OPT_CSV) {
			m->csv = optarg;
		} else if (c == OPT_CHECK) {
			m->check = true;
		} else if (c == OPT_BY_ID) {
			m->opt.by_id = true;
		} else if (c == OPT_NO_RATE) {
			m->opt.tell_rate = false;
		} else if (c == OPT_HELP) {
			usage(stdout, &m->opt);
			exit(0);
		} else if (c == '?' || !set_number(m, c, optarg)) {
			if (c != '?')
				(void)fprintf(stderr, "fleet: bad number "
				    "\"%s\"; see --help\n", optarg);
			return -1;
		}
	}
	return 0;
}

static int
parse_scenarios(int argc, char **argv, struct fleet_main *m)
{
	int i;
	size_t j;

	m->scenarios = sim_alloc(fleet_scenario_count + (size_t)argc,
	    sizeof(struct fleet_scenario *));
	for (i = optind; i < argc; i++) {
		m->scenarios[m->count] = fleet_scenario_find(argv[i]);
		if (m->scenarios[m->count++] == NULL) {
			(void)fprintf(stderr, "fleet: no scenario \"%s\"; see "
			    "--help\n", argv[i]);
			return -1;
		}
	}
	if (m->count > 0)
		return 0;
	for (j = 0; j < fleet_scenario_count; j++)
		m->scenarios[m->count++] = &fleet_scenarios[j];
	return 0;
}

/* The whole run must end after the last window has begun. */
static int
check_length(const struct fleet_options *opt)
{
	unsigned int event = opt->outage_s > opt->off_s ? opt->outage_s
	    : opt->off_s, least = 4 * opt->interval_s + event;

	if (opt->minutes * 60 > least)
		return 0;
	(void)fprintf(stderr, "fleet: %u minutes are too short: four times "
	    "the interval and the event are %u s\n", opt->minutes, least);
	return -1;
}

static int
write_file(const char *path,
    int (*write_cb)(FILE *out, const struct fleet_result *r, size_t n),
    const struct fleet_result *r, size_t n)
{
	FILE *out;
	int e = 0;

	if (path == NULL)
		return 0;
	out = fopen(path, "w");
	if (out == NULL) {
		e = errno;
	} else {
		e = write_cb(out, r, n) != 0 ? EIO : 0;
		if (fclose(out) != 0)
			e = errno;
	}
	if (e == 0)
		return 0;
	(void)fprintf(stderr, "fleet: %s: %s\n", path, strerror(e));
	return -1;
}

/* Memory that children share with us, zeroed. */
static void *
share(size_t n, size_t size)
{
	void *p = mmap(NULL, n * size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("fleet: mmap");
		exit(1);
	}
	return p;
}

/* A process a scenario: what one leaves in memory is not the next one's. */
static pid_t
run_one(const struct fleet_main *m, size_t i, struct fleet_result *r)
{
	const struct secmem_config scfg = {
		.reserve_bytes = FLEET_RESERVE, .step_bytes = FLEET_STEP,
		.backing = SECMEM_BACKING_MLOCK,
	};
	pid_t pid;
	int e;

	(void)fflush(NULL);
	pid = fork();
	if (pid != 0)
		return pid;
	e = secmem_init(&scfg);
	if (e != 0) {
		(void)fprintf(stderr, "fleet: %s\n", secmem_strerror(e));
		_exit(1);
	}
	fleet_run(m->scenarios[i], &m->opt, r);
	secmem_done();
	_exit(0);
}

/* Waits for one of them.  0, or -1: it did not end as it should. */
static int
reap(void)
{
	int status;

	if (wait(&status) == -1) {
		perror("fleet: wait");
		return -1;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	(void)fprintf(stderr, "fleet: a scenario failed (%s %d)\n",
	    WIFSIGNALED(status) ? "signal" : "status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return -1;
}

/* All of them, some at a time. */
static int
run_all(const struct fleet_main *m, struct fleet_result *results)
{
	size_t i, running = 0, seconds = m->opt.minutes * (size_t)60;
	int r = 0;

	for (i = 0; i < m->count && r == 0; i++) {
		results[i].per_second = share(seconds,
		    sizeof(*results[i].per_second));
		results[i].bad = share(seconds, sizeof(*results[i].bad));
		if (running == m->opt.jobs) {
			r = reap();
			running--;
		}
		if (run_one(m, i, &results[i]) == -1) {
			perror("fleet: fork");
			r = -1;
		} else {
			running++;
		}
	}
	for (; running > 0; running--) {
		if (reap() != 0)
			r = -1;
	}
	return r;
}

static int
report_all(const struct fleet_main *m, const struct fleet_result *results)
{
	unsigned int passed = 0, failed = 0, n;
	size_t i;

	report_head(stdout, &m->opt);
	report_rates(stdout, results, m->count);
	report_readers(stdout, results, m->count);
	for (i = 0; i < m->count; i++) {
		passed += report_check(stdout, &results[i], &n);
		failed += n;
	}
	if (m->check)
		(void)printf("fleet: %u passed, %u failed\n", passed, failed);
	if (write_file(m->plot, plot_write, results, m->count) != 0 ||
	    write_file(m->csv, report_csv, results, m->count) != 0)
		return 1;
	return m->check && failed > 0;
}

int
main(int argc, char **argv)
{
	struct fleet_main m = {
		.opt = {
			.agents = 1000, .secrets = 50, .agents_per_key = 100,
			.limit = 600, .capacity = 5000, .queue_ms = 1000,
			.latency_ms = 20, .interval_s = 300, .outage_s = 600,
			.off_s = 30, .minutes = 40, .jobs = 1, .seed = 1,
			.tell_rate = true,
		},
	};
	struct fleet_result *results;
	int status = 2;

	if (parse_options(argc, argv, &m) == 0 &&
	    parse_scenarios(argc, argv, &m) == 0 &&
	    check_length(&m.opt) == 0) {
		results = share(m.count, sizeof(*results));
		status = run_all(&m, results) != 0 ? 1
		    : report_all(&m, results);
	}
	free(m.scenarios);
	return status;
}
