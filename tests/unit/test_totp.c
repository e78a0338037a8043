/* One-time codes: the vectors of RFC 6238, appendix B, and seeds of all kinds. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "err.h"
#include "totp.h"

/* "12345678901234567890" and its longer kin, in base32 */
#define SEED20 "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
#define SEED32 SEED20 "GEZDGNBVGY3TQOJQGEZA"
#define SEED64 SEED20 SEED20 SEED20 "GEZDGNA"

static int
code_of(const char *seed, int64_t seconds, char code[TOTP_DIGITS_MAX + 1])
{
	const struct view view = { (const uint8_t *)seed, strlen(seed) };

	return totp_code(view, seconds * 1000, code);
}

static void
check(const char *seed, int64_t seconds, const char *expected)
{
	char code[TOTP_DIGITS_MAX + 1];

	assert_int_equal(code_of(seed, seconds, code), 0);
	assert_string_equal(code, expected);
}

static void
test_rfc6238_vectors(void **state)
{
	static const struct {
		int64_t seconds;
		const char *sha1, *sha256, *sha512;
	} rows[] = {
		{ 59, "94287082", "46119246", "90693936" },
		{ 1111111109, "07081804", "68084774", "25091201" },
		{ 1111111111, "14050471", "67062674", "99943326" },
		{ 1234567890, "89005924", "91819424", "93441116" },
		{ 2000000000, "69279037", "90698825", "38618901" },
		{ 20000000000, "65353130", "77737706", "47863826" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check("otpauth://totp/a?digits=8&secret=" SEED20,
		    rows[i].seconds, rows[i].sha1);
		check("otpauth://totp/a?algorithm=SHA256&digits=8&secret=" SEED32,
		    rows[i].seconds, rows[i].sha256);
		check("otpauth://totp/a?algorithm=sha512&digits=8&secret=" SEED64,
		    rows[i].seconds, rows[i].sha512);
	}
}

static void
test_bare_seed_has_six_digits(void **state)
{
	(void)state;
	check(SEED20, 59, "287082");
	check("gezd gnbv-gy3t qojq gezd gnbv gy3t qojq==", 59, "287082");
}

static void
test_period(void **state)
{
	(void)state;
	check("otpauth://totp/a:b?period=60&issuer=x&secret=" SEED20, 119,
	    "287082");
}

static void
test_ten_digits_keep_leading_zeros(void **state)
{
	char code[TOTP_DIGITS_MAX + 1];

	(void)state;
	assert_int_equal(code_of("otpauth://totp/a?digits=10&secret=" SEED20,
	    59, code), 0);
	assert_int_equal(strlen(code), 10);
}

static void
test_no_seed_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "===", "not base32!", "A", "otpauth://totp/a",
		"otpauth://totp/a?digits=6", "otpauth://hotp/a?secret=" SEED20,
		"otpauth://totp/a?secret=" SEED20 "&secret=" SEED20,
		"otpauth://totp/a?digits=5&secret=" SEED20,
		"otpauth://totp/a?digits=11&secret=" SEED20,
		"otpauth://totp/a?period=0&secret=" SEED20,
		"otpauth://totp/a?period=1e3&secret=" SEED20,
		"otpauth://totp/a?algorithm=MD5&secret=" SEED20,
	};
	char code[TOTP_DIGITS_MAX + 1], longer[1000];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(code_of(bad[i], 59, code), ERR_UPSTREAM_ERROR);
	memset(longer, 'A', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(code_of(longer, 59, code), ERR_UPSTREAM_ERROR);
	assert_int_equal(code_of(SEED20, -1, code), ERR_UPSTREAM_ERROR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc6238_vectors),
		cmocka_unit_test(test_bare_seed_has_six_digits),
		cmocka_unit_test(test_period),
		cmocka_unit_test(test_ten_digits_keep_leading_zeros),
		cmocka_unit_test(test_no_seed_is_refused),
	};

	return cmocka_run_group_tests_name("totp", tests, NULL, NULL);
}
