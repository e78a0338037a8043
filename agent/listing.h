/*
 * One complete listing of the secrets or of the keys: names to ids and back.
 * Immutable once it is finished, shared by reference count, so a long answer
 * can walk it while a newer one takes its place.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_LISTING_H
#define AGENT_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "upstream.h"

struct listing;

/* Empty, with one reference.  NULL for no memory. */
struct listing *listing_new(void);
struct listing *listing_ref(struct listing *l);
void listing_unref(struct listing *l);

/*
 * Add the rows of a page and take their texts over (page keeps only its
 * frame).  A row whose id is there already replaces it: paging is no snapshot.
 * ret_news (may be NULL): how many ids were new.
 * Returns 0 or ERR_NOMEM.
 */
int listing_add(struct listing *l, struct upstream_page *page,
    size_t *ret_news);

/* Every row told its version, so rows can revalidate what is cached. */
bool listing_has_versions(const struct listing *l);

size_t listing_count(const struct listing *l);
const struct upstream_row *listing_row(const struct listing *l, size_t i);

/* The row of this id, or NULL. */
const struct upstream_row *listing_by_id(const struct listing *l,
    struct view id);

/* The next row of this name, the first if after is NULL; NULL: no more. */
const struct upstream_row *listing_next_named(const struct listing *l,
    struct view name, const struct upstream_row *after);

/*
 * The row of this name.  Active rows count before inactive ones.
 * Returns 0, ERR_NOT_FOUND, or ERR_AMBIGUOUS with two of the ids in ret_row
 * and ret_other.
 */
int listing_by_name(const struct listing *l, struct view name,
    const struct upstream_row **ret_row, const struct upstream_row **ret_other);

#endif /* AGENT_LISTING_H */
