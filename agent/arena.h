/*
 * Allocator over one address range, for secmem.c.
 *
 * It knows pages, slabs of equal objects, and runs of pages.  It does not know
 * how memory is had or locked: steps of the range are added and given back
 * through the callbacks it was handed.  None of its own data lies in the
 * range, so an object of 4096 bytes takes one page, and an overrun of an
 * object meets another object or a page that faults, never a list pointer.
 *
 * Memory that is not handed out is zero: it comes so from the callback, and
 * arena_release() wipes.  Not thread-safe; secmem.c holds a mutex.
 *
 * Cost: 48 bytes of bookkeeping for a page (1.2 %); allocation and release
 * take constant time, but for runs above 128 KiB, which may walk the free
 * runs of their size.
 */
#ifndef AGENT_ARENA_H
#define AGENT_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARENA_PAGE 4096u	/* unit of the bookkeeping, not the system's */

struct arena;

struct arena_ops {
	/*
	 * Make [offset, offset + len) usable, zeroed and locked; or give it
	 * back.  len is one step.  0 or a negative errno value; after a
	 * failure the memory must be as before.
	 */
	int (*grow)(void *arg, size_t offset, size_t len);
	int (*shrink)(void *arg, size_t offset, size_t len);
	/* How many bytes, up to max and in whole steps, could be locked now. */
	size_t (*lockable)(void *arg, size_t max_bytes);
};

struct arena_config {
	void *base;		/* aligned to ARENA_PAGE */
	size_t bytes;		/* a multiple of step_bytes */
	size_t step_bytes;	/* a power of two, >= ARENA_PAGE */
	size_t headroom_bytes;	/* what leave_headroom leaves */
	const struct arena_ops *ops;
	void *arg;
};

struct arena_stats {
	size_t held_bytes;
	size_t used_bytes;
	size_t peak_used_bytes;
	size_t meta_bytes;	/* bookkeeping of the steps held */
	uint64_t steps_grown;
	uint64_t steps_returned;
	uint64_t grow_failures;
	int last_grow_errno;
};

/* NULL for no memory or for sizes that make no sense. */
struct arena *arena_new(const struct arena_config *cfg);

/*
 * Add the first step.  0 or what the callback said; a failure is not counted,
 * so that the caller may change its callback's ways and try again.
 */
int arena_start(struct arena *a);

/*
 * Wipe what is in use, and free the bookkeeping; the steps stay with the
 * caller, who unmaps the range.  NULL is fine.
 */
void arena_free(struct arena *a);

/*
 * At least len zeroed bytes (0 counts as 1), aligned to 16.
 * leave_headroom: fail if less than headroom_bytes would be left, counting
 * free pages, and growth as far as it is believed possible.
 * NULL if there is no room.
 */
void *arena_alloc(struct arena *a, size_t len, bool leave_headroom);

/* Wipe and free.  A pointer that is no object of the arena aborts. */
void arena_release(struct arena *a, void *p);

/* Bytes that the object at p really has.  Aborts as arena_release() does. */
size_t arena_usable(const struct arena *a, const void *p);

/*
 * Tell the address sanitizer that the object at p now has len bytes (at most
 * what it really has).  Does nothing in other builds.
 */
void arena_note_len(struct arena *a, void *p, size_t len);

/* What an object of len bytes takes; SIZE_MAX if it cannot be rounded up. */
size_t arena_class_size(size_t len);

void arena_get_stats(const struct arena *a, struct arena_stats *ret_stats);

/* See secmem_take_grow_failure(). */
bool arena_take_grow_failure(struct arena *a, int *ret_errno);

#endif /* AGENT_ARENA_H */
