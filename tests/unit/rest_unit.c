#include "config.h"

#include "rest_unit.h"

#include "audit.h"
#include "endpoints.h"
#include "peer.h"
#include "policy.h"
#include "upstream_json.h"
#include "upstream_status.h"

static struct fixture *fixture;	/* for what is wrapped */

int __wrap_relay_start(struct fetch *f, const struct relay_request *rq,
    const struct now *now, relay_cb *cb, void *arg, struct relay **ret);
void __wrap_relay_cancel(struct relay *r);

int
__wrap_relay_start(struct fetch *f, const struct relay_request *rq,
    const struct now *now, relay_cb *cb, void *arg, struct relay **ret)
{
	struct fixture *fx = fixture;

	assert_ptr_equal(f, fx->fetch);
	assert_non_null(now);
	assert_null(fx->relay_cb);
	if (fx->relay_fails)
		return ERR_NOMEM;
	fx->sent = *rq;
	(void)snprintf(fx->target, sizeof(fx->target), "%.*s",
	    (int)rq->send.target.len, (const char *)rq->send.target.p);
	(void)snprintf(fx->id, sizeof(fx->id), "%.*s", (int)rq->id.len,
	    (const char *)rq->id.p);
	fx->relays++;
	fx->relay_cb = cb;
	fx->relay_arg = arg;
	*ret = (struct relay *)fx;
	return 0;
}

void
__wrap_relay_cancel(struct relay *r)
{
	assert_ptr_equal(r, fixture);
	fixture->relays_cancelled++;
	fixture->relay_cb = NULL;
}

/* --- fixture --- */

static bool
no_key(void *arg)
{
	(void)arg;
	return false;
}

static void
ignore(void *arg)
{
	(void)arg;
}

void
rule(struct policy *pol, const char *title, ...)
{
	const char *key, *value;
	char why[512];
	va_list ap;

	assert_int_equal(policy_rule_begin(pol, title), 0);
	va_start(ap, title);
	while ((key = va_arg(ap, const char *)) != NULL) {
		value = va_arg(ap, const char *);
		if (policy_rule_set(pol, key, value, why, sizeof(why)) != 0)
			fail_msg("%s=%s: %s", key, value, why);
	}
	va_end(ap);
	assert_int_equal(policy_rule_end(pol, why, sizeof(why)), 0);
}

static struct policy *
make_policy(void)
{
	struct policy *pol = policy_new(false);

	assert_non_null(pol);
	rule(pol, "app reads", "user", "54321", "secrets", "db/**,id:sec_9",
	    "keys", "app-*", "operations", "read,list,encrypt,decrypt", NULL);
	rule(pol, "all", "user", "54322", "secrets", "**", "keys", "**",
	    "operations", "read,list", NULL);
	rule(pol, "caller", "user", "54323", "operations", "call", "paths",
	    "* /**", NULL);
	rule(pol, "narrow", "user", "54324", "operations", "call", "paths",
	    "* /**", "secrets", "app/**,id:sec_3", "keys", "app-*", NULL);
	rule(pol, "short", "user", "54326", "secrets", "*", NULL);
	return pol;
}

void
open_as(struct fixture *f, uid_t uid)
{
	struct peer *peer = peer_new_fake(uid, uid, NULL, 0, NULL, NULL);

	assert_non_null(peer);
	if (f->open)
		session_done(&f->s);
	memset(&f->caller, 0, sizeof(f->caller));
	session_init(&f->s, &f->env, peer, ignore, f);
	f->s.caller = &f->caller;
	f->open = true;
}

static struct doc *
add_doc(struct fixture *f, enum upstream_op op, const char *id,
    const char *body)
{
	struct doc *d = &f->docs[f->ndocs++];

	assert_true(f->ndocs <= DOCS);
	*d = (struct doc){ .op = op, .id = id, .status = 200, .body = body };
	return d;
}

const char secret_1[] =
    "{\"id\":\"sec_1\",\"name\":\"db/prod\",\"value\":\"p\\u0000\\\"\\\\"
    "\\n\\u001f\xc3\xa9/<\",\"version\":3,\"contentType\":\"password\","
    "\"username\":\"app\",\"totpSecret\":null,\"urls\":[{\"url\":\"https://x\"}],"
    "\"description\":null,\"notes\":\"n\",\"labels\":[\"a\",\"b\"],"
    "\"customFields\":[{\"name\":\"user\",\"value\":\"u\",\"type\":\"text\"}],"
    "\"folderId\":null,\"expiresAt\":\"2027-05-08T12:00:00Z\","
    "\"isActive\":true,\"isFavorite\":false,\"hasTotp\":false,"
    "\"isTravelSafe\":true,\"createdAt\":\"2026-01-01T00:00:00Z\","
    "\"updatedAt\":null,\"createdBy\":\"me\",\"updatedBy\":\"you\","
    "\"future\":{\"a\":[1,2.5,null]},\"next\":true}";

static const char secret_2[] =
    "{\"id\":\"sec_2\",\"name\":\"app/web\",\"value\":\"two\",\"version\":1,"
    "\"totpSecret\":\"GEZDGNBV\"}";

static const char secret_1_old[] =
    "{\"id\":\"sec_1\",\"name\":\"db/prod\",\"value\":\"old\",\"version\":2,"
    "\"username\":\"was\"}";

const char key_1[] =
    "{ \"keyId\" : \"key_1\", \"id\":\"key_1\",\"algorithm\":\"Ed25519\","
    "\"version\":2,\"publicKey\":\"AQID\\u002B/8=\",\"format\":\"raw\","
    "\"name\":\"app-sign\",\"description\":\"a \\\"b\\\" {[,]}\","
    "\"keyType\":\"signing\",\"isPostQuantum\":false,\"isActive\":true,"
    "\"isDefault\":true,\"isFavorite\":false,"
    "\"createdAt\":\"2026-01-01T00:00:00Z\",\"expiresAt\":null,"
    "\"lastRotatedAt\":null,\"labels\":[ \"x\" ],\"state\":\"active\","
    "\"scheduledDeletionDate\":null,\"later\":[{\"a\":\"}\"}]\n}";

static const char key_1_pem[] =
    "{\"keyId\":\"key_1\",\"algorithm\":\"Ed25519\",\"version\":2,"
    "\"publicKey\":\"-----BEGIN PUBLIC KEY-----\\nAA==\\n\","
    "\"format\":\"pem\",\"name\":\"app-sign\"}";

const char key_1_der[] =
    "{\"keyId\":\"key_1\",\"algorithm\":\"Ed25519\",\"version\":2,"
    "\"publicKey\":\"MAECAw==\",\"format\":\"der\"}";

const char key_1_jwk[] =
    "{\"kty\":\"OKP\" , \"crv\":\"Ed25519\",\"x\":\"AQID\"}";

static const char secrets[] =
    "{\"secrets\":["
    "{\"id\":\"sec_1\",\"name\":\"db/prod\",\"version\":3,"
    "\"createdAt\":\"2026-01-01T00:00:00Z\",\"updatedAt\":null,"
    "\"expiresAt\":\"2027-05-08T12:00:00Z\",\"isActive\":true},"
    "{\"id\":\"sec_2\",\"name\":\"app/web\",\"version\":1,"
    "\"createdAt\":\"2026-01-02T00:00:00Z\",\"isActive\":true},"
    "{\"id\":\"sec_3\",\"name\":\"db/test\",\"version\":1,"
    "\"createdAt\":\"2026-01-03T00:00:00Z\",\"isActive\":true},"
    "{\"id\":\"sec_4\",\"name\":\"db/off\",\"version\":1,"
    "\"createdAt\":\"2026-01-03T00:00:00Z\",\"isActive\":false},"
    "{\"id\":\"sec_9\",\"name\":\"by id\",\"version\":1,"
    "\"createdAt\":\"2026-01-04T00:00:00Z\",\"isActive\":true}],"
    "\"total\":5,\"page\":1,\"pageSize\":100,\"hasMore\":false}";

static const char keys[] =
    "{\"keys\":["
    "{\"id\":\"key_1\",\"name\":\"app-sign\",\"keyType\":\"signing\","
    "\"algorithm\":\"Ed25519\",\"version\":2,\"status\":\"active\","
    "\"createdAt\":\"2026-01-01T00:00:00Z\"},"
    "{\"id\":\"key_2\",\"name\":\"other\",\"keyType\":\"encryption\","
    "\"algorithm\":\"ML-KEM-768\",\"version\":1,\"status\":\"inactive\","
    "\"createdAt\":\"2026-01-02T00:00:00Z\"}],"
    "\"total\":2,\"page\":1,\"pageSize\":100,\"hasMore\":false}";

static void
add_docs(struct fixture *f)
{
	add_doc(f, UPSTREAM_READ_SECRET, SEC, secret_1);
	add_doc(f, UPSTREAM_READ_SECRET, SEC, secret_1_old)->version = 2;
	add_doc(f, UPSTREAM_READ_SECRET, WEB, secret_2);
	add_doc(f, UPSTREAM_READ_KEY, KEY, key_1);
	add_doc(f, UPSTREAM_READ_KEY, KEY, key_1_pem)->format =
	    REF_FORMAT_PEM;
	add_doc(f, UPSTREAM_READ_KEY, KEY, key_1_der)->format =
	    REF_FORMAT_DER;
	add_doc(f, UPSTREAM_READ_KEY, KEY, key_1_jwk)->format =
	    REF_FORMAT_JWK;
	add_doc(f, UPSTREAM_LIST_SECRETS, NULL, secrets);
	add_doc(f, UPSTREAM_LIST_KEYS, NULL, keys);
}

int
set_up(void **state)
{
	const struct fetch_config cfg = {
		.cache = {
			.max_bytes = 4u << 20,
			.refresh_interval_ms = 5 * MINUTE,
			.refresh_lead_ms = MINUTE,
			.reread_interval_ms = 24 * HOUR,
			.max_stale_ms = 24 * HOUR,
			.negative_ttl_ms = 10 * SECOND,
			.idle_evict_ms = 24 * HOUR,
		},
		.unauthorized_grace_ms = 5 * MINUTE, .max_in_flight = 16,
	};
	const struct fetch_hooks hooks = {
		.reload_key = no_key, .state_changed = ignore,
		.wiped = ignore,
	};
	struct fixture *f = calloc(1, sizeof(*f));
	char why[512];

	assert_non_null(f);
	fixture = f;
	fake_time_reset();
	fake_upstream_init(&f->fu);
	f->settings.policy = make_policy();
	f->fetch = fetch_new(NULL, &f->fu.up, &cfg, &hooks, &f->metrics);
	assert_non_null(f->fetch);
	f->env = (struct session_env){
		.fetch = f->fetch, .settings = &f->settings,
		.policy_generation = 1, .metrics = &f->metrics,
		.audit = audit_new("off", why, sizeof(why)),
		.limit = limit_new(0),
	};
	assert_true(f->env.audit != NULL && f->env.limit != NULL);
	hash_key_init(&f->env.audit_key);
	add_docs(f);
	open_as(f, 0);
	*state = f;
	return 0;
}

void
forget(struct fixture *f)
{
	object_unref(f->answer.body);
	json_decref(f->json);
	memset(&f->answer, 0, sizeof(f->answer));
	f->json = NULL;
}

int
tear_down(void **state)
{
	struct fixture *f = *state;

	forget(f);
	assert_int_equal(f->s.waiting, 0);
	session_done(&f->s);
	fetch_free(f->fetch);
	fake_upstream_done(&f->fu);
	assert_int_equal(fake_time_timers(), 0);
	audit_free(f->env.audit);
	limit_free(f->env.limit);
	policy_free(f->settings.policy);
	free(f);
	return 0;
}

/* --- the service --- */

static const struct doc *
find_doc(const struct fixture *f, const struct upstream_request *rq)
{
	const struct doc *d;

	for (d = f->docs; d < f->docs + f->ndocs; d++) {
		if (d->op == rq->op && (d->id == NULL ||
		    (unit_view_is(rq->id, d->id) && d->version == rq->version &&
		    d->format == rq->format)))
			return d;
	}
	return NULL;
}

static void
answer_call(struct fixture *f, struct upstream_call *call)
{
	struct upstream_answer a = { .date_ms = MSG_NO_TIME };
	const struct doc *d = find_doc(f, &call->req);

	if (f->down) {
		a.error = ERR_UPSTREAM_UNAVAILABLE;
		a.retryable = true;
		(void)snprintf(a.message, sizeof(a.message), "no connection");
	} else {
		upstream_status_read(&call->req, d == NULL ? 404 : d->status,
		    0, unit_view(d == NULL ? "" : d->body), &a);
	}
	fake_upstream_answer(&f->fu, call, &a);
}

/* Run timers and answer what is asked until nothing is left. */
void
serve(struct fixture *f)
{
	struct upstream_call *call;

	fake_time_run();
	while ((call = fake_upstream_first(&f->fu)) != NULL) {
		answer_call(f, call);
		fake_time_run();
	}
}

/* The same while the service is away: retries take time. */
static void
serve_down(struct fixture *f)
{
	unsigned int i;

	for (i = 0; i < 60 && f->answers == 0; i++) {
		serve(f);
		fake_time_pass(SECOND);
	}
}

/* --- asking --- */

static void
answered(void *arg, struct rest_answer *answer)
{
	struct fixture *f = arg;

	f->rest = NULL;
	f->answers++;
	f->answer = *answer;
}

struct rest_request
request(const char *method, const char *target)
{
	return (struct rest_request){
		.method = method, .target = unit_view(target),
		.deadline_ms = MSG_NO_LIMIT, .max_age_ms = MSG_NO_LIMIT,
		.max_stale_ms = MSG_NO_LIMIT,
	};
}

/* Its texts are gone right after, as those of a caller may be. */
int
start(struct fixture *f, const struct rest_request *from)
{
	struct rest_request rq = *from;
	char *target = strndup((const char *)rq.target.p, rq.target.len);
	int r;

	forget(f);
	f->answers = 0;
	rq.target.p = (const uint8_t *)target;
	r = rest_start(&f->s, &rq, &fake_now, &f->answer, answered, &f->rest);
	memset(target, 0xee, rq.target.len);
	free(target);
	if (r == ERR_AGAIN)
		rest_set_arg(f->rest, f);
	else
		f->answers++;
	return r;
}

void
parse(struct fixture *f)
{
	struct view body;

	if (f->answer.body == NULL)
		return;
	body = object_value(f->answer.body);
	f->json = json_loadb((const char *)body.p, body.len, JSON_ALLOW_NUL |
	    JSON_REJECT_DUPLICATES, NULL);
	if (f->json == NULL)
		fail_msg("no JSON: %.*s", (int)body.len,
		    (const char *)body.p);
}

void
run(struct fixture *f, struct rest_request rq)
{
	if (start(f, &rq) == ERR_AGAIN) {
		if (f->down)
			serve_down(f);
		else
			serve(f);
	}
	if (f->relay_cb == NULL) {
		assert_int_equal(f->answers, 1);
		parse(f);
	}
}

void
get(struct fixture *f, const char *target)
{
	run(f, request("GET", target));
}

void
send_body(struct fixture *f, const char *method, const char *target,
    const char *body)
{
	struct rest_request rq = request(method, target);

	rq.has_body = true;
	rq.body = unit_view(body);
	run(f, rq);
}

/* End what was handed on; error 0: with status and this body. */
void
relayed(struct fixture *f, int error, int status, const char *body)
{
	struct relay_result result = { .error = error, .status = status };
	relay_cb *cb = f->relay_cb;

	assert_non_null(cb);
	f->relay_cb = NULL;
	if (error != 0) {
		(void)snprintf(result.message, sizeof(result.message),
		    "no luck");
	} else {
		result.reply.body = object_new(REF_SECRET, unit_view(""),
		    unit_view(""));
		assert_int_equal(object_set_data(result.reply.body,
		    unit_view(body), NULL, 0), 0);
		(void)snprintf(result.reply.content_type,
		    sizeof(result.reply.content_type), "text/x");
	}
	cb(f->relay_arg, &result);
}

void
expect_sent(struct fixture *f, const char *target)
{
	if (f->relay_cb == NULL)
		fail_msg("%d %s", f->answer.status, f->answer.message);
	assert_string_equal(f->target, target);
	relayed(f, 0, 200, "{}");
	assert_int_equal(f->answer.status, 200);
	assert_int_equal(f->answer.cache, REST_CACHE_NONE);
}

void
expect_json(struct fixture *f, const char *want)
{
	json_t *w = json_loads(want, JSON_ALLOW_NUL, NULL);
	struct view body;

	if (f->answer.status != 200 || f->json == NULL)
		fail_msg("%d %s", f->answer.status, f->answer.message);
	body = object_value(f->answer.body);
	assert_non_null(w);
	if (!json_equal(w, f->json))
		fail_msg("%.*s", (int)body.len, (const char *)body.p);
	json_decref(w);
	assert_string_equal(f->answer.content_type, "application/json");
}

void
expect_error(struct fixture *f, int status, const char *code, int error)
{
	const char *got;

	if (f->answer.status != status)
		fail_msg("%d %s", f->answer.status, f->answer.message);
	assert_int_equal(f->answer.error, error);
	got = json_string_value(json_object_get(f->json, "error"));
	assert_string_equal(got, code);
	got = json_string_value(json_object_get(f->json, "message"));
	assert_string_equal(got, f->answer.message);
}

void
expect_denied(struct fixture *f)
{
	assert_null(f->relay_cb);
	expect_error(f, 403, "forbidden", ERR_DENIED);
}

int
group_setup(void **state)
{
	return unit_secmem_setup(state) != 0 ? -1
	    : upstream_json_global_init();
}
