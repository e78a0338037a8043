#include "config.h"

#include "envelope.h"

#include <assert.h>
#include <string.h>

#include "err.h"
#include "msg.h"
#include "msg_call.h"
#include "text.h"

static_assert(ENVELOPE_PREFIX_LEN + 2 + 4 + ENVELOPE_STREAM_LEN + 8 + 3 * 2 +
    MSG_ID_MAX + ENVELOPE_ALGORITHM_MAX + ENVELOPE_WRAPPED_MAX <=
    MSG_ENVELOPE_MAX, "ENVELOPE_WRAPPED_MAX is too large");

#define NAME_LEN (ENVELOPE_MAGIC_LEN - 1)	/* the magic without version */

int
envelope_header_len(const void *p, size_t len, size_t *ret_len)
{
	const uint8_t *bytes = p;
	size_t n = len < NAME_LEN ? len : NAME_LEN;
	uint32_t header;

	if (n > 0 && memcmp(bytes, ENVELOPE_MAGIC, n) != 0)
		return ERR_BAD_REQUEST;
	if (len < ENVELOPE_MAGIC_LEN)
		return ERR_AGAIN;
	if (memcmp(bytes, ENVELOPE_MAGIC, ENVELOPE_MAGIC_LEN) != 0)
		return ERR_UNSUPPORTED;
	if (len < ENVELOPE_PREFIX_LEN)
		return ERR_AGAIN;
	header = be_get_u32(bytes + ENVELOPE_MAGIC_LEN);
	if (header < ENVELOPE_PREFIX_LEN || header > MSG_ENVELOPE_MAX)
		return ERR_BAD_REQUEST;
	*ret_len = header;
	return 0;
}

static void
put_text(struct wr *wr, struct view v, size_t max)
{
	if (v.len > max)
		wr_fail(wr);
	wr_u16(wr, (uint16_t)v.len);
	wr_bytes(wr, v.p, v.len);
}

void
envelope_encode(struct wr *wr, const struct envelope *e)
{
	size_t start = wr->len;

	wr_bytes(wr, ENVELOPE_MAGIC, ENVELOPE_MAGIC_LEN);
	wr_u32(wr, 0);
	wr_u16(wr, e->cipher);
	wr_u32(wr, e->chunk_len);
	if (e->stream.len != ENVELOPE_STREAM_LEN || e->key_id.len == 0 ||
	    e->wrapped.len == 0)
		wr_fail(wr);
	wr_bytes(wr, e->stream.p, e->stream.len);
	wr_u64(wr, e->key_version);
	put_text(wr, e->key_id, MSG_ID_MAX);
	put_text(wr, e->algorithm, ENVELOPE_ALGORITHM_MAX);
	put_text(wr, e->wrapped, ENVELOPE_WRAPPED_MAX);
	wr_patch_u32(wr, start + ENVELOPE_MAGIC_LEN,
	    (uint32_t)(wr->len - start));
}

static struct view
take_text(struct rd *rd, size_t min, size_t max)
{
	struct view v = rd_bytes(rd, rd_u16(rd));

	if (v.len < min || v.len > max || !text_is_text(v.p, v.len))
		rd_fail(rd);
	return v;
}

int
envelope_decode(struct view header, struct envelope *ret)
{
	struct rd rd;
	size_t len;
	int r;

	r = envelope_header_len(header.p, header.len, &len);
	if (r == ERR_UNSUPPORTED)
		return r;
	if (r != 0 || len != header.len)
		return ERR_BAD_REQUEST;
	rd_init(&rd, header.p, header.len);
	(void)rd_bytes(&rd, ENVELOPE_PREFIX_LEN);
	ret->cipher = rd_u16(&rd);
	ret->chunk_len = rd_u32(&rd);
	ret->stream = rd_bytes(&rd, ENVELOPE_STREAM_LEN);
	ret->key_version = rd_u64(&rd);
	ret->key_id = take_text(&rd, 1, MSG_ID_MAX);
	ret->algorithm = take_text(&rd, 0, ENVELOPE_ALGORITHM_MAX);
	ret->wrapped = take_text(&rd, 1, ENVELOPE_WRAPPED_MAX);
	if (!rd_done(&rd))
		return ERR_BAD_REQUEST;
	return ret->cipher == ENVELOPE_XCHACHA20_POLY1305 &&
	    ret->chunk_len == MSG_CHUNK_MAX ? 0 : ERR_UNSUPPORTED;
}
