/*
 * Messages: one struct, one encode and one decode function each, and every
 * limit (PROTOCOL.md, 3 and 4).  Those of watch and reject are in
 * msg_watch.h, those of explain, drill and metrics in msg_report.h.
 *
 * Decoders take the body of a frame and fill a struct whose views point into
 * it.  They return 0, ERR_BAD_REQUEST, or ERR_UNSUPPORTED for a critical
 * field or value they do not know.  Encoders append one whole frame to wr,
 * whose latch tells overflow, or a name or value over its limit; messages and
 * texts of STAT are cut instead.
 */
#ifndef PROTO_MSG_H
#define PROTO_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "frame.h"
#include "ref.h"

#define MSG_REFS_MAX 256
#define MSG_MESSAGE_MAX 1024
#define MSG_ID_MAX 128
#define MSG_NAME_MAX REF_NAME_MAX
#define MSG_VALUE_MAX 16777216u
#define MSG_STAT_NAME_MAX 128
#define MSG_STAT_TEXT_MAX 1024
#define MSG_BUILD_MAX 128
#define MSG_POSITION_LEN 16

#define MSG_NO_LIMIT UINT64_MAX	/* the caller named no deadline, age, … */
#define MSG_NO_TIME INT64_MIN	/* updatedAt, expiresAt: not given */

#define MSG_TERM_ONLY_IF_CACHED 0x1u
#define MSG_TERM_FRESH 0x2u
#define MSG_TERM_WANT_POSITION 0x4u

enum msg_freshness {
	MSG_FRESHNESS_NONE = 0,	/* not said */
	MSG_FRESH = 1,
	MSG_STALE = 2,
	MSG_EXPIRED = 3,
};

enum msg_content {
	MSG_CONTENT_TEXT = 1,
	MSG_CONTENT_JSON = 2,
	MSG_CONTENT_BYTES = 3,
};

/* The caller's terms; all times in milliseconds. */
struct msg_terms {
	uint64_t deadline_ms;	/* MSG_NO_LIMIT: none */
	uint64_t max_age_ms;
	uint64_t max_stale_ms;
	uint32_t flags;		/* MSG_TERM_* */
};

void msg_terms_init(struct msg_terms *terms);

/* HELLO of either side. */
struct msg_hello {
	uint16_t protocol;
	struct view build;
};

void msg_hello_encode(struct wr *wr, uint8_t type, const struct msg_hello *m);
int msg_hello_decode(struct view body, struct msg_hello *ret);

/* GET, REFRESH and PURGE: terms and references. */
struct msg_refs {
	struct msg_terms terms;
	bool all;		/* ALL in place of references */
	uint16_t nrefs;
	struct view fields;	/* for msg_refs_next() */
};

/* Start a frame; then nrefs times msg_refs_add(), then frame_end(…, 0). */
size_t msg_refs_begin(struct wr *wr, uint8_t type, uint64_t id,
    const struct msg_terms *terms, bool all);
void msg_refs_add(struct wr *wr, const char *ref, size_t len);
/*
 * Either 1 to 256 references or ALL; anything else is ERR_BAD_REQUEST.  The
 * three messages are not told apart: that GET has no ALL, and which terms
 * count for the others, is the caller's to know.
 */
int msg_refs_decode(struct view body, struct msg_refs *ret);
/* The next reference, in order; false after the last. */
bool msg_refs_next(struct msg_refs *m, struct view *ret_ref);

/* LIST */
struct msg_list {
	struct msg_terms terms;
	uint8_t kind;		/* enum ref_kind, 0: both */
};

void msg_list_encode(struct wr *wr, uint64_t id, const struct msg_list *m);
int msg_list_decode(struct view body, struct msg_list *ret);

/* PING, STATUS, CANCEL: a frame without fields. */
void msg_empty_encode(struct wr *wr, uint8_t type, uint64_t id);
int msg_empty_decode(struct view body);

/* What is known of a value, in RESULT and in ROW. */
struct msg_meta {
	uint8_t freshness;	/* enum msg_freshness */
	uint64_t age_ms;	/* with freshness */
	struct view id;		/* empty: not said */
	struct view name;
	uint64_t version;	/* 0: not said */
	int64_t updated_at;	/* MSG_NO_TIME: none */
	int64_t expires_at;
};

void msg_meta_init(struct msg_meta *meta);

/* RESULT */
struct msg_result {
	uint16_t index;
	int error;		/* ERR_OK or ERR_* */
	struct view message;	/* with an error */
	struct msg_meta meta;
	struct view position;	/* MSG_POSITION_LEN bytes; empty: not said */
	bool changed;		/* of REJECT, without an error */
	uint8_t content;	/* enum msg_content; 0: no value in it */
	struct view value;
};

/*
 * Append a whole RESULT.  If external, the bytes of value are left out: the
 * caller sends them right after what is in wr.
 */
void msg_result_encode(struct wr *wr, uint16_t flags, uint64_t id,
    const struct msg_result *m, bool external);
int msg_result_decode(struct view body, struct msg_result *ret);
/* Upper bound of an encoded RESULT without the bytes of its value. */
#define MSG_RESULT_HEAD_MAX 2600

/* ROWS: begin, msg_row_add() …, then msg_rows_end(). */
struct msg_row {
	uint8_t kind;		/* enum ref_kind */
	struct msg_meta meta;
};

#define MSG_ROW_MAX 1400	/* upper bound of one encoded row */

size_t msg_rows_begin(struct wr *wr, uint16_t flags, uint64_t id);
void msg_row_add(struct wr *wr, const struct msg_row *row);
/* meta: freshness and age of the listing in the last frame, else NULL. */
void msg_rows_end(struct wr *wr, size_t start, const struct msg_meta *meta);
/*
 * Walk the rows: *pos starts as the body and is advanced.  Returns 0 with a
 * row, ERR_AGAIN at the end, or as a decoder: then do not go on.
 */
int msg_row_next(struct view *pos, struct msg_row *ret_row);
/* Freshness and age of the listing, MSG_FRESHNESS_NONE if not in this frame. */
int msg_rows_decode(struct view body, struct msg_meta *ret_listing);

/* STATS: begin, msg_stat_*() …, frame_end(). */
enum msg_stat_type {
	MSG_STAT_NULL,
	MSG_STAT_UINT,
	MSG_STAT_TEXT,
};

struct msg_stat {
	struct view name;
	enum msg_stat_type type;
	uint64_t number;
	struct view text;
};

size_t msg_stats_begin(struct wr *wr, uint16_t flags, uint64_t id);
void msg_stat_uint(struct wr *wr, const char *name, uint64_t v);
void msg_stat_text(struct wr *wr, const char *name, const char *v);
void msg_stat_null(struct wr *wr, const char *name);
/* As msg_row_next(). */
int msg_stat_next(struct view *pos, struct msg_stat *ret_stat);

/* DONE */
struct msg_done {
	uint64_t count;
	uint64_t failed;
};

void msg_done_encode(struct wr *wr, uint64_t id, const struct msg_done *m);
int msg_done_decode(struct view body, struct msg_done *ret);

/* ERROR */
struct msg_error {
	int error;
	struct view message;
};

void msg_error_encode(struct wr *wr, uint64_t id, const struct msg_error *m);
int msg_error_decode(struct view body, struct msg_error *ret);

#endif /* PROTO_MSG_H */
