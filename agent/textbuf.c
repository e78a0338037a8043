#include "config.h"

#include "textbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXTBUF_FIRST 4096
#define TEXTBUF_LINE 512	/* most of what is printed is shorter */

void
textbuf_init(struct textbuf *t, size_t max_bytes)
{
	memset(t, 0, sizeof(*t));
	t->max = max_bytes;
}

void
textbuf_free(struct textbuf *t)
{
	free(t->p);
	textbuf_init(t, t->max);
}

static bool
textbuf_reserve(struct textbuf *t, size_t len)
{
	size_t cap = t->cap > 0 ? t->cap : TEXTBUF_FIRST;
	char *p;

	if (t->failed || len > t->max - t->len) {
		t->failed = true;
		return false;
	}
	if (len <= t->cap - t->len)
		return true;
	while (cap - t->len < len)
		cap *= 2;
	p = realloc(t->p, cap);
	if (p == NULL) {
		t->failed = true;
		return false;
	}
	t->p = p;
	t->cap = cap;
	return true;
}

void
textbuf_add(struct textbuf *t, const void *p, size_t len)
{
	if (len == 0 || !textbuf_reserve(t, len))
		return;
	memcpy(t->p + t->len, p, len);
	t->len += len;
}

void
textbuf_printf(struct textbuf *t, const char *fmt, ...)
{
	char line[TEXTBUF_LINE];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line)) {
		t->failed = true;
		return;
	}
	textbuf_add(t, line, (size_t)n);
}

struct view
textbuf_lines(const struct textbuf *t, size_t offset, size_t max)
{
	size_t len = t->len - offset;
	const char *end;

	if (len == 0)
		return (struct view){ NULL, 0 };
	if (len > max) {
		end = memrchr(t->p + offset, '\n', max);
		len = end != NULL ? (size_t)(end - t->p) + 1 - offset : max;
	}
	return (struct view){ (const uint8_t *)t->p + offset, len };
}
