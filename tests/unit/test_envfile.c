#include "config.h"

#include "unit.h"

#include <unistd.h>

#include "environ.h"
#include "envfile.h"
#include "err.h"

static void
good(const char *text, size_t n, const char *const *pairs)
{
	struct envfile env = {NULL, 0, 0};
	char why[ENVFILE_WHY_LEN];
	unsigned int line;
	size_t i;

	assert_int_equal(envfile_parse(text, strlen(text), &env, &line, why),
	    0);
	assert_int_equal(env.count, n);
	for (i = 0; i < n; i++) {
		assert_string_equal(env.v[i].name, pairs[2 * i]);
		assert_string_equal(env.v[i].value, pairs[2 * i + 1]);
	}
	envfile_free(&env);
}

#define GOOD(text, ...) \
	do { \
		static const char *const pairs[] = {__VA_ARGS__}; \
		good(text, UNIT_COUNT(pairs) / 2, pairs); \
	} while (0)

static void
test_values(void **state)
{
	(void)state;
	good("", 0, NULL);
	good("\n \t\n# c\n  # c\r\n", 0, NULL);
	GOOD("A=1", "A", "1");
	GOOD("A=1\nB=2\n", "A", "1", "B", "2");
	GOOD("A=1\r\nB=2\r\n", "A", "1", "B", "2");
	GOOD("\xef\xbb\xbf" "A=1", "A", "1");
	GOOD("  A = a b \t\n", "A", "a b");
	GOOD("A=\nB=''\nC=\"\"\n", "A", "", "B", "", "C", "");
	GOOD("export A=1\nexport\tB=2\nexportC=3\nexport=4", "A", "1", "B",
	    "2", "exportC", "3", "export", "4");
	GOOD("A=a#b # c\nB=#c\nC=x=y\n", "A", "a#b", "B", "", "C", "x=y");
	GOOD("A=qapi://secrets/db/x?field=username&version=2 # it",
	    "A", "qapi://secrets/db/x?field=username&version=2");
	GOOD("A=$HOME `x` \\n", "A", "$HOME `x` \\n");
	GOOD("A=it's\nB=\xc3\xa9", "A", "it's", "B", "\xc3\xa9");
}

static void
test_quotes(void **state)
{
	(void)state;
	GOOD("A=' a # \" \\n $x '\n", "A", " a # \" \\n $x ");
	GOOD("A=\"a\\n\\t\\\"\\\\\\$\\x'#\" # c\nB=1", "A", "a\n\t\"\\$\\x'#",
	    "B", "1");
	GOOD("A='one\ntwo'\nB=\"one\r\ntwo\"\nC=3", "A", "one\ntwo", "B",
	    "one\r\ntwo", "C", "3");
}

static void
bad(const char *text, size_t len, unsigned int at, const char *what)
{
	struct envfile env = {NULL, 0, 0};
	char why[ENVFILE_WHY_LEN];
	unsigned int line = 0;

	assert_int_equal(envfile_parse(text, len, &env, &line, why),
	    ERR_BAD_REQUEST);
	assert_int_equal(line, at);
	assert_non_null(strstr(why, what));
	assert_non_null(strstr(why, ": "));
	envfile_free(&env);
}

#define BAD(text, at, what) bad(text, sizeof(text) - 1, at, what)

static void
test_errors_have_line(void **state)
{
	(void)state;
	BAD("A=1\nB\nC=2", 2, "no = after");
	BAD("\n\n=1", 3, "no name");
	BAD("1A=1", 1, "no name");
	BAD("export", 1, "no = after");
	BAD("A B=1", 1, "no = after");
	BAD("A='x' y", 1, "after the closing quote");
	BAD("A=1\nB='x\ny\nz", 2, "not closed");
	BAD("A=\"x\\", 1, "not closed");
	BAD("A='x\ny'\nB", 3, "no = after");
	BAD("A=x\0y", 1, "NUL");
	BAD("A='x\n\0y'", 1, "NUL");
}

static void
test_read_names_file(void **state)
{
	struct envfile env = {NULL, 0, 0};
	char why[ENVFILE_WHY_LEN], path[] = "/tmp/qapi-env.XXXXXX";
	int fd = mkstemp(path);
	char expected[64];

	(void)state;
	assert_int_equal(write(fd, "A=1\nB\n", 6), 6);
	assert_int_equal(envfile_read(path, &env, why), ERR_BAD_REQUEST);
	(void)snprintf(expected, sizeof(expected), "%s:2: no = after", path);
	assert_ptr_equal(strstr(why, expected), why);
	assert_int_equal(env.count, 1);
	envfile_free(&env);
	(void)close(fd);
	(void)unlink(path);
	assert_int_equal(envfile_read(path, &env, why), ERR_BAD_REQUEST);
	assert_non_null(strstr(why, "cannot read: No such file"));
	assert_int_equal(envfile_read("/tmp", &env, why), ERR_BAD_REQUEST);
	assert_int_equal(envfile_read("/dev/zero", &env, why),
	    ERR_BAD_REQUEST);
}

/* Nothing that is put in may make the parser read or write astray (ASan). */
static void
test_random_text(void **state)
{
	static const char alphabet[] = "A=\"'\\\n\r #x\t\0\xff";
	uint64_t seed = unit_seed();
	char why[ENVFILE_WHY_LEN];
	struct envfile env;
	unsigned int line;
	char *text;
	size_t i, len;
	int n;

	(void)state;
	for (n = 0; n < 20000; n++) {
		len = unit_below(&seed, 24);
		text = malloc(len + (len == 0));
		for (i = 0; i < len; i++)
			text[i] = alphabet[unit_below(&seed,
			    sizeof(alphabet) - 1)];
		memset(&env, 0, sizeof(env));
		(void)envfile_parse(text, len, &env, &line, why);
		envfile_free(&env);
		free(text);
	}
}

static void
test_environ_later_wins_in_place(void **state)
{
	static char a[] = "A=1", b[] = "B=qapi://secrets/b", odd[] = "odd",
	    empty[] = "=x";
	char *const envp[] = {a, odd, b, empty, NULL};
	struct environ_set set = {NULL, 0, 0};
	char **built;
	size_t i;

	(void)state;
	assert_int_equal(environ_inherit(&set, envp), 0);
	assert_int_equal(set.count, 4);
	assert_int_equal(set.v[2].kind, ENVIRON_VALUE);
	assert_int_equal(environ_put(&set, "A", 1, "ref", ENVIRON_FILE), 0);
	assert_int_equal(set.v[0].kind, ENVIRON_FILE);
	assert_int_equal(environ_put(&set, "C=x", 1, "3", ENVIRON_LITERAL),
	    0);
	for (i = 0; i < set.count; i++)
		assert_int_equal(environ_fill(&set.v[i], set.v[i].value,
		    strlen(set.v[i].value)), 0);
	assert_int_equal(environ_fill(&set.v[2], "new", 3), 0);
	built = environ_build(&set);
	assert_string_equal(built[0], "A=ref");
	assert_string_equal(built[1], "odd");
	assert_string_equal(built[2], "B=new");
	assert_string_equal(built[3], "=x");
	assert_string_equal(built[4], "C=3");
	assert_null(built[5]);
	free(built);
	environ_free(&set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_quotes),
		cmocka_unit_test(test_errors_have_line),
		cmocka_unit_test(test_read_names_file),
		cmocka_unit_test(test_random_text),
		cmocka_unit_test(test_environ_later_wins_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
