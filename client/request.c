/*
 * The public face of requests: what an event loop starts, drives and takes.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "err.h"
#include "handle.h"
#include "service.h"

/* What the public pointer points to; its first member is the engine's. */
struct request {
	struct qapi_agent_request base;
	struct call call;
	bool single;		/* an error of the only item is the whole's */
};

_Static_assert(offsetof(struct request, base) == 0, "one pointer for both");

static struct request *
of(struct qapi_agent_request *base)
{
	return (struct request *)base;
}

static const struct request *
of_const(const struct qapi_agent_request *base)
{
	return (const struct request *)base;
}

/* --- driving -------------------------------------------------------------- */

int
qapi_agent_fd(struct qapi_agent *agent)
{
	return handle_fd(agent);
}

/* As poll(2) takes it; rounded up, or it would be called too early. */
int
request_poll_ms(uint64_t wake_boot_ms)
{
	uint64_t now_ms;

	if (wake_boot_ms == CONN_FOREVER)
		return -1;
	now_ms = conn_now_ms();
	if (wake_boot_ms <= now_ms)
		return 0;
	wake_boot_ms -= now_ms;
	return wake_boot_ms > INT_MAX ? INT_MAX : (int)wake_boot_ms;
}

/* Is anything done that no step has told of?  Say, by a call that blocked. */
static bool
has_news(const struct qapi_agent *agent)
{
	const struct qapi_agent_request *req;

	TAILQ_FOREACH(req, &agent->engine.done, entry) {
		if (req->done != NULL || !req->seen)
			return true;
	}
	return false;
}

short
qapi_agent_want(struct qapi_agent *agent, int *ret_timeout_ms)
{
	handle_poll(agent);
	*ret_timeout_ms = has_news(agent) ? 0
	    : request_poll_ms(engine_wake_boot_ms(agent));
	return agent->conn.fd != -1 ? POLLIN : 0;
}

/* The first of those done that is to be told about, or to be taken. */
static struct qapi_agent_request *
next_done(struct qapi_agent *agent, bool by_callback)
{
	struct qapi_agent_request *req;

	TAILQ_FOREACH(req, &agent->engine.done, entry) {
		if ((req->done != NULL) == by_callback)
			break;
	}
	if (req == NULL)
		return NULL;
	TAILQ_REMOVE(&agent->engine.done, req, entry);
	req->listed = false;
	return req;
}

size_t
qapi_agent_step(struct qapi_agent *agent)
{
	struct qapi_agent_request *req;

	engine_step(agent, POLLIN, 0);
	while ((req = next_done(agent, true)) != NULL)
		req->done(req, req->arg);
	/* those that are left are the caller's to take, whenever it likes */
	TAILQ_FOREACH(req, &agent->engine.done, entry)
		req->seen = true;
	handle_poll(agent);
	return engine_pending(agent);
}

struct qapi_agent_request *
qapi_agent_next_done(struct qapi_agent *agent)
{
	return next_done(agent, false);
}

/* --- starting ------------------------------------------------------------- */

static struct request *
request_new(struct qapi_agent *agent, uint8_t type,
    const struct qapi_agent_terms *terms, qapi_agent_done done, void *arg)
{
	struct request *request = calloc(1, sizeof(*request));

	agent->message[0] = '\0';
	if (request == NULL) {
		(void)handle_fail(agent, ERR_NOMEM, err_text(ERR_NOMEM));
		return NULL;
	}
	call_init(&request->call, type);
	if (terms != NULL)
		request->call.terms = *api_terms(terms);
	request->base.listed = true;
	request->base.done = done;
	request->base.arg = arg;
	return request;
}

/* r: of what was put into it; not 0: it is freed. */
static int
start(struct qapi_agent *agent, struct request *request, int r,
    const char *why, struct qapi_agent_request **ret)
{
	if (r != 0) {
		(void)handle_fail(agent, r, why != NULL ? why : err_text(r));
		call_done(&request->call);
		free(request);
		return r;
	}
	engine_add(agent, &request->base, &request->call);
	*ret = &request->base;
	return 0;
}

static int
start_refs(struct qapi_agent *agent, uint8_t type, const char *const *refs,
    size_t count, const struct qapi_agent_terms *terms, qapi_agent_done done,
    void *arg, struct qapi_agent_request **ret)
{
	struct request *request = request_new(agent, type, terms, done, arg);

	if (request == NULL)
		return ERR_NOMEM;
	request->single = count == 1;
	return start(agent, request,
	    call_set_refs(&request->call, refs, count), NULL, ret);
}

static int
start_plain(struct qapi_agent *agent, uint8_t type, uint8_t kind,
    const struct qapi_agent_terms *terms, qapi_agent_done done, void *arg,
    struct qapi_agent_request **ret)
{
	struct request *request = request_new(agent, type, terms, done, arg);

	if (request == NULL)
		return ERR_NOMEM;
	request->call.list_kind = kind;
	return start(agent, request, 0, NULL, ret);
}

static int
start_service(struct qapi_agent *agent, uint8_t type,
    const struct service_ask *ask, const struct qapi_agent_terms *terms,
    qapi_agent_done done, void *arg, struct qapi_agent_request **ret)
{
	struct request *request = request_new(agent, type, terms, done, arg);
	const char *why = NULL;
	int r;

	if (request == NULL)
		return ERR_NOMEM;
	request->single = true;
	r = service_set(&request->call, ask, true, &why);
	return start(agent, request, r, r == ERR_NOMEM ? NULL : why, ret);
}

int
qapi_agent_start_get(struct qapi_agent *agent, const char *const *refs,
    size_t count, const struct qapi_agent_terms *terms, qapi_agent_done done,
    void *arg, struct qapi_agent_request **ret)
{
	return start_refs(agent, FRAME_GET, refs, count, terms, done, arg,
	    ret);
}

int
qapi_agent_start_refresh(struct qapi_agent *agent, const char *const *refs,
    size_t count, qapi_agent_done done, void *arg,
    struct qapi_agent_request **ret)
{
	return start_refs(agent, FRAME_REFRESH, refs, count, NULL, done, arg,
	    ret);
}

int
qapi_agent_start_invalidate(struct qapi_agent *agent, const char *const *refs,
    size_t count, qapi_agent_done done, void *arg,
    struct qapi_agent_request **ret)
{
	return start_refs(agent, FRAME_PURGE, refs, count, NULL, done, arg,
	    ret);
}

int
qapi_agent_start_reject(struct qapi_agent *agent, const char *ref,
    const struct qapi_agent_item *refused, qapi_agent_done done, void *arg,
    struct qapi_agent_request **ret)
{
	struct request *request = request_new(agent, FRAME_REJECT, NULL, done,
	    arg);

	if (request == NULL)
		return ERR_NOMEM;
	request->single = true;
	call_set_refused(&request->call, refused);
	return start(agent, request, call_set_refs(&request->call, &ref, 1),
	    NULL, ret);
}

int
qapi_agent_start_list(struct qapi_agent *agent, enum qapi_agent_kind kind,
    const struct qapi_agent_terms *terms, qapi_agent_done done, void *arg,
    struct qapi_agent_request **ret)
{
	return start_plain(agent, FRAME_LIST, (uint8_t)kind, terms, done, arg,
	    ret);
}

int
qapi_agent_start_ping(struct qapi_agent *agent, qapi_agent_done done,
    void *arg, struct qapi_agent_request **ret)
{
	return start_plain(agent, FRAME_PING, 0, NULL, done, arg, ret);
}

int
qapi_agent_start_status(struct qapi_agent *agent, qapi_agent_done done,
    void *arg, struct qapi_agent_request **ret)
{
	return start_plain(agent, FRAME_STATUS, 0, NULL, done, arg, ret);
}

int
qapi_agent_start_call(struct qapi_agent *agent, const char *method,
    const char *target, const char *ref, const struct qapi_agent_terms *terms,
    const char *content_type, const void *body, size_t body_len,
    qapi_agent_done done, void *arg, struct qapi_agent_request **ret)
{
	const struct service_ask ask = {
		.method = method,
		.target = target,
		.ref = ref,
		.content_type = content_type,
		.data = body,
		.data_len = body_len,
	};

	return start_service(agent, FRAME_CALL, &ask, terms, done, arg, ret);
}

int
qapi_agent_start_encrypt(struct qapi_agent *agent, const char *key,
    const char *algorithm, const void *aad, size_t aad_len, const void *data,
    size_t data_len, qapi_agent_done done, void *arg,
    struct qapi_agent_request **ret)
{
	const struct service_ask ask = {
		.key = key,
		.algorithm = algorithm,
		.aad = aad,
		.aad_len = aad_len,
		.data = data,
		.data_len = data_len,
	};

	return start_service(agent, FRAME_ENCRYPT, &ask, NULL, done, arg, ret);
}

int
qapi_agent_start_decrypt(struct qapi_agent *agent, const char *key,
    const void *aad, size_t aad_len, const void *payload, size_t payload_len,
    qapi_agent_done done, void *arg, struct qapi_agent_request **ret)
{
	const struct service_ask ask = {
		.key = key,
		.aad = aad,
		.aad_len = aad_len,
		.data = payload,
		.data_len = payload_len,
	};

	return start_service(agent, FRAME_DECRYPT, &ask, NULL, done, arg, ret);
}

int
qapi_agent_start_sign(struct qapi_agent *agent, const char *key,
    const char *algorithm, const void *data, size_t data_len,
    qapi_agent_done done, void *arg, struct qapi_agent_request **ret)
{
	const struct service_ask ask = {
		.key = key,
		.algorithm = algorithm,
		.data = data,
		.data_len = data_len,
	};

	return start_service(agent, FRAME_SIGN, &ask, NULL, done, arg, ret);
}

int
qapi_agent_start_verify(struct qapi_agent *agent, const char *key,
    const void *data, size_t data_len, const void *signature,
    size_t signature_len, qapi_agent_done done, void *arg,
    struct qapi_agent_request **ret)
{
	const struct service_ask ask = {
		.key = key,
		.signature = signature,
		.signature_len = signature_len,
		.data = data,
		.data_len = data_len,
	};

	return start_service(agent, FRAME_VERIFY, &ask, NULL, done, arg, ret);
}

/* --- what came of it ------------------------------------------------------ */

void
qapi_agent_request_free(struct qapi_agent_request **request)
{
	if (request == NULL || *request == NULL)
		return;
	engine_drop(*request);
	call_done(&of(*request)->call);
	free(*request);
	*request = NULL;
}

bool
qapi_agent_request_is_done(const struct qapi_agent_request *request)
{
	return request->state == REQUEST_DONE;
}

/* The only item, if its error is that of the whole. */
static const struct qapi_agent_item *
only_item(const struct qapi_agent_request *request)
{
	const struct request *r = of_const(request);

	return request->state == REQUEST_DONE && request->error == 0 &&
	    r->single && r->call.items != NULL && r->call.items->count == 1
	    ? &r->call.items->v[0] : NULL;
}

int
qapi_agent_request_error(const struct qapi_agent_request *request)
{
	const struct qapi_agent_item *item = only_item(request);

	if (request->state != REQUEST_DONE)
		return 0;
	return item != NULL ? item->error : request->error;
}

const char *
qapi_agent_request_message(const struct qapi_agent_request *request)
{
	const struct qapi_agent_item *item = only_item(request);

	if (request->state != REQUEST_DONE)
		return "";
	if (item != NULL)
		return qapi_agent_item_message(item);
	if (request->error == 0)
		return "";
	return request->message != NULL ? request->message
					: err_text(request->error);
}

struct qapi_agent_items *
qapi_agent_request_take_items(struct qapi_agent_request *request)
{
	struct call *call = &of(request)->call;
	struct qapi_agent_items *items = call->items;

	if (request->state != REQUEST_DONE || request->error != 0 ||
	    service_is(call) || call->type == FRAME_REJECT)
		return NULL;
	call->items = NULL;
	return items;
}

struct qapi_agent_item *
qapi_agent_request_take_item(struct qapi_agent_request *request)
{
	struct qapi_agent_item *item = NULL;

	if (only_item(request) == NULL ||
	    api_take_item(of(request)->call.items, &item) != 0)
		return NULL;
	return item;
}

struct qapi_agent_reply *
qapi_agent_request_take_reply(struct qapi_agent_request *request)
{
	struct call *call = &of(request)->call;
	struct qapi_agent_reply *reply = call->reply;

	if (request->state != REQUEST_DONE || request->error != 0)
		return NULL;
	call->reply = NULL;
	return reply;
}

struct qapi_agent_stats *
qapi_agent_request_take_stats(struct qapi_agent_request *request)
{
	struct call *call = &of(request)->call;
	struct qapi_agent_stats *stats = call->stats;

	if (request->state != REQUEST_DONE || request->error != 0)
		return NULL;
	call->stats = NULL;
	return stats;
}

bool
qapi_agent_request_valid(const struct qapi_agent_request *request)
{
	return request->state == REQUEST_DONE && request->error == 0 &&
	    of_const(request)->call.verified.valid;
}

enum qapi_agent_by
qapi_agent_request_by(const struct qapi_agent_request *request)
{
	return (enum qapi_agent_by)of_const(request)->call.verified.by;
}
