#include "keyuse.h"

#include "keymat.h"
#include "mem.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define CEK_LEN 32 /* of the AES-256-GCM keys behind an encapsulated key */
#define X25519_LEN 32
#define SALT_LEN 32 /* of a stand-in's signature */

void
keyuse_sealed_done(struct keyuse_sealed *s)
{
	free(s->ek);
	free(s->c);
	memset(s, 0, sizeof(*s));
}

/* ML-KEM: the sizes of FIPS 203, by that of the public key. */
static size_t
mlkem_len(const struct keymat_alg *alg)
{
	return alg->public_len == 800    ? 768
	       : alg->public_len == 1184 ? 1088
					 : 1568;
}

/* ML-DSA and SLH-DSA: FIPS 204 and 205. */
static size_t
pq_signature_len(const struct keymat_alg *alg)
{
	switch (alg->public_len) {
	case 1312:
		return 2420;
	case 1952:
		return 3309;
	case 2592:
		return 4627;
	default:
		return 7856;
	}
}

size_t
keyuse_ek_len(const struct keymat *m)
{
	switch (m->alg->family) {
	case KEYMAT_PQ:
		return mlkem_len(m->alg);
	case KEYMAT_OKP:
		return X25519_LEN;
	case KEYMAT_RSA:
		return (size_t)EVP_PKEY_get_size(m->pkey);
	case KEYMAT_EC:
	case KEYMAT_SECRET:
		break;
	}
	return 0;
}

bool
keyuse_has_private(const struct keymat *m)
{
	return m->secret != NULL || (m->pkey != NULL && !m->public_only);
}

/* HKDF-SHA256 (RFC 5869) with the encapsulated key as its salt. */
static void
derive(const unsigned char *shared, size_t n, const unsigned char *ek,
    size_t ek_len, unsigned char ret_cek[CEK_LEN])
{
	static const unsigned char info[] = "qapi-sandbox\x01"; /* block 1 */
	crypto_auth_hmacsha256_state st;
	unsigned char prk[crypto_auth_hmacsha256_BYTES];

	(void)crypto_auth_hmacsha256_init(&st, ek, ek_len);
	(void)crypto_auth_hmacsha256_update(&st, shared, n);
	(void)crypto_auth_hmacsha256_final(&st, prk);
	(void)crypto_auth_hmacsha256_init(&st, prk, sizeof(prk));
	(void)crypto_auth_hmacsha256_update(&st, info, sizeof(info) - 1);
	(void)crypto_auth_hmacsha256_final(&st, ret_cek);
}

/* X25519 of one key's private half and the raw public half of another. */
static bool
agree(EVP_PKEY *own, const unsigned char *other, unsigned char *ret_shared)
{
	EVP_PKEY *peer =
	    EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, other, 32);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	size_t n = X25519_LEN;
	bool ok;

	ok = peer != NULL && ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
	     EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
	     EVP_PKEY_derive(ctx, ret_shared, &n) == 1;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	return ok;
}

static bool
x25519_encapsulate(const struct keymat *m, unsigned char *ek,
    unsigned char *ret_shared)
{
	EVP_PKEY *own = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	unsigned char to[X25519_LEN];
	size_t n = sizeof(to), len = X25519_LEN;
	bool ok = own != NULL &&
		  EVP_PKEY_get_raw_public_key(m->pkey, to, &n) == 1 &&
		  EVP_PKEY_get_raw_public_key(own, ek, &len) == 1 &&
		  agree(own, to, ret_shared);

	EVP_PKEY_free(own);
	return ok;
}

/* open: the other way round, ek to shared. */
static bool
mlkem(const struct keymat *m, bool open, unsigned char *ek, size_t ek_len,
    unsigned char *ret_shared)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, m->pkey, NULL);
	size_t n = CEK_LEN;
	bool ok = false;

	if (ctx != NULL && open)
		ok = EVP_PKEY_decapsulate_init(ctx, NULL) == 1 &&
		     EVP_PKEY_decapsulate(ctx, ret_shared, &n, ek, ek_len) == 1;
	else if (ctx != NULL)
		ok = EVP_PKEY_encapsulate_init(ctx, NULL) == 1 &&
		     EVP_PKEY_encapsulate(ctx, ek, &ek_len, ret_shared, &n) ==
			 1;
	EVP_PKEY_CTX_free(ctx);
	return ok && n == CEK_LEN;
}

/* RSA-OAEP; ret_out has room for the modulus. */
static bool
oaep(const struct keymat *m, bool open, const unsigned char *in, size_t in_len,
    unsigned char *ret_out, size_t *ret_len)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, m->pkey, NULL);
	bool ok;

	*ret_len = (size_t)EVP_PKEY_get_size(m->pkey);
	ok = ctx != NULL &&
	     (open ? EVP_PKEY_decrypt_init(ctx) : EVP_PKEY_encrypt_init(ctx)) ==
		 1 &&
	     EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
	     EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
	     EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1 &&
	     (open ? EVP_PKEY_decrypt(ctx, ret_out, ret_len, in, in_len)
		   : EVP_PKEY_encrypt(ctx, ret_out, ret_len, in, in_len)) == 1;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

unsigned char *
keyuse_oaep_open(
    const struct keymat *m, const void *p, size_t n, size_t *ret_len)
{
	unsigned char *out;

	if (m->alg->family != KEYMAT_RSA)
		return NULL;
	out = mem_zero((size_t)EVP_PKEY_get_size(m->pkey));
	if (!oaep(m, true, p, n, out, ret_len)) {
		free(out);
		out = NULL;
	}
	ERR_clear_error();
	return out;
}

/* A content key, and how its owner gets at it. */
static bool
encapsulate(const struct keymat *m, unsigned char *ek, size_t ek_len,
    unsigned char ret_cek[CEK_LEN])
{
	unsigned char shared[CEK_LEN];
	size_t n;

	if (m->alg->family == KEYMAT_RSA) {
		randombytes_buf(ret_cek, CEK_LEN);
		return oaep(m, false, ret_cek, CEK_LEN, ek, &n) && n == ek_len;
	}
	if (keymat_is_stand_in(m)) {
		randombytes_buf(ek, ek_len);
		derive(m->public, m->public_len, ek, ek_len, ret_cek);
		return true;
	}
	if (m->alg->family == KEYMAT_OKP ? !x25519_encapsulate(m, ek, shared)
					 : !mlkem(m, false, ek, ek_len, shared))
		return false;
	derive(shared, sizeof(shared), ek, ek_len, ret_cek);
	return true;
}

static bool
decapsulate(const struct keymat *m, unsigned char *ek, size_t ek_len,
    unsigned char ret_cek[CEK_LEN])
{
	unsigned char shared[CEK_LEN], *p;
	size_t n;

	if (m->alg->family == KEYMAT_RSA) {
		if ((p = keyuse_oaep_open(m, ek, ek_len, &n)) == NULL)
			return false;
		if (n == CEK_LEN)
			memcpy(ret_cek, p, CEK_LEN);
		free(p);
		return n == CEK_LEN;
	}
	if (keymat_is_stand_in(m)) {
		derive(m->public, m->public_len, ek, ek_len, ret_cek);
		return true;
	}
	if (m->alg->family == KEYMAT_OKP ? !agree(m->pkey, ek, shared)
					 : !mlkem(m, true, ek, ek_len, shared))
		return false;
	derive(shared, sizeof(shared), ek, ek_len, ret_cek);
	return true;
}

static const EVP_CIPHER *
gcm(size_t key_len)
{
	return key_len == 16   ? EVP_aes_128_gcm()
	       : key_len == 24 ? EVP_aes_192_gcm()
			       : EVP_aes_256_gcm();
}

/* seal: in to out, and sets the tag; else the other way round, and checks it */
static bool
aead(bool seal, const unsigned char *key, size_t key_len,
    struct keyuse_sealed *s, const void *aad, size_t aad_len,
    const unsigned char *in, unsigned char *out, size_t n)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char none;
	int len;
	bool ok;

	ok = ctx != NULL && n <= INT_MAX && aad_len <= INT_MAX &&
	     EVP_CipherInit_ex(
		 ctx, gcm(key_len), NULL, key, s->nonce, seal) == 1 &&
	     (aad_len == 0 ||
		 EVP_CipherUpdate(ctx, NULL, &len, aad, (int)aad_len) == 1) &&
	     (n == 0 || EVP_CipherUpdate(ctx, out, &len, in, (int)n) == 1) &&
	     (seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG,
			  KEYUSE_TAG, s->tag) == 1) &&
	     EVP_CipherFinal_ex(ctx, &none, &len) == 1 &&
	     (!seal || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG,
			   KEYUSE_TAG, s->tag) == 1);
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

bool
keyuse_seal(const struct keymat *m, const void *p, size_t n, const void *aad,
    size_t aad_len, struct keyuse_sealed *ret_s)
{
	struct keyuse_sealed s = {0};
	unsigned char cek[CEK_LEN];
	const unsigned char *key = cek;
	size_t key_len = sizeof(cek);
	bool ok = true;

	if (m->alg->family == KEYMAT_SECRET) {
		key = m->secret;
		key_len = m->secret_len;
	} else {
		s.ek_len = keyuse_ek_len(m);
		s.ek = mem_zero(s.ek_len);
		ok = encapsulate(m, s.ek, s.ek_len, cek);
	}
	randombytes_buf(s.nonce, sizeof(s.nonce));
	s.c = mem_zero(n);
	s.c_len = n;
	ok = ok && aead(true, key, key_len, &s, aad, aad_len, p, s.c, n);
	ERR_clear_error();
	if (ok)
		*ret_s = s;
	else
		keyuse_sealed_done(&s);
	return ok;
}

bool
keyuse_open(const struct keymat *m, const struct keyuse_sealed *sealed,
    const void *aad, size_t aad_len, unsigned char **ret_p, size_t *ret_len)
{
	struct keyuse_sealed s = *sealed;
	unsigned char cek[CEK_LEN], *out;
	const unsigned char *key = cek;
	size_t key_len = sizeof(cek);

	if (s.ek_len != keyuse_ek_len(m))
		return false;
	if (m->alg->family == KEYMAT_SECRET) {
		key = m->secret;
		key_len = m->secret_len;
	} else if (!decapsulate(m, s.ek, s.ek_len, cek)) {
		ERR_clear_error();
		return false;
	}
	out = mem_zero(s.c_len);
	if (!aead(false, key, key_len, &s, aad, aad_len, s.c, out, s.c_len)) {
		free(out);
		ERR_clear_error();
		return false;
	}
	*ret_p = out;
	*ret_len = s.c_len;
	return true;
}

/*
 * A stand-in's signature: a salt, and bytes that follow from it, the message
 * and the public half, so that a key imported as public can verify.
 */
static void
stand_in_signature(const struct keymat *m, const void *p, size_t n,
    unsigned char *sig, size_t len)
{
	static const unsigned char nonce[crypto_stream_NONCEBYTES];
	unsigned char key[crypto_stream_KEYBYTES];
	crypto_generichash_state st;

	(void)crypto_generichash_init(&st, NULL, 0, sizeof(key));
	(void)crypto_generichash_update(&st, m->public, m->public_len);
	(void)crypto_generichash_update(&st, sig, SALT_LEN);
	(void)crypto_generichash_update(&st, p, n);
	(void)crypto_generichash_final(&st, key, sizeof(key));
	(void)crypto_stream(sig + SALT_LEN, len - SALT_LEN, nonce, key);
}

/* The hash that is signed; NULL: the scheme brings its own. */
static const char *
digest(const struct keymat_alg *alg)
{
	if (alg->family == KEYMAT_RSA)
		return "SHA256";
	if (alg->family != KEYMAT_EC)
		return NULL;
	return alg->public_len == 65   ? "SHA256"
	       : alg->public_len == 97 ? "SHA384"
				       : "SHA512";
}

/* Ready to sign, or to verify; NULL: OpenSSL failed. */
static EVP_MD_CTX *
begin(const struct keymat *m, bool sign)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL; /* ctx owns it */
	const char *md = digest(m->alg);
	bool ok;

	ok = ctx != NULL && (sign ? EVP_DigestSignInit_ex(ctx, &pctx, md, NULL,
					NULL, m->pkey, NULL)
				  : EVP_DigestVerifyInit_ex(ctx, &pctx, md,
					NULL, NULL, m->pkey, NULL)) == 1;
	if (ok && m->alg->family == KEYMAT_RSA)
		ok = EVP_PKEY_CTX_set_rsa_padding(
			 pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(
			 pctx, RSA_PSS_SALTLEN_DIGEST) == 1;
	if (ok)
		return ctx;
	EVP_MD_CTX_free(ctx);
	return NULL;
}

unsigned char *
keyuse_sign(const struct keymat *m, const void *p, size_t n, size_t *ret_len)
{
	unsigned char *sig = NULL;
	size_t len;
	EVP_MD_CTX *ctx;

	if (!keyuse_has_private(m))
		return NULL;
	if (keymat_is_stand_in(m)) {
		len = pq_signature_len(m->alg);
		sig = mem_zero(len);
		randombytes_buf(sig, SALT_LEN);
		stand_in_signature(m, p, n, sig, len);
		*ret_len = len;
		return sig;
	}
	if ((ctx = begin(m, true)) != NULL &&
	    EVP_DigestSign(ctx, NULL, &len, p, n) == 1) {
		sig = mem_zero(len);
		if (EVP_DigestSign(ctx, sig, &len, p, n) != 1) {
			free(sig);
			sig = NULL;
		}
	}
	*ret_len = sig == NULL ? 0 : len;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return sig;
}

bool
keyuse_verify(const struct keymat *m, const void *p, size_t n, const void *sig,
    size_t sig_len)
{
	unsigned char *want;
	EVP_MD_CTX *ctx;
	bool ok;

	if (keymat_is_stand_in(m)) {
		if (sig_len != pq_signature_len(m->alg))
			return false;
		want = (unsigned char *)mem_bytes(sig, sig_len);
		stand_in_signature(m, p, n, want, sig_len);
		ok = sodium_memcmp(want, sig, sig_len) == 0;
		free(want);
		return ok;
	}
	ctx = begin(m, false);
	ok = ctx != NULL && EVP_DigestVerify(ctx, sig, sig_len, p, n) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

size_t
keyuse_mac(const struct keymat *m, int bits, const void *p, size_t n,
    unsigned char *ret_mac)
{
	const EVP_MD *md = bits == 256   ? EVP_sha256()
			   : bits == 384 ? EVP_sha384()
					 : EVP_sha512();
	unsigned int len = 0;

	if (m->secret_len > INT_MAX ||
	    HMAC(md, m->secret, (int)m->secret_len, p, n, ret_mac, &len) ==
		NULL)
		return 0;
	return len;
}
