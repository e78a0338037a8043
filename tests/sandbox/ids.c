#include "ids.h"

#include <sodium.h>
#include <string.h>

json_t *
ids_uuid_of(const unsigned char bytes[16])
{
	unsigned char b[16];
	char hex[33];

	memcpy(b, bytes, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	sodium_bin2hex(hex, sizeof(hex), b, sizeof(b));
	return json_sprintf("%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
	    hex + 16, hex + 20);
}

json_t *
ids_uuid(void)
{
	unsigned char b[16];

	randombytes_buf(b, sizeof(b));
	return ids_uuid_of(b);
}
