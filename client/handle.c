#include "config.h"

#include "handle.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "err.h"
#include "units.h"

#define SYSTEM_SOCKET "/run/qapi-agent/agent.sock"

/* The places to try, in order. */
struct paths {
	char p[2][HANDLE_PATH_LEN];
	int why[2];		/* errno of the attempt */
	size_t n;
};

/* One that does not fit stays too long for a socket, and is refused later. */
static void
add_path(struct paths *paths, const char *dir, const char *file)
{
	(void)snprintf(paths->p[paths->n++], HANDLE_PATH_LEN, "%s%s", dir,
	    file);
}

static void
find_paths(const struct qapi_agent *a, struct paths *paths)
{
	const char *env = secure_getenv("QAPI_AGENT_SOCK");

	memset(paths, 0, sizeof(*paths));
	if (a->socket != NULL) {
		add_path(paths, a->socket, "");
		return;
	}
	if (env != NULL && *env != '\0') {
		add_path(paths, env, "");
		return;
	}
	env = secure_getenv("XDG_RUNTIME_DIR");
	if (geteuid() != 0 && env != NULL && *env == '/')
		add_path(paths, env, "/qapi-agent/agent.sock");
	add_path(paths, SYSTEM_SOCKET, "");
}

void
handle_first_path(struct qapi_agent *a)
{
	struct paths paths;

	find_paths(a, &paths);
	memcpy(a->used, paths.p[0], sizeof(a->used));
}

int
handle_fail(struct qapi_agent *a, int error, const char *message)
{
	(void)snprintf(a->message, sizeof(a->message), "%s", message);
	return error;
}

struct qapi_agent *
handle_clone(const struct qapi_agent *a)
{
	struct qapi_agent *copy = qapi_agent_new();

	if (copy == NULL)
		return NULL;
	copy->timeout_ms = a->timeout_ms;
	if (a->socket != NULL)
		copy->socket = strdup(a->socket);
	if (a->program != NULL)
		copy->program = strdup(a->program);
	if ((a->socket != NULL && copy->socket == NULL) ||
	    (a->program != NULL && copy->program == NULL))
		qapi_agent_free(&copy);
	return copy;
}

static const char *
advice(const struct paths *paths)
{
	size_t i;

	for (i = 0; i < paths->n; i++) {
		if (paths->why[i] == EACCES || paths->why[i] == EPERM)
			return "join the group that the socket belongs to "
			       "(socket-group in the agent's configuration)";
		if (paths->why[i] == ENAMETOOLONG)
			return "a socket path has at most 107 bytes";
	}
	return "start it (systemctl start qapi-agent), or name its socket "
	       "with --socket or QAPI_AGENT_SOCK";
}

static int
fail_unreachable(struct qapi_agent *a, const struct paths *paths)
{
	int n = 0;

	n = snprintf(a->message, sizeof(a->message),
	    "no agent answers at %s (%s)", paths->p[0],
	    strerror(paths->why[0]));
	if (paths->n > 1)
		n += snprintf(a->message + n, sizeof(a->message) - (size_t)n,
		    " or %s (%s)", paths->p[1], strerror(paths->why[1]));
	(void)snprintf(a->message + n, sizeof(a->message) - (size_t)n, ": %s",
	    advice(paths));
	return ERR_UNREACHABLE;
}

static int
queue_hello(struct qapi_agent *a)
{
	struct msg_hello hello = {.protocol = FRAME_VERSION};
	const char *build = a->program;
	struct wr wr;
	int r;

	if (build == NULL)
		build = "libqapi-agent " PACKAGE_VERSION;
	hello.build.p = (const uint8_t *)build;
	hello.build.len = strlen(build);
	if ((r = conn_reserve(&a->conn, FRAME_HEADER_LEN + 32 + MSG_BUILD_MAX,
	    &wr)) != 0)
		return r;
	msg_hello_encode(&wr, FRAME_HELLO, &hello);
	if (!wr.failed)
		conn_queue(&a->conn, &wr);
	return 0;
}

int
handle_connect(struct qapi_agent *a, uint64_t deadline_boot_ms)
{
	struct paths paths;
	size_t i;
	int r = ERR_UNREACHABLE;

	find_paths(a, &paths);
	for (i = 0; i < paths.n && r == ERR_UNREACHABLE; i++) {
		memcpy(a->used, paths.p[i], sizeof(a->used));
		r = deadline_boot_ms == 0
		    ? conn_try_open(&a->conn, paths.p[i])
		    : conn_open(&a->conn, paths.p[i], deadline_boot_ms);
		paths.why[i] = errno;
	}
	if (r == ERR_UNREACHABLE)
		return fail_unreachable(a, &paths);
	if (r != 0)
		return r;
	a->protocol = 0;
	a->build[0] = '\0';
	return queue_hello(a);
}

static int
on_hello(struct qapi_agent *a, const struct frame *frame)
{
	struct msg_hello hello;

	if (msg_hello_decode(frame->body, &hello) != 0 ||
	    hello.build.len > MSG_BUILD_MAX)
		return ERR_INTERNAL;
	a->protocol = hello.protocol;
	if (hello.build.len > 0)
		memcpy(a->build, hello.build.p, hello.build.len);
	a->build[hello.build.len] = '\0';
	return ERR_AGAIN;
}

int
handle_feed_all(struct qapi_agent *a, handle_feed *feed, void *arg)
{
	struct frame frame;
	int r;

	while ((r = conn_next(&a->conn, &frame)) == 0) {
		if (frame.type == FRAME_AGENT_HELLO)
			r = on_hello(a, &frame);
		else
			r = feed(arg, &frame);
		conn_done(&a->conn, &frame);
		if (r != ERR_AGAIN)
			return r;
	}
	/* A length that no answer has is nonsense, not a large value. */
	return r == ERR_TOO_LARGE ? ERR_INTERNAL : r;
}

int
handle_pump(struct qapi_agent *a, uint64_t deadline_boot_ms,
    handle_feed *feed, void *arg)
{
	short ready = POLLOUT;
	int r;

	while ((r = conn_step(&a->conn, ready)) == 0) {
		if ((r = handle_feed_all(a, feed, arg)) != ERR_AGAIN)
			return r;
		if ((r = conn_wait(&a->conn, deadline_boot_ms, &ready)) != 0)
			return r;
	}
	return r;
}

void
handle_explain(struct qapi_agent *a, int r, const char *said,
    uint64_t timeout_ms)
{
	char buf[UNITS_DURATION_LEN];

	if (*said != '\0')
		(void)handle_fail(a, r, said);
	else if (r == ERR_TIMEOUT)
		(void)snprintf(a->message, sizeof(a->message),
		    "no answer within %s: allow more time, or see what "
		    "qapi-agent status says",
		    units_format_duration(timeout_ms, buf));
	else if (r == ERR_CLOSED)
		(void)handle_fail(a, r, "the agent closed the connection: it "
		    "may be restarting, try again");
	else if (r == ERR_INTERNAL)
		(void)handle_fail(a, r, "the agent's answer makes no sense: "
		    "use an agent and a client of one release");
	else if (r == ERR_UNSUPPORTED)
		(void)handle_fail(a, r, "the agent speaks another version of "
		    "the protocol: use an agent and a client of one release");
	else if (r == ERR_TOO_LARGE)
		(void)handle_fail(a, r, "the answer is larger than this "
		    "client takes: ask for less at a time");
	else if (r == ERR_NOMEM)
		(void)handle_fail(a, r, "out of memory here: ask for less at "
		    "a time");
	else if (r != ERR_UNREACHABLE)
		(void)handle_fail(a, r, err_text(r));
}

void
handle_close(struct qapi_agent *a)
{
	/* closing takes it out of the set that is watched, too */
	conn_close(&a->conn);
	a->polled = 0;
}

int
handle_fd(struct qapi_agent *a)
{
	if (a->epoll == -1) {
		a->epoll = epoll_create1(EPOLL_CLOEXEC);
		handle_poll(a);
	}
	return a->epoll;
}

void
handle_poll(struct qapi_agent *a)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (a->epoll == -1 || a->conn.fd == -1)
		return;
	if (conn_want(&a->conn) & POLLOUT)
		event.events |= EPOLLOUT;
	if (event.events == a->polled)
		return;
	/* without memory for it the next one tries again */
	if (epoll_ctl(a->epoll, a->polled == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD,
	    a->conn.fd, &event) == 0)
		a->polled = event.events;
}

void
handle_sleep(uint64_t until_boot_ms)
{
	uint64_t now_ms = conn_now_ms();

	if (until_boot_ms <= now_ms)
		return;
	until_boot_ms -= now_ms;
	(void)poll(NULL, 0, until_boot_ms > 60000 ? 60000
						  : (int)until_boot_ms);
}
