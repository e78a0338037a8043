#include "config.h"

#include "verify_local.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

/* r and s of P-521, in DER: two integers of 67 bytes with their heads */
#define ECDSA_DER_MAX 160

/* One attempt; digest NULL: the algorithm has its own. */
static bool
holds(EVP_PKEY *key, const EVP_MD *digest, int rsa_padding, struct view data,
    struct view signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *params = NULL;
	bool yes = false;

	if (ctx == NULL ||
	    EVP_DigestVerifyInit(ctx, &params, digest, NULL, key) != 1)
		goto out;
	if (rsa_padding != 0 &&
	    EVP_PKEY_CTX_set_rsa_padding(params, rsa_padding) != 1)
		goto out;
	if (rsa_padding == RSA_PKCS1_PSS_PADDING &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(params, RSA_PSS_SALTLEN_AUTO) != 1)
		goto out;
	yes = EVP_DigestVerify(ctx, signature.p, signature.len, data.p,
	    data.len) == 1;
out:
	EVP_MD_CTX_free(ctx);
	return yes;
}

static const struct {
	const char *name;
	const EVP_MD *(*digest)(void);
	size_t bytes;		/* of r and of s */
} curves[] = {
	{ "prime256v1", EVP_sha256, 32 },
	{ "secp384r1", EVP_sha384, 48 },
	{ "secp521r1", EVP_sha512, 66 },
};

/* Two numbers side by side (IEEE P1363) as DER has them; empty: no memory. */
static struct view
to_der(struct view pair, uint8_t buf[ECDSA_DER_MAX])
{
	struct view der = { NULL, 0 };
	size_t half = pair.len / 2;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(pair.p, (int)half, NULL);
	BIGNUM *s = BN_bin2bn(pair.p + half, (int)half, NULL);
	uint8_t *end = buf;
	int len;

	if (sig == NULL || r == NULL || s == NULL ||
	    ECDSA_SIG_set0(sig, r, s) != 1) {
		BN_free(r);
		BN_free(s);
		ECDSA_SIG_free(sig);
		return der;
	}
	len = i2d_ECDSA_SIG(sig, NULL);
	if (len > 0 && len <= ECDSA_DER_MAX &&
	    i2d_ECDSA_SIG(sig, &end) == len) {
		der.p = buf;
		der.len = (size_t)len;
	}
	ECDSA_SIG_free(sig);
	return der;
}

static enum verify_verdict
verify_ecdsa(EVP_PKEY *key, struct view data, struct view signature)
{
	uint8_t buf[ECDSA_DER_MAX];
	char name[32];
	struct view der;
	size_t i;

	if (EVP_PKEY_get_group_name(key, name, sizeof(name), NULL) != 1)
		return VERIFY_UNKNOWN;
	for (i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
		if (strcmp(curves[i].name, name) != 0)
			continue;
		if (holds(key, curves[i].digest(), 0, data, signature))
			return VERIFY_VALID;
		if (signature.len != 2 * curves[i].bytes)
			return VERIFY_OTHER;
		der = to_der(signature, buf);
		return der.len > 0 && holds(key, curves[i].digest(), 0, data,
		    der) ? VERIFY_VALID : VERIFY_OTHER;
	}
	return VERIFY_UNKNOWN;
}

static enum verify_verdict
verify_rsa(EVP_PKEY *key, struct view data, struct view signature)
{
	return holds(key, EVP_sha256(), RSA_PKCS1_PADDING, data, signature) ||
	    holds(key, EVP_sha256(), RSA_PKCS1_PSS_PADDING, data, signature)
	    ? VERIFY_VALID : VERIFY_OTHER;
}

static bool
is_ml_dsa(const EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "ML-DSA-44") == 1 ||
	    EVP_PKEY_is_a(key, "ML-DSA-65") == 1 ||
	    EVP_PKEY_is_a(key, "ML-DSA-87") == 1;
}

enum verify_verdict
verify_local(struct view spki, struct view data, struct view signature)
{
	enum verify_verdict verdict = VERIFY_UNKNOWN;
	const unsigned char *p = spki.p;
	EVP_PKEY *key;

	if (spki.len == 0 || spki.len > 65536)
		return VERIFY_UNKNOWN;
	key = d2i_PUBKEY(NULL, &p, (long)spki.len);
	if (key != NULL && p == spki.p + spki.len) {
		if (EVP_PKEY_is_a(key, "ED25519") == 1)
			verdict = holds(key, NULL, 0, data, signature)
			    ? VERIFY_VALID : VERIFY_INVALID;
		else if (EVP_PKEY_is_a(key, "EC") == 1)
			verdict = verify_ecdsa(key, data, signature);
		else if (EVP_PKEY_is_a(key, "RSA") == 1)
			verdict = verify_rsa(key, data, signature);
		else if (is_ml_dsa(key))
			verdict = holds(key, NULL, 0, data, signature)
			    ? VERIFY_VALID : VERIFY_OTHER;
	}
	EVP_PKEY_free(key);
	/* what did not fit is no error of the next who looks */
	ERR_clear_error();
	return verdict;
}
