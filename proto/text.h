/*
 * Small helpers for text that come from outside: is it UTF-8, what could have
 * been meant, how to show it on a line.
 */
#ifndef PROTO_TEXT_H
#define PROTO_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Valid UTF-8 (RFC 3629: no surrogates, no overlong forms)?  NUL is valid. */
bool text_is_utf8(const void *p, size_t len);

/* Valid UTF-8 without NUL: what the protocol calls text? */
bool text_is_text(const void *p, size_t len);

/* Valid UTF-8 without a byte below 0x20 and without 0x7f? */
bool text_is_plain(const void *p, size_t len);

/*
 * Length of the longest beginning of p that is at most max and does not end
 * within a character; for valid UTF-8.
 */
size_t text_cut(const void *p, size_t len, size_t max);

/*
 * The candidate nearest to what was typed (edit distance, swapped neighbours
 * count once, case does not), or NULL if none is near.  names: count pointers.
 */
const char *text_nearest(const char *typed, const char *const *names,
    size_t count);

/* What a hexadecimal digit stands for, in either case; -1 for another byte. */
int text_hex_value(int c);

/*
 * Copy to a line of a log or an error: bytes below 0x20, 0x7f, C1 controls and
 * what is not UTF-8 become \xNN, so nobody forges a line or drives a terminal.
 * ret is always terminated; what does not fit is cut, ending in "...".
 */
const char *text_printable(const void *p, size_t len, char *ret, size_t size);

#endif /* PROTO_TEXT_H */
