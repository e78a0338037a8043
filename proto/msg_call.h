/*
 * The messages that reach the service beyond reading: CALL, and the typed
 * operations ENCRYPT, DECRYPT, SIGN and VERIFY; and streams, which encrypt or
 * decrypt what is too large for one message (PROTOCOL.md, 3 and 4;
 * docs/envelope.md).  Encoders and decoders as in msg.h; where a value is
 * external, its bytes are left out and the caller sends them right behind.
 *
 * ENCRYPT, DECRYPT and SIGN are answered by RESULT (index 0): id and version of
 * the key where they are known, CONTENT and VALUE.
 */
#ifndef PROTO_MSG_CALL_H
#define PROTO_MSG_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "msg.h"

#define MSG_METHOD_MAX 16
#define MSG_TARGET_MAX 4096
#define MSG_CONTENT_TYPE_MAX 128
#define MSG_ALGORITHM_MAX 64
#define MSG_AAD_MAX 65536u
#define MSG_SIGNATURE_MAX 65536u
/* Body of CALL, data of the operations: what fits a frame to the agent. */
#define MSG_DATA_MAX 0x100000u
/* Plain bytes of one STREAM_DATA; a sealed chunk is 17 bytes longer. */
#define MSG_CHUNK_MAX 65536u
#define MSG_CHUNK_EXTRA 17u

/* CALL: any path of the service.  Answered by CALLED, or ERROR. */
struct msg_call {
	struct msg_terms terms;	/* for what the cache answers; deadline */
	struct view method;	/* upper case token */
	struct view target;	/* "/secrets/x?include=all", /api/v1 or not.
				 * "{id}" in its path stands for the id of ref */
	struct view ref;	/* a secret or key, as in GET; empty: none */
	struct view content_type; /* of data; empty: application/json */
	bool has_data;		/* an empty body is not the same as none */
	struct view data;
};

void msg_call_encode(struct wr *wr, uint64_t id, const struct msg_call *m,
    bool external);
int msg_call_decode(struct view body, struct msg_call *ret);

/* CALLED: the service's answer, whatever its status. */
struct msg_called {
	uint16_t status;	/* of HTTP */
	struct view content_type; /* empty: none */
	uint8_t freshness;	/* enum msg_freshness, of what the cache
				 * answered; 0: it came from the service */
	uint64_t age_ms;	/* with freshness */
	struct view value;	/* the body */
};

#define MSG_CALLED_HEAD_MAX 256
void msg_called_encode(struct wr *wr, uint64_t id, const struct msg_called *m,
    bool external);
int msg_called_decode(struct view body, struct msg_called *ret);

/* ENCRYPT, DECRYPT, SIGN, VERIFY: one struct, the type of the frame says which. */
struct msg_crypt {
	uint64_t deadline_ms;	/* MSG_NO_LIMIT: none */
	struct view key;	/* id or name.  Empty: ENCRYPT the tenant's
				 * default; DECRYPT what the payload says */
	struct view algorithm;	/* empty: the service's, or the key's */
	struct view aad;	/* ENCRYPT, DECRYPT: additional data; empty:
				 * none */
	struct view signature;	/* VERIFY: its bytes */
	struct view data;	/* DECRYPT: the payload, its text */
};

void msg_crypt_encode(struct wr *wr, uint8_t type, uint64_t id,
    const struct msg_crypt *m, bool external);
int msg_crypt_decode(uint8_t type, struct view body, struct msg_crypt *ret);

enum msg_verified_by {
	MSG_VERIFIED_BY_AGENT = 1,	/* with the cached public key */
	MSG_VERIFIED_BY_SERVICE = 2,
};

/* VERIFIED answers VERIFY; a failure is ERROR. */
struct msg_verified {
	bool valid;
	uint8_t by;		/* enum msg_verified_by, or another */
};

void msg_verified_encode(struct wr *wr, uint64_t id,
    const struct msg_verified *m);
int msg_verified_decode(struct view body, struct msg_verified *ret);

/*
 * STREAM_OPEN: begin to seal (key given) or to open (header given).  Answered
 * by STREAM_BYTES: the header of the envelope, or nothing; or ERROR.  The
 * stream is known by the id of this request until its last chunk is answered,
 * CANCEL comes with that id, or anything of it fails.
 */
struct msg_stream_open {
	uint64_t deadline_ms;	/* of this answer */
	struct view key;	/* to seal: id or name; empty: the default key */
	struct view aad;
	struct view header;	/* to open: MSG_ENVELOPE_MAX bytes at most */
	bool seal;
};

#define MSG_ENVELOPE_MAX 8192u

void msg_stream_open_encode(struct wr *wr, uint64_t id,
    const struct msg_stream_open *m);
int msg_stream_open_decode(struct view body, struct msg_stream_open *ret);

/*
 * STREAM_DATA: the next chunk, each with a request id of its own, in order.
 * Answered in order by STREAM_BYTES with that id, or ERROR, which ends the
 * stream.  A client keeps as many under way as it likes; the agent reads no
 * further while its answers are not read.
 */
struct msg_stream_data {
	uint64_t stream;	/* id of STREAM_OPEN */
	bool final;		/* the last one; may be empty */
	struct view data;	/* to seal: MSG_CHUNK_MAX bytes exactly unless
				 * final; to open: a sealed chunk */
};

void msg_stream_data_encode(struct wr *wr, uint64_t id,
    const struct msg_stream_data *m);
int msg_stream_data_decode(struct view body, struct msg_stream_data *ret);

/* STREAM_BYTES */
struct msg_stream_bytes {
	struct view value;
};

void msg_stream_bytes_encode(struct wr *wr, uint64_t id,
    const struct msg_stream_bytes *m);
int msg_stream_bytes_decode(struct view body, struct msg_stream_bytes *ret);

#endif /* PROTO_MSG_CALL_H */
