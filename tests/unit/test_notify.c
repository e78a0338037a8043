#include "config.h"

#include "notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "tempdir.h"

static struct tempdir dir;
static int manager = -1;
static char got[2000];

static int
setup(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	(void)state;
	tempdir_make(&dir);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/notify",
	    dir.path);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	return manager < 0 || bind(manager, (struct sockaddr *)&addr,
		sizeof(addr)) != 0 ||
	    setenv("NOTIFY_SOCKET", addr.sun_path, 1) != 0;
}

static int
teardown(void **state)
{
	(void)state;
	(void)unsetenv("NOTIFY_SOCKET");
	(void)close(manager);
	tempdir_remove(&dir);
	return 0;
}

/* The next message, or "" if there is none. */
static const char *
message(void)
{
	ssize_t n = recv(manager, got, sizeof(got) - 1, 0);

	got[n > 0 ? n : 0] = '\0';
	return got;
}

#ifdef HAVE_SYSTEMD
static void
test_states(void **state)
{
	(void)state;
	notify_ready();
	assert_string_equal(message(), "READY=1");
	notify_stopping();
	assert_string_equal(message(), "STOPPING=1");
	notify_watchdog();
	assert_string_equal(message(), "WATCHDOG=1");
}

static void
test_reloading_says_when(void **state)
{
	struct timespec ts;
	unsigned long long usec;
	char rest;

	(void)state;
	notify_reloading();
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	assert_int_equal(sscanf(message(),
			     "RELOADING=1\nMONOTONIC_USEC=%llu%c", &usec,
			     &rest), 1);
	assert_true(usec <= (unsigned long long)ts.tv_sec * 1000000 +
		(unsigned long long)ts.tv_nsec / 1000);
	assert_true(usec + 60000000 > (unsigned long long)ts.tv_sec * 1000000);
}

static void
test_status_is_one_line(void **state)
{
	(void)state;
	notify_status("%d secrets\nREADY=1", 3);
	assert_string_equal(message(), "STATUS=3 secrets READY=1");
	notify_status("%01000d", 0); /* cut, not overrun */
	assert_true(strlen(message()) < 600);
	assert_memory_equal(got, "STATUS=0000", 11);
}

/* Returns at all, and says that READY=1 is still owed. */
static void
test_manager_that_does_not_read_blocks_nobody(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < 100000 && notify_ready(); i++)
		;
	assert_true(i > 0 && i < 100000);
	notify_status("x");
	notify_reloading();
	notify_watchdog();
	notify_stopping();
	for (; i > 0; i--)
		assert_string_equal(message(), "READY=1");
	assert_string_equal(message(), "");
	assert_true(notify_ready());
	assert_string_equal(message(), "READY=1");
}

static void
test_abstract_and_unusable_sockets(void **state)
{
	static const char name[] = "qapi-agent-test-notify";
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char *saved = strdup(getenv("NOTIFY_SOCKET"));
	char text[200];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	(void)state;
	assert_non_null(saved);
	(void)snprintf(text, sizeof(text), "@%s.%d", name, (int)getpid());
	memcpy(addr.sun_path + 1, text + 1, strlen(text) - 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, (socklen_t)(
	    offsetof(struct sockaddr_un, sun_path) + strlen(text))), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", text, 1), 0);
	assert_true(notify_ready());
	assert_int_equal(recv(fd, got, sizeof(got), 0), 7);
	(void)close(fd);
	assert_true(notify_ready());	/* nobody there: nothing is owed */
	memset(text, 'x', sizeof(text) - 1);
	text[0] = '/';
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(setenv("NOTIFY_SOCKET", text, 1), 0);
	assert_true(notify_ready());
	assert_int_equal(setenv("NOTIFY_SOCKET", saved, 1), 0);
	free(saved);
}

static void
test_watchdog_ms(void **state)
{
	(void)state;
	assert_int_equal(notify_watchdog_ms(), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
	assert_int_equal(notify_watchdog_ms(), 15000);
	assert_int_equal(setenv("WATCHDOG_USEC", "1", 1), 0);
	assert_int_equal(notify_watchdog_ms(), 1);
	/* for another process */
	assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
	assert_int_equal(notify_watchdog_ms(), 0);
	(void)unsetenv("WATCHDOG_PID");
	(void)unsetenv("WATCHDOG_USEC");
}
#endif

static void
test_without_a_manager(void **state)
{
	char *saved = strdup(getenv("NOTIFY_SOCKET"));

	(void)state;
	assert_non_null(saved);
	(void)unsetenv("NOTIFY_SOCKET");
	notify_ready();
	notify_reloading();
	notify_status("x");
	notify_watchdog();
	notify_stopping();
	assert_int_equal(notify_watchdog_ms(), 0);
	assert_string_equal(message(), "");
	assert_int_equal(setenv("NOTIFY_SOCKET", saved, 1), 0);
	free(saved);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef HAVE_SYSTEMD
	    cmocka_unit_test(test_states),
	    cmocka_unit_test(test_reloading_says_when),
	    cmocka_unit_test(test_status_is_one_line),
	    cmocka_unit_test(test_manager_that_does_not_read_blocks_nobody),
	    cmocka_unit_test(test_abstract_and_unusable_sockets),
	    cmocka_unit_test(test_watchdog_ms),
#endif
	    cmocka_unit_test(test_without_a_manager),
	};

	return cmocka_run_group_tests_name("notify", tests, setup, teardown);
}
