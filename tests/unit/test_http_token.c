#include "config.h"

#include "http_token.h"

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

static struct view
text_view(const char *text)
{
	return (struct view){ (const uint8_t *)text, strlen(text) };
}

static bool
is_hexadecimal(const struct secmem *token)
{
	size_t i;

	for (i = 0; i < secmem_len(token); i++) {
		if (strchr("0123456789abcdef", secmem_bytes(token)[i]) == NULL)
			return false;
	}
	return secmem_len(token) == 2 * HTTP_TOKEN_BYTES;
}

static void
test_missing_one_is_made_and_kept(void **state)
{
	const char *path = tempdir_file(&dir, "made");
	struct secmem first = { NULL, 0 }, again = { NULL, 0 };
	struct secmem other = { NULL, 0 };
	struct stat st;

	(void)state;
	assert_int_equal(http_token_load(path, &first, why, sizeof(why)), 0);
	assert_true(is_hexadecimal(&first));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 2 * HTTP_TOKEN_BYTES + 1);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(http_token_load(path, &again, why, sizeof(why)), 0);
	assert_true(secmem_equal(&first, &again));
	/* another one is another one */
	assert_int_equal(http_token_load(tempdir_file(&dir, "other"), &other,
	    why, sizeof(why)), 0);
	assert_false(secmem_equal(&first, &other));
	secmem_free_bytes(&first);
	secmem_free_bytes(&again);
	secmem_free_bytes(&other);
}

static void
test_left_over_is_replaced(void **state)
{
	struct secmem token = { NULL, 0 };

	(void)state;
	/* a daemon that was killed between the two names */
	(void)tempdir_write(&dir, "cut.new", "half", 4, 0600);
	assert_int_equal(http_token_load(tempdir_file(&dir, "cut"), &token,
	    why, sizeof(why)), 0);
	assert_true(is_hexadecimal(&token));
	assert_int_not_equal(access(tempdir_file(&dir, "cut.new"), F_OK), 0);
	secmem_free_bytes(&token);
}

static void
test_written_one(void **state)
{
	const char *path = tempdir_write(&dir, "written",
	    "0123456789abcdef \r\n", 19, 0600);
	struct secmem token = { NULL, 0 };

	(void)state;
	assert_int_equal(http_token_load(path, &token, why, sizeof(why)), 0);
	assert_true(http_token_fits(&token, text_view("0123456789abcdef")));
	assert_false(http_token_fits(&token, text_view("0123456789abcdeF")));
	assert_false(http_token_fits(&token, text_view("0123456789abcde")));
	assert_false(http_token_fits(&token, text_view("0123456789abcdef ")));
	assert_false(http_token_fits(&token, (struct view){ NULL, 0 }));
	secmem_free_bytes(&token);
	/* where there is none, nothing fits, nothing least of all */
	assert_false(http_token_fits(&token, (struct view){ NULL, 0 }));
	assert_false(http_token_fits(&token, text_view("0123456789abcdef")));
}

static void
test_refused(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		int error;
		const char *why;
	} rows[] = {
		{ "0123456789abcdef", 0640, ERR_DENIED, "mode 0640" },
		{ "0123456789abcdef", 0604, ERR_DENIED, "chmod 0600" },
		{ "0123456789abcde", 0600, ERR_BAD_REQUEST, "no token" },
		{ "", 0600, ERR_BAD_REQUEST, "no token" },
		{ "0123456789 abcdef", 0600, ERR_BAD_REQUEST, "no token" },
		{ "0123456789\x01" "abcdef", 0600, ERR_BAD_REQUEST,
		    "no token" },
		{ "0123456789\x80" "abcdef", 0600, ERR_BAD_REQUEST,
		    "no token" },
	};
	struct secmem token = { NULL, 0 };
	const char *path;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		path = tempdir_write(&dir, "bad", rows[i].text,
		    strlen(rows[i].text), rows[i].mode);
		assert_int_equal(http_token_load(path, &token, why,
		    sizeof(why)), rows[i].error);
		assert_non_null(strstr(why, rows[i].why));
		assert_non_null(strstr(why, path));
		assert_null(strstr(why, "0123"));
		assert_null(token.mem);
	}
	/* where no file can be made */
	assert_int_equal(http_token_load("/proc/none/token", &token, why,
	    sizeof(why)), ERR_DENIED);
	assert_non_null(strstr(why, "http-token-file="));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing_one_is_made_and_kept),
		cmocka_unit_test(test_left_over_is_replaced),
		cmocka_unit_test(test_written_one),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
