/*
 * Reads the input as what the service answers to an operation, as a payload,
 * and as a public key with a signature behind it.  Whatever is made of it keeps
 * the limits, what is written is read again as it was, and nothing stays in the
 * arena.
 */
#include "config.h"

#include <string.h>

#include "crypt_json.h"
#include "err.h"
#include "fuzz.h"
#include "upstream.h"
#include "upstream_json.h"
#include "verify_local.h"

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

/* An object of an operation, which goes. */
static void
check(int r, struct object *o)
{
	FUZZ_ASSERT(r == 0 || r == ERR_UPSTREAM_ERROR || r == ERR_NOMEM);
	FUZZ_ASSERT((r == 0) == (o != NULL));
	if (o == NULL)
		return;
	FUZZ_ASSERT(o->refs == 1 && o->kind == REF_KEY);
	FUZZ_ASSERT(object_id(o).len == 0 || upstream_id_valid(object_id(o)));
	FUZZ_ASSERT(object_value(o).len == secmem_len(&o->data));
	object_unref(o);
}

static void
try_answers(struct view body)
{
	struct object *o = NULL;
	char id[MSG_ID_MAX + 1];
	const char *message = NULL;
	bool flag;
	int r;

	r = crypt_json_encrypted(body, &o);
	check(r, o);
	o = NULL;
	r = crypt_json_decrypted(body, body, &o);
	check(r, o);
	o = NULL;
	r = crypt_json_signed(body, &o);
	check(r, o);
	(void)crypt_json_verified(body, &flag);
	if (crypt_json_default_key(body, id, &flag) == 0)
		FUZZ_ASSERT(strlen(id) > 0 && strlen(id) <= MSG_ID_MAX);
	if (crypt_json_payload_key(body, id) == 0)
		FUZZ_ASSERT(upstream_id_valid((struct view){
		    (const uint8_t *)id, strlen(id) }));
	r = crypt_json_error(400, body, &message);
	FUZZ_ASSERT(r < 0 && message != NULL);
}

static void
try_keys(struct view body)
{
	struct crypt_data_key dk;
	struct secmem key = { .mem = NULL };

	if (crypt_json_data_key(body, &dk) == 0) {
		FUZZ_ASSERT(secmem_len(&dk.key) == CRYPT_KEY_LEN);
		FUZZ_ASSERT(object_value(dk.about).len > 0);
		FUZZ_ASSERT(object_id(dk.about).len > 0);
		FUZZ_ASSERT(strlen(dk.algorithm) < sizeof(dk.algorithm));
		crypt_data_key_clear(&dk);
	}
	if (crypt_json_unwrapped(body, &key) == 0) {
		FUZZ_ASSERT(secmem_len(&key) == CRYPT_KEY_LEN);
		secmem_free_bytes(&key);
	}
}

/* What is sent is JSON of the same bytes, whatever they are. */
static void
try_body(struct view data)
{
	const struct crypt_body b = {
		.data_name = "signature", .data = data,
	};
	struct secmem body = { .mem = NULL };
	struct object *o = NULL;
	int r;

	FUZZ_ASSERT(crypt_json_body(&b, &body) == 0);
	r = crypt_json_signed((struct view){ secmem_bytes(&body),
	    secmem_len(&body) }, &o);
	FUZZ_ASSERT(r == (data.len > 0 ? 0 : ERR_UPSTREAM_ERROR));
	if (r == 0) {
		FUZZ_ASSERT(object_value(o).len == data.len &&
		    memcmp(object_value(o).p, data.p, data.len) == 0);
		object_unref(o);
	}
	secmem_free_bytes(&body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct view body = { data, size };
	struct secmem_stats stats;
	size_t half = size / 2;

	set_up();
	try_answers(body);
	try_keys(body);
	try_body(body);
	(void)verify_local(body, (struct view){ data, half }, (struct view){
	    data + half, size - half });
	(void)verify_local((struct view){ data, half }, body, (struct view){
	    data + half, size - half });
	secmem_get_stats(&stats);
	FUZZ_ASSERT(stats.used_bytes == 0);
	return 0;
}
