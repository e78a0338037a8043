#include "config.h"

#include "peer.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "err.h"
#include "unit.h"

static void
expect_unit(const char *text, const char *unit)
{
	char buf[256];

	if (unit == NULL) {
		assert_int_equal(peer_unit_from_cgroup(text, buf, sizeof(buf)),
		    ERR_NOT_FOUND);
		return;
	}
	assert_int_equal(peer_unit_from_cgroup(text, buf, sizeof(buf)), 0);
	assert_string_equal(buf, unit);
}

static void
test_unit_from_cgroup(void **state)
{
	(void)state;
	expect_unit("0::/system.slice/web.service\n", "web.service");
	expect_unit("0::/system.slice/web.service", "web.service");
	expect_unit("0::/system.slice/system-db.slice/db@1.service/x\n",
	    "db@1.service");
	expect_unit("0::/user.slice/user-1000.slice/user@1000.service/"
		    "app.slice/web.service\n", "user@1000.service");
	expect_unit("0::/user.slice/user-1000.slice/session-3.scope\n",
	    "session-3.scope");
	expect_unit("0::/init.scope\n", "init.scope");
	/* what a delegated unit names its own groups does not count */
	expect_unit("0::/system.slice/evil.service/web.service\n",
	    "evil.service");
	expect_unit("0::/system.slice/evil/web.service\n", NULL);
	/* escaped by systemd */
	expect_unit("0::/system.slice/_cpu.service\n", "cpu.service");
}

static void
test_unit_from_cgroup_version_1(void **state)
{
	(void)state;
	expect_unit("12:cpu:/\n1:name=systemd:/system.slice/web.service\n"
		    "0::/\n", "web.service");
	expect_unit("4:memory:/system.slice/evil.service\n0::/\n", NULL);
	expect_unit("1:name=systemd:/system.slice/a.service\n"
		    "0::/system.slice/b.service\n", "b.service");
}

static void
test_unit_from_cgroup_none(void **state)
{
	(void)state;
	expect_unit("", NULL);
	expect_unit("\n\n", NULL);
	expect_unit("0::/\n", NULL);
	expect_unit("0::/system.slice\n", NULL);
	expect_unit("0::/../system.slice/web.service\n", NULL);
	expect_unit("0::/.service\n", NULL);
	expect_unit("0::/_\n", NULL);
	expect_unit("0::relative/web.service\n", NULL);
	expect_unit("x0::/web.service\n", NULL);
	expect_unit("0::/docker/0123456789\n", NULL);
}

static void
test_unit_from_cgroup_too_long(void **state)
{
	char small[11];

	(void)state;
	assert_int_equal(peer_unit_from_cgroup("0::/web.service\n", small,
			     sizeof(small)), ERR_NOT_FOUND);
}

static void
test_new_from_socketpair(void **state)
{
	char text[100];
	struct peer *p;
	int sv[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	p = peer_new(sv[0]);
	assert_non_null(p);
	assert_int_equal(peer_uid(p), getuid());
	assert_int_equal(peer_gid(p), getgid());
	assert_int_equal(peer_pid(p), getpid());
	assert_false(peer_is_http(p));
	assert_true(peer_in_group(p, getgid()));
	assert_false(peer_in_group(p, 987654));
	(void)peer_describe(p, text, sizeof(text));
	assert_memory_equal(text, "uid ", 4);
	assert_non_null(strstr(text, "(pid "));
	(void)peer_unit(p); /* may be NULL: depends on the machine */
	(void)peer_unit(p);
	peer_free(p);
	(void)close(sv[0]);
	(void)close(sv[1]);
}

static void
test_closed_socket_tells_no_more(void **state)
{
	struct peer *p;
	int sv[2], other[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	p = peer_new(sv[0]);
	assert_non_null(p);
	(void)close(sv[0]);
	(void)close(sv[1]);
	peer_closed(p);
	/* the number is somebody else's now */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
	assert_null(peer_exe(p));
	assert_null(peer_unit(p));
	peer_free(p);
	(void)close(other[0]);
	(void)close(other[1]);
}

/* Whether the pidfd is had at once or when it is asked for. */
static struct peer *
new_by(int fd, bool quick)
{
	struct peer *p = peer_new(fd);

	if (!quick || p == NULL || !peer_asks_socket(p))
		return p;
	peer_free(p);
	return peer_new_quick(fd);
}

static void
check_exe(bool quick)
{
	char self[1024];
	struct peer *p;
	const char *exe;
	ssize_t n;
	int sv[2];

	if (getenv("UNDER_VALGRIND") != NULL)
		skip(); /* there the executable is valgrind */
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	assert_true(n > 0);
	self[n] = '\0';
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	p = new_by(sv[0], quick);
	assert_non_null(p);
	exe = peer_exe(p);
	assert_non_null(exe);
	assert_string_equal(exe, self);
	assert_ptr_equal(peer_exe(p), exe);
	peer_free(p);
	(void)close(sv[0]);
	(void)close(sv[1]);
}

static void
test_new_exe(void **state)
{
	(void)state;
	check_exe(false);
	check_exe(true);
}

/*
 * A child connects and exits; the accepted socket outlives it.  Whoever has
 * left may have lent its number to another since.
 */
static void
check_peer_that_left(bool quick)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct peer *p;
	pid_t child;
	int listening;
	int fd;

	listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(listening >= 0);
	memset(&ss, 0, sizeof(ss));
	ss.ss_family = AF_UNIX;
	/* the kernel chooses an abstract address */
	assert_int_equal(bind(listening, (struct sockaddr *)&ss,
			     sizeof(sa_family_t)), 0);
	assert_int_equal(listen(listening, 1), 0);
	assert_int_equal(getsockname(listening, (struct sockaddr *)&ss, &len),
	    0);
	child = fork();
	if (child == 0) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		_exit(connect(fd, (struct sockaddr *)&ss, len) != 0);
	}
	assert_true(child > 0);
	fd = accept(listening, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	p = new_by(fd, quick);
	assert_non_null(p);
	assert_int_equal(peer_uid(p), getuid());
	assert_null(peer_unit(p));
	assert_null(peer_exe(p));
	peer_free(p);
	(void)close(fd);
	(void)close(listening);
}

static void
test_new_from_a_peer_that_left(void **state)
{
	(void)state;
	check_peer_that_left(false);
	check_peer_that_left(true);
}

static void
test_new_supplementary_groups(void **state)
{
	gid_t saved[256];
	const gid_t groups[] = {5001, 5002};
	struct peer *p;
	int nsaved;
	int sv[2];

	(void)state;
	nsaved = getgroups(256, saved);
	assert_true(nsaved >= 0);
	if (setgroups(2, groups) != 0)
		skip(); /* not root */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(setgroups((size_t)nsaved, saved), 0);
	p = peer_new(sv[0]);
	assert_non_null(p);
	assert_true(peer_in_group(p, 5001));
	assert_true(peer_in_group(p, 5002));
	assert_false(peer_in_group(p, 5003));
	peer_free(p);
	(void)close(sv[0]);
	(void)close(sv[1]);
}

static void
test_new_with_more_groups_than_most(void **state)
{
	gid_t saved[256], groups[200];
	struct peer *p;
	int nsaved, sv[2];
	gid_t i;

	(void)state;
	nsaved = getgroups(256, saved);
	assert_true(nsaved >= 0);
	for (i = 0; i < 200; i++)
		groups[i] = 5000 + i;
	if (setgroups(200, groups) != 0)
		skip(); /* not root */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(setgroups((size_t)nsaved, saved), 0);
	p = peer_new(sv[0]);
	assert_non_null(p);
	for (i = 0; i < 200; i++)
		assert_true(peer_in_group(p, 5000 + i));
	assert_false(peer_in_group(p, 5200));
	peer_free(p);
	(void)close(sv[0]);
	(void)close(sv[1]);
}

static void
test_new_without_credentials(void **state)
{
	int fd;

	(void)state;
	fd = open("/dev/null", O_RDONLY);
	assert_null(peer_new(fd));
	(void)close(fd);
	assert_null(peer_new(-1));
	fd = socket(AF_UNIX, SOCK_STREAM, 0); /* not connected */
	assert_null(peer_new(fd));
	(void)close(fd);
}

static void
test_fake(void **state)
{
	const gid_t groups[] = {7, 8};
	char text[100];
	struct peer *p;

	(void)state;
	p = peer_new_fake(1000, 5, groups, 2, "web.service", "/bin/x");
	assert_non_null(p);
	assert_int_equal(peer_uid(p), 1000);
	assert_int_equal(peer_gid(p), 5);
	assert_true(peer_in_group(p, 5));
	assert_true(peer_in_group(p, 8));
	assert_false(peer_in_group(p, 9));
	assert_string_equal(peer_unit(p), "web.service");
	assert_string_equal(peer_exe(p), "/bin/x");
	assert_string_equal(peer_describe(p, text, sizeof(text)),
	    "uid 1000 (web.service)");
	peer_free(p);
	peer_free(NULL);
}

static void
test_http(void **state)
{
	char text[100];
	struct peer *p;

	(void)state;
	p = peer_new_http();
	assert_non_null(p);
	assert_true(peer_is_http(p));
	assert_false(peer_in_group(p, (gid_t)-1));
	assert_null(peer_unit(p));
	assert_string_equal(peer_describe(p, text, sizeof(text)), "http");
	peer_free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_unit_from_cgroup),
	    cmocka_unit_test(test_unit_from_cgroup_version_1),
	    cmocka_unit_test(test_unit_from_cgroup_none),
	    cmocka_unit_test(test_unit_from_cgroup_too_long),
	    cmocka_unit_test(test_new_from_socketpair),
	    cmocka_unit_test(test_new_exe),
	    cmocka_unit_test(test_closed_socket_tells_no_more),
	    cmocka_unit_test(test_new_from_a_peer_that_left),
	    cmocka_unit_test(test_new_supplementary_groups),
	    cmocka_unit_test(test_new_with_more_groups_than_most),
	    cmocka_unit_test(test_new_without_credentials),
	    cmocka_unit_test(test_fake),
	    cmocka_unit_test(test_http),
	};

	return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
