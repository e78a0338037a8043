/*
 * Base64 (RFC 4648, 4) with padding, for signatures and for bytes in JSON.
 */
#ifndef CLIENT_B64_H
#define CLIENT_B64_H

#include <stdbool.h>
#include <stddef.h>

#include "out.h"

void b64_encode(struct out *o, const void *p, size_t len);

/*
 * Decode text, in which blanks and ends of lines are passed over.  False: it
 * is not base64, or nothing; o may have part of it then.
 */
bool b64_decode(struct out *o, const void *p, size_t len);

#endif /* CLIENT_B64_H */
