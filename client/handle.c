#include "config.h"

#include "handle.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
		r = conn_open(&a->conn, paths.p[i], deadline_boot_ms);
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

/* Everything that has arrived; ERR_AGAIN if more is wanted. */
static int
feed_all(struct qapi_agent *a, handle_feed *feed, void *arg)
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
		if ((r = feed_all(a, feed, arg)) != ERR_AGAIN)
			return r;
		if ((r = conn_wait(&a->conn, deadline_boot_ms, &ready)) != 0)
			return r;
	}
	return r;
}

static int
feed_call(void *arg, const struct frame *frame)
{
	return call_feed(arg, frame);
}

static int
attempt(struct qapi_agent *a, struct call *call, uint64_t deadline_boot_ms,
    bool *ret_sent)
{
	uint64_t wait_ms = MSG_NO_LIMIT, now_ms;
	int r;

	if (a->conn.fd == -1 &&
	    (r = handle_connect(a, deadline_boot_ms)) != 0)
		return r;
	if (deadline_boot_ms != CONN_FOREVER) {
		now_ms = conn_now_ms();
		wait_ms = now_ms < deadline_boot_ms
		    ? deadline_boot_ms - now_ms : 1;
	}
	if ((r = call_send(call, &a->conn, wait_ms, &a->last_id)) != 0)
		return r;
	*ret_sent = true;
	deadline_boot_ms = conn_deadline(deadline_boot_ms, HANDLE_GRACE_MS);
	return handle_pump(a, deadline_boot_ms, feed_call, call);
}

void
handle_explain(struct qapi_agent *a, int r, const char *said)
{
	char buf[UNITS_DURATION_LEN];

	if (*said != '\0')
		(void)handle_fail(a, r, said);
	else if (r == ERR_TIMEOUT)
		(void)snprintf(a->message, sizeof(a->message),
		    "no answer within %s: allow more time, or see what "
		    "qapi-agent status says",
		    units_format_duration(a->timeout_ms, buf));
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

int
handle_call(struct qapi_agent *a, struct call *call)
{
	uint64_t wait_ms = a->timeout_ms == 0 ? CONN_FOREVER : a->timeout_ms;
	uint64_t deadline_boot_ms = conn_deadline(conn_now_ms(), wait_ms);
	bool sent = false, reused, retried = false;
	int r;

	a->message[0] = '\0';
	if (call_is_complete(call))
		return 0;
	for (;;) {
		reused = a->conn.fd != -1;
		r = attempt(a, call, deadline_boot_ms, &sent);
		/* A restarted agent: but what it says at once, it means. */
		if (r != ERR_CLOSED || retried ||
		    (call->conn_error != 0 && !reused))
			break;
		conn_close(&a->conn);
		retried = true;
		sent = false;
	}
	if (r == 0)
		return 0;
	conn_close(&a->conn);
	if (r == ERR_CLOSED && call->conn_error != 0)
		r = call->conn_error;
	handle_explain(a, r, call->message);
	if (!sent || call->sent == NULL || r == ERR_NOMEM)
		return r;
	call_fail_rest(call, r, a->message);
	return 0;
}
