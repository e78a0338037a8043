#include "config.h"

#include "qapi-agent.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "api.h"
#include "call.h"
#include "err.h"
#include "handle.h"
#include "msg_report.h"
#include "text.h"

/* The public numbers are the protocol's; a caller may mix them up freely. */
_Static_assert((int)QAPI_AGENT_ERR_INTERNAL == (int)ERR_INTERNAL &&
    (int)QAPI_AGENT_ERR_NOMEM == (int)ERR_NOMEM &&
    (int)QAPI_AGENT_ERR_CLOSED == (int)ERR_CLOSED &&
    (int)QAPI_AGENT_ERR_UNREACHABLE == (int)ERR_UNREACHABLE,
    "error numbers");
_Static_assert((int)QAPI_AGENT_EXPIRED == (int)MSG_EXPIRED &&
    (int)QAPI_AGENT_CONTENT_BYTES == (int)MSG_CONTENT_BYTES &&
    (int)QAPI_AGENT_KIND_KEY == (int)REF_KEY &&
    QAPI_AGENT_NO_TIME == MSG_NO_TIME,
    "numbers of the protocol");

struct qapi_agent_terms {
	struct msg_terms terms;
};

struct qapi_agent *
qapi_agent_new(void)
{
	struct qapi_agent *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	conn_init(&a->conn);
	engine_init(&a->engine);
	a->epoll = -1;
	a->timeout_ms = QAPI_AGENT_TIMEOUT_DEFAULT_MS;
	return a;
}

void
qapi_agent_free(struct qapi_agent **agent)
{
	if (agent == NULL || *agent == NULL)
		return;
	engine_done(*agent);
	handle_close(*agent);
	if ((*agent)->epoll != -1)
		(void)close((*agent)->epoll);
	free((*agent)->socket);
	free((*agent)->program);
	free(*agent);
	*agent = NULL;
}

int
qapi_agent_set_socket(struct qapi_agent *agent, const char *path)
{
	static const struct sockaddr_un sun;
	char *copy = NULL;

	if (path != NULL) {
		if (*path == '\0' || strlen(path) >= sizeof(sun.sun_path))
			return ERR_BAD_REQUEST;
		copy = strdup(path);
		if (copy == NULL)
			return ERR_NOMEM;
	}
	engine_disconnect(agent);
	free(agent->socket);
	agent->socket = copy;
	agent->used[0] = '\0';
	return 0;
}

void
qapi_agent_set_timeout_ms(struct qapi_agent *agent, uint64_t timeout_ms)
{
	agent->timeout_ms = timeout_ms;
}

int
qapi_agent_set_program(struct qapi_agent *agent, const char *program)
{
	char *copy;

	if (program == NULL || *program == '\0' ||
	    strlen(program) > MSG_BUILD_MAX ||
	    !text_is_utf8(program, strlen(program)))
		return ERR_BAD_REQUEST;
	copy = strdup(program);
	if (copy == NULL)
		return ERR_NOMEM;
	free(agent->program);
	agent->program = copy;
	return 0;
}

const char *
qapi_agent_socket(struct qapi_agent *agent)
{
	if (agent->used[0] == '\0')
		handle_first_path(agent);
	return agent->used;
}

const char *
qapi_agent_message(const struct qapi_agent *agent)
{
	return agent->message;
}

const char *
qapi_agent_build(const struct qapi_agent *agent)
{
	return agent->build;
}

unsigned int
qapi_agent_protocol(const struct qapi_agent *agent)
{
	return agent->protocol;
}

const char *
qapi_agent_version(void)
{
	return PACKAGE_VERSION;
}

const char *
qapi_agent_error_name(int error)
{
	return err_name(error);
}

const char *
qapi_agent_error_text(int error)
{
	return err_text(error);
}

const char *
qapi_agent_freshness_name(enum qapi_agent_freshness freshness)
{
	switch (freshness) {
	case QAPI_AGENT_FRESH:
		return "fresh";
	case QAPI_AGENT_STALE:
		return "stale";
	case QAPI_AGENT_EXPIRED:
		return "expired";
	case QAPI_AGENT_FRESHNESS_NONE:
		break;
	}
	return "";
}

/* --- terms --------------------------------------------------------------- */

const struct msg_terms *
api_terms(const struct qapi_agent_terms *terms)
{
	return &terms->terms;
}

struct qapi_agent_terms *
qapi_agent_terms_new(void)
{
	struct qapi_agent_terms *terms = calloc(1, sizeof(*terms));

	if (terms != NULL)
		msg_terms_init(&terms->terms);
	return terms;
}

void
qapi_agent_terms_free(struct qapi_agent_terms **terms)
{
	if (terms == NULL)
		return;
	free(*terms);
	*terms = NULL;
}

void
qapi_agent_terms_set_max_age_ms(struct qapi_agent_terms *terms,
    uint64_t max_age_ms)
{
	terms->terms.max_age_ms = max_age_ms;
}

void
qapi_agent_terms_set_max_stale_ms(struct qapi_agent_terms *terms,
    uint64_t max_stale_ms)
{
	terms->terms.max_stale_ms = max_stale_ms;
}

static void
set_flag(struct qapi_agent_terms *terms, uint32_t flag, bool on)
{
	if (on)
		terms->terms.flags |= flag;
	else
		terms->terms.flags &= ~flag;
}

void
qapi_agent_terms_set_only_if_cached(struct qapi_agent_terms *terms, bool on)
{
	set_flag(terms, MSG_TERM_ONLY_IF_CACHED, on);
}

void
qapi_agent_terms_set_fresh(struct qapi_agent_terms *terms, bool on)
{
	set_flag(terms, MSG_TERM_FRESH, on);
}

void
qapi_agent_terms_set_want_position(struct qapi_agent_terms *terms, bool on)
{
	set_flag(terms, MSG_TERM_WANT_POSITION, on);
}

/* --- calls --------------------------------------------------------------- */

int
api_take_item(struct qapi_agent_items *items, struct qapi_agent_item **ret)
{
	struct qapi_agent_item *item;

	if (items->v[0].error != 0)
		return items->v[0].error;
	item = malloc(sizeof(*item));
	if (item == NULL)
		return ERR_NOMEM;
	*item = items->v[0];
	items->count = 0; /* its only item is the caller's now */
	*ret = item;
	return 0;
}

/* The same, with the message.  ret: NULL if it is not wanted. */
static int
take_item(struct qapi_agent *agent, struct qapi_agent_items *items,
    struct qapi_agent_item **ret)
{
	int r = items->v[0].error;

	if (r != 0)
		return handle_fail(agent, r,
		    qapi_agent_item_message(&items->v[0]));
	if (ret == NULL || (r = api_take_item(items, ret)) == 0)
		return 0;
	return handle_fail(agent, r, err_text(r));
}

/* A call about references, whose items go to the caller. */
static int
call_refs(struct qapi_agent *agent, uint8_t type, const char *const *refs,
    size_t count, const struct qapi_agent_terms *terms,
    struct qapi_agent_items **ret)
{
	struct call call;
	int r;

	call_init(&call, type);
	if (terms != NULL)
		call.terms = terms->terms;
	r = call_set_refs(&call, refs, count);
	if (r != 0)
		(void)handle_fail(agent, r, err_text(r));
	else
		r = handle_call(agent, &call);
	if (r == 0) {
		*ret = call.items;
		call.items = NULL;
	}
	call_done(&call);
	return r;
}

/* The same for all that is cached. */
static int
call_all(struct qapi_agent *agent, uint8_t type, uint64_t *ret_count,
    uint64_t *ret_failed)
{
	struct call call;
	int r;

	call_init(&call, type);
	call.all = true;
	r = handle_call(agent, &call);
	if (r == 0 && ret_count != NULL)
		*ret_count = call.done.count;
	if (r == 0 && ret_failed != NULL)
		*ret_failed = call.done.failed;
	call_done(&call);
	return r;
}

int
qapi_agent_get(struct qapi_agent *agent, const char *ref,
    const struct qapi_agent_terms *terms, struct qapi_agent_item **ret)
{
	struct qapi_agent_items *items = NULL;
	int r;

	r = call_refs(agent, FRAME_GET, &ref, 1, terms, &items);
	if (r == 0)
		r = take_item(agent, items, ret);
	qapi_agent_items_free(&items);
	return r;
}

int
qapi_agent_get_many(struct qapi_agent *agent, const char *const *refs,
    size_t count, const struct qapi_agent_terms *terms,
    struct qapi_agent_items **ret)
{
	return call_refs(agent, FRAME_GET, refs, count, terms, ret);
}

int
qapi_agent_list(struct qapi_agent *agent, enum qapi_agent_kind kind,
    const struct qapi_agent_terms *terms, struct qapi_agent_items **ret)
{
	struct call call;
	int r;

	call_init(&call, FRAME_LIST);
	call.list_kind = (uint8_t)kind;
	if (terms != NULL)
		call.terms = terms->terms;
	r = handle_call(agent, &call);
	if (r == 0) {
		*ret = call.items;
		call.items = NULL;
	}
	call_done(&call);
	return r;
}

int
qapi_agent_refresh(struct qapi_agent *agent, const char *const *refs,
    size_t count, struct qapi_agent_items **ret)
{
	return call_refs(agent, FRAME_REFRESH, refs, count, NULL, ret);
}

int
qapi_agent_invalidate(struct qapi_agent *agent, const char *const *refs,
    size_t count, struct qapi_agent_items **ret)
{
	return call_refs(agent, FRAME_PURGE, refs, count, NULL, ret);
}

int
qapi_agent_refresh_all(struct qapi_agent *agent, uint64_t *ret_count,
    uint64_t *ret_failed)
{
	return call_all(agent, FRAME_REFRESH, ret_count, ret_failed);
}

int
qapi_agent_invalidate_all(struct qapi_agent *agent, uint64_t *ret_count,
    uint64_t *ret_failed)
{
	return call_all(agent, FRAME_PURGE, ret_count, ret_failed);
}

int
qapi_agent_ping(struct qapi_agent *agent)
{
	struct call call;
	int r;

	call_init(&call, FRAME_PING);
	r = handle_call(agent, &call);
	call_done(&call);
	return r;
}

int
qapi_agent_status(struct qapi_agent *agent, struct qapi_agent_stats **ret)
{
	struct call call;
	int r;

	call_init(&call, FRAME_STATUS);
	r = handle_call(agent, &call);
	if (r == 0) {
		*ret = call.stats;
		call.stats = NULL;
	}
	call_done(&call);
	return r;
}

int
qapi_agent_reject(struct qapi_agent *agent, const char *ref,
    const struct qapi_agent_item *refused, struct qapi_agent_item **ret)
{
	struct call call;
	int r;

	call_init(&call, FRAME_REJECT);
	call_set_refused(&call, refused);
	r = call_set_refs(&call, &ref, 1);
	if (r != 0)
		(void)handle_fail(agent, r, err_text(r));
	else
		r = handle_call(agent, &call);
	if (r == 0)
		r = take_item(agent, call.items, ret);
	call_done(&call);
	return r;
}

int
qapi_agent_explain(struct qapi_agent *agent, const char *ref, const char *as,
    struct qapi_agent_explanation **ret)
{
	struct call call;
	int r;

	call_init(&call, FRAME_EXPLAIN);
	call.as = as;
	if (as != NULL && (*as == '\0' || strlen(as) > MSG_AS_MAX ||
	    !text_is_utf8(as, strlen(as))))
		return handle_fail(agent, ERR_BAD_REQUEST, "for whom to "
		    "explain is not clear: name a user or a unit");
	r = call_set_refs(&call, &ref, 1);
	if (r != 0)
		(void)handle_fail(agent, r, err_text(r));
	else
		r = handle_call(agent, &call);
	if (r == 0)
		r = take_item(agent, call.items, NULL);
	if (r == 0) {
		*ret = call.explanation;
		call.explanation = NULL;
	}
	call_done(&call);
	return r;
}

int
qapi_agent_metrics(struct qapi_agent *agent, bool names, char **ret_text,
    size_t *ret_len)
{
	struct call call;
	int r;

	call_init(&call, FRAME_METRICS);
	call.names = names;
	r = handle_call(agent, &call);
	if (r == 0) {
		if (ret_len != NULL)
			*ret_len = call.text.len;
		*ret_text = call.text.p;
		call.text.p = NULL;
	}
	call_done(&call);
	return r;
}

void
qapi_agent_text_free(char **text)
{
	if (text == NULL)
		return;
	free(*text);
	*text = NULL;
}
