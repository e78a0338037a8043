#include "record.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

struct record {
	json_int_t total;
	json_t *by_path; /* object "METHOD PATH": count */
	json_t *by_status;
	json_t *log;     /* array */
};

struct record *
record_new(void)
{
	struct record *r = mem_zero(sizeof(*r));

	r->by_path = json_object();
	r->by_status = json_object();
	r->log = json_array();
	return r;
}

void
record_free(struct record *r)
{
	if (r == NULL)
		return;
	json_decref(r->by_path);
	json_decref(r->by_status);
	json_decref(r->log);
	free(r);
}

/* Raw bytes that a JSON string cannot hold become escapes. */
static char *
printable(const char *s, size_t n)
{
	struct text out = {0};

	text_str(&out, "");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c > 0x20 && c < 0x7f)
			text_char(&out, s[i]);
		else
			text_printf(&out, "%%%02X", c);
	}
	return out.p;
}

static void
count(json_t *counts, const char *key)
{
	json_t *n = json_object_get(counts, key);

	if (n == NULL)
		json_object_set_new(counts, key, json_integer(1));
	else
		json_integer_set(n, json_integer_value(n) + 1);
}

void
record_status(struct record *r, int status)
{
	char *key = mem_printf("%d", status);

	count(r->by_status, key);
	free(key);
}

void
record_add(struct record *r, const char *method, const char *uri, json_t *entry)
{
	size_t n = strcspn(uri, "?");
	char *path = printable(uri, n), *query = NULL, *key;

	key = mem_printf("%s %s", method, path);
	count(r->by_path, key);
	r->total++;
	if (uri[n] == '?')
		query = printable(uri + n + 1, strlen(uri + n + 1));
	json_object_set_new(entry, "method", json_string(method));
	json_object_set_new(entry, "path", json_string(path));
	json_object_set_new(
	    entry, "query", json_string(query == NULL ? "" : query));
	json_array_append_new(r->log, entry);
	if (json_array_size(r->log) > RECORD_LOG_MAX)
		json_array_remove(r->log, 0);
	free(key);
	free(path);
	free(query);
}

void
record_clear(struct record *r)
{
	r->total = 0;
	json_object_clear(r->by_path);
	json_object_clear(r->by_status);
	json_array_clear(r->log);
}

json_t *
record_counts(const struct record *r)
{
	return json_pack("{s:I, s:O, s:O}", "total", r->total, "byPath",
	    r->by_path, "byStatus", r->by_status);
}

json_t *
record_log(const struct record *r)
{
	return json_incref(r->log);
}
