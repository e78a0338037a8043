#include "config.h"

#include "key_words.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

/* Never renumbered: sealed snapshots of the listings hold these numbers. */
static const char *const types[] = { NULL, "encryption", "signing", "hmac" };

static const char *const algorithms[] = { NULL, "ML-KEM-512", "ML-KEM-768",
    "ML-KEM-1024", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87", "SLH-DSA-128s",
    "SLH-DSA-SHA2-128s", "Ed25519", "EdDSA", "X25519", "RSA", "RSA-2048",
    "RSA-3072", "RSA-4096", "ECDSA", "ECDSA-P256", "ECDSA-P384", "ECDSA-P521",
    "P-256", "P-384", "P-521", "AES", "AES-256", "AES-128-GCM", "AES-192-GCM",
    "AES-256-GCM", "HMAC", "HMAC-SHA256", "HMAC-SHA384", "HMAC-SHA512" };

#define TYPES (sizeof(types) / sizeof(types[0]))
#define ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))

static_assert(TYPES <= 1u << KEY_TYPE_BITS, "bits of a type");
static_assert(ALGORITHMS <= 1u << KEY_ALGORITHM_BITS, "bits of an algorithm");

static uint8_t
number(const char *const *names, size_t count, struct view name)
{
	size_t i;

	for (i = 1; i < count; i++) {
		if (strlen(names[i]) == name.len &&
		    memcmp(names[i], name.p, name.len) == 0)
			return (uint8_t)i;
	}
	return 0;
}

uint8_t
key_type_number(struct view name)
{
	return number(types, TYPES, name);
}

uint8_t
key_algorithm_number(struct view name)
{
	return number(algorithms, ALGORITHMS, name);
}

const char *
key_type_name(uint8_t n)
{
	return n < TYPES ? types[n] : NULL;
}

const char *
key_algorithm_name(uint8_t n)
{
	return n < ALGORITHMS ? algorithms[n] : NULL;
}
