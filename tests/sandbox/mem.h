/*
 * Allocation for the sandbox, and a growing text buffer.
 *
 * Nothing here returns NULL: a stand-in for tests that runs out of memory has
 * nothing useful left to do, so it says so and ends. The agent itself, which
 * must survive that, shares none of this code.
 */
#ifndef SANDBOX_MEM_H
#define SANDBOX_MEM_H

#include <stddef.h>

/* A growing byte string; all zero is an empty one. p is NUL-terminated. */
struct text {
	char *p;
	size_t len;
	size_t cap;
};

/* Zeroed memory for n bytes; n may be 0. Free with free(). */
void *mem_zero(size_t n);

/* Resize p to n elements of size bytes. Free with free(). */
void *mem_grow(void *p, size_t n, size_t size);

/* A copy of s. Free with free(). */
char *mem_str(const char *s);

/* A NUL-terminated copy of the n bytes at p. Free with free(). */
char *mem_bytes(const void *p, size_t n);

/* printf() into a new string. Free with free(). */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Append n bytes. */
void text_add(struct text *t, const void *p, size_t n);

/* Append a string, or one character. */
void text_str(struct text *t, const char *s);
void text_char(struct text *t, char c);

/* Append as printf() would. */
void text_printf(struct text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Free the bytes and make it empty. */
void text_done(struct text *t);

#endif
