#include "config.h"

#include "listener.h"

#include <event2/event.h>

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "err.h"
#include "log.h"
#include "tempdir.h"

static struct tempdir dir;
static struct event_base *base;
static struct listener *current;
static char path[TEMPDIR_PATH];
static char why[400];
static char out[2000];
static int accepted[200];
static size_t naccepted;
static bool free_in_cb;
static bool pause_in_cb;

static int
setup(void **state)
{
	(void)state;
	log_init();
	tempdir_make(&dir);
	(void)snprintf(path, sizeof(path), "%s/agent.sock", dir.path);
	base = event_base_new();
	naccepted = 0;
	return base == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	while (naccepted > 0)
		(void)close(accepted[--naccepted]);
	listener_free(current);
	current = NULL;
	event_base_free(base);
	tempdir_remove(&dir);
	return 0;
}

static void
on_connection(void *arg, int fd)
{
	assert_ptr_equal(arg, &dir);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_true(naccepted < UNIT_COUNT(accepted));
	accepted[naccepted++] = fd;
	if (pause_in_cb)
		listener_pause(current);
	if (free_in_cb) {
		listener_free(current);
		current = NULL;
	}
}

static int
open_at(const char *where, mode_t mode, const char *group)
{
	const struct listener_config cfg = {
	    .path = where, .mode = mode, .group = group};
	struct listener *l = NULL;
	int r;

	why[0] = '\0';
	r = listener_new(base, &cfg, on_connection, &dir, why, sizeof(why),
	    &l);
	if (r == 0) {
		assert_null(current);
		current = l;
	} else {
		assert_null(l);
		assert_non_null(strstr(why, where));
	}
	return r;
}

static int
dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)strcpy(addr.sun_path, path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static void
loop(void)
{
	assert_true(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
}

static void
close_current(void)
{
	listener_free(current);
	current = NULL;
}

static bool
exists(const char *name)
{
	return access(tempdir_file(&dir, name), F_OK) == 0;
}

static void
test_new_accepts(void **state)
{
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(open_at(path, 0620, NULL), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0620);
	fd = dial();
	assert_true(fd >= 0);
	loop();
	assert_int_equal(naccepted, 1);
	(void)close(fd);
	close_current();
	assert_false(exists("agent.sock"));
	assert_false(exists("agent.sock.lock"));
	listener_free(NULL);
}

static void
test_mode_does_not_depend_on_the_umask(void **state)
{
	mode_t saved = umask(077);
	struct stat st;

	(void)state;
	assert_int_equal(open_at(path, 0666, NULL), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	assert_int_equal(umask(saved), 077);
}

static void
test_group(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(open_at(path, 0660, "no-such-group-here"),
	    ERR_BAD_REQUEST);
	assert_non_null(strstr(why, "no-such-group-here"));
	assert_false(exists("agent.sock"));
	if (geteuid() != 0)
		return;
	assert_int_equal(open_at(path, 0660, "nogroup"), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_gid, 65534);
	close_current();
	assert_int_equal(open_at(path, 0660, "4711"), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_gid, 4711);
}

static void
test_path_faults(void **state)
{
	char big[200];

	(void)state;
	assert_int_equal(open_at("agent.sock", 0600, NULL), ERR_BAD_REQUEST);
	assert_non_null(strstr(why, "absolute"));
	memset(big, 'x', sizeof(big));
	big[0] = '/';
	big[108] = '\0';
	assert_int_equal(open_at(big, 0600, NULL), ERR_BAD_REQUEST);
	assert_non_null(strstr(why, "has 108 bytes"));
	assert_non_null(strstr(why, "at most 107"));
	assert_int_equal(open_at("/no/such/dir/agent.sock", 0600, NULL),
	    ERR_NOT_FOUND);
}

static void
test_longest_path(void **state)
{
	char name[TEMPDIR_PATH];
	size_t len = 107 - strlen(dir.path) - 1;
	char full[160];

	(void)state;
	memset(name, 'x', len);
	name[len] = '\0';
	(void)snprintf(full, sizeof(full), "%s/%s", dir.path, name);
	assert_int_equal(strlen(full), 107);
	assert_int_equal(open_at(full, 0600, NULL), 0);
	close_current();
}

static void
test_missing_directory_is_made(void **state)
{
	char nested[TEMPDIR_PATH];
	struct stat st;

	(void)state;
	(void)snprintf(nested, sizeof(nested), "%s/run/a.sock", dir.path);
	assert_int_equal(open_at(nested, 0600, NULL), 0);
	close_current();
	assert_int_equal(stat(tempdir_file(&dir, "run"), &st), 0);
	assert_int_equal(st.st_mode & 07777, geteuid() == 0 ? 0755 : 0700);
	(void)snprintf(nested, sizeof(nested), "%s/no/such/a.sock", dir.path);
	assert_int_equal(open_at(nested, 0600, NULL), ERR_NOT_FOUND);
}

static void
test_other_kinds_of_file_are_left_alone(void **state)
{
	char text[8] = "";
	int fd;

	(void)state;
	(void)tempdir_write(&dir, "agent.sock", "mine", 4, 0600);
	assert_int_equal(open_at(path, 0600, NULL), ERR_BAD_REQUEST);
	assert_non_null(strstr(why, "is no socket"));
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof(text)), 4);
	(void)close(fd);
	assert_string_equal(text, "mine");
	(void)unlink(path);
	/* a link, even one to a socket that could be replaced */
	assert_int_equal(symlink("/nowhere", path), 0);
	assert_int_equal(open_at(path, 0600, NULL), ERR_BAD_REQUEST);
	assert_true(readlink(path, text, sizeof(text)) > 0);
	assert_false(exists("agent.sock.lock"));
}

static void
test_dead_socket_is_replaced(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	(void)strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	(void)close(fd);
	assert_int_equal(open_at(path, 0600, NULL), 0);
	fd = dial();
	assert_true(fd >= 0);
	(void)close(fd);
}

static void
test_live_socket_is_left_alone(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int other;

	(void)state;
	(void)strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(open_at(path, 0600, NULL), ERR_BUSY);
	assert_non_null(strstr(why, "another program listens"));
	other = dial();
	assert_true(other >= 0);
	(void)close(other);
	(void)close(fd);
}

static void
test_second_daemon_is_refused(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(open_at(path, 0600, NULL), 0);
	/* the lock decides, also where the first one does not answer */
	listener_pause(current);
	assert_int_equal(open_at(path, 0600, NULL), ERR_BUSY);
	assert_non_null(strstr(why, "another qapi-agentd"));
	assert_true(exists("agent.sock.lock"));
	fd = dial();
	assert_true(fd >= 0);
	(void)close(fd);
}

/* flock(2) leaves with its process, so a crash blocks nobody. */
static void
test_lock_of_a_dead_daemon_is_taken(void **state)
{
	pid_t child;

	(void)state;
	child = fork();
	if (child == 0)
		_exit(open_at(path, 0600, NULL) != 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(exists("agent.sock"));
	assert_true(exists("agent.sock.lock"));
	assert_int_equal(open_at(path, 0600, NULL), 0);
}

static void
test_free_removes_only_its_own_socket(void **state)
{
	(void)state;
	assert_int_equal(open_at(path, 0600, NULL), 0);
	assert_int_equal(unlink(path), 0);
	(void)tempdir_write(&dir, "agent.sock", "mine", 4, 0600);
	close_current();
	assert_true(exists("agent.sock"));
}

static void
test_lock_that_is_no_file(void **state)
{
	(void)state;
	assert_int_equal(symlink("/etc/passwd",
			     tempdir_file(&dir, "agent.sock.lock")), 0);
	assert_int_equal(open_at(path, 0600, NULL), ERR_DENIED);
	assert_non_null(strstr(why, "lock file"));
}

static void
test_accepts_a_bounded_number_at_once(void **state)
{
	int fds[100];
	size_t i;

	(void)state;
	assert_int_equal(open_at(path, 0600, NULL), 0);
	for (i = 0; i < UNIT_COUNT(fds); i++) {
		fds[i] = dial();
		assert_true(fds[i] >= 0);
	}
	assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	assert_int_equal(naccepted, 16);
	loop();
	assert_int_equal(naccepted, 100);
	for (i = 0; i < UNIT_COUNT(fds); i++)
		(void)close(fds[i]);
}

static void
test_pause_and_resume(void **state)
{
	int a;
	int b;

	(void)state;
	assert_int_equal(open_at(path, 0600, NULL), 0);
	listener_pause(current);
	a = dial();
	loop();
	assert_int_equal(naccepted, 0);
	b = dial();
	listener_resume(current);
	pause_in_cb = true;
	loop();
	pause_in_cb = false;
	assert_int_equal(naccepted, 1);
	loop();
	assert_int_equal(naccepted, 1);
	listener_resume(current);
	loop();
	assert_int_equal(naccepted, 2);
	(void)close(a);
	(void)close(b);
}

static void
test_free_within_the_callback(void **state)
{
	int a;
	int b;

	(void)state;
	assert_int_equal(open_at(path, 0600, NULL), 0);
	a = dial();
	b = dial();
	free_in_cb = true;
	loop();
	free_in_cb = false;
	assert_int_equal(naccepted, 1);
	assert_null(current);
	(void)close(a);
	(void)close(b);
}

static int
set_access(mode_t mode, const char *group)
{
	const struct listener_config cfg = {
	    .path = path, .mode = mode, .group = group};

	return listener_set_access(current, &cfg, why, sizeof(why));
}

static void
test_set_access(void **state)
{
	struct stat st, before;

	(void)state;
	assert_int_equal(open_at(path, 0600, NULL), 0);
	assert_false(listener_is_inherited(current));
	assert_int_equal(lstat(path, &before), 0);
	assert_int_equal(set_access(0622, NULL), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0622);
	assert_int_equal(st.st_ino, before.st_ino);
	/* neither, if one of them fails */
	assert_int_equal(set_access(0666, "no-such-group-here"),
	    ERR_BAD_REQUEST);
	assert_non_null(strstr(why, "no-such-group-here"));
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0622);
	if (geteuid() == 0) {
		assert_int_equal(set_access(0640, "4711"), 0);
		assert_int_equal(lstat(path, &st), 0);
		assert_int_equal(st.st_gid, 4711);
		assert_int_equal(set_access(0640, NULL), 0);
		assert_int_equal(lstat(path, &st), 0);
		assert_int_equal(st.st_gid, getegid());
	}
}

static void
test_set_access_of_what_is_no_longer_there(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(open_at(path, 0600, NULL), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(set_access(0666, NULL), ERR_NOT_FOUND);
	(void)tempdir_write(&dir, "agent.sock", "mine", 4, 0600);
	assert_int_equal(set_access(0666, NULL), ERR_NOT_FOUND);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void
test_retire_accepts_who_is_there(void **state)
{
	int fds[50];
	size_t i;

	(void)state;
	assert_int_equal(open_at(path, 0600, NULL), 0);
	for (i = 0; i < UNIT_COUNT(fds); i++) {
		fds[i] = dial();
		assert_true(fds[i] >= 0);
	}
	listener_pause(current);
	listener_retire(current);
	current = NULL;
	assert_int_equal(naccepted, 50);
	assert_false(exists("agent.sock"));
	assert_false(exists("agent.sock.lock"));
	for (i = 0; i < UNIT_COUNT(fds); i++)
		(void)close(fds[i]);
}

static void
loop_without_descriptors(void *arg)
{
	struct rlimit saved;
	struct rlimit none;
	int i;

	(void)arg;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &saved), 0);
	none = saved;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (i = 0; i < 100; i++)
		loop();
	assert_int_equal(naccepted, 0);
	/* twice through the timer, and still one line in the log */
	assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &saved), 0);
}

static void
test_out_of_descriptors_waits(void **state)
{
	const char *line;
	int fd;

	(void)state;
	if (getenv("UNDER_VALGRIND") != NULL)
		skip(); /* it only pretends to limit descriptors */
	assert_int_equal(open_at(path, 0600, NULL), 0);
	fd = dial();
	capture_stderr(loop_without_descriptors, NULL, out, sizeof(out));
	line = strstr(out, "cannot accept a connection");
	assert_non_null(line);
	assert_null(strstr(line + 1, "cannot accept"));
	while (naccepted == 0)
		assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
	(void)close(fd);
}

#ifdef HAVE_SYSTEMD
/*
 * In a child, whose descriptor 3 is as the service manager leaves it:
 * blocking, and inherited.
 */
static int
run_inherited(const char *fd_name, const char *cfg_path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct listener_config cfg = {
	    .path = cfg_path, .mode = 0600, .fd_name = fd_name};
	char pid[20];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)strcpy(addr.sun_path, path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    listen(fd, 5) != 0 || (fd != 3 && dup2(fd, 3) != 3))
		return 1;
	base = event_base_new();
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", pid, 1);
	(void)setenv("LISTEN_FDS", "1", 1);
	(void)setenv("LISTEN_FDNAMES", "agent", 1);
	if (listener_new(base, &cfg, on_connection, &dir, why, sizeof(why),
		&current) != 0)
		return 2;
	fd = dial();
	if (fd < 0)
		return 3;
	loop();
	if (naccepted == 1 && !listener_is_inherited(current))
		return 6;
	listener_free(current);
	if (naccepted != 1)
		return 4;
	return access(path, F_OK) == 0 ? 0 : 5; /* the manager's to remove */
}

static int
inherited(const char *fd_name, const char *cfg_path)
{
	pid_t child;
	int status;

	child = fork();
	if (child == 0) {
		/* the parent's may be descriptor 3 */
		event_base_free(base);
		status = run_inherited(fd_name, cfg_path);
		if (status == 0)
			event_base_free(base);
		_exit(status);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	(void)unlink(path);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
test_inherited_socket_is_taken_over(void **state)
{
	char other[TEMPDIR_PATH];

	(void)state;
	(void)snprintf(other, sizeof(other), "%s/other.sock", dir.path);
	assert_int_equal(inherited(NULL, path), 0);
	assert_int_equal(inherited("agent", other), 0);
	/* not the one that is looked for: another is bound */
	assert_int_equal(inherited("http", other), 4);
	assert_int_equal(inherited(NULL, other), 4);
	assert_int_equal(inherited("http", path), 2);
}
#endif

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_new_accepts),
	    TEST(test_mode_does_not_depend_on_the_umask),
	    TEST(test_group),
	    TEST(test_path_faults),
	    TEST(test_longest_path),
	    TEST(test_missing_directory_is_made),
	    TEST(test_other_kinds_of_file_are_left_alone),
	    TEST(test_dead_socket_is_replaced),
	    TEST(test_live_socket_is_left_alone),
	    TEST(test_second_daemon_is_refused),
	    TEST(test_lock_of_a_dead_daemon_is_taken),
	    TEST(test_free_removes_only_its_own_socket),
	    TEST(test_lock_that_is_no_file),
	    TEST(test_accepts_a_bounded_number_at_once),
	    TEST(test_pause_and_resume),
	    TEST(test_free_within_the_callback),
	    TEST(test_set_access),
	    TEST(test_set_access_of_what_is_no_longer_there),
	    TEST(test_retire_accepts_who_is_there),
	    TEST(test_out_of_descriptors_waits),
#ifdef HAVE_SYSTEMD
	    TEST(test_inherited_socket_is_taken_over),
#endif
	};

	return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
