/*
 * The header of an envelope: what a stream that was sealed begins with, and
 * all that is needed to open it but the key (docs/envelope.md).
 */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/* No text begins so, and whoever changes ends of lines breaks it. */
#define ENVELOPE_MAGIC "\x89QENV\r\n\x1a"
#define ENVELOPE_MAGIC_LEN 8
/* So much of an envelope tells how long its header is. */
#define ENVELOPE_PREFIX 12
#define ENVELOPE_HEADER_MAX 8192u	/* MSG_ENVELOPE_MAX */
#define ENVELOPE_VERSION 1
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

/*
 * Where does the header end that begins at p[0..len)?  ret_len: its length,
 * ENVELOPE_PREFIX to ENVELOPE_HEADER_MAX.
 * Returns 0; ERR_AGAIN if less than ENVELOPE_PREFIX bytes are there, and those
 * may be the beginning of one; ERR_BAD_REQUEST: that is no envelope.
 */
int envelope_header_len(const void *p, size_t len, size_t *ret_len);

/* Append a header to wr; a part over its limit latches it. */
void envelope_encode(struct wr *wr, const struct envelope *e);

/*
 * header: all of it and nothing else; views point into it.  Returns 0,
 * ERR_BAD_REQUEST, or ERR_UNSUPPORTED for a version or a cipher of later.
 */
int envelope_decode(struct view header, struct envelope *ret);

#endif /* PROTO_ENVELOPE_H */
