/*
 * The calls that reach the service beyond reading: CALL, ENCRYPT, DECRYPT,
 * SIGN and VERIFY.  Part of call.c, which knows them by their type.
 */
#ifndef CLIENT_SERVICE_H
#define CLIENT_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"

/* What a caller asks for; texts may be NULL, bytes NULL with 0. */
struct service_ask {
	const char *method;	/* CALL */
	const char *target;
	const char *ref;
	const char *content_type;
	const char *key;	/* the others */
	const char *algorithm;
	const void *aad;
	size_t aad_len;
	const void *signature;
	size_t signature_len;
	const void *data;	/* CALL: NULL: no body */
	size_t data_len;
};

/*
 * Prepare the call (after call_init()) with what is asked.  keep: copy it, to
 * be wiped by service_done(); else it has to live as long as the call.
 * Returns 0, ERR_NOMEM, or ERR_BAD_REQUEST or ERR_TOO_LARGE with ret_why, a
 * static sentence.
 */
int service_set(struct call *call, const struct service_ask *ask, bool keep,
    const char **ret_why);
void service_done(struct call *call);

/* Is it one of these? */
bool service_is(const struct call *call);

/* CALL may change something; the others do not. */
bool service_may_repeat(const struct call *call);

/* As call_send(), for the one request of such a call. */
int service_send(struct call *call, struct conn *conn, uint64_t id);

/* Answers other than RESULT and ERROR, as call_feed(). */
int service_on_called(struct call *call, const struct frame *frame);
int service_on_verified(struct call *call, const struct frame *frame);

#endif /* CLIENT_SERVICE_H */
