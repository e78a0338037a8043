/*
 * What happens without memory: a scenario runs again and again, each time
 * with another allocation failing, until it gets through without one that
 * fails.  Nothing may crash, hang, leak, or be answered twice; what is
 * answered may be an error.
 *
 * malloc(3) and its kin are wrapped by the linker, within the daemon's code
 * and the tests', as are the two ways into secret memory; libraries have
 * theirs.
 */
#include "config.h"

#include "fake_upstream.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit.h"
#include "caller.h"
#include "drill.h"
#include "endpoints.h"
#include "envelope.h"
#include "err.h"
#include "fake_time.h"
#include "limit.h"
#include "listing.h"
#include "log.h"
#include "msg_call.h"
#include "msg_report.h"
#include "msg_watch.h"
#include "peer.h"
#include "policy.h"
#include "preload.h"
#include "reject.h"
#include "relay.h"
#include "session.h"
#include "settings.h"
#include "watch.h"

#define SECOND 1000u
#define SECRET(text) "qapi://secrets/" text
#define ROUNDS 5000u	/* no scenario allocates as often as that */

/* --- the allocators --- */

static bool armed;		/* only while the code under test runs */
static unsigned int fail_at;	/* this allocation fails; 0: none */
static bool fail_on;		/* and all that follow */
static unsigned int count;
static unsigned int failed;
static long outstanding;	/* plain allocations that were not freed */

void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__real_aligned_alloc(size_t alignment, size_t len);
void *__real_realloc(void *p, size_t len);
void __real_free(void *p);
void *__real_reallocarray(void *p, size_t n, size_t len);
char *__real_strdup(const char *s);
int __real_secmem_alloc(struct secmem *sm, size_t len, enum secmem_use use);
int __real_secbuf_append(struct secbuf *b, const void *src, size_t len);

void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_aligned_alloc(size_t alignment, size_t len);
void *__wrap_realloc(void *p, size_t len);
void __wrap_free(void *p);
void *__wrap_reallocarray(void *p, size_t n, size_t len);
char *__wrap_strdup(const char *s);
int __wrap_secmem_alloc(struct secmem *sm, size_t len, enum secmem_use use);
int __wrap_secbuf_append(struct secbuf *b, const void *src, size_t len);

static bool
fails(void)
{
	if (!armed)
		return false;
	count++;
	if (fail_at == 0 || count < fail_at || (count > fail_at && !fail_on))
		return false;
	failed++;
	return true;
}

void *
__wrap_malloc(size_t len)
{
	void *p = fails() ? NULL : __real_malloc(len);

	outstanding += p != NULL;
	return p;
}

void *
__wrap_calloc(size_t n, size_t len)
{
	void *p = fails() ? NULL : __real_calloc(n, len);

	outstanding += p != NULL;
	return p;
}

void *
__wrap_aligned_alloc(size_t alignment, size_t len)
{
	void *p = fails() ? NULL : __real_aligned_alloc(alignment, len);

	outstanding += p != NULL;
	return p;
}

void *
__wrap_realloc(void *old, size_t len)
{
	void *p = fails() ? NULL : __real_realloc(old, len);

	outstanding += old == NULL && p != NULL;
	return p;
}

void *
__wrap_reallocarray(void *old, size_t n, size_t len)
{
	void *p = fails() ? NULL : __real_reallocarray(old, n, len);

	outstanding += old == NULL && p != NULL;
	return p;
}

char *
__wrap_strdup(const char *s)
{
	char *p = fails() ? NULL : __real_strdup(s);

	outstanding += p != NULL;
	return p;
}

void
__wrap_free(void *p)
{
	outstanding -= p != NULL;
	__real_free(p);
}

int
__wrap_secmem_alloc(struct secmem *sm, size_t len, enum secmem_use use)
{
	return fails() ? ERR_NOMEM : __real_secmem_alloc(sm, len, use);
}

int
__wrap_secbuf_append(struct secbuf *b, const void *src, size_t len)
{
	return fails() ? ERR_NOMEM : __real_secbuf_append(b, src, len);
}

/* --- the daemon's core, built and taken down each round --- */

struct core {
	struct fake_upstream fu;
	struct fetch *fetch;
	struct metrics metrics;
	struct settings settings;
	struct session_env env;
	struct session s;
	bool open;
	struct out *out;
	struct preload *preload;
	unsigned int preloaded;
	int fds[2];
};

static uint8_t rx[4u << 20];

static bool
reload_key(void *arg)
{
	(void)arg;
	return false;
}

static void
ignore(void *arg)
{
	(void)arg;
}

/* What the test brings along; it does not fail. */
static void
core_prepare(struct core *c)
{
	static char value[3000];
	char why[512];

	memset(c, 0, sizeof(*c));
	memset(value, 'v', sizeof(value) - 1);
	fake_time_reset();
	fake_upstream_init(&c->fu);
	c->fu.page_size = 2;
	fake_upstream_add(&c->fu, REF_SECRET, "sec_1", "db/prod", "one");
	fake_upstream_add(&c->fu, REF_SECRET, "sec_2", "web", value);
	fake_upstream_add(&c->fu, REF_SECRET, "sec_3", "gone", "x")->status =
	    404;
	fake_upstream_add(&c->fu, REF_KEY, "key_1", "sign", "pub");
	c->settings.policy = policy_new(false);
	c->settings.url = strdup("https://service.example");
	c->settings.max_memory = 1u << 20;
	c->settings.preload_wait_ms = 30 * SECOND;
	c->env = (struct session_env){
		.settings = &c->settings, .policy_generation = 1,
		.metrics = &c->metrics,
		.audit = audit_new("off", why, sizeof(why)),
		.limit = limit_new(0),
	};
	assert_true(c->settings.policy != NULL && c->settings.url != NULL);
	assert_true(c->env.audit != NULL && c->env.limit != NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, c->fds), 0);
}

static void
event(void *arg, const struct cache_entry *e, enum cache_event ev)
{
	struct core *c = arg;

	if (c->env.watch != NULL)
		watch_event(c->env.watch, e, ev);
}

static bool
core_build(struct core *c)
{
	const struct fetch_config cfg = {
		.cache = {
			.max_bytes = 1u << 20,
			.refresh_interval_ms = 300 * SECOND,
			.refresh_lead_ms = 60 * SECOND,
			.reread_interval_ms = 86400 * SECOND,
			.max_stale_ms = 86400 * SECOND,
			.negative_ttl_ms = 10 * SECOND,
			.idle_evict_ms = 86400 * SECOND,
		},
		.unauthorized_grace_ms = 300 * SECOND, .max_in_flight = 4,
	};
	const struct fetch_hooks hooks = {
		.reload_key = reload_key, .state_changed = ignore,
		.wiped = ignore, .event = event, .arg = c,
	};
	struct peer *peer;

	c->fetch = fetch_new(NULL, &c->fu.up, &cfg, &hooks, &c->metrics);
	c->env.fetch = c->fetch;
	c->out = c->fetch != NULL ? out_new() : NULL;
	peer = c->out != NULL ? peer_new_fake(0, 0, NULL, 0, NULL, NULL)
	    : NULL;
	if (peer == NULL)
		return false;
	session_init(&c->s, &c->env, peer, ignore, c);
	c->open = true;
	return true;
}

static void
core_take_down(struct core *c)
{
	armed = false;
	preload_free(c->preload);
	if (c->open)
		session_done(&c->s);
	out_free(c->out);
	drill_free(c->env.drill);
	rejects_free(c->env.rejects);
	watch_free(c->env.watch);
	c->env.watch = NULL;
	fetch_free(c->fetch);
	fake_upstream_done(&c->fu);
	assert_int_equal(fake_time_timers(), 0);
	audit_free(c->env.audit);
	limit_free(c->env.limit);
	policy_free(c->settings.policy);
	free(c->settings.url);
	(void)close(c->fds[0]);
	(void)close(c->fds[1]);
}

/* --- a client that looks at everything that comes --- */

struct answers {
	unsigned int results;
	unsigned int values;
	uint64_t version;	/* of the last fresh one; 0: there was none */
	unsigned int errors;
	unsigned int lists;	/* last frames of one */
	unsigned int done;
	unsigned int others;	/* CALLED, VERIFIED, STREAM_BYTES */
};

/* False if the connection would have to be closed, for want of memory. */
static bool
flush(struct core *c, size_t *len)
{
	struct out_backlog *b = NULL;
	int r = out_flush(c->out, c->fds[0], &b);
	ssize_t n;

	do {
		n = read(c->fds[1], rx + *len, sizeof(rx) - *len);
		*len += n > 0 ? (size_t)n : 0;
		if (b != NULL)
			r = out_backlog_send(&b, c->fds[0]);
	} while (b != NULL || n > 0);
	assert_true(r == 0 || r == ERR_NOMEM);
	return r == 0;
}

static bool
collect(struct core *c, struct answers *a)
{
	size_t len = 0, pos = 0;
	struct msg_result r;
	struct frame frame;
	bool more = true, whole = flush(c, &len);

	while (more && whole) {
		more = session_render(&c->s, c->out);
		whole = flush(c, &len);
	}
	while (pos < len && frame_cut(rx + pos, len - pos, FRAME_ANSWER_MAX,
	    &frame) == 0) {
		pos += frame.total;
		if (frame.type == FRAME_RESULT) {
			assert_int_equal(msg_result_decode(frame.body, &r),
			    0);
			a->results++;
			a->values += r.error == 0;
			if (r.error == 0 && r.meta.freshness == MSG_FRESH)
				a->version = r.meta.version;
		} else if (frame.type == FRAME_ERROR) {
			a->errors++;
		} else if (frame.type == FRAME_ROWS) {
			a->lists += frame.flags == 0;
		} else if (frame.type == FRAME_DONE) {
			a->done++;
		} else if (frame.type >= FRAME_CALLED &&
		    frame.type <= FRAME_STREAM_BYTES) {
			a->others++;
		}
	}
	if (whole)
		assert_int_equal(pos, len);
	return whole;
}

static void
handle(struct core *c, const struct wr *wr)
{
	struct frame frame;

	assert_false(wr->failed);
	assert_int_equal(frame_cut(wr->p, wr->len, FRAME_REQUEST_MAX,
	    &frame), 0);
	assert_int_equal(session_handle(&c->s, &frame, &fake_now, c->out), 0);
}

static void
send_refs(struct core *c, uint8_t type, uint64_t id,
    const char *const *refs, size_t n)
{
	static uint8_t buf[4096];
	struct msg_terms terms;
	struct wr wr;
	size_t i, start;

	msg_terms_init(&terms);
	terms.deadline_ms = 60 * SECOND;
	wr_init(&wr, buf, sizeof(buf));
	start = msg_refs_begin(&wr, type, id, &terms, n == 0);
	for (i = 0; i < n; i++)
		msg_refs_add(&wr, refs[i], strlen(refs[i]));
	frame_end(&wr, start, 0);
	handle(c, &wr);
}

static void
send_list(struct core *c, uint64_t id)
{
	static uint8_t buf[256];
	struct msg_list m = { .kind = 0 };
	struct wr wr;

	msg_terms_init(&m.terms);
	wr_init(&wr, buf, sizeof(buf));
	msg_list_encode(&wr, id, &m);
	handle(c, &wr);
}

/* The service is the test's, and does not run out of memory. */
static void
serve(struct core *c)
{
	struct upstream_call *call;
	unsigned int n = 0;

	fake_time_run();
	while ((call = fake_upstream_first(&c->fu)) != NULL) {
		assert_true(++n < 10000);
		fake_upstream_answer_table(&c->fu, call);
		fake_time_run();
	}
}

static void
pass(struct core *c, uint64_t ms)
{
	uint64_t end = fake_now.boot_ms + ms, step;

	serve(c);
	while (fake_now.boot_ms < end) {
		step = fake_time_next();
		if (step > end - fake_now.boot_ms)
			step = end - fake_now.boot_ms;
		fake_time_pass(step);
		serve(c);
	}
}

/* --- scenarios: true once nothing failed in them --- */

static bool
reads(struct core *c)
{
	static const char *const refs[] = {
		SECRET("db/prod"), SECRET("web"), SECRET("gone"),
		SECRET("missing"), SECRET("sec_1?version=1"), "bad",
		"qapi://keys/sign/public?format=pem", SECRET("sec_1"),
		SECRET("sec_9"),
	};
	const size_t n = UNIT_COUNT(refs);
	struct answers a = { 0 };
	bool whole = true;

	if (!core_build(c))
		return false;
	send_refs(c, FRAME_GET, 1, refs, n);
	whole &= collect(c, &a);
	pass(c, 61 * SECOND);	/* the deadline, whatever happens */
	whole &= collect(c, &a);
	/* and again out of the cache, as far as it got there */
	send_refs(c, FRAME_GET, 2, refs, n);
	pass(c, 61 * SECOND);
	whole &= collect(c, &a);
	if (whole)
		assert_int_equal(a.results + n * a.errors, 2 * n);
	assert_int_equal(c->s.waiting, 0);
	return failed == 0 && a.values == 10;
}

static bool
refreshes(struct core *c)
{
	static const char *const refs[] = { SECRET("db/prod"), SECRET("web") };
	struct answers a = { 0 };
	bool whole = true;

	if (!core_build(c))
		return false;
	send_refs(c, FRAME_GET, 1, refs, 2);
	pass(c, 61 * SECOND);
	send_refs(c, FRAME_REFRESH, 2, refs, 2);
	serve(c);
	whole &= collect(c, &a);
	send_refs(c, FRAME_REFRESH, 3, NULL, 0);
	/* emptied while it is being read */
	fake_time_run();
	send_refs(c, FRAME_PURGE, 4, refs, 2);
	pass(c, 61 * SECOND);
	whole &= collect(c, &a);
	c->fu.mode = FAKE_NO_CONNECTION;
	send_refs(c, FRAME_REFRESH, 5, refs, 2);
	pass(c, 400 * SECOND);
	c->fu.mode = FAKE_OK;
	send_refs(c, FRAME_PURGE, 6, NULL, 0);
	pass(c, 61 * SECOND);
	whole &= collect(c, &a);
	if (whole)
		assert_true(a.results + a.done + a.errors >= 7);
	assert_int_equal(c->s.waiting, 0);
	return failed == 0 && whole;
}

static bool
lists(struct core *c)
{
	struct answers a = { 0 };
	bool whole = true;

	if (!core_build(c))
		return false;
	send_list(c, 1);
	pass(c, 61 * SECOND);
	whole &= collect(c, &a);
	send_list(c, 2);
	pass(c, 400 * SECOND);
	whole &= collect(c, &a);
	send_list(c, 3);
	pass(c, 61 * SECOND);
	whole &= collect(c, &a);
	if (whole)
		assert_int_equal(a.lists + a.errors, 3);
	return failed == 0 && a.lists == 3;
}

/* A reader who takes nothing: what is owed becomes a backlog. */
static bool
backlogs(struct core *c)
{
	static const char *refs[64];
	struct out_backlog *b = NULL;
	int size = 4096, r;
	size_t i;

	if (!core_build(c))
		return false;
	(void)setsockopt(c->fds[0], SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size));
	for (i = 0; i < UNIT_COUNT(refs); i++)
		refs[i] = SECRET("web");
	send_refs(c, FRAME_GET, 1, refs, UNIT_COUNT(refs));
	pass(c, 61 * SECOND);
	(void)session_render(&c->s, c->out);
	r = out_flush(c->out, c->fds[0], &b);
	assert_true(r == 0 || r == ERR_AGAIN || r == ERR_NOMEM);
	assert_int_equal(r == ERR_AGAIN, b != NULL);
	assert_true(out_is_empty(c->out));
	out_backlog_free(b);
	return failed == 0 && r == ERR_AGAIN;
}

static void
preload_done(void *arg, const char *missing)
{
	struct core *c = arg;

	(void)missing;
	c->preloaded++;
}

static bool
preloads(struct core *c)
{
	static char names[][16] = { "db/prod", "web", "gone" };
	static char *list[] = { names[0], names[1], names[2], NULL };

	if (!core_build(c))
		return false;
	c->settings.preload = list;
	c->settings.npreload = 3;
	c->preload = preload_new(NULL, c->fetch, &c->settings, preload_done,
	    c);
	if (c->preload == NULL)
		return false;
	preload_start(c->preload);
	pass(c, 61 * SECOND);
	assert_int_equal(c->preloaded, 1);
	return failed == 0;
}

static void
send_watch(struct core *c, uint64_t id, const char *const *refs, size_t n)
{
	static uint8_t buf[4096];
	struct wr wr;
	size_t i, start;

	wr_init(&wr, buf, sizeof(buf));
	start = msg_watch_begin(&wr, id, 60 * SECOND);
	for (i = 0; i < n; i++)
		msg_watch_add(&wr, &(struct msg_watch_ref){
		    .ref = unit_view(refs[i]) });
	frame_end(&wr, start, 0);
	handle(c, &wr);
}

static void
send_asks(struct core *c)
{
	static uint8_t buf[4096];
	const struct msg_reject reject = {
		.deadline_ms = 60 * SECOND, .ref = unit_view(SECRET("web")),
	};
	const struct msg_metrics metrics = { .names = true };
	const struct msg_explain explain = {
		.ref = unit_view(SECRET("web")), .as = unit_view("a.service"),
	};
	const struct msg_drill drill = { .duration_ms = 400 * SECOND };
	struct wr wr;

	wr_init(&wr, buf, sizeof(buf));
	msg_reject_encode(&wr, 11, &reject);
	handle(c, &wr);
	wr_init(&wr, buf, sizeof(buf));
	msg_metrics_encode(&wr, 12, &metrics);
	handle(c, &wr);
	wr_init(&wr, buf, sizeof(buf));
	msg_explain_encode(&wr, 13, &explain);
	handle(c, &wr);
	pass(c, 61 * SECOND);
	wr_init(&wr, buf, sizeof(buf));
	msg_drill_encode(&wr, 14, &drill);
	handle(c, &wr);
}

/* WATCH and what else there is to ask; its first answers always come. */
static bool
asks(struct core *c)
{
	static const char *const refs[] = {
		SECRET("db/prod"), SECRET("web"), SECRET("gone"), "bad",
		SECRET("sec_1"),
	};
	static const char *const more[] = { SECRET("db/other") };
	struct secmem none = { NULL, 0 };
	struct answers a = { 0 };
	bool whole = true;

	if (!core_build(c))
		return false;
	c->env.position_key = &none;
	if ((c->env.watch = watch_new(NULL, c->fetch, &none)) == NULL ||
	    (c->env.rejects = rejects_new(c->fetch, &c->metrics)) == NULL ||
	    (c->env.drill = drill_new(NULL, c->fetch, NULL, NULL)) == NULL)
		return false;
	watch_configure(c->env.watch, 300 * SECOND);
	send_watch(c, 1, refs, UNIT_COUNT(refs));
	pass(c, 61 * SECOND);
	whole &= collect(c, &a);
	/* one RESULT each, or one ERROR for all of them */
	if (whole)
		assert_int_equal(a.results + a.errors *
		    UNIT_COUNT(refs), UNIT_COUNT(refs));
	c->fu.things[0].version++;
	c->fu.things[1].status = 404;
	pass(c, 400 * SECOND);
	whole &= collect(c, &a);
	send_asks(c);
	send_refs(c, FRAME_GET, 20, more, 1);
	pass(c, 900 * SECOND);
	whole &= collect(c, &a);
	assert_int_equal(c->s.waiting, 0);
	return failed == 0 && whole;
}

/* --- what the service does for a caller --- */

#define DATA_KEY "\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\""

static const struct {
	const char *target;	/* how it begins */
	const char *body;
} replies[] = {
	{ "/encrypt", "{\"encryptedPayload\":\"cGF5\",\"keyId\":\"key_1\"}" },
	{ "/decrypt", "{\"plaintext\":\"eA==\",\"encoding\":\"base64\"}" },
	{ "/sign", "{\"signature\":\"c2ln\",\"keyId\":\"key_1\"}" },
	{ "/verify", "{\"isValid\":true}" },
	{ "/keys/key_1/generate-data-key", "{\"plaintextKey\":" DATA_KEY ","
	    "\"encryptedKey\":\"wrapped\",\"keyId\":\"key_1\"}" },
	{ "/keys/key_1/unwrap", "{\"keyMaterial\":" DATA_KEY "}" },
	{ "/keys?", "{\"keys\":[{\"id\":\"key_1\",\"isDefault\":true}]}" },
	{ "", "{}" },
};

/* The service has the memory that the test's answers take. */
static void
reply(struct core *c, struct upstream_call *call)
{
	struct upstream_answer answer = {
		.status = 200, .date_ms = MSG_NO_TIME,
	};
	const struct view target = call->req.relay->target;
	size_t i = 0, n;

	while ((n = strlen(replies[i].target)) > target.len ||
	    memcmp(replies[i].target, target.p, n) != 0)
		i++;
	armed = false;
	answer.reply.body = object_new(REF_KEY, unit_view(""), unit_view(""));
	assert_non_null(answer.reply.body);
	assert_int_equal(object_set_data(answer.reply.body,
	    unit_view(replies[i].body), NULL, 0), 0);
	armed = true;
	fake_upstream_answer(&c->fu, call, &answer);
}

static void
serve_operations(struct core *c)
{
	struct upstream_call *call;
	unsigned int n = 0;

	fake_time_run();
	while ((call = fake_upstream_first(&c->fu)) != NULL) {
		assert_true(++n < 1000);
		if (call->req.op == UPSTREAM_RELAY)
			reply(c, call);
		else
			fake_upstream_answer_table(&c->fu, call);
		fake_time_run();
	}
}

static void
send_crypt(struct core *c, uint8_t type, uint64_t id, const char *key)
{
	static uint8_t buf[4096];
	const struct msg_crypt m = {
		.deadline_ms = 60 * SECOND, .key = unit_view(key),
		.aad = unit_view("aad"), .signature = unit_view("signature"),
		.data = unit_view("data"),
	};
	struct wr wr;

	wr_init(&wr, buf, sizeof(buf));
	msg_crypt_encode(&wr, type, id, &m, false);
	handle(c, &wr);
}

static void
send_call(struct core *c, uint64_t id, const char *method, const char *target)
{
	static uint8_t buf[4096];
	struct msg_call m;
	struct wr wr;

	msg_call_init(&m);
	m.terms.deadline_ms = 60 * SECOND;
	m.method = unit_view(method);
	m.target = unit_view(target);
	m.has_data = true;
	m.data = unit_view("{\"name\":\"x\"}");
	wr_init(&wr, buf, sizeof(buf));
	msg_call_encode(&wr, id, &m, false);
	handle(c, &wr);
}

static void
send_stream(struct core *c, uint64_t id, bool seal)
{
	static uint8_t buf[4096], header[512];
	const struct envelope e = {
		.cipher = ENVELOPE_XCHACHA20_POLY1305,
		.chunk_len = MSG_CHUNK_MAX,
		.stream = unit_view("012345678901234567890123"),
		.key_id = unit_view("key_1"), .wrapped = unit_view("wrapped"),
	};
	struct msg_stream_open m = { .deadline_ms = 60 * SECOND,
		.seal = seal };
	struct wr wr;

	wr_init(&wr, header, sizeof(header));
	envelope_encode(&wr, &e);
	assert_false(wr.failed);
	m.header = (struct view){ header, wr.len };
	wr_init(&wr, buf, sizeof(buf));
	msg_stream_open_encode(&wr, id, &m);
	handle(c, &wr);
}

static void
send_chunk(struct core *c, uint64_t id, uint64_t stream)
{
	static uint8_t buf[256];
	const struct msg_stream_data m = { stream, true,
		unit_view("twenty bytes or more") };
	struct wr wr;

	wr_init(&wr, buf, sizeof(buf));
	msg_stream_data_encode(&wr, id, &m, false);
	handle(c, &wr);
}

static void
send_cancel(struct core *c, uint64_t id)
{
	uint8_t buf[64];
	struct wr wr;

	wr_init(&wr, buf, sizeof(buf));
	msg_empty_encode(&wr, FRAME_CANCEL, id);
	handle(c, &wr);
}

static bool
asks_for_operations(struct core *c, struct answers *a)
{
	bool whole = true;

	send_crypt(c, FRAME_ENCRYPT, 1, "sign");
	send_crypt(c, FRAME_ENCRYPT, 2, "");
	send_crypt(c, FRAME_DECRYPT, 3, "");
	send_crypt(c, FRAME_SIGN, 4, "key_1");
	send_crypt(c, FRAME_VERIFY, 5, "sign");
	send_crypt(c, FRAME_SIGN, 6, "missing");
	send_call(c, 7, "POST", "/roles");
	send_stream(c, 8, true);
	send_stream(c, 9, false);
	whole &= collect(c, a);
	serve_operations(c);
	fake_time_pass(61 * SECOND);
	serve_operations(c);
	whole &= collect(c, a);
	/* what was sealed with that stream would be another */
	send_chunk(c, 10, 8);
	send_chunk(c, 11, 9);
	/* given up while the service thinks about it */
	send_crypt(c, FRAME_ENCRYPT, 12, "sign");
	fake_time_run();
	send_cancel(c, 12);
	send_call(c, 13, "POST", "/roles");
	fake_time_run();
	send_cancel(c, 13);
	whole &= collect(c, a);
	/* and two that the end of the connection finds */
	send_crypt(c, FRAME_ENCRYPT, 14, "sign");
	send_stream(c, 15, true);
	fake_time_run();
	return whole;
}

static bool
operations(struct core *c)
{
	static struct callers callers;
	static struct caller caller;
	struct answers a = { 0 };
	bool whole;

	if (!core_build(c))
		return false;
	callers_init(&callers, SIZE_MAX, 1u << 20);
	memset(&caller, 0, sizeof(caller));
	caller.all = &callers;
	c->s.caller = &caller;
	whole = asks_for_operations(c, &a);
	if (whole)
		assert_int_equal(a.results + a.errors + a.done + a.others, 13);
	session_done(&c->s);
	c->open = false;
	assert_int_equal(caller.kept_bytes, 0);
	assert_int_equal(caller.streams, 0);
	assert_int_equal(caller.waiting, 0);
	serve_operations(c);
	/* a chunk that does not open, and a key that is not there */
	return failed == 0 && a.errors == 2 && a.done == 2;
}

/* --- writes --- */

struct write {
	unsigned int answers;
	struct relay *relay;
};

static void
write_ended(void *arg, struct relay_result *r)
{
	struct write *w = arg;

	w->answers++;
	w->relay = NULL;
	object_unref(r->reply.body);
}

/* As far as there is memory: begun, and not yet sent. */
static bool
write_begin(struct core *c, struct write *w, const char *method,
    const char *target, const char *id, unsigned int drops)
{
	static struct endpoint e;
	const struct relay_request rq = {
		.send = {
			.method = method, .target = unit_view(target),
			.has_body = true,
			.body = unit_view("{\"items\":[{\"name\":\"web\"}]}"),
		},
		.endpoint = &e, .id = unit_view(id),
		.deadline_ms = 30 * SECOND,
	};

	e = (struct endpoint){ .method = method, .pattern = target,
	    .scope = "secrets:write", .drops = drops };
	*w = (struct write){ .answers = 0 };
	return relay_start(c->fetch, &rq, &fake_now, write_ended, w,
	    &w->relay) == 0;
}

/* What the service has, or no answer, but what it had as stale at most. */
static void
check_not_old(struct core *c, struct answers *a)
{
	static const char *const refs[] = { SECRET("db/prod") };
	struct answers now = { 0 };

	send_refs(c, FRAME_GET, 9, refs, 1);
	pass(c, 61 * SECOND);
	if (collect(c, &now))
		assert_int_equal(now.results + now.errors, 1);
	if (now.version != 0)
		assert_int_equal(now.version, c->fu.things[0].version);
	a->values += now.values;
}

/* The service has got it, and does it. */
static void
carry_out(struct core *c, const char *target)
{
	fake_time_run();
	if (fake_upstream_relay(&c->fu, target) != NULL)
		c->fu.things[0].version++;
}

/* Written, imported, lost, and left by its caller. */
static bool
writes(struct core *c)
{
	static const char *const refs[] = { SECRET("db/prod"), SECRET("web") };
	struct answers a = { 0 };
	struct write w;
	struct upstream_call *call;

	if (!core_build(c))
		return false;
	send_refs(c, FRAME_GET, 1, refs, 2);
	pass(c, 61 * SECOND);
	(void)collect(c, &a);
	if (write_begin(c, &w, "PUT", "/secrets/sec_1/value", "sec_1",
	    ENDPOINT_DROPS_SECRET | ENDPOINT_DROPS_SECRET_LIST)) {
		carry_out(c, "/secrets/sec_1/value");
		pass(c, 61 * SECOND);
		assert_int_equal(w.answers, 1);
	}
	check_not_old(c, &a);
	if (write_begin(c, &w, "POST", "/secrets/import", "",
	    ENDPOINT_DROPS_SECRET_LIST | ENDPOINT_DROPS_NAMED)) {
		pass(c, 61 * SECOND);
		assert_int_equal(w.answers, 1);
	}
	if (write_begin(c, &w, "DELETE", "/secrets/sec_2", "sec_2",
	    ENDPOINT_DROPS_SECRET | ENDPOINT_DROPS_VERSIONS |
	    ENDPOINT_DROPS_SECRET_LIST)) {
		fake_time_run();
		call = fake_upstream_relay(&c->fu, "/secrets/sec_2");
		if (call != NULL)
			fake_upstream_lose(&c->fu, call, false);
		pass(c, 61 * SECOND);
		assert_int_equal(w.answers, 1);
	}
	/* its caller leaves, and it goes on if it can */
	if (write_begin(c, &w, "PUT", "/secrets/sec_1/value", "sec_1",
	    ENDPOINT_DROPS_SECRET)) {
		carry_out(c, "/secrets/sec_1/value");
		if (w.relay != NULL)
			relay_cancel(w.relay);
		pass(c, 61 * SECOND);
	}
	check_not_old(c, &a);
	/* refused for the key: a check */
	c->fu.relay_status = 401;
	if (write_begin(c, &w, "POST", "/roles", "", 0)) {
		pass(c, 61 * SECOND);
		assert_int_equal(w.answers, 1);
	}
	return failed == 0 && a.values >= 3;
}

/* --- rounds --- */

static void
run(bool (*scenario)(struct core *c), bool all_after)
{
	static struct core c;
	struct secmem_stats stats;
	long before = outstanding;
	/* under valgrind one in seven has to do */
	unsigned int n, step = getenv("UNDER_VALGRIND") != NULL ? 7 : 1;
	bool through = false;

	for (n = 1; !through; n += step) {
		assert_true(n < ROUNDS);
		core_prepare(&c);
		count = failed = 0;
		fail_at = n;
		fail_on = all_after;
		armed = true;
		through = scenario(&c);
		armed = false;
		through &= failed == 0;
		core_take_down(&c);
		secmem_get_stats(&stats);
		if (outstanding != before || stats.used_bytes != 0)
			print_error("allocation %u of %u\n", n, count);
		assert_int_equal(outstanding, before);
		assert_int_equal(stats.used_bytes, 0);
		/* the first that fails nothing is the last */
		assert_true(through || failed > 0);
	}
	print_message("%u allocations\n", n - 1 - step);
	assert_true(n > 10);
}

static void
test_reads_without_memory(void **state)
{
	(void)state;
	run(reads, false);
}

static void
test_refreshes_and_purges_without_memory(void **state)
{
	(void)state;
	run(refreshes, false);
}

static void
test_lists_without_memory(void **state)
{
	(void)state;
	run(lists, false);
}

static void
test_backlogs_without_memory(void **state)
{
	(void)state;
	run(backlogs, false);
}

static void
test_asks_without_memory(void **state)
{
	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	run(asks, false);
	run(asks, true);
}

static void
test_operations_without_memory(void **state)
{
	(void)state;
	run(operations, false);
	run(operations, true);
}

static void
test_writes_without_memory(void **state)
{
	(void)state;
	run(writes, false);
	run(writes, true);
}

static void
test_preload_without_memory(void **state)
{
	(void)state;
	run(preloads, false);
}

/* Not one allocation, but every one from some moment on. */
static void
test_memory_that_stays_away(void **state)
{
	(void)state;
	run(reads, true);
	run(refreshes, true);
	run(lists, true);
	run(backlogs, true);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_without_memory),
		cmocka_unit_test(test_refreshes_and_purges_without_memory),
		cmocka_unit_test(test_lists_without_memory),
		cmocka_unit_test(test_backlogs_without_memory),
		cmocka_unit_test(test_asks_without_memory),
		cmocka_unit_test(test_operations_without_memory),
		cmocka_unit_test(test_writes_without_memory),
		cmocka_unit_test(test_preload_without_memory),
		cmocka_unit_test(test_memory_that_stays_away),
	};

	return cmocka_run_group_tests(tests, unit_secmem_setup,
	    unit_secmem_teardown);
}
