#include "config.h"

#include "frame.h"

#include "err.h"

/* where the header's parts are */
#define OFF_LENGTH 0
#define OFF_VERSION 4
#define OFF_TYPE 5
#define OFF_FLAGS 6
#define OFF_ID 8

int
frame_cut(const void *p, size_t len, size_t max_body,
    struct frame *ret_frame)
{
	const uint8_t *h = p;
	size_t body_len;

	ret_frame->total = FRAME_HEADER_LEN;
	if (len < FRAME_HEADER_LEN)
		return ERR_AGAIN;

	body_len = be_get_u32(h + OFF_LENGTH);
	ret_frame->type = h[OFF_TYPE];
	ret_frame->flags = be_get_u16(h + OFF_FLAGS);
	ret_frame->id = be_get_u64(h + OFF_ID);
	ret_frame->body.p = h + FRAME_HEADER_LEN;
	ret_frame->body.len = 0;

	/* both before the body is waited for, let alone stored */
	if (body_len > max_body || h[OFF_VERSION] != FRAME_VERSION) {
		ret_frame->total = 0;
		return body_len > max_body ? ERR_TOO_LARGE : ERR_UNSUPPORTED;
	}

	ret_frame->total = FRAME_HEADER_LEN + body_len;
	if (len < ret_frame->total)
		return ERR_AGAIN;
	ret_frame->body.len = body_len;
	if ((ret_frame->flags & (FRAME_CRITICAL_MASK | FRAME_FD)) != 0)
		return ERR_UNSUPPORTED;
	return 0;
}

size_t
frame_begin(struct wr *wr, uint8_t type, uint16_t flags, uint64_t id)
{
	size_t start = wr->len;
	uint8_t *h = wr_room(wr, FRAME_HEADER_LEN);

	if (h == NULL)
		return start;
	be_put_u32(h + OFF_LENGTH, 0);
	h[OFF_VERSION] = FRAME_VERSION;
	h[OFF_TYPE] = type;
	be_put_u16(h + OFF_FLAGS, flags);
	be_put_u64(h + OFF_ID, id);
	return start;
}

void
frame_end(struct wr *wr, size_t start, size_t extra)
{
	size_t len;
	size_t max;

	if (wr->failed)
		return;
	len = wr->len - start - FRAME_HEADER_LEN;
	max = (wr->p[start + OFF_TYPE] & FRAME_FROM_AGENT) != 0 ?
	    FRAME_ANSWER_MAX : FRAME_REQUEST_MAX;
	/* the peer would end the connection over it */
	if (len > max || extra > max - len) {
		wr_fail(wr);
		return;
	}
	wr_patch_u32(wr, start + OFF_LENGTH, (uint32_t)(len + extra));
}
