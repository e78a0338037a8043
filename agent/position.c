#include "config.h"

#include "position.h"

#include <string.h>

#include <sodium.h>

#include "buf.h"
#include "err.h"
#include "wipe.h"

#define POSITION_KEY_LEN 32
#define POSITION_CONTEXT "qapi-agent position 1"
#define POSITION_HEAD 64	/* numbers before the texts */

/*
 * The hash keeps the last block of its input in its state, and copies each to
 * the stack: the same once more over zeros, from the same place, leaves those.
 */
static void
position_hash(const struct secmem *key, struct view head, struct view text,
    const struct secmem *data, uint8_t *ret, size_t ret_len)
{
	static const uint8_t zeros[256];
	crypto_generichash_state st;
	uint8_t dummy[POSITION_KEY_LEN];

	(void)crypto_generichash_init(&st,
	    key != NULL ? secmem_bytes(key) : NULL,
	    key != NULL ? secmem_len(key) : 0, ret_len);
	(void)crypto_generichash_update(&st, head.p, head.len);
	if (text.len > 0)
		(void)crypto_generichash_update(&st, text.p, text.len);
	(void)crypto_generichash_update(&st, secmem_bytes(data),
	    secmem_len(data));
	(void)crypto_generichash_final(&st, ret, ret_len);
	wipe(&st, sizeof(st));
	(void)crypto_generichash_init(&st, zeros, POSITION_KEY_LEN,
	    sizeof(dummy));
	(void)crypto_generichash_update(&st, zeros, sizeof(zeros));
	(void)crypto_generichash_update(&st, zeros, sizeof(zeros) / 2 + 1);
	(void)crypto_generichash_final(&st, dummy, sizeof(dummy));
}

int
position_key(const struct secmem *api_key, struct secmem *ret_key)
{
	const struct view context = {
		(const uint8_t *)POSITION_CONTEXT, sizeof(POSITION_CONTEXT),
	};
	const struct view none = { NULL, 0 };

	if (secmem_alloc(ret_key, POSITION_KEY_LEN, SECMEM_LIBRARY) != 0)
		return ERR_NOMEM;
	position_hash(NULL, context, none, api_key, secmem_writable(ret_key),
	    POSITION_KEY_LEN);
	return 0;
}

void
position_of(const struct secmem *key, const struct object *o,
    struct position *ret)
{
	uint8_t head[POSITION_HEAD];
	struct wr wr;

	memset(ret, 0, sizeof(*ret));
	if (o == NULL)
		return;
	/* of fixed size, with all lengths, so no two objects look the same */
	memset(head, 0, sizeof(head));
	wr_init(&wr, head, sizeof(head));
	wr_u8(&wr, (uint8_t)o->kind);
	wr_u8(&wr, (uint8_t)o->format);
	wr_u16(&wr, o->id_len);
	wr_u16(&wr, o->name_len);
	wr_u64(&wr, o->value_len);
	wr_u64(&wr, secmem_len(&o->data));
	wr_u64(&wr, o->version);
	wr_u64(&wr, (uint64_t)o->updated_at);
	wr_u64(&wr, (uint64_t)o->expires_at);
	position_hash(key, (struct view){ head, sizeof(head) },
	    (struct view){ (const uint8_t *)o->text,
	    (size_t)o->id_len + 1 + o->name_len + 1 }, &o->data, ret->bytes,
	    sizeof(ret->bytes));
}

bool
position_equal(const struct position *a, const struct position *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool
position_is_none(const struct position *p)
{
	static const struct position none;

	return position_equal(p, &none);
}

struct view
position_view(const struct position *p)
{
	return (struct view){ p->bytes, sizeof(p->bytes) };
}

void
position_from_view(struct view v, struct position *ret)
{
	memcpy(ret->bytes, v.p, sizeof(ret->bytes));
}
