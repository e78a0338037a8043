#include "config.h"

#include "session.h"

#include <string.h>

#include "dispatch.h"
#include "err.h"
#include "msg.h"
#include "peer.h"
#include "request.h"
#include "settings.h"

#define SESSION_BUILD "qapi-agentd " PACKAGE_VERSION

void
session_init(struct session *s, struct session_env *env, struct peer *peer,
    void (*wake)(void *arg), void *arg)
{
	memset(s, 0, sizeof(*s));
	s->env = env;
	s->peer = peer;
	s->wake = wake;
	s->arg = arg;
	TAILQ_INIT(&s->requests);
	TAILQ_INIT(&s->ready);
}

void
session_done(struct session *s)
{
	struct request *rq;

	while ((rq = TAILQ_FIRST(&s->requests)) != NULL)
		request_free(rq);
	session_sent(s);
	peer_free(s->peer);
	s->peer = NULL;
}

/* The agent's first frame on a connection tells which agent this is. */
static void
session_hello(struct session *s, struct out *out)
{
	const struct msg_hello hello = {
		.protocol = FRAME_VERSION,
		.build = { (const uint8_t *)SESSION_BUILD,
		    sizeof(SESSION_BUILD) - 1 },
	};
	struct wr wr;

	if (s->hello_sent)
		return;
	s->hello_sent = true;
	wr = out_begin(out);
	msg_hello_encode(&wr, FRAME_AGENT_HELLO, &hello);
	out_commit(out, &wr);
}

void
session_error(struct out *out, uint64_t id, int error, const char *message)
{
	const struct msg_error m = {
		.error = error,
		.message = { (const uint8_t *)message, strlen(message) },
	};
	struct wr wr = out_begin(out);

	msg_error_encode(&wr, id, &m);
	out_commit(out, &wr);
}

void
session_refuse(struct session *s, uint64_t id, int error,
    const char *message, struct out *out)
{
	session_hello(s, out);
	s->env->metrics->bad_frames++;
	session_error(out, id, error, message);
}

int
session_handle(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	session_hello(s, out);
	s->env->metrics->requests++;
	return dispatch_frame(s, frame, now, out);
}

void
session_put(struct session *s, size_t bytes)
{
	s->unsent_bytes += bytes;
}

void
session_sent(struct session *s)
{
	caller_give_back(s->caller, s->unsent_bytes);
	s->unsent_bytes = 0;
}

bool
session_render(struct session *s, struct out *out)
{
	struct session_item *item;

	while ((item = TAILQ_FIRST(&s->ready)) != NULL) {
		if (!request_render(item, out))
			return true;
	}
	return false;
}

bool
session_has_room(const struct session *s)
{
	return s->waiting < SESSION_WAITING_MAX;
}

void
session_count_waiting(struct session *s, int count)
{
	s->waiting += (size_t)count;
	if (s->caller != NULL)
		s->caller->waiting += (size_t)count;
}

bool
session_is_patient(const struct session *s)
{
	return s->caller != NULL && s->caller->waiting >= CALLER_WAITING_LIGHT;
}

/* A quarter of what may be under way, and at least one. */
bool
session_has_several(const struct session *s)
{
	return s->caller != NULL && s->caller->waiting > 0 &&
	    s->caller->waiting >= s->env->settings->max_in_flight / 4;
}

bool
session_waits_too_much(const struct session *s)
{
	return s->caller != NULL && s->caller->waiting > CALLER_WAITING_MAX;
}

bool
session_is_idle(const struct session *s)
{
	const struct request *rq;

	TAILQ_FOREACH(rq, &s->requests, link) {
		if (!rq->parked)
			return false;
	}
	return true;
}
