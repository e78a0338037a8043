/*
 * Reads the input, after its first byte, as an answer of the service; that
 * byte says to which request.  There is an outcome, and just one; its parts
 * keep the limits, and nothing stays in the arena.
 */
#include "config.h"

#include <string.h>

#include "err.h"
#include "fuzz.h"
#include "msg.h"
#include "text.h"
#include "upstream_json.h"

static const uint8_t id[] = {'s', '1'};

static const struct upstream_request requests[] = {
	{.op = UPSTREAM_READ_SECRET, .id = {id, 2}},
	{.op = UPSTREAM_READ_SECRET, .id = {id, 2}, .version = 3},
	{.op = UPSTREAM_READ_KEY, .id = {id, 2}, .format = REF_FORMAT_JSON},
	{.op = UPSTREAM_READ_KEY, .id = {id, 2}, .format = REF_FORMAT_JWK},
	{.op = UPSTREAM_READ_KEY, .id = {id, 2}, .format = REF_FORMAT_RAW},
	{.op = UPSTREAM_READ_KEY, .id = {id, 2}, .format = REF_FORMAT_PEM},
	{.op = UPSTREAM_READ_KEY, .id = {id, 2}, .format = REF_FORMAT_DER},
	{.op = UPSTREAM_LIST_SECRETS, .page = 1, .page_size = 2},
	{.op = UPSTREAM_LIST_KEYS, .page = 2, .page_size = 2},
};

#define NREQUESTS (sizeof(requests) / sizeof(requests[0]))

static void
set_up(void)
{
	static const struct secmem_config cfg = {
		.reserve_bytes = 32u << 20,
		.step_bytes = 4u << 20,
		.backing = SECMEM_BACKING_MLOCK,
	};
	static bool done;

	if (done)
		return;
	FUZZ_ASSERT(secmem_init(&cfg) == 0);
	FUZZ_ASSERT(upstream_json_global_init() == 0);
	done = true;
}

static void
check_object(const struct upstream_request *req, const struct object *o)
{
	struct object_field field, found;
	char names[256];
	size_t pos = 0;

	FUZZ_ASSERT(o->refs == 1 && object_id(o).len == req->id.len);
	FUZZ_ASSERT(object_name(o).len <= MSG_NAME_MAX);
	FUZZ_ASSERT(text_is_text(object_name(o).p, object_name(o).len));
	FUZZ_ASSERT(object_value(o).len <= secmem_len(&o->data));
	if (req->op == UPSTREAM_READ_SECRET) {
		FUZZ_ASSERT(o->is_active && object_name(o).len > 0);
		FUZZ_ASSERT(text_is_utf8(object_value(o).p,
		    object_value(o).len));
		FUZZ_ASSERT(req->version == 0 || o->version == req->version);
	}
	while (object_next_field(o, &pos, &field)) {
		FUZZ_ASSERT(field.name.len <= REF_FIELD_MAX);
		FUZZ_ASSERT(text_is_utf8(field.content.p, field.content.len));
		FUZZ_ASSERT(field.name.len == 0 ||
		    object_field(o, field.name, &found) == 0);
	}
	FUZZ_ASSERT(pos + o->value_len == secmem_len(&o->data));
	FUZZ_ASSERT(strlen(object_field_names(o, names, sizeof(names))) <
	    sizeof(names));
}

static void
check_page(const struct upstream_page *page)
{
	size_t i;

	for (i = 0; i < page->count; i++) {
		const char *text = page->rows[i].id;

		FUZZ_ASSERT(upstream_id_valid((struct view){
		    (const uint8_t *)text, strlen(text)}));
		FUZZ_ASSERT(strlen(page->rows[i].name) <= MSG_NAME_MAX);
	}
}

static void
check_answer(const struct upstream_request *req, struct view body)
{
	struct upstream_answer a = {0};

	upstream_json_read(req, body, &a);
	FUZZ_ASSERT((a.error != 0) + (a.object != NULL) + (a.page != NULL) ==
	    1);
	FUZZ_ASSERT((a.error != 0) == (a.message[0] != '\0'));
	FUZZ_ASSERT(!a.gone || a.error == ERR_NOT_FOUND);
	if (a.object != NULL)
		check_object(req, a.object);
	if (a.page != NULL)
		check_page(a.page);
	object_unref(a.object);
	upstream_page_free(a.page);
}

static void
check_reason(struct view body)
{
	char scope[UPSTREAM_SCOPE_MAX + 1];
	enum upstream_reason reason = upstream_json_reason(body, scope);

	FUZZ_ASSERT(strlen(scope) <= UPSTREAM_SCOPE_MAX);
	FUZZ_ASSERT(scope[0] == '\0' || reason == UPSTREAM_REASON_SCOPE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct secmem_stats before, after;
	struct view body;
	size_t which;

	if (size == 0)
		return 0;
	set_up();
	secmem_get_stats(&before);
	which = (size_t)(uint8_t)(data[0] - '0') % (NREQUESTS + 1);
	body = (struct view){data + 1, size - 1};
	if (which < NREQUESTS)
		check_answer(&requests[which], body);
	else
		check_reason(body);
	secmem_get_stats(&after);
	FUZZ_ASSERT(before.used_bytes == after.used_bytes);
	return 0;
}
