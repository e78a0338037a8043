/*
 * The two listings, of secrets and of keys: kept, renewed page by page when
 * somebody needs a newer one, shared by all who wait for it.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_NAMES_H
#define AGENT_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "jobs.h"
#include "listing.h"
#include "upstream.h"

struct names;

/* Called when a renewal of one kind has ended; answer->error says how. */
typedef void names_cb(void *arg, enum ref_kind kind,
    const struct upstream_answer *answer);

/*
 * A page of a renewal has arrived; asked_boot_ms: when it was asked for.
 * Returns whether its sequels are wanted for more than the names.
 */
typedef bool names_page_cb(void *arg, enum ref_kind kind,
    const struct upstream_page *page, uint64_t asked_boot_ms);

/* NULL for no memory. */
struct names *names_new(struct jobs *jobs, names_page_cb *page_cb,
    names_cb *cb, void *arg);
void names_free(struct names *n);

/* The newest complete listing, or NULL.  Borrowed. */
struct listing *names_listing(const struct names *n, enum ref_kind kind);

/* When that one was begun, so at least as new as that; boot clock. */
uint64_t names_begun(const struct names *n, enum ref_kind kind);
/* The same on jobs_now()'s counter. */
uint64_t names_sent(const struct names *n, enum ref_kind kind);
/* Did the last renewal fail?  ERR_* or 0.  And when was one begun last? */
int names_error(const struct names *n, enum ref_kind kind);
uint64_t names_tried(const struct names *n, enum ref_kind kind);

/*
 * Renew it, if that is not under way.  waited: who waits for it; cb is
 * called at the end either way, never from within.  Returns 0 or ERR_NOMEM.
 */
int names_renew(struct names *n, enum ref_kind kind, enum job_waited waited,
    const struct now *now);

/*
 * Renew it for what the rows tell of values, nobody waiting: it ends early,
 * with ERR_AGAIN, when page_cb wants no more and nobody has come to want the
 * names meanwhile.
 */
int names_renew_for_values(struct names *n, enum ref_kind kind,
    const struct now *now);

bool names_renewing(const struct names *n, enum ref_kind kind);

/*
 * A listing of another run, as of age_ms ago; nothing if there is one already.
 * Takes the reference over.
 */
void names_restore(struct names *n, enum ref_kind kind, struct listing *l,
    uint64_t age_ms, const struct now *now);

/*
 * Forget the listing: something was written, or it is another tenant's.  One
 * under way is begun again.
 */
void names_forget(struct names *n, enum ref_kind kind);

#endif /* AGENT_NAMES_H */
