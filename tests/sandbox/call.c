#include "call.h"

#include "api_keys.h"
#include "json_util.h"
#include "mem.h"
#include "tenant.h"
#include "usage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void
call_json(struct call *c, int status, json_t *v)
{
	answer_json(&c->answer, status, v);
}

void
call_empty(struct call *c, int status)
{
	answer_empty(&c->answer, status);
}

void
call_error(struct call *c, int status, const char *code, const char *message,
    json_t *details)
{
	c->note.error = code == NULL ? answer_error_code(status) : code;
	answer_error(&c->answer, status, code, message, details);
}

void
call_not_found(struct call *c, const char *what)
{
	char *message = mem_printf("The %s was not found.", what);

	call_error(c, 404, NULL, message, NULL);
	free(message);
}

void
call_bad_field(struct call *c, const char *field, const char *problem)
{
	char *message = mem_printf("%s: %s.", field, problem);

	call_error(c, 400, NULL, message,
	    json_pack("{s:{s:s}}", "fields", field, problem));
	free(message);
}

static void
add_number(struct call *c, const char *name, int64_t v)
{
	char *s = mem_printf("%lld", (long long)v);

	answer_add_header(&c->answer, name, s);
	free(s);
}

/* The key's requests a minute. false: used up, and the answer has been set. */
static bool
within_rate(struct call *c)
{
	if (api_keys_take(c->tenant->api_keys, c->key->key, &c->rate))
		return true;
	call_error(c, 429, NULL,
	    "The API key has used up its requests for this minute.", NULL);
	add_number(c, "Retry-After", (c->rate.reset_ms + 999) / 1000);
	return false;
}

static void
tell_rate(struct call *c)
{
	if (c->rate.limit == 0)
		return;
	add_number(c, "X-RateLimit-Limit", c->rate.limit);
	add_number(c, "X-RateLimit-Remaining", c->rate.remaining);
	add_number(c, "X-RateLimit-Reset", c->rate.reset_wall_s);
}

/* Key and scope. false: the answer has been set. */
static bool
authorize(struct call *c)
{
	const char *scope = c->match.route->scope;

	if (scope == NULL)
		return true;
	c->key = c->api_key_text == NULL
		     ? NULL
		     : api_keys_find(c->tenant->api_keys, c->api_key_text);
	if (c->key == NULL) {
		call_error(c, 401, NULL,
		    c->api_key_text == NULL
			? "The header X-Api-Key is missing."
			: "The API key is unknown, expired or revoked.",
		    NULL);
		return false;
	}
	if (!within_rate(c))
		return false;
	c->tenant = tenant_named(c->tenant, c->key->tenant);
	if (*scope == '\0' || api_key_has_scope(c->key, scope))
		return true;
	call_error(c, 403, "insufficient_scope",
	    "The API key lacks the scope that this request needs.",
	    json_pack("{s:s}", "requiredScope", scope));
	return false;
}

static void
no_method(struct call *c)
{
	char *allow = route_allow(c->path);

	call_error(c, 405, NULL, "This path has no such method.", NULL);
	answer_add_header(&c->answer, "Allow", allow);
	free(allow);
}

static void
handle(struct call *c)
{
	audit_look(c);
	c->match.route->handler(c);
}

void
call_run(struct call *c)
{
	const char *question = strchr(c->path, '?');
	char *path = mem_bytes(c->path, strcspn(c->path, "?"));

	c->path = path;
	switch (route_find(c->method, path, &c->match)) {
	case ROUTE_NO_PATH:
		call_not_found(c, "path");
		break;
	case ROUTE_NO_METHOD:
		no_method(c);
		break;
	case ROUTE_BAD_PATH:
		call_error(c, 400, NULL, "The path is malformed.", NULL);
		break;
	case ROUTE_FOUND:
		if (!authorize(c))
			break;
		if (!query_parse(
			&c->query, question == NULL ? NULL : question + 1))
			call_error(
			    c, 400, NULL, "The query is malformed.", NULL);
		else if (!c->match.control && c->body_len > CALL_MAX_BODY)
			call_error(
			    c, 413, NULL, "The body exceeds 1 MiB.", NULL);
		else
			handle(c);
		break;
	}
	usage_count(c);
	if (c->match.route != NULL)
		audit_record(c);
	tell_rate(c);
	c->path = NULL;
	free(path);
}

void
call_done(struct call *c)
{
	query_done(&c->query);
	route_done(&c->match);
	audit_done(&c->note);
	json_decref(c->json);
	c->json = NULL;
}

/* application/json, application/…+json, with or without parameters. */
static bool
is_json_type(const char *type)
{
	size_t n = strcspn(type, "; \t");

	return (n == 16 && strncasecmp(type, "application/json", n) == 0) ||
	       (n > 5 && strncasecmp(type + n - 5, "+json", 5) == 0);
}

bool
call_body(struct call *c, bool optional)
{
	json_error_t err;

	if (c->body_len == 0 && optional) {
		c->json = json_object();
		return true;
	}
	/* Controls are typed by hand with curl -d, so they take any type. */
	if (c->body_len != 0 && c->content_type != NULL && !c->match.control &&
	    !is_json_type(c->content_type)) {
		call_error(
		    c, 415, NULL, "The body must be application/json.", NULL);
		return false;
	}
	c->json = json_util_parse(c->body, c->body_len, &err);
	if (c->json == NULL) {
		/* Not err.text: it quotes the body, and that holds secrets. */
		call_error(c, 400, NULL, "The body is not valid JSON.", NULL);
		return false;
	}
	if (!json_is_object(c->json)) {
		call_error(
		    c, 400, NULL, "The body must be a JSON object.", NULL);
		return false;
	}
	return true;
}

static bool
bad_range(struct call *c, const char *name, int64_t min, int64_t max)
{
	char *problem =
	    max == INT64_MAX
		? mem_printf("must be an integer from %lld", (long long)min)
		: mem_printf("must be an integer from %lld to %lld",
		      (long long)min, (long long)max);

	call_bad_field(c, name, problem);
	free(problem);
	return false;
}

bool
call_query_int(
    struct call *c, const char *name, int64_t min, int64_t max, int64_t *ret_v)
{
	const char *s = query_get(&c->query, name);
	char *end;
	long long v;

	if (s == NULL)
		return true;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (end == s || *end != '\0' || errno != 0 || *s == ' ' || v < min ||
	    v > max)
		return bad_range(c, name, min, max);
	*ret_v = v;
	return true;
}

bool
call_query_bool(struct call *c, const char *name, bool *ret_v)
{
	const char *s = query_get(&c->query, name);

	if (s == NULL)
		return true;
	if (strcasecmp(s, "true") != 0 && strcasecmp(s, "false") != 0) {
		call_bad_field(c, name, "must be true or false");
		return false;
	}
	*ret_v = strcasecmp(s, "true") == 0;
	return true;
}

bool
call_member_int(
    struct call *c, const char *name, int64_t min, int64_t max, int64_t *ret_v)
{
	json_t *v = json_util_get(c->json, name);

	if (v == NULL || json_is_null(v))
		return true;
	if (!json_is_integer(v) || json_integer_value(v) < min ||
	    json_integer_value(v) > max)
		return bad_range(c, name, min, max);
	*ret_v = json_integer_value(v);
	return true;
}

bool
call_member_bool(struct call *c, const char *name, bool *ret_v)
{
	json_t *v = json_util_get(c->json, name);

	if (v == NULL || json_is_null(v))
		return true;
	if (!json_is_boolean(v)) {
		call_bad_field(c, name, "must be true or false");
		return false;
	}
	*ret_v = json_is_true(v);
	return true;
}

json_t *
call_actor(const struct call *c)
{
	return json_sprintf(
	    "apikey:%s", c->key == NULL ? "sandbox" : c->key->name);
}
