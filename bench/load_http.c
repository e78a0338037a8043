/*
 * Load for an HTTP server on a Unix socket: a closed loop over one epoll in
 * one thread, as load.c is for frames.  Each connection is kept and has depth
 * GET requests under way.  Every answer must be 200 and as long as the first,
 * whose body must hold the pattern of bench.h.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bench.h"

#define CONNECTIONS_MAX 4096
#define DEPTH_MAX 64
#define EVENTS 128
#define BUF_LEN (256 * 1024)	/* an answer of each kind fits */
#define GRACE_NS 10000000000
#define SETTLE_NS 2000000

struct options {
	const char *socket;
	const char *path;
	size_t value_len;
	unsigned int connections;
	unsigned int depth;
	uint64_t requests;
	double seconds;
	pid_t server;
};

struct peer {
	int fd;
	unsigned int waiting;	/* answers still to come */
	bool checked;
	uint8_t *buf;		/* the answer that is not complete */
	size_t len;
};

struct load {
	struct options opt;
	int epoll;
	struct peer *peers;
	unsigned int busy;
	char *batch;
	size_t request_len;
	uint8_t *value;
	size_t body_len;	/* of every answer; 0: no answer yet */
	uint64_t budget;
	uint64_t answered;
	uint64_t end_ns;
};

static _Noreturn void __attribute__((format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list ap;

	fputs("load_http: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static uint64_t
clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) != 0)
		die("clock: %s", strerror(errno));
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t
cpu_ns(pid_t pid)
{
	clockid_t clock;
	int r;

	if (pid == 0)
		return 0;
	if ((r = clock_getcpuclockid(pid, &clock)) != 0)
		die("CPU of %d: %s", (int)pid, strerror(r));
	return clock_ns(clock);
}

/* --- requests ------------------------------------------------------------ */

static void
batch_build(struct load *l)
{
	char one[1024];
	unsigned int i;
	int n;

	n = snprintf(one, sizeof(one), "GET %s HTTP/1.1\r\n"
	    "Host: localhost\r\nAccept: application/json\r\n\r\n",
	    l->opt.path);
	if (n < 0 || (size_t)n >= sizeof(one))
		die("%s: too long", l->opt.path);
	l->request_len = (size_t)n;
	if ((l->batch = malloc(l->request_len * l->opt.depth)) == NULL ||
	    (l->value = malloc(l->opt.value_len + 1)) == NULL)
		die("no memory");
	for (i = 0; i < l->opt.depth; i++)
		memcpy(l->batch + i * l->request_len, one, l->request_len);
	bench_pattern(l->value, l->opt.value_len);
}

/* Begin a batch if there is time and something left to ask for. */
static bool
peer_ask(struct load *l, struct peer *p, uint64_t now_ns)
{
	uint64_t n = l->opt.depth;
	ssize_t r;

	if (n > l->budget)
		n = l->budget;
	if (n == 0 || now_ns >= l->end_ns)
		return false;
	r = send(p->fd, l->batch, n * l->request_len, MSG_NOSIGNAL);
	if (r < 0 || (size_t)r != n * l->request_len)
		die("send: %s", r < 0 ? strerror(errno) : "cut short");
	l->budget -= n;
	p->waiting = (unsigned int)n;
	return true;
}

/* --- answers ------------------------------------------------------------- */

/* The number behind the field's name; the head ends with an empty line. */
static size_t
content_length(const char *head, const char *end)
{
	static const char name[] = "\r\nContent-Length:";
	const char *p;

	for (p = head; p + sizeof(name) < end; p++) {
		if (*p == '\r' && strncasecmp(p, name,
		    sizeof(name) - 1) == 0)
			return (size_t)strtoul(p + sizeof(name) - 1, NULL, 10);
	}
	die("an answer without Content-Length");
}

/* The length of the answer at p, 0 if it is incomplete. */
static size_t
peer_answer(struct load *l, struct peer *p, const uint8_t *at, size_t len)
{
	const uint8_t *end = memmem(at, len, "\r\n\r\n", 4);
	size_t head, body;

	if (end == NULL)
		return 0;
	head = (size_t)(end + 4 - at);
	body = content_length((const char *)at, (const char *)end + 2);
	if (len - head < body)
		return 0;
	if (memcmp(at, "HTTP/1.1 200 ", 13) != 0)
		die("not a 200: %.*s", (int)(head < 300 ? head : 300),
		    (const char *)at);
	if (l->body_len == 0)
		l->body_len = body;
	if (body != l->body_len)
		die("an answer of another length");
	if (!p->checked && l->opt.value_len > 0 && memmem(at + head, body,
	    l->value, l->opt.value_len) == NULL)
		die("an answer without the value");
	p->checked = true;
	return head + body;
}

static void
peer_take(struct load *l, struct peer *p)
{
	size_t used = 0, n;

	while (used < p->len && (n = peer_answer(l, p, p->buf + used,
	    p->len - used)) > 0) {
		if (p->waiting == 0)
			die("an answer nobody waits for");
		used += n;
		p->waiting--;
		l->answered++;
	}
	memmove(p->buf, p->buf + used, p->len - used);
	p->len -= used;
	if (p->len == BUF_LEN)
		die("an answer that is too long");
}

/* --- connections --------------------------------------------------------- */

static void
peer_open(struct load *l, struct peer *p)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = p };

	if (strlen(l->opt.socket) >= sizeof(sun.sun_path))
		die("%s: too long for a socket", l->opt.socket);
	memcpy(sun.sun_path, l->opt.socket, strlen(l->opt.socket) + 1);
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 ||
	    connect(p->fd, (struct sockaddr *)&sun, sizeof(sun)) != 0)
		die("%s: %s", l->opt.socket, strerror(errno));
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, p->fd, &ev) != 0)
		die("epoll_ctl: %s", strerror(errno));
	if ((p->buf = malloc(BUF_LEN)) == NULL)
		die("no memory");
}

static void
peer_ready(struct load *l, struct peer *p, uint64_t now_ns)
{
	ssize_t r = recv(p->fd, p->buf + p->len, BUF_LEN - p->len,
	    MSG_DONTWAIT);

	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (r <= 0)
		die("the server closed a connection%s%s", r < 0 ? ": " : "",
		    r < 0 ? strerror(errno) : "");
	p->len += (size_t)r;
	peer_take(l, p);
	if (p->waiting == 0 && !peer_ask(l, p, now_ns))
		l->busy--;
}

/* Ask and wait until requests or time are used up and all is answered. */
static uint64_t
load_run(struct load *l, uint64_t requests, double seconds)
{
	struct epoll_event ev[EVENTS];
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC), now_ns = begin_ns;
	unsigned int i;
	int j, n;

	l->answered = 0;
	l->budget = requests;
	l->end_ns = begin_ns + (uint64_t)(seconds * 1e9);
	for (i = 0; i < l->opt.connections; i++)
		if (peer_ask(l, &l->peers[i], now_ns))
			l->busy++;
	while (l->busy > 0) {
		n = epoll_wait(l->epoll, ev, EVENTS, 1000);
		if (n < 0 && errno != EINTR)
			die("epoll_wait: %s", strerror(errno));
		now_ns = clock_ns(CLOCK_MONOTONIC);
		if (now_ns > l->end_ns + GRACE_NS)
			die("no answer for too long");
		for (j = 0; j < n; j++)
			peer_ready(l, ev[j].data.ptr, now_ns);
	}
	return clock_ns(CLOCK_MONOTONIC) - begin_ns;
}

static void
settle(void)
{
	struct timespec ts = { .tv_nsec = SETTLE_NS };

	(void)nanosleep(&ts, NULL);
}

static void
load_measure(struct load *l)
{
	uint64_t server_ns, elapsed_ns;
	double n;

	/* the first answer of each is checked, and not counted */
	(void)load_run(l, (uint64_t)l->opt.connections * l->opt.depth, 10);
	settle();
	server_ns = cpu_ns(l->opt.server);
	elapsed_ns = load_run(l, l->opt.requests, l->opt.seconds);
	settle();
	server_ns = cpu_ns(l->opt.server) - server_ns;
	if (l->answered == 0)
		die("no answers");
	n = (double)l->answered;
	printf("requests=%llu seconds=%.6f per_second=%.0f body=%zu "
	    "server_cpu_us=%.4f\n", (unsigned long long)l->answered,
	    (double)elapsed_ns / 1e9, n * 1e9 / (double)elapsed_ns,
	    l->body_len, (double)server_ns / 1e3 / n);
}

/* --- options ------------------------------------------------------------- */

static const char usage_text[] =
    "Usage: load_http --socket PATH --path TARGET [OPTION]...\n"
    "  --length N         bytes of the value in the answer (64); 0: any\n"
    "  --connections N    connections that ask (1)\n"
    "  --depth N          requests a connection sends at once (1)\n"
    "  --requests N       stop after so many (1000000)\n"
    "  --seconds S        begin none after so long (1)\n"
    "  --server PID       count the CPU time of this process\n"
    "  --help             print this\n";

static _Noreturn void
usage(void)
{
	fputs(usage_text, stderr);
	exit(2);
}

static unsigned long
number(const char *text, unsigned long max)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || n > max)
		usage();
	return n;
}

static void
option(struct options *o, int c, const char *arg)
{
	switch (c) {
	case 's': o->socket = arg; break;
	case 'P': o->path = arg; break;
	case 'l': o->value_len = number(arg, 64 * 1024); break;
	case 'c':
		o->connections = (unsigned int)number(arg, CONNECTIONS_MAX);
		break;
	case 'd': o->depth = (unsigned int)number(arg, DEPTH_MAX); break;
	case 'n': o->requests = number(arg, 1000000000); break;
	case 't': o->seconds = strtod(arg, NULL); break;
	case 'p': o->server = (pid_t)number(arg, 1 << 22); break;
	case 'h':
		fputs(usage_text, stdout);
		exit(0);
	default: usage();
	}
}

static void
options(struct options *o, int argc, char **argv)
{
	static const struct option table[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "path", required_argument, NULL, 'P' },
		{ "length", required_argument, NULL, 'l' },
		{ "connections", required_argument, NULL, 'c' },
		{ "depth", required_argument, NULL, 'd' },
		{ "requests", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 't' },
		{ "server", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	o->value_len = 64;
	o->connections = o->depth = 1;
	o->requests = 1000000;
	o->seconds = 1;
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1)
		option(o, c, optarg);
	if (optind != argc || o->socket == NULL || o->path == NULL ||
	    o->connections == 0 || o->depth == 0 ||
	    !(o->seconds > 0 && o->seconds <= 60))
		usage();
}

int
main(int argc, char **argv)
{
	static struct load l;
	unsigned int i;

	options(&l.opt, argc, argv);
	/* goes with whoever started it, however that ends */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	batch_build(&l);
	if ((l.epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
		die("epoll: %s", strerror(errno));
	l.peers = calloc(l.opt.connections, sizeof(*l.peers));
	if (l.peers == NULL)
		die("no memory");
	for (i = 0; i < l.opt.connections; i++)
		peer_open(&l, &l.peers[i]);
	load_measure(&l);
	return 0;
}
