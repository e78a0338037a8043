/*
 * keymat_import(): keys from their bytes.
 */
#include "json_util.h"
#include "keymat.h"
#include "mem.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define KEYIMPORT_MAX (64 * 1024)

/* Or OpenSSL would ask for a passphrase on the terminal. */
static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

static EVP_PKEY *
from_pem(const void *p, size_t n, bool public_only)
{
	BIO *bio = BIO_new_mem_buf(p, (int)n);
	EVP_PKEY *pkey = NULL;

	if (bio != NULL && public_only)
		pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
	else if (bio != NULL)
		pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	return pkey;
}

static EVP_PKEY *
from_der(const void *p, size_t n, bool public_only)
{
	const unsigned char *at = p;

	return public_only ? d2i_PUBKEY(NULL, &at, (long)n)
			   : d2i_AutoPrivateKey(NULL, &at, (long)n);
}

/* An EVP_PKEY of the parameters built so far; frees the builder. */
static EVP_PKEY *
build(const char *type, OSSL_PARAM_BLD *bld, bool is_private)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;

	if (params != NULL && ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1)
		(void)EVP_PKEY_fromdata(ctx, &pkey,
		    is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
		    params);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	return pkey;
}

static EVP_PKEY *
ec_from_point(const struct keymat_alg *alg, const unsigned char *point,
    size_t n, const BIGNUM *d)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();

	if (bld == NULL)
		return NULL;
	(void)OSSL_PARAM_BLD_push_utf8_string(
	    bld, OSSL_PKEY_PARAM_GROUP_NAME, alg->group, 0);
	(void)OSSL_PARAM_BLD_push_octet_string(
	    bld, OSSL_PKEY_PARAM_PUB_KEY, point, n);
	if (d != NULL)
		(void)OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, d);
	return build("EC", bld, d != NULL);
}

/* ML-KEM and ML-DSA keys are often kept as the seed that they are made of. */
static EVP_PKEY *
from_seed(const struct keymat_alg *alg, const unsigned char *p, size_t n)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();

	if (bld == NULL)
		return NULL;
	(void)OSSL_PARAM_BLD_push_octet_string(bld, "seed", p, n);
	return build(alg->group, bld, true);
}

static EVP_PKEY *
from_raw(const struct keymat_alg *alg, const unsigned char *p, size_t n,
    bool public_only)
{
	const unsigned char *at = p;

	switch (alg->family) {
	case KEYMAT_PQ:
	case KEYMAT_OKP:
		if (alg->family == KEYMAT_PQ && !public_only &&
		    n != alg->secret_len)
			return from_seed(alg, p, n);
		return public_only ? EVP_PKEY_new_raw_public_key_ex(
					 NULL, alg->group, NULL, p, n)
				   : EVP_PKEY_new_raw_private_key_ex(
					 NULL, alg->group, NULL, p, n);
	case KEYMAT_EC:
		/* A bare scalar is not taken: it lacks its point. */
		return public_only && n == alg->public_len
			   ? ec_from_point(alg, p, n, NULL)
			   : NULL;
	case KEYMAT_RSA:
		return public_only
			   ? d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, (long)n)
			   : d2i_PrivateKey(EVP_PKEY_RSA, NULL, &at, (long)n);
	case KEYMAT_SECRET:
		break;
	}
	return NULL;
}

/* A base64url member of a JWK as a number; NULL: none. */
static BIGNUM *
jwk_number(const json_t *jwk, const char *name)
{
	size_t n = 0;
	unsigned char *p =
	    json_util_unbase64(json_object_get(jwk, name), true, &n);
	BIGNUM *bn = p == NULL || n > 1024 ? NULL : BN_bin2bn(p, (int)n, NULL);

	free(p);
	return bn;
}

static EVP_PKEY *
ec_from_jwk(const struct keymat_alg *alg, const json_t *jwk, bool public_only)
{
	BIGNUM *x = jwk_number(jwk, "x"), *y = jwk_number(jwk, "y");
	BIGNUM *d = public_only ? NULL : jwk_number(jwk, "d");
	int half = (int)(alg->public_len - 1) / 2;
	unsigned char point[133] = {4};
	EVP_PKEY *pkey = NULL;

	if (x != NULL && y != NULL && (public_only || d != NULL) &&
	    BN_bn2binpad(x, point + 1, half) == half &&
	    BN_bn2binpad(y, point + 1 + half, half) == half)
		pkey = ec_from_point(alg, point, alg->public_len, d);
	BN_free(x);
	BN_free(y);
	BN_free(d);
	return pkey;
}

static EVP_PKEY *
rsa_from_jwk(const json_t *jwk, bool public_only)
{
	static const char *const names[][2] = {
	    {"n", OSSL_PKEY_PARAM_RSA_N},
	    {"e", OSSL_PKEY_PARAM_RSA_E},
	    {"d", OSSL_PKEY_PARAM_RSA_D},
	    {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
	    {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},
	    {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
	    {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2},
	    {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1},
	};
	BIGNUM *bn[8] = {NULL};
	size_t n = public_only ? 2 : 8;
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY *pkey = NULL;

	for (size_t i = 0; bld != NULL && i < n; i++) {
		bn[i] = jwk_number(jwk, names[i][0]);
		if (bn[i] != NULL)
			(void)OSSL_PARAM_BLD_push_BN(bld, names[i][1], bn[i]);
	}
	if (bld != NULL)
		pkey = build("RSA", bld, !public_only);
	for (size_t i = 0; i < n; i++)
		BN_free(bn[i]);
	return pkey;
}

static EVP_PKEY *
pkey_from_jwk(const struct keymat_alg *alg, const json_t *jwk, bool public_only)
{
	const char *name = alg->family == KEYMAT_PQ
			       ? (public_only ? "pub" : "priv")
			       : (public_only ? "x" : "d");
	size_t n = 0;
	unsigned char *p;
	EVP_PKEY *pkey;

	if (alg->family == KEYMAT_EC)
		return ec_from_jwk(alg, jwk, public_only);
	if (alg->family == KEYMAT_RSA)
		return rsa_from_jwk(jwk, public_only);
	p = json_util_unbase64(json_object_get(jwk, name), true, &n);
	if (p == NULL)
		return NULL;
	pkey = from_raw(alg, p, n, public_only);
	free(p);
	return pkey;
}

/* Is the key what the algorithm says? */
static bool
is_right(const struct keymat_alg *alg, const EVP_PKEY *pkey)
{
	char group[64];
	size_t n;

	switch (alg->family) {
	case KEYMAT_PQ:
	case KEYMAT_OKP:
		return EVP_PKEY_is_a(pkey, alg->group);
	case KEYMAT_RSA:
		return EVP_PKEY_is_a(pkey, "RSA") &&
		       (size_t)EVP_PKEY_get_bits(pkey) == alg->bits;
	case KEYMAT_EC:
		return EVP_PKEY_is_a(pkey, "EC") &&
		       EVP_PKEY_get_group_name(
			   pkey, group, sizeof(group), &n) == 1 &&
		       (strcmp(group, alg->group) == 0 ||
			   (strcmp(group, "prime256v1") == 0 &&
			       strcmp(alg->group, "P-256") == 0) ||
			   (strncmp(group, "secp", 4) == 0 &&
			       strncmp(group + 4, alg->group + 2, 3) == 0));
	case KEYMAT_SECRET:
		break;
	}
	return false;
}

/* Halves that do not belong together would sign, and never verify. */
static bool
is_pair(const struct keymat_alg *alg, EVP_PKEY *pkey)
{
	EVP_PKEY_CTX *ctx;
	bool ok;

	if (alg->family != KEYMAT_EC)
		return true;
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	ok = ctx != NULL && EVP_PKEY_pairwise_check(ctx) == 1;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

/* Repeatable bytes from others: a stand-in's public key from its private. */
static unsigned char *
derive(const unsigned char *p, size_t n, size_t len)
{
	static const unsigned char nonce[crypto_stream_NONCEBYTES];
	unsigned char key[crypto_stream_KEYBYTES], *out = mem_zero(len);

	(void)crypto_generichash(key, sizeof(key), p, n, NULL, 0);
	(void)crypto_stream(out, len, nonce, key);
	return out;
}

/* Bytes of a stand-in or a secret key. */
static struct keymat *
from_bytes(const struct keymat_alg *alg, const unsigned char *p, size_t n,
    bool public_only)
{
	bool hmac = alg->uses == KEYMAT_FOR_HMAC;
	struct keymat *m;

	if (alg->family == KEYMAT_SECRET &&
	    (public_only || n == 0 || (!hmac && n != alg->secret_len)))
		return NULL;
	if (alg->family == KEYMAT_PQ &&
	    (public_only ? n != alg->public_len : n < 32))
		return NULL;
	m = mem_zero(sizeof(*m));
	m->alg = alg;
	if (!public_only) {
		m->secret = (unsigned char *)mem_bytes(p, n);
		m->secret_len = n;
	}
	if (alg->family == KEYMAT_PQ) {
		m->public = public_only ? (unsigned char *)mem_bytes(p, n)
					: derive(p, n, alg->public_len);
		m->public_len = alg->public_len;
	}
	return m;
}

/* A stand-in's SubjectPublicKeyInfo. */
static struct keymat *
from_spki(const struct keymat_alg *alg, const unsigned char *p, size_t n)
{
	size_t head_len;
	unsigned char *head = keymat_spki_head(alg, &head_len);
	struct keymat *m = NULL;

	if (n == head_len + alg->public_len && memcmp(p, head, head_len) == 0)
		m = from_bytes(alg, p + head_len, alg->public_len, true);
	free(head);
	return m;
}

static struct keymat *
from_spki_pem(const struct keymat_alg *alg, const void *p, size_t n)
{
	BIO *bio = BIO_new_mem_buf(p, (int)n);
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	struct keymat *m = NULL;
	long len;

	if (bio != NULL && PEM_read_bio(bio, &name, &header, &der, &len) == 1 &&
	    strcmp(name, "PUBLIC KEY") == 0)
		m = from_spki(alg, der, (size_t)len);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	BIO_free(bio);
	return m;
}

/* {"kty":"oct","k"} and {"kty":"AKP","pub","priv"} */
static struct keymat *
bytes_from_jwk(
    const struct keymat_alg *alg, const json_t *jwk, bool public_only)
{
	const char *name = alg->family == KEYMAT_SECRET ? "k"
			   : public_only                ? "pub"
							: "priv";
	size_t n = 0;
	unsigned char *p =
	    json_util_unbase64(json_object_get(jwk, name), true, &n);
	struct keymat *m =
	    p == NULL ? NULL : from_bytes(alg, p, n, public_only);

	free(p);
	return m;
}

static struct keymat *
import_bytes(const struct keymat_alg *alg, const char *format,
    const json_t *jwk, const void *p, size_t n, bool public_only)
{
	bool spki = alg->family == KEYMAT_PQ && public_only;

	if (jwk != NULL)
		return bytes_from_jwk(alg, jwk, public_only);
	if (strcmp(format, "raw") == 0)
		return from_bytes(alg, p, n, public_only);
	if (spki && strcmp(format, "der") == 0)
		return from_spki(alg, p, n);
	if (spki && strcmp(format, "pem") == 0)
		return from_spki_pem(alg, p, n);
	return NULL;
}

static EVP_PKEY *
import_pkey(const struct keymat_alg *alg, const char *format, const json_t *jwk,
    const void *p, size_t n, bool public_only)
{
	if (jwk != NULL)
		return pkey_from_jwk(alg, jwk, public_only);
	if (strcmp(format, "raw") == 0)
		return from_raw(alg, p, n, public_only);
	if (strcmp(format, "pem") == 0)
		return from_pem(p, n, public_only);
	return from_der(p, n, public_only);
}

struct keymat *
keymat_import(const struct keymat_alg *alg, const char *format, const void *p,
    size_t n, bool public_only)
{
	struct keymat *m = NULL;
	json_error_t err;
	json_t *jwk = NULL;
	EVP_PKEY *pkey = NULL;

	if (n == 0 || n > KEYIMPORT_MAX)
		return NULL;
	if (strcmp(format, "jwk") == 0 &&
	    (jwk = json_util_parse(p, n, &err)) == NULL)
		return NULL;
	if (alg->family == KEYMAT_SECRET || !keymat_is_real(alg)) {
		m = import_bytes(alg, format, jwk, p, n, public_only);
	} else {
		pkey = import_pkey(alg, format, jwk, p, n, public_only);
		if (pkey != NULL && is_right(alg, pkey) &&
		    (public_only || is_pair(alg, pkey))) {
			m = mem_zero(sizeof(*m));
			m->alg = alg;
			m->pkey = pkey;
			pkey = NULL;
		}
	}
	if (m != NULL)
		m->public_only = public_only;
	EVP_PKEY_free(pkey);
	json_decref(jwk);
	ERR_clear_error();
	return m;
}
