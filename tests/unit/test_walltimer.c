#include "config.h"

#include "walltimer.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "unit.h"

#define FAR 100000000	/* ms; no test waits for that */

/*
 * Nobody sets the clock of the machine that this runs on.  What the kernel
 * says of a clock that was set is put in here.
 */
static bool read_canceled, set_canceled;
static unsigned int canceled_sets;
static int timer_fd;

ssize_t __real_read(int fd, void *buf, size_t len);
ssize_t __wrap_read(int fd, void *buf, size_t len);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *when,
    struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
    struct itimerspec *old);

ssize_t
__wrap_read(int fd, void *buf, size_t len)
{
	if (read_canceled) {
		read_canceled = false;
		errno = ECANCELED;
		return -1;
	}
	return __real_read(fd, buf, len);
}

/* As the kernel does it: the timer is set all the same. */
int
__wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
    struct itimerspec *old)
{
	int r = __real_timerfd_settime(fd, flags, when, old);

	timer_fd = fd;
	if (when->it_value.tv_sec != 0 || when->it_value.tv_nsec != 0) {
		assert_int_equal(flags,
		    TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
		if (set_canceled) {
			set_canceled = false;
			canceled_sets++;
			errno = ECANCELED;
			return -1;
		}
	}
	return r;
}

struct fixture {
	struct event_base *base;
	struct walltimer *w;
	unsigned int fired;
	unsigned int steps;
	int64_t fired_wall_ms;
	int64_t again_ms;	/* set it from within; 0: no */
	bool stop_within;
};

static int64_t
wall_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
fired_cb(void *arg, bool stepped)
{
	struct fixture *f = arg;

	if (stepped)
		f->steps++;
	else
		f->fired++;
	f->fired_wall_ms = wall_ms();
	if (f->stop_within)
		walltimer_stop(f->w);
	else if (f->again_ms != 0)
		walltimer_set(f->w, f->again_ms);
	(void)event_base_loopbreak(f->base);
}

static int
set_up(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.base = event_base_new();
	assert_non_null(f.base);
	f.w = walltimer_new(f.base, fired_cb, &f);
	assert_non_null(f.w);
	*state = &f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	walltimer_free(f->w);
	event_base_free(f->base);
	assert_false(read_canceled);
	assert_false(set_canceled);
	return 0;
}

/* Until something fires. */
static void
run(struct fixture *f)
{
	assert_int_equal(event_base_dispatch(f->base), 0);
}

/* What is ready now; nothing waits. */
static void
turn(struct fixture *f)
{
	assert_true(event_base_loop(f->base, EVLOOP_NONBLOCK) >= 0);
}

static void
test_fires_at_its_moment_and_once(void **state)
{
	struct fixture *f = *state;
	int64_t at = wall_ms() + 50;

	walltimer_set(f->w, at);
	turn(f);
	assert_int_equal(f->fired, 0);
	run(f);
	assert_int_equal(f->fired, 1);
	assert_int_equal(f->steps, 0);
	assert_true(f->fired_wall_ms >= at);
	turn(f);
	assert_int_equal(f->fired, 1);
}

static void
test_moment_that_has_passed_fires_at_the_next_turn(void **state)
{
	static const int64_t moments[] = {INT64_MIN, -1, 0, 1, 999, 1000};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < UNIT_COUNT(moments); i++) {
		walltimer_set(f->w, moments[i]);
		assert_int_equal(f->fired, i); /* never from within */
		turn(f);
		assert_int_equal(f->fired, i + 1);
	}
	walltimer_set(f->w, wall_ms() - 1);
	turn(f);
	assert_int_equal(f->fired, i + 1);
}

static void
test_set_replaces_and_stop_stops(void **state)
{
	struct fixture *f = *state;

	walltimer_set(f->w, wall_ms() - 1);
	walltimer_set(f->w, wall_ms() + FAR);
	turn(f);
	assert_int_equal(f->fired, 0);
	walltimer_set(f->w, INT64_MAX);
	turn(f);
	assert_int_equal(f->fired, 0);
	walltimer_set(f->w, wall_ms() - 1);
	walltimer_stop(f->w);
	turn(f);
	assert_int_equal(f->fired, 0);
	walltimer_set(f->w, wall_ms() - 1);
	turn(f);
	assert_int_equal(f->fired, 1);
}

/* It fires although what made it readable was the step. */
static void
test_step_is_told_and_leaves_it_set(void **state)
{
	struct fixture *f = *state;

	walltimer_set(f->w, wall_ms() - 1);
	read_canceled = true;
	turn(f);
	assert_int_equal(f->steps, 1);
	assert_int_equal(f->fired, 0);
	turn(f);
	assert_int_equal(f->steps, 1);
	assert_int_equal(f->fired, 1);
	turn(f);
	assert_int_equal(f->fired, 1);
}

static void
test_step_may_set_it_anew_or_stop_it(void **state)
{
	struct fixture *f = *state;

	walltimer_set(f->w, wall_ms() - 1);
	read_canceled = true;
	f->again_ms = wall_ms() + FAR;
	turn(f);
	turn(f);
	assert_int_equal(f->steps, 1);
	assert_int_equal(f->fired, 0);
	f->again_ms = 0;
	f->stop_within = true;
	walltimer_set(f->w, wall_ms() - 1);
	read_canceled = true;
	turn(f);
	turn(f);
	assert_int_equal(f->steps, 2);
	assert_int_equal(f->fired, 0);
}

/* The kernel tells a step at the next setting, if nobody read it before. */
static void
test_step_that_setting_learns_of_is_told(void **state)
{
	struct fixture *f = *state;

	set_canceled = true;
	walltimer_set(f->w, wall_ms() + FAR);
	assert_int_equal(f->steps, 0); /* never from within */
	turn(f);
	assert_int_equal(f->steps, 1);
	assert_int_equal(f->fired, 0);
	turn(f);
	assert_int_equal(f->steps, 1);
	set_canceled = true;
	walltimer_set(f->w, wall_ms() - 1);
	turn(f);
	turn(f);
	assert_int_equal(f->steps, 2);
	assert_int_equal(f->fired, 1);
	set_canceled = true;
	walltimer_set(f->w, wall_ms() + FAR);
	walltimer_stop(f->w);
	turn(f);
	assert_int_equal(f->steps, 2);
	assert_int_equal(canceled_sets, 3);
	walltimer_set(f->w, wall_ms() - 1); /* has forgotten that step */
	turn(f);
	assert_int_equal(f->steps, 2);
	assert_int_equal(f->fired, 2);
}

static void
test_step_while_it_is_not_set_is_nothing(void **state)
{
	const struct itimerspec past = { .it_value = { .tv_sec = 1 } };
	struct fixture *f = *state;
	int i;

	walltimer_set(f->w, wall_ms() - 1);
	turn(f);
	for (i = 0; i < 2; i++) {
		/* the kernel makes it readable behind the module's back */
		assert_int_equal(__real_timerfd_settime(timer_fd,
		    TFD_TIMER_ABSTIME, &past, NULL), 0);
		read_canceled = true;
		turn(f);
		assert_false(read_canceled);
		assert_int_equal(f->fired, 1);
		assert_int_equal(f->steps, 0);
		walltimer_set(f->w, wall_ms() + FAR);
		walltimer_stop(f->w);
	}
}

static void
test_set_from_within_fires_again(void **state)
{
	struct fixture *f = *state;

	f->again_ms = 1;
	walltimer_set(f->w, 1);
	run(f);
	run(f);
	run(f);
	assert_int_equal(f->fired, 3);
}

static size_t
descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}

static void
test_without_descriptors_there_is_none(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, none;
	size_t before = descriptors();
	struct walltimer *w;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	w = walltimer_new(f->base, fired_cb, f);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_null(w);
	w = walltimer_new(f->base, fired_cb, f);
	assert_non_null(w);
	assert_int_equal(descriptors(), before + 1);
	walltimer_set(w, wall_ms() - 1);
	walltimer_free(w);
	assert_int_equal(descriptors(), before);
	walltimer_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fires_at_its_moment_and_once),
		cmocka_unit_test(
		    test_moment_that_has_passed_fires_at_the_next_turn),
		cmocka_unit_test(test_set_replaces_and_stop_stops),
		cmocka_unit_test(test_step_is_told_and_leaves_it_set),
		cmocka_unit_test(test_step_may_set_it_anew_or_stop_it),
		cmocka_unit_test(test_step_that_setting_learns_of_is_told),
		cmocka_unit_test(test_step_while_it_is_not_set_is_nothing),
		cmocka_unit_test(test_set_from_within_fires_again),
		cmocka_unit_test(test_without_descriptors_there_is_none),
	};
	struct CMUnitTest each[UNIT_COUNT(tests)];
	size_t i;

	for (i = 0; i < UNIT_COUNT(tests); i++) {
		each[i] = tests[i];
		each[i].setup_func = set_up;
		each[i].teardown_func = tear_down;
	}
	return cmocka_run_group_tests(each, NULL, NULL);
}
