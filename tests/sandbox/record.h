/*
 * What was asked of the sandbox: counts by path, and the last requests in
 * detail, so that a test can check what the agent sends. Never holds a key.
 */
#ifndef SANDBOX_RECORD_H
#define SANDBOX_RECORD_H

#include <jansson.h>

#define RECORD_LOG_MAX 100

struct record;

struct record *record_new(void);
void record_free(struct record *r);

/*
 * Note one request. uri: as sent; it is split at '?'. entry: taken over; an
 * object of what else the log shall show, to which method, path and query are
 * added.
 */
void record_add(
    struct record *r, const char *method, const char *uri, json_t *entry);

/* Note the status of the answer to one; not for those without an answer. */
void record_status(struct record *r, int status);

/* Forget all. */
void record_clear(struct record *r);

/* {"total", "byPath", "byStatus"}, and the log, oldest first; new references. */
json_t *record_counts(const struct record *r);
json_t *record_log(const struct record *r);

#endif
