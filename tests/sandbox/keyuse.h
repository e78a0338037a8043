/*
 * What a key does with bytes. No request, no key version, no JSON: crypt.c,
 * transit.c and datakey.c bring those.
 *
 * Sealing is AES-GCM. Its key is a secret key itself; the secret that an
 * ML-KEM key or an ephemeral X25519 key yields, by HKDF-SHA256; or random, and
 * encrypted with RSA-OAEP (SHA-256). What the owner of the private half needs
 * to get at it is the encapsulated key.
 *
 * Signatures are Ed25519; ECDSA in DER over the SHA-2 of the curve's size;
 * RSA-PSS over SHA-256, with a salt of 32 bytes; ML-DSA and SLH-DSA without a
 * context. Stand-ins do the same with their public half in place of what only
 * a real key computes: right in size and in what they tell apart, and no more.
 */
#ifndef SANDBOX_KEYUSE_H
#define SANDBOX_KEYUSE_H

#include <stdbool.h>
#include <stddef.h>

#define KEYUSE_NONCE 12
#define KEYUSE_TAG 16
#define KEYUSE_MAX_MAC 64

struct keymat;

/* Something sealed; free with keyuse_sealed_done(). */
struct keyuse_sealed {
	unsigned char *ek; /* encapsulated key; NULL: a secret key has none */
	size_t ek_len;
	unsigned char nonce[KEYUSE_NONCE];
	unsigned char tag[KEYUSE_TAG];
	unsigned char *c; /* ciphertext, as long as the plaintext */
	size_t c_len;
};

void keyuse_sealed_done(struct keyuse_sealed *s);

/* How long this key's encapsulated keys are. */
size_t keyuse_ek_len(const struct keymat *m);

/* Has it what decrypting and signing need? */
bool keyuse_has_private(const struct keymat *m);

/* false: OpenSSL failed; nothing is set. */
bool keyuse_seal(const struct keymat *m, const void *p, size_t n,
    const void *aad, size_t aad_len, struct keyuse_sealed *ret_s);

/*
 * false: not sealed with this key, or other associated data, or tampered with.
 * ret_p: free with free().
 */
bool keyuse_open(const struct keymat *m, const struct keyuse_sealed *s,
    const void *aad, size_t aad_len, unsigned char **ret_p, size_t *ret_len);

/*
 * RSA: what anybody has encrypted to the key with OAEP and SHA-256. NULL: not
 * that, or another key's. Free with free().
 */
unsigned char *keyuse_oaep_open(
    const struct keymat *m, const void *p, size_t n, size_t *ret_len);

/* A signature; NULL: no private half, or no such key. Free with free(). */
unsigned char *keyuse_sign(
    const struct keymat *m, const void *p, size_t n, size_t *ret_len);
bool keyuse_verify(const struct keymat *m, const void *p, size_t n,
    const void *sig, size_t sig_len);

/*
 * HMAC with SHA-2 of 256, 384 or 512 bits. Returns how many bytes ret_mac
 * (room for KEYUSE_MAX_MAC) holds; 0: OpenSSL failed.
 */
size_t keyuse_mac(const struct keymat *m, int bits, const void *p, size_t n,
    unsigned char *ret_mac);

#endif
