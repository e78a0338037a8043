/*
 * What the library asks about: positions, reject, explain, metrics, drills.
 */
#include "config.h"

#include "unit.h"

#include "err.h"
#include "fake_agent.h"
#include "msg_report.h"
#include "msg_watch.h"
#include "qapi-agent.h"

#define A "qapi://secrets/a"

static struct qapi_agent *
begin(struct fake **f, fake_script *script, void *arg)
{
	struct qapi_agent *a = qapi_agent_new();

	assert_non_null(a);
	*f = fake_start(script, arg);
	assert_int_equal(qapi_agent_set_socket(a, fake_path(*f)), 0);
	qapi_agent_set_timeout_ms(a, 5000);
	return a;
}

static void
end(struct fake **f, struct qapi_agent **a)
{
	qapi_agent_free(a);
	fake_stop(f);
}

static struct view
view_of(const char *text)
{
	struct view v = {(const uint8_t *)text, strlen(text)};

	return v;
}

static const uint8_t position[MSG_POSITION_LEN] = "0123456789abcde";

/* --- positions and reject ------------------------------------------------ */

/* What a REJECT said; read after fake_stop(). */
struct rejected {
	uint64_t version;
	uint64_t deadline_ms;
	bool has_position;
};

/* A value with its position only where that was asked for; then REJECTs. */
static void
script_reject(struct fake_conn *c)
{
	struct msg_result m = {.content = MSG_CONTENT_TEXT};
	struct rejected *said = c->arg;
	struct msg_reject reject;
	struct msg_refs refs;
	struct frame f;

	while (fake_read(c, &f)) {
		msg_meta_init(&m.meta);
		m.meta.version = 7;
		m.value = view_of("v");
		m.position.len = 0;
		if (f.type == FRAME_GET) {
			assert_int_equal(msg_refs_decode(f.body, &refs), 0);
			if (refs.terms.flags == MSG_TERM_WANT_POSITION)
				m.position = (struct view){position,
				    sizeof(position)};
			fake_send_result(c, f.id, false, &m);
			continue;
		}
		assert_int_equal(f.type, FRAME_REJECT);
		assert_int_equal(msg_reject_decode(f.body, &reject), 0);
		assert_int_equal(reject.ref.len, strlen(A));
		said->version = reject.version;
		said->deadline_ms = reject.deadline_ms;
		said->has_position = reject.position.len > 0;
		if (said->has_position)
			assert_memory_equal(reject.position.p, position,
			    sizeof(position));
		m.content = 0;
		m.meta.version = 8;
		m.changed = said->has_position || said->version == 7;
		fake_send_result(c, f.id, false, &m);
		m.content = MSG_CONTENT_TEXT;
		m.changed = false;
	}
}

static void
test_reject_names_what_was_refused(void **state)
{
	struct qapi_agent_terms *terms = qapi_agent_terms_new();
	struct qapi_agent_item *item = NULL, *now = NULL;
	struct rejected said = {0, 0, false};
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	assert_non_null(terms);
	a = begin(&f, script_reject, &said);
	/* by its version, where nothing better is known */
	assert_int_equal(qapi_agent_get(a, A, terms, &item), 0);
	assert_null(qapi_agent_item_position(item));
	assert_int_equal(qapi_agent_reject(a, A, item, &now), 0);
	assert_true(said.version == 7 && !said.has_position);
	assert_in_range(said.deadline_ms, 1, 5000);
	assert_true(qapi_agent_item_changed(now));
	assert_int_equal(qapi_agent_item_version(now), 8);
	assert_null(qapi_agent_item_value(now, NULL));
	qapi_agent_item_free(&item);
	qapi_agent_item_free(&now);
	/* by its position */
	qapi_agent_terms_set_want_position(terms, true);
	assert_int_equal(qapi_agent_get(a, A, terms, &item), 0);
	assert_memory_equal(qapi_agent_item_position(item), position,
	    QAPI_AGENT_POSITION_LEN);
	assert_false(qapi_agent_item_changed(item));
	assert_int_equal(qapi_agent_reject(a, A, item, NULL), 0);
	assert_true(said.version == 0 && said.has_position);
	/* whichever the agent holds */
	assert_int_equal(qapi_agent_reject(a, A, NULL, &now), 0);
	assert_true(said.version == 0 && !said.has_position);
	assert_false(qapi_agent_item_changed(now));
	qapi_agent_item_free(&item);
	qapi_agent_item_free(&now);
	qapi_agent_terms_set_want_position(terms, false);
	assert_int_equal(qapi_agent_get(a, A, terms, &item), 0);
	assert_null(qapi_agent_item_position(item));
	qapi_agent_item_free(&item);
	qapi_agent_terms_free(&terms);
	end(&f, &a);
}

static void
script_refuse(struct fake_conn *c)
{
	struct msg_result m = {.error = ERR_DENIED};
	struct frame f;

	while (fake_read(c, &f)) {
		msg_meta_init(&m.meta);
		m.message = view_of("not for you");
		if (f.type == FRAME_REJECT)
			fake_send_result(c, f.id, false, &m);
		else
			fake_send_error(c, f.id, ERR_DENIED, "not for you");
	}
}

static void
test_errors_are_handed_on(void **state)
{
	struct qapi_agent_explanation *e = NULL;
	struct qapi_agent_drill *drill = NULL;
	struct qapi_agent_item *item = NULL;
	struct qapi_agent *a;
	struct fake *f;
	char *text = NULL;

	(void)state;
	a = begin(&f, script_refuse, NULL);
	assert_int_equal(qapi_agent_reject(a, A, NULL, &item),
	    QAPI_AGENT_ERR_DENIED);
	assert_string_equal(qapi_agent_message(a), "not for you");
	assert_int_equal(qapi_agent_explain(a, A, NULL, &e),
	    QAPI_AGENT_ERR_DENIED);
	assert_string_equal(qapi_agent_message(a), "not for you");
	assert_int_equal(qapi_agent_metrics(a, true, &text, NULL),
	    QAPI_AGENT_ERR_DENIED);
	assert_int_equal(fake_connections(f), 1);
	/* wrong here, and not asked */
	assert_int_equal(qapi_agent_reject(a, "qapi://x", NULL, &item),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_reject(a, NULL, NULL, &item),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_explain(a, "qapi://x", NULL, &e),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_explain(a, A, "", &e),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_explain(a, A, "\xff", &e),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_drill_offline(a, 0, &drill),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_int_equal(qapi_agent_drill_offline(a, 86400001, &drill),
	    QAPI_AGENT_ERR_BAD_REQUEST);
	assert_string_not_equal(qapi_agent_message(a), "");
	assert_null(item);
	assert_null(e);
	assert_null(drill);
	assert_null(text);
	/* free takes nothing, too */
	qapi_agent_explanation_free(&e);
	qapi_agent_explanation_free(NULL);
	qapi_agent_drill_free(&drill);
	qapi_agent_text_free(&text);
	end(&f, &a);
}

static void
test_drill_is_denied(void **state)
{
	struct qapi_agent_drill *drill = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_refuse, NULL);
	assert_int_equal(qapi_agent_drill_offline(a, 1000, &drill),
	    QAPI_AGENT_ERR_DENIED);
	assert_string_equal(qapi_agent_message(a), "not for you");
	assert_null(drill);
	end(&f, &a);
}

/* --- explain ------------------------------------------------------------- */

static void
script_explain(struct fake_conn *c)
{
	struct msg_explained m;
	struct msg_explain ask;
	uint8_t buf[MSG_EXPLAINED_MAX];
	struct frame f;
	struct wr wr;

	while (fake_read(c, &f)) {
		assert_int_equal(f.type, FRAME_EXPLAIN);
		assert_int_equal(msg_explain_decode(f.body, &ask), 0);
		msg_explained_init(&m);
		if (ask.as.len > 0) {
			m.rule = view_of("the rule");
			m.why = ask.as;
			m.allowed = m.cached = true;
			m.meta.freshness = MSG_STALE;
			m.meta.age_ms = 5000;
			m.meta.id = view_of("id-1");
			m.meta.name = view_of("a");
			m.meta.expires_at = 99;
			m.next_refresh_ms = 0;
			m.last_error = ERR_TIMEOUT;
			m.message = view_of("slow");
		}
		wr_init(&wr, buf, sizeof(buf));
		msg_explained_encode(&wr, f.id, &m);
		fake_send_wr(c, &wr);
	}
}

static void
test_explain(void **state)
{
	struct qapi_agent_explanation *e = NULL;
	const struct qapi_agent_item *item;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_explain, NULL);
	assert_int_equal(qapi_agent_explain(a, A, "nginx.service", &e), 0);
	assert_true(qapi_agent_explanation_allowed(e));
	assert_true(qapi_agent_explanation_cached(e));
	assert_string_equal(qapi_agent_explanation_rule(e), "the rule");
	assert_string_equal(qapi_agent_explanation_why(e), "nginx.service");
	assert_true(qapi_agent_explanation_next_refresh_ms(e) == 0);
	assert_int_equal(qapi_agent_explanation_last_error(e),
	    QAPI_AGENT_ERR_TIMEOUT);
	assert_string_equal(qapi_agent_explanation_last_message(e), "slow");
	item = qapi_agent_explanation_item(e);
	assert_string_equal(qapi_agent_item_id(item), "id-1");
	assert_string_equal(qapi_agent_item_name(item), "a");
	assert_int_equal(qapi_agent_item_error(item), 0);
	assert_int_equal(qapi_agent_item_freshness(item), QAPI_AGENT_STALE);
	assert_true(qapi_agent_item_age_ms(item) == 5000);
	assert_true(qapi_agent_item_expires_at_ms(item) == 99);
	qapi_agent_explanation_free(&e);
	assert_null(e);

	/* nothing said: nothing allowed */
	assert_int_equal(qapi_agent_explain(a, A, NULL, &e), 0);
	assert_false(qapi_agent_explanation_allowed(e));
	assert_false(qapi_agent_explanation_cached(e));
	assert_null(qapi_agent_explanation_rule(e));
	assert_string_equal(qapi_agent_explanation_why(e), "");
	assert_string_equal(qapi_agent_explanation_last_message(e), "");
	assert_true(qapi_agent_explanation_next_refresh_ms(e) ==
	    QAPI_AGENT_NEVER);
	item = qapi_agent_explanation_item(e);
	assert_null(qapi_agent_item_name(item));
	assert_true(qapi_agent_item_expires_at_ms(item) ==
	    QAPI_AGENT_NO_TIME);
	qapi_agent_explanation_free(&e);
	end(&f, &a);
}

/* --- metrics ------------------------------------------------------------- */

#define PARTS 50
#define PART_LEN 3000

static void
script_metrics(struct fake_conn *c)
{
	static uint8_t buf[PART_LEN + MSG_TEXT_HEAD_LEN], part[PART_LEN];
	struct msg_text m = {{part, 0}};
	struct msg_metrics ask;
	struct frame f;
	struct wr wr;
	int i;

	while (fake_read(c, &f)) {
		assert_int_equal(msg_metrics_decode(f.body, &ask), 0);
		for (i = 0; i < PARTS; i++) {
			memset(part, ask.names ? 'N' : 'a' + i % 26,
			    sizeof(part));
			m.text.len = i == 7 ? 0 : PART_LEN;
			wr_init(&wr, buf, sizeof(buf));
			msg_text_encode(&wr, i < PARTS - 1 ? FRAME_MORE : 0,
			    f.id, &m);
			fake_send_wr(c, &wr);
		}
	}
}

static void
test_metrics_are_put_together(void **state)
{
	struct qapi_agent *a;
	char *text = NULL;
	size_t len = 0, i;
	struct fake *f;

	(void)state;
	a = begin(&f, script_metrics, NULL);
	assert_int_equal(qapi_agent_metrics(a, false, &text, &len), 0);
	assert_int_equal(len, (PARTS - 1) * PART_LEN);
	assert_int_equal(strlen(text), len);
	for (i = 0; i < len; i++) {
		size_t k = i / PART_LEN;

		assert_int_equal(text[i], 'a' + (k < 7 ? k : k + 1) % 26);
	}
	qapi_agent_text_free(&text);
	assert_null(text);
	assert_int_equal(qapi_agent_metrics(a, true, &text, NULL), 0);
	assert_int_equal(text[0], 'N');
	qapi_agent_text_free(&text);
	end(&f, &a);
}

/* --- drill --------------------------------------------------------------- */

static void
send_drill_started(struct fake_conn *c, uint64_t id)
{
	struct msg_drilled m;
	uint8_t buf[64];
	struct wr wr;
	size_t start;

	msg_drilled_init(&m);
	m.duration_ms = 60000;
	wr_init(&wr, buf, sizeof(buf));
	start = msg_drilled_begin(&wr, FRAME_MORE, id);
	msg_drilled_end(&wr, start, &m);
	fake_send_wr(c, &wr);
}

static void
send_drill_report(struct fake_conn *c, uint64_t id)
{
	struct msg_drill_read stale = {view_of(A), MSG_STALE, 0, 40};
	struct msg_drill_read failed = {view_of(A), 0, ERR_TIMEOUT, 2};
	struct msg_drill_value secret = {REF_SECRET, view_of("s-1"),
	    view_of("a"), 86400000, MSG_LIMIT_MAX_STALE};
	struct msg_drill_value key = {REF_KEY, view_of("k-1"),
	    view_of("k"), MSG_NO_LIMIT, 77};
	struct msg_drilled m = {MSG_NO_LIMIT, 1234, 50, 2};
	uint8_t buf[1024];
	struct wr wr;
	size_t start;
	int i;

	wr_init(&wr, buf, sizeof(buf));
	start = msg_drilled_begin(&wr, FRAME_MORE, id);
	msg_drill_read_add(&wr, &stale);
	msg_drill_value_add(&wr, &secret);
	frame_end(&wr, start, 0);
	fake_send_wr(c, &wr);
	for (i = 0; i < 100; i++) {
		wr_init(&wr, buf, sizeof(buf));
		start = msg_drilled_begin(&wr, (uint16_t)(i == 99
		    ? 0 : FRAME_MORE), id);
		msg_drill_read_add(&wr, &failed);
		msg_drill_value_add(&wr, &key);
		if (i == 99)
			msg_drilled_end(&wr, start, &m);
		else
			frame_end(&wr, start, 0);
		fake_send_wr(c, &wr);
	}
}

/* Goes on until it is told to end. */
static void
script_drill(struct fake_conn *c)
{
	struct msg_drill ask;
	struct frame f;
	uint64_t id;

	if (!fake_read(c, &f))
		return;
	assert_int_equal(f.type, FRAME_DRILL);
	assert_int_equal(msg_drill_decode(f.body, &ask), 0);
	assert_true(ask.duration_ms == 60000);
	id = f.id;
	send_drill_started(c, id);
	if (!fake_read(c, &f))
		return;
	assert_int_equal(f.type, FRAME_CANCEL);
	assert_true(f.id == id);
	send_drill_report(c, id);
	fake_drain(c);
}

static void
assert_report(const struct qapi_agent_drill *d)
{
	const struct qapi_agent_item *item;

	assert_true(qapi_agent_drill_elapsed_ms(d) == 1234);
	assert_true(qapi_agent_drill_count(d) == 50);
	assert_true(qapi_agent_drill_failed(d) == 2);
	assert_int_equal(qapi_agent_drill_reads(d), 101);
	assert_string_equal(qapi_agent_drill_read_ref(d, 0), A);
	assert_int_equal(qapi_agent_drill_read_freshness(d, 0),
	    QAPI_AGENT_STALE);
	assert_int_equal(qapi_agent_drill_read_error(d, 0), 0);
	assert_true(qapi_agent_drill_read_times(d, 0) == 40);
	assert_int_equal(qapi_agent_drill_read_freshness(d, 100), 0);
	assert_int_equal(qapi_agent_drill_read_error(d, 100),
	    QAPI_AGENT_ERR_TIMEOUT);
	assert_null(qapi_agent_drill_read_ref(d, 101));
	assert_true(qapi_agent_drill_read_times(d, 101) == 0);
	assert_int_equal(qapi_agent_drill_values(d), 101);
	item = qapi_agent_drill_value(d, 0);
	assert_int_equal(qapi_agent_item_kind(item), QAPI_AGENT_KIND_SECRET);
	assert_string_equal(qapi_agent_item_id(item), "s-1");
	assert_string_equal(qapi_agent_item_name(item), "a");
	assert_true(qapi_agent_drill_value_unusable_in_ms(d, 0) == 86400000);
	assert_int_equal(qapi_agent_drill_value_limit(d, 0),
	    QAPI_AGENT_LIMIT_MAX_STALE);
	assert_true(qapi_agent_drill_value_unusable_in_ms(d, 100) ==
	    QAPI_AGENT_NEVER);
	/* a reason of a later version */
	assert_int_equal(qapi_agent_drill_value_limit(d, 100),
	    QAPI_AGENT_LIMIT_NONE);
	assert_null(qapi_agent_drill_value(d, 101));
	assert_true(qapi_agent_drill_value_unusable_in_ms(d, 101) == 0);
	assert_string_equal(qapi_agent_limit_name(QAPI_AGENT_LIMIT_EXPIRES),
	    "expires");
	assert_string_equal(qapi_agent_limit_name(QAPI_AGENT_LIMIT_NONE), "");
}

static void
test_drill_until_it_is_ended(void **state)
{
	struct qapi_agent_drill *d = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_drill, NULL);
	assert_int_equal(qapi_agent_drill_offline(a, 60000, &d), 0);
	qapi_agent_free(&a);	/* it is not needed */
	assert_int_equal(qapi_agent_drill_wait(d, 20),
	    QAPI_AGENT_ERR_TIMEOUT);
	assert_int_equal(qapi_agent_drill_reads(d), 0);
	qapi_agent_drill_end(d);
	assert_int_equal(qapi_agent_drill_wait(d, 0), 0);
	assert_report(d);
	/* again, and what is over is not ended */
	qapi_agent_drill_end(d);
	assert_int_equal(qapi_agent_drill_wait(d, 0), 0);
	assert_report(d);
	qapi_agent_drill_free(&d);
	assert_null(d);
	end(&f, &a);
}

/* Ends without a report: by a TIMEOUT of all errors, or by hanging up. */
static void
script_drill_fails(struct fake_conn *c)
{
	struct frame f;

	if (!fake_read(c, &f))
		return;
	send_drill_started(c, f.id);
	if (c->nth == 0) {
		fake_send_error(c, f.id, ERR_TIMEOUT, "no more drills");
		fake_drain(c);
	}
}

static void
test_drill_without_a_report(void **state)
{
	struct qapi_agent_drill *d = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_drill_fails, NULL);
	assert_int_equal(qapi_agent_drill_offline(a, 60000, &d), 0);
	assert_int_equal(qapi_agent_drill_wait(d, 0), QAPI_AGENT_ERR_TIMEOUT);
	assert_string_equal(qapi_agent_drill_message(d), "no more drills");
	/* it is over, so that this does not wait */
	assert_int_equal(qapi_agent_drill_wait(d, 0), QAPI_AGENT_ERR_TIMEOUT);
	qapi_agent_drill_free(&d);
	assert_int_equal(qapi_agent_drill_offline(a, 60000, &d), 0);
	assert_int_equal(qapi_agent_drill_wait(d, 0), QAPI_AGENT_ERR_CLOSED);
	assert_string_not_equal(qapi_agent_drill_message(d), "");
	qapi_agent_drill_free(&d);
	end(&f, &a);
}

/* The first answer is the last: there was no drill. */
static void
script_drill_nonsense(struct fake_conn *c)
{
	struct frame f;

	if (fake_read(c, &f)) {
		send_drill_report(c, f.id + 1);	/* not ours */
		fake_send_value(c, f.id, 0, false, "x", 1);
		fake_drain(c);
	}
}

static void
test_drill_nonsense(void **state)
{
	struct qapi_agent_drill *d = NULL;
	struct qapi_agent *a;
	struct fake *f;

	(void)state;
	a = begin(&f, script_drill_nonsense, NULL);
	assert_int_equal(qapi_agent_drill_offline(a, 60000, &d),
	    QAPI_AGENT_ERR_INTERNAL);
	assert_null(d);
	end(&f, &a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reject_names_what_was_refused),
		cmocka_unit_test(test_errors_are_handed_on),
		cmocka_unit_test(test_drill_is_denied),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_metrics_are_put_together),
		cmocka_unit_test(test_drill_until_it_is_ended),
		cmocka_unit_test(test_drill_without_a_report),
		cmocka_unit_test(test_drill_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
