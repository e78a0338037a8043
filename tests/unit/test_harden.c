#include "config.h"

#include "harden.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "err.h"
#include "log.h"
#include "tempdir.h"

static char out[1000];
static char why[300];

/* In a child: what is given up here cannot be had back. */
static int
in_child(int (*fn)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(fn());
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
check_limits(void)
{
	struct rlimit lim;

	if (harden_process(64, why, sizeof(why)) != 0)
		return 1;
	if (getrlimit(RLIMIT_CORE, &lim) != 0 || lim.rlim_cur != 0 ||
	    lim.rlim_max != 0)
		return 2;
#ifndef WITH_SANITIZERS
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 3;
#endif
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 4;
	if (umask(0) != 077)
		return 5;
	return 0;
}

static void
test_process_limits(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_limits), 0);
}

static int
check_descriptors(void)
{
	struct rlimit lim = {100, 4000};

	if (setrlimit(RLIMIT_NOFILE, &lim) != 0 ||
	    harden_process(1000, why, sizeof(why)) != 0 ||
	    getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return 1;
	if (lim.rlim_cur < 2000 || harden_connections(1000) != 1000)
		return 2;
	/* already enough: not lowered */
	if (harden_process(10, why, sizeof(why)) != 0 ||
	    getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur < 1000)
		return 3;
	return 0;
}

static void
test_process_raises_descriptors(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_descriptors), 0);
}

static int
check_too_few(void)
{
	struct rlimit lim = {100, 200};

	/* without the right to raise the hard limit */
	if (setrlimit(RLIMIT_NOFILE, &lim) != 0 || setuid(65534) != 0)
		return geteuid() == 0;
	if (harden_process(1000, why, sizeof(why)) != 0 ||
	    getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return 2;
	/* 128 are kept back, and a connection takes two */
	if (harden_connections(1000) != 36 || harden_connections(7) != 7)
		return 4;
	return lim.rlim_cur == 200 ? 0 : 3;
}

static void
run_too_few(void *arg)
{
	(void)arg;
	assert_int_equal(in_child(check_too_few), 0);
}

static void
test_process_warns_of_too_few_descriptors(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	capture_stderr(run_too_few, NULL, out, sizeof(out));
	assert_non_null(strstr(out, "LimitNOFILE="));
	assert_non_null(strstr(out, "limit is 200"));
}

static int
check_lockable(void)
{
	struct rlimit lim = {8 << 20, 8 << 20};

	if (setrlimit(RLIMIT_MEMLOCK, &lim) != 0)
		return 1;
	/* CAP_IPC_LOCK bypasses the limit */
	if (geteuid() == 0 && harden_lockable_bytes() != SIZE_MAX)
		return 2;
	if (geteuid() == 0 && setuid(65534) != 0)
		return 3;
	return harden_lockable_bytes() == 8 << 20 ? 0 : 4;
}

static void
test_lockable_bytes(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_lockable), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_process_limits),
	    cmocka_unit_test(test_process_raises_descriptors),
	    cmocka_unit_test(test_process_warns_of_too_few_descriptors),
	    cmocka_unit_test(test_lockable_bytes),
	};

	return cmocka_run_group_tests_name("harden", tests, NULL, NULL);
}
