#include "config.h"

#include "seal.h"

#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "err.h"

#define KEY_BYTES 32u
#define SALT_BYTES 16u
#define PRINT_BYTES 16u

static_assert(KEY_BYTES == crypto_secretstream_xchacha20poly1305_KEYBYTES,
    "key of the stream");
static_assert(SEAL_CHUNK_BYTES - SEAL_PLAIN_BYTES ==
	crypto_secretstream_xchacha20poly1305_ABYTES,
    "what sealing adds to a chunk");

/* --- the header --- */

static const uint8_t magic[8] = {'Q', 'A', 'P', 'I', 'S', 'N', 'A', 'P'};

enum {
	AT_MAGIC = 0,
	AT_FORMAT = 8,		/* u16 */
	AT_SOURCE = 10,		/* u8; then one byte 0 */
	AT_CHUNK = 12,		/* u32, SEAL_PLAIN_BYTES */
	AT_SEQUENCE = 16,
	AT_WALL = 24,
	AT_BOOT = 32,
	AT_BOOT_ID = 40,
	AT_SALT = 56,
	AT_KEY_PRINT = 72,	/* so that a wrong key is told from tampering */
	AT_SERVICE_PRINT = 88,	/* of url= */
	AT_API_PRINT = 104,	/* of the API key */
	AT_STREAM = 120,
};

static_assert(AT_STREAM + crypto_secretstream_xchacha20poly1305_HEADERBYTES ==
	SEAL_HEADER_BYTES, "length of the header");

struct seal {
	crypto_secretstream_xchacha20poly1305_state stream;
	uint8_t header[SEAL_HEADER_BYTES];
};

/* The state of a hash holds what it was fed. */
static void
keyed_hash(uint8_t *out, size_t out_len, const struct secmem *key,
    const char *purpose, const uint8_t *salt, const void *p, size_t len)
{
	crypto_generichash_state st;

	(void)crypto_generichash_init(&st, secmem_bytes(key), secmem_len(key),
	    out_len);
	(void)crypto_generichash_update(&st, (const uint8_t *)purpose,
	    strlen(purpose) + 1);
	(void)crypto_generichash_update(&st, salt, SALT_BYTES);
	(void)crypto_generichash_update(&st, p, len);
	(void)crypto_generichash_final(&st, out, out_len);
	sodium_memzero(&st, sizeof(st));
}

int
seal_derive(enum seal_source source, const struct secmem *material,
    struct secmem *ret_key)
{
	static const uint8_t no_salt[SALT_BYTES];
	static const char *const purposes[] = {
		[SEAL_STATE_KEY] = "qapi-agent snapshot: state key",
		[SEAL_API_KEY] = "qapi-agent snapshot: API key",
	};
	static const struct secmem no_key;

	/* picks the fast implementations; may be called again and again */
	if (sodium_init() < 0)
		return ERR_NOMEM;
	if (secmem_alloc(ret_key, KEY_BYTES, SECMEM_LIBRARY) != 0)
		return ERR_NOMEM;
	keyed_hash(secmem_writable(ret_key), KEY_BYTES, &no_key,
	    purposes[source], no_salt, secmem_bytes(material),
	    secmem_len(material));
	return 0;
}

static void
put_prints(uint8_t *header, const struct secmem *key, struct view url,
    const struct secmem *api)
{
	const uint8_t *salt = header + AT_SALT;

	keyed_hash(header + AT_KEY_PRINT, PRINT_BYTES, key, "key", salt, NULL,
	    0);
	keyed_hash(header + AT_SERVICE_PRINT, PRINT_BYTES, key, "service",
	    salt, url.p, url.len);
	keyed_hash(header + AT_API_PRINT, PRINT_BYTES, key, "API key", salt,
	    secmem_bytes(api), secmem_len(api));
}

static void
stream_key(uint8_t *out, const struct secmem *key, const uint8_t *header)
{
	keyed_hash(out, KEY_BYTES, key, "stream", header + AT_SALT, NULL, 0);
}

/* --- sealing --- */

int
seal_new(const struct secmem *key, const struct seal_info *info,
    struct view url, const struct secmem *api,
    uint8_t ret_header[SEAL_HEADER_BYTES], struct seal **ret_seal)
{
	struct seal *s = secmem_calloc(1, sizeof(*s));
	uint8_t *h, sub[KEY_BYTES];

	if (s == NULL)
		return ERR_NOMEM;
	h = s->header;
	memcpy(h + AT_MAGIC, magic, sizeof(magic));
	be_put_u16(h + AT_FORMAT, SEAL_FORMAT);
	h[AT_SOURCE] = (uint8_t)info->source;
	be_put_u32(h + AT_CHUNK, SEAL_PLAIN_BYTES);
	be_put_u64(h + AT_SEQUENCE, info->sequence);
	be_put_u64(h + AT_WALL, (uint64_t)info->wall_ms);
	be_put_u64(h + AT_BOOT, info->boot_ms);
	memcpy(h + AT_BOOT_ID, info->boot_id, SEAL_BOOT_ID_BYTES);
	randombytes_buf(h + AT_SALT, SALT_BYTES);
	put_prints(h, key, url, api);
	stream_key(sub, key, h);
	(void)crypto_secretstream_xchacha20poly1305_init_push(&s->stream,
	    h + AT_STREAM, sub);
	sodium_memzero(sub, sizeof(sub));
	memcpy(ret_header, h, SEAL_HEADER_BYTES);
	*ret_seal = s;
	return 0;
}

void
seal_chunk(struct seal *s, const uint8_t *plain, bool last,
    uint8_t *ret_chunk)
{
	(void)crypto_secretstream_xchacha20poly1305_push(&s->stream,
	    ret_chunk, NULL, plain, SEAL_PLAIN_BYTES, s->header,
	    SEAL_HEADER_BYTES, last
	    ? crypto_secretstream_xchacha20poly1305_TAG_FINAL
	    : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE);
}

/* --- opening --- */

enum state_fault
seal_peek(const uint8_t header[SEAL_HEADER_BYTES], struct seal_info *ret_info)
{
	if (memcmp(header + AT_MAGIC, magic, sizeof(magic)) != 0)
		return STATE_NO_SNAPSHOT;
	if (be_get_u16(header + AT_FORMAT) > SEAL_FORMAT)
		return STATE_NEWER;
	if (be_get_u16(header + AT_FORMAT) != SEAL_FORMAT ||
	    be_get_u32(header + AT_CHUNK) != SEAL_PLAIN_BYTES ||
	    header[AT_SOURCE + 1] != 0 ||
	    (header[AT_SOURCE] != SEAL_STATE_KEY &&
		header[AT_SOURCE] != SEAL_API_KEY))
		return STATE_TAMPERED;
	ret_info->source = (enum seal_source)header[AT_SOURCE];
	ret_info->sequence = be_get_u64(header + AT_SEQUENCE);
	ret_info->wall_ms = (int64_t)be_get_u64(header + AT_WALL);
	ret_info->boot_ms = be_get_u64(header + AT_BOOT);
	memcpy(ret_info->boot_id, header + AT_BOOT_ID, SEAL_BOOT_ID_BYTES);
	return STATE_OK;
}

static bool
same_print(const uint8_t *a, const uint8_t *b, size_t at)
{
	return sodium_memcmp(a + at, b + at, PRINT_BYTES) == 0;
}

enum state_fault
seal_open_new(const struct secmem *key, struct view url,
    const struct secmem *api, const uint8_t header[SEAL_HEADER_BYTES],
    struct seal **ret_seal)
{
	uint8_t mine[SEAL_HEADER_BYTES], sub[KEY_BYTES];
	struct seal *s;
	int r;

	memcpy(mine, header, sizeof(mine));
	put_prints(mine, key, url, api);
	if (!same_print(mine, header, AT_KEY_PRINT))
		return STATE_OTHER_KEY;
	if (!same_print(mine, header, AT_SERVICE_PRINT))
		return STATE_OTHER_SERVICE;
	if (!same_print(mine, header, AT_API_PRINT))
		return STATE_OTHER_API_KEY;
	s = secmem_calloc(1, sizeof(*s));
	if (s == NULL)
		return STATE_NOMEM;
	memcpy(s->header, header, SEAL_HEADER_BYTES);
	stream_key(sub, key, header);
	r = crypto_secretstream_xchacha20poly1305_init_pull(&s->stream,
	    header + AT_STREAM, sub);
	sodium_memzero(sub, sizeof(sub));
	if (r != 0) {
		seal_free(s);
		return STATE_TAMPERED;
	}
	*ret_seal = s;
	return STATE_OK;
}

enum state_fault
seal_open_chunk(struct seal *s, const uint8_t *chunk, uint8_t *ret_plain,
    bool *ret_last)
{
	uint8_t tag;

	if (crypto_secretstream_xchacha20poly1305_pull(&s->stream, ret_plain,
	    NULL, &tag, chunk, SEAL_CHUNK_BYTES, s->header,
	    SEAL_HEADER_BYTES) != 0) {
		sodium_memzero(ret_plain, SEAL_PLAIN_BYTES);
		return STATE_TAMPERED;
	}
	*ret_last = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
	return STATE_OK;
}

void
seal_free(struct seal *s)
{
	secmem_free(s);
}

/* --- the rest --- */

/* Between 9 and 16 steps: the rest of the number does not show. */
uint64_t
seal_padded(uint64_t n)
{
	uint64_t step = 1;

	while (n > 16 * step)
		step *= 2;
	return (n + step - 1) / step * step;
}

bool
seal_boot_id_is_set(const uint8_t id[SEAL_BOOT_ID_BYTES])
{
	return !sodium_is_zero(id, SEAL_BOOT_ID_BYTES);
}
