/*
 * The bodies of /encrypt, /decrypt, /sign, /verify and of data keys, and what
 * the service answers to them (upstream-api.md, 3 and 6): JSON to and from
 * bytes, all of it in secret memory.
 *
 * Bytes go as base64 always.  Of an answer either spelling of a member is
 * read, camelCase first.  Pure: no I/O, no state.
 */
#ifndef AGENT_CRYPT_JSON_H
#define AGENT_CRYPT_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "msg.h"
#include "object.h"
#include "secmem.h"

/* Length of a data key. */
#define CRYPT_KEY_LEN 32

/* --- requests --- */

/*
 * Members of a body, in this order: what is empty is left out, but data where
 * data_name says how it is called.
 */
struct crypt_body {
	const char *data_name;	/* "plaintext", "data"; NULL: no data */
	struct view data;	/* becomes base64 */
	bool says_encoding;	/* "encoding": "base64" */
	const char *text_name;	/* "encryptedPayload", "wrappedKey" */
	struct view text;	/* as it is */
	struct view signature;	/* becomes base64 */
	struct view key_id;
	struct view algorithm;
	struct view aad;	/* additionalData, a text */
	struct view context;	/* becomes base64 */
	unsigned int key_bytes;	/* 0: not said */
};

/* Returns 0 or ERR_NOMEM. */
int crypt_json_body(const struct crypt_body *b, struct secmem *ret);

/* --- answers with a status of success --- */

/*
 * Each returns 0, ERR_NOMEM or ERR_UPSTREAM_ERROR.  The object is a key's, with
 * its id and version as far as they were told (an id may be empty); its value
 * is the payload's text, the plaintext, or the bytes of the signature.
 */
int crypt_json_encrypted(struct view reply, struct object **ret);
/* payload: what was decrypted, which may tell how the plaintext is written. */
int crypt_json_decrypted(struct view reply, struct view payload,
    struct object **ret);
int crypt_json_signed(struct view reply, struct object **ret);
int crypt_json_verified(struct view reply, bool *ret_valid);

/* A data key: just made, or (then without wrapped) unwrapped. */
struct crypt_data_key {
	struct secmem key;	/* CRYPT_KEY_LEN bytes */
	struct object *about;	/* id and version of the key around it; its
				 * value is the wrapped key, a text */
	char algorithm[64];	/* "": not told, or too long */
};

void crypt_data_key_clear(struct crypt_data_key *dk);
int crypt_json_data_key(struct view reply, struct crypt_data_key *ret);
int crypt_json_unwrapped(struct view reply, struct secmem *ret_key);

/*
 * The default key of a page of GET /keys?keyType=encryption.  Returns 0,
 * ERR_NOT_FOUND (ret_more: there is another page), or as above.
 */
int crypt_json_default_key(struct view reply, char ret_id[MSG_ID_MAX + 1],
    bool *ret_more);

/* --- what is in a payload --- */

/*
 * Id of the key that a payload was made with, if it can be told, and told in
 * one way only: nothing that comes twice, in whatever letters.
 * Returns 0, ERR_NOT_FOUND or ERR_NOMEM.
 */
int crypt_json_payload_key(struct view payload, char ret_id[MSG_ID_MAX + 1]);

/* --- answers with another status --- */

/*
 * What that means for the caller: ERR_* and a sentence, which has nothing of
 * the body in it.  body may be empty.
 */
int crypt_json_error(int status, struct view body, const char **ret_message);

#endif /* AGENT_CRYPT_JSON_H */
