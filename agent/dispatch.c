#include "config.h"

#include "dispatch.h"

#include "callreq.h"
#include "crypt.h"
#include "drill.h"
#include "err.h"
#include "explain.h"
#include "limit.h"
#include "log.h"
#include "list.h"
#include "metrics_text.h"
#include "msg.h"
#include "peer.h"
#include "reject.h"
#include "request.h"
#include "status.h"
#include "stream.h"
#include "subscribe.h"
#include "text.h"

typedef int dispatch_handler(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);

static int
dispatch_hello(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	struct msg_hello hello;
	char who[128], build[MSG_BUILD_MAX + 4];
	int r;

	(void)now;
	(void)out;
	r = msg_hello_decode(frame->body, &hello);
	if (r != 0)
		return r;
	log_debug("%s: client is %s", peer_describe(s->peer, who, sizeof(who)),
	    text_printable(hello.build.p, hello.build.len, build,
	    sizeof(build)));
	return 0;
}

static int
dispatch_ping(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	const struct msg_done done = { .count = 0 };
	struct wr wr;
	int r;

	(void)s;
	(void)now;
	r = msg_empty_decode(frame->body);
	if (r != 0)
		return r;
	wr = out_begin(out);
	msg_done_encode(&wr, frame->id, &done);
	out_commit(out, &wr);
	return 0;
}

static const struct {
	uint8_t type;
	bool counted;		/* against the caller's rate */
	dispatch_handler *handler;
} dispatch_table[] = {
	{ FRAME_GET, true, request_refs },
	{ FRAME_HELLO, false, dispatch_hello },
	{ FRAME_PING, true, dispatch_ping },
	{ FRAME_LIST, true, list_request },
	{ FRAME_STATUS, true, status_answer },
	{ FRAME_REFRESH, true, request_refs },
	{ FRAME_PURGE, true, request_refs },
	{ FRAME_WATCH, true, subscribe_request },
	{ FRAME_CANCEL, true, request_cancel },
	{ FRAME_REJECT, true, reject_request },
	{ FRAME_EXPLAIN, true, explain_request },
	{ FRAME_DRILL, true, drill_request },
	{ FRAME_METRICS, true, metrics_request },
	{ FRAME_CALL, false, callreq_request },	/* rest counts it */
	{ FRAME_ENCRYPT, true, crypt_request },
	{ FRAME_DECRYPT, true, crypt_request },
	{ FRAME_SIGN, true, crypt_request },
	{ FRAME_VERIFY, true, crypt_request },
	{ FRAME_STREAM_OPEN, true, stream_open },
	/* a part of what was counted; the loop's turns bound it */
	{ FRAME_STREAM_DATA, false, stream_data },
};

int
dispatch_frame(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	size_t i;
	int r;

	if (frame->type >= FRAME_FROM_AGENT) {
		session_refuse(s, frame->id, ERR_BAD_REQUEST,
		    "this type of frame is the agent's to send", out);
		return ERR_BAD_REQUEST;
	}
	if (frame->id == 0 && frame->type != FRAME_HELLO) {
		session_refuse(s, 0, ERR_BAD_REQUEST,
		    "a request needs an id other than 0", out);
		return ERR_BAD_REQUEST;
	}
	for (i = 0; i < sizeof(dispatch_table) / sizeof(dispatch_table[0]); i++) {
		if (dispatch_table[i].type != frame->type)
			continue;
		if (dispatch_table[i].counted &&
		    !limit_take(s->env->limit, peer_uid(s->peer), now)) {
			session_error(out, frame->id, ERR_RATE_LIMITED,
			    "more requests a second than "
			    "max-requests-per-second-per-caller");
			return 0;
		}
		r = dispatch_table[i].handler(s, frame, now, out);
		if (r == ERR_UNSUPPORTED) {
			session_error(out, frame->id, r, "a critical field that "
			    "this agent does not know");
			return 0;
		}
		if (r == ERR_BAD_REQUEST)
			session_refuse(s, frame->id, r,
			    "the body of the frame is malformed", out);
		return r;
	}
	session_error(out, frame->id, ERR_UNSUPPORTED,
	    "this agent does not know this type of request");
	return 0;
}
