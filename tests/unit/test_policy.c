#include "config.h"

#include "policy.h"

#include <unistd.h>

#include "err.h"
#include "peer.h"
#include "policy_path.h"
#include "unit.h"

#define OTHER 54321		/* neither root nor the agent */

static char why[400];

static struct view
view(const char *text)
{
	struct view v = {(const uint8_t *)text, strlen(text)};

	return v;
}

static void
set(struct policy *pol, const char *key, const char *value)
{
	int r = policy_rule_set(pol, key, value, why, sizeof(why));

	if (r != 0)
		fail_msg("%s=%s: %s", key, value, why);
}

/* A policy with one rule; keys and values alternate up to NULL. */
static struct policy *
one_rule(const char *key, const char *value, ...)
{
	struct policy *pol = policy_new(false);
	va_list ap;

	assert_non_null(pol);
	assert_int_equal(policy_rule_begin(pol, "rule"), 0);
	va_start(ap, value);
	while (key != NULL) {
		set(pol, key, value);
		key = va_arg(ap, const char *);
		if (key != NULL)
			value = va_arg(ap, const char *);
	}
	va_end(ap);
	return pol;
}

/* May p call that, which is about no secret or key? */
static bool
may_call(const struct policy *pol, struct peer *p, const char *method,
    const char *path, const char **title)
{
	char plain[POLICY_PATH_MAX];
	struct policy_call call = {.method = method};

	if (policy_path_normalise(view(path), plain, sizeof(plain)) == 0)
		call.path = plain;
	return policy_check_call(pol, p, &call, title) == POLICY_ALLOWED;
}

static struct peer *
user(uid_t uid)
{
	struct peer *p = peer_new_fake(uid, uid, NULL, 0, NULL, NULL);

	assert_non_null(p);
	return p;
}

static enum policy_verdict
ask(const struct policy *pol, struct peer *p, enum policy_op op,
    const char *name, const char *id)
{
	const char *title = "unset";
	enum policy_verdict v;

	v = policy_check(pol, p, op, REF_SECRET, view(name), view(id), &title);
	if (v == POLICY_DENIED)
		assert_null(title);
	else
		assert_non_null(title);
	assert_int_equal(policy_check(pol, p, op, REF_SECRET, view(name),
			     view(id), NULL), v);
	return v;
}

/* Does a rule of these lines let this peer read? */
static bool
who_matches(struct policy *pol, struct peer *p)
{
	enum policy_verdict v;

	set(pol, "secrets", "**");
	v = ask(pol, p, POLICY_READ, "x", "1");
	policy_free(pol);
	peer_free(p);
	return v == POLICY_ALLOWED;
}

/* --- who --- */

static void
test_nobody_without_rules(void **state)
{
	struct policy *pol = policy_new(false);
	struct peer *p = user(OTHER);

	(void)state;
	assert_int_equal(ask(pol, p, POLICY_READ, "x", "1"), POLICY_DENIED);
	assert_false(policy_may(pol, p, POLICY_ADMIN));
	assert_false(policy_covers_all(pol, p, POLICY_READ, REF_SECRET));
	assert_false(may_call(pol, p, "GET", "/x", NULL));
	peer_free(p);
	policy_free(pol);
	policy_free(NULL);
}

static void
expect_exempt(const struct policy *pol, uid_t uid, const char *expected)
{
	const char *title = "unset";
	struct peer *p = user(uid);
	bool yes = expected != NULL;

	assert_int_equal(policy_check(pol, p, POLICY_ADMIN, REF_KEY, view("x"),
			     view(""), &title),
	    yes ? POLICY_ALLOWED : POLICY_DENIED);
	if (yes)
		assert_string_equal(title, expected);
	else
		assert_null(title);
	assert_int_equal(policy_may(pol, p, POLICY_ADMIN), yes);
	assert_int_equal(policy_covers_all(pol, p, POLICY_READ, REF_KEY), yes);
	assert_int_equal(may_call(pol, p, "GET", "/../x", &title), yes);
	peer_free(p);
}

static void
test_root_and_the_agent_need_no_rule(void **state)
{
	struct policy *pol = policy_new(false);

	(void)state;
	expect_exempt(pol, 0, "root");
	if (geteuid() != 0)
		expect_exempt(pol, geteuid(), "agent");
	expect_exempt(pol, OTHER, NULL);
	policy_set_root_needs_rule(pol, true);
	expect_exempt(pol, 0, NULL);
	if (geteuid() != 0)
		expect_exempt(pol, geteuid(), "agent");
	policy_free(pol);
	pol = policy_new(true);
	expect_exempt(pol, 0, NULL);
	policy_free(pol);
}

/* Whoever runs the agent, and though root itself needs none. */
static void
test_http_needs_a_rule(void **state)
{
	struct policy *pol = policy_new(false);
	struct peer *http = peer_new_http();

	(void)state;
	assert_non_null(pol);
	assert_non_null(http);
	assert_false(policy_is_exempt(pol, http));
	assert_false(policy_covers_all(pol, http, POLICY_READ, REF_SECRET));
	assert_false(policy_may(pol, http, POLICY_CALL));
	peer_free(http);
	policy_free(pol);
}

static void
test_user(void **state)
{
	(void)state;
	assert_true(who_matches(one_rule("user", "54321", NULL), user(OTHER)));
	assert_true(who_matches(one_rule("user", " 7 , 54321 ", NULL),
	    user(OTHER)));
	assert_false(who_matches(one_rule("user", "54320", NULL),
	    user(OTHER)));
	assert_true(who_matches(one_rule("user", "*", NULL), user(OTHER)));
	assert_true(who_matches(one_rule("user", "nobody", NULL),
	    user(65534)));
}

static void
test_http_is_its_own_user(void **state)
{
	(void)state;
	assert_true(who_matches(one_rule("user", "http", NULL),
	    peer_new_http()));
	assert_false(who_matches(one_rule("user", "http", NULL), user(OTHER)));
	/* everyone of the system does not mean the network's socket */
	assert_false(who_matches(one_rule("user", "*", NULL),
	    peer_new_http()));
	assert_false(who_matches(one_rule("user", "0,54321", NULL),
	    peer_new_http()));
}

static void
test_group(void **state)
{
	const gid_t groups[] = {100, 200};

	(void)state;
	assert_true(who_matches(one_rule("group", "54321", NULL),
	    user(OTHER))); /* the primary one */
	assert_true(who_matches(one_rule("group", "7,200", NULL),
	    peer_new_fake(OTHER, 1, groups, 2, NULL, NULL)));
	assert_false(who_matches(one_rule("group", "300", NULL),
	    peer_new_fake(OTHER, 1, groups, 2, NULL, NULL)));
	assert_true(who_matches(one_rule("group", "nogroup", NULL),
	    peer_new_fake(OTHER, 65534, NULL, 0, NULL, NULL)));
}

static struct peer *
service(const char *unit, const char *exe)
{
	struct peer *p = peer_new_fake(OTHER, OTHER, NULL, 0, unit, exe);

	assert_non_null(p);
	return p;
}

static void
test_unit_and_exe(void **state)
{
	(void)state;
	assert_true(who_matches(one_rule("unit", "web@*.service", NULL),
	    service("web@1.service", NULL)));
	assert_true(who_matches(one_rule("unit", "a.service,b.service", NULL),
	    service("b.service", NULL)));
	assert_false(who_matches(one_rule("unit", "web.service", NULL),
	    service("web2.service", NULL)));
	assert_false(who_matches(one_rule("unit", "**", NULL),
	    service(NULL, NULL)));
	assert_true(who_matches(one_rule("exe", "/usr/bin/*", NULL),
	    service(NULL, "/usr/bin/psql")));
	assert_false(who_matches(one_rule("exe", "/usr/*", NULL),
	    service(NULL, "/usr/bin/psql")));
	assert_false(who_matches(one_rule("exe", "/**", NULL),
	    service(NULL, NULL)));
}

static void
test_every_line_must_match(void **state)
{
	(void)state;
	assert_true(who_matches(one_rule("user", "54321", "group", "54321",
				    "unit", "a.service", "exe", "/a", NULL),
	    service("a.service", "/a")));
	assert_false(who_matches(one_rule("user", "1", "group", "54321",
				     "unit", "a.service", "exe", "/a", NULL),
	    service("a.service", "/a")));
	assert_false(who_matches(one_rule("user", "54321", "group", "1",
				     "unit", "a.service", "exe", "/a", NULL),
	    service("a.service", "/a")));
	assert_false(who_matches(one_rule("user", "54321", "group", "54321",
				     "unit", "b.service", "exe", "/a", NULL),
	    service("a.service", "/a")));
	assert_false(who_matches(one_rule("user", "54321", "group", "54321",
				     "unit", "a.service", "exe", "/b", NULL),
	    service("a.service", "/a")));
}

static void
test_rule_without_who_is_a_fault_and_matches_nobody(void **state)
{
	struct policy *pol = one_rule("secrets", "**", NULL);
	struct peer *p = user(OTHER);

	(void)state;
	assert_int_equal(policy_rule_end(pol, why, sizeof(why)),
	    ERR_BAD_REQUEST);
	assert_non_null(strstr(why, "user=*"));
	assert_int_equal(ask(pol, p, POLICY_READ, "x", "1"), POLICY_DENIED);
	set(pol, "user", "*");
	assert_int_equal(policy_rule_end(pol, why, sizeof(why)), 0);
	peer_free(p);
	policy_free(pol);
}

/* --- what --- */

static void
test_names(void **state)
{
	struct policy *pol = one_rule("user", "*", "secrets",
	    "db/*, web/**", NULL);
	struct peer *p = user(OTHER);

	(void)state;
	assert_int_equal(ask(pol, p, POLICY_READ, "db/a", "1"),
	    POLICY_ALLOWED);
	assert_int_equal(ask(pol, p, POLICY_READ, "db/a", ""), POLICY_ALLOWED);
	assert_int_equal(ask(pol, p, POLICY_READ, "db/a/b", "1"),
	    POLICY_DENIED);
	assert_int_equal(ask(pol, p, POLICY_READ, "web/a/b", "1"),
	    POLICY_ALLOWED);
	/* asked by id: the name decides, so it has to be known */
	assert_int_equal(ask(pol, p, POLICY_READ, "", "1"), POLICY_MAYBE);
	/* an id that looks like an allowed name is none */
	assert_int_equal(ask(pol, p, POLICY_READ, "x", "db/a"),
	    POLICY_DENIED);
	/* keys are other things */
	assert_int_equal(policy_check(pol, p, POLICY_READ, REF_KEY,
			     view("db/a"), view("1"), NULL), POLICY_DENIED);
	peer_free(p);
	policy_free(pol);
}

static void
test_ids(void **state)
{
	struct policy *pol = one_rule("user", "*", "keys", "id:0197-*", NULL);
	struct peer *p = user(OTHER);

	(void)state;
	set(pol, "secrets", "id:0197-*");
	assert_int_equal(ask(pol, p, POLICY_READ, "x", "0197-1"),
	    POLICY_ALLOWED);
	assert_int_equal(ask(pol, p, POLICY_READ, "", "0197-1"),
	    POLICY_ALLOWED);
	assert_int_equal(ask(pol, p, POLICY_READ, "x", "0198-1"),
	    POLICY_DENIED);
	assert_int_equal(ask(pol, p, POLICY_READ, "x", ""), POLICY_MAYBE);
	assert_int_equal(ask(pol, p, POLICY_READ, "0197-1", "0198-1"),
	    POLICY_DENIED);
	assert_int_equal(policy_check(pol, p, POLICY_READ, REF_KEY, view("k"),
			     view("0197-2"), NULL), POLICY_ALLOWED);
	peer_free(p);
	policy_free(pol);
}

static void
test_covers_all(void **state)
{
	static const struct {
		const char *globs;
		bool all;
	} rows[] = {
	    {"**", true}, {"x,**", true}, {"id:*", true}, {"id:**", true},
	    {"*", false}, {"**/*", false}, {"x", false},
	};
	struct peer *p = user(OTHER);
	struct policy *pol;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		pol = one_rule("user", "*", "secrets", rows[i].globs, NULL);
		assert_int_equal(policy_covers_all(pol, p, POLICY_READ,
				     REF_SECRET), rows[i].all);
		assert_false(policy_covers_all(pol, p, POLICY_READ, REF_KEY));
		assert_false(policy_covers_all(pol, p, POLICY_LIST,
		    REF_SECRET));
		/* and then nothing need be known to allow it */
		assert_int_equal(ask(pol, p, POLICY_READ, "", ""),
		    rows[i].all ? POLICY_ALLOWED : POLICY_MAYBE);
		policy_free(pol);
	}
	peer_free(p);
}

static void
test_operations(void **state)
{
	struct policy *pol = one_rule("user", "*", "secrets", "**", NULL);
	struct peer *p = user(OTHER);
	unsigned int op;

	(void)state;
	for (op = POLICY_READ; op <= POLICY_ADMIN; op <<= 1)
		assert_int_equal(ask(pol, p, op, "x", "1"),
		    op == POLICY_READ || op == POLICY_WATCH ? POLICY_ALLOWED :
			POLICY_DENIED);
	policy_free(pol);
	pol = one_rule("user", "*", "secrets", "**", "operations",
	    "list, admin", NULL);
	for (op = POLICY_READ; op <= POLICY_ADMIN; op <<= 1) {
		assert_int_equal(ask(pol, p, op, "x", "1"),
		    op == POLICY_LIST || op == POLICY_ADMIN ? POLICY_ALLOWED :
			POLICY_DENIED);
		assert_int_equal(policy_may(pol, p, op),
		    op == POLICY_LIST || op == POLICY_ADMIN);
	}
	policy_free(pol);
	peer_free(p);
}

static void
test_operation_names_are_in_the_order_of_the_bits(void **state)
{
	struct peer *p = user(OTHER);
	struct policy *pol;
	unsigned int i;

	(void)state;
	for (i = 0; policy_operations[i] != NULL; i++) {
		pol = one_rule("user", "*", "operations",
		    policy_operations[i], NULL);
		assert_true(policy_may(pol, p, (enum policy_op)(1U << i)));
		policy_free(pol);
	}
	assert_int_equal(1U << (i - 1), POLICY_ADMIN);
	assert_string_equal(policy_operations[4], "decrypt");
	peer_free(p);
}

static void
test_first_rule_that_allows_gives_the_title(void **state)
{
	struct policy *pol = one_rule("user", "*", "secrets", "id:9", NULL);
	struct peer *p = user(OTHER);
	const char *title;

	(void)state;
	assert_int_equal(policy_rule_begin(pol, "second"), 0);
	set(pol, "user", "54321");
	set(pol, "secrets", "db/*");
	assert_int_equal(policy_rule_begin(pol, "third"), 0);
	set(pol, "user", "54321");
	set(pol, "secrets", "**");
	assert_int_equal(policy_check(pol, p, POLICY_READ, REF_SECRET,
			     view("db/a"), view(""), &title), POLICY_ALLOWED);
	assert_string_equal(title, "second");
	assert_int_equal(policy_check(pol, p, POLICY_READ, REF_SECRET,
			     view("x"), view(""), &title), POLICY_ALLOWED);
	assert_string_equal(title, "third");
	peer_free(p);
	p = user(7);
	assert_int_equal(policy_check(pol, p, POLICY_READ, REF_SECRET,
			     view("db/a"), view(""), &title), POLICY_MAYBE);
	assert_string_equal(title, "rule");
	peer_free(p);
	policy_free(pol);
}

/* --- call --- */

static void
test_call(void **state)
{
	static const struct {
		const char *method;
		const char *path;
		bool allowed;
	} rows[] = {
	    {"GET", "/secrets", true},
	    {"get", "secrets", true},
	    {"GET", "/api/v1/secrets", true},
	    {"GET", "/secrets?page=2", true},
	    {"GET", "/%73ecrets", true},
	    {"HEAD", "/secrets", true},
	    {"POST", "/secrets", false},
	    {"GET", "/secrets/1", false},
	    {"GET", "/api/v10/secrets", false},
	    {"DELETE", "/keys/1", true},
	    {"POST", "/keys/1/rotate", true},
	    {"GET", "/keys", false},
	    {"GET", "/keys/../billing", false},
	    {"GET", "/keys/%2e%2e/billing", false},
	    {"GET", "/keys/.", false},
	    {"GET", "/keys//1", false},
	    {"GET", "/keys/a%2fb", false},
	    {"GET", "/keys/a%252fb", false},
	    {"GET", "/keys/a\\b", false},
	    {"GET", "/keys/a%0ab", false},
	    {"GET", "/keys/a%0", false},
	    {"GET", "/keys/a%zz", false},
	    {"GET", "//secrets", false},
	    {"GET", "", false},
	};
	struct policy *pol = one_rule("user", "*", "operations", "call",
	    "paths", "GET /api/v1/secrets, * keys/**", NULL);
	struct peer *p = user(OTHER);
	const char *title;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		if (may_call(pol, p, rows[i].method, rows[i].path, &title) !=
		    rows[i].allowed)
			fail_msg("%s %s", rows[i].method, rows[i].path);
		if (rows[i].allowed)
			assert_string_equal(title, "rule");
		else
			assert_null(title);
	}
	peer_free(p);
	policy_free(pol);
}

/* What a request about that is to the rule: its name or id may be unknown. */
static enum policy_verdict
about(const struct policy *pol, enum ref_kind kind, const char *name,
    const char *id)
{
	const struct policy_call call = {
	    .method = "GET",
	    .path = "/secrets/x",
	    .about = true,
	    .kind = kind,
	    .name = view(name),
	    .id = view(id),
	};
	struct peer *p = user(OTHER);
	const char *title = "unset";
	enum policy_verdict v = policy_check_call(pol, p, &call, &title);

	assert_true((title == NULL) == (v == POLICY_DENIED));
	peer_free(p);
	return v;
}

static void
test_call_about_a_secret(void **state)
{
	struct policy *pol = one_rule("user", "*", "operations", "call",
	    "paths", "GET /secrets/*", NULL);

	(void)state;
	/* a rule that names none is about each */
	assert_int_equal(about(pol, REF_SECRET, "", ""), POLICY_ALLOWED);
	assert_int_equal(about(pol, REF_KEY, "k", ""), POLICY_ALLOWED);
	set(pol, "secrets", "db/*,id:sec_9");
	assert_int_equal(about(pol, REF_SECRET, "db/a", ""), POLICY_ALLOWED);
	assert_int_equal(about(pol, REF_SECRET, "", "sec_9"), POLICY_ALLOWED);
	assert_int_equal(about(pol, REF_SECRET, "x", "sec_1"), POLICY_DENIED);
	assert_int_equal(about(pol, REF_SECRET, "", "sec_1"), POLICY_MAYBE);
	assert_int_equal(about(pol, REF_SECRET, "", ""), POLICY_MAYBE);
	/* and then it is about no key */
	assert_int_equal(about(pol, REF_KEY, "db/a", ""), POLICY_DENIED);
	policy_free(pol);

	pol = one_rule("user", "*", "operations", "call", "paths",
	    "POST /secrets/*", "secrets", "**", NULL);
	assert_int_equal(about(pol, REF_SECRET, "a", ""), POLICY_DENIED);
	policy_free(pol);
}

static void
expect_closest(const struct policy *pol, uid_t uid, unsigned int op,
    const char *path, const char *expected)
{
	const struct policy_call call = {.method = "GET", .path = path};
	struct peer *p = user(uid);
	const char *title = policy_closest(pol, p, op, &call);

	if (expected == NULL)
		assert_null(title);
	else
		assert_string_equal(title, expected);
	peer_free(p);
}

static void
test_closest(void **state)
{
	struct policy *pol = policy_new(false);

	(void)state;
	expect_closest(pol, OTHER, POLICY_READ, "/x", NULL);
	assert_int_equal(policy_rule_begin(pol, "who"), 0);
	set(pol, "user", "54321");
	set(pol, "operations", "watch");
	assert_int_equal(policy_rule_begin(pol, "reads"), 0);
	set(pol, "user", "54321");
	set(pol, "secrets", "a");
	expect_closest(pol, OTHER, POLICY_READ, "/x", "reads");
	expect_closest(pol, OTHER, POLICY_SIGN, "/x", "who");
	expect_closest(pol, OTHER, 0, NULL, "who");
	assert_int_equal(policy_rule_begin(pol, "calls"), 0);
	set(pol, "user", "54321");
	set(pol, "operations", "call");
	set(pol, "paths", "GET /y");
	/* the first of those that are as close */
	expect_closest(pol, OTHER, POLICY_READ, "/x", "reads");
	expect_closest(pol, OTHER, POLICY_SIGN, "/x", "calls");
	expect_closest(pol, OTHER, POLICY_READ, "/y", "calls");
	expect_closest(pol, 54320, POLICY_READ, "/y", NULL);
	policy_free(pol);
}

static void
test_paths_that_never_match(void **state)
{
	static const char *const bad[] = {"GET /a//b", "GET /a/../b",
	    "GET /./a", "* /a/%2f", "GET /a%20b", "GET /a%", "GET /a%4",
	    "GET /a\\b", "GET /a/", "GET //a", "GET https://h/a",
	    "GET /api/v1//a"};
	static const char *const good[] = {"GET /a/**", "* **", "GET /a%2Fb",
	    "GET /a%25", "GET /a%0A", "* /a b", "GET a", "* /"};
	struct policy *pol = policy_new(false);
	size_t i;

	(void)state;
	assert_int_equal(policy_rule_begin(pol, "rule"), 0);
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		if (policy_rule_set(pol, "paths", bad[i], why, sizeof(why)) !=
		    ERR_BAD_REQUEST)
			fail_msg("%s was taken", bad[i]);
		assert_non_null(strstr(why, "no request would ever match"));
	}
	for (i = 0; i < UNIT_COUNT(good); i++)
		set(pol, "paths", good[i]);
	policy_free(pol);
}

static void
test_call_needs_the_operation(void **state)
{
	struct policy *pol = one_rule("user", "*", "paths", "* **", NULL);
	struct peer *p = user(OTHER);
	char path[2000];

	(void)state;
	assert_false(may_call(pol, p, "GET", "/x", NULL));
	set(pol, "operations", "call");
	assert_true(may_call(pol, p, "GET", "/x/y", NULL));
	assert_true(may_call(pol, p, "GET", "/api/v1", NULL));
	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_false(may_call(pol, p, "GET", path, NULL));
	peer_free(p);
	policy_free(pol);
}

/* --- faults --- */

static void
test_set_faults(void **state)
{
	static const struct {
		const char *key;
		const char *value;
		const char *says;
	} rows[] = {
	    {"user", "no-such-user-here", "no such user"},
	    {"user", "4294967295", "no such user"},
	    {"user", "99999999999999999999999", "no such user"},
	    {"user", "", "leave the line out"},
	    {"user", "1,,2", "between two commas"},
	    {"user", "1,", "between two commas"},
	    {"group", "no-such-group-here", "no such group"},
	    {"group", "*", "no such group"},
	    {"exe", "psql", "absolute path"},
	    {"secrets", "qapi://secrets/x", "no references"},
	    {"secrets", "id:", "1 to 1023 bytes"},
	    {"paths", "GET", "METHOD GLOB"},
	    {"paths", "/secrets", "METHOD GLOB"},
	    {"paths", "GTE /secrets", "GET /secrets"},
	    {"operations", "raed", "\"read\""},
	    {"operations", "everything", "sign, verify"},
	};
	char big[1100];
	struct policy *pol = one_rule("user", "*", NULL);
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		why[0] = '\0';
		assert_int_equal(policy_rule_set(pol, rows[i].key,
				     rows[i].value, why, sizeof(why)),
		    ERR_BAD_REQUEST);
		if (strstr(why, rows[i].says) == NULL)
			fail_msg("%s=%s says: %s", rows[i].key, rows[i].value,
			    why);
	}
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(policy_rule_set(pol, "secrets", big, why,
			     sizeof(why)), ERR_BAD_REQUEST);
	memcpy(big, "GET ", 4);
	assert_int_equal(policy_rule_set(pol, "paths", big, why, sizeof(why)),
	    ERR_BAD_REQUEST);
	assert_int_equal(policy_rule_set(pol, "users", "1", why, sizeof(why)),
	    ERR_NOT_FOUND);
	policy_free(pol);
}

static void
test_every_key_is_known(void **state)
{
	size_t i;
	int r;
	struct policy *pol = one_rule("user", "*", NULL);

	(void)state;
	for (i = 0; policy_keys[i] != NULL; i++) {
		r = policy_rule_set(pol, policy_keys[i], "", why, sizeof(why));
		assert_int_equal(r, ERR_BAD_REQUEST);
	}
	policy_free(pol);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nobody_without_rules),
	    cmocka_unit_test(test_root_and_the_agent_need_no_rule),
	    cmocka_unit_test(test_http_needs_a_rule),
	    cmocka_unit_test(test_user),
	    cmocka_unit_test(test_http_is_its_own_user),
	    cmocka_unit_test(test_group),
	    cmocka_unit_test(test_unit_and_exe),
	    cmocka_unit_test(test_every_line_must_match),
	    cmocka_unit_test(
		test_rule_without_who_is_a_fault_and_matches_nobody),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_ids),
	    cmocka_unit_test(test_covers_all),
	    cmocka_unit_test(test_operations),
	    cmocka_unit_test(
		test_operation_names_are_in_the_order_of_the_bits),
	    cmocka_unit_test(test_first_rule_that_allows_gives_the_title),
	    cmocka_unit_test(test_call),
	    cmocka_unit_test(test_call_about_a_secret),
	    cmocka_unit_test(test_closest),
	    cmocka_unit_test(test_paths_that_never_match),
	    cmocka_unit_test(test_call_needs_the_operation),
	    cmocka_unit_test(test_set_faults),
	    cmocka_unit_test(test_every_key_is_known),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
