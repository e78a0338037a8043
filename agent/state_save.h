/*
 * Making one snapshot of the cache, a slice at a time, while the cache goes
 * on changing.  Each entry is as it was at one moment; a change during the
 * walk may or may not be in it, which the cache's counters tell.
 *
 * An object goes from secret memory into a chunk of plain text, in secret
 * memory too, and from there sealed into the writer's buffer.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_STATE_SAVE_H
#define AGENT_STATE_SAVE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache.h"
#include "clock.h"
#include "names.h"
#include "seal.h"
#include "state_format.h"
#include "state_writer.h"

struct state_save;

struct state_save_config {
	struct cache *cache;
	struct names *names;
	const struct secmem *key;
	const struct secmem *api; /* of seal_derive() */
	struct view url;
	struct seal_info info;	/* wall_ms and boot_ms are set from now */
	struct state_facts facts;
	struct state_place *place; /* NULL: no file */
	bool memory;		/* a memory file */
};

/* Begins it, and its writer.  Returns 0 or ERR_NOMEM. */
int state_save_new(const struct state_save_config *cfg, const struct now *now,
    struct state_save **ret_save);

enum state_progress {
	STATE_MORE,	/* another slice, now */
	STATE_WAIT,	/* the disk is behind: in some milliseconds */
	STATE_DONE,	/* all is handed to the writer, which may still write */
	STATE_FAILED,	/* out of memory, or an entry that cannot be written */
};

/* A slice: some hundred entries or 64 KiB, well below a millisecond. */
enum state_progress state_save_step(struct state_save *sv);

/* Of the writer: see there. */
struct state_writer *state_save_writer(struct state_save *sv);
/* How many entries are in it. */
uint64_t state_save_items(const struct state_save *sv);

/* Abandons what is not done.  NULL is fine. */
void state_save_free(struct state_save *sv);

#endif /* AGENT_STATE_SAVE_H */
