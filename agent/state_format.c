#include "config.h"

#include "state_format.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "key_words.h"
#include "text.h"

/* Never renumbered. */
enum record {
	RECORD_PADDING = 0,	/* to the end, all of it 0 */
	RECORD_FACTS = 1,
	RECORD_LIST = 2,
	RECORD_ROW = 3,
	RECORD_ITEM = 4,
	RECORD_END = 5,
};

#define HEAD_BYTES 5u		/* type and length */

/* Flags of a list, a row and an item. */
#define LIST_HAS_VERSIONS 0x1u
#define ROW_ACTIVE 0x1u
#define ROW_TYPE_SHIFT 1
#define ROW_ALGORITHM_SHIFT (ROW_TYPE_SHIFT + KEY_TYPE_BITS)
#define ITEM_ACTIVE 0x1u
#define ITEM_EXPIRED 0x2u

/* The data of an object: its value, and fields of no more than an answer. */
#define DATA_MAX (2u * MSG_VALUE_MAX)
#define RECORD_BODY_MAX (STATE_RECORD_MAX + DATA_MAX)

/* --- writing --- */

static size_t
begin(struct wr *wr, enum record type)
{
	wr_u8(wr, (uint8_t)type);
	wr_u32(wr, 0);
	return wr->len;
}

/* more: bytes of the body that the caller adds behind it. */
static void
end(struct wr *wr, size_t start, size_t more)
{
	size_t len = wr->len - start + more;

	if (len > RECORD_BODY_MAX)
		wr_fail(wr);
	if (!wr->failed)
		wr_patch_u32(wr, start - 4, (uint32_t)len);
}

static void
put_text(struct wr *wr, const void *p, size_t len)
{
	wr_u16(wr, (uint16_t)len);
	wr_bytes(wr, p, len);
}

void
state_put_facts(struct wr *wr, const struct state_facts *facts)
{
	size_t start = begin(wr, RECORD_FACTS);

	wr_u64(wr, (uint64_t)facts->wall_floor_ms);
	wr_u64(wr, facts->unauthorized_ms);
	end(wr, start, 0);
}

void
state_put_list(struct wr *wr, const struct state_list *list)
{
	size_t start = begin(wr, RECORD_LIST);

	wr_u8(wr, (uint8_t)list->kind);
	wr_u8(wr, list->has_versions ? LIST_HAS_VERSIONS : 0);
	wr_u64(wr, list->age_ms);
	wr_u64(wr, list->count);
	end(wr, start, 0);
}

void
state_put_row(struct wr *wr, const struct upstream_row *row)
{
	size_t start = begin(wr, RECORD_ROW);

	wr_u8(wr, (uint8_t)((row->is_active ? ROW_ACTIVE : 0u) |
	    (unsigned int)row->key_type << ROW_TYPE_SHIFT |
	    (unsigned int)row->key_algorithm << ROW_ALGORITHM_SHIFT));
	wr_u64(wr, row->version);
	wr_u64(wr, (uint64_t)row->updated_at);
	wr_u64(wr, (uint64_t)row->created_at);
	wr_u64(wr, (uint64_t)row->expires_at);
	put_text(wr, row->id, strlen(row->id));
	put_text(wr, row->name, strlen(row->name));
	end(wr, start, 0);
}

void
state_put_item(struct wr *wr, const struct state_item *item)
{
	const struct object *o = item->object;
	size_t start = begin(wr, RECORD_ITEM);

	wr_u8(wr, (uint8_t)item->kind);
	wr_u8(wr, (uint8_t)item->format);
	wr_u8(wr, (uint8_t)((o->is_active ? ITEM_ACTIVE : 0) |
	    (item->expired ? ITEM_EXPIRED : 0)));
	wr_u64(wr, item->version);
	wr_u64(wr, item->age_ms);
	wr_u64(wr, item->read_age_ms);
	wr_u64(wr, item->reread_in_ms);
	wr_u64(wr, item->expired_age_ms);
	wr_u32(wr, item->failures);
	wr_u64(wr, o->version);
	wr_u64(wr, (uint64_t)o->updated_at);
	wr_u64(wr, (uint64_t)o->expires_at);
	put_text(wr, object_id(o).p, o->id_len);
	put_text(wr, object_name(o).p, o->name_len);
	wr_u32(wr, o->value_len);
	wr_u32(wr, (uint32_t)secmem_len(&o->data));
	if (secmem_len(&o->data) > DATA_MAX)
		wr_fail(wr);
	end(wr, start, secmem_len(&o->data));
}

void
state_put_end(struct wr *wr, const struct state_end *e)
{
	size_t start = begin(wr, RECORD_END);

	wr_u64(wr, e->items);
	wr_u64(wr, e->rows);
	end(wr, start, 0);
}

/* --- reading --- */

static struct view
get_text(struct rd *rd, size_t max)
{
	size_t len = rd_u16(rd);
	struct view v;

	if (len > max)
		rd_fail(rd);
	v = rd_bytes(rd, rd->failed ? 0 : len);
	if (!rd->failed && len > 0 && !text_is_text(v.p, v.len))
		rd_fail(rd);
	return v;
}

static struct view
get_id(struct rd *rd)
{
	struct view v = get_text(rd, MSG_ID_MAX);

	if (!rd->failed && !upstream_id_valid(v))
		rd_fail(rd);
	return v;
}

static enum ref_kind
get_kind(struct rd *rd)
{
	uint8_t kind = rd_u8(rd);

	if (kind != REF_SECRET && kind != REF_KEY)
		rd_fail(rd);
	return (enum ref_kind)kind;
}

static int
decode_facts(struct state_decoder *d, struct rd *rd)
{
	struct state_facts facts;

	facts.wall_floor_ms = (int64_t)rd_u64(rd);
	facts.unauthorized_ms = rd_u64(rd);
	if (rd->failed)
		return ERR_BAD_REQUEST;
	return d->sink->facts(d->sink->arg, &facts);
}

static int
decode_list(struct state_decoder *d, struct rd *rd)
{
	struct state_list list;

	list.kind = get_kind(rd);
	list.has_versions = (rd_u8(rd) & LIST_HAS_VERSIONS) != 0;
	list.age_ms = rd_u64(rd);
	list.count = rd_u64(rd);
	if (rd->failed)
		return ERR_BAD_REQUEST;
	d->in_list = true;
	return d->sink->list(d->sink->arg, &list);
}

static char *
copy_text(struct view v)
{
	return v.len > 0 ? strndup((const char *)v.p, v.len) : strdup("");
}

static int
decode_row(struct state_decoder *d, struct rd *rd)
{
	struct upstream_row row = { .id = NULL };
	struct view id, name;
	int r = ERR_NOMEM;
	uint8_t flags;

	flags = rd_u8(rd);
	row.is_active = (flags & ROW_ACTIVE) != 0;
	/* 0 in those of older versions: not told */
	row.key_type = flags >> ROW_TYPE_SHIFT & ((1u << KEY_TYPE_BITS) - 1);
	row.key_algorithm = (uint8_t)(flags >> ROW_ALGORITHM_SHIFT);
	row.version = rd_u64(rd);
	row.updated_at = (int64_t)rd_u64(rd);
	row.created_at = (int64_t)rd_u64(rd);
	row.expires_at = (int64_t)rd_u64(rd);
	id = get_id(rd);
	name = get_text(rd, MSG_NAME_MAX);
	if (rd->failed || !d->in_list)
		return ERR_BAD_REQUEST;
	row.id = copy_text(id);
	row.name = copy_text(name);
	if (row.id != NULL && row.name != NULL) {
		d->seen.rows++;
		r = d->sink->row(d->sink->arg, &row);
	}
	free(row.id);
	free(row.name);
	return r;
}

/* The packed fields must be whole, or reading them would stop early. */
static bool
fields_are_whole(const struct object *o)
{
	struct object_field field;
	size_t pos = 0;

	while (object_next_field(o, &pos, &field))
		continue;
	return pos == secmem_len(&o->data) - o->value_len;
}

/* Everything of an item but its object. */
static void
get_item(struct rd *rd, struct state_item *ret, uint8_t *ret_flags)
{
	uint8_t format;

	ret->kind = get_kind(rd);
	format = rd_u8(rd);
	if (format > REF_FORMAT_DER)
		rd_fail(rd);
	ret->format = (enum ref_format)format;
	*ret_flags = rd_u8(rd);
	ret->expired = (*ret_flags & ITEM_EXPIRED) != 0;
	ret->version = rd_u64(rd);
	ret->age_ms = rd_u64(rd);
	ret->read_age_ms = rd_u64(rd);
	ret->reread_in_ms = rd_u64(rd);
	ret->expired_age_ms = rd_u64(rd);
	ret->failures = rd_u32(rd);
}

struct times {
	uint64_t version;
	int64_t updated_at;
	int64_t expires_at;
};

static int
make_object(const struct state_item *item, uint8_t flags,
    const struct times *t, struct rd *rd, struct object **ret)
{
	struct view id = get_id(rd), name = get_text(rd, MSG_NAME_MAX), data;
	size_t value_len = rd_u32(rd), data_len = rd_u32(rd);
	struct object *o;

	data = rd_bytes(rd, data_len);
	if (rd->failed || value_len > data_len || data_len > DATA_MAX)
		return ERR_BAD_REQUEST;
	o = object_new(item->kind, id, name);
	if (o == NULL)
		return ERR_NOMEM;
	o->format = item->format;
	o->is_active = (flags & ITEM_ACTIVE) != 0;
	o->version = t->version;
	o->updated_at = t->updated_at;
	o->expires_at = t->expires_at;
	if (secmem_copy(&o->data, data.p, data.len, SECMEM_CACHE) != 0) {
		object_unref(o);
		return ERR_NOMEM;
	}
	o->value_len = (uint32_t)value_len;
	if (!fields_are_whole(o)) {
		object_unref(o);
		return ERR_BAD_REQUEST;
	}
	*ret = o;
	return 0;
}

static int
decode_item(struct state_decoder *d, struct rd *rd)
{
	struct state_item item = { .object = NULL };
	struct times t;
	uint8_t flags;
	int r;

	get_item(rd, &item, &flags);
	t.version = rd_u64(rd);
	t.updated_at = (int64_t)rd_u64(rd);
	t.expires_at = (int64_t)rd_u64(rd);
	if ((r = make_object(&item, flags, &t, rd, &item.object)) != 0)
		return r;
	d->seen.items++;
	r = d->sink->item(d->sink->arg, &item);
	object_unref(item.object);
	return r;
}

static int
decode_end(struct state_decoder *d, struct rd *rd)
{
	if (rd_u64(rd) != d->seen.items || rd_u64(rd) != d->seen.rows ||
	    rd->failed)
		return ERR_BAD_REQUEST;
	d->ended = true;
	return 0;
}

static int
decode_record(struct state_decoder *d, uint8_t type, struct view body)
{
	static int (*const decoders[])(struct state_decoder *, struct rd *) = {
		[RECORD_FACTS] = decode_facts,
		[RECORD_LIST] = decode_list,
		[RECORD_ROW] = decode_row,
		[RECORD_ITEM] = decode_item,
		[RECORD_END] = decode_end,
	};
	struct rd rd;

	if (type >= sizeof(decoders) / sizeof(decoders[0]) ||
	    decoders[type] == NULL)
		return 0;
	if (type != RECORD_ROW)
		d->in_list = false;
	rd_init(&rd, body.p, body.len);
	return decoders[type](d, &rd);
}

static bool
is_padding(const uint8_t *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (p[i] != 0)
			return false;
	}
	return true;
}

void
state_decoder_init(struct state_decoder *d, const struct state_sink *sink)
{
	memset(d, 0, sizeof(*d));
	d->sink = sink;
	secbuf_init(&d->buf, HEAD_BYTES + RECORD_BODY_MAX + (1u << 20));
}

void
state_decoder_done(struct state_decoder *d)
{
	secbuf_clear(&d->buf);
}

/* Records that are whole, from *pos on. */
static int
decode_whole(struct state_decoder *d, size_t *pos)
{
	const uint8_t *p;
	size_t len;
	int r;

	while (!d->ended && d->buf.len - *pos >= HEAD_BYTES) {
		p = d->buf.mem + *pos;
		len = be_get_u32(p + 1);
		if (p[0] == RECORD_PADDING || len > RECORD_BODY_MAX)
			return ERR_BAD_REQUEST;
		if (len > d->buf.len - *pos - HEAD_BYTES)
			return 0;
		r = decode_record(d, p[0],
		    (struct view){ p + HEAD_BYTES, len });
		if (r != 0)
			return r;
		*pos += HEAD_BYTES + len;
	}
	return 0;
}

int
state_decode(struct state_decoder *d, const uint8_t *p, size_t len)
{
	size_t pos = 0;
	int r;

	if (d->ended)
		return is_padding(p, len) ? 0 : ERR_BAD_REQUEST;
	if ((r = secbuf_append(&d->buf, p, len)) != 0)
		return r == ERR_TOO_LARGE ? ERR_BAD_REQUEST : r;
	if ((r = decode_whole(d, &pos)) != 0)
		return r;
	if (d->ended && !is_padding(d->buf.mem + pos, d->buf.len - pos))
		return ERR_BAD_REQUEST;
	secbuf_consume(&d->buf, d->ended ? d->buf.len : pos);
	return 0;
}

int
state_decode_end(const struct state_decoder *d)
{
	return d->ended ? 0 : ERR_BAD_REQUEST;
}
