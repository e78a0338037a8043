#include "config.h"

#include "msg.h"

#include <assert.h>
#include <string.h>

#include "err.h"
#include "fields.h"
#include "text.h"

/* the encoder writes what these promise to have room for */
static_assert(FRAME_HEADER_LEN + 4 * 14 + 3 * 8 + 3 * 7 + 5 * FIELD_HEAD +
    MSG_POSITION_LEN + MSG_MESSAGE_MAX + MSG_ID_MAX + MSG_NAME_MAX <=
    MSG_RESULT_HEAD_MAX,
    "MSG_RESULT_HEAD_MAX is too small");
static_assert(FIELD_HEAD + 4 * 14 + 2 * 7 + 2 * FIELD_HEAD + MSG_ID_MAX +
    MSG_NAME_MAX <= MSG_ROW_MAX, "MSG_ROW_MAX is too small");
static_assert(MSG_REFS_MAX * (FIELD_HEAD + REF_MAX) + 4 * 14 <=
    FRAME_REQUEST_MAX, "the largest GET does not fit a frame");
static_assert(MSG_RESULT_HEAD_MAX + MSG_VALUE_MAX <= FRAME_ANSWER_MAX,
    "the largest RESULT does not fit a frame");

/* --- terms and references ---------------------------------------------- */

void
msg_terms_init(struct msg_terms *terms)
{
	terms->deadline_ms = MSG_NO_LIMIT;
	terms->max_age_ms = MSG_NO_LIMIT;
	terms->max_stale_ms = MSG_NO_LIMIT;
	terms->flags = 0;
}

size_t
msg_refs_begin(struct wr *wr, uint8_t type, uint64_t id,
    const struct msg_terms *terms, bool all)
{
	size_t start = frame_begin(wr, type, 0, id);

	fields_put_terms(wr, terms);
	if (all)
		fields_put_u8(wr, TAG_ALL, 1);
	return start;
}

void
msg_refs_add(struct wr *wr, const char *ref, size_t len)
{
	if (len == 0) {
		wr_fail(wr);
		return;
	}
	fields_put_bytes(wr, TAG_REF, ref, len, REF_MAX);
}

int
msg_refs_decode(struct view body, struct msg_refs *ret)
{
	static const struct field fields[] = {
		F_TERMS(struct msg_refs),
		{ TAG_REF, FIELD_REFS, offsetof(struct msg_refs, nrefs), 1,
		    REF_MAX },
		{ TAG_ALL, FIELD_FLAG, offsetof(struct msg_refs, all), 0, 0 },
	};
	static const struct spec spec = SPEC(fields, 0);
	int r;

	msg_terms_init(&ret->terms);
	ret->all = false;
	ret->nrefs = 0;
	ret->fields = body;
	r = fields_decode(&spec, body, ret, NULL);
	if (r == 0 && ret->all == (ret->nrefs > 0))
		return ERR_BAD_REQUEST;
	return r;
}

bool
msg_refs_next(struct msg_refs *m, struct view *ret_ref)
{
	/* decoding has been through it: there is nothing wrong any more */
	return fields_next(&m->fields, TAG_REF, ret_ref) == 0;
}

/* --- messages with a struct -------------------------------------------- */

void
msg_hello_encode(struct wr *wr, uint8_t type, const struct msg_hello *m)
{
	size_t start = frame_begin(wr, type, 0, 0);

	fields_put_u16(wr, TAG_PROTOCOL, m->protocol);
	if (m->build.len > 0)
		fields_put_bytes(wr, TAG_BUILD, m->build.p, m->build.len,
		    MSG_BUILD_MAX);
	frame_end(wr, start, 0);
}

int
msg_hello_decode(struct view body, struct msg_hello *ret)
{
	static const struct field fields[] = {
		{ TAG_PROTOCOL, FIELD_U16,
		    offsetof(struct msg_hello, protocol), 0, 0 },
		{ TAG_BUILD, FIELD_TEXT, offsetof(struct msg_hello, build), 1,
		    MSG_BUILD_MAX },
	};
	static const struct spec spec = SPEC(fields, BIT(0));

	ret->build = (struct view){ NULL, 0 };
	return fields_decode(&spec, body, ret, NULL);
}

void
msg_list_encode(struct wr *wr, uint64_t id, const struct msg_list *m)
{
	size_t start = frame_begin(wr, FRAME_LIST, 0, id);

	fields_put_terms(wr, &m->terms);
	if (m->kind != 0)
		fields_put_u8(wr, TAG_KIND, m->kind);
	frame_end(wr, start, 0);
}

int
msg_list_decode(struct view body, struct msg_list *ret)
{
	static const struct field fields[] = {
		F_TERMS(struct msg_list),
		{ TAG_KIND, FIELD_U8, offsetof(struct msg_list, kind),
		    REF_SECRET, REF_KEY },
	};
	static const struct spec spec = SPEC(fields, 0);

	msg_terms_init(&ret->terms);
	ret->kind = 0;
	return fields_decode(&spec, body, ret, NULL);
}

void
msg_empty_encode(struct wr *wr, uint8_t type, uint64_t id)
{
	frame_end(wr, frame_begin(wr, type, 0, id), 0);
}

int
msg_empty_decode(struct view body)
{
	static const struct spec spec = { NULL, 0, 0 };

	return fields_decode(&spec, body, NULL, NULL);
}

/* --- RESULT and ROWS --------------------------------------------------- */

void
msg_meta_init(struct msg_meta *meta)
{
	*meta = (struct msg_meta){
		.updated_at = MSG_NO_TIME,
		.expires_at = MSG_NO_TIME,
	};
}

void
msg_result_encode(struct wr *wr, uint16_t flags, uint64_t id,
    const struct msg_result *m, bool external)
{
	size_t start = frame_begin(wr, FRAME_RESULT, flags, id);
	size_t extra = 0;

	fields_put_u16(wr, TAG_INDEX, m->index);
	if (m->error != 0) {
		fields_put_u16(wr, TAG_ERROR, err_wire(m->error));
		fields_put_cut(wr, TAG_MESSAGE, m->message, MSG_MESSAGE_MAX);
		fields_put_position(wr, m->position);
	} else {
		fields_put_meta(wr, &m->meta);
		fields_put_position(wr, m->position);
		if (m->changed)
			fields_put_u8(wr, TAG_CHANGED, 1);
		if (m->content != 0) {
			fields_put_u8(wr, TAG_CONTENT, m->content);
			extra = fields_put_last(wr, TAG_VALUE, m->value,
			    MSG_VALUE_MAX, external);
		}
	}
	frame_end(wr, start, extra);
}

/* Places of fields in msg_result_decode() that depend on one another. */
enum {
	RESULT_INDEX = 0,
	RESULT_CONTENT = 8,
	RESULT_VALUE = 9,
	RESULT_ERROR = 10,
};

int
msg_result_decode(struct view body, struct msg_result *ret)
{
	static const struct field fields[] = {
		[RESULT_INDEX] = { TAG_INDEX, FIELD_U16,
		    offsetof(struct msg_result, index), 0, 0 },
		F_META(struct msg_result),
		[RESULT_CONTENT] = { TAG_CONTENT, FIELD_U8,
		    offsetof(struct msg_result, content), MSG_CONTENT_TEXT,
		    MSG_CONTENT_BYTES },
		[RESULT_VALUE] = { TAG_VALUE, FIELD_BYTES,
		    offsetof(struct msg_result, value), 0, MSG_VALUE_MAX },
		[RESULT_ERROR] = { TAG_ERROR, FIELD_ERROR,
		    offsetof(struct msg_result, error), 0, 0 },
		{ TAG_MESSAGE, FIELD_TEXT,
		    offsetof(struct msg_result, message), 1,
		    MSG_MESSAGE_MAX },
		F_POSITION(struct msg_result),
		{ TAG_CHANGED, FIELD_FLAG,
		    offsetof(struct msg_result, changed), 0, 0 },
	};
	static const struct spec spec = SPEC(fields, BIT(RESULT_INDEX));
	uint32_t seen;
	int r;

	ret->error = 0;
	ret->message = (struct view){ NULL, 0 };
	msg_meta_init(&ret->meta);
	ret->position = (struct view){ NULL, 0 };
	ret->changed = false;
	ret->content = 0;
	ret->value = (struct view){ NULL, 0 };
	r = fields_decode(&spec, body, ret, &seen);
	if (r != 0)
		return r;
	/* a value and what it is come together, and never with an error */
	if (((seen & BIT(RESULT_CONTENT)) != 0) !=
	    ((seen & BIT(RESULT_VALUE)) != 0) ||
	    ((seen & BIT(RESULT_ERROR)) != 0 &&
	    (seen & BIT(RESULT_VALUE)) != 0))
		return ERR_BAD_REQUEST;
	return 0;
}

size_t
msg_rows_begin(struct wr *wr, uint16_t flags, uint64_t id)
{
	return frame_begin(wr, FRAME_ROWS, flags, id);
}

void
msg_row_add(struct wr *wr, const struct msg_row *row)
{
	size_t start = fields_begin_nested(wr, TAG_ROW);

	fields_put_u8(wr, TAG_KIND, row->kind);
	fields_put_meta(wr, &row->meta);
	fields_end_nested(wr, start);
}

void
msg_rows_end(struct wr *wr, size_t start, const struct msg_meta *meta)
{
	if (meta != NULL)
		fields_put_freshness(wr, meta);
	frame_end(wr, start, 0);
}

int
msg_row_next(struct view *pos, struct msg_row *ret_row)
{
	static const struct field fields[] = {
		{ TAG_KIND, FIELD_U8, offsetof(struct msg_row, kind),
		    REF_SECRET, REF_KEY },
		F_META(struct msg_row),
	};
	/* KIND, ID and NAME */
	static const struct spec spec = SPEC(fields,
	    BIT(0) | BIT(3) | BIT(4));
	struct view content;
	int r;

	r = fields_next(pos, TAG_ROW, &content);
	if (r != 0)
		return r;
	msg_meta_init(&ret_row->meta);
	return fields_decode(&spec, content, ret_row, NULL);
}

int
msg_rows_decode(struct view body, struct msg_meta *ret_listing)
{
	static const struct field fields[] = {
		{ TAG_ROW, FIELD_NESTED, 0, 0, 0 },
		F_FRESHNESS(struct msg_meta, ),
	};
	static const struct spec spec = SPEC(fields, 0);

	msg_meta_init(ret_listing);
	return fields_decode(&spec, body, ret_listing, NULL);
}

/* --- STATS ------------------------------------------------------------- */

size_t
msg_stats_begin(struct wr *wr, uint16_t flags, uint64_t id)
{
	return frame_begin(wr, FRAME_STATS, flags, id);
}

static size_t
stat_begin(struct wr *wr, const char *name)
{
	size_t start = fields_begin_nested(wr, TAG_STAT);

	fields_put_bytes(wr, TAG_STAT_NAME, name, strlen(name),
	    MSG_STAT_NAME_MAX);
	return start;
}

void
msg_stat_uint(struct wr *wr, const char *name, uint64_t v)
{
	size_t start = stat_begin(wr, name);

	fields_put_u64(wr, TAG_STAT_UINT, v);
	fields_end_nested(wr, start);
}

void
msg_stat_text(struct wr *wr, const char *name, const char *v)
{
	size_t start = stat_begin(wr, name);

	fields_put_bytes(wr, TAG_STAT_TEXT, v,
	    text_cut(v, strlen(v), MSG_STAT_TEXT_MAX), MSG_STAT_TEXT_MAX);
	fields_end_nested(wr, start);
}

void
msg_stat_null(struct wr *wr, const char *name)
{
	fields_end_nested(wr, stat_begin(wr, name));
}

int
msg_stat_next(struct view *pos, struct msg_stat *ret_stat)
{
	static const struct field fields[] = {
		{ TAG_STAT_NAME, FIELD_TEXT, offsetof(struct msg_stat, name),
		    1, MSG_STAT_NAME_MAX },
		{ TAG_STAT_UINT, FIELD_U64, offsetof(struct msg_stat, number),
		    0, 0 },
		{ TAG_STAT_TEXT, FIELD_TEXT, offsetof(struct msg_stat, text),
		    0, MSG_STAT_TEXT_MAX },
	};
	static const struct spec spec = SPEC(fields, BIT(0));
	struct view content;
	uint32_t seen;
	int r;

	r = fields_next(pos, TAG_STAT, &content);
	if (r != 0)
		return r;
	*ret_stat = (struct msg_stat){ .type = MSG_STAT_NULL };
	r = fields_decode(&spec, content, ret_stat, &seen);
	if (r != 0)
		return r;
	if (seen == (BIT(0) | BIT(1) | BIT(2)))
		return ERR_BAD_REQUEST;
	if ((seen & BIT(1)) != 0)
		ret_stat->type = MSG_STAT_UINT;
	else if ((seen & BIT(2)) != 0)
		ret_stat->type = MSG_STAT_TEXT;
	return 0;
}

/* --- DONE and ERROR ---------------------------------------------------- */

void
msg_done_encode(struct wr *wr, uint64_t id, const struct msg_done *m)
{
	size_t start = frame_begin(wr, FRAME_DONE, 0, id);

	if (m->count != 0)
		fields_put_u64(wr, TAG_COUNT, m->count);
	if (m->failed != 0)
		fields_put_u64(wr, TAG_FAILED, m->failed);
	frame_end(wr, start, 0);
}

int
msg_done_decode(struct view body, struct msg_done *ret)
{
	static const struct field fields[] = {
		{ TAG_COUNT, FIELD_U64, offsetof(struct msg_done, count), 0,
		    0 },
		{ TAG_FAILED, FIELD_U64, offsetof(struct msg_done, failed), 0,
		    0 },
	};
	static const struct spec spec = SPEC(fields, 0);

	ret->count = 0;
	ret->failed = 0;
	return fields_decode(&spec, body, ret, NULL);
}

void
msg_error_encode(struct wr *wr, uint64_t id, const struct msg_error *m)
{
	size_t start = frame_begin(wr, FRAME_ERROR, 0, id);

	fields_put_u16(wr, TAG_ERROR, err_wire(m->error));
	fields_put_cut(wr, TAG_MESSAGE, m->message, MSG_MESSAGE_MAX);
	frame_end(wr, start, 0);
}

int
msg_error_decode(struct view body, struct msg_error *ret)
{
	static const struct field fields[] = {
		{ TAG_ERROR, FIELD_ERROR, offsetof(struct msg_error, error),
		    0, 0 },
		{ TAG_MESSAGE, FIELD_TEXT,
		    offsetof(struct msg_error, message), 1, MSG_MESSAGE_MAX },
	};
	static const struct spec spec = SPEC(fields, BIT(0));

	ret->message = (struct view){ NULL, 0 };
	return fields_decode(&spec, body, ret, NULL);
}
