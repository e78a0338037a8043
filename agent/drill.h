/*
 * DRILL: the agent behaves as if the service could not be reached, for as
 * long as a caller who may asks for it and stays; then it reports who was
 * answered otherwise than usual, and when each cached value would have become
 * unusable.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_DRILL_H
#define AGENT_DRILL_H

#include "session.h"

struct drill;

/* References that are told apart; what is beyond is only counted. */
#define DRILL_READS_MAX 4096
/* And bytes of them. */
#define DRILL_TEXT_MAX (1u << 20)

/*
 * There is one, running or not.  changed (may be NULL): it has begun or
 * ended.  NULL for no memory.
 */
struct drill *drill_new(struct event_base *base, struct fetch *f,
    void (*changed)(void *arg), void *arg);
/* The request that runs it must be gone. */
void drill_free(struct drill *d);

/* Handler of dispatch: 0, or an error that ends the connection. */
int drill_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out);

/* End it and report, if it runs: another configuration is in force. */
void drill_stop(struct drill *d);

bool drill_runs(const struct drill *d);
/* How long it still runs; 0 if it does not. */
uint64_t drill_left_ms(const struct drill *d, const struct now *now);

/*
 * A GET was answered: with freshness, or (not 0) with this error.  Nothing
 * happens unless a drill runs; d may be NULL.
 */
void drill_record(struct drill *d, struct view ref,
    enum msg_freshness freshness, int error);

#endif /* AGENT_DRILL_H */
