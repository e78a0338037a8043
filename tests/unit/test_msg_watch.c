/*
 * WATCH, EVENT, REJECT, EXPLAIN, DRILL and METRICS: what the table of
 * test_msg.c, which has the limits of their fields, does not say.
 */
#include "config.h"

#include "unit.h"

#include "err.h"
#include "msg_report.h"
#include "msg_watch.h"

static uint8_t out[FRAME_REQUEST_MAX + FRAME_HEADER_LEN];
static uint8_t big[FRAME_REQUEST_MAX];
static struct wr wr;

static struct view
view_of(const char *text)
{
	struct view v = { (const uint8_t *)text, strlen(text) };

	return v;
}

static struct view
filled(size_t len)
{
	struct view v = { big, len };

	assert_true(len <= sizeof(big));
	memset(big, 'x', sizeof(big));
	return v;
}

static struct view
position(void)
{
	struct view v = { (const uint8_t *)"0123456789abcdef",
		MSG_POSITION_LEN };

	return v;
}

static void
begin(void)
{
	wr_init(&wr, out, sizeof(out));
}

static void
add(uint16_t tag, const void *p, size_t len)
{
	wr_u16(&wr, tag);
	wr_u32(&wr, (uint32_t)len);
	wr_bytes(&wr, p, len);
}

static struct view
body(void)
{
	struct view v = { out, wr.len };

	assert_false(wr.failed);
	return v;
}

/* The one frame that was written, as its receiver would cut it. */
static struct frame
written(size_t max_body)
{
	struct frame f;

	assert_false(wr.failed);
	assert_int_equal(frame_cut(wr.p, wr.len, max_body, &f), 0);
	assert_int_equal(f.total, wr.len);
	return f;
}

static void
write_watch(size_t n, size_t ref_len, size_t position_len)
{
	struct msg_watch_ref ref = { filled(ref_len), { big, position_len } };
	size_t start;
	size_t i;

	begin();
	start = msg_watch_begin(&wr, 1, UINT64_MAX - 1);
	for (i = 0; i < n; i++)
		msg_watch_add(&wr, &ref);
	frame_end(&wr, start, 0);
}

static void
test_watch_limits(void **state)
{
	struct msg_watch_ref ref;
	struct msg_watch m;
	int n;

	(void)state;
	/* the largest there is */
	write_watch(MSG_REFS_MAX, REF_MAX, MSG_POSITION_LEN);
	assert_int_equal(msg_watch_decode(written(FRAME_REQUEST_MAX).body,
	    &m), 0);
	assert_true(m.deadline_ms == UINT64_MAX - 1);
	assert_int_equal(m.nrefs, MSG_REFS_MAX);
	for (n = 0; msg_watch_next(&m, &ref); n++) {
		assert_int_equal(ref.ref.len, REF_MAX);
		assert_int_equal(ref.position.len, MSG_POSITION_LEN);
	}
	assert_int_equal(n, MSG_REFS_MAX);
	assert_false(msg_watch_next(&m, &ref));

	write_watch(MSG_REFS_MAX + 1, 1, 0);
	assert_int_equal(msg_watch_decode(written(FRAME_REQUEST_MAX).body,
	    &m), ERR_BAD_REQUEST);
	write_watch(0, 0, 0);
	assert_int_equal(msg_watch_decode(written(FRAME_REQUEST_MAX).body,
	    &m), ERR_BAD_REQUEST);

	/* the encoder does not write what the decoder refuses */
	write_watch(1, 0, 0);
	assert_true(wr.failed);
	write_watch(1, REF_MAX + 1, 0);
	assert_true(wr.failed);
	write_watch(1, 1, MSG_POSITION_LEN - 1);
	assert_true(wr.failed);
	write_watch(1, 1, MSG_POSITION_LEN + 1);
	assert_true(wr.failed);
}

static void
test_watch_keeps_the_order_between_others(void **state)
{
	struct msg_watch_ref ref;
	struct msg_watch m;

	(void)state;
	begin();
	add(0x13, "\0\x10\0\0\0\1a", 7);
	add(0x777, "REF", 3);
	/* an unknown field within, and the position before the reference */
	add(0x13, "\x07\x77\0\0\0\1?\0\x2b\0\0\0\x10" "0123456789abcdef"
	    "\0\x10\0\0\0\1b", 36);
	add(0x10, "no REF of WATCH", 15);
	add(0x13, "\0\x10\0\0\0\1a", 7);
	assert_int_equal(msg_watch_decode(body(), &m), 0);
	assert_true(m.deadline_ms == MSG_NO_LIMIT);
	assert_int_equal(m.nrefs, 3);
	assert_true(msg_watch_next(&m, &ref));
	assert_memory_equal(ref.ref.p, "a", 1);
	assert_int_equal(ref.position.len, 0);
	assert_true(msg_watch_next(&m, &ref));
	assert_memory_equal(ref.ref.p, "b", 1);
	assert_memory_equal(ref.position.p, "0123456789abcdef", 16);
	assert_true(msg_watch_next(&m, &ref));
	assert_memory_equal(ref.ref.p, "a", 1);
	assert_int_equal(ref.position.len, 0);
	assert_false(msg_watch_next(&m, &ref));
}

/* All of it is looked at before any of it is acted upon. */
static void
test_watch_is_refused_for_one_bad_reference(void **state)
{
	struct msg_watch m;

	(void)state;
	begin();
	add(0x13, "\0\x10\0\0\0\1a", 7);
	add(0x13, "\0\x10\0\0\0\1\0", 7);
	assert_int_equal(msg_watch_decode(body(), &m), ERR_BAD_REQUEST);

	begin();
	add(0x13, "\0\x10\0\0\0\1a", 7);
	add(0x13, "\0\x10\0\0\0\1a\x80\1\0\0\0\0", 13);
	assert_int_equal(msg_watch_decode(body(), &m), ERR_UNSUPPORTED);
	/* malformed is worse, also after it */
	add(0x13, "\0\x10\0\0\0\2a", 7);
	assert_int_equal(msg_watch_decode(body(), &m), ERR_BAD_REQUEST);
	/* and around it */
	begin();
	add(0x8000, "", 0);
	add(0x13, "\0\x10\0\0\0\1a", 7);
	assert_int_equal(msg_watch_decode(body(), &m), ERR_UNSUPPORTED);
}

static void
test_event_is_always_as_long(void **state)
{
	struct msg_event in = { UINT16_MAX, UINT8_MAX, position() };
	struct msg_event m;
	struct frame f;

	(void)state;
	begin();
	msg_event_encode(&wr, 5, &in);
	assert_int_equal(wr.len, MSG_EVENT_LEN);
	f = written(FRAME_ANSWER_MAX);
	assert_int_equal(f.type, FRAME_EVENT);
	assert_int_equal(f.flags, FRAME_MORE);
	assert_true(f.id == 5);
	assert_int_equal(msg_event_decode(f.body, &m), 0);
	assert_int_equal(m.index, UINT16_MAX);
	assert_int_equal(m.reason, UINT8_MAX);

	in.position.len = 0;
	begin();
	msg_event_encode(&wr, 5, &in);
	assert_true(wr.failed);
}

static void
test_reason_names(void **state)
{
	static const char *const names[] = { "changed", "expiring",
		"expired", "gone", "stale", "fresh-again" };
	uint8_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(names); i++) {
		assert_string_equal(msg_reason_name((uint8_t)(i + 1)),
		    names[i]);
	}
	assert_null(msg_reason_name(0));
	assert_null(msg_reason_name(MSG_REASON_MAX + 1));
	assert_null(msg_reason_name(UINT8_MAX));
}

static void
test_reject(void **state)
{
	struct msg_reject in = { MSG_NO_LIMIT, view_of("a"), 0,
		{ NULL, 0 } };
	struct msg_reject m;

	(void)state;
	/* what is not said is not written */
	begin();
	msg_reject_encode(&wr, 1, &in);
	assert_int_equal(written(FRAME_REQUEST_MAX).body.len, 7);
	assert_int_equal(msg_reject_decode(written(FRAME_REQUEST_MAX).body,
	    &m), 0);
	assert_true(m.deadline_ms == MSG_NO_LIMIT);
	assert_true(m.version == 0);
	assert_int_equal(m.position.len, 0);

	in.ref.len = 0;
	begin();
	msg_reject_encode(&wr, 1, &in);
	assert_true(wr.failed);
	in.ref = filled(REF_MAX + 1);
	begin();
	msg_reject_encode(&wr, 1, &in);
	assert_true(wr.failed);
	in.ref.len = REF_MAX;
	in.position = (struct view){ big, MSG_POSITION_LEN + 1 };
	begin();
	msg_reject_encode(&wr, 1, &in);
	assert_true(wr.failed);
}

static void
test_explain(void **state)
{
	struct msg_explain in = { view_of("a"), { NULL, 0 } };
	struct msg_explain m;

	(void)state;
	begin();
	msg_explain_encode(&wr, 1, &in);
	assert_int_equal(written(FRAME_REQUEST_MAX).body.len, 7);
	assert_int_equal(msg_explain_decode(written(FRAME_REQUEST_MAX).body,
	    &m), 0);
	assert_int_equal(m.as.len, 0);
	in.as = filled(MSG_AS_MAX + 1);
	begin();
	msg_explain_encode(&wr, 1, &in);
	assert_true(wr.failed);
	in.as.len = 0;
	in.ref.len = 0;
	begin();
	msg_explain_encode(&wr, 1, &in);
	assert_true(wr.failed);
}

static void
test_explained_bound(void **state)
{
	struct msg_explained in;
	struct msg_explained m;
	struct frame f;

	(void)state;
	msg_explained_init(&in);
	in.allowed = in.cached = true;
	in.rule = in.why = in.message = filled(5000);
	in.meta.freshness = MSG_EXPIRED;
	in.meta.age_ms = UINT64_MAX;
	in.meta.id = filled(MSG_ID_MAX);
	in.meta.name = filled(MSG_NAME_MAX);
	in.meta.version = 1;
	in.meta.updated_at = in.meta.expires_at = -1;
	in.next_refresh_ms = 0;
	in.last_error = ERR_NOMEM;
	wr_init(&wr, out, MSG_EXPLAINED_MAX);
	msg_explained_encode(&wr, 1, &in);
	f = written(FRAME_ANSWER_MAX);
	assert_int_equal(msg_explained_decode(f.body, &m), 0);
	/* texts for people are cut */
	assert_int_equal(m.rule.len, MSG_RULE_MAX);
	assert_int_equal(m.why.len, MSG_WHY_MAX);
	assert_int_equal(m.message.len, MSG_MESSAGE_MAX);
	assert_int_equal(m.last_error, ERR_BUSY);
	assert_true(m.next_refresh_ms == 0);
	assert_true(m.meta.expires_at == -1);

	/* nothing known: an empty body, which allows nothing */
	msg_explained_init(&in);
	in.message = filled(5);		/* of no error */
	begin();
	msg_explained_encode(&wr, 1, &in);
	f = written(FRAME_ANSWER_MAX);
	assert_int_equal(f.body.len, 0);
	m.allowed = m.cached = true;
	assert_int_equal(msg_explained_decode(f.body, &m), 0);
	assert_false(m.allowed || m.cached);
}

static void
test_drill_rows_bounds(void **state)
{
	struct msg_drill_read read = { filled(REF_MAX), 0, ERR_TIMEOUT,
		UINT64_MAX };
	struct msg_drill_value value = { REF_KEY, filled(MSG_ID_MAX),
		filled(MSG_NAME_MAX), 0, UINT8_MAX };

	(void)state;
	wr_init(&wr, out, MSG_DRILL_ROW_MAX);
	msg_drill_read_add(&wr, &read);
	assert_false(wr.failed);
	wr_init(&wr, out, MSG_DRILL_ROW_MAX);
	msg_drill_value_add(&wr, &value);
	assert_false(wr.failed);
	read.ref.len = REF_MAX + 1;
	begin();
	msg_drill_read_add(&wr, &read);
	assert_true(wr.failed);
	read.ref.len = 0;
	begin();
	msg_drill_read_add(&wr, &read);
	assert_true(wr.failed);
	value.name.len = MSG_NAME_MAX + 1;
	begin();
	msg_drill_value_add(&wr, &value);
	assert_true(wr.failed);
}

/* Each walk passes over the other's rows, and stops at what is wrong. */
static void
test_drill_rows_are_walked_apart(void **state)
{
	struct msg_drill_read read = { view_of("a"), MSG_EXPIRED, 0, 0 };
	struct msg_drill_value value = { REF_SECRET, view_of("i"),
		view_of("n"), MSG_NO_LIMIT, 0 };
	struct msg_drilled m;
	struct msg_drill_read r;
	struct msg_drill_value v;
	struct view pos;

	(void)state;
	begin();
	msg_drill_value_add(&wr, &value);
	msg_drill_read_add(&wr, &read);
	add(0x777, "", 0);
	value.kind = REF_KEY;
	msg_drill_value_add(&wr, &value);
	assert_int_equal(msg_drilled_decode(body(), &m), 0);
	assert_true(m.elapsed_ms == MSG_NO_LIMIT && m.count == 0);
	pos = body();
	assert_int_equal(msg_drill_read_next(&pos, &r), 0);
	assert_int_equal(r.freshness, MSG_EXPIRED);
	assert_int_equal(msg_drill_read_next(&pos, &r), ERR_AGAIN);
	pos = body();
	assert_int_equal(msg_drill_value_next(&pos, &v), 0);
	assert_int_equal(v.kind, REF_SECRET);
	assert_int_equal(msg_drill_value_next(&pos, &v), 0);
	assert_int_equal(v.kind, REF_KEY);
	assert_int_equal(msg_drill_value_next(&pos, &v), ERR_AGAIN);

	/* neither served nor failed */
	begin();
	add(0x70, "\0\x10\0\0\0\1a\0\x52\0\0\0\x08\0\0\0\0\0\0\0\1", 21);
	pos = body();
	assert_int_equal(msg_drill_read_next(&pos, &r), ERR_BAD_REQUEST);
	begin();
	add(0x71, "\x80\0\0\0\0\0", 6);
	pos = body();
	assert_int_equal(msg_drill_value_next(&pos, &v), ERR_UNSUPPORTED);
}

static void
test_metrics(void **state)
{
	struct msg_metrics m = { false };
	struct msg_text text = { view_of("a_total 1\n") };
	struct frame f;

	(void)state;
	begin();
	msg_metrics_encode(&wr, 1, &m);
	f = written(FRAME_REQUEST_MAX);
	assert_int_equal(f.body.len, 0);
	m.names = true;
	assert_int_equal(msg_metrics_decode(f.body, &m), 0);
	assert_false(m.names);

	begin();
	msg_text_encode(&wr, FRAME_MORE, 1, &text);
	assert_int_equal(wr.len, MSG_TEXT_HEAD_LEN + text.text.len);
	f = written(FRAME_ANSWER_MAX);
	assert_int_equal(f.flags, FRAME_MORE);
	/* an empty text is one, too */
	text.text.len = 0;
	begin();
	msg_text_encode(&wr, 0, 1, &text);
	assert_int_equal(msg_text_decode(written(FRAME_ANSWER_MAX).body,
	    &text), 0);
	assert_int_equal(text.text.len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_watch_limits),
		cmocka_unit_test(test_watch_keeps_the_order_between_others),
		cmocka_unit_test(test_watch_is_refused_for_one_bad_reference),
		cmocka_unit_test(test_event_is_always_as_long),
		cmocka_unit_test(test_reason_names),
		cmocka_unit_test(test_reject),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_explained_bound),
		cmocka_unit_test(test_drill_rows_bounds),
		cmocka_unit_test(test_drill_rows_are_walked_apart),
		cmocka_unit_test(test_metrics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
