/*
 * The rest of the stand-in agent: CALL, ENCRYPT, DECRYPT, SIGN, VERIFY and
 * streams, with toys in place of cryptography that show what came and how.
 *
 *	CALL	the status is what the target ends in, as /x/404 (else 200); the
 *		body says what was asked, or of POST /secrets and PUT …/value
 *		is an object as the service's
 *	ENCRYPT	"P", the key and aad between dots, and the data in hex
 *	SIGN	64 bytes that follow from key and data
 *	VERIFY	by the agent if the key is "local", else by the service
 *	streams	a chunk is sealed by inverting it and appending FAKE_EXTRA
 *		bytes: whether it is the last, its number, and a sum
 */
#ifndef SUPPORT_FAKE_SERVICE_H
#define SUPPORT_FAKE_SERVICE_H

#include "fake_agent.h"
#include "msg_call.h"

/* Of one connection. */
struct fake_stream {
	uint64_t id;		/* 0: none */
	bool seal;
	uint8_t next;		/* number of the next chunk */
	char aad[64];
};

/* Answer the frame if it is one of these.  False: it is not. */
bool fake_serve_service(struct fake_conn *c, const struct frame *frame,
    struct fake_stream *stream);

void fake_send_called(struct fake_conn *c, uint64_t id, uint16_t status,
    const char *content_type, const void *body, size_t len);

#endif /* SUPPORT_FAKE_SERVICE_H */
