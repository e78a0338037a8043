#include "config.h"

#include "service.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/queue.h>

#include "clock.h"
#include "err.h"
#include "msg.h"
#include "object.h"
#include "sim.h"

#define SERVICE_WINDOW_MS 60000
#define SERVICE_REFUSAL_MS 1
#define SERVICE_VALUE_LEN 64

/* One secret of one agent. */
struct service_secret {
	uint16_t version;
	uint16_t handed;	/* newest version that the agent was given */
	uint32_t changed_ms;	/* when version came */
};

struct service_key {
	uint64_t window_ms;	/* its end */
	unsigned int used;
};

enum outcome {
	OUTCOME_ANSWER,
	OUTCOME_LIMITED,
	OUTCOME_OVERLOAD,
	OUTCOME_FAILING,
	OUTCOME_REFUSED,
	OUTCOME_HUNG,
};

struct upstream_call {
	struct sim_event ev;
	struct service_client *client;
	upstream_cb *cb;
	void *arg;
	enum upstream_op op;
	unsigned int secret;	/* reads */
	unsigned int page;	/* lists */
	unsigned int page_size;
	enum outcome outcome;
	uint64_t asked_ms;
	uint64_t retry_after_ms;
	struct upstream_rate rate;
};

struct service_client {
	struct upstream up;	/* first */
	struct service *s;
	unsigned int agent;
	uint64_t last_ms;	/* of its newest request */
	bool asked;
};

struct service {
	struct service_config cfg;
	enum service_state state;
	struct service_client *clients;
	struct service_secret *secrets;	/* agent by agent */
	struct service_key *keys;
	uint64_t busy_us;	/* until when the queue is full of work */
	uint64_t outdated;
	uint64_t requests;
	unsigned int most_of_key;
	uint64_t gap_from_ms;
	uint64_t least_gap_ms;
	struct service_second *seconds;
	size_t nseconds;
};

/* --- secrets --- */

void
service_id(unsigned int agent, unsigned int secret, char *ret)
{
	static const char digits[] = "0123456789abcdef";
	unsigned int i;

	memcpy(ret, "00000000-0000-4000-8000-00000000f1ee", SERVICE_ID_LEN);
	ret[SERVICE_ID_LEN] = '\0';
	for (i = 0; i < 8; i++)
		ret[7 - i] = digits[(agent >> (4 * i)) & 15];
	for (i = 0; i < 4; i++)
		ret[12 - i] = digits[(secret >> (4 * i)) & 15];
}

void
service_name(unsigned int secret, char *ret)
{
	(void)snprintf(ret, SERVICE_NAME_MAX, "db/prod/password-%03u", secret);
}

/* The number in an id of that agent; SERVICE_SECRETS_MAX: none. */
static unsigned int
service_secret_of(unsigned int agent, struct view id)
{
	char want[SERVICE_ID_LEN + 1], digits[5];
	unsigned int secret;

	if (id.len != SERVICE_ID_LEN)
		return SERVICE_SECRETS_MAX;
	memcpy(digits, id.p + 9, 4);
	digits[4] = '\0';
	secret = (unsigned int)strtoul(digits, NULL, 16);
	service_id(agent, secret, want);
	return memcmp(want, id.p, id.len) == 0 ? secret : SERVICE_SECRETS_MAX;
}

static struct service_secret *
service_at(const struct service *s, unsigned int agent, unsigned int secret)
{
	assert(agent < s->cfg.agents && secret < s->cfg.secrets);
	return &s->secrets[(size_t)agent * s->cfg.secrets + secret];
}

void
service_rotate(struct service *s, unsigned int agent, unsigned int secret)
{
	struct service_secret *x = service_at(s, agent, secret);

	if (x->handed == x->version)
		s->outdated++;
	x->version++;
	x->changed_ms = (uint32_t)sim_now_ms();
}

uint64_t
service_version(const struct service *s, unsigned int agent,
    unsigned int secret)
{
	return service_at(s, agent, secret)->version;
}

uint64_t
service_changed_ms(const struct service *s, unsigned int agent,
    unsigned int secret)
{
	return service_at(s, agent, secret)->changed_ms;
}

void
service_forget(struct service *s, unsigned int agent)
{
	struct service_secret *x;
	unsigned int i;

	for (i = 0; i < s->cfg.secrets; i++) {
		x = service_at(s, agent, i);
		if (x->handed == x->version)
			s->outdated++;
		x->handed = 0;
	}
}

uint64_t
service_outdated(const struct service *s)
{
	return s->outdated;
}

/* As it was when it was asked for; what changed since is the next version. */
static uint64_t
service_version_then(const struct service_secret *x, uint64_t asked_ms)
{
	return x->changed_ms > asked_ms ? x->version - 1u : x->version;
}

/* --- answers --- */

static void
service_say(struct upstream_answer *a, int error, int status,
    const char *message)
{
	a->error = error;
	a->status = status;
	(void)snprintf(a->message, sizeof(a->message), "%s", message);
}

static void
service_no_memory(struct upstream_answer *a)
{
	service_say(a, ERR_NOMEM, 0, "out of memory");
}

static void
service_answer_read(struct upstream_call *call, struct upstream_answer *a)
{
	const struct service_client *c = call->client;
	struct service_secret *x;
	uint8_t value[SERVICE_VALUE_LEN] = { 0 };
	char id[SERVICE_ID_LEN + 1], name[SERVICE_NAME_MAX];
	struct object *o;
	uint64_t version;

	if (call->secret >= c->s->cfg.secrets) {
		service_say(a, ERR_NOT_FOUND, 404, "no such secret");
		a->gone = true;
		return;
	}
	x = service_at(c->s, c->agent, call->secret);
	version = service_version_then(x, call->asked_ms);
	service_id(c->agent, call->secret, id);
	service_name(call->secret, name);
	memcpy(value, &version, sizeof(version));
	memcpy(value + sizeof(version), id, SERVICE_ID_LEN);
	o = object_new(REF_SECRET, (struct view){ (uint8_t *)id,
	    SERVICE_ID_LEN }, (struct view){ (uint8_t *)name, strlen(name) });
	if (o == NULL || object_set_data(o, (struct view){ value,
	    sizeof(value) }, NULL, 0) != 0) {
		object_unref(o);
		service_no_memory(a);
		return;
	}
	o->version = version;
	o->updated_at = o->expires_at = MSG_NO_TIME;
	o->is_active = true;
	a->status = 200;
	a->object = o;
	if (version > x->handed) {
		x->handed = (uint16_t)version;
		if (x->handed == x->version)
			c->s->outdated--;
	}
}

static bool
service_make_row(const struct upstream_call *call, unsigned int secret,
    struct upstream_row *row)
{
	const struct service_client *c = call->client;

	row->id = malloc(SERVICE_ID_LEN + 1);
	row->name = malloc(SERVICE_NAME_MAX);
	if (row->id == NULL || row->name == NULL)
		return false;
	service_id(c->agent, secret, row->id);
	service_name(secret, row->name);
	row->version = service_version_then(
	    service_at(c->s, c->agent, secret), call->asked_ms);
	row->updated_at = row->created_at = row->expires_at = MSG_NO_TIME;
	row->is_active = true;
	return true;
}

static void
service_answer_list(const struct upstream_call *call,
    struct upstream_answer *a)
{
	const unsigned int all = call->client->s->cfg.secrets;
	unsigned int from = (call->page - 1) * call->page_size, i;
	struct upstream_page *page = calloc(1, sizeof(*page));
	unsigned int n = from >= all ? 0 : all - from;

	if (n > call->page_size)
		n = call->page_size;
	if (page != NULL)
		page->rows = calloc(n + 1, sizeof(page->rows[0]));
	if (page == NULL || page->rows == NULL) {
		free(page);
		service_no_memory(a);
		return;
	}
	page->has_versions = true;
	page->has_more = from + n < all;
	page->total = all;
	for (i = 0; i < n; i++) {
		page->count++;
		if (!service_make_row(call, from + i, &page->rows[i])) {
			upstream_page_free(page);
			service_no_memory(a);
			return;
		}
	}
	a->status = 200;
	a->page = page;
}

static void
service_answer_ok(struct upstream_call *call, struct upstream_answer *a)
{
	if (call->op == UPSTREAM_READ_SECRET) {
		service_answer_read(call, a);
	} else if (call->op == UPSTREAM_LIST_SECRETS) {
		if (call->client->s->cfg.lists)
			service_answer_list(call, a);
		else
			service_say(a, ERR_INSUFFICIENT_SCOPE, 403,
			    "the key may not list");
	} else {
		service_say(a, ERR_NOT_FOUND, 404, "no such key");
	}
}

static void
service_answer_cb(void *arg)
{
	struct upstream_call *call = arg;
	struct upstream_answer a = { .date_ms = MSG_NO_TIME };
	struct now now;

	a.rate = call->rate;
	switch (call->outcome) {
	case OUTCOME_ANSWER:
		service_answer_ok(call, &a);
		break;
	case OUTCOME_LIMITED:
		service_say(&a, ERR_UPSTREAM_UNAVAILABLE, 429,
		    "the rate limit of the service is reached");
		a.retry_after_ms = call->retry_after_ms;
		break;
	case OUTCOME_OVERLOAD:
	case OUTCOME_FAILING:
		service_say(&a, ERR_UPSTREAM_UNAVAILABLE, 503, "HTTP 503");
		a.retryable = true;
		break;
	case OUTCOME_REFUSED:
		service_say(&a, ERR_UPSTREAM_UNAVAILABLE, 0,
		    "connection refused");
		a.retryable = true;
		break;
	case OUTCOME_HUNG:
		service_say(&a, ERR_UPSTREAM_UNAVAILABLE, 0, "no answer");
		a.retryable = true;
		break;
	}
	if (a.status != 0) {
		clock_read(&now);
		a.date_ms = now.wall_ms;
	}
	call->cb(call->arg, &a);
	free(call);
}

/* --- requests --- */

static void
service_count(struct service *s, struct service_client *c,
    const struct upstream_call *call)
{
	size_t i = (size_t)(sim_now_ms() / 1000);
	struct service_second *sec = &s->seconds[i < s->nseconds ? i
	    : s->nseconds - 1];
	uint64_t now_ms = sim_now_ms();

	s->requests++;
	sec->requests++;
	if (call->op == UPSTREAM_READ_SECRET)
		sec->reads++;
	else
		sec->lists++;
	if (call->outcome == OUTCOME_LIMITED)
		sec->limited++;
	if (call->outcome == OUTCOME_OVERLOAD ||
	    call->outcome == OUTCOME_FAILING)
		sec->overload++;
	if (c->asked && c->last_ms >= s->gap_from_ms &&
	    now_ms - c->last_ms < s->least_gap_ms)
		s->least_gap_ms = now_ms - c->last_ms;
	c->asked = true;
	c->last_ms = now_ms;
}

/* False: over the limit of the key. */
static bool
service_within_limit(struct service *s, struct upstream_call *call)
{
	struct service_key *k = &s->keys[call->client->agent /
	    s->cfg.agents_per_key];
	uint64_t now_ms = sim_now_ms();
	bool within;

	if (s->cfg.limit == 0)
		return true;
	if (now_ms >= k->window_ms) {
		k->window_ms = now_ms + SERVICE_WINDOW_MS;
		k->used = 0;
	}
	within = k->used < s->cfg.limit;
	if (within && ++k->used > s->most_of_key)
		s->most_of_key = k->used;
	if (s->cfg.tell_rate)
		call->rate = (struct upstream_rate){
			.told = true, .limit = s->cfg.limit,
			.remaining = s->cfg.limit - k->used,
			.reset_ms = k->window_ms - now_ms,
		};
	/* whole seconds, rounded up */
	call->retry_after_ms = (k->window_ms - now_ms + 999) / 1000 * 1000;
	return within;
}

/* What comes of a request that arrives now, and when. */
static uint64_t
service_decide(struct service *s, struct upstream_call *call,
    uint64_t timeout_ms)
{
	uint64_t now_ms = sim_now_ms(), now_us = now_ms * 1000, answer_ms;

	if (s->state == SERVICE_REFUSING) {
		call->outcome = OUTCOME_REFUSED;
		return now_ms + SERVICE_REFUSAL_MS;
	}
	if (s->state == SERVICE_HANGING) {
		call->outcome = OUTCOME_HUNG;
		return now_ms + timeout_ms;
	}
	answer_ms = now_ms + s->cfg.latency_ms +
	    sim_random_below(s->cfg.latency_ms + 1u);
	if (s->state == SERVICE_FAILING) {
		call->outcome = OUTCOME_FAILING;
		return answer_ms;
	}
	if (!service_within_limit(s, call)) {
		call->outcome = OUTCOME_LIMITED;
		return answer_ms;
	}
	call->outcome = OUTCOME_ANSWER;
	if (s->cfg.capacity == 0)
		return answer_ms;
	if (s->busy_us < now_us)
		s->busy_us = now_us;
	if (s->busy_us - now_us > s->cfg.queue_ms * UINT64_C(1000)) {
		call->outcome = OUTCOME_OVERLOAD;
		return answer_ms;
	}
	s->busy_us += 1000000 / s->cfg.capacity;
	answer_ms += (s->busy_us - now_us) / 1000;
	if (answer_ms - now_ms < timeout_ms)
		return answer_ms;
	call->outcome = OUTCOME_HUNG;
	return now_ms + timeout_ms;
}

static int
service_start(struct upstream *up, const struct upstream_request *req,
    upstream_cb *cb, void *arg, struct upstream_call **ret_call)
{
	struct service_client *c = (struct service_client *)up;
	struct upstream_call *call = calloc(1, sizeof(*call));
	uint64_t timeout_ms = c->s->cfg.timeout_ms;

	if (call == NULL)
		return ERR_NOMEM;
	if (req->timeout_ms != 0 && req->timeout_ms < timeout_ms)
		timeout_ms = req->timeout_ms;
	sim_event_init(&call->ev, service_answer_cb, call);
	call->client = c;
	call->cb = cb;
	call->arg = arg;
	call->op = req->op;
	call->secret = service_secret_of(c->agent, req->id);
	call->page = req->page;
	call->page_size = req->page_size;
	call->asked_ms = sim_now_ms();
	sim_at(&call->ev, service_decide(c->s, call, timeout_ms));
	service_count(c->s, c, call);
	*ret_call = call;
	return 0;
}

static void
service_cancel(struct upstream *up, struct upstream_call *call)
{
	(void)up;
	sim_cancel(&call->ev);
	free(call);
}

static void
service_set_key(struct upstream *up, struct secmem *key)
{
	(void)up;
	secmem_free_bytes(key);
}

static void
service_close(struct upstream *up)
{
	(void)up;
}

static const struct upstream_ops service_ops = {
	.start = service_start, .cancel = service_cancel,
	.set_key = service_set_key, .free = service_close,
};

/* --- life --- */

struct service *
service_new(const struct service_config *cfg, size_t seconds)
{
	struct service *s = sim_alloc(1, sizeof(*s));
	size_t i, n = (size_t)cfg->agents * cfg->secrets;

	s->cfg = *cfg;
	s->nseconds = seconds;
	s->seconds = sim_alloc(seconds, sizeof(*s->seconds));
	s->clients = sim_alloc(cfg->agents, sizeof(*s->clients));
	s->secrets = sim_alloc(n, sizeof(*s->secrets));
	s->keys = sim_alloc(cfg->agents, sizeof(*s->keys));
	for (i = 0; i < cfg->agents; i++)
		s->clients[i] = (struct service_client){
			.up.ops = &service_ops, .s = s,
			.agent = (unsigned int)i,
		};
	for (i = 0; i < n; i++)
		s->secrets[i].version = 1;
	s->outdated = n;
	s->least_gap_ms = UINT64_MAX;
	return s;
}

void
service_free(struct service *s)
{
	if (s == NULL)
		return;
	free(s->seconds);
	free(s->clients);
	free(s->secrets);
	free(s->keys);
	free(s);
}

struct upstream *
service_upstream(struct service *s, unsigned int agent)
{
	return &s->clients[agent].up;
}

void
service_set_state(struct service *s, enum service_state state)
{
	s->state = state;
}

const struct service_second *
service_seconds(const struct service *s, size_t *ret_count)
{
	*ret_count = s->nseconds;
	return s->seconds;
}

uint64_t
service_requests(const struct service *s)
{
	return s->requests;
}

unsigned int
service_most_of_key(const struct service *s)
{
	return s->most_of_key;
}

uint64_t
service_least_gap_ms(const struct service *s)
{
	return s->least_gap_ms;
}

void
service_reset_gap(struct service *s, uint64_t after_ms)
{
	s->gap_from_ms = sim_now_ms() + after_ms;
	s->least_gap_ms = UINT64_MAX;
}
