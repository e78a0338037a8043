#include "config.h"

#include "signals.h"

#include <event2/event.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "unit.h"

static int seen[10];
static size_t nseen;
static struct signals *free_me;

static void
on_signal(void *arg, int signo)
{
	(void)arg;
	assert_true(nseen < UNIT_COUNT(seen));
	seen[nseen++] = signo;
	if (free_me != NULL) {
		signals_free(free_me);
		free_me = NULL;
	}
}

static void
test_signals_become_events(void **state)
{
	static const int signos[] = {SIGHUP, SIGUSR1, SIGINT, SIGTERM};
	struct event_base *base = event_base_new();
	struct signals *s = signals_new(base, on_signal, NULL);
	size_t i;

	(void)state;
	assert_non_null(s);
	for (i = 0; i < UNIT_COUNT(signos); i++) {
		nseen = 0;
		assert_int_equal(raise(signos[i]), 0);
		assert_int_equal(event_base_loop(base, EVLOOP_NONBLOCK), 0);
		assert_int_equal(nseen, 1);
		assert_int_equal(seen[0], signos[i]);
	}
	assert_int_equal(raise(SIGPIPE), 0);
	nseen = 0;
	assert_int_equal(event_base_loop(base, EVLOOP_NONBLOCK), 0);
	assert_int_equal(nseen, 0);
	signals_free(s);
	signals_free(NULL);
	event_base_free(base);
}

static void
test_several_at_once_are_all_delivered(void **state)
{
	struct event_base *base = event_base_new();
	struct signals *s = signals_new(base, on_signal, NULL);
	int i;

	(void)state;
	assert_non_null(s);
	nseen = 0;
	(void)raise(SIGHUP);
	(void)raise(SIGUSR1);
	(void)raise(SIGTERM);
	for (i = 0; i < 3; i++)
		assert_int_equal(event_base_loop(base, EVLOOP_NONBLOCK), 0);
	assert_int_equal(nseen, 3);
	signals_free(s);
	event_base_free(base);
}

static void
test_free_within_the_callback(void **state)
{
	struct event_base *base = event_base_new();

	(void)state;
	free_me = signals_new(base, on_signal, NULL);
	assert_non_null(free_me);
	nseen = 0;
	(void)raise(SIGHUP);
	(void)event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(nseen, 1);
	event_base_free(base);
}

static void
test_free_puts_the_mask_back(void **state)
{
	struct event_base *base = event_base_new();
	struct signals *s;
	sigset_t before;
	sigset_t after;

	(void)state;
	assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &before), 0);
	s = signals_new(base, on_signal, NULL);
	assert_non_null(s);
	signals_free(s);
	assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &after), 0);
	assert_int_equal(sigismember(&after, SIGTERM),
	    sigismember(&before, SIGTERM));
	event_base_free(base);
}

static void
test_new_without_descriptors(void **state)
{
	struct event_base *base = event_base_new();
	struct rlimit saved;
	struct rlimit none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &saved), 0);
	none = saved;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_null(signals_new(base, on_signal, NULL));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &saved), 0);
	event_base_free(base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_signals_become_events),
	    cmocka_unit_test(test_several_at_once_are_all_delivered),
	    cmocka_unit_test(test_free_within_the_callback),
	    cmocka_unit_test(test_free_puts_the_mask_back),
	    cmocka_unit_test(test_new_without_descriptors),
	};

	return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
