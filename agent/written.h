/*
 * What was written since a listing was begun: which names mean which ids now,
 * and which no longer.  Few rows, so that a write does not make a listing of
 * many pages void.
 *
 * Pure: no I/O, no time.  Event-loop thread only.
 */
#ifndef AGENT_WRITTEN_H
#define AGENT_WRITTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define WRITTEN_MAX 256

struct written_row {
	char *id;
	char *name;
	bool there;		/* the name means it; else it does not */
	uint64_t at;		/* when, on jobs_now()'s counter */
};

struct written {
	struct written_row *rows; /* the oldest first */
	size_t count;
	size_t cap;
};

/* All empty is a good beginning. */
void written_clear(struct written *w);

/*
 * The name means the id, or no longer; whatever was said of the two before is
 * void.  Returns 0, ERR_TOO_LARGE (there are WRITTEN_MAX rows) or ERR_NOMEM.
 */
int written_add(struct written *w, struct view name, struct view id,
    bool there, uint64_t at);

/* Forget what was written before that. */
void written_forget(struct written *w, uint64_t before);

/* What is said of the two; NULL: nothing. */
const struct written_row *written_find(const struct written *w,
    struct view name, struct view id);

/* The newest that says what name an id has; NULL: none. */
const struct written_row *written_by_id(const struct written *w,
    struct view id);

/* The next that means something by a name; *pos starts at 0.  NULL: no more. */
const struct written_row *written_next(const struct written *w,
    struct view name, size_t *pos);

#endif /* AGENT_WRITTEN_H */
