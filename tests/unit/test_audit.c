#include "config.h"

#include "audit.h"

#include <event2/event.h>

#include "err.h"
#include "flood.h"
#include "log.h"
#include "peer.h"
#include "tempdir.h"

static struct tempdir dir;
static char out[4000];
static char big[60000];
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
free_flood(void *arg)
{
	flood_free(arg);
}

struct flooded {
	struct flood *flood;
	const char *where;
	int error;
};

static void
many_records(void *arg)
{
	const struct flooded *f = arg;
	struct audit *a = audit_new(f->where, why, sizeof(why));
	int i;

	assert_non_null(a);
	audit_set_flood(a, f->flood);
	for (i = 0; i < 300; i++)
		record(a, "qapi://secrets/a", f->error, NULL);
	audit_free(a);
}

static unsigned int
count_of(const char *text)
{
	const char *p = big;
	unsigned int n = 0;

	for (; (p = strstr(p, text)) != NULL; p++)
		n++;
	return n;
}

static void
test_flood_of_denials(void **state)
{
	struct event_base *base = event_base_new();
	struct flooded f = {NULL, "journal", ERR_DENIED};
	FILE *file;
	size_t n;

	(void)state;
	f.flood = flood_new(base);
	assert_non_null(f.flood);
	capture_stderr(many_records, &f, big, sizeof(big));
	assert_in_range(count_of(": denied\n"), 100, 299);
	/* what is allowed is not counted with it */
	f.error = 0;
	capture_stderr(many_records, &f, big, sizeof(big));
	assert_int_equal(count_of(": allowed\n"), 300);
	/* a file gets all */
	f.error = ERR_DENIED;
	f.where = tempdir_file(&dir, "flood");
	capture_stderr(many_records, &f, big, sizeof(big));
	assert_string_equal(big, "");
	file = fopen(f.where, "r");
	assert_non_null(file);
	n = fread(big, 1, sizeof(big) - 1, file);
	big[n] = '\0';
	(void)fclose(file);
	assert_int_equal(count_of(": denied\n"), 300);
	capture_stderr(free_flood, f.flood, big, sizeof(big));
	assert_int_equal(count_of(" more denied for uid 1000 "), 1);
	event_base_free(base);
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
	static char longer[5000];
	const char *path = tempdir_file(&dir, "long");
	struct audit *a = audit_new(path, why, sizeof(why));

	(void)state;
	assert_non_null(a);
	memset(longer, 'x', sizeof(longer) - 1);
	record(a, longer, ERR_DENIED, longer);
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
	    cmocka_unit_test(test_flood_of_denials),
	    cmocka_unit_test(test_off),
	    cmocka_unit_test(test_file_is_private_and_appended_to),
	    cmocka_unit_test(test_new_failures),
	    cmocka_unit_test(test_long_reference_is_cut),
	};

	return cmocka_run_group_tests_name("audit", tests, setup, teardown);
}
