/*
 * The messages that ask the agent about itself: EXPLAIN, DRILL and METRICS
 * (PROTOCOL.md, 3 and 4).  Encoders and decoders as in msg.h.
 */
#ifndef PROTO_MSG_REPORT_H
#define PROTO_MSG_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "msg.h"

#define MSG_AS_MAX 255
#define MSG_RULE_MAX 1024
#define MSG_WHY_MAX 1024
#define MSG_TEXT_MAX 16777216u
#define MSG_DRILL_MAX_MS 86400000u	/* a day; the agent refuses more */

/* EXPLAIN */
struct msg_explain {
	struct view ref;
	struct view as;		/* user, uid or unit; empty: the caller */
};

void msg_explain_encode(struct wr *wr, uint64_t id,
    const struct msg_explain *m);
int msg_explain_decode(struct view body, struct msg_explain *ret);

/* EXPLAINED */
struct msg_explained {
	bool allowed;
	struct view rule;	/* its title; empty: no rule matched */
	struct view why;	/* a sentence */
	bool cached;
	struct msg_meta meta;	/* freshness, age, … only where cached */
	uint64_t next_refresh_ms; /* from now; MSG_NO_LIMIT: none is planned */
	int last_error;		/* ERR_*, 0: none */
	struct view message;	/* of that error */
};

void msg_explained_init(struct msg_explained *m);
/* rule, why and message are cut if they are too long. */
void msg_explained_encode(struct wr *wr, uint64_t id,
    const struct msg_explained *m);
int msg_explained_decode(struct view body, struct msg_explained *ret);
/* Upper bound of an encoded EXPLAINED. */
#define MSG_EXPLAINED_MAX 4500

/* DRILL */
struct msg_drill {
	uint64_t duration_ms;
};

void msg_drill_encode(struct wr *wr, uint64_t id, const struct msg_drill *m);
int msg_drill_decode(struct view body, struct msg_drill *ret);

/* What a cached value is bound by.  Others may come from a newer agent. */
enum msg_limit {
	MSG_LIMIT_MAX_STALE = 1,
	MSG_LIMIT_EXPIRES = 2,
};

/* A reference that was answered during the drill as it would not have been. */
struct msg_drill_read {
	struct view ref;
	uint8_t freshness;	/* served MSG_STALE or MSG_EXPIRED, or … */
	int error;		/* … failed with this ERR_* */
	uint64_t count;		/* so many times */
};

/* A value that was cached when the drill began. */
struct msg_drill_value {
	uint8_t kind;		/* enum ref_kind */
	struct view id;
	struct view name;
	uint64_t unusable_in_ms; /* from its beginning; MSG_NO_LIMIT: never */
	uint8_t limit;		/* enum msg_limit, or another; 0: not said */
};

/*
 * DRILLED: begin, msg_drill_*_add() …, then msg_drilled_end().  Either kind
 * of row has at most MSG_DRILL_ROW_MAX bytes.
 */
#define MSG_DRILL_ROW_MAX 4200

size_t msg_drilled_begin(struct wr *wr, uint16_t flags, uint64_t id);
void msg_drill_read_add(struct wr *wr, const struct msg_drill_read *m);
void msg_drill_value_add(struct wr *wr, const struct msg_drill_value *m);

/* What is beside the rows: duration in the first frame, rest in the last. */
struct msg_drilled {
	uint64_t duration_ms;	/* MSG_NO_LIMIT: not said */
	uint64_t elapsed_ms;	/* MSG_NO_LIMIT: not said */
	uint64_t count;		/* references answered during the drill */
	uint64_t failed;	/* of those with an error */
};

void msg_drilled_init(struct msg_drilled *m);
void msg_drilled_end(struct wr *wr, size_t start, const struct msg_drilled *m);
int msg_drilled_decode(struct view body, struct msg_drilled *ret);
/* As msg_row_next(); each passes over the other's rows. */
int msg_drill_read_next(struct view *pos, struct msg_drill_read *ret);
int msg_drill_value_next(struct view *pos, struct msg_drill_value *ret);

/* METRICS */
struct msg_metrics {
	bool names;		/* names of references as labels */
};

void msg_metrics_encode(struct wr *wr, uint64_t id,
    const struct msg_metrics *m);
int msg_metrics_decode(struct view body, struct msg_metrics *ret);

/* METRICS_TEXT: a part of the text, whole lines. */
struct msg_text {
	struct view text;
};

void msg_text_encode(struct wr *wr, uint16_t flags, uint64_t id,
    const struct msg_text *m);
int msg_text_decode(struct view body, struct msg_text *ret);
/* Bytes of an encoded METRICS_TEXT around its text. */
#define MSG_TEXT_HEAD_LEN 22

#endif /* PROTO_MSG_REPORT_H */
