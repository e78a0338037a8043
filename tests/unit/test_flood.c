#include "config.h"

#include "fake_time.h"
#include "flood.h"
#include "log.h"
#include "tempdir.h"

static struct flood *flood;
static char out[20000];

static int
setup(void **state)
{
	(void)state;
	fake_time_reset();
	flood = flood_new(NULL);
	return flood == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	flood_free(flood);
	return fake_time_timers() != 0;
}

static unsigned int
ask(enum flood_kind kind, uid_t uid, unsigned int times)
{
	unsigned int allowed = 0;

	while (times-- > 0)
		allowed += flood_allows(flood, kind, uid, &fake_now);
	return allowed;
}

static void
pass(void *arg)
{
	fake_time_pass(*(const uint64_t *)arg);
}

/* What is logged while so much time goes by. */
static const char *
logged_in(uint64_t ms)
{
	capture_stderr(pass, &ms, out, sizeof(out));
	return out;
}

static size_t
count_lines(const char *text)
{
	size_t n = 0;

	for (; (text = strchr(text, '\n')) != NULL; text++)
		n++;
	return n;
}

static void
test_burst_then_some_a_second(void **state)
{
	(void)state;
	assert_int_equal(ask(FLOOD_DENIED, 1000, 1000), FLOOD_BURST);
	(void)logged_in(1000);
	assert_int_equal(ask(FLOOD_DENIED, 1000, 1000), FLOOD_PER_SECOND);
}

static void
test_the_rest_is_counted_and_told_once(void **state)
{
	(void)state;
	assert_int_equal(ask(FLOOD_DENIED, 1000, 350), 100);
	assert_string_equal(logged_in(FLOOD_TELL_MS - 1), "");
	assert_non_null(strstr(logged_in(1), " notice: 250 more denied for "
	    "uid 1000 in the last 10 s\n"));
	assert_int_equal(count_lines(out), 1);
	assert_string_equal(logged_in(5 * FLOOD_TELL_MS), "");
	assert_int_equal(fake_time_next(), UINT64_MAX);
	/* and again */
	assert_int_equal(ask(FLOOD_DENIED, 1000, 101), 100);
	assert_non_null(strstr(logged_in(FLOOD_TELL_MS), " 1 more denied "));
}

static void
test_users_and_kinds_are_told_apart(void **state)
{
	(void)state;
	assert_int_equal(ask(FLOOD_DENIED, 1000, 150), 100);
	assert_int_equal(ask(FLOOD_DENIED, 1001, 160), 100);
	assert_int_equal(ask(FLOOD_DENIED, (uid_t)-1, 170), 100);
	assert_int_equal(ask(FLOOD_CLOSED, 1000, 180), 100);
	(void)logged_in(FLOOD_TELL_MS);
	assert_int_equal(count_lines(out), 4);
	assert_non_null(strstr(out, " 50 more denied for uid 1000 in "));
	assert_non_null(strstr(out, " 60 more denied for uid 1001 in "));
	assert_non_null(strstr(out, " 70 more denied for http in "));
	assert_non_null(strstr(out, " 80 more connections closed for uid "
	    "1000 in "));
}

/* However many users: so many lines, and every event in a sum. */
static void
test_more_users_than_are_told_apart(void **state)
{
	unsigned long long n, sum = 0;
	const char *p;
	uid_t uid;

	(void)state;
	for (uid = 0; uid < 200; uid++)
		assert_int_equal(ask(FLOOD_DENIED, uid, 103), 100);
	(void)logged_in(FLOOD_TELL_MS);
	assert_int_equal(count_lines(out), 65);
	assert_non_null(strstr(out, " for other users in "));
	for (p = out; (p = strstr(p, "notice: ")) != NULL; p++) {
		assert_int_equal(sscanf(p, "notice: %llu", &n), 1);
		sum += n;
	}
	assert_int_equal(sum, 600);
}

static void
free_flood(void *arg)
{
	(void)arg;
	flood_free(flood);
	flood = NULL;
}

static void
test_free_tells_the_rest(void **state)
{
	(void)state;
	(void)ask(FLOOD_DENIED, 7, 107);
	(void)logged_in(1500);
	capture_stderr(free_flood, NULL, out, sizeof(out));
	assert_non_null(strstr(out, " 7 more denied for uid 7 in the last "
	    "2 s\n"));
	flood_free(NULL);
}

static void
test_no_flood_is_no_bound(void **state)
{
	(void)state;
	assert_true(flood_allows(NULL, FLOOD_DENIED, 1, &fake_now));
	fake_time_fail_new(1);
	assert_null(flood_new(NULL));
	fake_time_fail_new(0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_burst_then_some_a_second),
		TEST(test_the_rest_is_counted_and_told_once),
		TEST(test_users_and_kinds_are_told_apart),
		TEST(test_more_users_than_are_told_apart),
		TEST(test_free_tells_the_rest),
		TEST(test_no_flood_is_no_bound),
	};

	log_init();
	return cmocka_run_group_tests_name("flood", tests, NULL, NULL);
}
