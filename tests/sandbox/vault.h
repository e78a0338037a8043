/*
 * "vault:v<version>:<base64>": how transit and data keys write what a version
 * of a key has made. Sealed bytes are encapsulated key, nonce, tag and
 * ciphertext, one after the other.
 */
#ifndef SANDBOX_VAULT_H
#define SANDBOX_VAULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct key;
struct key_version;

/* The text of these bytes; a new JSON string. */
json_t *vault_text(int64_t version, const void *p, size_t n);

/*
 * The bytes of such a text, and its version. NULL: it is none. Free with
 * free().
 */
unsigned char *vault_bytes(
    const json_t *text, int64_t *ret_version, size_t *ret_len);

/* Seal; NULL: OpenSSL failed. */
json_t *vault_seal(const struct key_version *v, const void *p, size_t n,
    const void *aad, size_t aad_len);

/*
 * Open what some version of the key has sealed. NULL: done; else the error's
 * code: decryption_failed, key_version_below_minimum or key_revoked.
 * ret_v is set as soon as there is such a version. ret_p: free with free().
 */
const char *vault_open(const struct key *k, const json_t *text,
    const void *aad, size_t aad_len, const struct key_version **ret_v,
    unsigned char **ret_p, size_t *ret_len);

#endif
