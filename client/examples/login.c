/*
 * Log in with a password that may be changed at any time: try the cached one,
 * and if that is refused tell the agent, which looks for a newer one.
 *
 * usage: login REFERENCE RIGHT-PASSWORD     (the latter stands for a server)
 */
#include <qapi-agent.h>

#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool
log_in(const struct qapi_agent_item *item, const char *right)
{
	size_t len;
	const void *password = qapi_agent_item_value(item, &len);

	return len == strlen(right) && memcmp(password, right, len) == 0;
}

/* 1: there is another one than the refused; 0: there is not; or an error. */
static int
refused(struct qapi_agent *agent, const char *ref,
    const struct qapi_agent_item *item)
{
	struct qapi_agent_item *now = NULL;
	int r;

	(void)puts("refused; asking for a newer one");
	r = qapi_agent_reject(agent, ref, item, &now);
	if (r == 0)
		r = qapi_agent_item_changed(now) ? 1 : 0;
	qapi_agent_item_free(&now);
	return r;
}

int
main(int argc, char **argv)
{
	struct qapi_agent *agent;
	struct qapi_agent_item *item = NULL;
	bool in = false;
	int r;

	if (argc != 3)
		errx(2, "usage: login REFERENCE RIGHT-PASSWORD");
	agent = qapi_agent_new();
	if (agent == NULL)
		errx(1, "out of memory");
	qapi_agent_set_timeout_ms(agent, 5000);

	r = qapi_agent_get(agent, argv[1], NULL, &item);
	if (r == 0 && !(in = log_in(item, argv[2])) &&
	    (r = refused(agent, argv[1], item)) == 1) {
		qapi_agent_item_free(&item);
		r = qapi_agent_get(agent, argv[1], NULL, &item);
		in = r == 0 && log_in(item, argv[2]);
	}
	if (r < 0)
		warnx("%s: %s", qapi_agent_error_name(r),
		    qapi_agent_message(agent));
	(void)puts(in ? "logged in" : "not logged in");
	qapi_agent_item_free(&item);
	qapi_agent_free(&agent);
	return in ? 0 : 1;
}
