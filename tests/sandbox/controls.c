/*
 * /_sandbox: what tests steer and look at. No key is needed, and none of it is
 * counted or hit by faults.
 */
#include "api_keys.h"
#include "apply.h"
#include "call.h"
#include "faults.h"
#include "json_util.h"
#include "key.h"
#include "record.h"
#include "secret.h"
#include "server.h"
#include "store.h"
#include "tenant.h"
#include "timefmt.h"

#include <stdlib.h>

#define CLOCK_AHEAD_MAX_MS (100LL * 365 * 86400 * 1000)

static void
faults_post(struct call *c)
{
	const char *field, *problem;
	uint64_t id;

	if (!call_body(c, false))
		return;
	id = faults_add(c->faults, c->json, &field, &problem);
	if (id == 0)
		call_bad_field(c, field, problem);
	else
		call_json(c, 201, json_pack("{s:I}", "id", (json_int_t)id));
}

static void
faults_get(struct call *c)
{
	call_json(c, 200, json_pack("{s:o}", "faults", faults_list(c->faults)));
}

/* release=false: what hangs by it goes on hanging, now without an end. */
static bool
wants_release(struct call *c, bool *ret_release)
{
	*ret_release = true;
	return call_query_bool(c, "release", ret_release);
}

static void
faults_delete_all(struct call *c)
{
	bool release;

	if (!wants_release(c, &release))
		return;
	faults_clear(c->faults);
	if (release)
		server_release(c->server, 0);
	call_empty(c, 204);
}

static void
faults_delete(struct call *c)
{
	uint64_t id = strtoull(c->match.param[0], NULL, 10);
	bool release;

	if (!wants_release(c, &release))
		return;
	/* Its times may be used up, yet a connection hang by it. */
	if (id != 0 && release)
		server_release(c->server, id);
	if (faults_remove(c->faults, id))
		call_empty(c, 204);
	else
		call_not_found(c, "fault");
}

static void
requests_get(struct call *c)
{
	call_json(c, 200, record_counts(c->record));
}

static void
requests_delete(struct call *c)
{
	record_clear(c->record);
	call_empty(c, 204);
}

static void
log_get(struct call *c)
{
	call_json(
	    c, 200, json_pack("{s:o}", "requests", record_log(c->record)));
}

static void
connections_get(struct call *c)
{
	call_json(c, 200,
	    json_pack("{s:I, s:I}", "open", (json_int_t)server_open(c->server),
		"accepted", (json_int_t)server_accepted(c->server)));
}

static void
endpoints_get(struct call *c)
{
	call_json(c, 200, json_pack("{s:o}", "endpoints", route_list()));
}

static void
secret_put(struct call *c)
{
	struct secret *s = secret_find(c->tenant->secrets, c->match.param[0]);
	struct apply_problem p;

	if (s == NULL)
		call_not_found(c, "secret");
	else if (!call_body(c, false))
		return;
	else if (!apply_secret(c->tenant->secrets, s, c->json, &p))
		call_bad_field(c, p.field, p.text);
	else
		call_json(c, 200, secret_object(s, SECRET_ALL, true));
}

static void
secret_delete(struct call *c)
{
	struct secret *s = secret_find(c->tenant->secrets, c->match.param[0]);

	if (s == NULL) {
		call_not_found(c, "secret");
		return;
	}
	store_remove(c->tenant->secrets, &s->item);
	call_empty(c, 204);
}

static void
key_put(struct call *c)
{
	struct key *k = key_find(c->tenant->keys, c->match.param[0]);
	struct apply_problem p;

	if (k == NULL)
		call_not_found(c, "key");
	else if (!call_body(c, false))
		return;
	else if (!key_apply(c->tenant->keys, k, c->json, &p))
		call_bad_field(c, p.field, p.text);
	else
		call_json(c, 200, key_object(k));
}

static void
key_delete(struct call *c)
{
	struct key *k = key_find(c->tenant->keys, c->match.param[0]);

	if (k == NULL) {
		call_not_found(c, "key");
		return;
	}
	store_remove(c->tenant->keys, key_item(k));
	call_empty(c, 204);
}

static void
api_key_put(struct call *c)
{
	json_t *scopes, *tenant;

	if (!call_body(c, false))
		return;
	tenant = json_object_get(c->json, "tenant");
	scopes = json_object_get(c->json, "scopes");
	for (size_t i = 0; i < json_array_size(scopes); i++) {
		if (!json_is_string(json_array_get(scopes, i)))
			scopes = NULL;
	}
	if (!json_is_array(scopes)) {
		call_bad_field(c, "scopes", "must be an array of strings");
		return;
	}
	api_keys_set(c->tenant->api_keys, c->match.param[0],
	    json_string_value(json_object_get(c->json, "name")), scopes, 0);
	api_keys_set_tenant(c->tenant->api_keys, c->match.param[0],
	    json_string_value(tenant));
	call_json(c, 200, json_pack("{s:O}", "scopes", scopes));
}

static void
api_key_delete(struct call *c)
{
	if (api_keys_remove(c->tenant->api_keys, c->match.param[0]))
		call_empty(c, 204);
	else
		call_not_found(c, "API key");
}

static void
rate_limit_put(struct call *c)
{
	int64_t n = 0;

	if (!call_body(c, false) ||
	    !call_member_int(c, "perMinute", 0, INT32_MAX, &n))
		return;
	api_keys_limit(c->tenant->api_keys, n);
	call_json(c, 200, json_pack("{s:I}", "perMinute", (json_int_t)n));
}

static void
clock_put(struct call *c)
{
	int64_t ms = 0;

	if (!call_body(c, false) ||
	    !call_member_int(c, "aheadMs", -CLOCK_AHEAD_MAX_MS,
		CLOCK_AHEAD_MAX_MS, &ms))
		return;
	timefmt_set_ahead(ms);
	call_json(c, 200, json_pack("{s:I}", "aheadMs", (json_int_t)ms));
}

const struct route controls_routes[] = {
    {"POST", "/faults", NULL, faults_post},
    {"GET", "/faults", NULL, faults_get},
    {"DELETE", "/faults", NULL, faults_delete_all},
    {"DELETE", "/faults/{id}", NULL, faults_delete},
    {"GET", "/requests", NULL, requests_get},
    {"DELETE", "/requests", NULL, requests_delete},
    {"GET", "/log", NULL, log_get},
    {"GET", "/connections", NULL, connections_get},
    {"GET", "/endpoints", NULL, endpoints_get},
    {"PUT", "/secrets/{id}", NULL, secret_put},
    {"DELETE", "/secrets/{id}", NULL, secret_delete},
    {"PUT", "/keys/{id}", NULL, key_put},
    {"DELETE", "/keys/{id}", NULL, key_delete},
    {"PUT", "/api-keys/{key}", NULL, api_key_put},
    {"DELETE", "/api-keys/{key}", NULL, api_key_delete},
    {"PUT", "/rate-limit", NULL, rate_limit_put},
    {"PUT", "/clock", NULL, clock_put},
    {NULL, NULL, NULL, NULL},
};
