#include "config.h"

#include "msg.h"

#include <assert.h>
#include <string.h>

#include "err.h"
#include "text.h"

/* PROTOCOL.md, 3 */
enum tag {
	TAG_DEADLINE_MS = 0x0001,
	TAG_MAX_AGE_MS = 0x0002,
	TAG_MAX_STALE_MS = 0x0003,
	TAG_TERMS = 0x0004,
	TAG_REF = 0x0010,
	TAG_ALL = 0x0011,
	TAG_KIND = 0x0012,
	TAG_INDEX = 0x0020,
	TAG_ERROR = 0x0021,
	TAG_MESSAGE = 0x0022,
	TAG_FRESHNESS = 0x0023,
	TAG_AGE_MS = 0x0024,
	TAG_ID = 0x0025,
	TAG_NAME = 0x0026,
	TAG_VERSION = 0x0027,
	TAG_UPDATED_AT = 0x0028,
	TAG_EXPIRES_AT = 0x0029,
	TAG_CONTENT = 0x002a,
	TAG_VALUE = 0x002f,
	TAG_ROW = 0x0030,
	TAG_STAT = 0x0040,
	TAG_STAT_NAME = 0x0041,
	TAG_STAT_UINT = 0x0042,
	TAG_STAT_TEXT = 0x0043,
	TAG_PROTOCOL = 0x0050,
	TAG_BUILD = 0x0051,
	TAG_COUNT = 0x0052,
	TAG_FAILED = 0x0053,
};

#define TAG_CRITICAL 0x8000u
#define FIELD_HEAD 6		/* tag and length */

/* What a field holds, and what the place for it in the struct is. */
enum field_type {
	FIELD_U8,		/* uint8_t, min to max */
	FIELD_FLAG,		/* bool; 1 on the wire */
	FIELD_U16,		/* uint16_t */
	FIELD_ERROR,		/* int, ERR_*; never 0 */
	FIELD_BITS,		/* uint32_t, no bits but those of max */
	FIELD_U64,		/* uint64_t or int64_t */
	FIELD_TEXT,		/* struct view, min to max bytes */
	FIELD_BYTES,		/* struct view, at most max bytes */
	FIELD_REFS,		/* uint16_t, how many came; each min to max */
	FIELD_NESTED,		/* nowhere: walked by itself; repeated */
};

struct field {
	uint16_t tag;
	uint8_t type;		/* enum field_type */
	uint16_t offset;	/* of the place in the message's struct */
	uint32_t min;
	uint32_t max;
};

/* One message: its fields, in the order in which they usually come. */
struct spec {
	const struct field *fields;
	unsigned int count;	/* at most 32 */
	uint32_t required;	/* a bit for each of fields */
};

#define BIT(i) (UINT32_C(1) << (i))
#define SPEC(fields, required) \
	{ (fields), sizeof(fields) / sizeof((fields)[0]), (required) }

#define TERM_BITS (MSG_TERM_ONLY_IF_CACHED | MSG_TERM_FRESH)

#define F_TERMS(s) \
	{ TAG_DEADLINE_MS, FIELD_U64, offsetof(s, terms.deadline_ms), 0, 0 }, \
	{ TAG_MAX_AGE_MS, FIELD_U64, offsetof(s, terms.max_age_ms), 0, 0 }, \
	{ TAG_MAX_STALE_MS, FIELD_U64, offsetof(s, terms.max_stale_ms), 0, \
	    0 }, \
	{ TAG_TERMS, FIELD_BITS, offsetof(s, terms.flags), 0, TERM_BITS }

#define F_FRESHNESS(s, meta) \
	{ TAG_FRESHNESS, FIELD_U8, offsetof(s, meta freshness), MSG_FRESH, \
	    MSG_EXPIRED }, \
	{ TAG_AGE_MS, FIELD_U64, offsetof(s, meta age_ms), 0, 0 }

#define F_META(s) \
	F_FRESHNESS(s, meta.), \
	{ TAG_ID, FIELD_TEXT, offsetof(s, meta.id), 1, MSG_ID_MAX }, \
	{ TAG_NAME, FIELD_TEXT, offsetof(s, meta.name), 1, MSG_NAME_MAX }, \
	{ TAG_VERSION, FIELD_U64, offsetof(s, meta.version), 0, 0 }, \
	{ TAG_UPDATED_AT, FIELD_U64, offsetof(s, meta.updated_at), 0, 0 }, \
	{ TAG_EXPIRES_AT, FIELD_U64, offsetof(s, meta.expires_at), 0, 0 }

/* the encoder writes what these promise to have room for */
static_assert(FRAME_HEADER_LEN + 4 * 14 + 3 * 8 + 2 * 7 + 4 * FIELD_HEAD +
    MSG_MESSAGE_MAX + MSG_ID_MAX + MSG_NAME_MAX <= MSG_RESULT_HEAD_MAX,
    "MSG_RESULT_HEAD_MAX is too small");
static_assert(FIELD_HEAD + 4 * 14 + 2 * 7 + 2 * FIELD_HEAD + MSG_ID_MAX +
    MSG_NAME_MAX <= MSG_ROW_MAX, "MSG_ROW_MAX is too small");
static_assert(MSG_REFS_MAX * (FIELD_HEAD + REF_MAX) + 4 * 14 <=
    FRAME_REQUEST_MAX, "the largest GET does not fit a frame");
static_assert(MSG_RESULT_HEAD_MAX + MSG_VALUE_MAX <= FRAME_ANSWER_MAX,
    "the largest RESULT does not fit a frame");

/* --- decoding ---------------------------------------------------------- */

/* A tag, a length and content: false at the end or if it reaches past it. */
static inline bool
take_field(struct rd *rd, uint16_t *ret_tag, struct view *ret_content)
{
	const uint8_t *head;

	if (rd->len == 0)
		return false;
	head = rd_take(rd, FIELD_HEAD);
	if (head == NULL)
		return false;
	*ret_tag = be_get_u16(head);
	*ret_content = rd_bytes(rd, be_get_u32(head + 2));
	return !rd->failed;
}

static inline bool
length_in(const struct field *f, size_t len)
{
	return len >= f->min && len <= f->max;
}

static int
store_u8(const struct field *f, struct view v, void *to)
{
	uint8_t n;

	if (v.len != 1)
		return ERR_BAD_REQUEST;
	/* well-formed, but of a newer protocol: not for us to act on */
	if (v.p[0] < f->min || v.p[0] > f->max)
		return ERR_UNSUPPORTED;
	n = v.p[0];
	memcpy(to, &n, sizeof(n));
	return 0;
}

static int
store_flag(const struct field *f, struct view v, void *to)
{
	bool set = true;

	(void)f;
	if (v.len != 1)
		return ERR_BAD_REQUEST;
	if (v.p[0] != 1)
		return ERR_UNSUPPORTED;
	memcpy(to, &set, sizeof(set));
	return 0;
}

static int
store_u16(const struct field *f, struct view v, void *to)
{
	uint16_t n;

	(void)f;
	if (v.len != sizeof(n))
		return ERR_BAD_REQUEST;
	n = be_get_u16(v.p);
	memcpy(to, &n, sizeof(n));
	return 0;
}

static int
store_error(const struct field *f, struct view v, void *to)
{
	int err;

	(void)f;
	if (v.len != sizeof(uint16_t))
		return ERR_BAD_REQUEST;
	err = err_from_wire(be_get_u16(v.p));
	/* an error that is none would pass for a value */
	if (err == 0)
		return ERR_UNSUPPORTED;
	memcpy(to, &err, sizeof(err));
	return 0;
}

static int
store_bits(const struct field *f, struct view v, void *to)
{
	uint32_t n;

	if (v.len != sizeof(n))
		return ERR_BAD_REQUEST;
	n = be_get_u32(v.p);
	/* a condition of the caller that could not be kept */
	if ((n & ~f->max) != 0)
		return ERR_UNSUPPORTED;
	memcpy(to, &n, sizeof(n));
	return 0;
}

static int
store_u64(const struct field *f, struct view v, void *to)
{
	uint64_t n;

	(void)f;
	if (v.len != sizeof(n))
		return ERR_BAD_REQUEST;
	n = be_get_u64(v.p);
	memcpy(to, &n, sizeof(n));
	return 0;
}

static int
store_text(const struct field *f, struct view v, void *to)
{
	if (!length_in(f, v.len) || !text_is_text(v.p, v.len))
		return ERR_BAD_REQUEST;
	memcpy(to, &v, sizeof(v));
	return 0;
}

static int
store_bytes(const struct field *f, struct view v, void *to)
{
	if (!length_in(f, v.len))
		return ERR_BAD_REQUEST;
	memcpy(to, &v, sizeof(v));
	return 0;
}

static int
store_refs(const struct field *f, struct view v, void *to)
{
	uint16_t n;

	memcpy(&n, to, sizeof(n));
	if (n == MSG_REFS_MAX || !length_in(f, v.len) ||
	    !text_is_text(v.p, v.len))
		return ERR_BAD_REQUEST;
	n++;
	memcpy(to, &n, sizeof(n));
	return 0;
}

static int
store_nested(const struct field *f, struct view v, void *to)
{
	(void)f;
	(void)v;
	(void)to;
	return 0;
}

static int (*const stores[])(const struct field *, struct view, void *) = {
	[FIELD_U8] = store_u8,
	[FIELD_FLAG] = store_flag,
	[FIELD_U16] = store_u16,
	[FIELD_ERROR] = store_error,
	[FIELD_BITS] = store_bits,
	[FIELD_U64] = store_u64,
	[FIELD_TEXT] = store_text,
	[FIELD_BYTES] = store_bytes,
	[FIELD_REFS] = store_refs,
	[FIELD_NESTED] = store_nested,
};

static inline bool
repeats(const struct field *f)
{
	return f->type == FIELD_REFS || f->type == FIELD_NESTED;
}

/* The field of that tag.  hint: where to look first. */
static inline unsigned int
find_field(const struct spec *spec, unsigned int hint, uint16_t tag)
{
	unsigned int i;

	for (i = hint; i < spec->count; i++) {
		if (spec->fields[i].tag == tag)
			return i;
	}
	for (i = 0; i < hint; i++) {
		if (spec->fields[i].tag == tag)
			return i;
	}
	return spec->count;
}

/*
 * The one walker of fields.  Fills base, the message's struct, which holds
 * its defaults; ret_seen (a bit for each of spec's fields) is what came.
 * A malformed field is told before one that is merely not known, wherever
 * the two are: the first costs the connection.
 */
static int
fields_decode(const struct spec *spec, struct view body, void *base,
    uint32_t *ret_seen)
{
	struct rd rd;
	struct view content;
	const struct field *f;
	uint32_t seen = 0;
	uint16_t tag;
	unsigned int i = 0;
	unsigned int hint = 0;
	int result = 0;
	int r;

	rd_init(&rd, body.p, body.len);
	while (take_field(&rd, &tag, &content)) {
		i = find_field(spec, hint, tag);
		if (i == spec->count) {
			if ((tag & TAG_CRITICAL) != 0)
				result = ERR_UNSUPPORTED;
			continue;
		}
		f = &spec->fields[i];
		if ((seen & BIT(i)) != 0 && !repeats(f))
			return ERR_BAD_REQUEST;
		seen |= BIT(i);
		hint = i;
		r = stores[f->type](f, content, (char *)base + f->offset);
		if (r == ERR_BAD_REQUEST)
			return r;
		if (r != 0)
			result = r;
	}
	if (!rd_done(&rd))
		return ERR_BAD_REQUEST;
	if (result == 0 && (seen & spec->required) != spec->required)
		return ERR_BAD_REQUEST;
	if (ret_seen != NULL)
		*ret_seen = seen;
	return result;
}

/*
 * The next of a repeated field, between others.  Returns 0, ERR_AGAIN at the
 * end, or what is wrong with the field that comes first.
 */
static int
next_nested(struct view *pos, uint16_t wanted, struct view *ret_content)
{
	struct rd rd;
	uint16_t tag;

	rd_init(&rd, pos->p, pos->len);
	while (take_field(&rd, &tag, ret_content)) {
		if (tag == wanted) {
			pos->p = rd.p;
			pos->len = rd.len;
			return 0;
		}
		/* version 1 has none that it knows */
		if ((tag & TAG_CRITICAL) != 0)
			return ERR_UNSUPPORTED;
	}
	pos->len = 0;
	return rd.failed ? ERR_BAD_REQUEST : ERR_AGAIN;
}

/* --- encoding ---------------------------------------------------------- */

static inline uint8_t *
put_head(struct wr *wr, uint16_t tag, uint32_t len)
{
	uint8_t *p = wr_room(wr, FIELD_HEAD + (size_t)len);

	if (p == NULL)
		return NULL;
	be_put_u16(p, tag);
	be_put_u32(p + 2, len);
	return p + FIELD_HEAD;
}

static inline void
put_u8(struct wr *wr, uint16_t tag, uint8_t v)
{
	uint8_t *p = put_head(wr, tag, 1);

	if (p != NULL)
		*p = v;
}

static inline void
put_u16(struct wr *wr, uint16_t tag, uint16_t v)
{
	uint8_t *p = put_head(wr, tag, 2);

	if (p != NULL)
		be_put_u16(p, v);
}

static inline void
put_u32(struct wr *wr, uint16_t tag, uint32_t v)
{
	uint8_t *p = put_head(wr, tag, 4);

	if (p != NULL)
		be_put_u32(p, v);
}

static inline void
put_u64(struct wr *wr, uint16_t tag, uint64_t v)
{
	uint8_t *p = put_head(wr, tag, 8);

	if (p != NULL)
		be_put_u64(p, v);
}

/* Content over the limit fails: a cut name or value would be another one. */
static inline void
put_bytes(struct wr *wr, uint16_t tag, const void *v, size_t len, size_t max)
{
	uint8_t *p;

	if (len > max) {
		wr_fail(wr);
		return;
	}
	p = put_head(wr, tag, (uint32_t)len);
	if (p != NULL && len > 0)
		memcpy(p, v, len);
}

/* Text for people is cut instead: better a short answer than none. */
static void
put_message(struct wr *wr, struct view v)
{
	if (v.len == 0)
		return;
	put_bytes(wr, TAG_MESSAGE, v.p, text_cut(v.p, v.len, MSG_MESSAGE_MAX),
	    MSG_MESSAGE_MAX);
}

/* A field whose length is told by patch_nested(). */
static size_t
begin_nested(struct wr *wr, uint16_t tag)
{
	size_t start = wr->len;

	(void)put_head(wr, tag, 0);
	return start;
}

static void
end_nested(struct wr *wr, size_t start)
{
	if (!wr->failed)
		wr_patch_u32(wr, start + 2,
		    (uint32_t)(wr->len - start - FIELD_HEAD));
}

/* --- terms and references ---------------------------------------------- */

void
msg_terms_init(struct msg_terms *terms)
{
	terms->deadline_ms = MSG_NO_LIMIT;
	terms->max_age_ms = MSG_NO_LIMIT;
	terms->max_stale_ms = MSG_NO_LIMIT;
	terms->flags = 0;
}

static void
put_terms(struct wr *wr, const struct msg_terms *terms)
{
	if (terms->deadline_ms != MSG_NO_LIMIT)
		put_u64(wr, TAG_DEADLINE_MS, terms->deadline_ms);
	if (terms->max_age_ms != MSG_NO_LIMIT)
		put_u64(wr, TAG_MAX_AGE_MS, terms->max_age_ms);
	if (terms->max_stale_ms != MSG_NO_LIMIT)
		put_u64(wr, TAG_MAX_STALE_MS, terms->max_stale_ms);
	if (terms->flags != 0)
		put_u32(wr, TAG_TERMS, terms->flags);
}

size_t
msg_refs_begin(struct wr *wr, uint8_t type, uint64_t id,
    const struct msg_terms *terms, bool all)
{
	size_t start = frame_begin(wr, type, 0, id);

	put_terms(wr, terms);
	if (all)
		put_u8(wr, TAG_ALL, 1);
	return start;
}

void
msg_refs_add(struct wr *wr, const char *ref, size_t len)
{
	if (len == 0) {
		wr_fail(wr);
		return;
	}
	put_bytes(wr, TAG_REF, ref, len, REF_MAX);
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
	return next_nested(&m->fields, TAG_REF, ret_ref) == 0;
}

/* --- messages with a struct -------------------------------------------- */

void
msg_hello_encode(struct wr *wr, uint8_t type, const struct msg_hello *m)
{
	size_t start = frame_begin(wr, type, 0, 0);

	put_u16(wr, TAG_PROTOCOL, m->protocol);
	if (m->build.len > 0)
		put_bytes(wr, TAG_BUILD, m->build.p, m->build.len,
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

	put_terms(wr, &m->terms);
	if (m->kind != 0)
		put_u8(wr, TAG_KIND, m->kind);
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

static inline void
put_freshness(struct wr *wr, const struct msg_meta *meta)
{
	if (meta->freshness == MSG_FRESHNESS_NONE)
		return;
	put_u8(wr, TAG_FRESHNESS, meta->freshness);
	put_u64(wr, TAG_AGE_MS, meta->age_ms);
}

static void
put_meta(struct wr *wr, const struct msg_meta *meta)
{
	put_freshness(wr, meta);
	if (meta->id.len > 0)
		put_bytes(wr, TAG_ID, meta->id.p, meta->id.len, MSG_ID_MAX);
	if (meta->name.len > 0)
		put_bytes(wr, TAG_NAME, meta->name.p, meta->name.len,
		    MSG_NAME_MAX);
	if (meta->version != 0)
		put_u64(wr, TAG_VERSION, meta->version);
	if (meta->updated_at != MSG_NO_TIME)
		put_u64(wr, TAG_UPDATED_AT, (uint64_t)meta->updated_at);
	if (meta->expires_at != MSG_NO_TIME)
		put_u64(wr, TAG_EXPIRES_AT, (uint64_t)meta->expires_at);
}

/* CONTENT and VALUE.  Returns how much of the frame the caller sends. */
static size_t
put_value(struct wr *wr, const struct msg_result *m, bool external)
{
	uint8_t *p;

	put_u8(wr, TAG_CONTENT, m->content);
	if (!external || m->value.len > MSG_VALUE_MAX) {
		put_bytes(wr, TAG_VALUE, m->value.p, m->value.len,
		    MSG_VALUE_MAX);
		return 0;
	}
	p = wr_room(wr, FIELD_HEAD);
	if (p == NULL)
		return 0;
	be_put_u16(p, TAG_VALUE);
	be_put_u32(p + 2, (uint32_t)m->value.len);
	return m->value.len;
}

void
msg_result_encode(struct wr *wr, uint16_t flags, uint64_t id,
    const struct msg_result *m, bool external)
{
	size_t start = frame_begin(wr, FRAME_RESULT, flags, id);
	size_t extra = 0;

	put_u16(wr, TAG_INDEX, m->index);
	if (m->error != 0) {
		put_u16(wr, TAG_ERROR, err_wire(m->error));
		put_message(wr, m->message);
	} else {
		put_meta(wr, &m->meta);
		if (m->content != 0)
			extra = put_value(wr, m, external);
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
	};
	static const struct spec spec = SPEC(fields, BIT(RESULT_INDEX));
	uint32_t seen;
	int r;

	ret->error = 0;
	ret->message = (struct view){ NULL, 0 };
	msg_meta_init(&ret->meta);
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
	size_t start = begin_nested(wr, TAG_ROW);

	put_u8(wr, TAG_KIND, row->kind);
	put_meta(wr, &row->meta);
	end_nested(wr, start);
}

void
msg_rows_end(struct wr *wr, size_t start, const struct msg_meta *meta)
{
	if (meta != NULL)
		put_freshness(wr, meta);
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

	r = next_nested(pos, TAG_ROW, &content);
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
	size_t start = begin_nested(wr, TAG_STAT);

	put_bytes(wr, TAG_STAT_NAME, name, strlen(name), MSG_STAT_NAME_MAX);
	return start;
}

void
msg_stat_uint(struct wr *wr, const char *name, uint64_t v)
{
	size_t start = stat_begin(wr, name);

	put_u64(wr, TAG_STAT_UINT, v);
	end_nested(wr, start);
}

void
msg_stat_text(struct wr *wr, const char *name, const char *v)
{
	size_t start = stat_begin(wr, name);

	put_bytes(wr, TAG_STAT_TEXT, v,
	    text_cut(v, strlen(v), MSG_STAT_TEXT_MAX), MSG_STAT_TEXT_MAX);
	end_nested(wr, start);
}

void
msg_stat_null(struct wr *wr, const char *name)
{
	end_nested(wr, stat_begin(wr, name));
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

	r = next_nested(pos, TAG_STAT, &content);
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
		put_u64(wr, TAG_COUNT, m->count);
	if (m->failed != 0)
		put_u64(wr, TAG_FAILED, m->failed);
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

	put_u16(wr, TAG_ERROR, err_wire(m->error));
	put_message(wr, m->message);
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
