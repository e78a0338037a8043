/*
 * Sealing a snapshot: a stream of chunks of one size, encrypted and
 * authenticated by libsodium's secretstream (XChaCha20-Poly1305) under a key
 * of its own for each snapshot.
 *
 * The header is in the clear and bound to every chunk as associated data; the
 * stream binds the order of the chunks, and its final tag the end.  So
 * nothing can be changed, swapped, dropped, taken over from another snapshot
 * or appended.  All chunks have one size, and how many there are is rounded
 * by the caller (seal_padded()), so lengths of values do not show.
 *
 * Knows nothing of caches or files.  Nothing here is shared, so any thread
 * may use it, each stream from one at a time.
 */
#ifndef AGENT_SEAL_H
#define AGENT_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "secmem.h"
#include "state_fault.h"

#define SEAL_FORMAT 1
#define SEAL_HEADER_BYTES 144u
#define SEAL_PLAIN_BYTES 16384u		/* of a chunk */
#define SEAL_CHUNK_BYTES (SEAL_PLAIN_BYTES + 17u) /* the same, sealed */
#define SEAL_BOOT_ID_BYTES 16u

/* Where the key comes from; the numbers are in the file. */
enum seal_source {
	SEAL_STATE_KEY = 1,	/* a key made for this */
	SEAL_API_KEY = 2,	/* derived from the API key */
};

/* What the header tells. */
struct seal_info {
	enum seal_source source;
	uint64_t sequence;	/* of two snapshots, the greater is newer */
	int64_t wall_ms;	/* when it was begun, on either clock */
	uint64_t boot_ms;
	uint8_t boot_id[SEAL_BOOT_ID_BYTES]; /* all 0: not known */
};

/*
 * Make a sealing key out of what was read: 32 bytes by BLAKE2b, different for
 * each source.  What it makes of an API key also stands for that API key, so
 * that nobody keeps more copies of it.  ret_key is empty before.  Returns 0 or
 * ERR_NOMEM.
 */
int seal_derive(enum seal_source source, const struct secmem *material,
    struct secmem *ret_key);

struct seal;

/*
 * Begin to seal.  url and api (of seal_derive()) are bound in, not stored.
 * Fills the header, with a new random salt; ret_seal is freed with seal_free().
 * Returns 0 or ERR_NOMEM.
 */
int seal_new(const struct secmem *key, const struct seal_info *info,
    struct view url, const struct secmem *api,
    uint8_t ret_header[SEAL_HEADER_BYTES], struct seal **ret_seal);

/* Seal SEAL_PLAIN_BYTES of plain into SEAL_CHUNK_BYTES.  last ends it. */
void seal_chunk(struct seal *s, const uint8_t *plain, bool last,
    uint8_t *ret_chunk);

/*
 * What the header says, before anything is verified.  Returns STATE_OK,
 * STATE_NO_SNAPSHOT or STATE_NEWER.
 */
enum state_fault seal_peek(const uint8_t header[SEAL_HEADER_BYTES],
    struct seal_info *ret_info);

/*
 * Begin to open.  Tells another key, service or API key from tampering; the
 * header is proven authentic only by the first chunk.
 */
enum state_fault seal_open_new(const struct secmem *key, struct view url,
    const struct secmem *api, const uint8_t header[SEAL_HEADER_BYTES],
    struct seal **ret_seal);

/*
 * Open the next chunk into SEAL_PLAIN_BYTES.  ret_last: it ends the snapshot.
 * Returns STATE_OK or STATE_TAMPERED; ret_plain is zeroed then.
 */
enum state_fault seal_open_chunk(struct seal *s, const uint8_t *chunk,
    uint8_t *ret_plain, bool *ret_last);

/* Wipes.  NULL is fine. */
void seal_free(struct seal *s);

/* How many chunks to write where n hold something: up to an eighth more. */
uint64_t seal_padded(uint64_t n);

/* Does this describe the boot that the machine is in? */
bool seal_boot_id_is_set(const uint8_t id[SEAL_BOOT_ID_BYTES]);

#endif /* AGENT_SEAL_H */
