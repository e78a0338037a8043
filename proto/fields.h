/*
 * The fields of a frame's body: one walker that decodes by a table, and the
 * writers of single fields (PROTOCOL.md, 3).  For msg*.c alone.
 */
#ifndef PROTO_FIELDS_H
#define PROTO_FIELDS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "buf.h"
#include "msg.h"

/* PROTOCOL.md, 3 */
enum tag {
	TAG_DEADLINE_MS = 0x0001,
	TAG_MAX_AGE_MS = 0x0002,
	TAG_MAX_STALE_MS = 0x0003,
	TAG_TERMS = 0x0004,
	TAG_REF = 0x0010,
	TAG_ALL = 0x0011,
	TAG_KIND = 0x0012,
	TAG_WATCH_REF = 0x0013,
	TAG_AS = 0x0014,
	TAG_DURATION_MS = 0x0015,
	TAG_NAMES = 0x0016,
	TAG_METHOD = 0x0017,
	TAG_TARGET = 0x0018,
	TAG_CONTENT_TYPE = 0x0019,
	TAG_KEY = 0x001a,
	TAG_ALGORITHM = 0x001b,
	TAG_AAD = 0x001c,
	TAG_SIGNATURE = 0x001d,
	TAG_STREAM = 0x001e,
	TAG_FINAL = 0x001f,
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
	TAG_POSITION = 0x002b,
	TAG_CHANGED = 0x002c,
	TAG_REASON = 0x002d,
	TAG_DATA = 0x002e,
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
	TAG_ALLOWED = 0x0060,
	TAG_RULE = 0x0061,
	TAG_WHY = 0x0062,
	TAG_CACHED = 0x0063,
	TAG_NEXT_REFRESH_MS = 0x0064,
	TAG_LAST_ERROR = 0x0065,
	TAG_DRILL_READ = 0x0070,
	TAG_DRILL_VALUE = 0x0071,
	TAG_UNUSABLE_IN_MS = 0x0072,
	TAG_LIMIT = 0x0073,
	TAG_ELAPSED_MS = 0x0074,
	TAG_TEXT = 0x0080,
	TAG_STATUS = 0x0090,
	TAG_VALID = 0x0091,
	TAG_VERIFIED_BY = 0x0092,
	TAG_SEAL = 0x0093,
	TAG_HEADER = 0x0094,
	TAG_RETRY_AFTER_MS = 0x0095,
};

/* What a field holds, and what the place for it in the struct is. */
enum field_type {
	FIELD_U8,		/* uint8_t, min to max */
	FIELD_FLAG,		/* bool; 1 on the wire */
	FIELD_U16,		/* uint16_t */
	FIELD_ERROR,		/* int, ERR_*; never 0 */
	FIELD_BITS,		/* uint32_t, no bits but those of max */
	FIELD_U64,		/* uint64_t or int64_t */
	FIELD_TEXT,		/* struct view, min to max bytes */
	FIELD_BYTES,		/* struct view, min to max bytes */
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

#define FIELD_HEAD 6		/* tag and length */

#define BIT(i) (UINT32_C(1) << (i))
#define SPEC(fields, required) \
	{ (fields), sizeof(fields) / sizeof((fields)[0]), (required) }

/* All bits of TERMS. */
#define TERM_BITS (MSG_TERM_ONLY_IF_CACHED | MSG_TERM_FRESH | \
    MSG_TERM_WANT_POSITION)

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

#define F_POSITION(s) \
	{ TAG_POSITION, FIELD_BYTES, offsetof(s, position), \
	    MSG_POSITION_LEN, MSG_POSITION_LEN }

/*
 * The one walker of fields.  Fills base, the message's struct, which holds
 * its defaults; ret_seen (may be NULL; a bit for each of spec's fields) is
 * what came.  A malformed field is told before one that is merely not known,
 * wherever the two are: the first costs the connection.
 * Returns 0, ERR_BAD_REQUEST or ERR_UNSUPPORTED.
 */
int fields_decode(const struct spec *spec, struct view body, void *base,
    uint32_t *ret_seen);

/*
 * The next of a repeated field, between others; pos moves behind it.  Returns
 * 0, ERR_AGAIN at the end, or what is wrong with the field that comes first.
 */
int fields_next(struct view *pos, uint16_t wanted, struct view *ret_content);

/* --- writing ----------------------------------------------------------- */

static inline uint8_t *
fields_put_head(struct wr *wr, uint16_t tag, uint32_t len)
{
	uint8_t *p = wr_room(wr, FIELD_HEAD + (size_t)len);

	if (p == NULL)
		return NULL;
	be_put_u16(p, tag);
	be_put_u32(p + 2, len);
	return p + FIELD_HEAD;
}

static inline void
fields_put_u8(struct wr *wr, uint16_t tag, uint8_t v)
{
	uint8_t *p = fields_put_head(wr, tag, 1);

	if (p != NULL)
		*p = v;
}

static inline void
fields_put_u16(struct wr *wr, uint16_t tag, uint16_t v)
{
	uint8_t *p = fields_put_head(wr, tag, 2);

	if (p != NULL)
		be_put_u16(p, v);
}

static inline void
fields_put_u32(struct wr *wr, uint16_t tag, uint32_t v)
{
	uint8_t *p = fields_put_head(wr, tag, 4);

	if (p != NULL)
		be_put_u32(p, v);
}

static inline void
fields_put_u64(struct wr *wr, uint16_t tag, uint64_t v)
{
	uint8_t *p = fields_put_head(wr, tag, 8);

	if (p != NULL)
		be_put_u64(p, v);
}

/* Content over the limit fails: a cut name or value would be another one. */
static inline void
fields_put_bytes(struct wr *wr, uint16_t tag, const void *v, size_t len,
    size_t max)
{
	uint8_t *p;

	if (len > max) {
		wr_fail(wr);
		return;
	}
	p = fields_put_head(wr, tag, (uint32_t)len);
	if (p != NULL && len > 0)
		memcpy(p, v, len);
}

/* A field whose length is told by fields_end_nested(). */
static inline size_t
fields_begin_nested(struct wr *wr, uint16_t tag)
{
	size_t start = wr->len;

	(void)fields_put_head(wr, tag, 0);
	return start;
}

static inline void
fields_end_nested(struct wr *wr, size_t start)
{
	if (!wr->failed)
		wr_patch_u32(wr, start + 2,
		    (uint32_t)(wr->len - start - FIELD_HEAD));
}

/*
 * Text for people, unless empty: cut at max bytes, as a short answer is better
 * than none.
 */
void fields_put_cut(struct wr *wr, uint16_t tag, struct view v, size_t max);

/* What of the terms is said. */
void fields_put_terms(struct wr *wr, const struct msg_terms *terms);

/*
 * A field whose bytes the caller sends right behind what is in wr, if
 * external.  Returns how many those are, for frame_end().
 */
size_t fields_put_last(struct wr *wr, uint16_t tag, struct view v, size_t max,
    bool external);

/* POSITION, unless empty; any other length than its own latches wr. */
void fields_put_position(struct wr *wr, struct view v);

/* FRESHNESS and AGE_MS, if said; and all of meta. */
void fields_put_freshness(struct wr *wr, const struct msg_meta *meta);
void fields_put_meta(struct wr *wr, const struct msg_meta *meta);

#endif /* PROTO_FIELDS_H */
