#include "answer.h"

#include "json_util.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

void
answer_clear(struct answer *a)
{
	for (size_t i = 0; i < a->n_headers; i++) {
		free(a->header[i].name);
		free(a->header[i].value);
	}
	free(a->content_type_own);
	free(a->body);
	memset(a, 0, sizeof(*a));
}

void
answer_json(struct answer *a, int status, json_t *v)
{
	struct text out = {0};

	answer_clear(a);
	json_util_write(&out, v);
	json_decref(v);
	a->status = status;
	a->content_type = ANSWER_JSON;
	a->body = out.p;
	a->len = out.len;
}

void
answer_empty(struct answer *a, int status)
{
	answer_clear(a);
	a->status = status;
}

void
answer_bytes(struct answer *a, int status, const char *content_type,
    const void *p, size_t n)
{
	char *body = mem_bytes(p, n), *type = mem_str(content_type);

	answer_clear(a);
	a->status = status;
	a->content_type_own = type;
	a->content_type = type;
	a->body = body;
	a->len = n;
}

const char *
answer_error_code(int status)
{
	static const struct {
		int status;
		const char *code;
	} codes[] = {
	    {400, "invalid_request"},
	    {401, "unauthorized"},
	    {403, "forbidden"},
	    {404, "not_found"},
	    {405, "method_not_allowed"},
	    {409, "conflict"},
	    {410, "gone"},
	    {413, "payload_too_large"},
	    {415, "unsupported_media_type"},
	    {429, "rate_limit_exceeded"},
	    {500, "internal_error"},
	    {502, "bad_gateway"},
	    {503, "unavailable"},
	    {504, "gateway_timeout"},
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		if (codes[i].status == status)
			return codes[i].code;
	}
	return status >= 500 ? "internal_error" : "invalid_request";
}

void
answer_error(struct answer *a, int status, const char *code,
    const char *message, json_t *details)
{
	json_t *v = json_object();

	if (code == NULL)
		code = answer_error_code(status);
	json_object_set_new(v, "error", json_string(code));
	json_object_set_new(v, "message", json_string(message));
	if (details != NULL)
		json_object_set_new(v, "details", details);
	answer_json(a, status, v);
}

void
answer_add_header(struct answer *a, const char *name, const char *value)
{
	if (a->n_headers == ANSWER_MAX_HEADERS)
		return;
	a->header[a->n_headers].name = mem_str(name);
	a->header[a->n_headers].value = mem_str(value);
	a->n_headers++;
}
