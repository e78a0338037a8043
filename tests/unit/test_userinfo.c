#include "config.h"

#include "unit.h"

#include <pthread.h>
#include <pwd.h>

#include <event2/event.h>

#include "err.h"
#include "userinfo.h"

/* --- threads that hang, as where a directory does not answer --- */

static bool hang;
static size_t nhung;
static struct {
	void *(*run)(void *arg);
	void *arg;
} hung[8];

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
    void *(*run)(void *arg), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
    void *(*run)(void *arg), void *arg);

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
    void *(*run)(void *arg), void *arg)
{
	if (!hang)
		return __real_pthread_create(thread, attr, run, arg);
	assert_true(nhung < UNIT_COUNT(hung));
	hung[nhung].run = run;
	hung[nhung++].arg = arg;
	return 0;
}

static void
let_go(void)
{
	hang = false;
	while (nhung > 0) {
		nhung--;
		(void)hung[nhung].run(hung[nhung].arg);
	}
}

struct fixture {
	struct event_base *base;
	struct userinfo *ui;
	unsigned int calls;
	int error;
	struct userinfo_user user;
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->base = event_base_new();
	assert_non_null(f->base);
	f->ui = userinfo_new(f->base);
	assert_non_null(f->ui);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	userinfo_free(f->ui);
	event_base_free(f->base);
	free(f);
	return 0;
}

static void
found(void *arg, int error, const struct userinfo_user *user)
{
	struct fixture *f = arg;

	f->calls++;
	f->error = error;
	f->user = *user;
}

static int
start(struct fixture *f, const char *name, struct userinfo_job **job)
{
	return userinfo_start(f->ui, name, strlen(name), found, f, job);
}

/* The loop ends when no timer is left: the look-up has been told. */
static int
look_up(struct fixture *f, const char *name)
{
	struct userinfo_job *job;
	unsigned int before = f->calls;
	int r;

	/* the last one's thread may still be about to end */
	while ((r = start(f, name, &job)) == ERR_BUSY)
		;
	assert_int_equal(r, 0);
	assert_int_equal(f->calls, before); /* never from within */
	assert_int_equal(event_base_dispatch(f->base), 1);
	assert_int_equal(f->calls, before + 1);
	return f->error;
}

static void
test_by_name_and_by_number(void **state)
{
	struct fixture *f = *state;
	bool has_zero = false;
	size_t i;

	assert_int_equal(look_up(f, "root"), 0);
	assert_int_equal(f->user.uid, 0);
	assert_int_equal(f->user.gid, 0);
	for (i = 0; i < f->user.ngroups; i++)
		has_zero |= f->user.groups[i] == 0;
	assert_true(has_zero);
	assert_int_equal(look_up(f, "0"), 0);
	assert_int_equal(f->user.uid, 0);
	assert_true(f->user.ngroups > 0);
}

static void
test_number_without_a_name(void **state)
{
	struct fixture *f = *state;

	if (getpwuid(54321) != NULL)
		skip();
	assert_int_equal(look_up(f, "54321"), 0);
	assert_int_equal(f->user.uid, 54321);
	assert_int_equal(f->user.ngroups, 0);
	assert_true(f->user.gid == (gid_t)-1);
}

static void
test_unknown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(look_up(f, "nobody-of-this-name"), ERR_NOT_FOUND);
	assert_int_equal(look_up(f, "-1"), ERR_NOT_FOUND);
	assert_int_equal(look_up(f, "12x"), ERR_NOT_FOUND);
	/* not a number of a user */
	assert_int_equal(look_up(f, "4294967295"), ERR_NOT_FOUND);
	assert_int_equal(look_up(f, "99999999999999999999"), ERR_NOT_FOUND);
}

static void
test_too_long(void **state)
{
	char name[USERINFO_NAME_MAX + 2];
	struct userinfo_job *job;

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(start(*state, name, &job), ERR_BAD_REQUEST);
}

static void
test_threads_that_hang_are_few(void **state)
{
	struct fixture *f = *state;
	struct userinfo_job *jobs[USERINFO_JOBS_MAX], *job;
	size_t i;

	hang = true;
	for (i = 0; i < USERINFO_JOBS_MAX; i++)
		assert_int_equal(start(f, "root", &jobs[i]), 0);
	assert_int_equal(start(f, "root", &job), ERR_BUSY);
	/* nobody waits for them any more, but there they are */
	for (i = 1; i < USERINFO_JOBS_MAX; i++)
		userinfo_cancel(jobs[i]);
	assert_int_equal(start(f, "root", &job), ERR_BUSY);
	assert_int_equal(event_base_loop(f->base, EVLOOP_NONBLOCK), 0);
	let_go();
	assert_int_equal(event_base_dispatch(f->base), 1);
	assert_int_equal(f->calls, 1);
	assert_int_equal(look_up(f, "root"), 0);
}

static void
test_freed_while_a_thread_hangs(void **state)
{
	struct fixture *f = *state;
	struct userinfo_job *job;

	hang = true;
	assert_int_equal(start(f, "root", &job), 0);
	userinfo_cancel(job);
	userinfo_free(f->ui);
	f->ui = NULL;
	let_go();
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		T(test_by_name_and_by_number),
		T(test_number_without_a_name),
		T(test_unknown),
		T(test_too_long),
		T(test_threads_that_hang_are_few),
		T(test_freed_while_a_thread_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
