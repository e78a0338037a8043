/*
 * Key material: making it, importing it, and the formats of its public half.
 *
 * Real for Ed25519, X25519, RSA, ECDSA and secret keys (AES, HMAC). ML-KEM,
 * ML-DSA and SLH-DSA are real where the OpenSSL that is there at run time has
 * them (3.5 and later); else they are stand-ins: random bytes of the right
 * size under the right object identifier.
 */
#ifndef SANDBOX_KEYMAT_H
#define SANDBOX_KEYMAT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct evp_pkey_st;

enum keymat_family {
	KEYMAT_PQ, /* a stand-in has public and secret bytes */
	KEYMAT_OKP,
	KEYMAT_EC,
	KEYMAT_RSA,
	KEYMAT_SECRET, /* no public half */
};

#define KEYMAT_FOR_ENCRYPTION 0x1u
#define KEYMAT_FOR_SIGNING 0x2u
#define KEYMAT_FOR_HMAC 0x4u

struct keymat_alg {
	const char *name;
	enum keymat_family family;
	unsigned int uses;
	const char *group;    /* OpenSSL's name of the type or curve */
	size_t bits;          /* RSA: of the modulus */
	size_t public_len;    /* of the raw public key; 0: varies */
	size_t secret_len;    /* of a secret key, or a PQ private one */
	unsigned char oid[2]; /* stand-ins: last arcs of 2.16.840.1.101.3.4 */
};

struct keymat {
	const struct keymat_alg *alg;
	struct evp_pkey_st *pkey; /* NULL: stand-in or secret key */
	bool public_only;         /* no private half */
	unsigned char *secret;    /* NULL: none, or inside pkey */
	size_t secret_len;
	unsigned char *public; /* stand-ins only */
	size_t public_len;
};

/* The algorithm of that name, letter case aside; NULL: unknown. */
const struct keymat_alg *keymat_alg(const char *name);

/* Does this OpenSSL compute it? Secret keys: true. */
bool keymat_is_real(const struct keymat_alg *alg);

/* Is it one of the stand-ins? */
bool keymat_is_stand_in(const struct keymat *m);

/* The use that a keyType names, or 0. */
unsigned int keymat_use(const char *key_type);

/* A new key; NULL: OpenSSL failed. Free with keymat_free(). */
struct keymat *keymat_generate(const struct keymat_alg *alg);
void keymat_free(struct keymat *m);

/*
 * A key from its bytes. format: raw, pem, der, pkcs8 or jwk.
 * NULL: the bytes are no such key.
 */
struct keymat *keymat_import(const struct keymat_alg *alg, const char *format,
    const void *p, size_t n, bool public_only);

/*
 * The public half; NULL: there is none. Free with free(). raw: the key as its
 * standard has it (RSA: PKCS#1; EC: the uncompressed point). der, pem:
 * SubjectPublicKeyInfo.
 */
unsigned char *keymat_raw(const struct keymat *m, size_t *ret_len);
unsigned char *keymat_der(const struct keymat *m, size_t *ret_len);
char *keymat_pem(const struct keymat *m);

/* The same as a new JWK; NULL: there is none. */
json_t *keymat_jwk(const struct keymat *m, const char *kid);

/*
 * DER of a stand-in's SubjectPublicKeyInfo up to the key's first byte; the
 * import compares by it. Free with free().
 */
unsigned char *keymat_spki_head(const struct keymat_alg *alg, size_t *ret_len);

#endif
