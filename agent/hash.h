/*
 * A keyed hash for tables whose keys callers can choose: without the key,
 * which is random in each process, nobody can aim at one chain (SipHash-2-4,
 * libsodium's crypto_shorthash).
 */
#ifndef AGENT_HASH_H
#define AGENT_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
	uint8_t bytes[16];
};

/* A new random key.  Needs no initialisation of libsodium before. */
void hash_key_init(struct hash_key *ret_key);

uint64_t hash_bytes(const struct hash_key *key, const void *p, size_t len);

/* Random bits, for jitter and phases; not for keys. */
uint32_t hash_random(void);

#endif /* AGENT_HASH_H */
