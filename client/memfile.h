/*
 * A value as a file without a name: memory only, read-only for all time,
 * gone with its last descriptor.
 */
#ifndef CLIENT_MEMFILE_H
#define CLIENT_MEMFILE_H

#include <stddef.h>

/*
 * Make one of mode 0400 that holds the value and is sealed against every
 * change.  name: shown in /proc/PID/fd only.  The descriptor stays open
 * across exec.  Returns it, or -1 with errno set.
 */
int memfile_new(const char *name, const void *value, size_t len);

#endif /* CLIENT_MEMFILE_H */
