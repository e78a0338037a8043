#include "config.h"

#include "http_talk.h"

#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "endpoints.h"
#include "err.h"
#include "flood.h"
#include "http_body.h"
#include "http_head.h"
#include "http_token.h"
#include "log.h"
#include "msg.h"
#include "peer.h"
#include "rest.h"
#include "settings.h"

/* Read while an answer is awaited, to see that the peer has left. */
#define HTTP_AHEAD_BYTES (16u * 1024)
#define HTTP_LARGE_BYTES (256u * 1024)

enum http_state {
	HTTP_HEAD,		/* the next is a head */
	HTTP_BODY,
	HTTP_WAITS,		/* for cb */
	HTTP_READY,		/* to be sent */
	HTTP_OVER,		/* nothing more is read */
};

struct talk {
	struct session *session;
	struct http_env *env;
	enum http_state state;
	struct http_manner manner; /* of the request in hand */
	struct http_body framing;
	bool is_known;		/* has shown the token, or needed none */
	size_t progress;	/* body bytes since the last whole step */
	struct secbuf head;	/* its text, while the body comes */
	struct secbuf body;
	size_t kept;		/* of it, by caller_keep(): once it is whole */
	struct rest *rest;	/* WAITS */
	struct rest_answer *answer; /* READY */
};

static void
talk_init(void *talk, struct session *s, void *arg, int fd)
{
	struct talk *t = talk;
	const int on = 1;

	t->session = s;
	t->env = arg;
	secbuf_init(&t->head, HTTP_HEAD_MAX);
	secbuf_init(&t->body, 0);
	/* answers are sent whole: there is nothing to wait for */
	if (t->env->with_token)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on));
}

static void
talk_forget_request(struct talk *t)
{
	secbuf_clear(&t->head);
	secbuf_clear(&t->body);
	caller_give_back(t->session->caller, t->kept);
	t->kept = 0;
}

static void
talk_forget_answer(struct talk *t)
{
	if (t->answer != NULL)
		object_unref(t->answer->body);
	free(t->answer);
	t->answer = NULL;
}

static void
talk_done(void *talk)
{
	struct talk *t = talk;

	if (t->state == HTTP_WAITS)
		rest_cancel(t->rest);
	talk_forget_request(t);
	talk_forget_answer(t);
	t->state = HTTP_OVER;
}

/* --- answers --- */

/* The request in hand was answered: on to the next one, if there is one. */
static void
talk_next(struct talk *t)
{
	talk_forget_request(t);
	t->state = t->manner.keep_alive ? HTTP_HEAD : HTTP_OVER;
}

static const char *
talk_date(struct talk *t, const struct now *now)
{
	return http_date_text(&t->env->date, now->wall_ms);
}

static void
talk_refuse(struct talk *t, const struct now *now, struct out *out,
    int status, const char *code, const char *sentence)
{
	http_answer_refuse(out, &t->manner, talk_date(t, now), status, code,
	    sentence);
	talk_next(t);
}

/* What follows cannot be told from it: the last that is read here. */
static int
talk_fail(struct talk *t, const struct now *now, struct out *out, int status,
    const char *code, const char *sentence)
{
	t->manner.keep_alive = false;
	talk_refuse(t, now, out, status, code, sentence);
	return ERR_BAD_REQUEST;
}

/*
 * A large answer that nobody else holds stays in memory until it is read.
 * Better none of it than one that is cut, or another of the user's.
 */
static bool
talk_may_hold(const struct talk *t, const struct object *body)
{
	const struct caller *caller = t->session->caller;
	size_t bytes = body != NULL ? object_own_bytes(body) : 0;

	return caller == NULL || bytes < HTTP_LARGE_BYTES ||
	    caller->bytes == 0 || (caller->bytes < caller->all->bytes_max &&
	    bytes <= caller->all->bytes_max - caller->bytes);
}

static void
talk_answer(struct talk *t, const struct now *now, struct out *out,
    const struct rest_answer *answer)
{
	if (!talk_may_hold(t, answer->body)) {
		talk_refuse(t, now, out, 503, "unavailable",
		    "Read the answers to your other requests first.");
		return;
	}
	http_answer_send(out, &t->manner, talk_date(t, now), answer);
	talk_next(t);
}

static void
talk_answered_cb(void *arg, struct rest_answer *answer)
{
	struct talk *t = arg;

	t->rest = NULL;
	t->state = HTTP_READY;
	t->answer = malloc(sizeof(*t->answer));
	if (t->answer != NULL)
		*t->answer = *answer;
	else
		object_unref(answer->body);
	t->session->wake(t->session->arg);
}

static bool
talk_render(void *talk, struct out *out)
{
	struct talk *t = talk;
	struct now now;

	if (t->state != HTTP_READY)
		return false;
	clock_read(&now);
	if (t->answer != NULL)
		talk_answer(t, &now, out, t->answer);
	else
		talk_refuse(t, &now, out, 503, "unavailable",
		    "The agent is out of memory; try again.");
	talk_forget_answer(t);
	return false;
}

/* --- requests --- */

static uint64_t
no_limit(uint64_t ms)
{
	return ms == UINT64_MAX ? MSG_NO_LIMIT : ms;
}

/* Everything of it is there. */
static void
talk_ask(struct talk *t, const struct http_head *h, const struct now *now,
    struct out *out)
{
	const struct rest_request rq = {
		/* HEAD is GET without the body: same rules, same cache */
		.method = t->manner.head_only ? "GET" : h->method,
		.target = h->target,
		.content_type = h->content_type,
		.accept = h->accept,
		.body = { t->body.mem, t->body.len },
		.has_body = t->body.len > 0,
		.allow_csprng = h->allow_csprng,
		/* HTTP's clients have a time limit, and do not tell it */
		.deadline_ms = h->wait_ms != UINT64_MAX ? h->wait_ms
		    : t->session->env->settings->request_timeout_ms,
		.max_age_ms = no_limit(h->max_age_ms),
		.max_stale_ms = no_limit(h->max_stale_ms),
		.only_if_cached = h->only_if_cached,
		.fresh = h->fresh,
	};
	struct rest_answer answer;
	int r;

	t->session->env->metrics->requests++;
	memset(&answer, 0, sizeof(answer));
	r = rest_start(t->session, &rq, now, &answer, talk_answered_cb,
	    &t->rest);
	if (r == ERR_AGAIN) {
		rest_set_arg(t->rest, t);
		t->state = HTTP_WAITS;
		return;
	}
	talk_answer(t, now, out, &answer);
	object_unref(answer.body);
}

/*
 * A share link is opened without a key at the service too: what the link is
 * made of lets its holder in, and the agent lends nothing.  SDKs send no
 * header at all with it.
 */
static bool
talk_needs_no_token(const struct http_head *h)
{
	struct endpoint_match m;

	return h->api_key.len == 0 && h->bearer.len == 0 &&
	    h->method != NULL &&
	    endpoints_match(h->method, h->target, &m) == 0 &&
	    m.endpoint != NULL && m.endpoint->scope == NULL && !m.from_root;
}

/* Who tries the doors, an operator may want to see. */
static void
talk_note(const struct talk *t, const struct now *now, const char *why)
{
	const struct peer *peer = t->session->peer;
	char who[128];

	if (flood_allows(t->session->env->flood, FLOOD_DENIED, peer_uid(peer),
	    now))
		log_info("%s: HTTP request refused: %s", peer_describe(peer,
		    who, sizeof(who)), why);
}

/* What a socket on loopback asks for besides. */
static bool
talk_is_let_in(struct talk *t, const struct http_head *h,
    const struct now *now, struct out *out)
{
	const struct http_env *env = t->env;

	if (h->minor > 0 && !http_head_host_is(h->host, env->host,
	    env->port)) {
		talk_note(t, now, "Host is not this machine's loopback");
		talk_refuse(t, now, out, 421, "misdirected_request",
		    "Host is not this machine's loopback address.");
		return false;
	}
	if (!talk_needs_no_token(h) &&
	    !http_token_fits(&env->token, h->api_key) &&
	    !http_token_fits(&env->token, h->bearer)) {
		talk_note(t, now, "the local token is missing or another "
		    "one");
		talk_refuse(t, now, out, 401, "unauthorized",
		    "The agent's local token is missing or another one; send "
		    "what is in its http-token-file as X-Api-Key.");
		return false;
	}
	t->is_known = true;
	return true;
}

/* False: it was refused. */
static bool
talk_gates(struct talk *t, const struct http_head *h, const struct now *now,
    struct out *out)
{
	if (h->from_browser) {
		talk_note(t, now, "it comes from a web page");
		talk_refuse(t, now, out, 403, "forbidden",
		    "Web pages are not answered.");
		return false;
	}
	if (t->env->with_token && !talk_is_let_in(t, h, now, out))
		return false;
	if (h->method == NULL) {
		talk_refuse(t, now, out, 501, "not_implemented",
		    "The method is not known here.");
		return false;
	}
	if (strcmp(h->method, "OPTIONS") == 0) {
		talk_refuse(t, now, out, 405, "method_not_allowed",
		    "OPTIONS is not answered.");
		return false;
	}
	if (h->expects_other) {
		talk_refuse(t, now, out, 417, "expectation_failed",
		    "Only 100-continue can be expected.");
		return false;
	}
	return true;
}

static int
talk_too_large(struct talk *t, const struct now *now, struct out *out,
    const char **ret_why)
{
	*ret_why = "the body of a request is longer than max-response=";
	return talk_fail(t, now, out, 413, "payload_too_large",
	    "The body is longer than the agent takes; see its max-response="
	    ".");
}

static int
talk_no_memory(struct talk *t, const struct now *now, struct out *out)
{
	return talk_fail(t, now, out, 503, "unavailable",
	    "The agent is out of memory; try again.");
}

/* What the service takes at most, and what this user may hold of it here. */
static size_t
talk_body_max(const struct talk *t)
{
	const struct caller *caller = t->session->caller;
	size_t max = t->session->env->settings->max_response;

	if (caller != NULL && caller->all->bytes_max - 2 * HTTP_HEAD_MAX < max)
		max = caller->all->bytes_max - 2 * HTTP_HEAD_MAX;
	return max;
}

/* The head stays until the body is there; p is where it lies now. */
static int
talk_begin_body(struct talk *t, const struct http_head *h, const uint8_t *p,
    bool wait, const struct now *now, struct out *out, const char **ret_why)
{
	const size_t max = talk_body_max(t);

	if (!h->chunked && h->length > max)
		return talk_too_large(t, now, out, ret_why);
	secbuf_init(&t->body, max);
	if (secbuf_append(&t->head, p, h->total) != 0)
		return talk_no_memory(t, now, out);
	http_body_init(&t->framing, h);
	t->progress = 0;
	t->state = HTTP_BODY;
	if (h->continues && wait)
		http_answer_continue(out);
	return 0;
}

static int
talk_take_head(struct talk *t, const uint8_t *p, size_t len,
    const struct now *now, struct out *out, size_t *ret_used,
    const char **ret_why)
{
	struct http_head h;
	int r;

	r = http_head_parse(p, len, &h);
	if (r == ERR_AGAIN)
		return r;
	memset(&t->manner, 0, sizeof(t->manner));
	if (r != 0) {
		t->session->env->metrics->bad_frames++;
		*ret_why = h.why;
		return talk_fail(t, now, out, h.status, "invalid_request",
		    h.why);
	}
	*ret_used = h.total;
	t->manner.head_only = h.method != NULL &&
	    strcmp(h.method, "HEAD") == 0;
	t->manner.old = h.minor == 0;
	/* the body of what is refused is not waited for */
	t->manner.keep_alive = h.keep_alive && !http_head_has_body(&h);
	if (!talk_gates(t, &h, now, out))
		return 0;
	t->manner.keep_alive = h.keep_alive;
	if (http_head_has_body(&h))
		return talk_begin_body(t, &h, p, len == h.total, now, out,
		    ret_why);
	talk_ask(t, &h, now, out);
	return 0;
}

static int
talk_take_body(struct talk *t, const uint8_t *p, size_t len,
    const struct now *now, struct out *out, size_t *ret_used,
    const char **ret_why)
{
	struct http_head h;
	size_t used;
	int r;

	r = http_body_take(&t->framing, p, len, &t->body, &used, ret_why);
	*ret_used += used;
	if (r == ERR_AGAIN) {
		t->progress += used;
		if (t->progress < HTTP_PROGRESS_BYTES)
			return ERR_AGAIN;
		t->progress = 0;
		return 0;
	}
	if (r == ERR_TOO_LARGE)
		return talk_too_large(t, now, out, ret_why);
	if (r == ERR_BAD_REQUEST) {
		t->session->env->metrics->bad_frames++;
		return talk_fail(t, now, out, 400, "invalid_request",
		    *ret_why);
	}
	/* the same text as before, but where it lies now */
	if (r != 0 || http_head_parse(t->head.mem, t->head.len, &h) != 0)
		return talk_no_memory(t, now, out);
	if (!caller_keep(t->session->caller, t->body.cap)) {
		talk_refuse(t, now, out, 503, "unavailable",
		    "You have too many requests with large bodies under way; "
		    "try again.");
		return 0;
	}
	t->kept = t->body.cap;
	talk_ask(t, &h, now, out);
	return 0;
}

static int
talk_take(void *talk, const uint8_t *p, size_t len, const struct now *now,
    struct out *out, size_t *ret_used, const char **ret_why)
{
	struct talk *t = talk;
	int r;

	if (t->state == HTTP_HEAD) {
		r = talk_take_head(t, p, len, now, out, ret_used, ret_why);
		if (r != 0 || t->state != HTTP_BODY)
			return r;
	}
	if (*ret_used == len)
		return ERR_AGAIN;
	return talk_take_body(t, p + *ret_used, len - *ret_used, now, out,
	    ret_used, ret_why);
}

/* --- what conn asks --- */

static bool
talk_has_room(const void *talk)
{
	const struct talk *t = talk;

	return t->state == HTTP_HEAD || t->state == HTTP_BODY;
}

static bool
talk_is_idle(const void *talk)
{
	const struct talk *t = talk;

	return t->state != HTTP_WAITS && t->state != HTTP_READY;
}

static bool
talk_is_partial(const void *talk)
{
	return ((const struct talk *)talk)->state == HTTP_BODY;
}

static bool
talk_is_over(const void *talk)
{
	return ((const struct talk *)talk)->state == HTTP_OVER;
}

static size_t
talk_bytes(const void *talk)
{
	const struct talk *t = talk;
	size_t bytes = t->head.cap + t->body.cap - t->kept;

	if (t->answer != NULL && t->answer->body != NULL)
		bytes += object_own_bytes(t->answer->body);
	return bytes;
}

/*
 * Everybody who comes over loopback is one caller: who has shown no token so
 * far may not keep the places of those who have.
 */
static uint64_t
talk_quiet_ms(const void *talk)
{
	const struct talk *t = talk;

	return t->env->with_token && !t->is_known ? HTTP_STRANGER_MS
	    : HTTP_QUIET_MS;
}

static void
talk_turn_away(struct session *s, struct out *out)
{
	const struct http_manner m = { .head_only = false };
	struct http_date date = { .second = 0 };
	struct now now;

	(void)s;
	clock_read(&now);
	http_answer_refuse(out, &m, http_date_text(&date, now.wall_ms), 503,
	    "unavailable", "No connection is left for you (max-connections); "
	    "try again.");
}

const struct conn_kind http_talk = {
	.talk_bytes = sizeof(struct talk),
	.init = talk_init,
	.done = talk_done,
	.take = talk_take,
	.render = talk_render,
	.has_room = talk_has_room,
	.is_idle = talk_is_idle,
	.is_partial = talk_is_partial,
	.is_over = talk_is_over,
	.bytes = talk_bytes,
	.turn_away = talk_turn_away,
	.ahead_bytes = HTTP_AHEAD_BYTES,
	.quiet_ms = talk_quiet_ms,
	.stall_ms = HTTP_STALL_MS,
	.lingers = true,
};
