#include "config.h"

#include "conn.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "err.h"
#include "wipe.h"

#define CONN_IN_FIRST 4096	/* takes most answers whole */
#define CONN_IN_KEEP 65536	/* a larger buffer is not kept when empty */
#define CONN_OUT_KEEP 262144	/* the same; a window of a stream fits */

uint64_t
conn_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t
conn_deadline(uint64_t now_boot_ms, uint64_t wait_ms)
{
	if (wait_ms >= CONN_FOREVER - now_boot_ms)
		return CONN_FOREVER;
	return now_boot_ms + wait_ms;
}

void
conn_init(struct conn *c)
{
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

void
conn_close(struct conn *c)
{
	int saved = errno;

	if (c->fd != -1)
		(void)close(c->fd);
	/* What lies before in_off was wiped by conn_done(). */
	if (c->in != NULL)
		wipe(c->in + c->in_off, c->in_len);
	free(c->in);
	wipe_free(c->out, c->out_len);
	conn_init(c);
	errno = saved;
}

/*
 * connect(2) on a Unix socket waits only for room in the backlog, and a
 * non-blocking one cannot be polled for that: it fails with EAGAIN.  So
 * connect with a send time limit, and leave it to MSG_DONTWAIT later.
 */
static int
connect_until(int fd, const struct sockaddr_un *sun, uint64_t deadline_boot_ms)
{
	struct timeval tv;
	uint64_t now_ms, left_ms;

	for (;;) {
		now_ms = conn_now_ms();
		if (now_ms >= deadline_boot_ms)
			return ERR_TIMEOUT;
		left_ms = deadline_boot_ms - now_ms;
		if (left_ms > INT_MAX)
			left_ms = INT_MAX;
		tv.tv_sec = (time_t)(left_ms / 1000);
		tv.tv_usec = (suseconds_t)(left_ms % 1000 * 1000);
		if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv,
			sizeof(tv)) == -1)
			return ERR_UNREACHABLE;
		if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) ==
		    0)
			return 0;
		if (errno != EINTR && errno != EAGAIN)
			return ERR_UNREACHABLE;
	}
}

static int
make_socket(struct conn *c, const char *path, int flags,
    struct sockaddr_un *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(ret->sun_path)) {
		errno = ENAMETOOLONG;
		return ERR_UNREACHABLE;
	}
	memcpy(ret->sun_path, path, strlen(path) + 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	return c->fd == -1 ? ERR_UNREACHABLE : 0;
}

int
conn_open(struct conn *c, const char *path, uint64_t deadline_boot_ms)
{
	struct sockaddr_un sun;
	int r;

	if ((r = make_socket(c, path, 0, &sun)) != 0)
		return r;
	r = connect_until(c->fd, &sun, deadline_boot_ms);
	if (r != 0)
		conn_close(c);
	return r;
}

int
conn_try_open(struct conn *c, const char *path)
{
	struct sockaddr_un sun;
	int r;

	if ((r = make_socket(c, path, SOCK_NONBLOCK, &sun)) != 0)
		return r;
	if (connect(c->fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0)
		return 0;
	/* EINTR: a non-blocking one on a Unix socket does not begin and go on */
	r = errno == EAGAIN || errno == EINTR ? ERR_AGAIN : ERR_UNREACHABLE;
	conn_close(c);
	return r;
}

/*
 * What is not sent moves to the front where that makes room and is at most
 * half of the buffer; else the buffer doubles.  So neither are many small
 * requests copied often, nor does it grow while as much goes as comes.
 */
int
conn_reserve(struct conn *c, size_t max, struct wr *ret_wr)
{
	size_t used = c->out_len - c->out_off, size;
	uint8_t *p;

	if (max > SIZE_MAX / 4 || used > SIZE_MAX / 4)
		return ERR_NOMEM;
	if (max > c->out_size - c->out_len && c->out_off > 0 &&
	    used <= c->out_size / 2 && max <= c->out_size - used) {
		if (used > 0)
			memmove(c->out, c->out + c->out_off, used);
		wipe(c->out + used, c->out_len - used);
		c->out_off = 0;
		c->out_len = used;
	} else if (max > c->out_size - c->out_len) {
		size = used + max;
		if (used > 0 && size < c->out_size * 2)
			size = c->out_size * 2;
		p = malloc(size);
		if (p == NULL)
			return ERR_NOMEM;
		if (used > 0)
			memcpy(p, c->out + c->out_off, used);
		wipe_free(c->out, c->out_len);
		c->out = p;
		c->out_off = 0;
		c->out_len = used;
		c->out_size = size;
	}
	wr_init(ret_wr, c->out + c->out_len, max);
	return 0;
}

void
conn_queue(struct conn *c, const struct wr *wr)
{
	c->out_len += wr->len;
	c->queued += wr->len;
}

short
conn_want(const struct conn *c)
{
	return c->out_len > c->out_off ? POLLIN | POLLOUT : POLLIN;
}

static void
send_some(struct conn *c)
{
	ssize_t n;

	while (c->out_len > c->out_off) {
		n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n == -1) {
			/* It may have said why: read on until it ends. */
			c->out_dead = true;
			break;
		}
		c->out_off += (size_t)n;
		c->taken += (size_t)n;
	}
	wipe(c->out, c->out_len);
	c->out_off = c->out_len = 0;
	if (c->out_size > CONN_OUT_KEEP) {
		free(c->out);
		c->out = NULL;
		c->out_size = 0;
	}
}

/* Room for the whole of the next frame, or for the first bytes of one. */
static int
make_room(struct conn *c)
{
	size_t want = c->in_want > CONN_IN_FIRST ? c->in_want : CONN_IN_FIRST;
	uint8_t *p;

	if (c->in_len == 0) {
		c->in_off = 0;
		if (c->in_size > CONN_IN_KEEP && want < c->in_size) {
			free(c->in); /* all of it was wiped by conn_done() */
			c->in = NULL;
			c->in_size = 0;
		}
	}
	if (c->in_off + c->in_len < c->in_size &&
	    want <= c->in_size - c->in_off)
		return 0;
	if (want <= c->in_size) {
		memmove(c->in, c->in + c->in_off, c->in_len);
		wipe(c->in + c->in_len, c->in_off);
		c->in_off = 0;
		return c->in_len < c->in_size ? 0 : ERR_INTERNAL;
	}
	p = malloc(want);
	if (p == NULL)
		return ERR_NOMEM;
	if (c->in != NULL) {
		memcpy(p, c->in + c->in_off, c->in_len);
		wipe(c->in + c->in_off, c->in_len);
		free(c->in);
	}
	c->in = p;
	c->in_off = 0;
	c->in_size = want;
	return 0;
}

int
conn_step(struct conn *c, short ready)
{
	ssize_t n;
	int r;

	if (c->fd == -1)
		return ERR_CLOSED;
	send_some(c);
	if ((ready & ~POLLOUT) == 0)
		return 0;
	if ((r = make_room(c)) != 0)
		return r;
	do {
		n = recv(c->fd, c->in + c->in_off + c->in_len,
		    c->in_size - c->in_off - c->in_len, MSG_DONTWAIT);
	} while (n == -1 && errno == EINTR);
	if (n > 0) {
		c->in_len += (size_t)n;
		return 0;
	}
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK) &&
	    !c->out_dead)
		return 0;
	return ERR_CLOSED;
}

int
conn_next(struct conn *c, struct frame *ret_frame)
{
	int r;

	if (c->in_len == 0) {
		c->in_want = 0;
		return ERR_AGAIN;
	}
	r = frame_cut(c->in + c->in_off, c->in_len, FRAME_ANSWER_MAX,
	    ret_frame);
	c->in_want = r == ERR_AGAIN ? ret_frame->total : 0;
	return r;
}

void
conn_done(struct conn *c, const struct frame *frame)
{
	wipe(c->in + c->in_off, frame->total);
	c->in_off += frame->total;
	c->in_len -= frame->total;
}

int
conn_wait(struct conn *c, uint64_t deadline_boot_ms, short *ret_ready)
{
	struct pollfd pfd = {.fd = c->fd, .events = conn_want(c)};
	uint64_t now_ms, left_ms;
	int wait_ms, n;

	for (;;) {
		wait_ms = -1;
		if (deadline_boot_ms != CONN_FOREVER) {
			now_ms = conn_now_ms();
			if (now_ms >= deadline_boot_ms)
				return ERR_TIMEOUT;
			left_ms = deadline_boot_ms - now_ms;
			wait_ms = left_ms > INT_MAX ? INT_MAX : (int)left_ms;
		}
		n = poll(&pfd, 1, wait_ms);
		if (n > 0) {
			*ret_ready = pfd.revents;
			return 0;
		}
		/* n == -1 is EINTR or ENOMEM; both are tried again. */
	}
}
