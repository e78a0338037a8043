#include "config.h"

#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memfile.h"
#include "outfile.h"

static char dir[] = "/tmp/qapi-out.XXXXXX";

static const char *
in_dir(const char *name, char buf[64])
{
	(void)snprintf(buf, 64, "%s/%s", dir, name);
	return buf;
}

/* How many entries dir has. */
static unsigned int
entries(void)
{
	struct dirent *e;
	DIR *d = opendir(dir);
	unsigned int n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0;
	(void)closedir(d);
	return n;
}

static void
expect_file(const char *path, mode_t mode, const char *content)
{
	char buf[256];
	struct stat st;
	ssize_t n;
	int fd = open(path, O_RDONLY);

	assert_int_not_equal(fd, -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
	n = read(fd, buf, sizeof(buf));
	assert_int_equal(n, strlen(content));
	assert_memory_equal(buf, content, (size_t)n);
	(void)close(fd);
}

static void
test_commit_replaces_as_a_whole(void **state)
{
	struct outfile *f = NULL;
	char path[64];
	mode_t old = umask(0777);

	(void)state;
	(void)in_dir("a", path);
	assert_int_equal(outfile_new(path, 0640, (uid_t)-1, (gid_t)-1, &f), 0);
	assert_int_equal(outfile_write(f, "one", 3), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(outfile_commit(f), 0);
	outfile_free(&f);
	assert_null(f);
	(void)umask(old);
	expect_file(path, 0640, "one");

	assert_int_equal(outfile_new(path, 0400, geteuid(), getegid(), &f),
	    0);
	assert_int_equal(outfile_write(f, "two", 3), 0);
	expect_file(path, 0640, "one");
	assert_int_equal(outfile_commit(f), 0);
	outfile_free(&f);
	expect_file(path, 0400, "two");
	assert_int_equal(entries(), 1);
	(void)unlink(path);
}

static void
test_free_leaves_nothing(void **state)
{
	struct outfile *f = NULL;
	sigset_t before, during, after;
	char path[64];

	(void)state;
	(void)in_dir("b", path);
	(void)sigprocmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(outfile_new(path, 0600, (uid_t)-1, (gid_t)-1, &f), 0);
	(void)sigprocmask(SIG_SETMASK, NULL, &during);
	assert_true(sigismember(&during, SIGTERM));
	assert_int_equal(outfile_write(f, "x", 1), 0);
	assert_int_equal(entries(), 1);
	errno = EDOM;
	outfile_free(&f);
	assert_int_equal(errno, EDOM);
	(void)sigprocmask(SIG_SETMASK, NULL, &after);
	assert_int_equal(sigismember(&after, SIGTERM),
	    sigismember(&before, SIGTERM));
	assert_int_equal(entries(), 0);
	outfile_free(&f);
}

/* Without a name until it is complete, where the file system can do that. */
static void
test_slow_one_has_no_name_before(void **state)
{
	struct outfile *f = NULL;
	sigset_t before, during;
	char path[64], taken[64], name[40];
	int fd = open(dir, O_TMPFILE | O_WRONLY, 0600);
	bool nameless = fd != -1;
	mode_t old = umask(0777);

	(void)state;
	if (nameless)
		(void)close(fd);
	(void)in_dir("s", path);
	(void)sigprocmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(outfile_new_slow(path, 0600, &f), 0);
	assert_int_equal(outfile_write(f, "one", 3), 0);
	(void)sigprocmask(SIG_SETMASK, NULL, &during);
	assert_int_equal(entries(), nameless ? 0 : 1);
	assert_int_equal(sigismember(&during, SIGTERM),
	    nameless ? sigismember(&before, SIGTERM) : 1);
	/* the name that it takes on its way may be somebody's */
	(void)snprintf(name, sizeof(name), ".qapi-agent.%ld.0",
	    (long)getpid());
	(void)in_dir(name, taken);
	fd = open(taken, O_CREAT | O_WRONLY, 0600);
	assert_int_not_equal(fd, -1);
	(void)close(fd);
	assert_int_equal(outfile_commit(f), 0);
	outfile_free(&f);
	(void)umask(old);
	expect_file(path, 0600, "one");
	(void)sigprocmask(SIG_SETMASK, NULL, &during);
	assert_int_equal(sigismember(&during, SIGTERM),
	    sigismember(&before, SIGTERM));

	/* another one in its place, and one that is given up */
	assert_int_equal(outfile_new_slow(path, 0600, &f), 0);
	assert_int_equal(outfile_write(f, "two", 3), 0);
	assert_int_equal(outfile_commit(f), 0);
	outfile_free(&f);
	assert_int_equal(outfile_new_slow(path, 0600, &f), 0);
	assert_int_equal(outfile_write(f, "three", 5), 0);
	outfile_free(&f);
	expect_file(path, 0600, "two");
	assert_int_equal(entries(), 2);
	(void)unlink(taken);
	(void)unlink(path);
	assert_int_equal(outfile_new_slow(in_dir("no/f", path), 0600, &f), -1);
	assert_int_equal(errno, ENOENT);
}

static void
test_failures(void **state)
{
	struct outfile *f = NULL;
	char path[64];

	(void)state;
	assert_int_equal(outfile_new(dir, 0600, (uid_t)-1, (gid_t)-1, &f), -1);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(outfile_new("", 0600, (uid_t)-1, (gid_t)-1, &f), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(outfile_new(in_dir("no/f", path), 0600, (uid_t)-1,
	    (gid_t)-1, &f), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(outfile_new(in_dir("f/", path), 0600, (uid_t)-1,
	    (gid_t)-1, &f), -1);
	assert_int_equal(errno, EISDIR);
	assert_null(f);
	/* the target becomes a directory before it is put in place */
	(void)in_dir("d", path);
	assert_int_equal(outfile_new(path, 0600, (uid_t)-1, (gid_t)-1, &f), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(outfile_commit(f), -1);
	outfile_free(&f);
	assert_int_equal(entries(), 1);
	(void)rmdir(path);
	/* a device is written to as it is */
	assert_int_equal(outfile_new("/dev/full", 0600, (uid_t)-1, (gid_t)-1,
	    &f), 0);
	assert_int_equal(outfile_write(f, "x", 1), -1);
	assert_int_equal(errno, ENOSPC);
	outfile_free(&f);
}

static void
test_memfile_is_sealed(void **state)
{
	char buf[8];
	int fd = memfile_new("NAME", "v\0w", 3);
	struct stat st;

	(void)state;
	assert_int_not_equal(fd, -1);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	assert_int_equal(fcntl(fd, F_GET_SEALS) & (F_SEAL_WRITE | F_SEAL_GROW |
	    F_SEAL_SHRINK | F_SEAL_SEAL), F_SEAL_WRITE | F_SEAL_GROW |
	    F_SEAL_SHRINK | F_SEAL_SEAL);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(read(fd, buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "v\0w", 3);
	(void)close(fd);
}

static int
setup(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commit_replaces_as_a_whole),
		cmocka_unit_test(test_free_leaves_nothing),
		cmocka_unit_test(test_slow_one_has_no_name_before),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_memfile_is_sealed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
