/*
 * The agent in a program with libuv: a poll handle for the descriptor, which
 * stays the same, and a timer.
 *
 * usage: uv REFERENCE...
 */
#include <qapi-agent.h>

#include <uv.h>

#include <err.h>
#include <stdio.h>

struct loop {
	uv_poll_t poll;
	uv_timer_t timer;
	struct qapi_agent *agent;
	int left;		/* requests that are not done */
	int failed;
};

static void turn(struct loop *loop);

static void
on_timer(uv_timer_t *timer)
{
	turn(timer->data);
}

/* After each step and after each start. */
static void
arm(struct loop *loop)
{
	int timeout_ms;

	(void)qapi_agent_want(loop->agent, &timeout_ms);
	if (timeout_ms < 0)
		(void)uv_timer_stop(&loop->timer);
	else
		(void)uv_timer_start(&loop->timer, on_timer,
		    (uint64_t)timeout_ms, 0);
}

static void
turn(struct loop *loop)
{
	(void)qapi_agent_step(loop->agent);
	if (loop->left > 0) {
		arm(loop);
		return;
	}
	uv_close((uv_handle_t *)&loop->poll, NULL);
	uv_close((uv_handle_t *)&loop->timer, NULL);
}

static void
on_readable(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	turn(handle->data);
}

static void
done(struct qapi_agent_request *request, void *arg)
{
	struct loop *loop = arg;
	struct qapi_agent_item *item;
	size_t len;

	item = qapi_agent_request_take_item(request);
	if (item != NULL) {
		(void)qapi_agent_item_value(item, &len);
		(void)printf("%s: %zu bytes\n", qapi_agent_item_ref(item),
		    len);
	} else {
		loop->failed = 1;
		warnx("%s: %s", qapi_agent_error_name(
		    qapi_agent_request_error(request)),
		    qapi_agent_request_message(request));
	}
	qapi_agent_item_free(&item);
	qapi_agent_request_free(&request);
	loop->left--;
}

int
main(int argc, char **argv)
{
	struct loop loop = {.left = argc - 1};
	struct qapi_agent_request *request;
	const char *ref;
	int i;

	if (argc < 2)
		errx(2, "usage: uv REFERENCE...");
	loop.agent = qapi_agent_new();
	if (loop.agent == NULL)
		errx(1, "out of memory");
	if (uv_poll_init(uv_default_loop(), &loop.poll,
		qapi_agent_fd(loop.agent)) != 0 ||
	    uv_timer_init(uv_default_loop(), &loop.timer) != 0 ||
	    uv_poll_start(&loop.poll, UV_READABLE, on_readable) != 0)
		errx(1, "libuv");
	loop.poll.data = loop.timer.data = &loop;
	for (i = 1; i < argc; i++) {
		ref = argv[i];
		if (qapi_agent_start_get(loop.agent, &ref, 1, NULL, done,
			&loop, &request) != 0)
			errx(1, "%s", qapi_agent_message(loop.agent));
	}
	arm(&loop);
	(void)uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	(void)uv_loop_close(uv_default_loop());
	qapi_agent_free(&loop.agent);
	return loop.failed;
}
