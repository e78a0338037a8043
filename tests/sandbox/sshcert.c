#include "sshcert.h"

#include "json_util.h"
#include "keymat.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define CERT "-cert-v01@openssh.com"
#define NONCE_BYTES 32

/* What follows the type in a public key: so many strings or numbers. */
static const struct {
	const char *type;
	const char *cert_type;
	size_t n_fields;
	const char *curve; /* the first field, where there is one */
	size_t key_len;    /* of field number key_at; 0: any */
	size_t key_at;
} kinds[] = {
    {"ssh-ed25519", "ssh-ed25519" CERT, 1, NULL, 32, 0},
    {"ssh-rsa", "ssh-rsa" CERT, 2, NULL, 0, 0},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256" CERT, 2, "nistp256", 65, 1},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384" CERT, 2, "nistp384", 97, 1},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521" CERT, 2, "nistp521", 133, 1},
    {"sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519" CERT, 2, NULL, 32, 0},
    {"sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256" CERT, 3,
	"nistp256", 65, 1},
};

/* What a CA signs with. */
static const struct ca_alg {
	const char *name; /* keymat_alg's */
	const char *type; /* of the public key */
	const char *signature;
	const char *md;    /* NULL: the algorithm has its own */
	const char *curve; /* NULL: no ECDSA */
} ca_algs[] = {
    {"Ed25519", "ssh-ed25519", "ssh-ed25519", NULL, NULL},
    {"RSA-2048", "ssh-rsa", "rsa-sha2-512", "SHA512", NULL},
    {"RSA-3072", "ssh-rsa", "rsa-sha2-512", "SHA512", NULL},
    {"RSA-4096", "ssh-rsa", "rsa-sha2-512", "SHA512", NULL},
    {"ECDSA-P256", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "SHA256",
	"nistp256"},
    {"ECDSA-P384", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", "SHA384",
	"nistp384"},
    {"ECDSA-P521", "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", "SHA512",
	"nistp521"},
};

static const struct ca_alg *
ca_alg(const struct keymat_alg *alg)
{
	for (size_t i = 0; i < sizeof(ca_algs) / sizeof(*ca_algs); i++) {
		if (strcmp(ca_algs[i].name, alg->name) == 0)
			return &ca_algs[i];
	}
	return NULL;
}

bool
sshcert_alg(const struct keymat_alg *alg)
{
	return alg != NULL && ca_alg(alg) != NULL;
}

/* --- the encoding of RFC 4251 --- */

static void
put_u32(struct text *t, size_t n)
{
	unsigned char b[4] = {(unsigned char)(n >> 24),
	    (unsigned char)(n >> 16), (unsigned char)(n >> 8),
	    (unsigned char)n};

	text_add(t, b, sizeof(b));
}

static void
put_u64(struct text *t, uint64_t n)
{
	put_u32(t, (size_t)(n >> 32));
	put_u32(t, (size_t)(n & UINT32_MAX));
}

static void
put_bytes(struct text *t, const void *p, size_t n)
{
	put_u32(t, n);
	text_add(t, p, n);
}

static void
put_str(struct text *t, const char *s)
{
	put_bytes(t, s, strlen(s));
}

/* Whole texts become strings; they are freed. */
static void
put_text(struct text *t, struct text *inner)
{
	put_bytes(t, inner->p == NULL ? "" : inner->p, inner->len);
	text_done(inner);
}

/* A positive number: a zero goes before a first byte above 0x7f. */
static bool
put_number(struct text *t, const BIGNUM *bn)
{
	unsigned char b[1 + 1024];
	int n = BN_num_bytes(bn);

	if (n > 1024)
		return false;
	b[0] = 0;
	(void)BN_bn2bin(bn, b + 1);
	if (n > 0 && b[1] > 0x7f)
		put_bytes(t, b, (size_t)n + 1);
	else
		put_bytes(t, b + 1, (size_t)n);
	return true;
}

/* The string at *p, which moves behind it. false: cut short. */
static bool
take_string(const unsigned char **p, const unsigned char *end,
    const unsigned char **ret_s, size_t *ret_n)
{
	const unsigned char *s = *p;
	size_t n;

	if (end - s < 4)
		return false;
	n = (size_t)s[0] << 24 | (size_t)s[1] << 16 | (size_t)s[2] << 8 | s[3];
	s += 4;
	if ((size_t)(end - s) < n)
		return false;
	*ret_s = s;
	*ret_n = n;
	*p = s + n;
	return true;
}

/* --- public keys --- */

static bool
put_rsa(const struct keymat *m, struct text *t)
{
	BIGNUM *e = NULL, *n = NULL;
	bool ok;

	ok = EVP_PKEY_get_bn_param(m->pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
	     EVP_PKEY_get_bn_param(m->pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
	     put_number(t, e) && put_number(t, n);
	BN_free(e);
	BN_free(n);
	return ok;
}

bool
sshcert_public(const struct keymat *m, struct text *ret_blob)
{
	const struct ca_alg *alg = ca_alg(m->alg);
	unsigned char *raw;
	size_t n = 0;

	put_str(ret_blob, alg->type);
	if (m->alg->family == KEYMAT_RSA)
		return put_rsa(m, ret_blob);
	if (alg->curve != NULL)
		put_str(ret_blob, alg->curve);
	if ((raw = keymat_raw(m, &n)) == NULL)
		return false;
	put_bytes(ret_blob, raw, n);
	free(raw);
	return true;
}

json_t *
sshcert_line(const char *type, const struct text *blob)
{
	json_t *base64 = json_util_base64(blob->p, blob->len), *line;

	line = json_sprintf("%s %s", type, json_string_value(base64));
	json_decref(base64);
	return line;
}

json_t *
sshcert_fingerprint(const struct text *blob)
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	json_t *base64, *v;
	const char *s;

	crypto_hash_sha256(
	    hash, (const unsigned char *)blob->p, blob->len);
	base64 = json_util_base64(hash, sizeof(hash));
	s = json_string_value(base64);
	v = json_sprintf("SHA256:%.*s", (int)strcspn(s, "="), s);
	json_decref(base64);
	return v;
}

char *
sshcert_blob_type(const struct text *blob)
{
	const unsigned char *p = (const unsigned char *)blob->p, *s;
	size_t n;

	if (!take_string(&p, p + blob->len, &s, &n))
		return mem_str("");
	return mem_bytes(s, n);
}

/* Do the fields of a blob fit its kind? */
static bool
fields_fit(size_t kind, const unsigned char *p, const unsigned char *end)
{
	for (size_t i = 0; i < kinds[kind].n_fields; i++) {
		const char *curve = kinds[kind].curve;
		const unsigned char *s;
		size_t n;

		if (!take_string(&p, end, &s, &n) || n == 0)
			return false;
		if (i == 0 && curve != NULL &&
		    (n != strlen(curve) || memcmp(s, curve, n) != 0))
			return false;
		if (i == kinds[kind].key_at && kinds[kind].key_len != 0 &&
		    n != kinds[kind].key_len)
			return false;
	}
	return p == end;
}

static bool
parse_blob(const unsigned char *p, size_t n, struct sshcert_key *k)
{
	const unsigned char *end = p + n, *type;
	size_t type_len;

	if (!take_string(&p, end, &type, &type_len) ||
	    type_len != strlen(k->type) ||
	    memcmp(type, k->type, type_len) != 0)
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(kinds[i].type, k->type) != 0)
			continue;
		k->cert_type = kinds[i].cert_type;
		text_add(&k->fields, p, (size_t)(end - p));
		return fields_fit(i, p, end);
	}
	return false;
}

bool
sshcert_key_parse(const char *line, struct sshcert_key *ret_key)
{
	const char *blank = " \t\r\n";
	unsigned char *blob;
	size_t n = 0;
	json_t *base64;
	bool ok = false;

	memset(ret_key, 0, sizeof(*ret_key));
	line += strspn(line, blank);
	ret_key->type = mem_bytes(line, strcspn(line, blank));
	line += strlen(ret_key->type);
	line += strspn(line, blank);
	base64 = json_stringn(line, strcspn(line, blank));
	blob = json_util_unbase64(base64, false, &n);
	if (blob != NULL)
		ok = parse_blob(blob, n, ret_key);
	free(blob);
	json_decref(base64);
	return ok;
}

void
sshcert_key_done(struct sshcert_key *k)
{
	free(k->type);
	text_done(&k->fields);
	memset(k, 0, sizeof(*k));
}

/* --- certificates --- */

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Options in the order of their names; a value is a string in a string. */
static void
put_options(struct text *out, const json_t *options)
{
	size_t n = json_object_size(options), i = 0;
	const char **names = mem_zero((n + 1) * sizeof(*names));
	json_t *copy = json_copy((json_t *)(uintptr_t)options), *v;
	struct text all = {0};
	const char *name;

	json_object_foreach (copy, name, v)
		names[i++] = name;
	qsort(names, n, sizeof(*names), by_name);
	for (i = 0; i < n; i++) {
		struct text data = {0};

		v = json_object_get(copy, names[i]);
		if (json_string_length(v) != 0)
			put_bytes(&data, json_string_value(v),
			    json_string_length(v));
		put_str(&all, names[i]);
		put_text(&all, &data);
	}
	put_text(out, &all);
	free(names);
	json_decref(copy);
}

static void
put_principals(struct text *out, const json_t *principals)
{
	struct text all = {0};

	for (size_t i = 0; i < json_array_size(principals); i++) {
		const json_t *v = json_array_get(principals, i);

		put_bytes(&all, json_string_value(v), json_string_length(v));
	}
	put_text(out, &all);
}

static unsigned char *
sign(const struct keymat *m, const char *md, const struct text *data,
    size_t *ret_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const unsigned char *p = (const unsigned char *)data->p;
	unsigned char *sig = NULL;
	size_t n = 0;

	if (ctx != NULL &&
	    EVP_DigestSignInit_ex(
		ctx, NULL, md, NULL, NULL, m->pkey, NULL) == 1 &&
	    EVP_DigestSign(ctx, NULL, &n, p, data->len) == 1) {
		sig = mem_zero(n);
		if (EVP_DigestSign(ctx, sig, &n, p, data->len) != 1) {
			free(sig);
			sig = NULL;
		}
	}
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	*ret_len = n;
	return sig;
}

/* OpenSSL gives an ECDSA signature in DER; SSH has two numbers. */
static bool
put_ecdsa(struct text *out, const unsigned char *der, size_t n)
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
	struct text two = {0};
	bool ok;

	ok = sig != NULL && put_number(&two, ECDSA_SIG_get0_r(sig)) &&
	     put_number(&two, ECDSA_SIG_get0_s(sig));
	put_text(out, &two);
	ECDSA_SIG_free(sig);
	return ok;
}

static bool
put_signature(struct text *out, const struct keymat *ca)
{
	const struct ca_alg *alg = ca_alg(ca->alg);
	struct text inner = {0};
	unsigned char *sig;
	size_t n;
	bool ok = true;

	if ((sig = sign(ca, alg->md, out, &n)) == NULL)
		return false;
	put_str(&inner, alg->signature);
	if (alg->curve != NULL)
		ok = put_ecdsa(&inner, sig, n);
	else
		put_bytes(&inner, sig, n);
	put_text(out, &inner);
	free(sig);
	return ok;
}

bool
sshcert_sign(const struct sshcert *cert, struct text *ret_blob)
{
	unsigned char nonce[NONCE_BYTES];
	struct text ca = {0};

	if (!sshcert_public(cert->ca, &ca)) {
		text_done(&ca);
		return false;
	}
	randombytes_buf(nonce, sizeof(nonce));
	put_str(ret_blob, cert->key->cert_type);
	put_bytes(ret_blob, nonce, sizeof(nonce));
	text_add(ret_blob, cert->key->fields.p, cert->key->fields.len);
	put_u64(ret_blob, cert->serial);
	put_u32(ret_blob, cert->type);
	put_str(ret_blob, cert->key_id);
	put_principals(ret_blob, cert->principals);
	put_u64(ret_blob, cert->valid_after);
	put_u64(ret_blob, cert->valid_before);
	put_options(ret_blob, cert->critical_options);
	put_options(ret_blob, cert->extensions);
	put_str(ret_blob, ""); /* reserved */
	put_text(ret_blob, &ca);
	return put_signature(ret_blob, cert->ca);
}
