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

/* When something was written last (names_changed); 0: never. */
uint64_t names_last_written(const struct names *n, enum ref_kind kind);

/* How many pages that one had, at least 1. */
unsigned int names_pages(const struct names *n, enum ref_kind kind);

/* What a text means, by the newest listing and what was written since. */
struct names_found {
	struct view id;
	struct view name;
	struct view other;	/* id of the other, where it is ambiguous */
};

/*
 * Views die with the next event.  Both give ERR_NOT_FOUND without a listing.
 * Active ones count before inactive ones.  Returns 0, ERR_NOT_FOUND or
 * ERR_AMBIGUOUS.
 */
int names_by_name(const struct names *n, enum ref_kind kind, struct view name,
    struct names_found *ret);
/* 0 or ERR_NOT_FOUND.  What was removed is found as long as a listing has it. */
int names_by_id(const struct names *n, enum ref_kind kind, struct view id,
    struct names_found *ret);

/*
 * Something was written (or may have been), and the service has said so; at:
 * jobs_now().  The listing is kept, as most of it stays true; one under way is
 * not begun again, or writes in a row would keep it from ever ending.
 */
void names_changed(struct names *n, enum ref_kind kind, uint64_t at);
/* And nobody knows which names it made. */
void names_unsure(struct names *n, enum ref_kind kind, uint64_t at);
/* And the name now means this id, or does so no longer. */
void names_written(struct names *n, enum ref_kind kind, struct view name,
    struct view id, bool there, uint64_t at);

/*
 * Does the listing lack what was written before since, at worst?  For those
 * who began then it is not the last word: of any row; of a name that it does
 * not have.  A renewal that begins after since always is, whatever is written
 * meanwhile.
 */
bool names_is_outdated(const struct names *n, enum ref_kind kind,
    uint64_t since);
bool names_is_unsure(const struct names *n, enum ref_kind kind,
    uint64_t since);

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
 * Forget the listing: it is purged, or another tenant's.  One under way is
 * begun again.
 */
void names_forget(struct names *n, enum ref_kind kind);

#endif /* AGENT_NAMES_H */
