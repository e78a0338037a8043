#include "keymat.h"

#include "json_util.h"
#include "mem.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ENC KEYMAT_FOR_ENCRYPTION
#define SIG KEYMAT_FOR_SIGNING
#define MAC KEYMAT_FOR_HMAC

static const struct keymat_alg algs[] = {
    {"ML-KEM-512", KEYMAT_PQ, ENC, "ML-KEM-512", 0, 800, 1632, {4, 1}},
    {"ML-KEM-768", KEYMAT_PQ, ENC, "ML-KEM-768", 0, 1184, 2400, {4, 2}},
    {"ML-KEM-1024", KEYMAT_PQ, ENC, "ML-KEM-1024", 0, 1568, 3168, {4, 3}},
    {"ML-DSA-44", KEYMAT_PQ, SIG, "ML-DSA-44", 0, 1312, 2560, {3, 17}},
    {"ML-DSA-65", KEYMAT_PQ, SIG, "ML-DSA-65", 0, 1952, 4032, {3, 18}},
    {"ML-DSA-87", KEYMAT_PQ, SIG, "ML-DSA-87", 0, 2592, 4896, {3, 19}},
    {"SLH-DSA-128s", KEYMAT_PQ, SIG, "SLH-DSA-SHA2-128s", 0, 32, 64, {3, 20}},
    {"Ed25519", KEYMAT_OKP, SIG, "ED25519", 0, 32, 0, {0}},
    {"X25519", KEYMAT_OKP, ENC, "X25519", 0, 32, 0, {0}},
    {"RSA-2048", KEYMAT_RSA, ENC | SIG, "RSA", 2048, 0, 0, {0}},
    {"RSA-3072", KEYMAT_RSA, ENC | SIG, "RSA", 3072, 0, 0, {0}},
    {"RSA-4096", KEYMAT_RSA, ENC | SIG, "RSA", 4096, 0, 0, {0}},
    {"ECDSA-P256", KEYMAT_EC, SIG, "P-256", 0, 65, 0, {0}},
    {"ECDSA-P384", KEYMAT_EC, SIG, "P-384", 0, 97, 0, {0}},
    {"ECDSA-P521", KEYMAT_EC, SIG, "P-521", 0, 133, 0, {0}},
    {"AES-128-GCM", KEYMAT_SECRET, ENC, NULL, 0, 0, 16, {0}},
    {"AES-192-GCM", KEYMAT_SECRET, ENC, NULL, 0, 0, 24, {0}},
    {"AES-256-GCM", KEYMAT_SECRET, ENC, NULL, 0, 0, 32, {0}},
    {"HMAC-SHA256", KEYMAT_SECRET, MAC, NULL, 0, 0, 32, {0}},
    {"HMAC-SHA384", KEYMAT_SECRET, MAC, NULL, 0, 0, 48, {0}},
    {"HMAC-SHA512", KEYMAT_SECRET, MAC, NULL, 0, 0, 64, {0}},
};

/* Only some names are known for certain, so take what people write. */
static const char *const aliases[][2] = {
    {"SLH-DSA-SHA2-128s", "SLH-DSA-128s"},
    {"RSA", "RSA-2048"},
    {"ECDSA", "ECDSA-P256"},
    {"ECDSA-P-256", "ECDSA-P256"},
    {"ECDSA-P-384", "ECDSA-P384"},
    {"ECDSA-P-521", "ECDSA-P521"},
    {"P-256", "ECDSA-P256"},
    {"P-384", "ECDSA-P384"},
    {"P-521", "ECDSA-P521"},
    {"EdDSA", "Ed25519"},
    {"AES-128", "AES-128-GCM"},
    {"AES-256", "AES-256-GCM"},
    {"AES", "AES-256-GCM"},
    {"HMAC", "HMAC-SHA256"},
};

const struct keymat_alg *
keymat_alg(const char *name)
{
	for (size_t i = 0; i < sizeof(aliases) / sizeof(*aliases); i++) {
		if (strcasecmp(name, aliases[i][0]) == 0)
			name = aliases[i][1];
	}
	for (size_t i = 0; i < sizeof(algs) / sizeof(*algs); i++) {
		if (strcasecmp(name, algs[i].name) == 0)
			return &algs[i];
	}
	return NULL;
}

unsigned int
keymat_use(const char *key_type)
{
	if (strcmp(key_type, "encryption") == 0)
		return KEYMAT_FOR_ENCRYPTION;
	if (strcmp(key_type, "signing") == 0)
		return KEYMAT_FOR_SIGNING;
	return strcmp(key_type, "hmac") == 0 ? KEYMAT_FOR_HMAC : 0;
}

bool
keymat_is_real(const struct keymat_alg *alg)
{
	EVP_PKEY_CTX *ctx;

	if (alg->family != KEYMAT_PQ)
		return true;
	ctx = EVP_PKEY_CTX_new_from_name(NULL, alg->group, NULL);
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ctx != NULL;
}

bool
keymat_is_stand_in(const struct keymat *m)
{
	return m->alg->family == KEYMAT_PQ && m->pkey == NULL;
}

static unsigned char *
random_bytes(size_t n)
{
	unsigned char *p = mem_zero(n);

	randombytes_buf(p, n);
	return p;
}

/* EVP_PKEY_Q_keygen() of OpenSSL 3.0 does not take any name. */
static EVP_PKEY *
generate_pq(const struct keymat_alg *alg)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, alg->group, NULL);
	EVP_PKEY *pkey = NULL;

	if (ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1)
		(void)EVP_PKEY_generate(ctx, &pkey);
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static EVP_PKEY *
generate_pkey(const struct keymat_alg *alg)
{
	switch (alg->family) {
	case KEYMAT_OKP:
		return EVP_PKEY_Q_keygen(NULL, NULL, alg->group);
	case KEYMAT_EC:
		return EVP_PKEY_Q_keygen(NULL, NULL, "EC", alg->group);
	case KEYMAT_RSA:
		return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", alg->bits);
	case KEYMAT_PQ:
		return generate_pq(alg);
	case KEYMAT_SECRET:
		break;
	}
	return NULL;
}

struct keymat *
keymat_generate(const struct keymat_alg *alg)
{
	struct keymat *m = mem_zero(sizeof(*m));

	m->alg = alg;
	if (alg->family != KEYMAT_SECRET && keymat_is_real(alg)) {
		if ((m->pkey = generate_pkey(alg)) == NULL) {
			free(m);
			return NULL;
		}
		return m;
	}
	m->secret_len = alg->secret_len;
	m->secret = random_bytes(m->secret_len);
	if (alg->family == KEYMAT_PQ) {
		m->public_len = alg->public_len;
		m->public = random_bytes(m->public_len);
	}
	return m;
}

void
keymat_free(struct keymat *m)
{
	if (m == NULL)
		return;
	EVP_PKEY_free(m->pkey);
	free(m->secret);
	free(m->public);
	free(m);
}

/* What OpenSSL has allocated, as memory that free() takes. */
static unsigned char *
take(unsigned char *der, int n, size_t *ret_len)
{
	unsigned char *p = NULL;

	if (n > 0) {
		*ret_len = (size_t)n;
		p = (unsigned char *)mem_bytes(der, (size_t)n);
	}
	OPENSSL_free(der);
	return p;
}

unsigned char *
keymat_raw(const struct keymat *m, size_t *ret_len)
{
	unsigned char *der = NULL;
	size_t n;
	int der_len;

	if (keymat_is_stand_in(m)) {
		*ret_len = m->public_len;
		return (unsigned char *)mem_bytes(m->public, m->public_len);
	}
	switch (m->alg->family) {
	case KEYMAT_PQ:
	case KEYMAT_OKP:
		n = m->alg->public_len;
		der = mem_zero(n);
		if (EVP_PKEY_get_raw_public_key(m->pkey, der, &n) == 1) {
			*ret_len = n;
			return der;
		}
		free(der);
		return NULL;
	case KEYMAT_EC:
	case KEYMAT_RSA:
		der_len = i2d_PublicKey(m->pkey, &der);
		return take(der, der_len, ret_len);
	case KEYMAT_SECRET:
		break;
	}
	return NULL;
}

/* DER: tag and length. */
static void
der_head(struct text *out, unsigned char tag, size_t n)
{
	unsigned char b[4] = {
	    tag, 0x82, (unsigned char)(n >> 8), (unsigned char)n};

	if (n < 0x80) {
		b[1] = (unsigned char)n;
		text_add(out, b, 2);
	} else if (n < 0x100) {
		b[1] = 0x81;
		b[2] = (unsigned char)n;
		text_add(out, b, 3);
	} else {
		text_add(out, b, 4);
	}
}

unsigned char *
keymat_spki_head(const struct keymat_alg *alg, size_t *ret_len)
{
	/* SEQUENCE { OID 2.16.840.1.101.3.4.x.y }, without parameters. */
	unsigned char id[] = {0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
	    0x65, 0x03, 0x04, alg->oid[0], alg->oid[1]};
	struct text bits = {0}, out = {0};

	der_head(&bits, 0x03, alg->public_len + 1);
	text_char(&bits, '\0'); /* no unused bits */
	der_head(&out, 0x30, sizeof(id) + bits.len + alg->public_len);
	text_add(&out, id, sizeof(id));
	text_add(&out, bits.p, bits.len);
	text_done(&bits);
	*ret_len = out.len;
	return (unsigned char *)out.p;
}

unsigned char *
keymat_der(const struct keymat *m, size_t *ret_len)
{
	unsigned char *der = NULL;
	struct text out = {0};
	size_t n;
	int der_len;

	if (m->pkey != NULL) {
		der_len = i2d_PUBKEY(m->pkey, &der);
		return take(der, der_len, ret_len);
	}
	if (m->public == NULL)
		return NULL;
	der = keymat_spki_head(m->alg, &n);
	text_add(&out, der, n);
	text_add(&out, m->public, m->public_len);
	free(der);
	*ret_len = out.len;
	return (unsigned char *)out.p;
}

char *
keymat_pem(const struct keymat *m)
{
	struct text out = {0};
	size_t n, len;
	unsigned char *der = keymat_der(m, &n);
	json_t *base64;
	const char *s;

	if (der == NULL)
		return NULL;
	base64 = json_util_base64(der, n);
	free(der);
	s = json_string_value(base64);
	len = json_string_length(base64);
	text_str(&out, "-----BEGIN PUBLIC KEY-----\n");
	for (size_t i = 0; i < len; i += 64) {
		text_add(&out, s + i, len - i < 64 ? len - i : 64);
		text_char(&out, '\n');
	}
	text_str(&out, "-----END PUBLIC KEY-----\n");
	json_decref(base64);
	return out.p;
}

/* A number of the key as base64url; len 0: without leading zeros. */
static json_t *
jwk_number(const struct keymat *m, const char *param, size_t len)
{
	BIGNUM *bn = NULL;
	unsigned char buf[1024];
	json_t *v = NULL;
	int n;

	if (EVP_PKEY_get_bn_param(m->pkey, param, &bn) != 1)
		return NULL;
	n = len == 0 ? BN_num_bytes(bn) : (int)len;
	if ((size_t)n <= sizeof(buf) && BN_bn2binpad(bn, buf, n) == n)
		v = json_util_base64url(buf, (size_t)n);
	BN_free(bn);
	return v;
}

static json_t *
jwk_bytes(const struct keymat *m)
{
	size_t n = 0;
	unsigned char *raw = keymat_raw(m, &n);
	json_t *v = json_util_base64url(raw, n);

	free(raw);
	return v;
}

static json_t *
jwk_ec(const struct keymat *m)
{
	size_t n = (m->alg->public_len - 1) / 2;

	return json_pack("{s:s, s:s, s:o, s:o}", "kty", "EC", "crv",
	    m->alg->group, "x", jwk_number(m, OSSL_PKEY_PARAM_EC_PUB_X, n), "y",
	    jwk_number(m, OSSL_PKEY_PARAM_EC_PUB_Y, n));
}

json_t *
keymat_jwk(const struct keymat *m, const char *kid)
{
	json_t *jwk = NULL;
	bool sign = m->alg->uses == KEYMAT_FOR_SIGNING;

	switch (m->alg->family) {
	case KEYMAT_PQ:
		/* As the drafts for ML-DSA have it; others by analogy. */
		jwk = json_pack("{s:s, s:s, s:o}", "kty", "AKP", "alg",
		    m->alg->name, "pub", jwk_bytes(m));
		break;
	case KEYMAT_OKP:
		jwk = json_pack("{s:s, s:s, s:o}", "kty", "OKP", "crv",
		    m->alg->name, "x", jwk_bytes(m));
		if (sign)
			json_object_set_new(jwk, "alg", json_string("EdDSA"));
		break;
	case KEYMAT_EC:
		jwk = jwk_ec(m);
		break;
	case KEYMAT_RSA:
		jwk = json_pack("{s:s, s:o, s:o}", "kty", "RSA", "n",
		    jwk_number(m, OSSL_PKEY_PARAM_RSA_N, 0), "e",
		    jwk_number(m, OSSL_PKEY_PARAM_RSA_E, 0));
		break;
	case KEYMAT_SECRET:
		return NULL;
	}
	if (jwk != NULL)
		json_object_set_new(jwk, "kid", json_string(kid));
	return jwk;
}
