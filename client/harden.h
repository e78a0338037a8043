/*
 * Keeps values of a short-lived process out of core files and swap, as far as
 * an ordinary user may.
 */
#ifndef CLIENT_HARDEN_H
#define CLIENT_HARDEN_H

#include <stdbool.h>
#include <sys/resource.h>

struct harden {
	bool core_saved;
	struct rlimit core;	/* as it was */
	bool locked;		/* memory is, and what comes will be */
};

/* No core files from here on, and memory that is not swapped if allowed. */
void harden_self(struct harden *h);

/*
 * Locked memory ran out: go on without, rather than not at all.  False if it
 * was not locked, so that trying again would not help.
 */
bool harden_unlock(struct harden *h);

/* For a program that is about to be started: as it was. */
void harden_undo(struct harden *h);

#endif /* CLIENT_HARDEN_H */
