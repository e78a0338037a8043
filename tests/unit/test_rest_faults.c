/*
 * Requests without memory: each runs again and again, another allocation
 * failing each time, until it gets through without.  Nothing may crash, be
 * answered twice or not at all, or be let through that is denied; what is
 * answered may be an error.  Leaks are for the sanitizers and the count of
 * secret memory at the end to find.
 */
#include "config.h"

#include "rest_unit.h"

#include "listing.h"

#define ROUNDS 1000u	/* no request allocates as often as that */

static bool armed;		/* only while the code under test runs */
static unsigned int fail_at;
static bool fail_on;		/* and all that follow */
static unsigned int count;
static unsigned int failed;

void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
char *__real_strdup(const char *s);
void *__real_secmem_malloc(size_t len);
int __real_secmem_alloc(struct secmem *sm, size_t len, enum secmem_use use);

void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
char *__wrap_strdup(const char *s);
void *__wrap_secmem_malloc(size_t len);
int __wrap_secmem_alloc(struct secmem *sm, size_t len, enum secmem_use use);

static bool
fails(void)
{
	if (!armed)
		return false;
	count++;
	if (count < fail_at || (count > fail_at && !fail_on))
		return false;
	failed++;
	return true;
}

void *
__wrap_malloc(size_t len)
{
	return fails() ? NULL : __real_malloc(len);
}

void *
__wrap_calloc(size_t n, size_t len)
{
	return fails() ? NULL : __real_calloc(n, len);
}

char *
__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

void *
__wrap_secmem_malloc(size_t len)
{
	return fails() ? NULL : __real_secmem_malloc(len);
}

int
__wrap_secmem_alloc(struct secmem *sm, size_t len, enum secmem_use use)
{
	return fails() ? ERR_NOMEM : __real_secmem_alloc(sm, len, use);
}

struct scenario {
	uid_t uid;
	const char *method;
	const char *target;
	const char *ref;
	const char *body;
	bool denied;		/* 403, with memory */
};

/* Whatever happened to its memory, it is answered once, and rightly. */
static void
check(struct fixture *f, const struct scenario *s)
{
	if (f->relay_cb != NULL)
		relayed(f, 0, 200, "{}");
	assert_int_equal(f->answers, 1);
	assert_int_equal(f->s.waiting, 0);
	assert_true(f->answer.status >= 200);
	if (f->answer.status < 300)
		assert_false(s->denied);
	else if (failed == 0)
		assert_true(s->denied && f->answer.status == 403);
	assert_int_equal(f->relays > 0 && s->denied, 0);
}

static void
once(const struct scenario *s)
{
	struct rest_request rq = request(s->method, s->target);
	struct fixture *f;
	void *state;

	if (s->ref != NULL)
		rq.ref = unit_view(s->ref);
	if (s->body != NULL) {
		rq.has_body = true;
		rq.body = unit_view(s->body);
	}
	rq.deadline_ms = 60 * SECOND;
	assert_int_equal(set_up(&state), 0);
	f = state;
	open_as(f, s->uid);
	count = failed = 0;
	armed = true;
	if (start(f, &rq) == ERR_AGAIN)
		serve(f);
	armed = false;
	/* what was refused for lack of memory may be tried again for a while */
	while (f->answers == 0 && f->relay_cb == NULL) {
		fake_time_pass(SECOND);
		serve(f);
	}
	check(f, s);
	assert_int_equal(tear_down(&state), 0);
}

static void
again(const struct scenario *s)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		fail_on = i == 1;
		failed = 1;
		for (fail_at = 1; failed > 0 && fail_at < ROUNDS; fail_at++)
			once(s);
		assert_true(fail_at > 2 && fail_at < ROUNDS);
	}
}

static void
test_without_memory(void **state)
{
	static const struct scenario scenarios[] = {
		{ ALL, "GET", "/secrets/sec_1?include=all", NULL, NULL,
		    false },
		{ APP, "GET", "/secrets/db%2Fprod", NULL, NULL, false },
		{ APP, "GET", "/secrets/sec_2", NULL, NULL, true },
		{ ALL, "GET", "/keys/key_1/public?format=pem&include=all",
		    NULL, NULL, false },
		{ ALL, "GET", "/keys/key_1/public?format=jwk", NULL, NULL,
		    false },
		{ APP, "GET", "/secrets?includeInactive=true", NULL, NULL,
		    false },
		{ ALL, "GET", "/secrets", NULL, NULL, false },
		{ NARROW, "PUT", "/secrets/s%65c_2/value", NULL, "{}", false },
		{ NARROW, "PUT", "/secrets/sec_1/value", NULL, "{}", true },
		{ NARROW, "PUT", "/secrets/{id}/value",
		    "qapi://secrets/app/web", "{}", false },
		{ APP, "POST", "/encrypt", NULL, "{\"keyId\":\"key_1\"}",
		    false },
		{ APP, "POST", "/encrypt", NULL,
		    "{\"keyId\":\"key_1\",\"key_id\":\"key_2\"}", true },
		{ APP, "POST", "/decrypt", NULL, "{\"keyId\":\"key_1\","
		    "\"encryptedPayload\":\"eyJrIjoia2V5XzIifQ==\"}", true },
		{ NOBODY, "GET", "/audit", NULL, NULL, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(scenarios); i++)
		again(&scenarios[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, group_setup,
	    unit_secmem_teardown);
}
