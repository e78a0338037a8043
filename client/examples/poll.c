/*
 * Read several values at a time without blocking, with nothing but poll(2).
 *
 * usage: poll REFERENCE...
 */
#include <qapi-agent.h>

#include <err.h>
#include <poll.h>
#include <stdio.h>

static int failed;

/* Called by qapi_agent_step(), in whatever order they are done. */
static void
done(struct qapi_agent_request *request, void *arg)
{
	const char *ref = arg;
	struct qapi_agent_item *item;
	size_t len;

	item = qapi_agent_request_take_item(request);
	if (item != NULL) {
		(void)qapi_agent_item_value(item, &len);
		(void)printf("%s: %zu bytes\n", ref, len);
	} else {
		failed = 1;
		warnx("%s: %s: %s", ref, qapi_agent_error_name(
		    qapi_agent_request_error(request)),
		    qapi_agent_request_message(request));
	}
	qapi_agent_item_free(&item);
	qapi_agent_request_free(&request);
}

int
main(int argc, char **argv)
{
	struct qapi_agent *agent = qapi_agent_new();
	struct qapi_agent_request *request;
	struct pollfd pfd = {.fd = -1};
	const char *ref;
	int i, timeout_ms;

	if (argc < 2)
		errx(2, "usage: poll REFERENCE...");
	if (agent == NULL || (pfd.fd = qapi_agent_fd(agent)) == -1)
		err(1, "no handle");
	qapi_agent_set_timeout_ms(agent, 5000);	/* of each request */
	for (i = 1; i < argc; i++) {
		ref = argv[i];
		if (qapi_agent_start_get(agent, &ref, 1, NULL, done, argv[i],
			&request) != 0)
			errx(1, "%s", qapi_agent_message(agent));
	}
	do {
		/* here a program would add descriptors of its own */
		pfd.events = qapi_agent_want(agent, &timeout_ms);
		(void)poll(&pfd, 1, timeout_ms);
	} while (qapi_agent_step(agent) > 0);
	qapi_agent_free(&agent);
	return failed;
}
