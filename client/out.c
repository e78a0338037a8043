#include "config.h"

#include "out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "text.h"
#include "wipe.h"

#define OUT_FIRST 512

void
out_init(struct out *o)
{
	memset(o, 0, sizeof(*o));
}

void
out_done(struct out *o)
{
	wipe_free(o->p, o->len);
	out_init(o);
}

void
out_clear(struct out *o)
{
	wipe(o->p, o->len);
	o->len = 0;
}

/* Room for len more bytes; NULL latches. */
static char *
room(struct out *o, size_t len)
{
	size_t size = o->size == 0 ? OUT_FIRST : o->size;
	char *p;

	if (o->failed || len > SIZE_MAX / 4 || o->len > SIZE_MAX / 4) {
		o->failed = true;
		return NULL;
	}
	if (len <= o->size - o->len)
		return o->p + o->len;
	while (size < o->len + len)
		size *= 2;
	p = malloc(size);
	/* Locked memory (harden.h) may be what ran out. */
	if (p == NULL && munlockall() == 0)
		p = malloc(size);
	if (p == NULL) {
		o->failed = true;
		return NULL;
	}
	if (o->len > 0)
		memcpy(p, o->p, o->len);
	wipe_free(o->p, o->len);
	o->p = p;
	o->size = size;
	return o->p + o->len;
}

void
out_bytes(struct out *o, const void *p, size_t len)
{
	char *to = room(o, len);

	if (to == NULL || len == 0)
		return;
	memcpy(to, p, len);
	o->len += len;
}

void
out_text(struct out *o, const char *text)
{
	out_bytes(o, text, strlen(text));
}

void
out_char(struct out *o, char c)
{
	out_bytes(o, &c, 1);
}

void
out_fmt(struct out *o, const char *fmt, ...)
{
	char buf[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	out_text(o, buf);
}

void
out_printable(struct out *o, const char *text)
{
	size_t len = strlen(text);
	char *to;

	if (len > SIZE_MAX / 16) {
		o->failed = true;
		return;
	}
	to = room(o, len * 4 + 4);
	if (to == NULL)
		return;
	(void)text_printable(text, len, to, len * 4 + 4);
	o->len += strlen(to);
}

void
out_pad(struct out *o, long count)
{
	for (; count > 0; count--)
		out_char(o, ' ');
}

int
out_write_all(int fd, const void *p, size_t len)
{
	const char *from = p;
	ssize_t n;

	while (len > 0) {
		n = write(fd, from, len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		from += n;
		len -= (size_t)n;
	}
	return 0;
}

int
out_write(const struct out *o, int fd)
{
	if (o->failed) {
		errno = ENOMEM;
		return -1;
	}
	return out_write_all(fd, o->p, o->len);
}
