#include "config.h"

#include "chunks.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "crypt_json.h"
#include "err.h"
#include "msg_call.h"
#include "wipe.h"

#define BOUND_LEN 32

static_assert(CRYPT_KEY_LEN == crypto_secretstream_xchacha20poly1305_KEYBYTES,
    "key of the stream");
static_assert(MSG_CHUNK_EXTRA == crypto_secretstream_xchacha20poly1305_ABYTES,
    "what sealing adds to a chunk");
static_assert(ENVELOPE_STREAM_LEN ==
	crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    "header of the stream");

struct chunks {
	crypto_secretstream_xchacha20poly1305_state stream;
	uint8_t bound[BOUND_LEN];	/* hash of header and aad */
};

static struct chunks *
chunks_of(struct secmem *mem)
{
	return (struct chunks *)(void *)secmem_writable(mem);
}

size_t
chunks_bytes(void)
{
	return secmem_class_size(sizeof(struct chunks));
}

int
chunks_seal_begin(const struct secmem *key, struct secmem *ret,
    uint8_t ret_stream[ENVELOPE_STREAM_LEN])
{
	int r;

	assert(secmem_len(key) == CRYPT_KEY_LEN);
	r = secmem_alloc(ret, sizeof(struct chunks), SECMEM_LIBRARY);
	if (r != 0)
		return r;
	(void)crypto_secretstream_xchacha20poly1305_init_push(
	    &chunks_of(ret)->stream, ret_stream, secmem_bytes(key));
	return 0;
}

int
chunks_open_begin(const struct secmem *key, struct view stream,
    struct secmem *ret)
{
	int r;

	assert(secmem_len(key) == CRYPT_KEY_LEN &&
	    stream.len == ENVELOPE_STREAM_LEN);
	r = secmem_alloc(ret, sizeof(struct chunks), SECMEM_LIBRARY);
	if (r != 0)
		return r;
	/* it cannot fail: any header is one */
	(void)crypto_secretstream_xchacha20poly1305_init_pull(
	    &chunks_of(ret)->stream, stream.p, secmem_bytes(key));
	return 0;
}

void
chunks_bind(struct secmem *chunks, struct view header, struct view aad)
{
	crypto_generichash_state st;

	(void)crypto_generichash_init(&st, NULL, 0, BOUND_LEN);
	(void)crypto_generichash_update(&st, header.p, header.len);
	if (aad.len > 0)
		(void)crypto_generichash_update(&st, aad.p, aad.len);
	(void)crypto_generichash_final(&st, chunks_of(chunks)->bound,
	    BOUND_LEN);
	/* additional data may be no one's business either */
	wipe(&st, sizeof(st));
}

void
chunks_seal(struct secmem *chunks, struct view plain, bool final, uint8_t *ret)
{
	struct chunks *c = chunks_of(chunks);

	(void)crypto_secretstream_xchacha20poly1305_push(&c->stream, ret, NULL,
	    plain.p, plain.len, c->bound, BOUND_LEN,
	    final ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0);
}

int
chunks_open(struct secmem *chunks, struct view sealed, bool final, uint8_t *ret)
{
	struct chunks *c = chunks_of(chunks);
	unsigned char tag = 0;

	if (sealed.len < MSG_CHUNK_EXTRA)
		return ERR_BAD_REQUEST;
	if (crypto_secretstream_xchacha20poly1305_pull(&c->stream, ret, NULL,
	    &tag, sealed.p, sealed.len, c->bound, BOUND_LEN) == 0 &&
	    tag == (final ? crypto_secretstream_xchacha20poly1305_TAG_FINAL
	    : 0))
		return 0;
	wipe(ret, sealed.len - MSG_CHUNK_EXTRA);
	return ERR_BAD_REQUEST;
}
