/*
 * The messages of a subscription, WATCH and EVENT, and REJECT (PROTOCOL.md, 3
 * and 4).  CANCEL is msg_empty_encode().  First answers of WATCH, and the one
 * of REJECT, are RESULT.  Encoders and decoders as in msg.h.
 */
#ifndef PROTO_MSG_WATCH_H
#define PROTO_MSG_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "msg.h"

/*
 * What happened to a value.  Others may come from a newer agent: what reads
 * events passes over those that it does not know.
 */
enum msg_reason {
	MSG_REASON_CHANGED = 1,
	MSG_REASON_EXPIRING = 2,
	MSG_REASON_EXPIRED = 3,
	MSG_REASON_GONE = 4,
	MSG_REASON_STALE = 5,
	MSG_REASON_FRESH_AGAIN = 6,
};

#define MSG_REASON_MAX 6

/* "changed", …, "fresh-again"; NULL for a number that this build lacks. */
const char *msg_reason_name(uint8_t reason);

/* WATCH */
struct msg_watch {
	uint64_t deadline_ms;	/* of the first answers; MSG_NO_LIMIT: none */
	uint16_t nrefs;		/* 1 to MSG_REFS_MAX */
	struct view fields;	/* for msg_watch_next() */
};

struct msg_watch_ref {
	struct view ref;
	struct view position;	/* what the caller has seen; empty: not said */
};

/* Start a frame; then msg_watch_add() for each; then frame_end(…, 0). */
size_t msg_watch_begin(struct wr *wr, uint64_t id, uint64_t deadline_ms);
void msg_watch_add(struct wr *wr, const struct msg_watch_ref *m);
/* Everything in it is checked, the nested fields too. */
int msg_watch_decode(struct view body, struct msg_watch *ret);
/* The next reference, in order; false after the last. */
bool msg_watch_next(struct msg_watch *m, struct msg_watch_ref *ret);

/* EVENT */
struct msg_event {
	uint16_t index;
	uint8_t reason;		/* enum msg_reason, or another number */
	struct view position;	/* after it; MSG_POSITION_LEN bytes */
};

/* Bytes of an EVENT frame, always. */
#define MSG_EVENT_LEN 53

/* Always with FRAME_MORE: what ends a subscription is another frame. */
void msg_event_encode(struct wr *wr, uint64_t id, const struct msg_event *m);
int msg_event_decode(struct view body, struct msg_event *ret);

/* REJECT */
struct msg_reject {
	uint64_t deadline_ms;	/* MSG_NO_LIMIT: none */
	struct view ref;
	uint64_t version;	/* of the value that was refused; 0: not said */
	struct view position;	/* the same; empty: not said */
};

void msg_reject_encode(struct wr *wr, uint64_t id, const struct msg_reject *m);
int msg_reject_decode(struct view body, struct msg_reject *ret);

#endif /* PROTO_MSG_WATCH_H */
