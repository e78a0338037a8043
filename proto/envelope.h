/*
 * The header of an envelope (docs/envelope.md): how one is told from the
 * service's own payload, where its header ends, and what is in it.  What
 * follows it is the agent's affair.
 */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

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

#define ENVELOPE_STREAM_LEN 24		/* secretstream's own header */
#define ENVELOPE_ALGORITHM_MAX 64
#define ENVELOPE_WRAPPED_MAX 7900u

enum envelope_cipher {
	ENVELOPE_XCHACHA20_POLY1305 = 1,	/* libsodium's secretstream */
};

struct envelope {
	uint16_t cipher;	/* enum envelope_cipher */
	uint32_t chunk_len;	/* plain bytes of each chunk but the last */
	struct view stream;	/* ENVELOPE_STREAM_LEN bytes */
	uint64_t key_version;	/* 0: not told */
	struct view key_id;	/* of the key that wraps the data key */
	struct view algorithm;	/* as the service named it; may be empty */
	struct view wrapped;	/* the data key, as the service gave it */
};

/* Append a header to wr; a part over its limit latches it. */
void envelope_encode(struct wr *wr, const struct envelope *e);

/*
 * header: all of it and nothing else; views point into it.  Returns 0,
 * ERR_BAD_REQUEST, or ERR_UNSUPPORTED for a version, a cipher or a length of
 * chunks of later.
 */
int envelope_decode(struct view header, struct envelope *ret);

#endif /* PROTO_ENVELOPE_H */
