#include "config.h"

#include "msg_report.h"

#include <assert.h>

#include "err.h"
#include "fields.h"

static_assert(FRAME_HEADER_LEN + 5 * 14 + 3 * 8 + 3 * 7 + 5 * FIELD_HEAD +
    MSG_RULE_MAX + MSG_WHY_MAX + MSG_MESSAGE_MAX + MSG_ID_MAX + MSG_NAME_MAX <=
    MSG_EXPLAINED_MAX, "MSG_EXPLAINED_MAX is too small");
static_assert(2 * FIELD_HEAD + REF_MAX + 8 + 14 <= MSG_DRILL_ROW_MAX,
    "MSG_DRILL_ROW_MAX is too small for a read");
static_assert(3 * FIELD_HEAD + MSG_ID_MAX + MSG_NAME_MAX + 14 + 2 * 7 <=
    MSG_DRILL_ROW_MAX, "MSG_DRILL_ROW_MAX is too small for a value");
static_assert(FRAME_HEADER_LEN + FIELD_HEAD == MSG_TEXT_HEAD_LEN,
    "MSG_TEXT_HEAD_LEN is wrong");
static_assert(FIELD_HEAD + MSG_TEXT_MAX <= FRAME_ANSWER_MAX,
    "the largest METRICS_TEXT does not fit a frame");

/* --- EXPLAIN ----------------------------------------------------------- */

void
msg_explain_encode(struct wr *wr, uint64_t id, const struct msg_explain *m)
{
	size_t start = frame_begin(wr, FRAME_EXPLAIN, 0, id);

	if (m->ref.len == 0)
		wr_fail(wr);
	fields_put_bytes(wr, TAG_REF, m->ref.p, m->ref.len, REF_MAX);
	if (m->as.len > 0)
		fields_put_bytes(wr, TAG_AS, m->as.p, m->as.len, MSG_AS_MAX);
	frame_end(wr, start, 0);
}

int
msg_explain_decode(struct view body, struct msg_explain *ret)
{
	static const struct field fields[] = {
		{ TAG_REF, FIELD_TEXT, offsetof(struct msg_explain, ref), 1,
		    REF_MAX },
		{ TAG_AS, FIELD_TEXT, offsetof(struct msg_explain, as), 1,
		    MSG_AS_MAX },
	};
	static const struct spec spec = SPEC(fields, BIT(0));

	*ret = (struct msg_explain){ .ref = { NULL, 0 } };
	return fields_decode(&spec, body, ret, NULL);
}

void
msg_explained_init(struct msg_explained *m)
{
	*m = (struct msg_explained){ .next_refresh_ms = MSG_NO_LIMIT };
	msg_meta_init(&m->meta);
}

void
msg_explained_encode(struct wr *wr, uint64_t id, const struct msg_explained *m)
{
	size_t start = frame_begin(wr, FRAME_EXPLAINED, 0, id);

	if (m->allowed)
		fields_put_u8(wr, TAG_ALLOWED, 1);
	fields_put_cut(wr, TAG_RULE, m->rule, MSG_RULE_MAX);
	fields_put_cut(wr, TAG_WHY, m->why, MSG_WHY_MAX);
	if (m->cached)
		fields_put_u8(wr, TAG_CACHED, 1);
	fields_put_meta(wr, &m->meta);
	if (m->next_refresh_ms != MSG_NO_LIMIT)
		fields_put_u64(wr, TAG_NEXT_REFRESH_MS, m->next_refresh_ms);
	if (m->last_error != 0) {
		fields_put_u16(wr, TAG_LAST_ERROR, err_wire(m->last_error));
		fields_put_cut(wr, TAG_MESSAGE, m->message, MSG_MESSAGE_MAX);
	}
	frame_end(wr, start, 0);
}

int
msg_explained_decode(struct view body, struct msg_explained *ret)
{
	static const struct field fields[] = {
		{ TAG_ALLOWED, FIELD_FLAG,
		    offsetof(struct msg_explained, allowed), 0, 0 },
		{ TAG_RULE, FIELD_TEXT, offsetof(struct msg_explained, rule),
		    1, MSG_RULE_MAX },
		{ TAG_WHY, FIELD_TEXT, offsetof(struct msg_explained, why), 1,
		    MSG_WHY_MAX },
		{ TAG_CACHED, FIELD_FLAG,
		    offsetof(struct msg_explained, cached), 0, 0 },
		F_META(struct msg_explained),
		{ TAG_NEXT_REFRESH_MS, FIELD_U64,
		    offsetof(struct msg_explained, next_refresh_ms), 0, 0 },
		{ TAG_LAST_ERROR, FIELD_ERROR,
		    offsetof(struct msg_explained, last_error), 0, 0 },
		{ TAG_MESSAGE, FIELD_TEXT,
		    offsetof(struct msg_explained, message), 1,
		    MSG_MESSAGE_MAX },
	};
	static const struct spec spec = SPEC(fields, 0);

	msg_explained_init(ret);
	return fields_decode(&spec, body, ret, NULL);
}

/* --- DRILL ------------------------------------------------------------- */

void
msg_drill_encode(struct wr *wr, uint64_t id, const struct msg_drill *m)
{
	size_t start = frame_begin(wr, FRAME_DRILL, 0, id);

	fields_put_u64(wr, TAG_DURATION_MS, m->duration_ms);
	frame_end(wr, start, 0);
}

int
msg_drill_decode(struct view body, struct msg_drill *ret)
{
	static const struct field fields[] = {
		{ TAG_DURATION_MS, FIELD_U64,
		    offsetof(struct msg_drill, duration_ms), 0, 0 },
	};
	static const struct spec spec = SPEC(fields, BIT(0));

	return fields_decode(&spec, body, ret, NULL);
}

size_t
msg_drilled_begin(struct wr *wr, uint16_t flags, uint64_t id)
{
	return frame_begin(wr, FRAME_DRILLED, flags, id);
}

void
msg_drill_read_add(struct wr *wr, const struct msg_drill_read *m)
{
	size_t start = fields_begin_nested(wr, TAG_DRILL_READ);

	if (m->ref.len == 0)
		wr_fail(wr);
	fields_put_bytes(wr, TAG_REF, m->ref.p, m->ref.len, REF_MAX);
	if (m->error != 0)
		fields_put_u16(wr, TAG_ERROR, err_wire(m->error));
	else
		fields_put_u8(wr, TAG_FRESHNESS, m->freshness);
	fields_put_u64(wr, TAG_COUNT, m->count);
	fields_end_nested(wr, start);
}

void
msg_drill_value_add(struct wr *wr, const struct msg_drill_value *m)
{
	size_t start = fields_begin_nested(wr, TAG_DRILL_VALUE);

	fields_put_u8(wr, TAG_KIND, m->kind);
	fields_put_bytes(wr, TAG_ID, m->id.p, m->id.len, MSG_ID_MAX);
	fields_put_bytes(wr, TAG_NAME, m->name.p, m->name.len, MSG_NAME_MAX);
	if (m->unusable_in_ms != MSG_NO_LIMIT)
		fields_put_u64(wr, TAG_UNUSABLE_IN_MS, m->unusable_in_ms);
	if (m->limit != 0)
		fields_put_u8(wr, TAG_LIMIT, m->limit);
	fields_end_nested(wr, start);
}

void
msg_drilled_init(struct msg_drilled *m)
{
	*m = (struct msg_drilled){
		.duration_ms = MSG_NO_LIMIT,
		.elapsed_ms = MSG_NO_LIMIT,
	};
}

void
msg_drilled_end(struct wr *wr, size_t start, const struct msg_drilled *m)
{
	if (m->duration_ms != MSG_NO_LIMIT)
		fields_put_u64(wr, TAG_DURATION_MS, m->duration_ms);
	if (m->elapsed_ms != MSG_NO_LIMIT)
		fields_put_u64(wr, TAG_ELAPSED_MS, m->elapsed_ms);
	if (m->count != 0)
		fields_put_u64(wr, TAG_COUNT, m->count);
	if (m->failed != 0)
		fields_put_u64(wr, TAG_FAILED, m->failed);
	frame_end(wr, start, 0);
}

int
msg_drilled_decode(struct view body, struct msg_drilled *ret)
{
	static const struct field fields[] = {
		{ TAG_DRILL_READ, FIELD_NESTED, 0, 0, 0 },
		{ TAG_DRILL_VALUE, FIELD_NESTED, 0, 0, 0 },
		{ TAG_DURATION_MS, FIELD_U64,
		    offsetof(struct msg_drilled, duration_ms), 0, 0 },
		{ TAG_ELAPSED_MS, FIELD_U64,
		    offsetof(struct msg_drilled, elapsed_ms), 0, 0 },
		{ TAG_COUNT, FIELD_U64, offsetof(struct msg_drilled, count),
		    0, 0 },
		{ TAG_FAILED, FIELD_U64, offsetof(struct msg_drilled, failed),
		    0, 0 },
	};
	static const struct spec spec = SPEC(fields, 0);

	msg_drilled_init(ret);
	return fields_decode(&spec, body, ret, NULL);
}

int
msg_drill_read_next(struct view *pos, struct msg_drill_read *ret)
{
	static const struct field fields[] = {
		{ TAG_REF, FIELD_TEXT, offsetof(struct msg_drill_read, ref),
		    1, REF_MAX },
		{ TAG_COUNT, FIELD_U64,
		    offsetof(struct msg_drill_read, count), 0, 0 },
		{ TAG_FRESHNESS, FIELD_U8,
		    offsetof(struct msg_drill_read, freshness), MSG_FRESH,
		    MSG_EXPIRED },
		{ TAG_ERROR, FIELD_ERROR,
		    offsetof(struct msg_drill_read, error), 0, 0 },
	};
	static const struct spec spec = SPEC(fields, BIT(0) | BIT(1));
	struct view content;
	uint32_t seen;
	int r;

	r = fields_next(pos, TAG_DRILL_READ, &content);
	if (r != 0)
		return r;
	*ret = (struct msg_drill_read){ .count = 0 };
	r = fields_decode(&spec, content, ret, &seen);
	if (r != 0)
		return r;
	/* served or failed, not both and not neither */
	if (((seen & BIT(2)) != 0) == ((seen & BIT(3)) != 0))
		return ERR_BAD_REQUEST;
	return 0;
}

int
msg_drill_value_next(struct view *pos, struct msg_drill_value *ret)
{
	static const struct field fields[] = {
		{ TAG_KIND, FIELD_U8, offsetof(struct msg_drill_value, kind),
		    REF_SECRET, REF_KEY },
		{ TAG_ID, FIELD_TEXT, offsetof(struct msg_drill_value, id), 1,
		    MSG_ID_MAX },
		{ TAG_NAME, FIELD_TEXT,
		    offsetof(struct msg_drill_value, name), 1, MSG_NAME_MAX },
		{ TAG_UNUSABLE_IN_MS, FIELD_U64,
		    offsetof(struct msg_drill_value, unusable_in_ms), 0, 0 },
		{ TAG_LIMIT, FIELD_U8,
		    offsetof(struct msg_drill_value, limit), 0, UINT8_MAX },
	};
	static const struct spec spec = SPEC(fields,
	    BIT(0) | BIT(1) | BIT(2));
	struct view content;
	int r;

	r = fields_next(pos, TAG_DRILL_VALUE, &content);
	if (r != 0)
		return r;
	*ret = (struct msg_drill_value){ .unusable_in_ms = MSG_NO_LIMIT };
	return fields_decode(&spec, content, ret, NULL);
}

/* --- METRICS ----------------------------------------------------------- */

void
msg_metrics_encode(struct wr *wr, uint64_t id, const struct msg_metrics *m)
{
	size_t start = frame_begin(wr, FRAME_METRICS, 0, id);

	if (m->names)
		fields_put_u8(wr, TAG_NAMES, 1);
	frame_end(wr, start, 0);
}

int
msg_metrics_decode(struct view body, struct msg_metrics *ret)
{
	static const struct field fields[] = {
		{ TAG_NAMES, FIELD_FLAG, offsetof(struct msg_metrics, names),
		    0, 0 },
	};
	static const struct spec spec = SPEC(fields, 0);

	ret->names = false;
	return fields_decode(&spec, body, ret, NULL);
}

void
msg_text_encode(struct wr *wr, uint16_t flags, uint64_t id,
    const struct msg_text *m)
{
	size_t start = frame_begin(wr, FRAME_METRICS_TEXT, flags, id);

	fields_put_bytes(wr, TAG_TEXT, m->text.p, m->text.len, MSG_TEXT_MAX);
	frame_end(wr, start, 0);
}

int
msg_text_decode(struct view body, struct msg_text *ret)
{
	static const struct field fields[] = {
		{ TAG_TEXT, FIELD_TEXT, offsetof(struct msg_text, text), 0,
		    MSG_TEXT_MAX },
	};
	static const struct spec spec = SPEC(fields, BIT(0));

	return fields_decode(&spec, body, ret, NULL);
}
