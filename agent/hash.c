#include "config.h"

#include "hash.h"

#include <sodium.h>

_Static_assert(sizeof(struct hash_key) == crypto_shorthash_KEYBYTES,
    "key of crypto_shorthash");

void
hash_key_init(struct hash_key *ret_key)
{
	randombytes_buf(ret_key->bytes, sizeof(ret_key->bytes));
}

uint64_t
hash_bytes(const struct hash_key *key, const void *p, size_t len)
{
	union {
		uint8_t bytes[crypto_shorthash_BYTES];
		uint64_t number;
	} out;

	(void)crypto_shorthash(out.bytes, p, len, key->bytes);
	return out.number;
}

uint32_t
hash_random(void)
{
	return randombytes_random();
}
