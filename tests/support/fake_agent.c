#include "config.h"

#include "fake_agent.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "err.h"
#include "fake_service.h"
#include "msg_report.h"
#include "msg_watch.h"

#define IN_SIZE (2 * (size_t)FRAME_REQUEST_MAX)

struct fake {
	int fd;
	pthread_t thread;
	fake_script *script;
	void *arg;
	atomic_uint connections;
	atomic_uint closed;
	char dir[32];
	char path[64];
};

static void
check(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static void *
serve(void *arg)
{
	struct fake *f = arg;
	struct fake_conn c;

	for (;;) {
		memset(&c, 0, sizeof(c));
		c.fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC);
		if (c.fd == -1 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (c.fd == -1)
			return NULL;
		c.nth = atomic_fetch_add(&f->connections, 1);
		c.arg = f->arg;
		c.in = malloc(IN_SIZE);
		check(c.in != NULL, "malloc");
		f->script(&c);
		(void)close(c.fd);
		(void)atomic_fetch_add(&f->closed, 1);
		free(c.in);
	}
}

struct fake *
fake_start(fake_script *script, void *arg)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct fake *f = calloc(1, sizeof(*f));

	check(f != NULL, "calloc");
	f->script = script;
	f->arg = arg;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/qapi-fake.XXXXXX");
	check(mkdtemp(f->dir) != NULL, "mkdtemp");
	(void)snprintf(f->path, sizeof(f->path), "%s/agent.sock", f->dir);
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", f->path);
	f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(f->fd != -1 &&
	    bind(f->fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0 &&
	    listen(f->fd, 16) == 0, "listen");
	check(pthread_create(&f->thread, NULL, serve, f) == 0, "thread");
	return f;
}

void
fake_stop(struct fake **pf)
{
	struct fake *f = *pf;

	(void)shutdown(f->fd, SHUT_RDWR);
	(void)pthread_join(f->thread, NULL);
	(void)close(f->fd);
	(void)unlink(f->path);
	(void)rmdir(f->dir);
	free(f);
	*pf = NULL;
}

const char *
fake_path(const struct fake *f)
{
	return f->path;
}

unsigned int
fake_connections(struct fake *f)
{
	return atomic_load(&f->connections);
}

void
fake_wait_closed(struct fake *f, unsigned int count)
{
	struct timespec pause = {0, 1000000};
	int i;

	for (i = 0; i < 60000; i++) {
		if (atomic_load(&f->closed) >= count)
			return;
		(void)nanosleep(&pause, NULL);
	}
	check(false, "connections that end");
}

bool
fake_read(struct fake_conn *c, struct frame *ret)
{
	ssize_t n;
	int r;

	if (c->frames_max > 0 && c->frames == c->frames_max)
		return false;
	for (;;) {
		c->in_len -= c->skip;
		memmove(c->in, c->in + c->skip, c->in_len);
		c->skip = 0;
		r = frame_cut(c->in, c->in_len, FRAME_REQUEST_MAX, ret);
		if (r == 0) {
			c->skip = ret->total;
			if (ret->type == FRAME_HELLO)
				continue;
			c->frames++;
			return true;
		}
		if (r != ERR_AGAIN)
			return false;
		n = read(c->fd, c->in + c->in_len, IN_SIZE - c->in_len);
		if (n <= 0)
			return false;
		c->in_len += (size_t)n;
	}
}

void
fake_drain(struct fake_conn *c)
{
	while (read(c->fd, c->in, IN_SIZE) > 0)
		continue;
}

void
fake_send(struct fake_conn *c, const void *p, size_t len)
{
	const char *from = p;
	ssize_t n;

	while (len > 0) {
		n = send(c->fd, from, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		from += n;
		len -= (size_t)n;
	}
}

void
fake_send_wr(struct fake_conn *c, const struct wr *wr)
{
	check(!wr->failed, "encode");
	fake_send(c, wr->p, wr->len);
}

static struct view
view_of(const char *text)
{
	struct view v = {(const uint8_t *)text, strlen(text)};

	return v;
}

void
fake_send_hello(struct fake_conn *c, uint16_t protocol, const char *build)
{
	struct msg_hello m = {.protocol = protocol, .build = view_of(build)};
	uint8_t buf[256];
	struct wr wr;

	wr_init(&wr, buf, sizeof(buf));
	msg_hello_encode(&wr, FRAME_AGENT_HELLO, &m);
	fake_send_wr(c, &wr);
}

void
fake_send_error(struct fake_conn *c, uint64_t id, int error,
    const char *message)
{
	struct msg_error m = {.error = error, .message = view_of(message)};
	static uint8_t buf[2048];
	struct wr wr;

	wr_init(&wr, buf, sizeof(buf));
	msg_error_encode(&wr, id, &m);
	fake_send_wr(c, &wr);
}

void
fake_send_result(struct fake_conn *c, uint64_t id, bool more,
    const struct msg_result *m)
{
	size_t size = MSG_RESULT_HEAD_MAX + m->value.len;
	uint8_t *buf = malloc(size);
	struct wr wr;

	check(buf != NULL, "malloc");
	wr_init(&wr, buf, size);
	msg_result_encode(&wr, more ? FRAME_MORE : 0, id, m, false);
	fake_send_wr(c, &wr);
	free(buf);
}

void
fake_send_value(struct fake_conn *c, uint64_t id, uint16_t index, bool more,
    const void *value, size_t len)
{
	struct msg_result m = {.index = index, .content = MSG_CONTENT_TEXT};

	msg_meta_init(&m.meta);
	m.meta.freshness = MSG_FRESH;
	m.meta.age_ms = 1500;
	m.meta.id = view_of("sec_1");
	m.meta.name = view_of("db/password");
	m.meta.version = 3;
	m.meta.updated_at = INT64_C(1778241600000);
	m.value.p = value;
	m.value.len = len;
	fake_send_result(c, id, more, &m);
}

void
fake_send_watched(struct fake_conn *c, uint64_t id, uint16_t index,
    uint8_t position)
{
	struct msg_result m = {.index = index};
	uint8_t bytes[MSG_POSITION_LEN];

	memset(bytes, position, sizeof(bytes));
	msg_meta_init(&m.meta);
	m.meta.freshness = MSG_FRESH;
	m.meta.age_ms = 10;
	m.meta.version = 3;
	m.position = (struct view){bytes, sizeof(bytes)};
	fake_send_result(c, id, true, &m);
}

void
fake_send_event(struct fake_conn *c, uint64_t id, uint16_t index,
    uint8_t reason, uint8_t position)
{
	uint8_t buf[MSG_EVENT_LEN], bytes[MSG_POSITION_LEN];
	struct msg_event m = {index, reason, {bytes, sizeof(bytes)}};
	struct wr wr;

	memset(bytes, position, sizeof(bytes));
	wr_init(&wr, buf, sizeof(buf));
	msg_event_encode(&wr, id, &m);
	fake_send_wr(c, &wr);
}

/* Its end, without a reference, if it is not in the table. */
static const struct fake_value *
find_value(const struct fake_conn *c, struct view ref)
{
	const struct fake_value *v;

	for (v = c->arg; v->ref != NULL; v++) {
		if (strlen(v->ref) == ref.len &&
		    memcmp(v->ref, ref.p, ref.len) == 0)
			break;
	}
	return v;
}

static void
send_from_table(struct fake_conn *c, const struct frame *frame)
{
	const struct fake_value *v;
	struct msg_refs refs;
	struct msg_result m;
	struct view ref;
	uint16_t i;

	check(msg_refs_decode(frame->body, &refs) == 0, "decode");
	for (i = 0; msg_refs_next(&refs, &ref); i++) {
		v = find_value(c, ref);
		memset(&m, 0, sizeof(m));
		msg_meta_init(&m.meta);
		m.index = i;
		m.error = v->ref == NULL ? ERR_NOT_FOUND : v->error;
		m.message = view_of(v->message != NULL ? v->message
						       : "no such secret");
		m.meta.freshness = v->freshness == 0 ? MSG_FRESH
						     : v->freshness;
		m.meta.age_ms = 301000;
		m.meta.id = view_of("sec_1");
		m.meta.name = view_of("a name");
		m.meta.version = 3;
		m.meta.updated_at = INT64_C(1778241600000);
		if (m.error == 0 && frame->type == FRAME_GET) {
			m.content = MSG_CONTENT_TEXT;
			m.value = view_of(v->value);
			if (v->len > 0)
				m.value.len = v->len;
		}
		fake_send_result(c, frame->id, i + 1 < refs.nrefs, &m);
	}
}

static void
send_rows(struct fake_conn *c, uint64_t id)
{
	static uint8_t buf[4096];
	struct msg_row row = {.kind = REF_SECRET};
	struct msg_meta listing;
	struct wr wr;
	size_t start;

	wr_init(&wr, buf, sizeof(buf));
	start = msg_rows_begin(&wr, FRAME_MORE, id);
	msg_meta_init(&row.meta);
	row.meta.id = view_of("sec_1");
	row.meta.name = view_of("db/password");
	row.meta.freshness = MSG_STALE;
	row.meta.age_ms = 61000;
	msg_row_add(&wr, &row);
	msg_rows_end(&wr, start, NULL);
	start = msg_rows_begin(&wr, 0, id);
	row.kind = REF_KEY;
	msg_meta_init(&row.meta);
	row.meta.id = view_of("key_1");
	row.meta.name = view_of("sign\tme\x1b[0m");
	msg_row_add(&wr, &row);
	msg_meta_init(&listing);
	listing.freshness = MSG_FRESH;
	msg_rows_end(&wr, start, &listing);
	fake_send_wr(c, &wr);
}

static void
send_stats(struct fake_conn *c, uint64_t id)
{
	static uint8_t buf[2048];
	struct wr wr;
	size_t start;

	wr_init(&wr, buf, sizeof(buf));
	start = msg_stats_begin(&wr, 0, id);
	msg_stat_text(&wr, "version", "0.1.0");
	msg_stat_uint(&wr, "pid", 42);
	msg_stat_text(&wr, "upstream.state", "ok");
	msg_stat_uint(&wr, "cache.secrets", 7);
	msg_stat_null(&wr, "upstream.lastSuccessAgeSeconds");
	msg_stat_uint(&wr, "memory.locked.bytes", 4096);
	msg_stat_uint(&wr, "uptimeSeconds", 5400);
	frame_end(&wr, start, 0);
	fake_send_wr(c, &wr);
}

/*
 * Subscribed to what has a value; then a change of each, and it hangs up, so
 * that the client comes again.
 */
static void
serve_watch(struct fake_conn *c, const struct frame *frame)
{
	const struct fake_value *v;
	struct msg_watch_ref ref;
	struct msg_watch m;
	struct msg_result no;
	uint16_t i;

	check(msg_watch_decode(frame->body, &m) == 0, "decode");
	for (i = 0; msg_watch_next(&m, &ref); i++) {
		v = find_value(c, ref.ref);
		if (v->ref != NULL && v->error == 0) {
			fake_send_watched(c, frame->id, i, 1);
			continue;
		}
		memset(&no, 0, sizeof(no));
		msg_meta_init(&no.meta);
		no.index = i;
		no.error = v->ref == NULL ? ERR_NOT_FOUND : v->error;
		no.message = view_of("not this one");
		fake_send_result(c, frame->id, i + 1 < m.nrefs, &no);
	}
	check(msg_watch_decode(frame->body, &m) == 0, "decode");
	for (i = 0; msg_watch_next(&m, &ref); i++) {
		v = find_value(c, ref.ref);
		if (v->ref != NULL && v->error == 0)
			fake_send_event(c, frame->id, i, v->freshness ==
			    MSG_STALE ? MSG_REASON_STALE
				      : MSG_REASON_CHANGED, 2);
	}
}

/* Changed, unless the reference is stale. */
static void
serve_reject(struct fake_conn *c, const struct frame *frame)
{
	const struct fake_value *v;
	struct msg_reject m;
	struct msg_result r;

	check(msg_reject_decode(frame->body, &m) == 0, "decode");
	v = find_value(c, m.ref);
	memset(&r, 0, sizeof(r));
	msg_meta_init(&r.meta);
	r.error = v->ref == NULL ? ERR_NOT_FOUND : v->error;
	r.message = view_of("no such secret");
	r.changed = v->freshness != MSG_STALE;
	fake_send_result(c, frame->id, false, &r);
}

static void
serve_explain(struct fake_conn *c, const struct frame *frame)
{
	const struct fake_value *v;
	uint8_t buf[MSG_EXPLAINED_MAX];
	struct msg_explained e;
	struct msg_explain m;
	struct wr wr;

	check(msg_explain_decode(frame->body, &m) == 0, "decode");
	v = find_value(c, m.ref);
	if (v->error != 0) {
		fake_send_error(c, frame->id, v->error, "not for you");
		return;
	}
	msg_explained_init(&e);
	e.why = view_of("no rule matches");
	if (m.as.len == 0) {
		e.allowed = e.cached = true;
		e.rule = view_of("web");
		e.why = view_of("rule \"web\" lets user me read it");
		e.meta.freshness = MSG_STALE;
		e.meta.age_ms = 400999;
		e.meta.id = view_of("sec_1");
		e.meta.name = view_of("a name");
		e.meta.expires_at = INT64_C(1778241600000);
		e.next_refresh_ms = 9999;
		e.last_error = ERR_UPSTREAM_UNAVAILABLE;
		e.message = view_of("connection refused");
	}
	wr_init(&wr, buf, sizeof(buf));
	msg_explained_encode(&wr, frame->id, &e);
	fake_send_wr(c, &wr);
}

static void
send_drill_report(struct fake_conn *c, uint64_t id, uint64_t elapsed_ms)
{
	struct msg_drill_read stale = {view_of("qapi://secrets/a"), MSG_STALE,
	    0, 40};
	struct msg_drill_read failed = {view_of("qapi://secrets/b"), 0,
	    ERR_UPSTREAM_UNAVAILABLE, 3};
	struct msg_drill_value secret = {REF_SECRET, view_of("s-1"),
	    view_of("a"), 86400000, MSG_LIMIT_MAX_STALE};
	struct msg_drill_value key = {REF_KEY, view_of("k-1"),
	    view_of("sign\x1b[0m"), MSG_NO_LIMIT, 0};
	struct msg_drilled m = {MSG_NO_LIMIT, elapsed_ms, 5, 1};
	uint8_t buf[1024];
	struct wr wr;
	size_t start;

	wr_init(&wr, buf, sizeof(buf));
	start = msg_drilled_begin(&wr, 0, id);
	msg_drill_read_add(&wr, &stale);
	msg_drill_read_add(&wr, &failed);
	msg_drill_value_add(&wr, &secret);
	msg_drill_value_add(&wr, &key);
	msg_drilled_end(&wr, start, &m);
	fake_send_wr(c, &wr);
}

/* A second or less is over at once; longer ones end by CANCEL. */
static void
serve_drill(struct fake_conn *c, const struct frame *frame)
{
	uint8_t buf[64];
	struct msg_drilled m;
	struct msg_drill ask;
	struct frame next;
	uint64_t id = frame->id;
	struct wr wr;
	size_t start;

	check(msg_drill_decode(frame->body, &ask) == 0, "decode");
	msg_drilled_init(&m);
	m.duration_ms = ask.duration_ms;
	wr_init(&wr, buf, sizeof(buf));
	start = msg_drilled_begin(&wr, FRAME_MORE, id);
	msg_drilled_end(&wr, start, &m);
	fake_send_wr(c, &wr);
	if (ask.duration_ms > 1000 &&
	    (!fake_read(c, &next) || next.type != FRAME_CANCEL))
		return;
	send_drill_report(c, id, ask.duration_ms > 1000 ? 2500
							: ask.duration_ms);
}

static void
serve_metrics(struct fake_conn *c, const struct frame *frame)
{
	struct msg_metrics ask;
	struct msg_text text;
	uint8_t buf[256];
	struct wr wr;

	check(msg_metrics_decode(frame->body, &ask) == 0, "decode");
	wr_init(&wr, buf, sizeof(buf));
	text.text = view_of(ask.names ? "a_total{name=\"x\"} 1\n"
				      : "a_total 1\n");
	msg_text_encode(&wr, FRAME_MORE, frame->id, &text);
	text.text = view_of("# EOF\n");
	msg_text_encode(&wr, 0, frame->id, &text);
	fake_send_wr(c, &wr);
}

void
fake_serve_table(struct fake_conn *c)
{
	struct fake_stream stream = {.id = 0};
	struct msg_done done = {.count = 7};
	struct msg_refs refs;
	struct frame f;
	uint8_t buf[128];
	struct wr wr;

	fake_send_hello(c, 1, "qapi-agentd 0.1.0");
	while (fake_read(c, &f)) {
		wr_init(&wr, buf, sizeof(buf));
		if (f.type == FRAME_WATCH) {
			serve_watch(c, &f);
			return;
		}
		if (fake_serve_service(c, &f, &stream))
			continue;
		if (f.type == FRAME_REJECT)
			serve_reject(c, &f);
		else if (f.type == FRAME_EXPLAIN)
			serve_explain(c, &f);
		else if (f.type == FRAME_DRILL)
			serve_drill(c, &f);
		else if (f.type == FRAME_METRICS)
			serve_metrics(c, &f);
		else if (f.type == FRAME_LIST)
			send_rows(c, f.id);
		else if (f.type == FRAME_STATUS)
			send_stats(c, f.id);
		else if (f.type == FRAME_PING ||
		    (msg_refs_decode(f.body, &refs) == 0 && refs.all)) {
			msg_done_encode(&wr, f.id, &done);
			fake_send_wr(c, &wr);
		} else {
			send_from_table(c, &f);
		}
	}
}
