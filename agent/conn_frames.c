#include "config.h"

#include "conn_frames.h"

#include <string.h>

#include "err.h"
#include "frame.h"
#include "msg.h"

struct frames {
	struct session *session;
};

static void
frames_init(void *talk, struct session *s, void *arg, int fd)
{
	struct frames *f = talk;

	(void)arg;
	(void)fd;
	f->session = s;
}

static void
frames_done(void *talk)
{
	(void)talk;
}

static const char *
frames_fault(int error)
{
	return error == ERR_TOO_LARGE ? "the frame is longer than allowed"
	    : error == ERR_UNSUPPORTED
	    ? "this agent speaks version 1 of the protocol"
	    : "the frame is malformed";
}

/* A frame that ends the connection, or one to skip. */
static int
frames_refuse(struct frames *f, const struct frame *frame, int error,
    struct out *out, const char **ret_why)
{
	if (error == ERR_UNSUPPORTED && frame->total > 0) {
		session_refuse(f->session, frame->id, error,
		    "a flag that this agent does not know", out);
		return 0;
	}
	session_refuse(f->session, frame->id, error, frames_fault(error), out);
	*ret_why = frames_fault(error);
	return error;
}

static int
frames_take(void *talk, const uint8_t *p, size_t len, const struct now *now,
    struct out *out, size_t *ret_used, const char **ret_why)
{
	struct frames *f = talk;
	struct frame frame;
	int r;

	memset(&frame, 0, sizeof(frame));
	r = frame_cut(p, len, FRAME_REQUEST_MAX, &frame);
	if (r == ERR_AGAIN)
		return r;
	if (r != 0)
		r = frames_refuse(f, &frame, r, out, ret_why);
	else
		r = session_handle(f->session, &frame, now, out);
	*ret_used = frame.total;
	return r;
}

static bool
frames_render(void *talk, struct out *out)
{
	return session_render(((struct frames *)talk)->session, out);
}

static bool
frames_has_room(const void *talk)
{
	return session_has_room(((const struct frames *)talk)->session);
}

static bool
frames_is_idle(const void *talk)
{
	return session_is_idle(((const struct frames *)talk)->session);
}

static bool
frames_never(const void *talk)
{
	(void)talk;
	return false;
}

static void
frames_turn_away(struct session *s, struct out *out)
{
	session_refuse(s, 0, ERR_BUSY,
	    "no connection is left for you (max-connections); try again", out);
}

const struct conn_kind conn_frames = {
	.talk_bytes = sizeof(struct frames),
	.init = frames_init,
	.done = frames_done,
	.take = frames_take,
	.render = frames_render,
	.has_room = frames_has_room,
	.is_idle = frames_is_idle,
	.is_partial = frames_never,
	.is_over = frames_never,
	.turn_away = frames_turn_away,
};
