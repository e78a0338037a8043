#include "config.h"

#include "service.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "reply.h"
#include "text.h"
#include "wipe.h"

#define PARTS 6			/* of a message, at most */
#define HEAD_MAX (FRAME_HEADER_LEN + 128) /* fields of numbers, and heads */

bool
service_is(const struct call *call)
{
	return call->type >= FRAME_CALL && call->type <= FRAME_VERIFY;
}

/* One part of the message, and what it may be. */
struct part {
	struct view *to;
	const void *p;
	size_t len;
	size_t max;
	bool text;
	const char *what;	/* is wrong if it is */
};

static struct part
text_part(struct view *to, const char *text, size_t max, const char *what)
{
	struct part part = {to, text, text != NULL ? strlen(text) : 0, max,
	    true, what};

	return part;
}

static struct part
bytes_part(struct view *to, const void *p, size_t len, size_t max,
    const char *what)
{
	struct part part = {to, p, len, max, false, what};

	return part;
}

static size_t
parts_of_call(struct call *call, const struct service_ask *ask,
    struct part parts[PARTS])
{
	struct msg_call *m = &call->ask;
	size_t n = 0;

	parts[n++] = text_part(&m->method, ask->method, MSG_METHOD_MAX,
	    "the method is none: write GET, POST, PUT, PATCH or DELETE");
	parts[n++] = text_part(&m->target, ask->target, MSG_TARGET_MAX,
	    "the path is none: write one as /secrets, at most 4096 bytes");
	parts[n++] = text_part(&m->ref, ask->ref, REF_MAX,
	    "the reference is too long: at most 4096 bytes");
	parts[n++] = text_part(&m->content_type, ask->content_type,
	    MSG_CONTENT_TYPE_MAX,
	    "the content type is none: write one as text/plain, at most 128 "
	    "bytes");
	parts[n++] = bytes_part(&m->data, ask->data, ask->data_len,
	    MSG_DATA_MAX, "the body is too large: at most 1 MiB");
	m->has_data = ask->data != NULL;
	return n;
}

static size_t
parts_of_crypt(struct call *call, const struct service_ask *ask,
    struct part parts[PARTS])
{
	struct msg_crypt *m = &call->crypt;
	size_t n = 0;

	parts[n++] = text_part(&m->key, ask->key, MSG_NAME_MAX,
	    "the key is none: write its name or id, at most 1020 bytes");
	parts[n++] = text_part(&m->algorithm, ask->algorithm,
	    MSG_ALGORITHM_MAX,
	    "the algorithm is none: write its name, at most 64 bytes");
	parts[n++] = bytes_part(&m->aad, ask->aad, ask->aad_len, MSG_AAD_MAX,
	    "the additional data are too large: at most 32 KiB");
	parts[n++] = bytes_part(&m->signature, ask->signature,
	    ask->signature_len, MSG_SIGNATURE_MAX,
	    "the signature is too large to be one: at most 56 KiB");
	parts[n++] = bytes_part(&m->data, ask->data, ask->data_len,
	    MSG_DATA_MAX, "too much data for one request: at most 1 MiB");
	return n;
}

static int
check_part(const struct part *part, const char **ret_why)
{
	*ret_why = part->what;
	if (part->len > part->max)
		return part->text ? ERR_BAD_REQUEST : ERR_TOO_LARGE;
	if (part->text && !text_is_plain(part->p, part->len))
		return ERR_BAD_REQUEST;
	return 0;
}

/* What the message is nothing without. */
static const char *
missing(const struct call *call, const struct service_ask *ask)
{
	if (call->type == FRAME_CALL &&
	    (ask->method == NULL || *ask->method == '\0'))
		return "no method: write GET, POST, PUT, PATCH or DELETE";
	if (call->type == FRAME_CALL &&
	    (ask->target == NULL || *ask->target != '/'))
		return "the path does not begin with /: write one as /secrets";
	if ((call->type == FRAME_SIGN || call->type == FRAME_VERIFY) &&
	    (ask->key == NULL || *ask->key == '\0'))
		return "no key: name the one to sign or verify with";
	if (call->type == FRAME_VERIFY && ask->signature_len == 0)
		return "the signature is empty: give its bytes";
	if (call->type == FRAME_DECRYPT && ask->data_len == 0)
		return "nothing to decrypt: give what encrypting gave";
	if (ask->aad_len > 0 && !text_is_text(ask->aad, ask->aad_len))
		return "the additional data are no text: the service takes "
		    "UTF-8 without NUL";
	return NULL;
}

/* Views of what is asked; copies of it if store is not NULL. */
static void
set_parts(const struct part *parts, size_t n, uint8_t *store)
{
	size_t i;

	for (i = 0; i < n; i++) {
		parts[i].to->p = parts[i].len > 0 ? parts[i].p : NULL;
		parts[i].to->len = parts[i].len;
		if (store == NULL || parts[i].len == 0)
			continue;
		memcpy(store, parts[i].p, parts[i].len);
		parts[i].to->p = store;
		store += parts[i].len;
	}
}

/* ENCRYPT, DECRYPT and SIGN are answered by RESULT, of this one item. */
static int
expect_item(struct call *call)
{
	call->items = items_new(1);
	call->sent = calloc(1, sizeof(*call->sent));
	if (call->items == NULL || call->sent == NULL)
		return ERR_NOMEM;
	call->nsent = call->nwaiting = 1;
	return 0;
}

int
service_set(struct call *call, const struct service_ask *ask, bool keep,
    const char **ret_why)
{
	struct part parts[PARTS];
	size_t i, n, len = 0;
	int r;

	if (call->type == FRAME_CALL) {
		msg_call_init(&call->ask);
		n = parts_of_call(call, ask, parts);
	} else {
		n = parts_of_crypt(call, ask, parts);
	}
	for (i = 0; i < n; i++) {
		if ((r = check_part(&parts[i], ret_why)) != 0)
			return r;
		len += parts[i].len;
	}
	if ((*ret_why = missing(call, ask)) != NULL)
		return ERR_BAD_REQUEST;
	if (keep && len > 0) {
		call->store = malloc(len);
		if (call->store == NULL)
			return ERR_NOMEM;
		call->store_len = len;
	}
	set_parts(parts, n, call->store);
	if (call->type == FRAME_CALL || call->type == FRAME_VERIFY)
		return 0;
	return expect_item(call);
}

void
service_done(struct call *call)
{
	wipe_free(call->store, call->store_len);
	call->store = NULL;
	qapi_agent_reply_free(&call->reply);
}

static bool
is_method(const struct call *call, const char *name)
{
	return call->ask.method.len == strlen(name) &&
	    memcmp(call->ask.method.p, name, strlen(name)) == 0;
}

bool
service_may_repeat(const struct call *call)
{
	return call->type != FRAME_CALL || is_method(call, "GET") ||
	    is_method(call, "HEAD") || is_method(call, "OPTIONS");
}

int
service_send(struct call *call, struct conn *conn, uint64_t id)
{
	const struct msg_call *a = &call->ask;
	const struct msg_crypt *c = &call->crypt;
	struct wr wr;
	size_t max;
	int r;

	if (call->type == FRAME_CALL)
		max = a->method.len + a->target.len + a->ref.len +
		    a->content_type.len + a->data.len;
	else
		max = c->key.len + c->algorithm.len + c->aad.len +
		    c->signature.len + c->data.len;
	if ((r = conn_reserve(conn, HEAD_MAX + max, &wr)) != 0)
		return r;
	if (call->type == FRAME_CALL) {
		call->ask.terms = call->terms;
		msg_call_encode(&wr, id, a, false);
	} else {
		call->crypt.deadline_ms = call->terms.deadline_ms;
		msg_crypt_encode(&wr, call->type, id, c, false);
	}
	if (wr.failed)
		return ERR_INTERNAL;
	conn_queue(conn, &wr);
	return 0;
}

/* What the caller gets to know of an answer that cannot be decoded. */
static int
wrong(int r)
{
	return r == ERR_UNSUPPORTED ? r : ERR_INTERNAL;
}

int
service_on_called(struct call *call, const struct frame *frame)
{
	struct msg_called m;
	int r;

	if ((r = msg_called_decode(frame->body, &m)) != 0)
		return wrong(r);
	return reply_new(&m, &call->reply);
}

int
service_on_verified(struct call *call, const struct frame *frame)
{
	struct msg_verified m;
	int r;

	if ((r = msg_verified_decode(frame->body, &m)) != 0)
		return wrong(r);
	call->verified = m;
	return 0;
}
