#include "config.h"

#include "base64.h"

#include "err.h"

/* 0 to 63, or -1. */
static int
digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	return -1;
}

int
base64_decode(struct view text, uint8_t *ret, size_t *ret_len)
{
	size_t i, n = 0, len = text.len, padding = 0;
	uint32_t acc = 0;
	int d, bits = 0;

	for (; padding < 2 && len > 0 && text.p[len - 1] == '='; padding++)
		len--;
	if (len % 4 == 1 || (padding > 0 && text.len % 4 != 0))
		return ERR_BAD_REQUEST;
	for (i = 0; i < len; i++) {
		if ((d = digit(text.p[i])) < 0)
			return ERR_BAD_REQUEST;
		acc = acc << 6 | (uint32_t)d;
		if ((bits += 6) >= 8) {
			bits -= 8;
			ret[n++] = (uint8_t)(acc >> bits);
			acc &= (1u << bits) - 1;
		}
	}
	if (acc != 0)
		return ERR_BAD_REQUEST; /* bits that belong to no byte */
	*ret_len = n;
	return 0;
}
