/*
 * Forgetting and comparing secrets, for code that has libc alone.
 */
#ifndef PROTO_WIPE_H
#define PROTO_WIPE_H

#include <stdbool.h>
#include <stddef.h>

/* Overwrite with zeros; the compiler may not leave it out.  NULL with 0 is fine. */
void wipe(void *p, size_t len);

/* Wipe, then free(3).  NULL is fine; errno is kept. */
void wipe_free(void *p, size_t len);

/* Equal?  The time depends on len alone. */
bool wipe_equal(const void *a, const void *b, size_t len);

#endif /* PROTO_WIPE_H */
