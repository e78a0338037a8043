#include "config.h"

#include "log.h"

#include <sys/socket.h>

#include "tempdir.h"

static char out[4000];

static void
every_level(void *arg)
{
	(void)arg;
	log_init();
	log_error("e%d", 1);
	log_warning("w");
	log_notice("n");
	log_info("i");
	log_debug("d");
}

static void
test_level_from_name(void **state)
{
	(void)state;
	assert_int_equal(log_level_from_name("error"), LOG_LEVEL_ERROR);
	assert_int_equal(log_level_from_name("warning"), LOG_LEVEL_WARNING);
	assert_int_equal(log_level_from_name("notice"), LOG_LEVEL_NOTICE);
	assert_int_equal(log_level_from_name("info"), LOG_LEVEL_INFO);
	assert_int_equal(log_level_from_name("debug"), LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_from_name("verbose"), -1);
	assert_int_equal(log_level_from_name(""), -1);
}

static void
test_levels_above_the_maximum_are_silent(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_NOTICE);
	capture_stderr(every_level, NULL, out, sizeof(out));
	log_set_level(LOG_LEVEL_INFO);
	assert_non_null(strstr(out, " error: e1\n"));
	assert_non_null(strstr(out, " warning: w\n"));
	assert_non_null(strstr(out, " notice: n\n"));
	assert_null(strstr(out, " info: "));
	assert_null(strstr(out, " debug: "));
	/* a time stands first: 2026-… */
	assert_int_equal(out[4], '-');
	assert_int_equal(out[10], 'T');
}

static void
to_the_journal(void *arg)
{
	char text[64];
	struct stat st;

	(void)arg;
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", text, 1), 0);
	log_init();
	log_warning("disk");
	(void)strcat(text, "0"); /* another inode: inherited, but not ours */
	assert_int_equal(setenv("JOURNAL_STREAM", text, 1), 0);
	log_init();
	log_warning("again");
	assert_int_equal(setenv("JOURNAL_STREAM", "nonsense", 1), 0);
	log_init();
	log_warning("third");
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
	log_init();
}

static void
test_journal_gets_priorities(void **state)
{
	(void)state;
	capture_stderr(to_the_journal, NULL, out, sizeof(out));
	assert_memory_equal(out, "<4>disk\n", 8);
	assert_non_null(strstr(out, " warning: again\n"));
	assert_non_null(strstr(out, " warning: third\n"));
}

static void
write_text(void *arg)
{
	log_error("%s", (const char *)arg);
}

static void
test_one_event_is_one_line(void **state)
{
	char text[] = "a\nb\rc\x1b[31m\x7f";

	(void)state;
	capture_stderr(write_text, text, out, sizeof(out));
	assert_non_null(strstr(out, "error: a?b?c?[31m?\n"));
}

static void
test_long_text_is_cut(void **state)
{
	static char text[4000];
	size_t len;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	capture_stderr(write_text, text, out, sizeof(out));
	len = strlen(out);
	assert_true(len < 2000);
	assert_string_equal(out + len - 4, "...\n");
}

static void
test_errno_is_kept(void **state)
{
	char text[] = "x";

	(void)state;
	errno = EDOM;
	capture_stderr(write_text, text, out, sizeof(out));
	errno = EDOM;
	log_debug("not written");
	assert_int_equal(errno, EDOM);
}

/* Standard error as fds[1], that is read when the test says so. */
static void
check_unread(const int fds[2])
{
	int saved = dup(STDERR_FILENO), flags, i;
	static char text[200000];
	size_t len = 0;
	ssize_t n;
	const char *told;
	unsigned int lost = 0, lines = 0;
	char *p;

	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	(void)close(fds[1]);
	log_init();
	for (i = 0; i < 5000; i++)
		log_error("line %d of many, each of them so long that a pipe "
		    "holds some hundreds of them", i);
	log_flush();
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	while ((n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	log_error("after it was read");
	while ((n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	flags = fcntl(STDERR_FILENO, F_GETFL);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	log_init();
	(void)close(saved);
	(void)close(fds[0]);
	text[len] = '\0';
	for (p = text; (p = strstr(p, " error: line ")) != NULL; p++)
		lines++;
	told = strstr(text, " lines of this log are lost");
	assert_non_null(told);
	assert_null(strstr(told + 1, " lines of this log are lost"));
	while (told[-1] != ' ')
		told--;
	assert_int_equal(sscanf(told, "%u", &lost), 1);
	assert_true(lost > 0 && lines > 0);
	assert_int_equal(lost + lines, 5000);
	/* in its place: before what came later */
	assert_true(told < strstr(text, "after it was read"));
	/* it is shared with others: as it was */
	assert_int_equal(flags & O_NONBLOCK, 0);
}

static void
test_a_pipe_that_nobody_reads_does_not_block(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	check_unread(fds);
}

/* As the journal's is. */
static void
test_a_socket_that_nobody_reads_does_not_block(void **state)
{
	int fds[2], size = 4096;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size)), 0);
	check_unread(fds);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_level_from_name),
	    cmocka_unit_test(test_levels_above_the_maximum_are_silent),
	    cmocka_unit_test(test_journal_gets_priorities),
	    cmocka_unit_test(test_one_event_is_one_line),
	    cmocka_unit_test(test_long_text_is_cut),
	    cmocka_unit_test(test_errno_is_kept),
	    cmocka_unit_test(test_a_pipe_that_nobody_reads_does_not_block),
	    cmocka_unit_test(test_a_socket_that_nobody_reads_does_not_block),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
