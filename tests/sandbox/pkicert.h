/*
 * X.509 by OpenSSL: certificates of authorities and of others, requests for
 * them, and revocation lists. pki.c keeps what is made here.
 */
#ifndef SANDBOX_PKICERT_H
#define SANDBOX_PKICERT_H

#include <jansson.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keymat_alg;
struct asset_problem;

/* What a certificate is to say. */
struct pkicert {
	X509_NAME *subject;
	EVP_PKEY *key; /* its own */
	bool is_ca;
	GENERAL_NAMES *names;   /* subjectAltName; NULL: none */
	const X509 *issuer;     /* NULL: itself */
	EVP_PKEY *issuer_key;   /* the same as key where issuer is NULL */
	int64_t not_before_s;   /* seconds since 1970 */
	int64_t not_after_s;
};

/* One that has been revoked. */
struct pkicert_revoked {
	const char *serial; /* hexadecimal */
	int64_t at_s;
};

/* Is it an algorithm to sign X.509 with? */
bool pkicert_alg(const struct keymat_alg *alg);

/*
 * "CN=Example Root,O=Example,C=EU", a backslash before a comma that is part of
 * a value; or a text without '=', which is a CN. NULL: it is none of these.
 */
X509_NAME *pkicert_subject(const char *text);

/* A name that is only a CN; NULL: OpenSSL does not take it. */
X509_NAME *pkicert_common_name(const char *cn);

/* The CN of a name as a new JSON string; JSON null: it has none. */
json_t *pkicert_cn_of(X509_NAME *name);

/*
 * An array of texts as alternative names: addresses, URIs with "://", mail
 * addresses with '@', else DNS names. NULL: one is nothing of the kind.
 */
GENERAL_NAMES *pkicert_names(const json_t *list);

/* A name for one DNS name; NULL: it is none. */
GENERAL_NAMES *pkicert_dns_name(const char *name);

/*
 * Read a certificate request in PEM and check its signature. The key and the
 * alternative names are the caller's to free. false: *p is set.
 */
bool pkicert_request(const char *pem, X509_NAME **ret_subject,
    EVP_PKEY **ret_key, GENERAL_NAMES **ret_names, struct asset_problem *p);

/* NULL: OpenSSL failed. Free with X509_free(). */
X509 *pkicert_make(const struct pkicert *cert);

/* As new JSON strings. */
json_t *pkicert_pem(X509 *x);
json_t *pkicert_serial(X509 *x);
json_t *pkicert_private_pem(EVP_PKEY *key);

/*
 * The revocation list of an authority in DER; number grows with each change.
 * NULL: OpenSSL failed. Free with free().
 */
unsigned char *pkicert_crl(X509 *ca, EVP_PKEY *key, int64_t now_s,
    int64_t next_s, long number, const struct pkicert_revoked *revoked,
    size_t n_revoked, size_t *ret_len);

#endif
