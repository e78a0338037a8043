#include "mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
check(void *p)
{
	if (p == NULL) {
		fputs("qapi-sandbox: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *
mem_zero(size_t n)
{
	return check(calloc(1, n == 0 ? 1 : n));
}

void *
mem_grow(void *p, size_t n, size_t size)
{
	return check(reallocarray(p, n == 0 ? 1 : n, size));
}

char *
mem_str(const char *s)
{
	return check(strdup(s));
}

char *
mem_bytes(const void *p, size_t n)
{
	char *s = mem_zero(n + 1);

	if (n != 0)
		memcpy(s, p, n);
	return s;
}

char *
mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return check(s);
}

/* Room for n more bytes and the NUL. */
static void
reserve(struct text *t, size_t n)
{
	size_t cap = t->cap == 0 ? 256 : t->cap;

	if (n > SIZE_MAX / 4 - t->len)
		check(NULL);
	while (cap < t->len + n + 1)
		cap *= 2;
	if (cap != t->cap) {
		t->p = mem_grow(t->p, cap, 1);
		t->cap = cap;
	}
}

void
text_add(struct text *t, const void *p, size_t n)
{
	reserve(t, n);
	if (n != 0)
		memcpy(t->p + t->len, p, n);
	t->len += n;
	t->p[t->len] = '\0';
}

void
text_str(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void
text_char(struct text *t, char c)
{
	text_add(t, &c, 1);
}

void
text_printf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		check(NULL);
	text_add(t, s, (size_t)n);
	free(s);
}

void
text_done(struct text *t)
{
	free(t->p);
	memset(t, 0, sizeof(*t));
}
