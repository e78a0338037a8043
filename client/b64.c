#include "config.h"

#include "b64.h"

#include <string.h>

#include "wipe.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz0123456789+/";

void
b64_encode(struct out *o, const void *from, size_t len)
{
	const unsigned char *p = from;
	char quad[4];
	unsigned int bits;
	size_t i, n;

	for (i = 0; i < len; i += 3) {
		n = len - i < 3 ? len - i : 3;
		bits = (unsigned int)p[i] << 16;
		if (n > 1)
			bits |= (unsigned int)p[i + 1] << 8;
		if (n > 2)
			bits |= p[i + 2];
		quad[0] = digits[bits >> 18];
		quad[1] = digits[bits >> 12 & 63];
		quad[2] = '=';
		quad[3] = '=';
		if (n > 1)
			quad[2] = digits[bits >> 6 & 63];
		if (n > 2)
			quad[3] = digits[bits & 63];
		out_bytes(o, quad, sizeof(quad));
	}
	wipe(quad, sizeof(quad));
}

/* A group of four, n of them digits: n - 1 bytes. */
static bool
put_group(struct out *o, unsigned int bits, unsigned int n)
{
	/* bits that belong to no byte are zero, or it has been cut */
	if (n < 2 || (n == 2 && (bits & 0xffff) != 0) ||
	    (n == 3 && (bits & 0xff) != 0))
		return false;
	out_char(o, (char)(bits >> 16));
	if (n > 2)
		out_char(o, (char)(bits >> 8));
	if (n > 3)
		out_char(o, (char)bits);
	return true;
}

bool
b64_decode(struct out *o, const void *from, size_t len)
{
	const char *p = from, *digit;
	unsigned int bits = 0, n = 0, pads = 0;
	size_t i, groups = 0;

	for (i = 0; i < len; i++) {
		if (p[i] == ' ' || p[i] == '\t' || p[i] == '\r' ||
		    p[i] == '\n')
			continue;
		digit = p[i] == '\0' ? NULL : strchr(digits, p[i]);
		if (digit == NULL && p[i] != '=')
			return false;
		/* padding ends it */
		if (n + pads == 4 || (digit != NULL && pads > 0))
			return false;
		if (digit == NULL)
			pads++;
		else
			bits |= (unsigned int)(digit - digits)
			    << (18 - 6 * n++);
		if (n + pads < 4)
			continue;
		if (!put_group(o, bits, n))
			return false;
		groups++;
		if (pads == 0)
			bits = n = 0;
	}
	return groups > 0 && (n == 0 || n + pads == 4);
}
