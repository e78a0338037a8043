/*
 * The messages that reach the service beyond reading: CALL, and the typed
 * operations ENCRYPT, DECRYPT, SIGN and VERIFY; and streams, which encrypt or
 * decrypt what is too large for one message (PROTOCOL.md, 3 and 4;
 * docs/envelope.md).  Encoders and decoders as in msg.h; where data or a value
 * is external, its bytes are left out and the caller sends them right behind.
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
/*
 * Body of CALL, data of the operations.  With the largest of what can come
 * beside it, it fits a frame to the agent.
 */
#define MSG_DATA_MAX 0x100000u
#define MSG_AAD_MAX 0x8000u
#define MSG_SIGNATURE_MAX 0xe000u	/* the longest of SLH-DSA has 49856 */
/* Plain bytes of one STREAM_DATA; a sealed chunk is 17 bytes longer. */
#define MSG_CHUNK_MAX 65536u
#define MSG_CHUNK_EXTRA 17u

/* CALL: any path of the service.  Answered by CALLED, or ERROR. */
struct msg_call {
	struct msg_terms terms;	/* for what the cache answers; deadline */
	struct view method;	/* a token: A-Z and "-" */
	struct view target;	/* "/secrets/x?include=all", /api/v1 or not.
				 * "{id}" in its path stands for the id of ref */
	struct view ref;	/* a secret or key, as in GET; empty: none */
	struct view content_type; /* of data; empty: application/json */
	bool has_data;		/* an empty body is not the same as none */
	struct view data;
};

void msg_call_init(struct msg_call *m);
void msg_call_encode(struct wr *wr, uint64_t id, const struct msg_call *m,
    bool external);
int msg_call_decode(struct view body, struct msg_call *ret);

/* CALLED: the service's answer, whatever its status. */
struct msg_called {
	uint16_t status;	/* of HTTP */
	struct view content_type; /* empty: none */
	uint64_t retry_after_ms; /* 0: not told */
	uint8_t freshness;	/* enum msg_freshness, of what the cache
				 * answered; 0: it came from the service */
	uint64_t age_ms;	/* with freshness */
	struct view value;	/* the body; empty: none */
};

/* Upper bound of an encoded CALLED without the bytes of its value. */
#define MSG_CALLED_HEAD_MAX 256
void msg_called_encode(struct wr *wr, uint64_t id, const struct msg_called *m,
    bool external);
int msg_called_decode(struct view body, struct msg_called *ret);

/* ENCRYPT, DECRYPT, SIGN, VERIFY: one struct; the frame's type says which. */
struct msg_crypt {
	uint64_t deadline_ms;	/* MSG_NO_LIMIT: none */
	struct view key;	/* id or name.  Empty: ENCRYPT the tenant's
				 * default; DECRYPT what the payload says.
				 * SIGN, VERIFY: never empty */
	struct view algorithm;	/* ENCRYPT, SIGN; empty: the service's, or the
				 * key's */
	struct view aad;	/* ENCRYPT, DECRYPT: additional data, a text;
				 * empty: none */
	struct view signature;	/* VERIFY: its bytes; never empty there */
	struct view data;	/* DECRYPT: the payload, its text, never empty */
};

/* type: FRAME_ENCRYPT to FRAME_VERIFY.  What is not of it is left out. */
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

#define MSG_VERIFIED_MAX 64
void msg_verified_encode(struct wr *wr, uint64_t id,
    const struct msg_verified *m);
int msg_verified_decode(struct view body, struct msg_verified *ret);

/*
 * STREAM_OPEN: begin to seal, or to open (header given).  Answered by
 * STREAM_BYTES: the header of the envelope, or nothing; or ERROR.  The
 * stream is known by the id of this request until its last chunk is answered,
 * CANCEL comes with that id (and is answered by DONE), or anything of it fails.
 */
struct msg_stream_open {
	uint64_t deadline_ms;	/* of this answer */
	bool seal;
	struct view key;	/* to seal: id or name; empty: the default key */
	struct view aad;	/* the same to seal and to open; empty: none */
	struct view header;	/* to open: the envelope's, all of it */
};

#define MSG_ENVELOPE_MAX 8192u

void msg_stream_open_encode(struct wr *wr, uint64_t id,
    const struct msg_stream_open *m);
int msg_stream_open_decode(struct view body, struct msg_stream_open *ret);

/*
 * STREAM_DATA: the next chunk, each with a request id of its own, in order,
 * after STREAM_OPEN was answered.  Answered in order by STREAM_BYTES with that
 * id, or ERROR, which ends the stream.  A client keeps as many under way as it
 * likes; the agent reads no further while its answers are not read.
 */
struct msg_stream_data {
	uint64_t stream;	/* id of STREAM_OPEN */
	bool final;		/* the last one; may be empty */
	struct view data;	/* to seal: MSG_CHUNK_MAX bytes exactly unless
				 * final; to open: a sealed chunk */
};

void msg_stream_data_encode(struct wr *wr, uint64_t id,
    const struct msg_stream_data *m, bool external);
int msg_stream_data_decode(struct view body, struct msg_stream_data *ret);

/* STREAM_BYTES */
struct msg_stream_bytes {
	struct view value;
};

/* Of an encoded STREAM_BYTES, before the bytes of its value. */
#define MSG_STREAM_BYTES_HEAD_LEN 22
void msg_stream_bytes_encode(struct wr *wr, uint64_t id,
    const struct msg_stream_bytes *m);
/*
 * For who makes the bytes where they are sent from: the head of a whole frame,
 * then len bytes to be filled in; NULL if wr has failed.
 */
uint8_t *msg_stream_bytes_room(struct wr *wr, uint64_t id, size_t len);
int msg_stream_bytes_decode(struct view body, struct msg_stream_bytes *ret);

#endif /* PROTO_MSG_CALL_H */
