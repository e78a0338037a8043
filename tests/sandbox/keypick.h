/*
 * From a request to the key it is about: found, of the right type, usable for
 * what is asked; and to one of the key's versions.
 */
#ifndef SANDBOX_KEYPICK_H
#define SANDBOX_KEYPICK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct key;
struct key_version;

enum keypick_use {
	KEYPICK_ENCRYPT,
	KEYPICK_DECRYPT,
	KEYPICK_SIGN,
	KEYPICK_VERIFY,
	KEYPICK_MAC,
};

/*
 * The key with this id or name, if it may be used so. NULL: answered, with 404
 * (no such key), 403 key_revoked or 409 (of another type, disabled, scheduled
 * for deletion; for new ciphertexts and signatures deprecated and expired,
 * too). What it found is in the audit record either way.
 */
struct key *keypick_id(
    struct call *c, const char *id, enum keypick_use use);
struct key *keypick_name(
    struct call *c, const char *name, enum keypick_use use);

/* The default one of keyType encryption; likewise. */
struct key *keypick_default(struct call *c, enum keypick_use use);

/*
 * Which version decrypts. NULL: *ret_v is it; else the error's code: there is
 * none (decryption_failed), it is too old or revoked.
 */
const char *keypick_version(const struct key *k, int64_t version,
    const struct key_version **ret_v);

/* Answer such a code: 400 for decryption_failed, else 403. */
void keypick_refuse(struct call *c, const char *code);

/*
 * The current version, for new ciphertexts and signatures. need_private: it
 * must have a private half. NULL: answered, 409 or 403.
 */
const struct key_version *keypick_current(
    struct call *c, const struct key *k, bool need_private);

/*
 * Bytes of a member of obj: base64, or, where its "encoding" is utf8, text.
 * The default is what obj has no "encoding" for. *ret_utf8 may be NULL.
 * NULL: *ret_problem says what is wrong with *ret_field. Free with free().
 */
unsigned char *keypick_bytes(const json_t *obj, const char *name,
    bool default_utf8, size_t *ret_len, bool *ret_utf8, const char **ret_field,
    const char **ret_problem);

/* Mark an answer as a stand-in's, if that is what the key is. */
void keypick_mark(json_t *answer, const struct key_version *v);

/*
 * "algorithm" of a request: the key decides, and the answer tells; SDKs always
 * send their default. false: it is no algorithm at all, and answered.
 */
bool keypick_algorithm(struct call *c);

#endif
