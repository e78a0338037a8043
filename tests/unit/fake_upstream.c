#include "config.h"

#include "fake_upstream.h"

#include "err.h"
#include "fake_time.h"

#define SPIN 100000u

static void
copy_key(char ret[FAKE_KEY_MAX], const struct secmem *key)
{
	assert_true(secmem_len(key) < FAKE_KEY_MAX);
	memcpy(ret, secmem_bytes(key), secmem_len(key));
	ret[secmem_len(key)] = '\0';
}

static int
start(struct upstream *up, const struct upstream_request *req,
    upstream_cb *cb, void *arg, struct upstream_call **ret_call)
{
	struct fake_upstream *fu = (struct fake_upstream *)up;
	struct upstream_call *call;
	int r = fu->start_error != 0 ? fu->start_error : fu->starts_fail;

	fu->start_error = 0;
	if (r != 0)
		return r;
	call = calloc(1, sizeof(*call));
	if (call == NULL)
		return ERR_NOMEM;
	call->req = *req;
	assert_true(req->id.len <= MSG_ID_MAX);
	if (req->id.len > 0)
		memcpy(call->id, req->id.p, req->id.len);
	call->req.id.p = (const uint8_t *)call->id;
	memcpy(call->key, fu->key, sizeof(call->key));
	if (req->key != NULL) {
		copy_key(call->key, req->key);
		call->other_key = true;
		fu->other_key_calls++;
		call->req.key = NULL; /* is not kept */
	}
	call->cb = cb;
	call->arg = arg;
	TAILQ_INSERT_TAIL(&fu->calls, call, link);
	fu->started++;
	if (req->op == UPSTREAM_READ_SECRET || req->op == UPSTREAM_READ_KEY)
		fu->reads++;
	else if (req->op == UPSTREAM_RELAY)
		fu->relays++;
	else
		fu->lists++;
	if (++fu->under_way > fu->most)
		fu->most = fu->under_way;
	*ret_call = call;
	return 0;
}

static void
forget(struct fake_upstream *fu, struct upstream_call *call)
{
	TAILQ_REMOVE(&fu->calls, call, link);
	fu->under_way--;
	free(call);
}

static void
cancel(struct upstream *up, struct upstream_call *call)
{
	struct fake_upstream *fu = (struct fake_upstream *)up;

	fu->cancelled++;
	forget(fu, call);
}

static void
set_key(struct upstream *up, struct secmem *key)
{
	struct fake_upstream *fu = (struct fake_upstream *)up;

	fu->keys_set++;
	copy_key(fu->key, key);
	secmem_free_bytes(key);
}

static void
free_upstream(struct upstream *up)
{
	(void)up;
}

static const struct upstream_ops ops = {
	.start = start, .cancel = cancel, .set_key = set_key,
	.free = free_upstream,
};

void
fake_upstream_key(struct fake_upstream *fu, const char *key, int status)
{
	size_t i = 0;

	while (fu->keys[i].key != NULL && strcmp(fu->keys[i].key, key) != 0)
		i++;
	assert_true(i < FAKE_KEYS);
	fu->keys[i] = (struct fake_key){ key, status };
}

static int
key_status(const struct fake_upstream *fu, const struct upstream_call *call)
{
	size_t i;

	for (i = 0; i < FAKE_KEYS && fu->keys[i].key != NULL; i++) {
		if (strcmp(fu->keys[i].key, call->key) == 0)
			return fu->keys[i].status;
	}
	return 0;
}

void
fake_upstream_init(struct fake_upstream *fu)
{
	memset(fu, 0, sizeof(*fu));
	fu->up.ops = &ops;
	TAILQ_INIT(&fu->calls);
}

void
fake_upstream_done(struct fake_upstream *fu)
{
	assert_true(TAILQ_EMPTY(&fu->calls));
	assert_int_equal(fu->under_way, 0);
}

struct fake_thing *
fake_upstream_add(struct fake_upstream *fu, enum ref_kind kind,
    const char *id, const char *name, const char *value)
{
	struct fake_thing *t = &fu->things[fu->nthings++];

	assert_true(fu->nthings <= FAKE_THINGS);
	*t = (struct fake_thing){
		.kind = kind, .id = id, .name = name, .value = value,
		.version = 1, .expires_at = MSG_NO_TIME,
	};
	return t;
}

struct upstream_call *
fake_upstream_first(struct fake_upstream *fu)
{
	return TAILQ_FIRST(&fu->calls);
}

struct upstream_call *
fake_upstream_find(struct fake_upstream *fu, const char *id)
{
	struct upstream_call *call;

	TAILQ_FOREACH(call, &fu->calls, link) {
		if (strcmp(call->id, id) == 0)
			return call;
	}
	return NULL;
}

size_t
fake_upstream_waiting(const struct fake_upstream *fu)
{
	return fu->under_way;
}

void
fake_upstream_answer(struct fake_upstream *fu, struct upstream_call *call,
    struct upstream_answer *answer)
{
	upstream_cb *cb = call->cb;
	void *arg = call->arg;

	/* the handle lives until cb returns, but may not be cancelled */
	TAILQ_REMOVE(&fu->calls, call, link);
	fu->under_way--;
	cb(arg, answer);
	free(call);
}

static bool
is_read(const struct upstream_call *call)
{
	return call->req.op == UPSTREAM_READ_SECRET ||
	    call->req.op == UPSTREAM_READ_KEY;
}

static void
say(struct upstream_answer *a, int error, const char *message)
{
	a->error = error;
	(void)snprintf(a->message, sizeof(a->message), "%s", message);
}

static void
answer_from_status(const struct upstream_call *call, int status,
    struct upstream_answer *a)
{
	a->status = status;
	if (status == 0 || status >= 500) {
		a->retryable = true;
		say(a, ERR_UPSTREAM_UNAVAILABLE, status == 0
		    ? "connection refused" : "the service failed");
	} else if (status == 401) {
		say(a, ERR_UNAUTHORIZED,
		    "the service refuses the agent's API key");
	} else if (status == 403) {
		a->forbidden = is_read(call);
		say(a, is_read(call) ? ERR_DENIED : ERR_INSUFFICIENT_SCOPE,
		    "the service does not allow it");
	} else if (status == 404 || status == 410) {
		a->gone = is_read(call);
		say(a, is_read(call) ? ERR_NOT_FOUND : ERR_UPSTREAM_ERROR,
		    "the service has no such thing");
	} else if (status == 429) {
		say(a, ERR_UPSTREAM_UNAVAILABLE,
		    "the rate limit of the service is reached");
	} else {
		say(a, ERR_UPSTREAM_ERROR, "unexpected answer");
	}
}

void
fake_upstream_answer_status(struct fake_upstream *fu,
    struct upstream_call *call, int status)
{
	struct upstream_answer answer = { .error = 0 };

	answer_from_status(call, status, &answer);
	answer.retry_after_ms = fu->retry_after_ms;
	fake_upstream_answer(fu, call, &answer);
}

struct upstream_call *
fake_upstream_relay(struct fake_upstream *fu, const char *target)
{
	struct upstream_call *call;

	TAILQ_FOREACH(call, &fu->calls, link) {
		if (call->req.op == UPSTREAM_RELAY &&
		    unit_view_is(call->req.relay->target, target))
			return call;
	}
	return NULL;
}

static void
make_reply(struct upstream_answer *a, int status, const char *body)
{
	struct upstream_reply *r = &a->reply;

	a->status = status;
	(void)snprintf(r->content_type, sizeof(r->content_type),
	    "application/json");
	if (body == NULL || body[0] == '\0')
		return;
	r->body = object_new(REF_SECRET, unit_view(""), unit_view(""));
	if (r->body == NULL ||
	    object_set_data(r->body, unit_view(body), NULL, 0) != 0) {
		object_unref(r->body);
		r->body = NULL;
		a->status = 0;
		say(a, ERR_NOMEM, "out of memory");
	}
}

void
fake_upstream_reply(struct fake_upstream *fu, struct upstream_call *call,
    int status, const char *body)
{
	struct upstream_answer answer = { .date_ms = MSG_NO_TIME };

	if (status < 200 || status >= 300)
		answer_from_status(call, status, &answer);
	answer.retry_after_ms = fu->retry_after_ms;
	make_reply(&answer, status, body);
	fake_upstream_answer(fu, call, &answer);
}

void
fake_upstream_lose(struct fake_upstream *fu, struct upstream_call *call,
    bool unsent)
{
	struct upstream_answer answer = {
		.date_ms = MSG_NO_TIME, .unsent = unsent,
	};

	answer_from_status(call, 0, &answer);
	fake_upstream_answer(fu, call, &answer);
}

static const struct fake_thing *
find_thing(const struct fake_upstream *fu, const struct upstream_call *call)
{
	enum ref_kind kind = call->req.op == UPSTREAM_READ_SECRET
	    ? REF_SECRET : REF_KEY;
	size_t i;

	for (i = 0; i < fu->nthings; i++) {
		if (fu->things[i].kind == kind && fu->things[i].name != NULL &&
		    strcmp(fu->things[i].id, call->id) == 0)
			return &fu->things[i];
	}
	return NULL;
}

static void
answer_read(const struct fake_upstream *fu, const struct upstream_call *call,
    struct upstream_answer *a)
{
	const struct fake_thing *t = find_thing(fu, call);
	struct object_field field = { .is_text = true };
	struct object *o;

	if (t == NULL || t->status != 0 ||
	    call->req.version > t->version) {
		answer_from_status(call, t != NULL && t->status != 0
		    ? t->status : 404, a);
		return;
	}
	if (t->field != NULL) {
		field.name = unit_view(t->field);
		field.content = unit_view(t->field_text);
	}
	o = object_new(t->kind, unit_view(t->id),
	    unit_view(t->nameless ? "" : t->name));
	if (o == NULL || object_set_data(o, unit_view(t->value), &field,
	    t->field != NULL) != 0) {
		object_unref(o);
		say(a, ERR_NOMEM, "out of memory");
		return;
	}
	o->version = call->req.version != 0 ? call->req.version : t->version;
	o->expires_at = t->expires_at;
	o->format = call->req.format;
	a->status = 200;
	a->object = o;
}

static bool
is_on_list(const struct fake_thing *t, const struct upstream_call *call)
{
	return t->name != NULL && !t->unlisted && t->kind ==
	    (call->req.op == UPSTREAM_LIST_SECRETS ? REF_SECRET : REF_KEY);
}

static void
answer_list(const struct fake_upstream *fu, const struct upstream_call *call,
    struct upstream_answer *a)
{
	size_t size = fu->page_size != 0 ? fu->page_size
	    : call->req.page_size, skip = (call->req.page - 1) * size, i;
	struct upstream_page *page = calloc(1, sizeof(*page));
	struct upstream_row *row;
	const struct fake_thing *t;

	if (page != NULL)
		page->rows = calloc(FAKE_THINGS, sizeof(page->rows[0]));
	if (page == NULL || page->rows == NULL) {
		free(page);
		say(a, ERR_NOMEM, "out of memory");
		return;
	}
	page->has_versions = !fu->bare_rows;
	page->total = fu->total;
	for (i = 0; i < fu->nthings; i++) {
		t = &fu->things[i];
		if (!is_on_list(t, call))
			continue;
		if (skip > 0) {
			skip--;
			continue;
		}
		if (page->count == size) {
			page->has_more = true;
			break;
		}
		row = &page->rows[page->count++];
		row->id = strdup(t->id);
		row->name = strdup(t->name);
		if (row->id == NULL || row->name == NULL) {
			upstream_page_free(page);
			say(a, ERR_NOMEM, "out of memory");
			return;
		}
		row->version = t->version;
		row->created_at = MSG_NO_TIME;
		row->updated_at = t->row_updated_at != 0
		    ? t->row_updated_at : MSG_NO_TIME;
		row->expires_at = t->expires_at;
		row->is_active = !t->inactive;
	}
	a->status = 200;
	a->page = page;
}

void
fake_upstream_answer_table(struct fake_upstream *fu,
    struct upstream_call *call)
{
	struct upstream_answer answer = {
		.date_ms = fu->date_ms != 0 ? fu->date_ms : MSG_NO_TIME,
	};

	int status = key_status(fu, call);

	if (call->req.op == UPSTREAM_RELAY && fu->mode == FAKE_OK) {
		fake_upstream_reply(fu, call, status != 0 ? status
		    : fu->relay_status != 0 ? fu->relay_status : 200, "{}");
		return;
	}
	if (status == 404 && fu->mode == FAKE_OK && !is_read(call)) {
		/* another tenant's, who has nothing */
		answer.status = 200;
		answer.page = calloc(1, sizeof(*answer.page));
		assert_non_null(answer.page);
	} else if (status != 0 && fu->mode == FAKE_OK) {
		answer_from_status(call, status, &answer);
		answer.retry_after_ms = fu->retry_after_ms;
	} else if (fu->mode == FAKE_NO_CONNECTION) {
		answer_from_status(call, 0, &answer);
		answer.unsent = call->req.op == UPSTREAM_RELAY;
	} else if (fu->mode == FAKE_STATUS) {
		answer_from_status(call, fu->status, &answer);
		answer.retry_after_ms = fu->retry_after_ms;
	} else if (is_read(call)) {
		answer_read(fu, call, &answer);
	} else if (fu->list_status != 0) {
		answer_from_status(call, fu->list_status, &answer);
	} else {
		answer_list(fu, call, &answer);
	}
	fake_upstream_answer(fu, call, &answer);
}

void
fake_upstream_serve(struct fake_upstream *fu)
{
	struct upstream_call *call;
	unsigned int n = 0;

	fake_time_run();
	while ((call = fake_upstream_first(fu)) != NULL) {
		if (++n > SPIN)
			fail_msg("calls are made for ever");
		fake_upstream_answer_table(fu, call);
		fake_time_run();
	}
}

void
fake_upstream_pass(struct fake_upstream *fu, uint64_t ms)
{
	uint64_t end = fake_now.boot_ms + ms, step;

	fake_upstream_serve(fu);
	while (fake_now.boot_ms < end) {
		step = fake_time_next();
		if (step > end - fake_now.boot_ms)
			step = end - fake_now.boot_ms;
		fake_time_pass(step);
		fake_upstream_serve(fu);
	}
}
