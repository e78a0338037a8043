#include "pkicert.h"

#include "keymat.h"
#include "mem.h"
#include "asset.h"

#include <ctype.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SERIAL_BYTES 16

bool
pkicert_alg(const struct keymat_alg *alg)
{
	return alg != NULL && (alg->uses & KEYMAT_FOR_SIGNING) &&
	       (alg->family == KEYMAT_OKP || alg->family == KEYMAT_EC ||
		   alg->family == KEYMAT_RSA);
}

/* The digest that goes with a key; NULL: Ed25519 has its own. */
static const EVP_MD *
digest(EVP_PKEY *key)
{
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
		return NULL;
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ||
	    EVP_PKEY_get_bits(key) <= 256)
		return EVP_sha256();
	return EVP_PKEY_get_bits(key) <= 384 ? EVP_sha384() : EVP_sha512();
}

/* --- names --- */

static bool
add_part(X509_NAME *name, const char *type, const char *value)
{
	return *value != '\0' &&
	       X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8,
		   (const unsigned char *)value, -1, -1, 0) == 1;
}

/* One "TYPE=VALUE"; text is changed, *ret_rest is what follows its comma. */
static bool
take_part(char *text, X509_NAME *name, char **ret_rest)
{
	char *value = strchr(text, '='), *in, *out;

	text += strspn(text, " ");
	if (value == NULL)
		return false;
	*value++ = '\0';
	for (in = out = value; *in != '\0' && *in != ','; in++) {
		if (*in == '\\' && in[1] != '\0')
			in++;
		*out++ = *in;
	}
	*ret_rest = *in == ',' ? in + 1 : NULL;
	*out = '\0';
	return add_part(name, text, value);
}

X509_NAME *
pkicert_common_name(const char *cn)
{
	X509_NAME *name = X509_NAME_new();

	if (name != NULL && !add_part(name, "CN", cn)) {
		X509_NAME_free(name);
		name = NULL;
	}
	ERR_clear_error();
	return name;
}

X509_NAME *
pkicert_subject(const char *text)
{
	X509_NAME *name;
	char *copy, *rest;
	bool ok;

	if (strchr(text, '=') == NULL)
		return pkicert_common_name(text);
	name = X509_NAME_new();
	rest = copy = mem_str(text);
	ok = name != NULL;
	while (ok && rest != NULL)
		ok = take_part(rest, name, &rest);
	free(copy);
	if (!ok) {
		X509_NAME_free(name);
		name = NULL;
	}
	ERR_clear_error();
	return name;
}

json_t *
pkicert_cn_of(X509_NAME *name)
{
	int i = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	unsigned char *utf8 = NULL;
	json_t *v;
	int n;

	if (i < 0)
		return json_null();
	n = ASN1_STRING_to_UTF8(&utf8,
	    X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
	v = n < 0 ? NULL : json_stringn((const char *)utf8, (size_t)n);
	OPENSSL_free(utf8);
	return v == NULL ? json_null() : v;
}

/* --- alternative names --- */

static bool
is_ascii(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s <= ' ' || *s > '~')
			return false;
	}
	return true;
}

static bool
is_dns(const char *s)
{
	if (*s == '\0' || strlen(s) > 253)
		return false;
	for (; *s != '\0'; s++) {
		if (!isalnum((unsigned char)*s) && strchr("-._*", *s) == NULL)
			return false;
	}
	return true;
}

static int
text_type(const char *s)
{
	if (strstr(s, "://") != NULL)
		return GEN_URI;
	if (strchr(s, '@') != NULL)
		return GEN_EMAIL;
	return is_dns(s) ? GEN_DNS : -1;
}

static GENERAL_NAME *
alternative(const char *s)
{
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(s);
	GENERAL_NAME *name = GENERAL_NAME_new();
	int type = text_type(s);
	ASN1_IA5STRING *text;

	if (name == NULL) {
		ASN1_OCTET_STRING_free(ip);
	} else if (ip != NULL) {
		GENERAL_NAME_set0_value(name, GEN_IPADD, ip);
	} else if (type >= 0 && *s != '\0' && is_ascii(s) &&
		   (text = ASN1_IA5STRING_new()) != NULL) {
		(void)ASN1_STRING_set(text, s, -1);
		GENERAL_NAME_set0_value(name, type, text);
	} else {
		GENERAL_NAME_free(name);
		name = NULL;
	}
	ERR_clear_error();
	return name;
}

GENERAL_NAMES *
pkicert_names(const json_t *list)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();

	for (size_t i = 0; names != NULL && i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);
		const char *s = json_string_value(v);
		GENERAL_NAME *one = NULL;

		if (strlen(s) == json_string_length(v))
			one = alternative(s);
		if (one == NULL || sk_GENERAL_NAME_push(names, one) == 0) {
			GENERAL_NAME_free(one);
			GENERAL_NAMES_free(names);
			return NULL;
		}
	}
	return names;
}

GENERAL_NAMES *
pkicert_dns_name(const char *name)
{
	GENERAL_NAMES *names = NULL;
	json_t *list;

	if (!is_dns(name) || strchr(name, '.') == NULL)
		return NULL;
	list = json_pack("[s]", name);
	names = pkicert_names(list);
	json_decref(list);
	return names;
}

/* --- requests --- */

static GENERAL_NAMES *
names_of_request(X509_REQ *req)
{
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
	GENERAL_NAMES *names =
	    X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL);

	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	return names;
}

bool
pkicert_request(const char *pem, X509_NAME **ret_subject, EVP_PKEY **ret_key,
    GENERAL_NAMES **ret_names, struct asset_problem *p)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	EVP_PKEY *key = req == NULL ? NULL : X509_REQ_get_pubkey(req);
	bool ok = key != NULL && X509_REQ_verify(req, key) == 1;

	if (ok) {
		*ret_subject = X509_NAME_dup(X509_REQ_get_subject_name(req));
		*ret_names = names_of_request(req);
		*ret_key = key;
	} else {
		EVP_PKEY_free(key);
		(void)asset_fail(p, 400, "csrPem",
		    "must be a certificate request in PEM, signed by its key");
	}
	X509_REQ_free(req);
	BIO_free(bio);
	ERR_clear_error();
	return ok;
}

/* --- certificates --- */

static bool
set_serial(X509 *x)
{
	unsigned char b[SERIAL_BYTES];
	BIGNUM *bn;
	bool ok;

	randombytes_buf(b, sizeof(b));
	/* Positive, and of full length. */
	b[0] = (unsigned char)((b[0] & 0x7f) | 0x40);
	bn = BN_bin2bn(b, sizeof(b), NULL);
	ok = bn != NULL &&
	     BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) != NULL;
	BN_free(bn);
	return ok;
}

static bool
add_extension(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	bool ok = ext != NULL && X509_add_ext(x, ext, -1) == 1;

	X509_EXTENSION_free(ext);
	return ok;
}

static bool
add_extensions(X509 *x, const struct pkicert *cert)
{
	bool rsa = EVP_PKEY_get_base_id(cert->key) == EVP_PKEY_RSA;
	X509V3_CTX ctx;
	X509 *issuer =
	    cert->issuer == NULL ? x : (X509 *)(uintptr_t)cert->issuer;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	if (!add_extension(x, &ctx, NID_basic_constraints,
		cert->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE") ||
	    !add_extension(x, &ctx, NID_subject_key_identifier, "hash") ||
	    !add_extension(
		x, &ctx, NID_authority_key_identifier, "keyid:always"))
		return false;
	if (cert->is_ca)
		return add_extension(
		    x, &ctx, NID_key_usage, "critical,keyCertSign,cRLSign");
	if (cert->names != NULL &&
	    X509_add1_ext_i2d(x, NID_subject_alt_name, cert->names, 0, 0) != 1)
		return false;
	return add_extension(x, &ctx, NID_key_usage,
		   rsa ? "critical,digitalSignature,keyEncipherment"
		       : "critical,digitalSignature") &&
	       add_extension(
		   x, &ctx, NID_ext_key_usage, "serverAuth,clientAuth");
}

X509 *
pkicert_make(const struct pkicert *cert)
{
	X509 *x = X509_new();
	bool ok;

	ok = x != NULL && X509_set_version(x, X509_VERSION_3) == 1 &&
	     set_serial(x) && X509_set_subject_name(x, cert->subject) == 1 &&
	     X509_set_issuer_name(x,
		 cert->issuer == NULL ? cert->subject
				      : X509_get_subject_name(cert->issuer)) ==
		 1 &&
	     ASN1_TIME_set(X509_getm_notBefore(x), cert->not_before_s) !=
		 NULL &&
	     ASN1_TIME_set(X509_getm_notAfter(x), cert->not_after_s) != NULL &&
	     X509_set_pubkey(x, cert->key) == 1 && add_extensions(x, cert) &&
	     X509_sign(x, cert->issuer_key, digest(cert->issuer_key)) > 0;
	if (!ok) {
		X509_free(x);
		x = NULL;
	}
	ERR_clear_error();
	return x;
}

/* What has been written to bio, as a new JSON string; bio is freed. */
static json_t *
bio_string(BIO *bio)
{
	char *p = NULL;
	long n = BIO_get_mem_data(bio, &p);
	json_t *v = n > 0 ? json_stringn(p, (size_t)n) : NULL;

	BIO_free(bio);
	return v == NULL ? json_null() : v;
}

json_t *
pkicert_pem(X509 *x)
{
	BIO *bio = BIO_new(BIO_s_mem());

	(void)PEM_write_bio_X509(bio, x);
	return bio_string(bio);
}

json_t *
pkicert_private_pem(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());

	(void)PEM_write_bio_PKCS8PrivateKey(
	    bio, key, NULL, NULL, 0, NULL, NULL);
	return bio_string(bio);
}

json_t *
pkicert_serial(X509 *x)
{
	BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	char *hex = BN_bn2hex(bn);
	json_t *v = json_string(hex);

	OPENSSL_free(hex);
	BN_free(bn);
	return v;
}

/* --- revocation lists --- */

static bool
add_revoked(X509_CRL *crl, const struct pkicert_revoked *one)
{
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_TIME *at = ASN1_TIME_set(NULL, one->at_s);
	ASN1_INTEGER *serial = NULL;
	BIGNUM *bn = NULL;
	bool ok;

	ok = r != NULL && at != NULL && BN_hex2bn(&bn, one->serial) > 0 &&
	     (serial = BN_to_ASN1_INTEGER(bn, NULL)) != NULL &&
	     X509_REVOKED_set_serialNumber(r, serial) == 1 &&
	     X509_REVOKED_set_revocationDate(r, at) == 1 &&
	     X509_CRL_add0_revoked(crl, r) == 1;
	if (!ok)
		X509_REVOKED_free(r);
	ASN1_INTEGER_free(serial);
	ASN1_TIME_free(at);
	BN_free(bn);
	return ok;
}

static bool
add_crl_extensions(X509_CRL *crl, X509 *ca, long number)
{
	ASN1_INTEGER *n = ASN1_INTEGER_new();
	X509_EXTENSION *ext;
	X509V3_CTX ctx;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, ca, NULL, NULL, crl, 0);
	ext = X509V3_EXT_conf_nid(
	    NULL, &ctx, NID_authority_key_identifier, "keyid:always");
	ok = ext != NULL && X509_CRL_add_ext(crl, ext, -1) == 1 && n != NULL &&
	     ASN1_INTEGER_set(n, number) == 1 &&
	     X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, 0) == 1;
	X509_EXTENSION_free(ext);
	ASN1_INTEGER_free(n);
	return ok;
}

static bool
set_crl_times(X509_CRL *crl, int64_t now_s, int64_t next_s)
{
	ASN1_TIME *now = ASN1_TIME_set(NULL, now_s);
	ASN1_TIME *next = ASN1_TIME_set(NULL, next_s);
	bool ok = now != NULL && next != NULL &&
		  X509_CRL_set1_lastUpdate(crl, now) == 1 &&
		  X509_CRL_set1_nextUpdate(crl, next) == 1;

	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
	return ok;
}

unsigned char *
pkicert_crl(X509 *ca, EVP_PKEY *key, int64_t now_s, int64_t next_s,
    long number, const struct pkicert_revoked *revoked, size_t n_revoked,
    size_t *ret_len)
{
	X509_CRL *crl = X509_CRL_new();
	unsigned char *der = NULL, *out = NULL;
	int n = 0;
	bool ok;

	ok = crl != NULL &&
	     X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
	     X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) == 1 &&
	     set_crl_times(crl, now_s, next_s) &&
	     add_crl_extensions(crl, ca, number);
	for (size_t i = 0; ok && i < n_revoked; i++)
		ok = add_revoked(crl, &revoked[i]);
	if (ok && X509_CRL_sort(crl) == 1 &&
	    X509_CRL_sign(crl, key, digest(key)) > 0)
		n = i2d_X509_CRL(crl, &der);
	if (n > 0) {
		out = (unsigned char *)mem_bytes(der, (size_t)n);
		*ret_len = (size_t)n;
	}
	OPENSSL_free(der);
	X509_CRL_free(crl);
	ERR_clear_error();
	return out;
}
