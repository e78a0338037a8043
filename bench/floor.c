/*
 * The floor: the least that a server on a local socket can do.  Raw epoll,
 * requests of fixed size, one value for all, a 16-byte header and the value
 * from locked memory in one writev for all requests of a read.  No look-up,
 * no policy, no wiping.  What the agent costs is told as a multiple of this.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "bench.h"

#define BATCH 256		/* answers in one writev */
#define READ_LEN (BATCH * FLOOR_REQUEST_LEN)
#define EVENTS 128

struct peer {
	int fd;
	bool writing;		/* waits for EPOLLOUT, and is not read from */
	size_t sent;		/* bytes of its first answer that are gone */
	uint8_t *left;		/* requests not answered yet, or a part of one */
	size_t left_len;
};

struct floor {
	int epoll;
	int listener;
	size_t value_len;
	uint8_t *value;
	uint8_t head[BATCH][FLOOR_ANSWER_LEN];
	struct iovec iov[BATCH * 2];
	/* one read, behind what was left of the one before */
	uint8_t in[READ_LEN + FLOOR_REQUEST_LEN];
};

static _Noreturn void
die(const char *what)
{
	perror(what);
	exit(1);
}

static void
peer_free(struct peer *p)
{
	(void)close(p->fd);
	free(p->left);
	free(p);
}

static void
peer_watch(struct floor *f, struct peer *p, bool writing)
{
	struct epoll_event ev = { .events = writing ? EPOLLOUT : EPOLLIN };

	if (p->writing == writing)
		return;
	p->writing = writing;
	ev.data.ptr = p;
	if (epoll_ctl(f->epoll, EPOLL_CTL_MOD, p->fd, &ev) != 0)
		die("floor: epoll_ctl");
}

/* Answer n requests at req.  Returns bytes written, 0 if the peer is full. */
static ssize_t
answer(struct floor *f, struct peer *p, const uint8_t *req, size_t n)
{
	size_t i, skip = p->sent;
	uint64_t len = f->value_len;
	ssize_t r;

	for (i = 0; i < n; i++) {
		memcpy(f->head[i], &len, sizeof(len));
		memcpy(f->head[i] + FLOOR_ANSWER_ID,
		    req + i * FLOOR_REQUEST_LEN + FLOOR_REQUEST_ID, 8);
		f->iov[2 * i].iov_base = f->head[i];
		f->iov[2 * i].iov_len = FLOOR_ANSWER_LEN;
		f->iov[2 * i + 1].iov_base = f->value;
		f->iov[2 * i + 1].iov_len = f->value_len;
	}
	for (i = 0; i < 2 && skip > 0; i++) {
		size_t cut = skip < f->iov[i].iov_len ? skip : f->iov[i].iov_len;

		f->iov[i].iov_base = (uint8_t *)f->iov[i].iov_base + cut;
		f->iov[i].iov_len -= cut;
		skip -= cut;
	}
	r = writev(p->fd, f->iov, (int)(2 * n));
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return r;
}

/* Answer what is at in; keep what cannot be.  False: the peer is gone. */
static bool
serve(struct floor *f, struct peer *p, const uint8_t *in, size_t len)
{
	const size_t each = FLOOR_ANSWER_LEN + f->value_len;
	bool full = false;

	while (len >= FLOOR_REQUEST_LEN && !full) {
		size_t n = len / FLOOR_REQUEST_LEN, done;
		ssize_t r;

		if (n > BATCH)
			n = BATCH;
		r = answer(f, p, in, n);
		if (r < 0)
			return false;
		full = (size_t)r < n * each - p->sent;
		done = (p->sent + (size_t)r) / each;
		p->sent = (p->sent + (size_t)r) % each;
		in += done * FLOOR_REQUEST_LEN;
		len -= done * FLOOR_REQUEST_LEN;
	}
	if (len > 0) {
		uint8_t *left = malloc(len);

		if (left == NULL)
			die("floor");
		memcpy(left, in, len);
		free(p->left);
		p->left = left;
	} else if (p->left != NULL) {
		free(p->left);
		p->left = NULL;
	}
	p->left_len = len;
	peer_watch(f, p, full);
	return true;
}

static void
peer_ready(struct floor *f, struct peer *p)
{
	size_t had = p->left_len;
	ssize_t r;

	if (p->writing) {
		if (!serve(f, p, p->left, p->left_len))
			peer_free(p);
		return;
	}
	if (had > 0)
		memcpy(f->in, p->left, had);
	r = read(p->fd, f->in + had, READ_LEN);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (r <= 0 || !serve(f, p, f->in, had + (size_t)r))
		peer_free(p);
}

static void
accept_all(struct floor *f)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct peer *p;
	int fd;

	while ((fd = accept4(f->listener, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		if ((p = calloc(1, sizeof(*p))) == NULL)
			die("floor");
		p->fd = fd;
		ev.data.ptr = p;
		if (epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
			die("floor: epoll_ctl");
	}
	if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		die("floor: accept");
}

static void
listen_at(struct floor *f, const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct epoll_event ev = { .events = EPOLLIN };

	if (strlen(path) >= sizeof(sun.sun_path)) {
		fprintf(stderr, "floor: %s: too long for a socket\n", path);
		exit(2);
	}
	memcpy(sun.sun_path, path, strlen(path) + 1);
	f->listener = socket(AF_UNIX,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->listener < 0 ||
	    bind(f->listener, (struct sockaddr *)&sun, sizeof(sun)) != 0 ||
	    listen(f->listener, 1024) != 0)
		die(path);
	f->epoll = epoll_create1(EPOLL_CLOEXEC);
	ev.data.ptr = NULL;
	if (f->epoll < 0 ||
	    epoll_ctl(f->epoll, EPOLL_CTL_ADD, f->listener, &ev) != 0)
		die("floor: epoll");
}

static void
prepare(struct floor *f, size_t value_len)
{
	struct rlimit rl;
	size_t map = (value_len + 4096) & ~(size_t)4095;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	/* goes with whoever started it, however that ends */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)signal(SIGPIPE, SIG_IGN);
	f->value_len = value_len;
	f->value = mmap(NULL, map, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f->value == MAP_FAILED)
		die("floor: mmap");
	if (mlock(f->value, map) != 0)
		perror("floor: mlock");
	bench_pattern(f->value, value_len);
}

int
main(int argc, char **argv)
{
	static struct floor f;
	struct epoll_event ev[EVENTS];
	char *end = NULL;
	unsigned long len = 0;
	int i, n;

	if (argc == 3)
		len = strtoul(argv[2], &end, 10);
	if (argc != 3 || len == 0 || len > BENCH_VALUE_MAX || *end != '\0') {
		fprintf(stderr, "Usage: floor SOCKET VALUE-LENGTH\n");
		return 2;
	}
	prepare(&f, len);
	listen_at(&f, argv[1]);
	for (;;) {
		n = epoll_wait(f.epoll, ev, EVENTS, -1);
		if (n < 0 && errno != EINTR)
			die("floor: epoll_wait");
		for (i = 0; i < n; i++) {
			if (ev[i].data.ptr == NULL)
				accept_all(&f);
			else
				peer_ready(&f, ev[i].data.ptr);
		}
	}
}
