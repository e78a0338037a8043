#include "config.h"

#include "audit.h"

#include "err.h"
#include "log.h"
#include "peer.h"
#include "tempdir.h"

static struct tempdir dir;
static char out[4000];
static char why[300];

static int
setup(void **state)
{
	(void)state;
	log_init();
	tempdir_make(&dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	tempdir_remove(&dir);
	return 0;
}

static struct view
view(const char *text)
{
	struct view v = {(const uint8_t *)text, strlen(text)};

	return v;
}

static void
record(struct audit *a, const char *reference, int error, const char *rule)
{
	struct peer *p = peer_new_fake(1000, 1000, NULL, 0, "web.service",
	    NULL);

	assert_non_null(p);
	audit_record(a, p, "read", view(reference), error, rule);
	peer_free(p);
}

static const char *
slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(out, 1, sizeof(out) - 1, f);
	out[n] = '\0';
	(void)fclose(f);
	return out;
}

static void
three_records(void *arg)
{
	struct audit *a = audit_new(arg, why, sizeof(why));

	assert_non_null(a);
	record(a, "qapi://secrets/a", 0, "web");
	record(a, "qapi://secrets/b", ERR_DENIED, NULL);
	record(a, "", ERR_NOT_FOUND, "web");
	audit_free(a);
}

static void
test_journal(void **state)
{
	char where[] = "journal";

	(void)state;
	capture_stderr(three_records, where, out, sizeof(out));
	assert_non_null(strstr(out, " info: audit: uid 1000 (web.service) "
				    "read \"qapi://secrets/a\": allowed (rule "
				    "\"web\")\n"));
	assert_non_null(strstr(out, " notice: audit: uid 1000 (web.service) "
				    "read \"qapi://secrets/b\": denied\n"));
	assert_non_null(strstr(out, " info: audit: uid 1000 (web.service) "
				    "read: not-found (rule \"web\")\n"));
}

static void
test_off(void **state)
{
	char where[] = "off";

	(void)state;
	capture_stderr(three_records, where, out, sizeof(out));
	assert_string_equal(out, "");
}

static void
test_file_is_private_and_appended_to(void **state)
{
	struct stat st;
	struct audit *a;
	const char *path = tempdir_write(&dir, "audit", "old\n", 4, 0600);

	(void)state;
	a = audit_new(path, why, sizeof(why));
	assert_non_null(a);
	record(a, "x", 0, NULL);
	record(a, "y\n\"z\"", 0, "a\"b");
	audit_free(a);
	(void)slurp(path);
	assert_memory_equal(out, "old\n2", 5);
	assert_non_null(strstr(out, "Z uid 1000 (web.service) read \"x\": "
				    "allowed\n"));
	assert_non_null(strstr(out, "read \"y\\x0a'z'\": allowed (rule "
				    "\"a'b\")\n"));
	(void)unlink(path);
	a = audit_new(path, why, sizeof(why));
	assert_non_null(a);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	audit_free(a);
	audit_free(NULL);
}

static void
test_new_failures(void **state)
{
	(void)state;
	assert_null(audit_new(tempdir_file(&dir, "no/such"), why,
	    sizeof(why)));
	assert_non_null(strstr(why, "cannot open it"));
	assert_null(audit_new(dir.path, why, sizeof(why)));
	assert_int_equal(mkfifo(tempdir_file(&dir, "fifo"), 0600), 0);
	assert_null(audit_new(dir.file, why, sizeof(why)));
	assert_null(audit_new("/dev/null", why, sizeof(why)));
	assert_non_null(strstr(why, "no regular file"));
}

static void
test_long_reference_is_cut(void **state)
{
	static char big[5000];
	const char *path = tempdir_file(&dir, "long");
	struct audit *a = audit_new(path, why, sizeof(why));

	(void)state;
	assert_non_null(a);
	memset(big, 'x', sizeof(big) - 1);
	record(a, big, ERR_DENIED, big);
	audit_free(a);
	(void)slurp(path);
	assert_true(strlen(out) < 1500);
	assert_non_null(strstr(out, "...\": denied (rule \"xx"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_journal),
	    cmocka_unit_test(test_off),
	    cmocka_unit_test(test_file_is_private_and_appended_to),
	    cmocka_unit_test(test_new_failures),
	    cmocka_unit_test(test_long_reference_is_cut),
	};

	return cmocka_run_group_tests_name("audit", tests, setup, teardown);
}
