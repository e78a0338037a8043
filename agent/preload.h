/*
 * What the configuration wants held before the daemon says that it is ready:
 * read at start and at a reload, never evicted.
 */
#ifndef AGENT_PRELOAD_H
#define AGENT_PRELOAD_H

#include "fetch.h"

struct event_base;
struct preload;
struct settings;

/*
 * From the settings; nothing is read yet.  NULL for no memory.
 */
struct preload *preload_new(struct event_base *base, struct fetch *fetch,
    const struct settings *settings,
    void (*done)(void *arg, const char *missing), void *arg);
void preload_free(struct preload *p);

/*
 * Begin.  done is called once, never from within: everything is held, or
 * definitely refused, or preload-wait is over; missing says what is not
 * held ("" if nothing), and is good during the call.  After that the rest
 * is tried until it is there.
 */
void preload_start(struct preload *p);

/* What next does not name may be evicted again. */
void preload_release(struct preload *p, const struct preload *next);

#endif /* AGENT_PRELOAD_H */
