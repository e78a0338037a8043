/*
 * Log streams. Nothing leaves the sandbox: a File stream keeps its archives
 * here, any other only says whether its settings would do.
 */
#ifndef SANDBOX_LOGSTREAMS_H
#define SANDBOX_LOGSTREAMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct apply_problem;
struct store_kind;
struct tenant;

extern const struct store_kind logstreams_kind;

/*
 * Hand an event, an object, to every active File stream of the tenant. What
 * makes it is only called where there is one.
 */
void logstreams_event(
    struct tenant *t, json_t *(*make)(const void *arg), const void *arg);

/* How many days of archives there are, and their size. */
void logstreams_measure(
    const struct tenant *t, int64_t *ret_items, int64_t *ret_bytes);

/*
 * One stream of a seed, with {"files": {"YYYY-MM-DD": [events]}} for what its
 * archives hold. false: *ret_problem is set.
 */
bool logstreams_seed(
    struct tenant *t, json_t *obj, struct apply_problem *ret_problem);

#endif
