/*
 * A growing buffer for output, wiped when it grows and when it is freed: what
 * is printed may be a value.  Failure latches; check it once, in out_write().
 */
#ifndef CLIENT_OUT_H
#define CLIENT_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct out {
	char *p;
	size_t len;
	size_t size;
	bool failed;		/* out of memory */
};

void out_init(struct out *o);
void out_done(struct out *o);
void out_clear(struct out *o);	/* keeps the memory */

void out_bytes(struct out *o, const void *p, size_t len);
void out_text(struct out *o, const char *text);
void out_char(struct out *o, char c);
/* printf(3); for short texts, at most 255 bytes. */
void out_fmt(struct out *o, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Safe on a terminal and on one line (text_printable()). */
void out_printable(struct out *o, const char *text);
/* Blanks, none if count is negative. */
void out_pad(struct out *o, long count);

/* All of it to fd.  Returns 0, or -1 with errno set. */
int out_write(const struct out *o, int fd);

/* write(2) of all of it, going on after EINTR.  Returns 0 or -1. */
int out_write_all(int fd, const void *p, size_t len);

#endif /* CLIENT_OUT_H */
