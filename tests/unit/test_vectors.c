/*
 * The byte vectors of PROTOCOL.md, read out of that very file: each decodes to
 * what is expected here, and encoding that gives the same bytes.  A vector
 * without a test, or a test without a vector, fails.
 */
#include "config.h"

#include "unit.h"

#include "err.h"
#include "msg.h"
#include "msg_report.h"
#include "msg_watch.h"
#include "vectors.h"

#define VECTORS_MAX 128
#define VECTOR_LEN_MAX 1024

struct vector {
	char name[64];
	char error[64];		/* "": well-formed */
	uint8_t bytes[VECTOR_LEN_MAX];
	size_t len;
};

static struct vector vectors[VECTORS_MAX];
static size_t nvectors;

static struct view
view_of(const char *text)
{
	struct view v = { (const uint8_t *)text, strlen(text) };

	return v;
}

static void
assert_view(struct view v, const char *expected)
{
	assert_int_equal(v.len, strlen(expected));
	assert_memory_equal(v.p, expected, v.len);
}

/* --- one check and one encoder a vector -------------------------------- */

static void
check_hello(const struct frame *f, const char *build)
{
	struct msg_hello m;

	assert_true(f->id == 0);
	assert_int_equal(msg_hello_decode(f->body, &m), 0);
	assert_int_equal(m.protocol, 1);
	assert_view(m.build, build);
}

static void
check_hello_client(const struct frame *f)
{
	assert_int_equal(f->type, FRAME_HELLO);
	check_hello(f, "qapi-agent 0.1.0");
}

static void
encode_hello_client(struct wr *wr)
{
	struct msg_hello m = { 1, view_of("qapi-agent 0.1.0") };

	msg_hello_encode(wr, FRAME_HELLO, &m);
}

static void
check_hello_agent(const struct frame *f)
{
	assert_int_equal(f->type, FRAME_AGENT_HELLO);
	check_hello(f, "qapi-agentd 0.1.0");
}

static void
encode_hello_agent(struct wr *wr)
{
	struct msg_hello m = { 1, view_of("qapi-agentd 0.1.0") };

	msg_hello_encode(wr, FRAME_AGENT_HELLO, &m);
}

static void
check_ping(const struct frame *f)
{
	assert_int_equal(f->type, FRAME_PING);
	assert_true(f->id == 1);
	assert_int_equal(msg_empty_decode(f->body), 0);
}

static void
encode_ping(struct wr *wr)
{
	msg_empty_encode(wr, FRAME_PING, 1);
}

static const char *const get_refs[] = {
	"qapi://secrets/db/prod/password",
	"qapi://keys/signing/public?format=pem",
};

static void
check_get(const struct frame *f)
{
	struct msg_refs m;
	struct view v;
	size_t i;

	assert_int_equal(f->type, FRAME_GET);
	assert_true(f->id == 2);
	assert_int_equal(msg_refs_decode(f->body, &m), 0);
	assert_true(m.terms.deadline_ms == 10000);
	assert_true(m.terms.max_age_ms == 60000);
	assert_true(m.terms.max_stale_ms == 3600000);
	assert_int_equal(m.terms.flags, MSG_TERM_ONLY_IF_CACHED);
	assert_false(m.all);
	assert_int_equal(m.nrefs, UNIT_COUNT(get_refs));
	for (i = 0; i < UNIT_COUNT(get_refs); i++) {
		assert_true(msg_refs_next(&m, &v));
		assert_view(v, get_refs[i]);
	}
	assert_false(msg_refs_next(&m, &v));
}

static void
encode_get(struct wr *wr)
{
	struct msg_terms terms = { 10000, 60000, 3600000,
		MSG_TERM_ONLY_IF_CACHED };
	size_t start = msg_refs_begin(wr, FRAME_GET, 2, &terms, false);
	size_t i;

	for (i = 0; i < UNIT_COUNT(get_refs); i++)
		msg_refs_add(wr, get_refs[i], strlen(get_refs[i]));
	frame_end(wr, start, 0);
}

static void
check_list(const struct frame *f)
{
	struct msg_list m;

	assert_int_equal(f->type, FRAME_LIST);
	assert_true(f->id == 3);
	assert_int_equal(msg_list_decode(f->body, &m), 0);
	assert_int_equal(m.kind, REF_SECRET);
	assert_true(m.terms.deadline_ms == 10000);
	assert_true(m.terms.max_age_ms == MSG_NO_LIMIT);
}

static void
encode_list(struct wr *wr)
{
	struct msg_list m = { .kind = REF_SECRET };

	msg_terms_init(&m.terms);
	m.terms.deadline_ms = 10000;
	msg_list_encode(wr, 3, &m);
}

static void
check_status(const struct frame *f)
{
	assert_int_equal(f->type, FRAME_STATUS);
	assert_true(f->id == 4);
	assert_int_equal(msg_empty_decode(f->body), 0);
}

static void
encode_status(struct wr *wr)
{
	msg_empty_encode(wr, FRAME_STATUS, 4);
}

static void
check_refresh_all(const struct frame *f)
{
	struct msg_refs m;
	struct view v;

	assert_int_equal(f->type, FRAME_REFRESH);
	assert_true(f->id == 5);
	assert_int_equal(msg_refs_decode(f->body, &m), 0);
	assert_true(m.all);
	assert_int_equal(m.nrefs, 0);
	assert_true(m.terms.deadline_ms == 30000);
	assert_false(msg_refs_next(&m, &v));
}

static void
encode_refresh_all(struct wr *wr)
{
	struct msg_terms terms;

	msg_terms_init(&terms);
	terms.deadline_ms = 30000;
	frame_end(wr, msg_refs_begin(wr, FRAME_REFRESH, 5, &terms, true), 0);
}

static void
check_purge_ref(const struct frame *f)
{
	struct msg_refs m;
	struct view v;

	assert_int_equal(f->type, FRAME_PURGE);
	assert_true(f->id == UINT64_C(0x1122334455667788));
	assert_int_equal(msg_refs_decode(f->body, &m), 0);
	assert_false(m.all);
	assert_true(m.terms.deadline_ms == MSG_NO_LIMIT);
	assert_true(msg_refs_next(&m, &v));
	assert_view(v, "qapi://secrets/a%20b");
	assert_false(msg_refs_next(&m, &v));
}

static void
encode_purge_ref(struct wr *wr)
{
	static const char ref[] = "qapi://secrets/a%20b";
	struct msg_terms terms;
	size_t start;

	msg_terms_init(&terms);
	start = msg_refs_begin(wr, FRAME_PURGE, UINT64_C(0x1122334455667788),
	    &terms, false);
	msg_refs_add(wr, ref, strlen(ref));
	frame_end(wr, start, 0);
}

static const uint8_t result_value[] = "p\0ssw\xc3\xb6rd\n";

static void
check_result(const struct frame *f)
{
	struct msg_result m;

	assert_int_equal(f->type, FRAME_RESULT);
	assert_int_equal(f->flags, FRAME_MORE);
	assert_true(f->id == 2);
	assert_int_equal(msg_result_decode(f->body, &m), 0);
	assert_int_equal(m.index, 0);
	assert_int_equal(m.error, 0);
	assert_int_equal(m.meta.freshness, MSG_STALE);
	assert_true(m.meta.age_ms == 90061001);
	assert_view(m.meta.id, "5f0c1a7e-0001-4c7b-9d1e-0123456789ab");
	assert_view(m.meta.name, "db/prod/password");
	assert_true(m.meta.version == 7);
	assert_true(m.meta.updated_at == INT64_C(1778241600000));
	assert_true(m.meta.expires_at == INT64_C(1809777600250));
	assert_int_equal(m.content, MSG_CONTENT_TEXT);
	assert_int_equal(m.value.len, sizeof(result_value) - 1);
	assert_memory_equal(m.value.p, result_value, m.value.len);
}

static void
encode_result(struct wr *wr)
{
	struct msg_result m = {
		.meta = {
			.freshness = MSG_STALE,
			.age_ms = 90061001,
			.id = view_of("5f0c1a7e-0001-4c7b-9d1e-0123456789ab"),
			.name = view_of("db/prod/password"),
			.version = 7,
			.updated_at = INT64_C(1778241600000),
			.expires_at = INT64_C(1809777600250),
		},
		.content = MSG_CONTENT_TEXT,
		.value = { result_value, sizeof(result_value) - 1 },
	};

	msg_result_encode(wr, FRAME_MORE, 2, &m, false);
}

static void
check_result_error(const struct frame *f)
{
	struct msg_result m;

	assert_int_equal(f->type, FRAME_RESULT);
	assert_int_equal(f->flags, 0);
	assert_int_equal(msg_result_decode(f->body, &m), 0);
	assert_int_equal(m.index, 1);
	assert_int_equal(m.error, ERR_NOT_FOUND);
	assert_view(m.message, "no key has this name");
	assert_int_equal(m.content, 0);
}

static void
encode_result_error(struct wr *wr)
{
	struct msg_result m = {
		.index = 1,
		.error = ERR_NOT_FOUND,
		.message = view_of("no key has this name"),
	};

	msg_result_encode(wr, 0, 2, &m, false);
}

static void
check_rows(const struct frame *f)
{
	struct msg_row row;
	struct msg_meta listing;
	struct view pos = f->body;

	assert_int_equal(f->type, FRAME_ROWS);
	assert_int_equal(msg_rows_decode(f->body, &listing), 0);
	assert_int_equal(listing.freshness, MSG_FRESH);
	assert_true(listing.age_ms == 2000);

	assert_int_equal(msg_row_next(&pos, &row), 0);
	assert_int_equal(row.kind, REF_SECRET);
	assert_int_equal(row.meta.freshness, MSG_FRESH);
	assert_true(row.meta.age_ms == 1500);
	assert_view(row.meta.id, "s-1");
	assert_view(row.meta.name, "caf\xc3\xa9");
	assert_true(row.meta.version == 3);
	assert_true(row.meta.updated_at == 0);
	assert_true(row.meta.expires_at == MSG_NO_TIME);

	assert_int_equal(msg_row_next(&pos, &row), 0);
	assert_int_equal(row.kind, REF_KEY);
	assert_int_equal(row.meta.freshness, MSG_FRESHNESS_NONE);
	assert_view(row.meta.id, "k-1");
	assert_view(row.meta.name, "signing");
	assert_true(row.meta.version == 0);
	assert_true(row.meta.updated_at == MSG_NO_TIME);
	assert_int_equal(msg_row_next(&pos, &row), ERR_AGAIN);
}

static void
encode_rows(struct wr *wr)
{
	struct msg_row row = { .kind = REF_SECRET };
	struct msg_meta listing;
	size_t start = msg_rows_begin(wr, 0, 3);

	msg_meta_init(&row.meta);
	row.meta.freshness = MSG_FRESH;
	row.meta.age_ms = 1500;
	row.meta.id = view_of("s-1");
	row.meta.name = view_of("caf\xc3\xa9");
	row.meta.version = 3;
	row.meta.updated_at = 0;
	msg_row_add(wr, &row);

	row.kind = REF_KEY;
	msg_meta_init(&row.meta);
	row.meta.id = view_of("k-1");
	row.meta.name = view_of("signing");
	msg_row_add(wr, &row);

	msg_meta_init(&listing);
	listing.freshness = MSG_FRESH;
	listing.age_ms = 2000;
	msg_rows_end(wr, start, &listing);
}

static void
check_stats(const struct frame *f)
{
	struct msg_stat stat;
	struct view pos = f->body;

	assert_int_equal(f->type, FRAME_STATS);
	assert_int_equal(msg_stat_next(&pos, &stat), 0);
	assert_view(stat.name, "cache.hits");
	assert_int_equal(stat.type, MSG_STAT_UINT);
	assert_true(stat.number == UINT64_MAX);
	assert_int_equal(msg_stat_next(&pos, &stat), 0);
	assert_view(stat.name, "upstream.state");
	assert_int_equal(stat.type, MSG_STAT_TEXT);
	assert_view(stat.text, "ok");
	assert_int_equal(msg_stat_next(&pos, &stat), 0);
	assert_view(stat.name, "upstream.age");
	assert_int_equal(stat.type, MSG_STAT_NULL);
	assert_int_equal(msg_stat_next(&pos, &stat), ERR_AGAIN);
}

static void
encode_stats(struct wr *wr)
{
	size_t start = msg_stats_begin(wr, 0, 4);

	msg_stat_uint(wr, "cache.hits", UINT64_MAX);
	msg_stat_text(wr, "upstream.state", "ok");
	msg_stat_null(wr, "upstream.age");
	frame_end(wr, start, 0);
}

static void
check_done(const struct frame *f)
{
	struct msg_done m;

	assert_int_equal(f->type, FRAME_DONE);
	assert_int_equal(msg_done_decode(f->body, &m), 0);
	assert_true(m.count == 12);
	assert_true(m.failed == 1);
}

static void
encode_done(struct wr *wr)
{
	struct msg_done m = { 12, 1 };

	msg_done_encode(wr, 5, &m);
}

static void
check_error(const struct frame *f)
{
	struct msg_error m;

	assert_int_equal(f->type, FRAME_ERROR);
	assert_true(f->id == 0);
	assert_int_equal(msg_error_decode(f->body, &m), 0);
	assert_int_equal(m.error, ERR_BAD_REQUEST);
	assert_view(m.message, "field 0x0004 comes twice");
}

static void
encode_error(struct wr *wr)
{
	struct msg_error m = { ERR_BAD_REQUEST,
		view_of("field 0x0004 comes twice") };

	msg_error_encode(wr, 0, &m);
}

static void
check_unknown_field(const struct frame *f)
{
	struct msg_refs m;
	struct view v;

	assert_int_equal(f->type, FRAME_GET);
	assert_int_equal(msg_refs_decode(f->body, &m), 0);
	assert_int_equal(m.nrefs, 2);
	assert_true(msg_refs_next(&m, &v));
	assert_view(v, "qapi://secrets/a");
	assert_true(msg_refs_next(&m, &v));
	assert_view(v, "qapi://secrets/b");
	assert_false(msg_refs_next(&m, &v));
}

/* the two positions of the document */
static const uint8_t seen[] = {
	0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
	0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
};
static const uint8_t newer[] = {
	0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
	0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf,
};
static const uint8_t none[MSG_POSITION_LEN];

static struct view
position_of(const uint8_t p[MSG_POSITION_LEN])
{
	struct view v = { p, MSG_POSITION_LEN };

	return v;
}

static void
assert_position(struct view v, const uint8_t p[MSG_POSITION_LEN])
{
	assert_int_equal(v.len, MSG_POSITION_LEN);
	assert_memory_equal(v.p, p, MSG_POSITION_LEN);
}

static void
check_get_position(const struct frame *f)
{
	struct msg_refs m;

	assert_int_equal(f->type, FRAME_GET);
	assert_int_equal(msg_refs_decode(f->body, &m), 0);
	assert_int_equal(m.terms.flags, MSG_TERM_WANT_POSITION);
	assert_int_equal(m.nrefs, 1);
}

static void
encode_get_position(struct wr *wr)
{
	struct msg_terms terms;
	size_t start;

	msg_terms_init(&terms);
	terms.flags = MSG_TERM_WANT_POSITION;
	start = msg_refs_begin(wr, FRAME_GET, 8, &terms, false);
	msg_refs_add(wr, "qapi://secrets/a", 16);
	frame_end(wr, start, 0);
}

static void
check_watch(const struct frame *f)
{
	struct msg_watch m;
	struct msg_watch_ref ref;

	assert_int_equal(f->type, FRAME_WATCH);
	assert_int_equal(msg_watch_decode(f->body, &m), 0);
	assert_true(m.deadline_ms == 10000);
	assert_int_equal(m.nrefs, 2);
	assert_true(msg_watch_next(&m, &ref));
	assert_view(ref.ref, "qapi://secrets/db/prod/password");
	assert_position(ref.position, seen);
	assert_true(msg_watch_next(&m, &ref));
	assert_view(ref.ref, "qapi://secrets/a");
	assert_int_equal(ref.position.len, 0);
	assert_false(msg_watch_next(&m, &ref));
}

static void
encode_watch(struct wr *wr)
{
	const struct msg_watch_ref first = {
		view_of("qapi://secrets/db/prod/password"), position_of(seen)
	};
	const struct msg_watch_ref second = {
		.ref = view_of("qapi://secrets/a"),
	};
	size_t start = msg_watch_begin(wr, 9, 10000);

	msg_watch_add(wr, &first);
	msg_watch_add(wr, &second);
	frame_end(wr, start, 0);
}

static void
check_cancel(const struct frame *f)
{
	assert_int_equal(f->type, FRAME_CANCEL);
	assert_true(f->id == 9);
	assert_int_equal(msg_empty_decode(f->body), 0);
}

static void
encode_cancel(struct wr *wr)
{
	msg_empty_encode(wr, FRAME_CANCEL, 9);
}

static void
check_reject(const struct frame *f)
{
	struct msg_reject m;

	assert_int_equal(f->type, FRAME_REJECT);
	assert_int_equal(msg_reject_decode(f->body, &m), 0);
	assert_true(m.deadline_ms == 10000);
	assert_view(m.ref, "qapi://secrets/a");
	assert_true(m.version == 7);
	assert_position(m.position, seen);
}

static void
encode_reject(struct wr *wr)
{
	const struct msg_reject m = { 10000, view_of("qapi://secrets/a"), 7,
		position_of(seen) };

	msg_reject_encode(wr, 10, &m);
}

static void
check_explain(const struct frame *f)
{
	struct msg_explain m;

	assert_int_equal(f->type, FRAME_EXPLAIN);
	assert_int_equal(msg_explain_decode(f->body, &m), 0);
	assert_view(m.ref, "qapi://secrets/a");
	assert_view(m.as, "nginx.service");
}

static void
encode_explain(struct wr *wr)
{
	const struct msg_explain m = { view_of("qapi://secrets/a"),
		view_of("nginx.service") };

	msg_explain_encode(wr, 11, &m);
}

static void
check_drill(const struct frame *f)
{
	struct msg_drill m;

	assert_int_equal(f->type, FRAME_DRILL);
	assert_int_equal(msg_drill_decode(f->body, &m), 0);
	assert_true(m.duration_ms == 600000);
}

static void
encode_drill(struct wr *wr)
{
	const struct msg_drill m = { 600000 };

	msg_drill_encode(wr, 12, &m);
}

static void
check_metrics(const struct frame *f)
{
	struct msg_metrics m;

	assert_int_equal(f->type, FRAME_METRICS);
	assert_int_equal(msg_metrics_decode(f->body, &m), 0);
	assert_true(m.names);
}

static void
encode_metrics(struct wr *wr)
{
	const struct msg_metrics m = { true };

	msg_metrics_encode(wr, 13, &m);
}

static void
check_watched(const struct frame *f)
{
	struct msg_result m;

	assert_int_equal(f->type, FRAME_RESULT);
	assert_int_equal(f->flags, FRAME_MORE);
	assert_int_equal(msg_result_decode(f->body, &m), 0);
	assert_int_equal(m.error, 0);
	assert_int_equal(m.meta.freshness, MSG_FRESH);
	assert_true(m.meta.age_ms == 1500 && m.meta.version == 7);
	assert_position(m.position, seen);
	assert_false(m.changed);
}

static void
encode_watched(struct wr *wr)
{
	struct msg_result m = { .position = position_of(seen) };

	msg_meta_init(&m.meta);
	m.meta.freshness = MSG_FRESH;
	m.meta.age_ms = 1500;
	m.meta.version = 7;
	msg_result_encode(wr, FRAME_MORE, 9, &m, false);
}

static void
check_watched_error(const struct frame *f)
{
	struct msg_result m;

	assert_int_equal(f->flags, FRAME_MORE);
	assert_int_equal(msg_result_decode(f->body, &m), 0);
	assert_int_equal(m.index, 1);
	assert_int_equal(m.error, ERR_NOT_FOUND);
	assert_view(m.message, "no such secret");
	assert_position(m.position, none);
}

static void
encode_watched_error(struct wr *wr)
{
	const struct msg_result m = {
		.index = 1,
		.error = ERR_NOT_FOUND,
		.message = view_of("no such secret"),
		.position = position_of(none),
	};

	msg_result_encode(wr, FRAME_MORE, 9, &m, false);
}

static void
check_event(const struct frame *f)
{
	struct msg_event m;

	assert_int_equal(f->type, FRAME_EVENT);
	assert_int_equal(f->flags, FRAME_MORE);
	assert_int_equal(msg_event_decode(f->body, &m), 0);
	assert_int_equal(m.index, 0);
	assert_int_equal(m.reason, MSG_REASON_CHANGED);
	assert_string_equal(msg_reason_name(m.reason), "changed");
	assert_position(m.position, newer);
}

static void
encode_event(struct wr *wr)
{
	const struct msg_event m = { 0, MSG_REASON_CHANGED,
		position_of(newer) };

	msg_event_encode(wr, 9, &m);
	assert_int_equal(wr->len, MSG_EVENT_LEN);
}

static void
check_event_unknown_reason(const struct frame *f)
{
	struct msg_event m;

	assert_int_equal(msg_event_decode(f->body, &m), 0);
	assert_int_equal(m.index, 1);
	assert_int_equal(m.reason, 200);
	assert_null(msg_reason_name(m.reason));
	assert_position(m.position, none);
}

static void
check_rejected(const struct frame *f)
{
	struct msg_result m;

	assert_int_equal(f->flags, 0);
	assert_int_equal(msg_result_decode(f->body, &m), 0);
	assert_true(m.changed);
	assert_true(m.meta.age_ms == 12 && m.meta.version == 8);
	assert_position(m.position, newer);
}

static void
encode_rejected(struct wr *wr)
{
	struct msg_result m = {
		.position = position_of(newer),
		.changed = true,
	};

	msg_meta_init(&m.meta);
	m.meta.freshness = MSG_FRESH;
	m.meta.age_ms = 12;
	m.meta.version = 8;
	msg_result_encode(wr, 0, 10, &m, false);
}

static void
check_explained(const struct frame *f)
{
	struct msg_explained m;

	assert_int_equal(f->type, FRAME_EXPLAINED);
	assert_int_equal(msg_explained_decode(f->body, &m), 0);
	assert_true(m.allowed && m.cached);
	assert_view(m.rule, "web");
	assert_view(m.why, "rule \"web\" lets unit nginx.service read it");
	assert_int_equal(m.meta.freshness, MSG_STALE);
	assert_true(m.meta.age_ms == 400000 && m.meta.version == 7);
	assert_view(m.meta.id, "s-1");
	assert_view(m.meta.name, "a");
	assert_true(m.meta.updated_at == MSG_NO_TIME);
	assert_true(m.meta.expires_at == INT64_C(1809777600250));
	assert_true(m.next_refresh_ms == 9000);
	assert_int_equal(m.last_error, ERR_UPSTREAM_UNAVAILABLE);
	assert_view(m.message, "connection refused");
}

static void
encode_explained(struct wr *wr)
{
	struct msg_explained m;

	msg_explained_init(&m);
	m.allowed = m.cached = true;
	m.rule = view_of("web");
	m.why = view_of("rule \"web\" lets unit nginx.service read it");
	m.meta.freshness = MSG_STALE;
	m.meta.age_ms = 400000;
	m.meta.id = view_of("s-1");
	m.meta.name = view_of("a");
	m.meta.version = 7;
	m.meta.expires_at = INT64_C(1809777600250);
	m.next_refresh_ms = 9000;
	m.last_error = ERR_UPSTREAM_UNAVAILABLE;
	m.message = view_of("connection refused");
	msg_explained_encode(wr, 11, &m);
}

static void
check_explained_no(const struct frame *f)
{
	struct msg_explained m;

	assert_true(f->id == 14);
	assert_int_equal(msg_explained_decode(f->body, &m), 0);
	assert_false(m.allowed || m.cached);
	assert_int_equal(m.rule.len, 0);
	assert_view(m.why, "no rule matches");
	assert_true(m.next_refresh_ms == MSG_NO_LIMIT);
	assert_int_equal(m.last_error, 0);
}

static void
encode_explained_no(struct wr *wr)
{
	struct msg_explained m;

	msg_explained_init(&m);
	m.why = view_of("no rule matches");
	msg_explained_encode(wr, 14, &m);
}

static void
check_drill_started(const struct frame *f)
{
	struct msg_drilled m;
	struct msg_drill_read read;
	struct msg_drill_value value;
	struct view pos = f->body;

	assert_int_equal(f->type, FRAME_DRILLED);
	assert_int_equal(f->flags, FRAME_MORE);
	assert_int_equal(msg_drilled_decode(f->body, &m), 0);
	assert_true(m.duration_ms == 600000);
	assert_true(m.elapsed_ms == MSG_NO_LIMIT);
	assert_int_equal(msg_drill_read_next(&pos, &read), ERR_AGAIN);
	pos = f->body;
	assert_int_equal(msg_drill_value_next(&pos, &value), ERR_AGAIN);
}

static void
encode_drill_started(struct wr *wr)
{
	size_t start = msg_drilled_begin(wr, FRAME_MORE, 12);
	struct msg_drilled m;

	msg_drilled_init(&m);
	m.duration_ms = 600000;
	msg_drilled_end(wr, start, &m);
}

static const char report_a[] = "qapi://secrets/a";
static const char report_b[] = "qapi://secrets/b";

static void
check_drill_reads(struct view pos)
{
	struct msg_drill_read read;

	assert_int_equal(msg_drill_read_next(&pos, &read), 0);
	assert_view(read.ref, report_a);
	assert_int_equal(read.freshness, MSG_STALE);
	assert_int_equal(read.error, 0);
	assert_true(read.count == 40);
	assert_int_equal(msg_drill_read_next(&pos, &read), 0);
	assert_view(read.ref, report_b);
	assert_int_equal(read.freshness, MSG_FRESHNESS_NONE);
	assert_int_equal(read.error, ERR_UPSTREAM_UNAVAILABLE);
	assert_true(read.count == 3);
	assert_int_equal(msg_drill_read_next(&pos, &read), ERR_AGAIN);
}

static void
check_drill_values(struct view pos)
{
	struct msg_drill_value value;

	assert_int_equal(msg_drill_value_next(&pos, &value), 0);
	assert_int_equal(value.kind, REF_SECRET);
	assert_view(value.id, "s-1");
	assert_view(value.name, "a");
	assert_true(value.unusable_in_ms == 86400000);
	assert_int_equal(value.limit, MSG_LIMIT_MAX_STALE);
	assert_int_equal(msg_drill_value_next(&pos, &value), 0);
	assert_int_equal(value.kind, REF_KEY);
	assert_view(value.name, "signing");
	assert_true(value.unusable_in_ms == MSG_NO_LIMIT);
	assert_int_equal(value.limit, 0);
	assert_int_equal(msg_drill_value_next(&pos, &value), ERR_AGAIN);
}

static void
check_drill_report(const struct frame *f)
{
	struct msg_drilled m;

	assert_int_equal(f->flags, 0);
	assert_int_equal(msg_drilled_decode(f->body, &m), 0);
	assert_true(m.duration_ms == MSG_NO_LIMIT);
	assert_true(m.elapsed_ms == 300000 && m.count == 50 && m.failed == 3);
	check_drill_reads(f->body);
	check_drill_values(f->body);
}

static void
encode_drill_report(struct wr *wr)
{
	const struct msg_drill_read a = { view_of(report_a), MSG_STALE, 0,
		40 };
	const struct msg_drill_read b = { view_of(report_b), 0,
		ERR_UPSTREAM_UNAVAILABLE, 3 };
	const struct msg_drill_value secret = { REF_SECRET, view_of("s-1"),
		view_of("a"), 86400000, MSG_LIMIT_MAX_STALE };
	const struct msg_drill_value key = { REF_KEY, view_of("k-1"),
		view_of("signing"), MSG_NO_LIMIT, 0 };
	const struct msg_drilled m = { MSG_NO_LIMIT, 300000, 50, 3 };
	size_t start = msg_drilled_begin(wr, 0, 12);

	msg_drill_read_add(wr, &a);
	msg_drill_read_add(wr, &b);
	msg_drill_value_add(wr, &secret);
	msg_drill_value_add(wr, &key);
	msg_drilled_end(wr, start, &m);
}

static const char metrics_text[] = "# TYPE qapi_agent_cache_hits counter\n"
    "qapi_agent_cache_hits_total 12\n# EOF\n";

static void
check_metrics_text(const struct frame *f)
{
	struct msg_text m;

	assert_int_equal(f->type, FRAME_METRICS_TEXT);
	assert_int_equal(msg_text_decode(f->body, &m), 0);
	assert_view(m.text, metrics_text);
}

static void
encode_metrics_text(struct wr *wr)
{
	const struct msg_text m = { view_of(metrics_text) };

	msg_text_encode(wr, 0, 13, &m);
	assert_int_equal(wr->len, MSG_TEXT_HEAD_LEN + m.text.len);
}

static const struct vector_test tests[] = {
	{ "hello-client", check_hello_client, encode_hello_client },
	{ "hello-agent", check_hello_agent, encode_hello_agent },
	{ "ping", check_ping, encode_ping },
	{ "get", check_get, encode_get },
	{ "list", check_list, encode_list },
	{ "status", check_status, encode_status },
	{ "refresh-all", check_refresh_all, encode_refresh_all },
	{ "purge-ref", check_purge_ref, encode_purge_ref },
	{ "result", check_result, encode_result },
	{ "result-error", check_result_error, encode_result_error },
	{ "rows", check_rows, encode_rows },
	{ "stats", check_stats, encode_stats },
	{ "done", check_done, encode_done },
	{ "error", check_error, encode_error },
	{ "unknown-field", check_unknown_field, NULL },
	{ "get-position", check_get_position, encode_get_position },
	{ "watch", check_watch, encode_watch },
	{ "cancel", check_cancel, encode_cancel },
	{ "reject", check_reject, encode_reject },
	{ "explain", check_explain, encode_explain },
	{ "drill", check_drill, encode_drill },
	{ "metrics", check_metrics, encode_metrics },
	{ "watched", check_watched, encode_watched },
	{ "watched-error", check_watched_error, encode_watched_error },
	{ "event", check_event, encode_event },
	{ "event-unknown-reason", check_event_unknown_reason, NULL },
	{ "rejected", check_rejected, encode_rejected },
	{ "explained", check_explained, encode_explained },
	{ "explained-no", check_explained_no, encode_explained_no },
	{ "drill-started", check_drill_started, encode_drill_started },
	{ "drill-report", check_drill_report, encode_drill_report },
	{ "metrics-text", check_metrics_text, encode_metrics_text },
};

/* Number i of all tests, NULL after the last. */
static const struct vector_test *
test_at(size_t i)
{
	if (i < UNIT_COUNT(tests))
		return &tests[i];
	i -= UNIT_COUNT(tests);
	return i < vectors_call_count ? &vectors_call[i] : NULL;
}

/* Said here too, so that a changed word in the document is noticed. */
static const struct {
	const char *name;
	int error;
} bad_tests[] = {
	{ "bad-too-large", ERR_TOO_LARGE },
	{ "bad-version", ERR_UNSUPPORTED },
	{ "bad-critical-flag", ERR_UNSUPPORTED },
	{ "bad-fd-flag", ERR_UNSUPPORTED },
	{ "bad-past-end", ERR_BAD_REQUEST },
	{ "bad-cut-field", ERR_BAD_REQUEST },
	{ "bad-dup-field", ERR_BAD_REQUEST },
	{ "bad-int-length", ERR_BAD_REQUEST },
	{ "bad-utf8", ERR_BAD_REQUEST },
	{ "bad-nul", ERR_BAD_REQUEST },
	{ "bad-empty-ref", ERR_BAD_REQUEST },
	{ "bad-no-ref", ERR_BAD_REQUEST },
	{ "bad-ref-and-all", ERR_BAD_REQUEST },
	{ "bad-critical-field", ERR_UNSUPPORTED },
	{ "bad-terms", ERR_UNSUPPORTED },
	{ "bad-kind", ERR_UNSUPPORTED },
	{ "bad-value-without-content", ERR_BAD_REQUEST },
	{ "bad-no-index", ERR_BAD_REQUEST },
	{ "bad-watch-without-ref", ERR_BAD_REQUEST },
	{ "bad-watch-nothing", ERR_BAD_REQUEST },
	{ "bad-position-length", ERR_BAD_REQUEST },
	{ "bad-reject-two", ERR_BAD_REQUEST },
	{ "bad-explain-empty-as", ERR_BAD_REQUEST },
	{ "bad-drill-without-duration", ERR_BAD_REQUEST },
	{ "bad-metrics-names", ERR_UNSUPPORTED },
	{ "bad-event-without-position", ERR_BAD_REQUEST },
	{ "bad-drill-read-served-and-failed", ERR_BAD_REQUEST },
	{ "bad-explained-error", ERR_UNSUPPORTED },
	{ "bad-call-method", ERR_BAD_REQUEST },
	{ "bad-call-without-target", ERR_BAD_REQUEST },
	{ "bad-decrypt-nothing", ERR_BAD_REQUEST },
	{ "bad-aad-nul", ERR_BAD_REQUEST },
	{ "bad-sign-without-key", ERR_BAD_REQUEST },
	{ "bad-verify-without-signature", ERR_BAD_REQUEST },
	{ "bad-stream-both", ERR_BAD_REQUEST },
	{ "bad-stream-neither", ERR_BAD_REQUEST },
	{ "bad-stream-data-of-none", ERR_BAD_REQUEST },
	{ "bad-stream-final", ERR_UNSUPPORTED },
	{ "bad-called-without-status", ERR_BAD_REQUEST },
	{ "bad-verified-by-nobody", ERR_BAD_REQUEST },
};

/* --- reading the document ---------------------------------------------- */

static int
hex_value(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = c == '\0' ? NULL : strchr(digits, c);

	return p == NULL ? -1 : (int)(p - digits);
}

static void
read_hex_line(struct vector *v, const char *line)
{
	const char *p = line;
	int high;
	int low;

	for (;;) {
		while (*p == ' ' || *p == '\n')
			p++;
		if (*p == '\0' || *p == '#')
			return;
		high = hex_value(p[0]);
		low = high < 0 ? -1 : hex_value(p[1]);
		if (low < 0 || v->len == VECTOR_LEN_MAX)
			fail_msg("vector %s: bad line: %s", v->name, line);
		v->bytes[v->len++] = (uint8_t)(high << 4 | low);
		p += 2;
	}
}

static int
read_document(void **state)
{
	const char *path = getenv("PROTOCOL_MD");
	struct vector *v = NULL;
	char line[512];
	FILE *file;

	(void)state;
	file = fopen(path != NULL ? path : PROTOCOL_MD, "r");
	if (file == NULL) {
		perror(path != NULL ? path : PROTOCOL_MD);
		return -1;
	}
	while (fgets(line, sizeof(line), file) != NULL) {
		if (v == NULL && strncmp(line, "```vector ", 10) == 0) {
			assert_true(nvectors < VECTORS_MAX);
			v = &vectors[nvectors++];
			assert_true(sscanf(line + 10, "%63s %63s", v->name,
			    v->error) >= 1);
		} else if (strncmp(line, "```", 3) == 0) {
			v = NULL;
		} else if (v != NULL) {
			read_hex_line(v, line);
		}
	}
	(void)fclose(file);
	/* a block that does not end, or none at all */
	return v == NULL && nvectors > 0 ? 0 : -1;
}

static const struct vector *
find_vector(const char *name)
{
	size_t i;

	for (i = 0; i < nvectors; i++) {
		if (strcmp(vectors[i].name, name) == 0)
			return &vectors[i];
	}
	fail_msg("no vector %s in the document", name);
	return NULL;
}

/* --- the tests --------------------------------------------------------- */

static void
test_every_vector_has_one_test(void **state)
{
	const struct vector_test *t;
	size_t i;
	size_t k;
	int found;

	(void)state;
	for (i = 0; i < nvectors; i++) {
		found = 0;
		for (k = 0; (t = test_at(k)) != NULL; k++)
			found += strcmp(t->name, vectors[i].name) == 0;
		for (k = 0; k < UNIT_COUNT(bad_tests); k++) {
			found += strcmp(bad_tests[k].name,
			    vectors[i].name) == 0;
		}
		if (found != 1)
			fail_msg("vector %s has %d tests", vectors[i].name,
			    found);
		for (k = 0; k < i; k++)
			assert_string_not_equal(vectors[k].name,
			    vectors[i].name);
	}
	assert_int_equal(nvectors, UNIT_COUNT(tests) + vectors_call_count +
	    UNIT_COUNT(bad_tests));
}

static void
test_vectors_decode(void **state)
{
	const struct vector_test *t;
	const struct vector *v;
	struct frame f;
	size_t i;

	(void)state;
	for (i = 0; (t = test_at(i)) != NULL; i++) {
		v = find_vector(t->name);
		assert_string_equal(v->error, "");
		assert_int_equal(frame_cut(v->bytes, v->len,
		    FRAME_ANSWER_MAX, &f), 0);
		assert_int_equal(f.total, v->len);
		t->check(&f);
	}
}

static void
test_vectors_encode(void **state)
{
	uint8_t out[VECTOR_LEN_MAX];
	const struct vector_test *t;
	const struct vector *v;
	struct wr wr;
	size_t i;

	(void)state;
	for (i = 0; (t = test_at(i)) != NULL; i++) {
		if (t->encode == NULL)
			continue;
		v = find_vector(t->name);
		wr_init(&wr, out, sizeof(out));
		t->encode(&wr);
		assert_false(wr.failed);
		if (wr.len != v->len || memcmp(out, v->bytes, wr.len) != 0)
			fail_msg("%s is encoded otherwise", v->name);
	}
}

/* What a receiver of a body of that type makes of it. */
static int
receive_refs(struct view body)
{
	struct msg_refs m;

	return msg_refs_decode(body, &m);
}

static int
receive_list(struct view body)
{
	struct msg_list m;

	return msg_list_decode(body, &m);
}

static int
receive_result(struct view body)
{
	struct msg_result m;

	return msg_result_decode(body, &m);
}

static int
receive_watch(struct view body)
{
	struct msg_watch m;

	return msg_watch_decode(body, &m);
}

static int
receive_reject(struct view body)
{
	struct msg_reject m;

	return msg_reject_decode(body, &m);
}

static int
receive_explain(struct view body)
{
	struct msg_explain m;

	return msg_explain_decode(body, &m);
}

static int
receive_drill(struct view body)
{
	struct msg_drill m;

	return msg_drill_decode(body, &m);
}

static int
receive_metrics(struct view body)
{
	struct msg_metrics m;

	return msg_metrics_decode(body, &m);
}

static int
receive_event(struct view body)
{
	struct msg_event m;

	return msg_event_decode(body, &m);
}

static int
receive_explained(struct view body)
{
	struct msg_explained m;

	return msg_explained_decode(body, &m);
}

static int
receive_drilled(struct view body)
{
	struct msg_drilled m;
	struct msg_drill_read read;
	int r;

	r = msg_drilled_decode(body, &m);
	return r != 0 ? r : msg_drill_read_next(&body, &read);
}

static int (*const receivers[UINT8_MAX])(struct view) = {
	[FRAME_GET] = receive_refs,
	[FRAME_LIST] = receive_list,
	[FRAME_PURGE] = receive_refs,
	[FRAME_RESULT] = receive_result,
	[FRAME_WATCH] = receive_watch,
	[FRAME_REJECT] = receive_reject,
	[FRAME_EXPLAIN] = receive_explain,
	[FRAME_DRILL] = receive_drill,
	[FRAME_METRICS] = receive_metrics,
	[FRAME_EVENT] = receive_event,
	[FRAME_EXPLAINED] = receive_explained,
	[FRAME_DRILLED] = receive_drilled,
};

static int
receive(const struct vector *v)
{
	struct frame f;
	int r;

	r = frame_cut(v->bytes, v->len, FRAME_REQUEST_MAX, &f);
	if (r != 0)
		return r;
	assert_int_equal(f.total, v->len);
	return receivers[f.type] != NULL ? receivers[f.type](f.body)
	    : vectors_call_receive(f.type, f.body);
}

static void
test_bad_vectors_are_refused(void **state)
{
	const struct vector *v;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad_tests); i++) {
		v = find_vector(bad_tests[i].name);
		assert_string_equal(v->error, err_name(bad_tests[i].error));
		if (receive(v) != bad_tests[i].error)
			fail_msg("%s: %s", v->name, err_name(receive(v)));
	}
}

int
main(void)
{
	const struct CMUnitTest group[] = {
		cmocka_unit_test(test_every_vector_has_one_test),
		cmocka_unit_test(test_vectors_decode),
		cmocka_unit_test(test_vectors_encode),
		cmocka_unit_test(test_bad_vectors_are_refused),
	};

	return cmocka_run_group_tests(group, read_document, NULL);
}
