/*
 * The agent in a program with GLib: a source of its own for the main loop.
 *
 * usage: glib REFERENCE...
 */
#include <qapi-agent.h>

#include <glib-unix.h>
#include <glib.h>

struct source {
	GSource base;
	struct qapi_agent *agent;
};

static gboolean
prepare(GSource *base, gint *timeout_ms)
{
	(void)qapi_agent_want(((struct source *)base)->agent, timeout_ms);
	return *timeout_ms == 0;
}

static gboolean
check(GSource *base)
{
	(void)base;
	return TRUE;		/* a step too many does no harm */
}

static gboolean
dispatch(GSource *base, GSourceFunc callback, gpointer arg)
{
	(void)qapi_agent_step(((struct source *)base)->agent);
	return callback != NULL ? callback(arg) : G_SOURCE_CONTINUE;
}

static GSourceFuncs functions = {
	.prepare = prepare,
	.check = check,
	.dispatch = dispatch,
};

static GMainLoop *loop;
static int left, failed;

static void
done(struct qapi_agent_request *request, void *arg)
{
	struct qapi_agent_item *item;
	size_t len;

	item = qapi_agent_request_take_item(request);
	if (item != NULL) {
		(void)qapi_agent_item_value(item, &len);
		g_print("%s: %zu bytes\n", (const char *)arg, len);
	} else {
		failed = 1;
		g_printerr("glib: %s: %s: %s\n", (const char *)arg,
		    qapi_agent_error_name(qapi_agent_request_error(request)),
		    qapi_agent_request_message(request));
	}
	qapi_agent_item_free(&item);
	qapi_agent_request_free(&request);
	if (--left == 0)
		g_main_loop_quit(loop);
}

int
main(int argc, char **argv)
{
	struct qapi_agent *agent = qapi_agent_new();
	GSource *source = g_source_new(&functions, sizeof(struct source));
	struct qapi_agent_request *request;
	const char *ref;
	int i;

	if (argc < 2 || agent == NULL)
		g_error("usage: glib REFERENCE...");
	((struct source *)source)->agent = agent;
	g_source_add_unix_fd(source, qapi_agent_fd(agent), G_IO_IN);
	g_source_attach(source, NULL);
	loop = g_main_loop_new(NULL, FALSE);
	for (i = 1; i < argc; i++) {
		ref = argv[i];
		if (qapi_agent_start_get(agent, &ref, 1, NULL, done, argv[i],
			&request) != 0)
			g_error("%s", qapi_agent_message(agent));
		left++;
	}
	g_main_loop_run(loop);
	g_source_destroy(source);
	g_source_unref(source);
	g_main_loop_unref(loop);
	qapi_agent_free(&agent);
	return failed;
}
