#include "faults.h"

#include "answer.h"
#include "json_util.h"
#include "mem.h"
#include "route.h"
#include "timefmt.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#define FAULTS_SLOW_MS 100 /* pause per byte where none is given */
#define FAULTS_HEADERS 8

struct entry {
	TAILQ_ENTRY(entry) next;
	struct fault fault;
	json_t *spec;
	int64_t until_ms; /* monotonic; 0: for ever */
	int64_t left;     /* -1: any number */
	int64_t hits;
};

TAILQ_HEAD(entry_list, entry);

struct faults {
	struct entry_list list;
	uint64_t last_id;
};

static const char *const action_names[] = {
    [FAULT_NONE] = "",
    [FAULT_DROP] = "drop",
    [FAULT_TRUNCATE] = "truncate",
    [FAULT_SLOW] = "slow",
    [FAULT_GARBAGE] = "garbage",
    [FAULT_HANG] = "hang",
    [FAULT_REDIRECT] = "redirect",
    [FAULT_STALL] = "stall",
};

struct faults *
faults_new(void)
{
	struct faults *f = mem_zero(sizeof(*f));

	TAILQ_INIT(&f->list);
	return f;
}

static void
remove_entry(struct faults *f, struct entry *e)
{
	TAILQ_REMOVE(&f->list, e, next);
	json_decref(e->spec);
	free(e);
}

void
faults_clear(struct faults *f)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&f->list)) != NULL)
		remove_entry(f, e);
}

void
faults_free(struct faults *f)
{
	if (f == NULL)
		return;
	faults_clear(f);
	free(f);
}

bool
faults_remove(struct faults *f, uint64_t id)
{
	struct entry *e;

	TAILQ_FOREACH (e, &f->list, next) {
		if (e->fault.id == id) {
			remove_entry(f, e);
			return true;
		}
	}
	return false;
}

/* Drop what has had its time. */
static void
expire(struct faults *f)
{
	int64_t now = timefmt_monotonic_ms();
	struct entry *e, *next;

	for (e = TAILQ_FIRST(&f->list); e != NULL; e = next) {
		next = TAILQ_NEXT(e, next);
		if (e->left == 0 || (e->until_ms != 0 && now >= e->until_ms))
			remove_entry(f, e);
	}
}

/* Members that a spec may have; "id" and "hits" come from GET. */
static const char *const members[] = {"method", "path", "status", "latencyMs",
    "retryAfter", "action", "times", "seconds", "body", "contentType", "error",
    "headers", "id", "hits"};

static bool
is_member(const char *key)
{
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		if (strcmp(key, members[i]) == 0)
			return true;
	}
	return false;
}

static bool
members_are_known(json_t *spec)
{
	const char *key;
	json_t *v;

	json_object_foreach (spec, key, v) {
		if (!is_member(key))
			return false;
	}
	return true;
}

/* A number from min to max, or nothing. false: neither. */
static bool
get_number(
    const json_t *spec, const char *name, double min, double max, double *ret_v)
{
	json_t *v = json_object_get(spec, name);

	if (v == NULL || json_is_null(v))
		return true;
	if (!json_is_number(v) || json_number_value(v) < min ||
	    json_number_value(v) > max)
		return false;
	*ret_v = json_number_value(v);
	return true;
}

static bool
get_action(const json_t *spec, enum fault_action *ret_action)
{
	json_t *v = json_object_get(spec, "action");
	size_t n = sizeof(action_names) / sizeof(*action_names);

	*ret_action = FAULT_NONE;
	if (v == NULL || json_is_null(v))
		return true;
	for (size_t i = 1; i < n && json_is_string(v); i++) {
		if (strcmp(json_string_value(v), action_names[i]) == 0) {
			*ret_action = (enum fault_action)i;
			return true;
		}
	}
	return false;
}

static bool
is_text_or_absent(const json_t *spec, const char *name)
{
	json_t *v = json_object_get(spec, name);

	return v == NULL || json_is_null(v) || json_is_string(v);
}

/* A value that cannot break out of its header line. */
static bool
is_header_value(const json_t *v)
{
	const char *s = json_string_value(v);

	if (!json_is_string(v) || strlen(s) != json_string_length(v))
		return false;
	return s[strcspn(s, "\r\n")] == '\0';
}

static bool
retry_after_is_good(const json_t *spec)
{
	json_t *v = json_object_get(spec, "retryAfter");

	return v == NULL || json_is_null(v) || is_header_value(v) ||
	       json_is_integer(v);
}

/* Names of letters, digits and dashes, none of them one that frames a body. */
static bool
headers_are_good(const json_t *spec)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	json_t *headers = json_object_get(spec, "headers"), *v;
	const char *name;

	if (headers != NULL && !json_is_null(headers) &&
	    !json_is_object(headers))
		return false;
	json_object_foreach (headers, name, v) {
		if (*name == '\0' || name[strspn(name, chars)] != '\0' ||
		    strcasecmp(name, "Content-Length") == 0 ||
		    strcasecmp(name, "Transfer-Encoding") == 0 ||
		    !is_header_value(v))
			return false;
	}
	return json_object_size(headers) <= FAULTS_HEADERS;
}

static const char *
check_texts(json_t *spec, const char **ret_field)
{
	json_t *type = json_object_get(spec, "contentType");

	*ret_field = "path";
	if (!json_is_string(json_object_get(spec, "path")))
		return "must be a string";
	*ret_field = "method";
	if (!is_text_or_absent(spec, "method"))
		return "must be a string";
	*ret_field = "error";
	if (!is_text_or_absent(spec, "error"))
		return "must be a string";
	*ret_field = "contentType";
	if (type != NULL && !is_header_value(type))
		return "must be a string of one line";
	*ret_field = "retryAfter";
	if (!retry_after_is_good(spec))
		return "must be an integer, or a string of one line";
	*ret_field = "headers";
	if (!headers_are_good(spec))
		return "must be an object of at most 8 names and lines";
	*ret_field = "fault";
	if (!members_are_known(spec))
		return "holds a member that is not known";
	return NULL;
}

static const char *
read_spec(struct entry *e, json_t *spec, const char **ret_field)
{
	const char *problem = check_texts(spec, ret_field);
	double status = 0, latency = 0, times = -1, seconds = 0;

	if (problem != NULL)
		return problem;
	*ret_field = "action";
	if (!get_action(spec, &e->fault.action))
		return "must be drop, truncate, slow, garbage, hang, redirect "
		       "or stall";
	*ret_field = "status";
	if (!get_number(spec, "status", 200, 599, &status))
		return "must be from 200 to 599";
	*ret_field = "latencyMs";
	if (!get_number(spec, "latencyMs", 0, 86400e3, &latency))
		return "must be a number of milliseconds up to a day";
	*ret_field = "times";
	if (!get_number(spec, "times", 1, 1e9, &times))
		return "must be a number from 1";
	*ret_field = "seconds";
	if (!get_number(spec, "seconds", 0, 1e9, &seconds))
		return "must be a number of seconds";
	e->fault.status = (int)status;
	e->fault.latency_ms = (int64_t)latency;
	if (e->fault.action == FAULT_SLOW &&
	    json_object_get(spec, "latencyMs") == NULL)
		e->fault.latency_ms = FAULTS_SLOW_MS;
	e->left = (int64_t)times;
	if (seconds > 0)
		e->until_ms =
		    timefmt_monotonic_ms() + (int64_t)(seconds * 1000);
	return NULL;
}

uint64_t
faults_add(struct faults *f, json_t *spec, const char **ret_field,
    const char **ret_problem)
{
	struct entry *e = mem_zero(sizeof(*e));

	*ret_problem = read_spec(e, spec, ret_field);
	if (*ret_problem != NULL) {
		free(e);
		return 0;
	}
	e->fault.id = ++f->last_id;
	e->spec = json_incref(spec);
	e->fault.spec = e->spec;
	TAILQ_INSERT_TAIL(&f->list, e, next);
	return e->fault.id;
}

json_t *
faults_list(struct faults *f)
{
	json_t *list = json_array(), *v;
	struct entry *e;

	expire(f);
	TAILQ_FOREACH (e, &f->list, next) {
		v = json_copy(e->spec);
		json_object_set_new(
		    v, "id", json_integer((json_int_t)e->fault.id));
		json_object_set_new(v, "hits", json_integer(e->hits));
		if (e->left >= 0)
			json_object_set_new(v, "times", json_integer(e->left));
		json_array_append_new(list, v);
	}
	return list;
}

bool
faults_glob(const char *glob, const char *text)
{
	const char *star = NULL, *retry = NULL;

	/* Back up to the last star only: that is enough, and never slow. */
	while (*text != '\0') {
		if (*glob == '*') {
			star = ++glob;
			retry = text;
		} else if (*glob == '?' || *glob == *text) {
			glob++;
			text++;
		} else if (star != NULL) {
			glob = star;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*glob == '*')
		glob++;
	return *glob == '\0';
}

static bool
matches(const struct entry *e, const char *method, const char *path)
{
	const char *glob = json_string_value(json_object_get(e->spec, "path"));
	const char *want =
	    json_string_value(json_object_get(e->spec, "method"));
	size_t n = strlen(ROUTE_BASE);

	if (want != NULL && strcmp(want, "*") != 0 &&
	    strcasecmp(want, method) != 0)
		return false;
	return faults_glob(glob, path) ||
	       (strncmp(path, ROUTE_BASE, n) == 0 && path[n] == '/' &&
		   faults_glob(glob, path + n));
}

bool
faults_hit(struct faults *f, const char *method, const char *path,
    struct fault *ret_fault)
{
	struct entry *e;

	expire(f);
	TAILQ_FOREACH (e, &f->list, next) {
		if (!matches(e, method, path))
			continue;
		e->hits++;
		if (e->left > 0)
			e->left--;
		*ret_fault = e->fault;
		return true;
	}
	return false;
}

bool
fault_replaces_answer(const struct fault *fault)
{
	switch (fault->action) {
	case FAULT_DROP:
	case FAULT_HANG:
	case FAULT_GARBAGE:
	case FAULT_REDIRECT:
		return true;
	case FAULT_NONE:
	case FAULT_TRUNCATE:
	case FAULT_SLOW:
	case FAULT_STALL:
		break;
	}
	return fault->status != 0 ||
	       json_object_get(fault->spec, "body") != NULL;
}

static void
set_body(const struct fault *fault, json_t *body, struct answer *a)
{
	json_t *type = json_object_get(fault->spec, "contentType");
	int status = fault->status == 0 ? 200 : fault->status;
	struct text out = {0};

	/* A string goes out as it is, so that it may be no JSON at all. */
	if (json_is_string(body))
		text_add(
		    &out, json_string_value(body), json_string_length(body));
	else
		json_util_write(&out, body);
	answer_bytes(a, status,
	    json_is_string(type) ? json_string_value(type) : ANSWER_JSON, out.p,
	    out.len);
	text_done(&out);
}

static void
set_status(const struct fault *fault, struct answer *a)
{
	json_t *code = json_object_get(fault->spec, "error");

	if (fault->status < 300 || fault->status == 304)
		answer_empty(a, fault->status);
	else
		answer_error(a, fault->status,
		    json_is_string(code) ? json_string_value(code) : NULL,
		    "A fault that the test has asked for.", NULL);
}

static void
set_retry_after(const struct fault *fault, struct answer *a)
{
	json_t *v = json_object_get(fault->spec, "retryAfter");
	char *s;

	if (json_is_string(v)) {
		answer_add_header(a, "Retry-After", json_string_value(v));
	} else if (json_is_integer(v)) {
		s = mem_printf("%lld", (long long)json_integer_value(v));
		answer_add_header(a, "Retry-After", s);
		free(s);
	}
}

void
fault_add_headers(const struct fault *fault, struct answer *a)
{
	json_t *headers = json_object_get(fault->spec, "headers"), *v;
	const char *name;

	json_object_foreach (headers, name, v)
		answer_add_header(a, name, json_string_value(v));
}

void
fault_answer(const struct fault *fault, struct answer *a)
{
	static const char garbage[] = "\x89{\"value\": <html>not JSON";
	json_t *body = json_object_get(fault->spec, "body");

	if (fault->action == FAULT_GARBAGE) {
		answer_bytes(a, fault->status == 0 ? 200 : fault->status,
		    ANSWER_JSON, garbage, sizeof(garbage) - 1);
	} else if (fault->action == FAULT_REDIRECT) {
		answer_empty(a, fault->status == 0 ? 302 : fault->status);
		answer_add_header(a, "Location", "http://127.0.0.1:1/");
	} else if (body != NULL) {
		set_body(fault, body, a);
	} else if (fault->status != 0) {
		set_status(fault, a);
	}
	set_retry_after(fault, a);
}
