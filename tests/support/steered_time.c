/*
 * The daemon's clocks and timers in the hands of a test: linked before
 * libagent.la, these definitions win over those of agent/clock.c,
 * agent/timers.c and agent/walltimer.c, so that hours pass in milliseconds
 * and nothing sleeps.  For curl and libevent, which have clocks of their own,
 * clock_gettime() and time() are replaced too, and curl's transfers are
 * watched.
 *
 * The test writes what it wants into a small file that both have mapped
 * (struct steered below; tests/integration/harness.py, class Clock):
 *
 *   pass     time goes by on all clocks.  Timers on the way fire each at its
 *            moment, in order; a request that one of them starts gets its
 *            answer before time goes on, unless nothing happens to it for
 *            `patience` of real time: then it hangs, and time passes over it
 *   suspend  the boot clock and the wall clock go on at once; timers and
 *            curl's clock stand still meanwhile
 *   wall     somebody sets the wall clock
 *
 * Real time goes on beside it.  What was asked for is acknowledged once
 * all that is due has run and no request is under way that moves.
 */
#include "config.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/syscall.h>

#include <curl/curl.h>
#include <event2/event.h>

#include "clock.h"
#include "timers.h"
#include "walltimer.h"

#define STEERED_ENV "QAPI_STEERED_TIME"
#define STEERED_MAGIC UINT64_C(0x716170692d636c6b)
#define STEERED_TICK_US 2000	/* how soon a wish is noticed */
#define TIMER_MAX_MS (24u * 3600 * 1000)
#define STEERED_MOMENT_MS 1000
/* So many at one moment before the loop gets a turn. */
#define STEERED_BURST 1000
/* curl has something to do at once and the loop does not call it: go on. */
#define STEERED_CURL_LATE_MS 100

/* All from the start of the test, in ms. */
struct steered {
	uint64_t magic;
	int64_t pass_ms;
	int64_t suspend_ms;
	int64_t wall_ms;
	uint64_t patience_ms;	/* real, as the next */
	uint64_t moment_ms;	/* no longer than this for a second of passing
				 * time, should clients start requests all the
				 * while */
	uint64_t wish;		/* counts up after the above are written */
	uint64_t done;		/* the wish that has come true */
};

struct timer {
	TAILQ_ENTRY(timer) link;
	timer_cb *cb;
	void *arg;
	bool armed;
	int64_t at_mono_ms;
	uint64_t order;
};

struct walltimer {
	TAILQ_ENTRY(walltimer) link;
	walltimer_cb *cb;
	void *arg;
	bool armed;
	bool stepped;		/* to be told so */
	int64_t at_wall_ms;
};

static volatile struct steered *steered;

/* What is in force; other threads read it through clock_gettime(). */
static int64_t pass_ms, suspend_ms, wall_step_ms;

static TAILQ_HEAD(, timer) timers = TAILQ_HEAD_INITIALIZER(timers);
static TAILQ_HEAD(, walltimer) walltimers =
    TAILQ_HEAD_INITIALIZER(walltimers);
static uint64_t orders;
static unsigned int users;	/* of the two below: timers of both kinds */
static struct event_base *loop;
static struct event *tick;

static CURLM *multi;
static unsigned int transfers;
static int64_t moved_ms;	/* real: when a transfer last moved */
static int64_t moment_ms;	/* real: when the current second began */
static int64_t moment_pass_ms;	/* what had passed by then */

/* --- clocks --- */

static int64_t
load(const int64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void
store(int64_t *p, int64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static int64_t
offset_ms(clockid_t id)
{
	switch (id) {
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_MONOTONIC_RAW:
		return load(&pass_ms);
	case CLOCK_BOOTTIME:
		return load(&pass_ms) + load(&suspend_ms);
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		return load(&pass_ms) + load(&suspend_ms) +
		    load(&wall_step_ms);
	default:
		return 0;
	}
}

/* In place of the C library's, for the libraries as well. */
__attribute__((visibility("default"))) int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t ms = offset_ms(id);

	if (syscall(SYS_clock_gettime, id, ts) != 0)
		return -1;
	ts->tv_sec += (time_t)(ms / 1000);
	ts->tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_nsec -= 1000000000;
		ts->tv_sec++;
	} else if (ts->tv_nsec < 0) {
		ts->tv_nsec += 1000000000;
		ts->tv_sec--;
	}
	return 0;
}

/* curl's memory of addresses and the validity of certificates go by this. */
__attribute__((visibility("default"))) time_t
time(time_t *ret)
{
	struct timespec ts = { .tv_sec = 0 };

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (ret != NULL)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

static int64_t
in_ms(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000 + ts->tv_nsec / 1000000;
}

static int64_t
read_ms(clockid_t id)
{
	struct timespec ts = { .tv_sec = 0 };

	(void)clock_gettime(id, &ts);
	return in_ms(&ts);
}

static int64_t
real_ms(void)
{
	struct timespec ts = { .tv_sec = 0 };

	(void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
	return in_ms(&ts);
}

void
clock_read(struct now *ret_now)
{
	ret_now->boot_ms = (uint64_t)read_ms(CLOCK_BOOTTIME);
	ret_now->wall_ms = read_ms(CLOCK_REALTIME);
}

/* Before main(): what was wished before the start is so from the start. */
__attribute__((constructor)) static void
steered_open(void)
{
	const char *path = getenv(STEERED_ENV);
	void *p;
	int fd;

	if (path == NULL)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct steered),
	    PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED ||
	    ((struct steered *)p)->magic != STEERED_MAGIC) {
		(void)fprintf(stderr, "%s: no clock to be steered by\n", path);
		_exit(99);
	}
	(void)close(fd);
	steered = p;
	store(&pass_ms, steered->pass_ms);
	store(&suspend_ms, steered->suspend_ms);
	store(&wall_step_ms, steered->wall_ms);
}

/* --- curl --- */

CURLMcode __real_curl_multi_add_handle(CURLM *m, CURL *easy);
CURLMcode __wrap_curl_multi_add_handle(CURLM *m, CURL *easy);
CURLMcode __real_curl_multi_remove_handle(CURLM *m, CURL *easy);
CURLMcode __wrap_curl_multi_remove_handle(CURLM *m, CURL *easy);
CURLMcode __real_curl_multi_socket_action(CURLM *m, curl_socket_t fd,
    int what, int *running);
CURLMcode __wrap_curl_multi_socket_action(CURLM *m, curl_socket_t fd,
    int what, int *running);
CURLMcode __real_curl_multi_cleanup(CURLM *m);
CURLMcode __wrap_curl_multi_cleanup(CURLM *m);

CURLMcode
__wrap_curl_multi_add_handle(CURLM *m, CURL *easy)
{
	CURLMcode r = __real_curl_multi_add_handle(m, easy);

	multi = m;
	if (r == CURLM_OK) {
		transfers++;
		moved_ms = real_ms();
	}
	return r;
}

CURLMcode
__wrap_curl_multi_remove_handle(CURLM *m, CURL *easy)
{
	CURLMcode r = __real_curl_multi_remove_handle(m, easy);

	if (r == CURLM_OK && transfers > 0)
		transfers--;
	return r;
}

CURLMcode
__wrap_curl_multi_socket_action(CURLM *m, curl_socket_t fd, int what,
    int *running)
{
	if (fd != CURL_SOCKET_TIMEOUT)
		moved_ms = real_ms();
	return __real_curl_multi_socket_action(m, fd, what, running);
}

CURLMcode
__wrap_curl_multi_cleanup(CURLM *m)
{
	if (m == multi)
		multi = NULL;
	return __real_curl_multi_cleanup(m);
}

/* Until curl wants to be called; INT64_MAX: it does not. */
static int64_t
curl_left_ms(void)
{
	long ms = -1;

	if (multi == NULL || curl_multi_timeout(multi, &ms) != CURLM_OK ||
	    ms < 0)
		return INT64_MAX;
	return ms;
}

static bool
transfers_move(void)
{
	return transfers > 0 &&
	    real_ms() - moved_ms < (int64_t)steered->patience_ms;
}

/* --- the loop --- */

static void
tick_in(long us)
{
	const struct timeval tv = { .tv_sec = 0, .tv_usec = us };

	if (tick != NULL)
		(void)event_add(tick, &tv);
}

static struct timer *
timer_first(void)
{
	struct timer *t, *found = NULL;

	TAILQ_FOREACH(t, &timers, link) {
		if (t->armed && (found == NULL ||
		    t->at_mono_ms < found->at_mono_ms ||
		    (t->at_mono_ms == found->at_mono_ms &&
		    t->order < found->order)))
			found = t;
	}
	return found;
}

static struct walltimer *
walltimer_first(void)
{
	struct walltimer *w, *found = NULL;

	TAILQ_FOREACH(w, &walltimers, link) {
		if (w->armed && w->stepped)
			return w;
		if (w->armed && (found == NULL ||
		    w->at_wall_ms < found->at_wall_ms))
			found = w;
	}
	return found;
}

/* Until the next timer of either kind; not above 0: it is due. */
static int64_t
timers_left_ms(void)
{
	struct timer *t = timer_first();
	struct walltimer *w = walltimer_first();
	int64_t left = INT64_MAX, wall_left;

	if (t != NULL)
		left = t->at_mono_ms - read_ms(CLOCK_MONOTONIC);
	if (w != NULL) {
		wall_left = w->stepped ? 0
		    : w->at_wall_ms - read_ms(CLOCK_REALTIME);
		if (wall_left < left)
			left = wall_left;
	}
	return left;
}

static bool
fire_one(void)
{
	struct timer *t = timer_first();
	struct walltimer *w;
	bool stepped;

	if (t != NULL && t->at_mono_ms <= read_ms(CLOCK_MONOTONIC)) {
		t->armed = false;
		t->cb(t->arg);
		return true;
	}
	w = walltimer_first();
	if (w == NULL || (!w->stepped &&
	    w->at_wall_ms > read_ms(CLOCK_REALTIME)))
		return false;
	stepped = w->stepped;
	w->stepped = false;
	if (!stepped)
		w->armed = false;
	w->cb(w->arg, stepped);
	return true;
}

static bool
fire(void)
{
	unsigned int n = 0;

	while (n < STEERED_BURST && fire_one())
		n++;
	return n > 0;
}

static void
begin_moment(void)
{
	moment_ms = real_ms();
	moment_pass_ms = pass_ms;
}

/* Steps of the wall clock and suspends happen at once. */
static void
take_steps(uint64_t wish)
{
	static uint64_t seen;
	struct walltimer *w;

	if (wish != seen)
		begin_moment();
	seen = wish;
	if (steered->suspend_ms == suspend_ms &&
	    steered->wall_ms == wall_step_ms)
		return;
	store(&suspend_ms, steered->suspend_ms);
	store(&wall_step_ms, steered->wall_ms);
	/* as TFD_TIMER_CANCEL_ON_SET: after a resume too (timerfd_resume) */
	TAILQ_FOREACH(w, &walltimers, link)
		w->stepped = w->armed;
}

/* Let time go on, to the next thing that is due. */
static void
take_time(void)
{
	int64_t step = steered->pass_ms - pass_ms;
	int64_t left = timers_left_ms(), curl = curl_left_ms();

	if (left < step)
		step = left;
	if (curl < step)
		step = curl;
	store(&pass_ms, pass_ms + (step > 0 ? step : 1));
	if (pass_ms - moment_pass_ms >= STEERED_MOMENT_MS)
		begin_moment();
	/* or what is set from here on counts from the time before */
	(void)event_base_update_cache_time(loop);
}

static bool
curl_is_due(void)
{
	static int64_t since_ms;

	if (curl_left_ms() > 0) {
		since_ms = 0;
		return false;
	}
	if (since_ms == 0)
		since_ms = real_ms();
	return real_ms() - since_ms < STEERED_CURL_LATE_MS;
}

static void
tick_cb(evutil_socket_t fd, short what, void *arg)
{
	uint64_t wish;
	bool fired;

	(void)fd;
	(void)what;
	(void)arg;
	if (steered == NULL) {
		(void)fire();
		tick_in(STEERED_TICK_US);
		return;
	}
	wish = __atomic_load_n(&steered->wish, __ATOMIC_ACQUIRE);
	take_steps(wish);
	fired = fire();
	if (real_ms() - moment_ms < (int64_t)steered->moment_ms) {
		if (fired || curl_is_due()) {
			tick_in(0); /* sockets get their turn first */
			return;
		}
		if (transfers_move()) {
			tick_in(STEERED_TICK_US / 4);
			return;
		}
	}
	if (steered->pass_ms > pass_ms) {
		take_time();
		(void)fire();
		tick_in(0);
		return;
	}
	__atomic_store_n(&steered->done, wish, __ATOMIC_RELEASE);
	tick_in(STEERED_TICK_US);
}

static bool
use(struct event_base *base)
{
	if (tick == NULL) {
		loop = base;
		tick = evtimer_new(base, tick_cb, NULL);
		if (tick == NULL)
			return false;
		tick_in(0);
	}
	users++;
	return true;
}

static void
leave(void)
{
	if (--users == 0) {
		event_free(tick);
		tick = NULL;
		loop = NULL;
	}
}

/* --- timers.h --- */

struct timer *
timer_new(struct event_base *base, timer_cb *cb, void *arg)
{
	struct timer *t;

	t = calloc(1, sizeof(*t));
	if (t == NULL || !use(base)) {
		free(t);
		return NULL;
	}
	t->cb = cb;
	t->arg = arg;
	TAILQ_INSERT_TAIL(&timers, t, link);
	return t;
}

void
timer_free(struct timer *t)
{
	if (t == NULL)
		return;
	TAILQ_REMOVE(&timers, t, link);
	free(t);
	leave();
}

void
timer_set(struct timer *t, uint64_t ms)
{
	t->armed = true;
	t->at_mono_ms = read_ms(CLOCK_MONOTONIC) +
	    (int64_t)(ms < TIMER_MAX_MS ? ms : TIMER_MAX_MS);
	t->order = ++orders;
	if (ms == 0)
		tick_in(0);
}

void
timer_stop(struct timer *t)
{
	t->armed = false;
}

/* --- walltimer.h --- */

struct walltimer *
walltimer_new(struct event_base *base, walltimer_cb *cb, void *arg)
{
	struct walltimer *w;

	w = calloc(1, sizeof(*w));
	if (w == NULL || !use(base)) {
		free(w);
		return NULL;
	}
	w->cb = cb;
	w->arg = arg;
	TAILQ_INSERT_TAIL(&walltimers, w, link);
	return w;
}

void
walltimer_free(struct walltimer *w)
{
	if (w == NULL)
		return;
	TAILQ_REMOVE(&walltimers, w, link);
	free(w);
	leave();
}

void
walltimer_set(struct walltimer *w, int64_t wall_ms)
{
	w->armed = true; /* a step that was not told yet still is */
	w->at_wall_ms = wall_ms;
	if (wall_ms <= read_ms(CLOCK_REALTIME))
		tick_in(0);
}

void
walltimer_stop(struct walltimer *w)
{
	w->armed = w->stepped = false;
}
