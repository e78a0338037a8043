#include "config.h"

#include "fields.h"

#include "err.h"
#include "text.h"

#define TAG_CRITICAL 0x8000u

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

int
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

int
fields_next(struct view *pos, uint16_t wanted, struct view *ret_content)
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

void
fields_put_cut(struct wr *wr, uint16_t tag, struct view v, size_t max)
{
	if (v.len > 0)
		fields_put_bytes(wr, tag, v.p, text_cut(v.p, v.len, max), max);
}

void
fields_put_terms(struct wr *wr, const struct msg_terms *terms)
{
	if (terms->deadline_ms != MSG_NO_LIMIT)
		fields_put_u64(wr, TAG_DEADLINE_MS, terms->deadline_ms);
	if (terms->max_age_ms != MSG_NO_LIMIT)
		fields_put_u64(wr, TAG_MAX_AGE_MS, terms->max_age_ms);
	if (terms->max_stale_ms != MSG_NO_LIMIT)
		fields_put_u64(wr, TAG_MAX_STALE_MS, terms->max_stale_ms);
	if (terms->flags != 0)
		fields_put_u32(wr, TAG_TERMS, terms->flags);
}

size_t
fields_put_last(struct wr *wr, uint16_t tag, struct view v, size_t max,
    bool external)
{
	uint8_t *p;

	if (!external || v.len > max) {
		fields_put_bytes(wr, tag, v.p, v.len, max);
		return 0;
	}
	p = wr_room(wr, FIELD_HEAD);
	if (p == NULL)
		return 0;
	be_put_u16(p, tag);
	be_put_u32(p + 2, (uint32_t)v.len);
	return v.len;
}

void
fields_put_position(struct wr *wr, struct view v)
{
	if (v.len == 0)
		return;
	if (v.len != MSG_POSITION_LEN)
		wr_fail(wr);
	fields_put_bytes(wr, TAG_POSITION, v.p, v.len, MSG_POSITION_LEN);
}

void
fields_put_freshness(struct wr *wr, const struct msg_meta *meta)
{
	if (meta->freshness == MSG_FRESHNESS_NONE)
		return;
	fields_put_u8(wr, TAG_FRESHNESS, meta->freshness);
	fields_put_u64(wr, TAG_AGE_MS, meta->age_ms);
}

void
fields_put_meta(struct wr *wr, const struct msg_meta *meta)
{
	fields_put_freshness(wr, meta);
	if (meta->id.len > 0)
		fields_put_bytes(wr, TAG_ID, meta->id.p, meta->id.len,
		    MSG_ID_MAX);
	if (meta->name.len > 0)
		fields_put_bytes(wr, TAG_NAME, meta->name.p, meta->name.len,
		    MSG_NAME_MAX);
	if (meta->version != 0)
		fields_put_u64(wr, TAG_VERSION, meta->version);
	if (meta->updated_at != MSG_NO_TIME)
		fields_put_u64(wr, TAG_UPDATED_AT, (uint64_t)meta->updated_at);
	if (meta->expires_at != MSG_NO_TIME)
		fields_put_u64(wr, TAG_EXPIRES_AT, (uint64_t)meta->expires_at);
}
