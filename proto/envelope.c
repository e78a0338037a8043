#include "config.h"

#include "envelope.h"

#include <assert.h>
#include <string.h>

#include "err.h"
#include "msg.h"
#include "msg_call.h"
#include "text.h"

static_assert(ENVELOPE_HEADER_MAX == MSG_ENVELOPE_MAX,
    "a header of an envelope does not fit STREAM_OPEN");
static_assert(ENVELOPE_PREFIX + 2 + 2 + 4 + ENVELOPE_STREAM_LEN + 8 + 3 * 2 +
    MSG_ID_MAX + ENVELOPE_ALGORITHM_MAX + ENVELOPE_WRAPPED_MAX <=
    ENVELOPE_HEADER_MAX, "ENVELOPE_WRAPPED_MAX is too large");

int
envelope_header_len(const void *p, size_t len, size_t *ret_len)
{
	size_t n = len < ENVELOPE_MAGIC_LEN ? len : ENVELOPE_MAGIC_LEN;
	uint32_t told;

	if (n > 0 && memcmp(p, ENVELOPE_MAGIC, n) != 0)
		return ERR_BAD_REQUEST;
	if (len < ENVELOPE_PREFIX)
		return ERR_AGAIN;
	told = be_get_u32((const uint8_t *)p + ENVELOPE_MAGIC_LEN);
	if (told < ENVELOPE_PREFIX || told > ENVELOPE_HEADER_MAX)
		return ERR_BAD_REQUEST;
	*ret_len = told;
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
	wr_u16(wr, ENVELOPE_VERSION);
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

	if (envelope_header_len(header.p, header.len, &len) != 0 ||
	    len != header.len)
		return ERR_BAD_REQUEST;
	rd_init(&rd, header.p, header.len);
	(void)rd_bytes(&rd, ENVELOPE_PREFIX);
	/* what follows is of this version: look no further into another's */
	if (rd_u16(&rd) != ENVELOPE_VERSION)
		return rd.failed ? ERR_BAD_REQUEST : ERR_UNSUPPORTED;
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
