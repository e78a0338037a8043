/*
 * Answers on their way to one socket.
 *
 * All connections share one locked scratch buffer: answers are put together
 * there, sent with one call, and wiped.  Large values are not copied; they are
 * sent from where they lie, held by reference.  What a socket does not take
 * becomes that connection's backlog, which is bounded by the scratch buffer.
 */
#ifndef AGENT_OUT_H
#define AGENT_OUT_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "object.h"

struct out;
struct out_backlog;

/* Values up to this many bytes are copied: cheaper than a piece of their own. */
#define OUT_INLINE_MAX 1024

/* NULL for no memory. */
struct out *out_new(void);
void out_free(struct out *o);

/* Room for one more message of need bytes, and for an external piece? */
bool out_has_room(const struct out *o, size_t need);
bool out_is_empty(const struct out *o);

/*
 * Write into the scratch buffer: wr covers what is left of it.  Then commit
 * what was written (nothing, if wr failed).
 */
struct wr out_begin(struct out *o);
void out_commit(struct out *o, const struct wr *wr);

/* Append bytes that belong to object, which is held until they are sent. */
void out_external(struct out *o, struct object *object, struct view bytes);

/*
 * Send everything.  Returns 0; ERR_AGAIN with the rest in *ret_backlog (o is
 * empty again in any case); ERR_CLOSED if the peer is gone; ERR_NOMEM.
 */
int out_flush(struct out *o, int fd, struct out_backlog **ret_backlog);

/* Go on sending.  Returns as above; on 0 the backlog was freed. */
int out_backlog_send(struct out_backlog **b, int fd);
/*
 * Secret memory that would be free without it: its own, and that of objects
 * which nobody else holds.  0 for NULL.
 */
size_t out_backlog_bytes(const struct out_backlog *b);
/* Wipe and free; NULL is fine. */
void out_backlog_free(struct out_backlog *b);

#endif /* AGENT_OUT_H */
