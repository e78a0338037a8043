#include "config.h"

#include "out.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/uio.h>

#include "err.h"
#include "secmem.h"
#include "wipe.h"

#define OUT_SCRATCH (128u * 1024)
#define OUT_PIECES 64		/* at most; then it is flushed */
/* With so much to send there is no hurry to have more. */
#define OUT_ENOUGH (256u * 1024)

/* Bytes to send: of the scratch buffer, or of an object held for them. */
struct out_piece {
	struct object *object;	/* NULL: scratch */
	const uint8_t *p;
	size_t len;
};

struct out {
	struct secmem scratch;
	size_t len;		/* of scratch, in use */
	size_t external;	/* bytes besides */
	size_t count;
	struct out_piece pieces[OUT_PIECES];
};

struct out_backlog {
	struct secmem copy;	/* of what was in scratch */
	size_t first;		/* piece to go on with */
	size_t count;
	struct out_piece pieces[];
};

struct out *
out_new(void)
{
	struct out *o;

	o = calloc(1, sizeof(*o));
	if (o == NULL)
		return NULL;
	if (secmem_alloc(&o->scratch, OUT_SCRATCH, SECMEM_LIBRARY) != 0) {
		free(o);
		return NULL;
	}
	return o;
}

static void
out_clear(struct out *o)
{
	size_t i;

	for (i = 0; i < o->count; i++)
		object_unref(o->pieces[i].object);
	wipe(secmem_writable(&o->scratch), o->len);
	o->count = 0;
	o->len = 0;
	o->external = 0;
}

void
out_free(struct out *o)
{
	if (o == NULL)
		return;
	out_clear(o);
	secmem_free_bytes(&o->scratch);
	free(o);
}

bool
out_has_room(const struct out *o, size_t need)
{
	/*
	 * A message is a piece of scratch and perhaps an external one; and one
	 * is kept for a short error that is said without asking.
	 */
	return o->count + 3 <= OUT_PIECES && o->external < OUT_ENOUGH &&
	    need <= OUT_SCRATCH - o->len;
}

bool
out_is_empty(const struct out *o)
{
	return o->count == 0;
}

struct wr
out_begin(struct out *o)
{
	struct wr wr;

	wr_init(&wr, secmem_writable(&o->scratch) + o->len,
	    OUT_SCRATCH - o->len);
	return wr;
}

void
out_commit(struct out *o, const struct wr *wr)
{
	struct out_piece *last = o->count > 0 ? &o->pieces[o->count - 1] : NULL;

	if (wr->failed || wr->len == 0)
		return;
	if (last != NULL && last->object == NULL) {
		last->len += wr->len;
	} else {
		assert(o->count < OUT_PIECES);
		o->pieces[o->count++] = (struct out_piece){
			.p = secmem_bytes(&o->scratch) + o->len,
			.len = wr->len,
		};
	}
	o->len += wr->len;
}

void
out_external(struct out *o, struct object *object, struct view bytes)
{
	assert(o->count < OUT_PIECES);
	if (bytes.len == 0)
		return;
	o->pieces[o->count++] = (struct out_piece){
		.object = object_ref(object),
		.p = bytes.p,
		.len = bytes.len,
	};
	o->external += bytes.len;
}

/* One send for n pieces; the least call that does it. */
static ssize_t
out_write(const struct out_piece *pieces, size_t n, int fd)
{
	struct iovec iov[OUT_PIECES];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
	size_t i;

	if (n == 1)
		return send(fd, pieces->p, pieces->len,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
	for (i = 0; i < n; i++) {
		iov[i].iov_base = (void *)(uintptr_t)pieces[i].p;
		iov[i].iov_len = pieces[i].len;
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/*
 * Send pieces[*first..count); advances *first and the piece that went in part.
 * Returns 0, ERR_AGAIN or ERR_CLOSED.
 */
static int
out_send(struct out_piece *pieces, size_t *first, size_t count, int fd)
{
	ssize_t n;
	size_t sent;

	while (*first < count) {
		n = out_write(pieces + *first, count - *first, fd);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ||
			    errno == ENOBUFS ? ERR_AGAIN : ERR_CLOSED;
		sent = (size_t)n;
		while (*first < count && sent >= pieces[*first].len) {
			sent -= pieces[*first].len;
			object_unref(pieces[*first].object);
			pieces[*first].object = NULL;
			(*first)++;
		}
		if (*first < count) {
			pieces[*first].p += sent;
			pieces[*first].len -= sent;
		}
	}
	return 0;
}

/* Move what was not sent out of the shared buffer. */
static struct out_backlog *
out_keep(struct out *o, size_t first)
{
	struct out_backlog *b;
	const uint8_t *from = NULL, *base = secmem_bytes(&o->scratch);
	size_t i, off;

	b = calloc(1, sizeof(*b) + (o->count - first) * sizeof(b->pieces[0]));
	if (b == NULL)
		return NULL;
	b->count = o->count - first;
	memcpy(b->pieces, &o->pieces[first],
	    b->count * sizeof(b->pieces[0]));
	for (i = 0; i < b->count && from == NULL; i++) {
		if (b->pieces[i].object == NULL)
			from = b->pieces[i].p;
	}
	off = from != NULL ? (size_t)(from - base) : o->len;
	if (secmem_copy(&b->copy, base + off, o->len - off,
	    SECMEM_LIBRARY) != 0) {
		free(b);
		return NULL;
	}
	for (i = 0; i < b->count; i++) {
		if (b->pieces[i].object == NULL)
			b->pieces[i].p = secmem_bytes(&b->copy) +
			    ((size_t)(b->pieces[i].p - base) - off);
	}
	/* the references went along */
	o->count = first;
	return b;
}

int
out_flush(struct out *o, int fd, struct out_backlog **ret_backlog)
{
	size_t first = 0;
	int r;

	r = out_send(o->pieces, &first, o->count, fd);
	if (r == ERR_AGAIN) {
		*ret_backlog = out_keep(o, first);
		if (*ret_backlog == NULL)
			r = ERR_NOMEM;
	}
	out_clear(o);
	return r;
}

int
out_backlog_send(struct out_backlog **b, int fd)
{
	int r;

	r = out_send((*b)->pieces, &(*b)->first, (*b)->count, fd);
	if (r == 0) {
		out_backlog_free(*b);
		*b = NULL;
	}
	return r;
}

size_t
out_backlog_bytes(const struct out_backlog *b)
{
	size_t bytes, i;

	if (b == NULL)
		return 0;
	bytes = secmem_len(&b->copy);
	for (i = b->first; i < b->count; i++) {
		if (b->pieces[i].object != NULL)
			bytes += object_own_bytes(b->pieces[i].object);
	}
	return bytes;
}

void
out_backlog_free(struct out_backlog *b)
{
	size_t i;

	if (b == NULL)
		return;
	for (i = b->first; i < b->count; i++)
		object_unref(b->pieces[i].object);
	secmem_free_bytes(&b->copy);
	free(b);
}
