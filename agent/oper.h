/*
 * What the requests that the service has to do have in common (ENCRYPT,
 * DECRYPT, SIGN, VERIFY, STREAM_OPEN): from the text of a key to an id that the
 * caller's rules allow, from a body to an answer, within the caller's time and
 * its share of secret memory; and the end of all that by CANCEL, by the
 * deadline or with the connection.
 *
 * An operation is embedded in what its owner keeps for it.  Event-loop thread
 * only.
 */
#ifndef AGENT_OPER_H
#define AGENT_OPER_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "msg.h"
#include "msg_call.h"
#include "object.h"
#include "policy.h"
#include "relay.h"
#include "secmem.h"
#include "session.h"

struct frame;
struct oper;

struct oper_ops {
	const char *name;	/* "encrypt": for the record of who did what */
	enum policy_op policy;
	/* The key is found and allowed (id), or none is needed. */
	void (*found)(struct oper *op, const struct now *now);
	/* What oper_send() sent was answered with a status of success. */
	void (*replied)(struct oper *op, struct view body,
	    const struct now *now);
	/* What oper_read() asked for; NULL if it never is. */
	void (*read)(struct oper *op, struct fetch_result *result,
	    const struct now *now);
	/*
	 * The answer of one that succeeded, into out, which has room for
	 * OPER_ANSWER_MAX bytes and an external piece.  True: the request is
	 * over, else it is parked.
	 */
	bool (*render)(struct oper *op, struct out *out);
	/* Wipe and free the owner, op included. */
	void (*free)(struct oper *op);
};

#define OPER_ANSWER_MAX (MSG_ENVELOPE_MAX + MSG_STREAM_BYTES_HEAD_LEN)
#define OPER_MESSAGE_MAX 256

struct oper {
	const struct oper_ops *ops;
	struct session *s;
	struct request *rq;
	struct session_item *item;
	struct relay *relay;
	bool settled;
	bool relisted;		/* a newer listing of the keys was asked for */
	bool reading;		/* item's wait is for oper_read() */
	uint64_t until_boot_ms;	/* UINT64_MAX: no deadline */
	struct view key;	/* what was asked for; empty: none */
	char id[MSG_ID_MAX + 1]; /* "": not known, or none needed */
	char rule[128];		/* that allowed it; "": none needed */
	struct secmem text;	/* key and what else the owner keeps of the
				 * frame */
	struct secmem body;	/* of the request under way */
	size_t kept_bytes;	/* of the caller's account */
	struct object *answer;	/* of oper_answer() */
	int error;		/* when settled */
	char message[OPER_MESSAGE_MAX];
};

/*
 * Begin: op is zeroed memory of the owner, whose free() is called from now on,
 * whatever happens.  keep: bytes of the frame that are needed later (they are
 * copied to op->text, one behind the other); need_bytes: secret memory that it
 * all takes at most.
 * Returns 0, or an error that was answered already; op is gone then.
 */
int oper_begin(struct oper *op, const struct oper_ops *ops, struct session *s,
    const struct frame *frame, uint64_t deadline_ms, const struct view *keep,
    size_t nkeep, size_t need_bytes, struct out *out);

/*
 * Find the key, which is a view into op->text, and go on with found().  Empty:
 * go on, if the caller's rules are for all keys.
 */
void oper_find(struct oper *op, struct view key, const struct now *now);

/* POST body to target, of this endpoint; body moves to op. */
void oper_send(struct oper *op, const char *method, const char *target,
    struct secmem *body, const struct now *now);

/* Read a form of the key's public half through the cache. */
void oper_read(struct oper *op, enum ref_format format,
    const struct now *now);

/* It succeeded, and this is what it gave: takes the reference over. */
void oper_answer(struct oper *op, struct object *answer);

/* It is over: 0, or an error with a sentence (NULL: its own). */
void oper_settle(struct oper *op, int error, const char *message);

#endif /* AGENT_OPER_H */
