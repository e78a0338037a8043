/*
 * The chunks of an envelope: libsodium's secretstream, under a data key
 * (docs/envelope.md).  Each chunk is bound to its place, to the envelope's
 * header and to the caller's additional data; the last is told from the others.
 *
 * The key and the state of the stream are in secret memory.  Pure otherwise: no
 * I/O.
 */
#ifndef AGENT_CHUNKS_H
#define AGENT_CHUNKS_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "envelope.h"
#include "secmem.h"

/* Bytes of secret memory that a stream takes. */
size_t chunks_bytes(void);

/*
 * Begin to seal under a data key of CRYPT_KEY_LEN bytes, which is not kept.
 * ret: an empty struct secmem; ret_stream: what the header has to say.
 * Returns 0 or ERR_NOMEM.
 */
int chunks_seal_begin(const struct secmem *key, struct secmem *ret,
    uint8_t ret_stream[ENVELOPE_STREAM_LEN]);
/* Begin to open; stream is that of the header.  As above. */
int chunks_open_begin(const struct secmem *key, struct view stream,
    struct secmem *ret);

/* What all chunks are bound to: the whole header, then aad.  Once. */
void chunks_bind(struct secmem *chunks, struct view header, struct view aad);

/* ret: room for plain.len + MSG_CHUNK_EXTRA bytes. */
void chunks_seal(struct secmem *chunks, struct view plain, bool final,
    uint8_t *ret);

/*
 * ret: room for sealed.len - MSG_CHUNK_EXTRA bytes.  Returns 0, or
 * ERR_BAD_REQUEST if it is not the chunk that was sealed in this place, or not
 * the last although final, or the reverse; ret is wiped then.
 */
int chunks_open(struct secmem *chunks, struct view sealed, bool final,
    uint8_t *ret);

#endif /* AGENT_CHUNKS_H */
