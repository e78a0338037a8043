/*
 * Frames: the fixed header, and cutting a byte stream (PROTOCOL.md, 2).
 */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include "buf.h"

#define FRAME_VERSION 1
#define FRAME_HEADER_LEN 16
#define FRAME_REQUEST_MAX 0x110000u	/* body, client to agent */
#define FRAME_ANSWER_MAX 0x1010000u	/* body, agent to client */

#define FRAME_MORE 0x0001u
#define FRAME_FD 0x0002u
#define FRAME_CRITICAL_MASK 0xff00u

/* Types; the first bit tells the direction. */
enum frame_type {
	FRAME_HELLO = 0x01,
	FRAME_PING = 0x02,
	FRAME_GET = 0x03,
	FRAME_LIST = 0x04,
	FRAME_STATUS = 0x05,
	FRAME_REFRESH = 0x06,
	FRAME_PURGE = 0x07,
	FRAME_WATCH = 0x08,
	FRAME_CANCEL = 0x09,
	FRAME_REJECT = 0x0a,
	FRAME_EXPLAIN = 0x0b,
	FRAME_DRILL = 0x0c,
	FRAME_METRICS = 0x0d,
	FRAME_CALL = 0x0e,
	FRAME_ENCRYPT = 0x0f,
	FRAME_DECRYPT = 0x10,
	FRAME_SIGN = 0x11,
	FRAME_VERIFY = 0x12,
	FRAME_STREAM_OPEN = 0x13,
	FRAME_STREAM_DATA = 0x14,

	FRAME_FROM_AGENT = 0x80,
	FRAME_AGENT_HELLO = 0x80,
	FRAME_RESULT = 0x81,
	FRAME_ROWS = 0x82,
	FRAME_STATS = 0x83,
	FRAME_DONE = 0x84,
	FRAME_ERROR = 0x85,
	FRAME_EVENT = 0x86,
	FRAME_EXPLAINED = 0x87,
	FRAME_DRILLED = 0x88,
	FRAME_METRICS_TEXT = 0x89,
	FRAME_CALLED = 0x8a,
	FRAME_VERIFIED = 0x8b,
	FRAME_STREAM_BYTES = 0x8c,
};

struct frame {
	uint8_t type;
	uint16_t flags;
	uint64_t id;
	struct view body;	/* dies with the buffer it was cut from */
	size_t total;		/* header and body, to advance by */
};

/*
 * Cut the first frame off p[0..len).  max_body: FRAME_REQUEST_MAX or
 * FRAME_ANSWER_MAX.
 * Returns 0; ERR_AGAIN if bytes are missing (ret_frame->total then is what a
 * whole frame needs, or FRAME_HEADER_LEN while even the header is incomplete);
 * ERR_TOO_LARGE if its length is over max_body, or ERR_UNSUPPORTED if its
 * version is not FRAME_VERSION or a critical flag or FRAME_FD is set.
 * ret_frame has the header's values then, and total is 0 after the first two:
 * the stream cannot go on.  After a flag total is what to skip; the whole of
 * the frame is there.
 */
int frame_cut(const void *p, size_t len, size_t max_body,
    struct frame *ret_frame);

/*
 * Write a header; the length is patched by frame_end().  Returns the offset
 * of the frame in wr, which frame_end() takes.
 */
size_t frame_begin(struct wr *wr, uint8_t type, uint16_t flags, uint64_t id);

/*
 * Finish the frame begun at offset start.  extra: bytes of the body that will
 * be sent after those in wr without being copied there (a large value).
 * A body over the limit of its direction latches wr as failed.
 */
void frame_end(struct wr *wr, size_t start, size_t extra);

#endif /* PROTO_FRAME_H */
