/*
 * Decoding base64, for public keys as the service sends them.
 *
 * Both alphabets, with or without padding.  Not for secrets: the time it takes
 * depends on the content.
 */
#ifndef AGENT_BASE64_H
#define AGENT_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/*
 * ret: room for text.len bytes (it takes three quarters of that).
 * Returns 0 or ERR_BAD_REQUEST; ret is undefined then.
 */
int base64_decode(struct view text, uint8_t *ret, size_t *ret_len);

#endif /* AGENT_BASE64_H */
