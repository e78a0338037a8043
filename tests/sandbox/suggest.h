/*
 * "Did you mean …": the nearest of some names.
 */
#ifndef SANDBOX_SUGGEST_H
#define SANDBOX_SUGGEST_H

#include <stddef.h>

/*
 * The name nearest to given, or NULL if none is near enough to be a slip of
 * the fingers. names: n of them, each stride bytes after the one before, so
 * that it may be the first member of a table's rows; NULL names are skipped.
 */
const char *suggest_name(
    const char *given, const void *names, size_t n, size_t stride);

#endif
