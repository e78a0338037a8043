#include "deliver.h"

#include "answer.h"
#include "faults.h"
#include "mem.h"
#include "timefmt.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/util.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

/* A request whose answer is still to come, or under way. */
struct exchange {
	TAILQ_ENTRY(exchange) next;
	struct deliver *deliver;
	struct evhttp_request *req;      /* evhttp's; goes with evcon */
	struct evhttp_connection *evcon; /* evhttp's */
	struct event *timer;
	struct event *gone; /* the client has left */
	struct answer answer;
	struct fault fault; /* its spec is not used any more */
	struct text raw;    /* bytes that bypass evhttp */
	size_t sent;        /* of raw */
};

TAILQ_HEAD(exchange_list, exchange);

struct deliver {
	struct event_base *base;
	struct exchange_list list;
};

struct deliver *
deliver_new(struct event_base *base)
{
	struct deliver *d = mem_zero(sizeof(*d));

	d->base = base;
	TAILQ_INIT(&d->list);
	return d;
}

static void
exchange_free(struct exchange *x)
{
	TAILQ_REMOVE(&x->deliver->list, x, next);
	event_free(x->timer);
	if (x->gone != NULL)
		event_free(x->gone);
	answer_clear(&x->answer);
	text_done(&x->raw);
	free(x);
}

/* Forget the exchange and close its connection. */
static void
exchange_close(struct exchange *x)
{
	struct evhttp_connection *evcon = x->evcon;

	evhttp_connection_set_closecb(evcon, NULL, NULL);
	exchange_free(x);
	evhttp_connection_free(evcon);
}

void
deliver_free(struct deliver *d)
{
	if (d == NULL)
		return;
	while (!TAILQ_EMPTY(&d->list))
		exchange_close(TAILQ_FIRST(&d->list));
	free(d);
}

void
deliver_release(struct deliver *d, uint64_t fault_id)
{
	struct exchange *x, *next;

	for (x = TAILQ_FIRST(&d->list); x != NULL; x = next) {
		next = TAILQ_NEXT(x, next);
		if ((x->fault.action == FAULT_HANG ||
			x->fault.action == FAULT_STALL) &&
		    (fault_id == 0 || x->fault.id == fault_id))
			exchange_close(x);
	}
}

static const char *
reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} reasons[] = {
	    {200, "OK"},
	    {201, "Created"},
	    {204, "No Content"},
	    {302, "Found"},
	    {400, "Bad Request"},
	    {401, "Unauthorized"},
	    {403, "Forbidden"},
	    {404, "Not Found"},
	    {405, "Method Not Allowed"},
	    {409, "Conflict"},
	    {410, "Gone"},
	    {413, "Payload Too Large"},
	    {415, "Unsupported Media Type"},
	    {429, "Too Many Requests"},
	    {500, "Internal Server Error"},
	    {502, "Bad Gateway"},
	    {503, "Service Unavailable"},
	    {504, "Gateway Timeout"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].text;
	}
	return "Unknown";
}

static bool
may_have_body(const struct answer *a)
{
	return a->status != 204 && a->status != 304;
}

static void
add_length(struct evkeyvalq *headers, size_t n)
{
	char *s = mem_printf("%zu", n);

	(void)evhttp_add_header(headers, "Content-Length", s);
	free(s);
}

static void
release_body(const void *data, size_t n, void *arg)
{
	(void)data;
	(void)n;
	free(arg);
}

/* In place of evhttp's own, which goes by the machine's clock. */
static void
add_date(struct evkeyvalq *headers)
{
	char date[64];
	time_t t = (time_t)(timefmt_now_us() / 1000000);
	struct tm tm;

	(void)gmtime_r(&t, &tm);
	if (evutil_date_rfc1123(date, sizeof(date), &tm) > 0)
		(void)evhttp_add_header(headers, "Date", date);
}

void
deliver_now(struct evhttp_request *req, struct answer *a)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	struct evbuffer *out = NULL;

	if (timefmt_ahead_ms() != 0)
		add_date(headers);
	for (size_t i = 0; i < a->n_headers; i++)
		(void)evhttp_add_header(
		    headers, a->header[i].name, a->header[i].value);
	if (may_have_body(a)) {
		if (a->content_type != NULL)
			(void)evhttp_add_header(
			    headers, "Content-Type", a->content_type);
		add_length(headers, a->len);
		if (a->len != 0 &&
		    evhttp_request_get_command(req) != EVHTTP_REQ_HEAD &&
		    (out = evbuffer_new()) != NULL &&
		    evbuffer_add_reference(
			out, a->body, a->len, release_body, a->body) == 0)
			a->body = NULL; /* the buffer's now */
	}
	evhttp_send_reply(req, a->status, reason(a->status), out);
	if (out != NULL)
		evbuffer_free(out);
	answer_clear(a);
}

/* The whole answer as it would go over the wire. */
static void
serialize(struct exchange *x)
{
	const struct answer *a = &x->answer;

	text_printf(
	    &x->raw, "HTTP/1.1 %d %s\r\n", a->status, reason(a->status));
	for (size_t i = 0; i < a->n_headers; i++)
		text_printf(&x->raw, "%s: %s\r\n", a->header[i].name,
		    a->header[i].value);
	if (may_have_body(a)) {
		if (a->content_type != NULL)
			text_printf(
			    &x->raw, "Content-Type: %s\r\n", a->content_type);
		text_printf(&x->raw, "Content-Length: %zu\r\n", a->len);
	}
	text_str(&x->raw, "Connection: close\r\n\r\n");
}

static void
drained_cb(struct bufferevent *bev, void *arg)
{
	struct exchange *x = arg;

	(void)bev;
	if (x->sent == x->raw.len)
		exchange_close(x);
}

static void
broken_cb(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)what;
	exchange_close(arg);
}

static void
send_raw(struct exchange *x, size_t n)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(x->evcon);

	if (n > x->raw.len - x->sent)
		n = x->raw.len - x->sent;
	x->sent += n;
	(void)bufferevent_write(bev, x->raw.p + x->sent - n, n);
}

/* From here on the connection is ours, until it is closed. */
static void
take_connection(struct exchange *x)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(x->evcon);

	serialize(x);
	bufferevent_setcb(bev, NULL, drained_cb, broken_cb, x);
	(void)bufferevent_enable(bev, EV_WRITE);
}

static void
schedule(struct exchange *x)
{
	int64_t ms = x->fault.latency_ms;
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	/* The pause begins now, not when the loop last woke up. */
	(void)event_base_update_cache_time(x->deliver->base);
	(void)event_add(x->timer, &tv);
}

static void
truncate_answer(struct exchange *x)
{
	size_t half = x->answer.len / 2;

	take_connection(x);
	text_add(&x->raw, x->answer.body, half);
	send_raw(x, x->raw.len);
}

/* As truncate_answer(), but for good: drained_cb() must not see the end. */
static void
stall_answer(struct exchange *x)
{
	take_connection(x);
	text_add(&x->raw, x->answer.body, x->answer.len);
	send_raw(x, x->raw.len - (x->answer.len + 1) / 2);
}

static void
start_slow(struct exchange *x)
{
	size_t head;

	take_connection(x);
	head = x->raw.len;
	if (may_have_body(&x->answer) &&
	    evhttp_request_get_command(x->req) != EVHTTP_REQ_HEAD)
		text_add(&x->raw, x->answer.body, x->answer.len);
	send_raw(x, head);
	if (x->sent < x->raw.len)
		schedule(x);
}

static void
send_and_forget(struct exchange *x)
{
	struct evhttp_request *req = x->req;
	struct answer a = x->answer;

	memset(&x->answer, 0, sizeof(x->answer));
	evhttp_connection_set_closecb(x->evcon, NULL, NULL);
	exchange_free(x);
	deliver_now(req, &a);
}

static void
begin(struct exchange *x)
{
	switch (x->fault.action) {
	case FAULT_NONE:
	case FAULT_GARBAGE:
	case FAULT_REDIRECT:
		send_and_forget(x);
		break;
	case FAULT_DROP:
		exchange_close(x);
		break;
	case FAULT_HANG:
		break;
	case FAULT_TRUNCATE:
		truncate_answer(x);
		break;
	case FAULT_SLOW:
		start_slow(x);
		break;
	case FAULT_STALL:
		stall_answer(x);
		break;
	}
}

static void
timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct exchange *x = arg;

	(void)fd;
	(void)what;
	if (x->sent == 0) {
		begin(x);
		return;
	}
	send_raw(x, 1);
	if (x->sent < x->raw.len)
		schedule(x);
}

/* evhttp does not read while it waits for us, so it would not notice. */
static void
gone_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	exchange_close(arg);
}

static void
closed_cb(struct evhttp_connection *evcon, void *arg)
{
	(void)evcon;
	exchange_free(arg);
}

void
deliver_faulty(struct deliver *d, struct evhttp_request *req,
    const struct fault *fault, struct answer *a)
{
	struct exchange *x = mem_zero(sizeof(*x));
	struct timeval now = {0, 0};
	evutil_socket_t fd;

	x->deliver = d;
	x->req = req;
	x->evcon = evhttp_request_get_connection(req);
	x->answer = *a;
	memset(a, 0, sizeof(*a));
	x->fault = *fault;
	x->fault.spec = NULL;
	x->timer = evtimer_new(d->base, timer_cb, x);
	if (x->timer == NULL)
		abort();
	fd = bufferevent_getfd(evhttp_connection_get_bufferevent(x->evcon));
	x->gone = event_new(d->base, fd, EV_CLOSED, gone_cb, x);
	if (x->gone != NULL)
		(void)event_add(x->gone, NULL);
	evhttp_connection_set_closecb(x->evcon, closed_cb, x);
	TAILQ_INSERT_TAIL(&d->list, x, next);
	/* By the timer always: evhttp is still on the stack here. */
	if (fault->latency_ms != 0 && fault->action != FAULT_SLOW)
		schedule(x);
	else
		(void)event_add(x->timer, &now);
}
