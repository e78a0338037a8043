/*
 * Verifying with OpenSSL what OpenSSL has signed, in every way that
 * PROTOCOL.md says is tried, and in some that are not.
 */
#include "config.h"

#include "unit.h"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "buf.h"
#include "verify_local.h"

static const char data[] = "what was signed";

struct signing {
	EVP_PKEY *key;
	unsigned char *spki;
	int spki_len;
	uint8_t signature[1024];
	size_t signature_len;
};

static void
take(struct signing *s, EVP_PKEY *key)
{
	memset(s, 0, sizeof(*s));
	assert_non_null(key);
	s->key = key;
	s->spki_len = i2d_PUBKEY(key, &s->spki);
	assert_true(s->spki_len > 0);
}

static void
drop(struct signing *s)
{
	EVP_PKEY_free(s->key);
	OPENSSL_free(s->spki);
}

/* padding: of RSA, 0 for others; salt: of PSS. */
static void
sign(struct signing *s, const EVP_MD *digest, int padding, int salt)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *params = NULL;

	assert_int_equal(EVP_DigestSignInit(ctx, &params, digest, NULL,
	    s->key), 1);
	if (padding != 0)
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(params,
		    padding), 1);
	if (padding == RSA_PKCS1_PSS_PADDING)
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(params,
		    salt), 1);
	s->signature_len = sizeof(s->signature);
	assert_int_equal(EVP_DigestSign(ctx, s->signature, &s->signature_len,
	    (const unsigned char *)data, strlen(data)), 1);
	EVP_MD_CTX_free(ctx);
}

static enum verify_verdict
verify_text(const struct signing *s, const char *text)
{
	return verify_local((struct view){ s->spki, (size_t)s->spki_len },
	    (struct view){ (const uint8_t *)text, strlen(text) },
	    (struct view){ s->signature, s->signature_len });
}

/* It holds, and no other text and no changed signature does. */
static void
assert_holds(struct signing *s, enum verify_verdict else_)
{
	assert_int_equal(verify_text(s, data), VERIFY_VALID);
	assert_int_equal(verify_text(s, "what was not signed"), else_);
	assert_int_equal(verify_text(s, ""), else_);
	s->signature[s->signature_len - 1] ^= 1;
	assert_int_equal(verify_text(s, data), else_);
	s->signature[s->signature_len - 1] ^= 1;
	s->signature_len--;
	assert_int_equal(verify_text(s, data), else_);
	s->signature_len++;
}

/* RFC 8032, 7.1, TEST 2 */
static void
test_ed25519_of_the_rfc(void **state)
{
	static const uint8_t spki[] = {
		0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03,
		0x21, 0x00,
		0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7,
		0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98, 0x2c, 0xcf,
		0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4,
		0x66, 0x0c,
	};
	static const uint8_t signature[] = {
		0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e,
		0x82, 0x0b, 0x5f, 0x64, 0x25, 0x40, 0xa2, 0xb2, 0x7b, 0x54,
		0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76, 0x22, 0x23, 0xeb, 0xdb,
		0x69, 0xda, 0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99, 0x6e,
		0x45, 0x8f, 0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c, 0x38, 0x7b,
		0x2e, 0xae, 0xb4, 0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16,
		0x12, 0xbb, 0x0c, 0x00,
	};
	const struct view key = { spki, sizeof(spki) };
	const struct view sig = { signature, sizeof(signature) };
	const uint8_t message[] = { 0x72 }, other[] = { 0x73 };

	(void)state;
	assert_int_equal(verify_local(key, (struct view){ message, 1 }, sig),
	    VERIFY_VALID);
	assert_int_equal(verify_local(key, (struct view){ other, 1 }, sig),
	    VERIFY_INVALID);
	assert_int_equal(verify_local(key, (struct view){ NULL, 0 }, sig),
	    VERIFY_INVALID);
}

static void
test_ed25519_has_no_other_scheme(void **state)
{
	struct signing s;

	(void)state;
	take(&s, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
	sign(&s, NULL, 0, 0);
	assert_holds(&s, VERIFY_INVALID);
	drop(&s);
}

/* The same signature as two numbers of the curve's size. */
static void
to_pair(struct signing *s, size_t bytes)
{
	const unsigned char *p = s->signature;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)s->signature_len);

	assert_non_null(sig);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), s->signature,
	    (int)bytes), (int)bytes);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig),
	    s->signature + bytes, (int)bytes), (int)bytes);
	s->signature_len = 2 * bytes;
	ECDSA_SIG_free(sig);
}

static void
test_ecdsa_in_both_forms(void **state)
{
	static const struct {
		const char *curve;
		size_t bytes;
	} rows[] = {
		{ "P-256", 32 }, { "P-384", 48 }, { "P-521", 66 },
	};
	const EVP_MD *digests[] = { EVP_sha256(), EVP_sha384(), EVP_sha512() };
	struct signing s;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		take(&s, EVP_EC_gen(rows[i].curve));
		sign(&s, digests[i], 0, 0);
		assert_holds(&s, VERIFY_OTHER);
		to_pair(&s, rows[i].bytes);
		assert_holds(&s, VERIFY_OTHER);
		/* another digest than the curve's: the service may know it */
		sign(&s, digests[(i + 1) % 3], 0, 0);
		assert_int_equal(verify_text(&s, data), VERIFY_OTHER);
		drop(&s);
	}
}

static void
test_rsa_in_both_paddings(void **state)
{
	struct signing s;

	(void)state;
	/* small, to be made quickly */
	take(&s, EVP_RSA_gen(1024));
	sign(&s, EVP_sha256(), RSA_PKCS1_PADDING, 0);
	assert_holds(&s, VERIFY_OTHER);
	sign(&s, EVP_sha256(), RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_DIGEST);
	assert_holds(&s, VERIFY_OTHER);
	sign(&s, EVP_sha256(), RSA_PKCS1_PSS_PADDING, 0);
	assert_holds(&s, VERIFY_OTHER);
	sign(&s, EVP_sha512(), RSA_PKCS1_PADDING, 0);
	assert_int_equal(verify_text(&s, data), VERIFY_OTHER);
	drop(&s);
}

static void
test_keys_that_cannot_be_used(void **state)
{
	struct signing s;
	uint8_t longer[256];

	(void)state;
	assert_int_equal(verify_local((struct view){ NULL, 0 },
	    (struct view){ NULL, 0 }, (struct view){ NULL, 0 }),
	    VERIFY_UNKNOWN);
	/* a key that signs nothing, and a curve that is not ours */
	take(&s, EVP_PKEY_Q_keygen(NULL, NULL, "X25519"));
	s.signature_len = 64;
	assert_int_equal(verify_text(&s, data), VERIFY_UNKNOWN);
	drop(&s);
	take(&s, EVP_EC_gen("secp256k1"));
	sign(&s, EVP_sha256(), 0, 0);
	assert_int_equal(verify_text(&s, data), VERIFY_UNKNOWN);
	drop(&s);
	/* not all of it, and more than all of it */
	take(&s, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
	sign(&s, NULL, 0, 0);
	s.spki_len--;
	assert_int_equal(verify_text(&s, data), VERIFY_UNKNOWN);
	s.spki_len++;
	memcpy(longer, s.spki, (size_t)s.spki_len);
	longer[s.spki_len] = 0;
	assert_int_equal(verify_local((struct view){ longer,
	    (size_t)s.spki_len + 1 }, (struct view){ (const uint8_t *)data,
	    strlen(data) }, (struct view){ s.signature, s.signature_len }),
	    VERIFY_UNKNOWN);
	drop(&s);
}

/* Where OpenSSL has it: FIPS 204, pure. */
static void
test_ml_dsa(void **state)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ML-DSA-65");
	EVP_MD_CTX *ctx;
	struct view spki, signature;
	unsigned char *der = NULL;
	uint8_t *sig;
	size_t len = 8192;

	(void)state;
	if (key == NULL)
		skip();
	ctx = EVP_MD_CTX_new();
	sig = malloc(len);
	assert_non_null(sig);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &len,
	    (const unsigned char *)data, strlen(data)), 1);
	spki = (struct view){ NULL, (size_t)i2d_PUBKEY(key, &der) };
	spki.p = der;
	signature = (struct view){ sig, len };
	assert_int_equal(verify_local(spki, (struct view){
	    (const uint8_t *)data, strlen(data) }, signature), VERIFY_VALID);
	assert_int_equal(verify_local(spki, (struct view){
	    (const uint8_t *)data, 1 }, signature), VERIFY_OTHER);
	free(sig);
	OPENSSL_free(der);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}

int
main(void)
{
	const struct CMUnitTest group[] = {
		cmocka_unit_test(test_ed25519_of_the_rfc),
		cmocka_unit_test(test_ed25519_has_no_other_scheme),
		cmocka_unit_test(test_ecdsa_in_both_forms),
		cmocka_unit_test(test_rsa_in_both_paddings),
		cmocka_unit_test(test_keys_that_cannot_be_used),
		cmocka_unit_test(test_ml_dsa),
	};

	return cmocka_run_group_tests(group, NULL, NULL);
}
