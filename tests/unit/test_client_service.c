/*
 * What reaches the service beyond reading: call, encrypt, decrypt, sign and
 * verify, and what must not be sent twice.
 */
#include "config.h"

#include "unit.h"

#include <stdatomic.h>
#include <unistd.h>

#include "err.h"
#include "fake_agent.h"
#include "fake_service.h"
#include "qapi-agent.h"

static const struct fake_value none[] = {{.ref = NULL}};

static struct qapi_agent *
begin(struct fake **f, fake_script *script, void *arg)
{
	struct qapi_agent *a = qapi_agent_new();

	assert_non_null(a);
	*f = fake_start(script, arg);
	assert_int_equal(qapi_agent_set_socket(a, fake_path(*f)), 0);
	qapi_agent_set_timeout_ms(a, 10000);
	return a;
}

static struct qapi_agent *
begin_table(struct fake **f)
{
	return begin(f, fake_serve_table, (void *)(uintptr_t)none);
}

static void
end(struct fake **f, struct qapi_agent **a)
{
	qapi_agent_free(a);
	fake_stop(f);
}

/* --- call ----------------------------------------------------------------- */

static void
test_call_sends_all_and_gives_the_answer(void **state)
{
	struct qapi_agent_reply *reply = NULL;
	struct qapi_agent *a;
	struct fake *f;
	size_t len = 0;
	const char *body;

	(void)state;
	a = begin_table(&f);
	assert_int_equal(qapi_agent_call(a, "PATCH", "/secrets/{id}?x=1",
	    "qapi://secrets/a", NULL, "application/merge", "{\0}", 3, &reply),
	    0);
	assert_int_equal(qapi_agent_reply_status(reply), 200);
	assert_string_equal(qapi_agent_reply_content_type(reply),
	    "text/plain");
	body = qapi_agent_reply_body(reply, &len);
	assert_int_equal(len, strlen(body) + 2);
	assert_string_equal(body, "PATCH /secrets/{id}?x=1 "
	    "ref=qapi://secrets/a type=application/merge data=:{");
	assert_memory_equal(body + len - 3, "{\0}\0", 4);
	assert_int_equal(qapi_agent_reply_freshness(reply),
	    QAPI_AGENT_FRESHNESS_NONE);
	assert_int_equal(qapi_agent_reply_retry_after_ms(reply), 0);
	qapi_agent_reply_free(&reply);
	assert_null(reply);
	qapi_agent_reply_free(&reply);
	/* an empty body is not the same as none */
	assert_int_equal(qapi_agent_call(a, "GET", "/x", NULL, NULL, NULL,
	    NULL, 0, &reply), 0);
	assert_string_equal(qapi_agent_reply_body(reply, NULL),
	    "GET /x ref= type= data=-");
	qapi_agent_reply_free(&reply);
	assert_int_equal(qapi_agent_call(a, "POST", "/x", NULL, NULL, NULL,
	    "", 0, &reply), 0);
	assert_string_equal(qapi_agent_reply_body(reply, NULL),
	    "POST /x ref= type= data=:");
	qapi_agent_reply_free(&reply);
	end(&f, &a);
}

static void
test_call_of_any_status_is_an_answer(void **state)
{
	struct qapi_agent_reply *reply = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin_table(&f);
	assert_int_equal(qapi_agent_call(a, "GET", "/x/404", NULL, NULL, NULL,
	    NULL, 0, &reply), 0);
	assert_int_equal(qapi_agent_reply_status(reply), 404);
	qapi_agent_reply_free(&reply);
	assert_int_equal(qapi_agent_call(a, "GET", "/x/429", NULL, NULL, NULL,
	    NULL, 0, &reply), 0);
	assert_int_equal(qapi_agent_reply_retry_after_ms(reply), 7000);
	qapi_agent_reply_free(&reply);
	end(&f, &a);
}

static void
test_arguments_are_checked_before_anything_is_sent(void **state)
{
	struct qapi_agent_reply *reply = NULL;
	struct qapi_agent_item *item = NULL;
	struct qapi_agent *a;
	static char large[0x100001], longer[5000];
	bool valid = true;
	struct fake *f;

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	a = begin_table(&f);
	assert_int_equal(qapi_agent_call(a, "", "/x", NULL, NULL, NULL, NULL,
	    0, &reply), QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_call(a, "GET", "x", NULL, NULL, NULL, NULL,
	    0, &reply), QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_call(a, "GET", longer, NULL, NULL, NULL,
	    NULL, 0, &reply), QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_call(a, "GET", "/x\r\nHost: y", NULL, NULL,
	    NULL, NULL, 0, &reply), QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_call(a, longer, "/x", NULL, NULL, NULL,
	    NULL, 0, &reply), QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_call(a, "PUT", "/x", NULL, NULL, NULL,
	    large, sizeof(large), &reply), QAPI_AGENT_ERR_TOO_LARGE);
	assert_non_null(strstr(qapi_agent_message(a), "1 MiB"));
	assert_int_equal(qapi_agent_sign(a, NULL, NULL, "x", 1, &item),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_decrypt(a, NULL, NULL, 0, "", 0, &item),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_encrypt(a, NULL, NULL, "\xff", 1, "x", 1,
	    &item), QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_encrypt(a, NULL, NULL, large, 0x8001, "x",
	    1, &item), QAPI_AGENT_ERR_TOO_LARGE);
	assert_int_equal(qapi_agent_verify(a, "k", "x", 1, "", 0, &valid,
	    NULL), QAPI_AGENT_ERR_BAD_REQUEST);
	assert_true(valid);
	assert_int_equal(fake_connections(f), 0);
	/* the largest that may be */
	assert_int_equal(qapi_agent_call(a, "PUT", "/x", NULL, NULL, NULL,
	    large, sizeof(large) - 1, &reply), 0);
	qapi_agent_reply_free(&reply);
	end(&f, &a);
}

/* --- what must not be done twice ------------------------------------------ */

/* Reads a request and hangs up; arg counts them. */
static void
script_swallow(struct fake_conn *c)
{
	atomic_int *seen = c->arg;
	struct frame f;

	if (fake_read(c, &f))
		(void)atomic_fetch_add(seen, 1);
}

static void
test_post_is_never_sent_twice(void **state)
{
	struct qapi_agent_reply *reply = NULL;
	struct qapi_agent_item *item = NULL;
	atomic_int seen = 0;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_swallow, &seen);
	assert_int_equal(qapi_agent_call(a, "POST", "/secrets", NULL, NULL,
	    NULL, "{}", 2, &reply), QAPI_AGENT_ERR_CLOSED);
	assert_int_equal(atomic_load(&seen), 1);
	assert_non_null(strstr(qapi_agent_message(a), "not known"));
	assert_int_equal(qapi_agent_call(a, "DELETE", "/secrets/x", NULL, NULL,
	    NULL, NULL, 0, &reply), QAPI_AGENT_ERR_CLOSED);
	assert_int_equal(atomic_load(&seen), 2);
	/* these can be repeated without harm, and are, once */
	assert_int_equal(qapi_agent_call(a, "GET", "/secrets", NULL, NULL,
	    NULL, NULL, 0, &reply), QAPI_AGENT_ERR_CLOSED);
	assert_int_equal(atomic_load(&seen), 4);
	assert_null(strstr(qapi_agent_message(a), "not known"));
	assert_int_equal(qapi_agent_sign(a, "k", NULL, "x", 1, &item),
	    QAPI_AGENT_ERR_CLOSED);
	assert_int_equal(atomic_load(&seen), 6);
	assert_null(reply);
	end(&f, &a);
}

/* Answers one request and hangs up, which arg is told. */
static void
script_one(struct fake_conn *c)
{
	struct fake_stream stream = {.id = 0};
	struct frame f;

	if (fake_read(c, &f))
		(void)fake_serve_service(c, &f, &stream);
}

static void
test_post_on_a_connection_that_has_ended_gets_another_one(void **state)
{
	struct qapi_agent_reply *reply = NULL;
	struct qapi_agent *a;
	struct fake *f;
	int i;

	(void)state;
	a = begin(&f, script_one, NULL);
	for (i = 1; i <= 5; i++) {
		assert_int_equal(qapi_agent_call(a, "POST", "/x", NULL, NULL,
		    NULL, "1", 1, &reply), 0);
		qapi_agent_reply_free(&reply);
		assert_int_equal(fake_connections(f), i);
		/* so that the end of this one can be seen */
		fake_wait_closed(f, (unsigned int)i);
	}
	end(&f, &a);
}

/* --- keys ----------------------------------------------------------------- */

static void
check_round(struct qapi_agent *a, const void *data, size_t len)
{
	struct qapi_agent_item *sealed = NULL, *opened = NULL;
	const void *p;
	size_t n;

	assert_int_equal(qapi_agent_encrypt(a, "k", "ML-KEM-768", "row 7", 5,
	    data, len, &sealed), 0);
	p = qapi_agent_item_value(sealed, &n);
	assert_int_equal(n, 1 + 1 + 1 + 5 + 1 + 2 * len);
	assert_memory_equal(p, "Pk.row 7.", 9);
	assert_int_equal(qapi_agent_decrypt(a, NULL, "row 7", 5, p, n,
	    &opened), 0);
	p = qapi_agent_item_value(opened, &n);
	assert_non_null(p);
	assert_int_equal(n, len);
	if (len > 0)
		assert_memory_equal(p, data, len);
	qapi_agent_item_free(&sealed);
	qapi_agent_item_free(&opened);
}

static void
test_encrypt_and_decrypt(void **state)
{
	struct qapi_agent_item *item = NULL;
	struct qapi_agent *a;
	static uint8_t all[0x40000];
	struct fake *f;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)(i * 7);
	a = begin_table(&f);
	check_round(a, "a\0b\n", 4);
	check_round(a, "", 0);
	check_round(a, all, sizeof(all));
	assert_int_equal(qapi_agent_decrypt(a, NULL, "row 8", 5,
	    "Pk.row 7.00", 11, &item), QAPI_AGENT_ERR_BAD_REQUEST);
	assert_non_null(strstr(qapi_agent_message(a), "cannot decrypt"));
	assert_int_equal(qapi_agent_encrypt(a, "none", NULL, NULL, 0, "x", 1,
	    &item), QAPI_AGENT_ERR_NOT_FOUND);
	assert_null(item);
	/* an ERROR to one request does not cost the connection */
	assert_int_equal(fake_connections(f), 1);
	end(&f, &a);
}

static void
test_sign_and_verify(void **state)
{
	struct qapi_agent_item *item = NULL;
	enum qapi_agent_by by = 0;
	struct qapi_agent *a;
	bool valid = false;
	struct fake *f;
	const uint8_t *sig;
	size_t len;

	(void)state;
	a = begin_table(&f);
	assert_int_equal(qapi_agent_sign(a, "local", NULL, "data", 4, &item),
	    0);
	sig = qapi_agent_item_value(item, &len);
	assert_int_equal(len, 64);
	assert_int_equal(qapi_agent_verify(a, "local", "data", 4, sig, len,
	    &valid, &by), 0);
	assert_true(valid);
	assert_int_equal(by, QAPI_AGENT_BY_AGENT);
	assert_int_equal(qapi_agent_verify(a, "far", "data", 4, sig, len,
	    &valid, &by), 0);
	assert_false(valid);
	assert_int_equal(by, QAPI_AGENT_BY_SERVICE);
	assert_int_equal(qapi_agent_verify(a, "local", "date", 4, sig, len,
	    &valid, NULL), 0);
	assert_false(valid);
	valid = true;
	assert_int_equal(qapi_agent_verify(a, "none", "data", 4, sig, len,
	    &valid, &by), QAPI_AGENT_ERR_NOT_FOUND);
	assert_true(valid);
	qapi_agent_item_free(&item);
	end(&f, &a);
}

/* --- odd peers ------------------------------------------------------------ */

/* The answer of another message. */
static void
script_wrong(struct fake_conn *c)
{
	struct frame f;

	while (fake_read(c, &f)) {
		if (f.type == FRAME_SIGN)
			fake_send_called(c, f.id, 200, NULL, "x", 1);
		else
			fake_send_value(c, f.id, 0, false, "v", 1);
	}
}

static void
test_answer_of_another_kind_is_refused(void **state)
{
	struct qapi_agent_reply *reply = NULL;
	struct qapi_agent_item *item = NULL;
	struct qapi_agent *a;
	bool valid;
	struct fake *f;

	(void)state;
	a = begin(&f, script_wrong, NULL);
	assert_int_equal(qapi_agent_call(a, "GET", "/", NULL, NULL, NULL, NULL,
	    0, &reply), QAPI_AGENT_ERR_INTERNAL);
	assert_int_equal(qapi_agent_verify(a, "k", "d", 1, "s", 1, &valid,
	    NULL), QAPI_AGENT_ERR_INTERNAL);
	assert_int_equal(qapi_agent_sign(a, "k", NULL, "d", 1, &item),
	    QAPI_AGENT_ERR_INTERNAL);
	assert_non_null(strstr(qapi_agent_message(a), "makes no sense"));
	end(&f, &a);
}

/* The head of an answer, some of its body, and the end. */
static void
script_cut(struct fake_conn *c)
{
	uint8_t head[FRAME_HEADER_LEN + 10] = {0, 0, 1, 0, 1, FRAME_CALLED};
	struct frame f;

	if (!fake_read(c, &f))
		return;
	be_put_u64(head + 8, f.id);
	fake_send(c, head, sizeof(head));
}

static void
test_answer_that_is_cut_is_no_answer(void **state)
{
	struct qapi_agent_reply *reply = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_cut, NULL);
	assert_int_equal(qapi_agent_call(a, "POST", "/", NULL, NULL, NULL,
	    NULL, 0, &reply), QAPI_AGENT_ERR_CLOSED);
	assert_int_equal(fake_connections(f), 1);
	end(&f, &a);
}

/* Random bytes after a valid head: nothing but an error may come of it. */
static void
script_random(struct fake_conn *c)
{
	uint64_t *seed = c->arg;
	uint8_t buf[256];
	struct frame f;
	size_t i, len;

	while (fake_read(c, &f)) {
		len = unit_below(seed, sizeof(buf) - FRAME_HEADER_LEN);
		memset(buf, 0, FRAME_HEADER_LEN);
		buf[3] = (uint8_t)len;
		buf[4] = 1;
		buf[5] = unit_below(seed, 4) == 0 ? FRAME_RESULT
		    : (uint8_t)(FRAME_CALLED + unit_below(seed, 3));
		be_put_u64(buf + 8, f.id);
		for (i = 0; i < len; i++)
			buf[FRAME_HEADER_LEN + i] = unit_below(seed, 3) > 0
			    ? (uint8_t)unit_below(seed, 4)
			    : (uint8_t)unit_below(seed, 256);
		/* a field that there is, often, and its length */
		if (len > 6 && unit_below(seed, 4) > 0) {
			buf[17] = unit_below(seed, 2) == 0 ? 0x2f : 0x90;
			buf[16] = buf[18] = buf[19] = buf[20] = 0;
			buf[21] = (uint8_t)(len - 6);
		}
		fake_send(c, buf, FRAME_HEADER_LEN + len);
		if (unit_below(seed, 2) == 0)
			return;
	}
}

static int
ignore(void *arg, const void *bytes, size_t len)
{
	(void)arg;
	(void)bytes;
	(void)len;
	return 0;
}

static void
test_random_answers(void **state)
{
	struct qapi_agent_stream *stream = NULL;
	struct qapi_agent_reply *reply = NULL;
	struct qapi_agent_item *item = NULL;
	uint64_t seed = unit_seed();
	struct qapi_agent *a;
	bool valid;
	struct fake *f;
	int i;

	(void)state;
	a = begin(&f, script_random, &seed);
	qapi_agent_set_timeout_ms(a, 1);
	for (i = 0; i < 60; i++) {
		if (qapi_agent_call(a, "GET", "/x", NULL, NULL, NULL, NULL, 0,
		    &reply) == 0)
			qapi_agent_reply_free(&reply);
		if (qapi_agent_encrypt(a, "k", NULL, NULL, 0, "x", 1, &item) ==
		    0)
			qapi_agent_item_free(&item);
		(void)qapi_agent_verify(a, "k", "x", 1, "s", 1, &valid, NULL);
		/* the fake serves one connection at a time */
		assert_int_equal(qapi_agent_set_socket(a, fake_path(f)), 0);
		if (qapi_agent_seal(a, "k", NULL, 0, ignore, NULL, &stream) !=
		    0)
			continue;
		(void)qapi_agent_stream_write(stream, "x", 1);
		(void)qapi_agent_stream_end(stream);
		qapi_agent_stream_free(&stream);
	}
	end(&f, &a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call_sends_all_and_gives_the_answer),
		cmocka_unit_test(test_call_of_any_status_is_an_answer),
		cmocka_unit_test(
		    test_arguments_are_checked_before_anything_is_sent),
		cmocka_unit_test(test_post_is_never_sent_twice),
		cmocka_unit_test(
		    test_post_on_a_connection_that_has_ended_gets_another_one),
		cmocka_unit_test(test_encrypt_and_decrypt),
		cmocka_unit_test(test_sign_and_verify),
		cmocka_unit_test(test_answer_of_another_kind_is_refused),
		cmocka_unit_test(test_answer_that_is_cut_is_no_answer),
		cmocka_unit_test(test_random_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
