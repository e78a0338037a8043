/*
 * Load for the floor server and for the agent: a closed loop over one epoll
 * in one thread.  Each connection sends a batch of requests in one write and
 * sends the next when all of them are answered.  Prints how many there were,
 * how long it took, and how much CPU the server used meanwhile.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "frame.h"
#include "msg.h"

#include "bench.h"

#define CONNECTIONS_MAX 4096
#define DEPTH_MAX 256		/* a batch then fits a socket's buffer */
#define EVENTS 128
#define READ_LEN (256 * 1024)
#define HEAD_LEN 16		/* of both protocols */
#define VALUE_FIELD_LEN 6	/* tag and length in front of VALUE */
#define GRACE_NS 10000000000	/* for the last answers */
#define SETTLE_NS 2000000	/* for what the server does after an answer */

struct options {
	const char *socket;
	const char *ref;	/* NULL: the floor's protocol */
	size_t value_len;
	unsigned int connections;
	unsigned int depth;
	unsigned int idle;
	bool reconnect;
	uint64_t requests;
	double seconds;
	pid_t server;		/* whose CPU is counted, 0: nobody's */
};

struct peer {
	int fd;			/* -1: not connected */
	uint64_t first_id;	/* of the batch under way */
	unsigned int waiting;	/* answers still to come */
	bool checked;		/* an answer was compared byte by byte */
	uint8_t head[HEAD_LEN];
	size_t head_len;
	bool answer;		/* the frame under way is one */
	size_t body_len;
	size_t body_left;
};

struct load {
	struct options opt;
	int epoll;
	struct peer *peers;
	unsigned int busy;	/* peers that wait for answers */
	uint8_t *batch;		/* depth requests, ids to be patched */
	size_t request_len;
	size_t id_offset;
	uint64_t next_id;
	uint8_t *tail;		/* what every answer ends with */
	size_t tail_len;
	size_t body_len;	/* of every answer; 0: no answer yet */
	uint64_t budget;	/* requests that may still be sent */
	uint64_t answered;
	uint64_t end_ns;	/* no batch is begun after this */
	uint8_t in[READ_LEN];
};

static _Noreturn void __attribute__((format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list ap;

	fputs("load: ", stderr);
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

/*
 * CPU time of all threads of a process, those that ended included: the same
 * count as in schedstat, but of this moment, not of its last switch.
 */
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
	static uint8_t one[FRAME_HEADER_LEN + REF_MAX + 64];
	struct msg_terms terms;
	struct wr wr;
	size_t start, i;

	l->request_len = FLOOR_REQUEST_LEN;
	l->id_offset = FLOOR_REQUEST_ID;
	if (l->opt.ref != NULL) {
		wr_init(&wr, one, sizeof(one));
		msg_terms_init(&terms);
		start = msg_refs_begin(&wr, FRAME_GET, 1, &terms, false);
		msg_refs_add(&wr, l->opt.ref, strlen(l->opt.ref));
		frame_end(&wr, start, 0);
		if (wr.failed)
			die("%s: no reference", l->opt.ref);
		l->request_len = wr.len;
	}
	if ((l->batch = calloc(l->opt.depth, l->request_len)) == NULL)
		die("no memory");
	for (i = 0; i < l->opt.depth; i++)
		memcpy(l->batch + i * l->request_len, one, l->request_len);
	l->next_id = 1;
}

static void
tail_build(struct load *l)
{
	size_t field = l->opt.ref != NULL ? VALUE_FIELD_LEN : 0;

	l->tail_len = field + l->opt.value_len;
	if ((l->tail = malloc(l->tail_len)) == NULL)
		die("no memory");
	if (field > 0) {
		be_put_u16(l->tail, 0x002f);
		be_put_u32(l->tail + 2, (uint32_t)l->opt.value_len);
	} else {
		l->body_len = l->opt.value_len;
	}
	bench_pattern(l->tail + field, l->opt.value_len);
}

/* Begin a batch if there is time and something left to ask for. */
static bool
peer_ask(struct load *l, struct peer *p, uint64_t now_ns)
{
	uint64_t n = l->opt.depth;
	size_t i;
	ssize_t r;

	if (n > l->budget)
		n = l->budget;
	if (n == 0 || now_ns >= l->end_ns)
		return false;
	p->first_id = l->next_id;
	for (i = 0; i < n; i++)
		be_put_u64(l->batch + i * l->request_len + l->id_offset,
		    l->next_id++);
	r = send(p->fd, l->batch, n * l->request_len, MSG_NOSIGNAL);
	if (r < 0 || (size_t)r != n * l->request_len)
		die("send: %s", r < 0 ? strerror(errno) : "cut short");
	l->budget -= n;
	p->waiting = (unsigned int)n;
	return true;
}

/* --- answers ------------------------------------------------------------- */

/* The reason is in the answer; values are not secret here. */
static _Noreturn void
die_of_answer(const char *what, const uint8_t *p, size_t len)
{
	char text[200];
	size_t i, n = len < sizeof(text) - 1 ? len : sizeof(text) - 1;

	for (i = 0; i < n; i++)
		text[i] = p[i] >= 0x20 && p[i] < 0x7f ? (char)p[i] : '.';
	text[n] = '\0';
	die("%s: %s", what, text);
}

static void
peer_head(struct load *l, struct peer *p, const uint8_t *rest, size_t rest_len)
{
	uint64_t id, len;

	if (l->opt.ref != NULL) {
		len = be_get_u32(p->head);
		id = be_get_u64(p->head + 8);
		p->answer = p->head[5] == FRAME_RESULT;
		if (!p->answer && p->head[5] != FRAME_AGENT_HELLO)
			die_of_answer("not a result", rest, rest_len);
	} else {
		memcpy(&len, p->head, sizeof(len));
		id = be_get_u64(p->head + FLOOR_ANSWER_ID);
		p->answer = true;
	}
	p->body_len = p->body_left = (size_t)len;
	if (!p->answer)
		return;
	if (l->body_len == 0 && len >= l->tail_len)
		l->body_len = (size_t)len;
	if (len != l->body_len)
		die_of_answer("wrong length", rest, rest_len);
	if (p->waiting == 0 || id < p->first_id ||
	    id >= p->first_id + l->opt.depth)
		die("an answer nobody waits for");
}

/* Compare what of the next n bytes of the body is in its tail. */
static void
peer_check(struct load *l, struct peer *p, const uint8_t *in, size_t n)
{
	size_t at = p->body_len - p->body_left;
	size_t from = p->body_len - l->tail_len;

	if (at < from) {
		size_t skip = from - at < n ? from - at : n;

		in += skip;
		n -= skip;
		at += skip;
	}
	if (n > 0 && memcmp(in, l->tail + (at - from), n) != 0)
		die_of_answer("wrong value", in, n);
}

static void
peer_take(struct load *l, struct peer *p, const uint8_t *in, size_t len)
{
	size_t n;

	while (len > 0) {
		if (p->head_len < HEAD_LEN) {
			n = HEAD_LEN - p->head_len < len
			    ? HEAD_LEN - p->head_len : len;
			memcpy(p->head + p->head_len, in, n);
			p->head_len += n;
			in += n;
			len -= n;
			if (p->head_len < HEAD_LEN)
				return;
			peer_head(l, p, in, len);
		}
		n = p->body_left < len ? p->body_left : len;
		if (p->answer && !p->checked)
			peer_check(l, p, in, n);
		in += n;
		len -= n;
		p->body_left -= n;
		if (p->body_left > 0)
			return;
		p->head_len = 0;
		if (p->answer) {
			p->checked = true;
			p->waiting--;
			l->answered++;
		}
	}
}

/* --- connections --------------------------------------------------------- */

static int
dial(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 5 };
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path))
		die("%s: too long for a socket", path);
	memcpy(sun.sun_path, path, strlen(path) + 1);
	/* blocking: where the server's backlog is full, connect() waits */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

static void
peer_open(struct load *l, struct peer *p)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = p };

	p->fd = dial(l->opt.socket);
	p->head_len = 0;
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, p->fd, &ev) != 0)
		die("epoll_ctl: %s", strerror(errno));
}

/* False: nothing more to do for this peer now. */
static bool
peer_next(struct load *l, struct peer *p, uint64_t now_ns)
{
	if (l->opt.reconnect) {
		if (p->fd >= 0)
			(void)close(p->fd);
		p->fd = -1;
		if (l->budget == 0 || now_ns >= l->end_ns)
			return false;
	}
	if (p->fd < 0)
		peer_open(l, p);
	return peer_ask(l, p, now_ns);
}

static void
peer_ready(struct load *l, struct peer *p, uint64_t now_ns)
{
	ssize_t r = recv(p->fd, l->in, sizeof(l->in), MSG_DONTWAIT);

	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (r <= 0)
		die("the server closed a connection%s%s", r < 0 ? ": " : "",
		    r < 0 ? strerror(errno) : "");
	peer_take(l, p, l->in, (size_t)r);
	if (p->waiting == 0 && p->head_len == 0 && !peer_next(l, p, now_ns))
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
		if (peer_next(l, &l->peers[i], now_ns))
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

	/* the first batch of each is checked, and not counted */
	(void)load_run(l, (uint64_t)l->opt.connections * l->opt.depth, 10);
	settle();
	server_ns = cpu_ns(l->opt.server);
	elapsed_ns = load_run(l, l->opt.requests, l->opt.seconds);
	settle();
	server_ns = cpu_ns(l->opt.server) - server_ns;

	if (l->answered == 0)
		die("no answers");
	n = (double)l->answered;
	printf("requests=%llu seconds=%.6f per_second=%.0f",
	    (unsigned long long)l->answered, (double)elapsed_ns / 1e9,
	    n * 1e9 / (double)elapsed_ns);
	if (l->opt.server != 0)
		printf(" server_cpu_us=%.4f", (double)server_ns / 1e3 / n);
	printf("\n");
}

/* --- options ------------------------------------------------------------- */

static const char usage_text[] =
    "Usage: load --socket PATH --floor|--ref REFERENCE [OPTION]...\n"
    "  --floor            speak the floor's protocol\n"
    "  --ref REFERENCE    speak the agent's, and get this\n"
    "  --length N         bytes of the value (64)\n"
    "  --connections N    connections that ask (1)\n"
    "  --depth N          requests a connection sends at once (1)\n"
    "  --idle N           connections that do nothing (0)\n"
    "  --reconnect        a new connection for every batch\n"
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
	case 'f': o->ref = NULL; break;
	case 'r': o->ref = arg; break;
	case 'l': o->value_len = number(arg, BENCH_VALUE_MAX); break;
	case 'c':
		o->connections = (unsigned int)number(arg, CONNECTIONS_MAX);
		break;
	case 'd': o->depth = (unsigned int)number(arg, DEPTH_MAX); break;
	case 'i': o->idle = (unsigned int)number(arg, CONNECTIONS_MAX); break;
	case 'R': o->reconnect = true; break;
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
		{ "floor", no_argument, NULL, 'f' },
		{ "ref", required_argument, NULL, 'r' },
		{ "length", required_argument, NULL, 'l' },
		{ "connections", required_argument, NULL, 'c' },
		{ "depth", required_argument, NULL, 'd' },
		{ "idle", required_argument, NULL, 'i' },
		{ "reconnect", no_argument, NULL, 'R' },
		{ "requests", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 't' },
		{ "server", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool protocol = false;
	int c;

	o->value_len = 64;
	o->connections = o->depth = 1;
	o->requests = 1000000;
	o->seconds = 1;
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		option(o, c, optarg);
		protocol = protocol || c == 'f' || c == 'r';
	}
	if (optind != argc || o->socket == NULL || !protocol ||
	    o->value_len == 0 || o->connections == 0 || o->depth == 0 ||
	    !(o->seconds > 0 && o->seconds <= 60))
		usage();
}

int
main(int argc, char **argv)
{
	static struct load l;
	struct rlimit rl;
	unsigned int i;

	options(&l.opt, argc, argv);
	/* goes with whoever started it, however that ends */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	batch_build(&l);
	tail_build(&l);
	if ((l.epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
		die("epoll: %s", strerror(errno));
	for (i = 0; i < l.opt.idle; i++)
		(void)dial(l.opt.socket); /* closed by our end */
	l.peers = calloc(l.opt.connections, sizeof(*l.peers));
	if (l.peers == NULL)
		die("no memory");
	for (i = 0; i < l.opt.connections; i++)
		l.peers[i].fd = -1;
	load_measure(&l);
	return 0;
}
