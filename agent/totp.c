#include "config.h"

#include "totp.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "err.h"
#include "wipe.h"

#define TOTP_KEY_MAX 256	/* bytes of a decoded seed */
#define TOTP_PREFIX "otpauth://totp/"

/* What the seed says; the defaults of RFC 6238 and of every phone. */
struct totp {
	uint8_t key[TOTP_KEY_MAX];
	size_t key_len;
	const char *hash;
	unsigned int digits;
	unsigned int period;
};

static int
totp_base32_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a';
	if (c >= '2' && c <= '7')
		return c - '2' + 26;
	return -1;
}

/* RFC 4648, 6, but as people write it: in groups, without padding. */
static int
totp_decode(struct totp *t, struct view text)
{
	uint32_t bits = 0;
	unsigned int nbits = 0;
	size_t i;
	int v;

	for (i = 0; i < text.len; i++) {
		if (text.p[i] == ' ' || text.p[i] == '-' || text.p[i] == '=')
			continue;
		v = totp_base32_value(text.p[i]);
		if (v < 0 || t->key_len == TOTP_KEY_MAX)
			return ERR_UPSTREAM_ERROR;
		bits = bits << 5 | (uint32_t)v;
		nbits += 5;
		if (nbits >= 8) {
			nbits -= 8;
			t->key[t->key_len++] = (uint8_t)(bits >> nbits);
		}
	}
	return t->key_len > 0 ? 0 : ERR_UPSTREAM_ERROR;
}

static bool
totp_number(struct view text, unsigned int min, unsigned int max,
    unsigned int *ret)
{
	unsigned int n = 0;
	size_t i;

	if (text.len == 0 || text.len > 6)
		return false;
	for (i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		n = n * 10 + (unsigned int)(text.p[i] - '0');
	}
	*ret = n;
	return n >= min && n <= max;
}

static bool
totp_hash(struct view text, const char **ret)
{
	static const char *const names[] = { "SHA1", "SHA256", "SHA512" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i]) == text.len && strncasecmp(names[i],
		    (const char *)text.p, text.len) == 0) {
			*ret = names[i];
			return true;
		}
	}
	return false;
}

static bool
totp_is(struct view name, const char *word)
{
	return strlen(word) == name.len &&
	    memcmp(name.p, word, name.len) == 0;
}

/* One NAME=VALUE of the URI; others, as issuer, are passed over. */
static int
totp_parameter(struct totp *t, struct view name, struct view value)
{
	bool ok = true;

	if (totp_is(name, "secret"))
		return t->key_len == 0 ? totp_decode(t, value)
		    : ERR_UPSTREAM_ERROR;
	if (totp_is(name, "algorithm"))
		ok = totp_hash(value, &t->hash);
	else if (totp_is(name, "digits"))
		ok = totp_number(value, 6, TOTP_DIGITS_MAX, &t->digits);
	else if (totp_is(name, "period"))
		ok = totp_number(value, 1, 86400, &t->period);
	return ok ? 0 : ERR_UPSTREAM_ERROR;
}

static struct view
totp_until(struct view *rest, uint8_t end)
{
	const uint8_t *at = rest->len > 0
	    ? memchr(rest->p, end, rest->len) : NULL;
	struct view part = *rest;

	if (at != NULL)
		part.len = (size_t)(at - rest->p);
	rest->p += part.len + (at != NULL);
	rest->len -= part.len + (at != NULL);
	return part;
}

static int
totp_parse(struct totp *t, struct view seed)
{
	struct view part, name;
	int r = 0;

	if (seed.len < strlen(TOTP_PREFIX) || strncasecmp(TOTP_PREFIX,
	    (const char *)seed.p, strlen(TOTP_PREFIX)) != 0)
		return totp_decode(t, seed);
	(void)totp_until(&seed, '?');
	while (r == 0 && seed.len > 0) {
		part = totp_until(&seed, '&');
		name = totp_until(&part, '=');
		r = totp_parameter(t, name, part);
	}
	return r == 0 && t->key_len == 0 ? ERR_UPSTREAM_ERROR : r;
}

/* RFC 4226, 5.3: dynamic truncation. */
static void
totp_truncate(const struct totp *t, const uint8_t *mac, size_t len,
    char ret_code[TOTP_DIGITS_MAX + 1])
{
	size_t at = mac[len - 1] & 15;
	uint64_t n = be_get_u32(mac + at) & 0x7fffffff, top = 1;
	unsigned int i;

	for (i = 0; i < t->digits; i++)
		top *= 10;
	(void)snprintf(ret_code, TOTP_DIGITS_MAX + 1, "%0*llu",
	    (int)t->digits, (unsigned long long)(n % top));
}

int
totp_code(struct view seed, int64_t wall_ms,
    char ret_code[TOTP_DIGITS_MAX + 1])
{
	struct totp t = { .hash = "SHA1", .digits = 6, .period = 30 };
	uint8_t counter[8], mac[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	int r;

	r = totp_parse(&t, seed);
	if (r == 0 && wall_ms < 0)
		r = ERR_UPSTREAM_ERROR;	/* a clock before 1970 has no codes */
	if (r == 0) {
		be_put_u64(counter, (uint64_t)wall_ms / 1000 / t.period);
		if (HMAC(EVP_get_digestbyname(t.hash), t.key, (int)t.key_len,
		    counter, sizeof(counter), mac, &len) == NULL || len < 20)
			r = ERR_INTERNAL;
		else
			totp_truncate(&t, mac, len, ret_code);
	}
	wipe(&t, sizeof(t));
	wipe(mac, sizeof(mac));
	return r;
}
