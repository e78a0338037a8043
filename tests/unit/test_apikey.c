#include "config.h"

#include "apikey.h"

#include "err.h"
#include "tempdir.h"

static struct tempdir dir;
static char why[400];

static int
setup(void **state)
{
	const struct secmem_config cfg = {
	    .reserve_bytes = 4 << 20, .step_bytes = 256 << 10};

	(void)state;
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	tempdir_make(&dir);
	return secmem_init(&cfg);
}

static int
teardown(void **state)
{
	(void)state;
	tempdir_remove(&dir);
	secmem_done();
	return 0;
}

static int
read_text(const char *text, size_t len, mode_t mode, struct secmem *ret)
{
	why[0] = '\0';
	return apikey_read(tempdir_write(&dir, "key", text, len, mode), ret,
	    why, sizeof(why));
}

static void
expect_key(const char *text, const char *key)
{
	struct secmem sm = {0};

	assert_int_equal(read_text(text, strlen(text), 0600, &sm), 0);
	assert_int_equal(secmem_len(&sm), strlen(key));
	assert_memory_equal(secmem_bytes(&sm), key, strlen(key));
	secmem_free_bytes(&sm);
}

static void
expect_fault(int r, int expected, const char *says)
{
	assert_int_equal(r, expected);
	assert_non_null(strstr(why, says));
	assert_non_null(strstr(why, dir.path));
	assert_null(strstr(why, "qapi_"));
}

static void
test_read_drops_white_space_around(void **state)
{
	(void)state;
	expect_key("qapi_live_x", "qapi_live_x");
	expect_key("qapi_live_x\n", "qapi_live_x");
	expect_key(" \t\r\nqapi_live_x \r\n\n", "qapi_live_x");
}

static void
test_read_missing_file(void **state)
{
	struct secmem sm = {0};

	(void)state;
	expect_fault(apikey_read(tempdir_file(&dir, "none"), &sm, why,
			 sizeof(why)), ERR_NOT_FOUND, "api-key-file=");
	expect_fault(apikey_read(tempdir_file(&dir, "none/x"), &sm, why,
			 sizeof(why)), ERR_NOT_FOUND, "no such file");
}

static void
test_read_refuses_what_others_can_read(void **state)
{
	static const mode_t modes[] = {0640, 0604, 0660, 0602, 0601, 0644};
	struct secmem sm = {0};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(modes); i++)
		expect_fault(read_text("qapi_x", 6, modes[i], &sm), ERR_DENIED,
		    "chmod 0600");
	assert_int_equal(read_text("qapi_x", 6, 0400, &sm), 0);
	secmem_free_bytes(&sm);
}

static void
test_read_refuses_foreign_owner(void **state)
{
	struct secmem sm = {0};
	const char *path;

	(void)state;
	path = tempdir_write(&dir, "key", "qapi_x", 6, 0600);
	if (chown(path, 4711, (gid_t)-1) != 0)
		skip(); /* not root */
	expect_fault(apikey_read(path, &sm, why, sizeof(why)), ERR_DENIED,
	    "belongs to uid 4711");
}

static void
test_read_refuses_other_kinds(void **state)
{
	struct secmem sm = {0};

	(void)state;
	why[0] = '\0';
	assert_int_equal(apikey_read(dir.path, &sm, why, sizeof(why)),
	    ERR_DENIED);
	assert_non_null(strstr(why, "no regular file"));
	/* a FIFO without a writer must not be waited for */
	assert_int_equal(mkfifo(tempdir_file(&dir, "fifo"), 0600), 0);
	expect_fault(apikey_read(dir.file, &sm, why, sizeof(why)), ERR_DENIED,
	    "no regular file");
}

static void
test_read_refuses_what_is_no_key(void **state)
{
	static char big[APIKEY_MAX + 2];
	struct secmem sm = {0};

	(void)state;
	expect_fault(read_text("", 0, 0600, &sm), ERR_BAD_REQUEST, "is empty");
	expect_fault(read_text(" \n", 2, 0600, &sm), ERR_BAD_REQUEST,
	    "is empty");
	expect_fault(read_text("qapi_a\nqapi_b", 13, 0600, &sm),
	    ERR_BAD_REQUEST, "one API key");
	expect_fault(read_text("qapi_a b", 8, 0600, &sm), ERR_BAD_REQUEST,
	    "one API key");
	expect_fault(read_text("qapi_a\0b", 8, 0600, &sm), ERR_BAD_REQUEST,
	    "one API key");
	expect_fault(read_text("qapi_\xc3\xa4", 7, 0600, &sm),
	    ERR_BAD_REQUEST, "one API key");
	memset(big, 'k', sizeof(big));
	expect_fault(read_text(big, sizeof(big), 0600, &sm), ERR_BAD_REQUEST,
	    "larger than");
	assert_int_equal(read_text(big, APIKEY_MAX, 0600, &sm), 0);
	assert_int_equal(secmem_len(&sm), APIKEY_MAX);
	secmem_free_bytes(&sm);
}

static void
test_read_takes_the_credential(void **state)
{
	struct secmem sm = {0};

	(void)state;
	(void)tempdir_write(&dir, "api-key", "qapi_c\n", 7, 0400);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", dir.path, 1), 0);
	assert_int_equal(apikey_read(NULL, &sm, why, sizeof(why)), 0);
	assert_memory_equal(secmem_bytes(&sm), "qapi_c", 6);
	secmem_free_bytes(&sm);
	if (geteuid() == 0) {
		/* an access control list's mask, as systemd 255 leaves it */
		assert_int_equal(chmod(dir.file, 0440), 0);
		assert_int_equal(apikey_read(NULL, &sm, why, sizeof(why)), 0);
		secmem_free_bytes(&sm);
		assert_int_equal(apikey_read(dir.file, &sm, why, sizeof(why)),
		    0);
		secmem_free_bytes(&sm);
	}
	assert_int_equal(chmod(dir.file, 0444), 0);
	expect_fault(apikey_read(NULL, &sm, why, sizeof(why)), ERR_DENIED,
	    "chmod 0600");
	(void)unsetenv("CREDENTIALS_DIRECTORY");
}

static void
test_read_default_place(void **state)
{
	struct secmem sm = {0};
	int r;

	(void)state;
	/* a directory without the credential changes nothing */
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", dir.path, 1), 0);
	(void)unlink(tempdir_file(&dir, "api-key"));
	r = apikey_read(NULL, &sm, why, sizeof(why));
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	if (r == 0)
		secmem_free_bytes(&sm); /* this machine has one */
	else
		assert_memory_equal(why, "/etc/qapi-agent/api-key", 23);
}

static void
expect_other(struct apikey_stamp *last, const char *path)
{
	struct apikey_stamp now;

	apikey_stamp(path, &now);
	assert_false(apikey_stamp_equal(last, &now));
	*last = now;
	apikey_stamp(path, &now);
	assert_true(apikey_stamp_equal(last, &now));
}

static void
test_stamp_tells_every_change(void **state)
{
	const struct timespec times[2] = {{1, 1}, {1, 1}};
	struct apikey_stamp last = {.exists = false}, now;
	char path[TEMPDIR_PATH], other[TEMPDIR_PATH];
	int fd;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s", tempdir_file(&dir, "stamp"));
	(void)snprintf(other, sizeof(other), "%s", tempdir_file(&dir, "next"));
	apikey_stamp(path, &now);
	assert_false(now.exists);
	assert_true(apikey_stamp_equal(&last, &now));
	(void)tempdir_write(&dir, "stamp", "qapi_a", 6, 0600);
	expect_other(&last, path);
	/* another file, whatever its times and size */
	(void)tempdir_write(&dir, "next", "qapi_b", 6, 0600);
	assert_int_equal(utimensat(AT_FDCWD, other,
	    (struct timespec[2]){last.mtime, last.mtime}, 0), 0);
	assert_int_equal(rename(other, path), 0);
	expect_other(&last, path);
	/* the same file, longer */
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "c", 1), 1);
	(void)close(fd);
	expect_other(&last, path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	expect_other(&last, path);
	/* a link to elsewhere */
	assert_int_equal(rename(path, other), 0);
	expect_other(&last, path);
	assert_false(last.exists);
	assert_int_equal(symlink("next", path), 0);
	expect_other(&last, path);
	(void)tempdir_write(&dir, "third", "qapi_a", 6, 0600);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("third", path), 0);
	expect_other(&last, path);
	assert_int_equal(unlink(path), 0);
}

static void
test_stamp_of_the_credential(void **state)
{
	struct apikey_stamp now;

	(void)state;
	(void)tempdir_write(&dir, "api-key", "qapi_c", 6, 0400);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", dir.path, 1), 0);
	apikey_stamp(NULL, &now);
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	assert_true(now.exists);
	assert_int_equal(now.size, 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_read_drops_white_space_around),
	    cmocka_unit_test(test_read_missing_file),
	    cmocka_unit_test(test_read_refuses_what_others_can_read),
	    cmocka_unit_test(test_read_refuses_foreign_owner),
	    cmocka_unit_test(test_read_refuses_other_kinds),
	    cmocka_unit_test(test_read_refuses_what_is_no_key),
	    cmocka_unit_test(test_read_takes_the_credential),
	    cmocka_unit_test(test_read_default_place),
	    cmocka_unit_test(test_stamp_tells_every_change),
	    cmocka_unit_test(test_stamp_of_the_credential),
	};

	return cmocka_run_group_tests_name("apikey", tests, setup, teardown);
}
