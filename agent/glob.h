/*
 * Patterns for names, paths and units: `*` and `?` stay within one
 * '/'-separated part, `**` crosses parts, `?` is one character of UTF-8 (or
 * one byte that is none).  Everything else stands for itself.
 *
 * The time is bounded by pattern length times text length: whoever chooses
 * the name cannot make the agent think long.
 */
#ifndef AGENT_GLOB_H
#define AGENT_GLOB_H

#include <stdbool.h>
#include <stddef.h>

#define GLOB_MAX 1023		/* bytes of a pattern */

/* Does the pattern (at most GLOB_MAX bytes) match all of text[0..len)? */
bool glob_match(const char *pattern, const void *text, size_t len);

/* Does it match whatever there is? */
bool glob_is_all(const char *pattern);

/* Bytes of the shortest text that it matches. */
size_t glob_min_len(const char *pattern);

#endif /* AGENT_GLOB_H */
