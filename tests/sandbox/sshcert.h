/*
 * OpenSSH's key and certificate format (PROTOCOL, PROTOCOL.certkeys): public
 * keys as ssh-keygen writes them, and certificates that it and sshd accept.
 */
#ifndef SANDBOX_SSHCERT_H
#define SANDBOX_SSHCERT_H

#include "mem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keymat;
struct keymat_alg;

enum sshcert_type {
	SSHCERT_USER = 1,
	SSHCERT_HOST = 2,
};

/* A public key that somebody sent. */
struct sshcert_key {
	char *type;       /* "ssh-ed25519" */
	const char *cert_type; /* "ssh-ed25519-cert-v01@openssh.com" */
	struct text fields;    /* what follows the type in the blob */
};

struct sshcert {
	const struct sshcert_key *key;
	const struct keymat *ca;
	enum sshcert_type type;
	uint64_t serial;
	const char *key_id;
	const json_t *principals; /* array of strings */
	uint64_t valid_after;     /* seconds since 1970 */
	uint64_t valid_before;
	const json_t *critical_options; /* objects of strings; "" is a flag */
	const json_t *extensions;
};

/* May a CA have a key of this algorithm? */
bool sshcert_alg(const struct keymat_alg *alg);

/* A key's public blob; NULL: OpenSSL failed. Free with text_done(). */
bool sshcert_public(const struct keymat *m, struct text *ret_blob);

/* "TYPE BASE64" of a blob, or "SHA256:…"; new JSON strings. */
json_t *sshcert_line(const char *type, const struct text *blob);
json_t *sshcert_fingerprint(const struct text *blob);

/* The type that a blob begins with. Free with free(). */
char *sshcert_blob_type(const struct text *blob);

/*
 * Read a line "TYPE BASE64 [COMMENT]". false: it is none, or of a kind that
 * has no certificates. Free with sshcert_key_done(), whatever the result.
 */
bool sshcert_key_parse(const char *line, struct sshcert_key *ret_key);
void sshcert_key_done(struct sshcert_key *k);

/*
 * Sign. *ret_blob: the certificate; free with text_done(). false: OpenSSL
 * failed.
 */
bool sshcert_sign(const struct sshcert *cert, struct text *ret_blob);

#endif
