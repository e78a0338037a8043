/*
 * Log in with a password that may be changed at any time: try the cached one,
 * and only if that is refused have the service asked for a newer one.
 *
 * usage: login REFERENCE RIGHT-PASSWORD     (the latter stands for a server)
 */
#include <qapi-agent.h>

#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *right;

static bool
log_in(const void *password, size_t len)
{
	return len == strlen(right) && memcmp(password, right, len) == 0;
}

/* 1: logged in.  0: refused.  Else an error of the agent. */
static int
try(struct qapi_agent *agent, const char *ref,
    const struct qapi_agent_terms *terms)
{
	struct qapi_agent_item *item = NULL;
	const void *password;
	size_t len;
	int r;

	r = qapi_agent_get(agent, ref, terms, &item);
	if (r != 0)
		return r;
	password = qapi_agent_item_value(item, &len);
	r = log_in(password, len) ? 1 : 0;
	qapi_agent_item_free(&item);
	return r;
}

int
main(int argc, char **argv)
{
	struct qapi_agent *agent;
	struct qapi_agent_terms *fresh;
	int r;

	if (argc != 3)
		errx(2, "usage: login REFERENCE RIGHT-PASSWORD");
	right = argv[2];
	agent = qapi_agent_new();
	fresh = qapi_agent_terms_new();
	if (agent == NULL || fresh == NULL)
		errx(1, "out of memory");
	qapi_agent_set_timeout_ms(agent, 5000);
	qapi_agent_terms_set_fresh(fresh, true);

	r = try(agent, argv[1], NULL);
	if (r == 0) {
		(void)puts("refused; asking for a newer one");
		r = try(agent, argv[1], fresh);
	}
	if (r < 0)
		warnx("%s: %s", qapi_agent_error_name(r),
		    qapi_agent_message(agent));
	(void)puts(r == 1 ? "logged in" : "not logged in");
	qapi_agent_terms_free(&fresh);
	qapi_agent_free(&agent);
	return r == 1 ? 0 : 1;
}
