/*
 * A text that grows, in ordinary memory: nothing secret goes in.  Failure
 * latches: write all, check once.
 */
#ifndef AGENT_TEXTBUF_H
#define AGENT_TEXTBUF_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

struct textbuf {
	char *p;		/* no NUL at its end */
	size_t len;
	size_t cap;
	size_t max;		/* bytes, after which it fails */
	bool failed;
};

void textbuf_init(struct textbuf *t, size_t max_bytes);
void textbuf_free(struct textbuf *t);

void textbuf_add(struct textbuf *t, const void *p, size_t len);
void textbuf_printf(struct textbuf *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Whole lines from offset on, at most max bytes of them; all that is left if
 * it fits.  A line that is longer than max is cut.
 */
struct view textbuf_lines(const struct textbuf *t, size_t offset, size_t max);

#endif /* AGENT_TEXTBUF_H */
