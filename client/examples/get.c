/* Print one value.  usage: get REFERENCE */
#include <qapi-agent.h>

#include <err.h>
#include <stdio.h>

int
main(int argc, char **argv)
{
	struct qapi_agent *agent;
	struct qapi_agent_item *item = NULL;
	const void *value;
	size_t len;
	int r;

	if (argc != 2)
		errx(2, "usage: get REFERENCE");
	agent = qapi_agent_new();
	if (agent == NULL)
		errx(1, "out of memory");
	r = qapi_agent_get(agent, argv[1], NULL, &item);
	if (r != 0)
		errx(1, "%s: %s: %s", argv[1], qapi_agent_error_name(r),
		    qapi_agent_message(agent));
	value = qapi_agent_item_value(item, &len);
	(void)fwrite(value, 1, len, stdout);
	qapi_agent_item_free(&item);	/* wipes the value */
	qapi_agent_free(&agent);
	return fflush(stdout) == 0 ? 0 : 1;
}
