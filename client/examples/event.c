/*
 * The agent in a program with libevent: one event is enough, for reading and
 * for time.
 *
 * usage: event REFERENCE...
 */
#include <qapi-agent.h>

#include <event2/event.h>

#include <err.h>
#include <stdio.h>

struct loop {
	struct event_base *base;
	struct event *event;
	struct qapi_agent *agent;
	int left;		/* requests that are not done */
	int failed;
};

/* After each step and after each start. */
static void
arm(struct loop *loop)
{
	struct timeval tv;
	int timeout_ms;

	(void)qapi_agent_want(loop->agent, &timeout_ms);
	tv.tv_sec = timeout_ms / 1000;
	tv.tv_usec = timeout_ms % 1000 * 1000;
	if (event_add(loop->event, timeout_ms < 0 ? NULL : &tv) != 0)
		errx(1, "event_add");
}

static void
turn(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop = arg;

	(void)fd;
	(void)what;
	(void)qapi_agent_step(loop->agent);
	if (loop->left > 0)
		arm(loop);
}

static void
done(struct qapi_agent_request *request, void *arg)
{
	struct qapi_agent_items *items;
	const struct qapi_agent_item *item;
	struct loop *loop = arg;
	size_t len;
	int r = qapi_agent_request_error(request);

	items = qapi_agent_request_take_items(request);
	item = items != NULL ? qapi_agent_items_at(items, 0) : NULL;
	if (r == 0) {
		(void)qapi_agent_item_value(item, &len);
		(void)printf("%s: %zu bytes\n", qapi_agent_item_ref(item),
		    len);
	} else {
		loop->failed = 1;
		warnx("%s: %s", qapi_agent_error_name(r),
		    qapi_agent_request_message(request));
	}
	qapi_agent_items_free(&items);
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
		errx(2, "usage: event REFERENCE...");
	loop.base = event_base_new();
	loop.agent = qapi_agent_new();
	if (loop.base == NULL || loop.agent == NULL)
		errx(1, "out of memory");
	loop.event = event_new(loop.base, qapi_agent_fd(loop.agent), EV_READ,
	    turn, &loop);
	if (loop.event == NULL)
		errx(1, "event_new");
	for (i = 1; i < argc; i++) {
		ref = argv[i];
		if (qapi_agent_start_get(loop.agent, &ref, 1, NULL, done,
			&loop, &request) != 0)
			errx(1, "%s", qapi_agent_message(loop.agent));
	}
	arm(&loop);
	(void)event_base_dispatch(loop.base);
	event_free(loop.event);
	event_base_free(loop.base);
	qapi_agent_free(&loop.agent);
	return loop.failed;
}
