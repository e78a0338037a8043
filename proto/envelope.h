/*
 * How an envelope begins (docs/envelope.md): enough to tell one from the
 * service's own payload, and to know where its header ends.  What is in the
 * header, and what follows it, is the agent's affair.
 */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

#include <stddef.h>

/*
 * No payload of the service begins so: those are base64.  The last byte is the
 * version of the format.
 */
#define ENVELOPE_MAGIC "QAPIENV\x01"
#define ENVELOPE_MAGIC_LEN 8
/* Magic, then the length of the whole header, these 12 bytes too, as u32. */
#define ENVELOPE_PREFIX_LEN 12

/*
 * The length of the header that p begins with.
 * Returns 0; ERR_AGAIN if len bytes are a beginning, but too few to tell;
 * ERR_UNSUPPORTED for an envelope of another version; ERR_BAD_REQUEST for what
 * is no envelope, or has a header over MSG_ENVELOPE_MAX bytes or under
 * ENVELOPE_PREFIX_LEN.
 */
int envelope_header_len(const void *p, size_t len, size_t *ret_len);

#endif /* PROTO_ENVELOPE_H */
