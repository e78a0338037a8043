#include "config.h"

#include "msg_watch.h"

#include <assert.h>

#include "err.h"
#include "fields.h"

static_assert(MSG_REFS_MAX * (3 * FIELD_HEAD + REF_MAX + MSG_POSITION_LEN) +
    14 <= FRAME_REQUEST_MAX, "the largest WATCH does not fit a frame");
static_assert(FRAME_HEADER_LEN + 3 * FIELD_HEAD + 2 + 1 + MSG_POSITION_LEN ==
    MSG_EVENT_LEN, "MSG_EVENT_LEN is wrong");

const char *
msg_reason_name(uint8_t reason)
{
	static const char *const names[MSG_REASON_MAX + 1] = {
		[MSG_REASON_CHANGED] = "changed",
		[MSG_REASON_EXPIRING] = "expiring",
		[MSG_REASON_EXPIRED] = "expired",
		[MSG_REASON_GONE] = "gone",
		[MSG_REASON_STALE] = "stale",
		[MSG_REASON_FRESH_AGAIN] = "fresh-again",
	};

	return reason <= MSG_REASON_MAX ? names[reason] : NULL;
}

/* --- WATCH ------------------------------------------------------------- */

size_t
msg_watch_begin(struct wr *wr, uint64_t id, uint64_t deadline_ms)
{
	size_t start = frame_begin(wr, FRAME_WATCH, 0, id);

	if (deadline_ms != MSG_NO_LIMIT)
		fields_put_u64(wr, TAG_DEADLINE_MS, deadline_ms);
	return start;
}

void
msg_watch_add(struct wr *wr, const struct msg_watch_ref *m)
{
	size_t start = fields_begin_nested(wr, TAG_WATCH_REF);

	if (m->ref.len == 0)
		wr_fail(wr);
	fields_put_bytes(wr, TAG_REF, m->ref.p, m->ref.len, REF_MAX);
	fields_put_position(wr, m->position);
	fields_end_nested(wr, start);
}

static int
watch_ref_next(struct view *pos, struct msg_watch_ref *ret)
{
	static const struct field fields[] = {
		{ TAG_REF, FIELD_TEXT, offsetof(struct msg_watch_ref, ref), 1,
		    REF_MAX },
		F_POSITION(struct msg_watch_ref),
	};
	static const struct spec spec = SPEC(fields, BIT(0));
	struct view content;
	int r;

	r = fields_next(pos, TAG_WATCH_REF, &content);
	if (r != 0)
		return r;
	*ret = (struct msg_watch_ref){ .ref = { NULL, 0 } };
	return fields_decode(&spec, content, ret, NULL);
}

int
msg_watch_decode(struct view body, struct msg_watch *ret)
{
	static const struct field fields[] = {
		{ TAG_DEADLINE_MS, FIELD_U64,
		    offsetof(struct msg_watch, deadline_ms), 0, 0 },
		{ TAG_WATCH_REF, FIELD_NESTED, 0, 0, 0 },
	};
	static const struct spec spec = SPEC(fields, BIT(1));
	struct view pos = body;
	struct msg_watch_ref ref;
	int result;
	int r;

	ret->deadline_ms = MSG_NO_LIMIT;
	ret->nrefs = 0;
	ret->fields = body;
	result = fields_decode(&spec, body, ret, NULL);
	if (result != 0)
		return result;
	/* a malformed reference is told before one that is only not known */
	while ((r = watch_ref_next(&pos, &ref)) != ERR_AGAIN) {
		if (r == ERR_BAD_REQUEST || ret->nrefs == MSG_REFS_MAX)
			return ERR_BAD_REQUEST;
		if (r != 0)
			result = r;
		ret->nrefs++;
	}
	return result;
}

bool
msg_watch_next(struct msg_watch *m, struct msg_watch_ref *ret)
{
	/* decoding has been through it: there is nothing wrong any more */
	return watch_ref_next(&m->fields, ret) == 0;
}

/* --- EVENT ------------------------------------------------------------- */

void
msg_event_encode(struct wr *wr, uint64_t id, const struct msg_event *m)
{
	size_t start = frame_begin(wr, FRAME_EVENT, FRAME_MORE, id);

	fields_put_u16(wr, TAG_INDEX, m->index);
	fields_put_u8(wr, TAG_REASON, m->reason);
	if (m->position.len == 0)
		wr_fail(wr);
	fields_put_position(wr, m->position);
	frame_end(wr, start, 0);
}

int
msg_event_decode(struct view body, struct msg_event *ret)
{
	static const struct field fields[] = {
		{ TAG_INDEX, FIELD_U16, offsetof(struct msg_event, index), 0,
		    0 },
		{ TAG_REASON, FIELD_U8, offsetof(struct msg_event, reason), 0,
		    UINT8_MAX },
		F_POSITION(struct msg_event),
	};
	static const struct spec spec = SPEC(fields,
	    BIT(0) | BIT(1) | BIT(2));

	*ret = (struct msg_event){ .index = 0 };
	return fields_decode(&spec, body, ret, NULL);
}

/* --- REJECT ------------------------------------------------------------ */

void
msg_reject_encode(struct wr *wr, uint64_t id, const struct msg_reject *m)
{
	size_t start = frame_begin(wr, FRAME_REJECT, 0, id);

	if (m->deadline_ms != MSG_NO_LIMIT)
		fields_put_u64(wr, TAG_DEADLINE_MS, m->deadline_ms);
	if (m->ref.len == 0)
		wr_fail(wr);
	fields_put_bytes(wr, TAG_REF, m->ref.p, m->ref.len, REF_MAX);
	if (m->version != 0)
		fields_put_u64(wr, TAG_VERSION, m->version);
	fields_put_position(wr, m->position);
	frame_end(wr, start, 0);
}

int
msg_reject_decode(struct view body, struct msg_reject *ret)
{
	static const struct field fields[] = {
		{ TAG_DEADLINE_MS, FIELD_U64,
		    offsetof(struct msg_reject, deadline_ms), 0, 0 },
		{ TAG_REF, FIELD_TEXT, offsetof(struct msg_reject, ref), 1,
		    REF_MAX },
		{ TAG_VERSION, FIELD_U64,
		    offsetof(struct msg_reject, version), 0, 0 },
		F_POSITION(struct msg_reject),
	};
	static const struct spec spec = SPEC(fields, BIT(1));

	*ret = (struct msg_reject){ .deadline_ms = MSG_NO_LIMIT };
	return fields_decode(&spec, body, ret, NULL);
}
