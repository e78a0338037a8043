/*
 * What is in a snapshot, as bytes: records of entries and listings.  Pure:
 * no sealing, no files, no clock.
 *
 * A record is its type (u8), the length of its body (u32) and the body;
 * integers are big-endian.  A reader skips a type it does not know, and
 * bytes at the end of a body that it knows less of, so that records can grow.
 * All that is zero behind the last record is padding.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_STATE_FORMAT_H
#define AGENT_STATE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "cache.h"
#include "msg.h"
#include "object.h"
#include "secmem.h"
#include "upstream.h"

/* The largest record without the data of an object. */
#define STATE_RECORD_MAX (256u + MSG_ID_MAX + MSG_NAME_MAX)

/* One entry of the cache with its object, as of the snapshot's time. */
struct state_item {
	enum ref_kind kind;
	enum ref_format format;
	uint64_t version;	/* the pinned one, or 0 */
	struct object *object;
	uint64_t age_ms;	/* since it was confirmed */
	uint64_t read_age_ms;
	uint64_t reread_in_ms;
	uint64_t expired_age_ms;
	uint32_t failures;
	bool expired;
};

/* A listing; its rows follow. */
struct state_list {
	enum ref_kind kind;
	uint64_t age_ms;
	bool has_versions;
	uint64_t count;
};

/* What else a restart has to know. */
struct state_facts {
	int64_t wall_floor_ms;	/* INT64_MIN: none; cache_set_wall_floor() */
	uint64_t unauthorized_ms; /* how long the key has been refused; 0: it
				 * is not */
};

/* The end: how many there were. */
struct state_end {
	uint64_t items;
	uint64_t rows;
};

/*
 * Append one record.  Of an item, all but the object's data, whose bytes
 * (secmem_bytes(&item->object->data)) have to follow.  wr has room for
 * STATE_RECORD_MAX.
 */
void state_put_facts(struct wr *wr, const struct state_facts *facts);
void state_put_list(struct wr *wr, const struct state_list *list);
void state_put_row(struct wr *wr, const struct upstream_row *row);
void state_put_item(struct wr *wr, const struct state_item *item);
void state_put_end(struct wr *wr, const struct state_end *end);

/*
 * What a decoder calls.  Each returns 0, or an error that ends it.  object of
 * an item is the callee's if it takes a reference; texts of a row too, if it
 * sets the pointers to NULL.
 */
struct state_sink {
	int (*facts)(void *arg, const struct state_facts *facts);
	int (*list)(void *arg, const struct state_list *list);
	int (*row)(void *arg, struct upstream_row *row);
	int (*item)(void *arg, const struct state_item *item);
	void *arg;
};

struct state_decoder {
	const struct state_sink *sink;
	struct secbuf buf;	/* what is not a whole record yet */
	struct state_end seen;
	bool in_list;		/* rows may come */
	bool ended;		/* only padding may come */
};

void state_decoder_init(struct state_decoder *d,
    const struct state_sink *sink);
void state_decoder_done(struct state_decoder *d);

/*
 * Take the next bytes, cut anywhere.  Returns 0, ERR_BAD_REQUEST for what no
 * version of this program writes, ERR_NOMEM, or what the sink returned.
 */
int state_decode(struct state_decoder *d, const uint8_t *p, size_t len);
/* Was that all of it?  Returns 0 or ERR_BAD_REQUEST. */
int state_decode_end(const struct state_decoder *d);

#endif /* AGENT_STATE_FORMAT_H */
