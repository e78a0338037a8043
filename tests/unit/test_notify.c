#include "config.h"

#include "notify.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

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

/* The descriptor of the next message, or -1. */
static int
passed(void)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { got, sizeof(got) - 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(manager, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fd = -1;

	got[n > 0 ? n : 0] = '\0';
	if (n > 0 && c != NULL && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

static void
test_store_hands_the_descriptor_over(void **state)
{
	int fd = memfd_create("mine", MFD_CLOEXEC), theirs;
	struct stat a, b;

	(void)state;
	assert_true(fd >= 0);
	assert_true(notify_store_fd("some-name", fd));
	theirs = passed();
	assert_string_equal(got, "FDSTORE=1\nFDNAME=some-name\nFDPOLL=0");
	assert_true(theirs >= 0 && theirs != fd);
	assert_int_equal(fstat(fd, &a), 0); /* still ours */
	assert_int_equal(fstat(theirs, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	(void)close(theirs);
	(void)close(fd);
	assert_true(notify_forget_fd("some-name"));
	assert_int_equal(passed(), -1);
	assert_string_equal(got, "FDSTOREREMOVE=1\nFDNAME=some-name");
}

static void
test_fd_store_is_there_if_it_is_said(void **state)
{
	(void)state;
	(void)unsetenv("FDSTORE");
	assert_false(notify_has_fd_store());
	assert_int_equal(setenv("FDSTORE", "0", 1), 0);
	assert_false(notify_has_fd_store());
	assert_int_equal(setenv("FDSTORE", "4", 1), 0);
	assert_true(notify_has_fd_store());
	(void)unsetenv("FDSTORE");
}

/* In a child: 3 is a socket, 4 a memory file of the name, 5 one of another. */
static int
take_in_child(void)
{
	char pid[16];
	int fds[4], s, m, o, i;
	size_t n;

	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	m = memfd_create("m", 0);
	o = memfd_create("o", 0);
	/* out of the way first */
	s = fcntl(s, F_DUPFD, 100);
	m = fcntl(m, F_DUPFD, 100);
	o = fcntl(o, F_DUPFD, 100);
	if (write(m, "mine", 4) != 4 || dup2(s, 3) != 3 || dup2(m, 4) != 4 ||
	    dup2(o, 5) != 5 || setenv("LISTEN_FDS", "3", 1) != 0 ||
	    setenv("LISTEN_PID", pid, 1) != 0 ||
	    setenv("LISTEN_FDNAMES", "wanted:wanted:other", 1) != 0)
		return 10;
	n = notify_take_fds("wanted", fds, 4);
	if (n != 1)
		return 11;	/* the socket is not for us */
	if (fds[0] <= 5 || pread(fds[0], pid, 4, 0) != 4 ||
	    memcmp(pid, "mine", 4) != 0)
		return 12;
	/* all numbers are still taken, and nothing can be had twice */
	for (i = 3; i <= 5; i++) {
		if (fcntl(i, F_GETFD) != FD_CLOEXEC)
			return 13;
	}
	if (notify_take_fds("wanted", fds, 4) != 0)
		return 14;
	if (notify_take_fds("other", fds, 0) != 0)
		return 15;
	return notify_take_fds("other", fds, 4) == 1 ? 0 : 16;
}

static void
test_take_leaves_the_listeners_sockets(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0)
		_exit(take_in_child());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
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
	    cmocka_unit_test(test_store_hands_the_descriptor_over),
	    cmocka_unit_test(test_fd_store_is_there_if_it_is_said),
	    cmocka_unit_test(test_take_leaves_the_listeners_sockets),
#endif
	    cmocka_unit_test(test_without_a_manager),
	};

	return cmocka_run_group_tests_name("notify", tests, setup, teardown);
}
