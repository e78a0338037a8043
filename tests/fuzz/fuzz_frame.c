/*
 * Cuts the input into frames, as a connection does, and gives each body to
 * every decoder, whatever its type.  What decodes is encoded and decoded
 * again: that must give the same.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "envelope.h"
#include "err.h"
#include "fuzz.h"
#include "msg.h"
#include "msg_call.h"
#include "msg_report.h"
#include "msg_watch.h"

/* more than an input grows to when it is encoded again */
static uint8_t out[1u << 20];

static bool
same(struct view a, struct view b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static bool
same_meta(const struct msg_meta *a, const struct msg_meta *b)
{
	return a->freshness == b->freshness &&
	    (a->freshness == MSG_FRESHNESS_NONE || a->age_ms == b->age_ms) &&
	    same(a->id, b->id) && same(a->name, b->name) &&
	    a->version == b->version && a->updated_at == b->updated_at &&
	    a->expires_at == b->expires_at;
}

/* The body of the one frame in wr. */
static struct view
body_of(const struct wr *wr)
{
	struct frame f;

	FUZZ_ASSERT(!wr->failed);
	FUZZ_ASSERT(frame_cut(wr->p, wr->len, FRAME_ANSWER_MAX, &f) == 0);
	FUZZ_ASSERT(f.total == wr->len);
	return f.body;
}

static void
try_refs(struct view body)
{
	struct msg_refs a;
	struct msg_refs b;
	struct view ref;
	struct view again;
	struct wr wr;
	size_t start;
	size_t n = 0;

	if (msg_refs_decode(body, &a) != 0)
		return;
	FUZZ_ASSERT(a.all == (a.nrefs == 0) && a.nrefs <= MSG_REFS_MAX);
	wr_init(&wr, out, sizeof(out));
	start = msg_refs_begin(&wr, FRAME_GET, 1, &a.terms, a.all);
	while (msg_refs_next(&a, &ref)) {
		msg_refs_add(&wr, (const char *)ref.p, ref.len);
		n++;
	}
	FUZZ_ASSERT(n == a.nrefs);
	frame_end(&wr, start, 0);
	FUZZ_ASSERT(msg_refs_decode(body_of(&wr), &b) == 0);
	FUZZ_ASSERT(a.nrefs == b.nrefs && a.all == b.all);
	FUZZ_ASSERT(a.terms.deadline_ms == b.terms.deadline_ms &&
	    a.terms.max_age_ms == b.terms.max_age_ms &&
	    a.terms.max_stale_ms == b.terms.max_stale_ms &&
	    a.terms.flags == b.terms.flags);
	FUZZ_ASSERT(msg_refs_decode(body, &a) == 0);
	while (msg_refs_next(&a, &ref)) {
		FUZZ_ASSERT(msg_refs_next(&b, &again));
		FUZZ_ASSERT(same(ref, again));
	}
}

static void
try_list(struct view body)
{
	struct msg_list a;
	struct msg_list b;
	struct wr wr;

	if (msg_list_decode(body, &a) != 0)
		return;
	wr_init(&wr, out, sizeof(out));
	msg_list_encode(&wr, 1, &a);
	FUZZ_ASSERT(msg_list_decode(body_of(&wr), &b) == 0);
	FUZZ_ASSERT(a.kind == b.kind && a.terms.flags == b.terms.flags);
}

static void
try_result(struct view body)
{
	struct msg_result a;
	struct msg_result b;
	struct wr wr;

	if (msg_result_decode(body, &a) != 0)
		return;
	wr_init(&wr, out, sizeof(out));
	msg_result_encode(&wr, 0, 1, &a, false);
	FUZZ_ASSERT(msg_result_decode(body_of(&wr), &b) == 0);
	FUZZ_ASSERT(a.index == b.index && a.error == b.error &&
	    same(a.position, b.position));
	if (a.error != 0)
		FUZZ_ASSERT(same(a.message, b.message));
	else
		FUZZ_ASSERT(same_meta(&a.meta, &b.meta) &&
		    a.changed == b.changed && a.content == b.content &&
		    same(a.value, b.value));
}

static void
try_rows(struct view body)
{
	struct msg_meta listing;
	struct msg_row a;
	struct msg_row b;
	struct view pos = body;
	struct view again;
	struct wr wr;

	(void)msg_rows_decode(body, &listing);
	while (msg_row_next(&pos, &a) == 0) {
		wr_init(&wr, out, sizeof(out));
		msg_row_add(&wr, &a);
		FUZZ_ASSERT(!wr.failed);
		again.p = wr.p;
		again.len = wr.len;
		FUZZ_ASSERT(msg_row_next(&again, &b) == 0);
		FUZZ_ASSERT(a.kind == b.kind && same_meta(&a.meta, &b.meta));
		FUZZ_ASSERT(msg_row_next(&again, &b) == ERR_AGAIN);
	}
}

static void
try_stats(struct view body)
{
	struct msg_stat stat;
	struct view pos = body;

	while (msg_stat_next(&pos, &stat) == 0)
		FUZZ_ASSERT(stat.name.len > 0);
}

static void
try_watch(struct view body)
{
	struct msg_watch_ref ref;
	struct msg_watch_ref again;
	struct msg_watch a;
	struct msg_watch b;
	struct wr wr;
	size_t start;
	size_t n = 0;

	if (msg_watch_decode(body, &a) != 0)
		return;
	FUZZ_ASSERT(a.nrefs >= 1 && a.nrefs <= MSG_REFS_MAX);
	wr_init(&wr, out, sizeof(out));
	start = msg_watch_begin(&wr, 1, a.deadline_ms);
	while (msg_watch_next(&a, &ref)) {
		msg_watch_add(&wr, &ref);
		n++;
	}
	frame_end(&wr, start, 0);
	FUZZ_ASSERT(n == a.nrefs);
	FUZZ_ASSERT(msg_watch_decode(body_of(&wr), &b) == 0);
	FUZZ_ASSERT(a.nrefs == b.nrefs && a.deadline_ms == b.deadline_ms);
	FUZZ_ASSERT(msg_watch_decode(body, &a) == 0);
	while (msg_watch_next(&a, &ref)) {
		FUZZ_ASSERT(msg_watch_next(&b, &again));
		FUZZ_ASSERT(same(ref.ref, again.ref) &&
		    same(ref.position, again.position));
	}
}

static void
try_event_and_reject(struct view body)
{
	struct msg_event event;
	struct msg_event event2;
	struct msg_reject reject;
	struct msg_reject reject2;
	struct wr wr;

	if (msg_event_decode(body, &event) == 0) {
		wr_init(&wr, out, sizeof(out));
		msg_event_encode(&wr, 1, &event);
		FUZZ_ASSERT(wr.len == MSG_EVENT_LEN);
		FUZZ_ASSERT(msg_event_decode(body_of(&wr), &event2) == 0);
		FUZZ_ASSERT(event.index == event2.index &&
		    event.reason == event2.reason &&
		    same(event.position, event2.position));
	}
	if (msg_reject_decode(body, &reject) == 0) {
		wr_init(&wr, out, sizeof(out));
		msg_reject_encode(&wr, 1, &reject);
		FUZZ_ASSERT(msg_reject_decode(body_of(&wr), &reject2) == 0);
		FUZZ_ASSERT(reject.deadline_ms == reject2.deadline_ms &&
		    reject.version == reject2.version &&
		    same(reject.ref, reject2.ref) &&
		    same(reject.position, reject2.position));
	}
}

static void
try_explain(struct view body)
{
	struct msg_explain ask;
	struct msg_explain ask2;
	struct msg_explained a;
	struct msg_explained b;
	struct wr wr;

	if (msg_explain_decode(body, &ask) == 0) {
		wr_init(&wr, out, sizeof(out));
		msg_explain_encode(&wr, 1, &ask);
		FUZZ_ASSERT(msg_explain_decode(body_of(&wr), &ask2) == 0);
		FUZZ_ASSERT(same(ask.ref, ask2.ref) && same(ask.as, ask2.as));
	}
	if (msg_explained_decode(body, &a) != 0)
		return;
	wr_init(&wr, out, MSG_EXPLAINED_MAX);
	msg_explained_encode(&wr, 1, &a);
	FUZZ_ASSERT(msg_explained_decode(body_of(&wr), &b) == 0);
	FUZZ_ASSERT(a.allowed == b.allowed && a.cached == b.cached &&
	    same(a.rule, b.rule) && same(a.why, b.why) &&
	    same_meta(&a.meta, &b.meta) && a.last_error == b.last_error &&
	    a.next_refresh_ms == b.next_refresh_ms);
	FUZZ_ASSERT(a.last_error == 0 || same(a.message, b.message));
}

static void
try_drill_rows(struct view body)
{
	struct msg_drill_read read;
	struct msg_drill_read read2;
	struct msg_drill_value value;
	struct msg_drill_value value2;
	struct view pos = body;
	struct view again;
	struct wr wr;

	while (msg_drill_read_next(&pos, &read) == 0) {
		wr_init(&wr, out, MSG_DRILL_ROW_MAX);
		msg_drill_read_add(&wr, &read);
		FUZZ_ASSERT(!wr.failed);
		again = (struct view){ wr.p, wr.len };
		FUZZ_ASSERT(msg_drill_read_next(&again, &read2) == 0);
		FUZZ_ASSERT(same(read.ref, read2.ref) &&
		    read.freshness == read2.freshness &&
		    read.error == read2.error && read.count == read2.count);
	}
	pos = body;
	while (msg_drill_value_next(&pos, &value) == 0) {
		wr_init(&wr, out, MSG_DRILL_ROW_MAX);
		msg_drill_value_add(&wr, &value);
		FUZZ_ASSERT(!wr.failed);
		again = (struct view){ wr.p, wr.len };
		FUZZ_ASSERT(msg_drill_value_next(&again, &value2) == 0);
		FUZZ_ASSERT(value.kind == value2.kind &&
		    same(value.id, value2.id) &&
		    same(value.name, value2.name) &&
		    value.unusable_in_ms == value2.unusable_in_ms &&
		    value.limit == value2.limit);
	}
}

static void
try_drill_and_metrics(struct view body)
{
	struct msg_drill drill;
	struct msg_drilled a;
	struct msg_drilled b;
	struct msg_metrics metrics;
	struct msg_text text;
	struct wr wr;
	size_t start;

	(void)msg_drill_decode(body, &drill);
	(void)msg_metrics_decode(body, &metrics);
	if (msg_text_decode(body, &text) == 0)
		FUZZ_ASSERT(text.text.len <= body.len);
	try_drill_rows(body);
	if (msg_drilled_decode(body, &a) != 0)
		return;
	wr_init(&wr, out, sizeof(out));
	start = msg_drilled_begin(&wr, 0, 1);
	msg_drilled_end(&wr, start, &a);
	FUZZ_ASSERT(msg_drilled_decode(body_of(&wr), &b) == 0);
	FUZZ_ASSERT(a.duration_ms == b.duration_ms &&
	    a.elapsed_ms == b.elapsed_ms && a.count == b.count &&
	    a.failed == b.failed);
}

static void
try_call(struct view body)
{
	struct msg_call a;
	struct msg_call b;
	struct msg_called c;
	struct msg_called d;
	struct wr wr;

	if (msg_call_decode(body, &a) == 0) {
		wr_init(&wr, out, sizeof(out));
		msg_call_encode(&wr, 1, &a, false);
		FUZZ_ASSERT(msg_call_decode(body_of(&wr), &b) == 0);
		FUZZ_ASSERT(a.terms.deadline_ms == b.terms.deadline_ms &&
		    a.terms.flags == b.terms.flags &&
		    same(a.method, b.method) && same(a.target, b.target) &&
		    same(a.ref, b.ref) && a.has_data == b.has_data &&
		    same(a.content_type, b.content_type) &&
		    same(a.data, b.data));
	}
	if (msg_called_decode(body, &c) == 0) {
		wr_init(&wr, out, sizeof(out));
		msg_called_encode(&wr, 1, &c, false);
		FUZZ_ASSERT(msg_called_decode(body_of(&wr), &d) == 0);
		FUZZ_ASSERT(c.status == d.status &&
		    same(c.content_type, d.content_type) &&
		    c.retry_after_ms == d.retry_after_ms &&
		    c.freshness == d.freshness && same(c.value, d.value));
	}
}

static void
try_crypt(struct view body)
{
	struct msg_crypt a;
	struct msg_crypt b;
	struct msg_verified v;
	struct msg_verified w;
	struct wr wr;
	uint8_t type;

	for (type = FRAME_ENCRYPT; type <= FRAME_VERIFY; type++) {
		if (msg_crypt_decode(type, body, &a) != 0)
			continue;
		wr_init(&wr, out, sizeof(out));
		msg_crypt_encode(&wr, type, 1, &a, false);
		FUZZ_ASSERT(msg_crypt_decode(type, body_of(&wr), &b) == 0);
		FUZZ_ASSERT(a.deadline_ms == b.deadline_ms &&
		    same(a.key, b.key) && same(a.algorithm, b.algorithm) &&
		    same(a.aad, b.aad) && same(a.signature, b.signature) &&
		    same(a.data, b.data));
	}
	if (msg_verified_decode(body, &v) != 0)
		return;
	wr_init(&wr, out, MSG_VERIFIED_MAX);
	msg_verified_encode(&wr, 1, &v);
	FUZZ_ASSERT(msg_verified_decode(body_of(&wr), &w) == 0);
	FUZZ_ASSERT(v.valid == w.valid && v.by == w.by);
}

static void
try_stream(struct view body)
{
	struct msg_stream_open a;
	struct msg_stream_open b;
	struct msg_stream_data c;
	struct msg_stream_data d;
	struct msg_stream_bytes bytes;
	struct wr wr;

	if (msg_stream_open_decode(body, &a) == 0) {
		wr_init(&wr, out, sizeof(out));
		msg_stream_open_encode(&wr, 1, &a);
		FUZZ_ASSERT(msg_stream_open_decode(body_of(&wr), &b) == 0);
		FUZZ_ASSERT(a.deadline_ms == b.deadline_ms &&
		    a.seal == b.seal && same(a.aad, b.aad) &&
		    same(a.header, b.header));
		FUZZ_ASSERT(!a.seal || same(a.key, b.key));
	}
	if (msg_stream_data_decode(body, &c) == 0) {
		wr_init(&wr, out, sizeof(out));
		msg_stream_data_encode(&wr, 1, &c, false);
		FUZZ_ASSERT(msg_stream_data_decode(body_of(&wr), &d) == 0);
		FUZZ_ASSERT(c.stream == d.stream && c.final == d.final &&
		    same(c.data, d.data));
	}
	if (msg_stream_bytes_decode(body, &bytes) == 0)
		FUZZ_ASSERT(bytes.value.len <= body.len);
}

/* Not a message, but what one of them carries. */
static void
try_envelope(struct view header)
{
	struct envelope a;
	struct envelope b;
	struct view again;
	struct wr wr;

	if (envelope_decode(header, &a) != 0)
		return;
	wr_init(&wr, out, MSG_ENVELOPE_MAX);
	envelope_encode(&wr, &a);
	FUZZ_ASSERT(!wr.failed);
	again = (struct view){ wr.p, wr.len };
	FUZZ_ASSERT(same(header, again));
	FUZZ_ASSERT(envelope_decode(again, &b) == 0);
	FUZZ_ASSERT(a.key_version == b.key_version &&
	    same(a.key_id, b.key_id) && same(a.wrapped, b.wrapped));
}

static void
try_others(struct view body)
{
	struct msg_hello hello;
	struct msg_done done;
	struct msg_error error;
	struct msg_done again;
	struct wr wr;

	(void)msg_empty_decode(body);
	(void)msg_hello_decode(body, &hello);
	if (msg_error_decode(body, &error) == 0)
		FUZZ_ASSERT(error.error < 0 && err_wire(error.error) > 0);
	if (msg_done_decode(body, &done) != 0)
		return;
	wr_init(&wr, out, sizeof(out));
	msg_done_encode(&wr, 1, &done);
	FUZZ_ASSERT(msg_done_decode(body_of(&wr), &again) == 0);
	FUZZ_ASSERT(done.count == again.count && done.failed == again.failed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f;
	int r;

	while (size > 0) {
		r = frame_cut(data, size, FRAME_REQUEST_MAX, &f);
		if (r == ERR_AGAIN || f.total == 0)
			break;
		FUZZ_ASSERT(f.total <= size);
		FUZZ_ASSERT(f.total == FRAME_HEADER_LEN + f.body.len);
		try_refs(f.body);
		try_list(f.body);
		try_result(f.body);
		try_rows(f.body);
		try_stats(f.body);
		try_others(f.body);
		try_watch(f.body);
		try_event_and_reject(f.body);
		try_explain(f.body);
		try_drill_and_metrics(f.body);
		try_call(f.body);
		try_crypt(f.body);
		try_stream(f.body);
		try_envelope(f.body);
		data += f.total;
		size -= f.total;
	}
	return 0;
}
