#include "envelope.h"

#include <string.h>

#include "buf.h"
#include "err.h"
#include "msg_call.h"

#define NAME_LEN (ENVELOPE_MAGIC_LEN - 1)	/* the magic without version */

int
envelope_header_len(const void *p, size_t len, size_t *ret_len)
{
	const uint8_t *bytes = p;
	size_t n = len < NAME_LEN ? len : NAME_LEN;
	uint32_t header;

	if (n > 0 && memcmp(bytes, ENVELOPE_MAGIC, n) != 0)
		return ERR_BAD_REQUEST;
	if (len < ENVELOPE_MAGIC_LEN)
		return ERR_AGAIN;
	if (memcmp(bytes, ENVELOPE_MAGIC, ENVELOPE_MAGIC_LEN) != 0)
		return ERR_UNSUPPORTED;
	if (len < ENVELOPE_PREFIX_LEN)
		return ERR_AGAIN;
	header = be_get_u32(bytes + ENVELOPE_MAGIC_LEN);
	if (header < ENVELOPE_PREFIX_LEN || header > MSG_ENVELOPE_MAX)
		return ERR_BAD_REQUEST;
	*ret_len = header;
	return 0;
}
