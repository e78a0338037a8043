/*
 * From what a caller asks for to the next thing to do: an answer out of the
 * cache, a read of an entry, or a newer listing.  Decisions only; fetch
 * carries them out and comes back.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_LOOKUP_H
#define AGENT_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "cache.h"
#include "clock.h"
#include "fetch.h"
#include "names.h"

struct lookup {
	/* what is asked for */
	enum ref_kind kind;
	enum ref_format format;
	uint64_t version;
	struct view name;	/* an id or a name */
	bool list;		/* the listing itself, in place of all that */
	uint64_t max_age_ms;
	uint64_t max_stale_ms;
	bool only_if_cached;
	bool fresh;
	bool patient;		/* these two not looked at: fetch's, as in */
	bool preload;		/* the query */
	uint64_t since;		/* jobs_now() at the beginning */

	/* what is known so far */
	bool by_name;		/* the listing gave the id */
	bool read_by_name;	/* and that was so for the newest read */
	bool tried_id;		/* name was tried as an id */
	bool relist;		/* only a listing newer than since will do */
	bool relisted;		/* that was asked for once */
	bool renew_behind;	/* out: the listing wants renewal, nobody waits */

	/* outcome of the entry's read that was waited for */
	bool attempted;
	int attempt_error;
	uint64_t attempt_sent;
	char attempt_message[UPSTREAM_MESSAGE_MAX];

	/* outcome of the listing's renewal that was waited for */
	bool names_done;
	int names_error;
	char names_message[UPSTREAM_MESSAGE_MAX];
};

/* Where it looks. */
struct lookup_in {
	struct cache *cache;
	struct names *names;
	uint64_t refresh_interval_ms;
	uint64_t negative_ttl_ms;
	uint64_t max_stale_ms;
};

enum lookup_step {
	LOOKUP_DONE,		/* result is filled */
	LOOKUP_READ,		/* wait for a read of *ret_entry */
	LOOKUP_NAMES,		/* wait for a renewal of the listing */
};

void lookup_init(struct lookup *lk, const struct fetch_query *q,
    uint64_t since);
/* For the listing of that kind; q->ref is not looked at. */
void lookup_init_listing(struct lookup *lk, const struct fetch_query *q,
    enum ref_kind kind, uint64_t since);

enum lookup_step lookup_next(struct lookup *lk, const struct lookup_in *in,
    const struct now *now, struct fetch_result *result,
    struct cache_entry **ret_entry);

/* No time is left: the best there is, else ERR_TIMEOUT. */
void lookup_give_up(struct lookup *lk, const struct lookup_in *in,
    const struct now *now, struct fetch_result *result);

/* Fill a result with an error and its sentence. */
void lookup_fail(struct fetch_result *result, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Can text be an id at all: 1 to 128 of [A-Za-z0-9_-]? */
bool lookup_can_be_id(struct view text);

/*
 * Does it look like an id more than like a name?  Then it is tried as one
 * before a listing is asked for (upstream-api.md, section 1, "Ids").
 */
bool lookup_looks_like_id(struct view text);

#endif /* AGENT_LOOKUP_H */
