/*
 * What a transfer leaves in memory outside the arena.
 *
 * A process of its own, which knows neither mark when it starts, reads a
 * marked secret with a marked API key.  When it has come to rest, with the
 * answer taken or in mid-transfer, its memory is searched for the marks and
 * for any 8 bytes of them.  Needs root: the memory of another process is read.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "fake_http.h"
#include "upstream_http.h"

#define WINDOW 8
#define KEY_LEN 45
#define SECRET_MAX 20000
#define TEXT_MAX (SECRET_MAX * 4 / 3 + 8)
#define SKIPPED 77

#ifdef WITH_SANITIZERS
#define WITHOUT_SANITIZERS 0
#else
#define WITHOUT_SANITIZERS 1
#endif

/* --- the client: a process of its own, see main() --- */

enum mode {
	MODE_IDLE,		/* three reads, then nothing to do */
	MODE_REFUSED,		/* three answers that are wrong */
	MODE_STALLED,		/* half an answer */
	MODE_CANCELLED,		/* half an answer, then the read is cancelled */
};

struct client {
	struct event_base *base;
	struct upstream *up;
	struct upstream_call *call;
	struct object *object;
	enum mode mode;
	int left;		/* reads to go */
};

static void client_read(struct client *cl);

/* The arena's range as "ready FROM TO"; then there is nothing left to do. */
static void
client_ready(const struct client *cl)
{
	struct secmem probe = {0};
	uintptr_t from, to;

	(void)cl;
	if (secmem_alloc(&probe, 1, SECMEM_LIBRARY) != 0)
		_exit(1);
	from = (uintptr_t)secmem_bytes(&probe) & ~(uintptr_t)4095;
	to = from;
	while (secmem_contains((void *)(from - 4096)))
		from -= 4096;
	while (secmem_contains((void *)to))
		to += 4096;
	secmem_free_bytes(&probe);
	(void)printf("ready %" PRIxPTR " %" PRIxPTR "\n", from, to);
	(void)fflush(stdout);
}

static void
client_answered(void *arg, struct upstream_answer *answer)
{
	struct client *cl = arg;

	if ((answer->error != 0) != (cl->mode == MODE_REFUSED)) {
		(void)fprintf(stderr, "client: %s\n", answer->message);
		_exit(1);
	}
	object_unref(cl->object);
	cl->object = answer->object;
	if (--cl->left > 0)
		client_read(cl);
	else
		client_ready(cl);
}

static void
client_read(struct client *cl)
{
	struct upstream_request req = {
		.op = UPSTREAM_READ_SECRET,
		.id = {(const uint8_t *)"marked", 6},
	};

	if (cl->up->ops->start(cl->up, &req, client_answered, cl,
	    &cl->call) != 0)
		_exit(1);
}

/* A byte: the server has sent its half.  End of file: the search is over. */
static void
client_told_cb(evutil_socket_t fd, short events, void *arg)
{
	struct client *cl = arg;
	char byte;

	(void)events;
	if (read(fd, &byte, 1) != 1) {
		(void)event_base_loopbreak(cl->base);
		return;
	}
	if (cl->mode == MODE_CANCELLED)
		cl->up->ops->cancel(cl->up, cl->call);
	client_ready(cl);
}

/* argv: "client" URL CA MODE; the API key is read from standard input. */
static int
client_main(char **argv)
{
	const struct secmem_config mem = {
		.reserve_bytes = 64u << 20,
		.step_bytes = 1u << 20,
		.backing = SECMEM_BACKING_MLOCK,
	};
	const struct upstream_http_config cfg = {
		.url = argv[2],
		.ca_file = argv[3][0] == '\0' ? NULL : argv[3],
		.connect_timeout_ms = 5000,
		.request_timeout_ms = 60000,
		.max_response = 1u << 20,
		.max_connections = 4,
	};
	struct client cl = {.mode = (enum mode)atoi(argv[4]), .left = 3};
	struct secmem key = {0};
	struct event *stop;

	if (secmem_init(&mem) != 0 || upstream_http_global_init() != 0 ||
	    secmem_alloc(&key, KEY_LEN, SECMEM_LIBRARY) != 0 ||
	    read(0, secmem_writable(&key), KEY_LEN) != KEY_LEN)
		return 1;
	cl.base = event_base_new();
	if (cl.base == NULL ||
	    upstream_http_new(cl.base, &cfg, &key, &cl.up) != 0)
		return 1;
	stop = event_new(cl.base, 0, EV_READ | EV_PERSIST, client_told_cb,
	    &cl);
	if (stop == NULL || event_add(stop, NULL) != 0)
		return 1;
	client_read(&cl);
	(void)event_base_dispatch(cl.base);
	event_free(stop);
	object_unref(cl.object);
	cl.up->ops->free(cl.up);
	event_base_free(cl.base);
	upstream_http_global_done();
	secmem_done();
	return 0;
}

/* --- the server --- */

static char secret[SECRET_MAX + 1], key[KEY_LEN + 1];
static enum mode mode;
static int sent_fd;		/* a byte when the server has sent its part */

static int
handle(struct fake_conn *c, const char *head, unsigned int conn,
    unsigned int request)
{
	static const char start[] = "{\"id\":\"marked\",\"name\":\"n\","
	    "\"version\":1,\"notes\":\"\\u0041\",\"value\":\"";
	size_t len = sizeof(start) - 1 + strlen(secret) + 2;

	(void)conn;
	(void)request;
	if (strstr(head, key) == NULL)
		return -1;
	fake_printf(c, "HTTP/1.1 200 X\r\nContent-Length: %zu\r\n\r\n", len);
	fake_write(c, start, sizeof(start) - 1);
	fake_write(c, secret, strlen(secret));
	if (mode == MODE_STALLED || mode == MODE_CANCELLED) {
		(void)!write(sent_fd, "", 1);
		fake_wait_closed(c);
		return -1;
	}
	fake_write(c, mode == MODE_REFUSED ? "\"," : "\"}", 2);
	return 0;
}

/* --- marks --- */

static void
random_text(char *ret, size_t len)
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t i;

	if (getrandom(ret, len, 0) != (ssize_t)len)
		abort();
	for (i = 0; i < len; i++)
		ret[i] = chars[(unsigned char)ret[i] & 63];
	ret[len] = '\0';
}

static void
base64(const char *text, char *ret)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t i, len = strlen(text) / 3 * 3;

	for (i = 0; i < len; i += 3) {
		const unsigned char *p = (const unsigned char *)text + i;

		*ret++ = digits[p[0] >> 2];
		*ret++ = digits[(p[0] & 3) << 4 | p[1] >> 4];
		*ret++ = digits[(p[1] & 15) << 2 | p[2] >> 6];
		*ret++ = digits[p[2] & 63];
	}
	*ret = '\0';
}

/* All windows of one text, sorted. */
struct mark {
	const char *name;
	char text[TEXT_MAX];
	const char **windows;
	size_t count;
	bool begins[65536];	/* the first two bytes of some window */
	unsigned int whole;	/* found in this search */
	unsigned int pieces;
};

static int
window_cmp(const void *a, const void *b)
{
	return memcmp(*(const char *const *)a, *(const char *const *)b, WINDOW);
}

static unsigned int
two_bytes(const char *p)
{
	return (unsigned char)p[0] | (unsigned int)(unsigned char)p[1] << 8;
}

static void
mark_index(struct mark *m)
{
	size_t i;

	free(m->windows);
	memset(m->begins, 0, sizeof(m->begins));
	m->count = strlen(m->text) - WINDOW + 1;
	if ((m->windows = calloc(m->count, sizeof(*m->windows))) == NULL)
		abort();
	for (i = 0; i < m->count; i++) {
		m->windows[i] = m->text + i;
		m->begins[two_bytes(m->text + i)] = true;
	}
	qsort(m->windows, m->count, sizeof(*m->windows), window_cmp);
}

static struct mark marks[] = {
	{.name = "secret"}, {.name = "API key"}, {.name = "secret, base64"},
	{.name = "API key, base64"},
};

#define NMARKS (sizeof(marks) / sizeof(marks[0]))

static void
marks_make(size_t secret_len)
{
	size_t i;

	random_text(secret, secret_len);
	random_text(key, KEY_LEN);
	memcpy(key, "qapi_", 5);
	(void)snprintf(marks[0].text, TEXT_MAX, "%s", secret);
	/* "qapi_" itself is no secret and is in every binary. */
	(void)snprintf(marks[1].text, TEXT_MAX, "%s", key + 5);
	base64(secret, marks[2].text);
	base64(key + 3, marks[3].text);
	for (i = 0; i < NMARKS; i++)
		mark_index(&marks[i]);
}

/* --- the search --- */

/*
 * Runs of windows that follow each other count as one piece.  where: told
 * with each, NULL: not told.
 */
static void
search(struct mark *m, const char *buf, size_t len, const char *where)
{
	size_t i, next = 0, whole = strlen(m->text);
	const char *p;

	for (i = 0; i + WINDOW <= len; i++) {
		p = buf + i;
		if (!m->begins[two_bytes(p)] || bsearch(&p, m->windows,
		    m->count, sizeof(*m->windows), window_cmp) == NULL)
			continue;
		if (i + whole <= len && memcmp(p, m->text, whole) == 0)
			m->whole++;
		if (i >= next) {
			m->pieces++;
			if (where != NULL)
				(void)printf("    piece of %s in %s\n", m->name,
				    where);
		}
		next = i + WINDOW;
	}
}

static void
search_map(int mem, uintptr_t from, uintptr_t to, const char *where)
{
	size_t i, len = to - from;
	char *buf = malloc(len);
	ssize_t n;

	if (buf == NULL)
		abort();
	n = pread(mem, buf, len, (off_t)from);
	for (i = 0; n > 0 && i < NMARKS; i++)
		search(&marks[i], buf, (size_t)n, where);
	free(buf);
}

/*
 * Everything readable of the process that is in the arena, or everything that
 * is not.
 */
static void
search_process(pid_t pid, uintptr_t arena_from, uintptr_t arena_to,
    bool in_arena)
{
	char path[64], line[512], perms[8];
	uintptr_t from, to;
	FILE *maps;
	size_t i;
	int mem;

	for (i = 0; i < NMARKS; i++)
		marks[i].whole = marks[i].pieces = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	if (mem == -1 || maps == NULL)
		abort();
	while (fgets(line, sizeof(line), maps) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &from, &to,
		    perms) != 3 || perms[0] != 'r' ||
		    strstr(line, "[vvar") != NULL ||
		    (from < arena_to && to > arena_from) != in_arena)
			continue;
		search_map(mem, from, to, in_arena ? NULL : line);
	}
	(void)fclose(maps);
	(void)close(mem);
}

/* --- cases --- */

struct process {
	pid_t pid;
	int to;			/* its standard input */
	FILE *from;		/* its standard output */
};

static bool
process_start(struct process *p, const char *url, const char *ca,
    const char *reads)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) == -1 || pipe2(out, O_CLOEXEC) == -1)
		return false;
	if ((p->pid = fork()) == 0) {
		(void)dup2(in[0], 0);
		(void)dup2(out[1], 1);
		(void)unsetenv("LD_BIND_NOW");
		(void)execl("/proc/self/exe", "test_residue", "client", url,
		    ca, reads, (char *)NULL);
		_exit(127);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	p->to = in[1];
	p->from = fdopen(out[0], "r");
	return p->pid != -1 && p->from != NULL;
}

static bool
process_stop(struct process *p)
{
	int status;

	(void)close(p->to);
	(void)fclose(p->from);
	return waitpid(p->pid, &status, 0) == p->pid && status == 0;
}

struct test {
	const char *name;
	bool tls;
	enum mode mode;
	size_t secret_len;
};

static bool
found_nothing(const char *name)
{
	bool clean = true;
	size_t i;

	for (i = 0; i < NMARKS; i++) {
		(void)printf("  %-24s %-16s whole %u, pieces %u\n", name,
		    marks[i].name, marks[i].whole, marks[i].pieces);
		clean &= marks[i].whole == 0 && marks[i].pieces == 0;
	}
	return clean;
}

/*
 * In the arena there must be what was searched for, or the search said
 * nothing: the key always, the secret while an answer is held.
 */
static bool
search_saw_arena(pid_t pid, uintptr_t from, uintptr_t to)
{
	bool held = mode == MODE_IDLE || mode == MODE_STALLED;

	search_process(pid, from, to, true);
	return marks[1].whole > 0 && (marks[0].whole > 0) == held;
}

/* Start both sides, and bring the client to where it is to be searched. */
static bool
bring_up(const struct test *t, const char *pem, struct fake_http *server,
    struct process *p, uintptr_t *from, uintptr_t *to)
{
	bool half = mode == MODE_STALLED || mode == MODE_CANCELLED;
	char url[64], mode_text[12], byte = 0;
	int sent[2];
	bool up;

	if (pipe2(sent, O_CLOEXEC) == -1)
		return false;
	sent_fd = sent[1];
	if (fake_http_start(server, handle, t->tls ? pem : NULL) != 0)
		return false;
	(void)snprintf(url, sizeof(url), "http%s://127.0.0.1:%d/api/v1",
	    t->tls ? "s" : "", server->port);
	(void)snprintf(mode_text, sizeof(mode_text), "%d", (int)mode);
	up = process_start(p, url, t->tls ? pem : "", mode_text) &&
	    write(p->to, key, KEY_LEN) == KEY_LEN;
	if (up && half) {
		up = read(sent[0], &byte, 1) == 1;
		fake_sleep_ms(200); /* for what is on its way */
		up = up && write(p->to, &byte, 1) == 1;
	}
	up = up && fscanf(p->from, "ready %" SCNxPTR " %" SCNxPTR, from,
	    to) == 2;
	fake_sleep_ms(100); /* until it has gone to sleep */
	(void)close(sent[0]);
	(void)close(sent[1]);
	return up;
}

static bool
run(const struct test *t, const char *pem)
{
	struct fake_http server;
	uintptr_t from = 0, to = 0;
	struct process p;
	bool clean;

	mode = t->mode;
	marks_make(t->secret_len);
	if (!bring_up(t, pem, &server, &p, &from, &to)) {
		(void)printf("  %s: did not come up\n", t->name);
		return false;
	}
	search_process(p.pid, from, to, false);
	clean = found_nothing(t->name);
	if (!search_saw_arena(p.pid, from, to)) {
		(void)printf("  %s: the search does not see the arena\n",
		    t->name);
		clean = false;
	}
	if (!process_stop(&p)) {
		(void)printf("  %s: did not end well\n", t->name);
		clean = false;
	}
	fake_http_stop(&server);
	return clean;
}

/* The client could not be started, and memory is not what it is. */
static bool
under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

int
main(int argc, char **argv)
{
	static const struct test tests[] = {
		{"HTTP, idle", false, MODE_IDLE, 48},
		{"HTTP, idle, 20 kB", false, MODE_IDLE, SECRET_MAX},
		{"HTTP, refused", false, MODE_REFUSED, 48},
		{"HTTP, refused, 20 kB", false, MODE_REFUSED, SECRET_MAX},
		{"HTTP, stalled", false, MODE_STALLED, 48},
		{"HTTP, stalled, 20 kB", false, MODE_STALLED, SECRET_MAX},
		{"HTTP, cancelled", false, MODE_CANCELLED, 48},
		{"HTTP, cancelled, 20 kB", false, MODE_CANCELLED, SECRET_MAX},
		{"TLS, idle", true, MODE_IDLE, 48},
		{"TLS, idle, 20 kB", true, MODE_IDLE, SECRET_MAX},
		{"TLS, refused", true, MODE_REFUSED, 48},
		{"TLS, refused, 20 kB", true, MODE_REFUSED, SECRET_MAX},
		{"TLS, stalled", true, MODE_STALLED, 48},
		{"TLS, stalled, 20 kB", true, MODE_STALLED, SECRET_MAX},
		{"TLS, cancelled", true, MODE_CANCELLED, 48},
		{"TLS, cancelled, 20 kB", true, MODE_CANCELLED, SECRET_MAX},
	};
	char dir[] = "/tmp/qapi-residue-XXXXXX", pem[64], command[64];
	bool clean = true, have_tls;
	size_t i;

	if (argc == 5 && strcmp(argv[1], "client") == 0)
		return client_main(argv);
	/* Sanitizers keep what was freed. */
	if (WITHOUT_SANITIZERS == 0 || geteuid() != 0 || under_valgrind())
		return SKIPPED;
	(void)signal(SIGPIPE, SIG_IGN);
	if (mkdtemp(dir) == NULL)
		return 1;
	(void)snprintf(pem, sizeof(pem), "%s/server.pem", dir);
	have_tls = fake_certificate(pem, "IP:127.0.0.1") == 0;
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (!tests[i].tls || have_tls)
			clean &= run(&tests[i], pem);
	}
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	(void)!system(command);
	return clean ? 0 : 1;
}
