/*
 * qapi-sandbox: a stand-in for the QuantumAPI service.
 */
#include "api_keys.h"
#include "mem.h"
#include "options.h"
#include "seed.h"
#include "server.h"
#include "tenant.h"
#include "tls.h"

#include <event2/event.h>
#include <jansson.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void
stop_cb(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	(void)event_base_loopbreak(arg);
}

/* A test may open thousands of connections. */
static void
raise_descriptors(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
}

/* "KEY:scope,scope" */
static void
add_api_key(struct tenant *t, const char *spec)
{
	size_t n = strcspn(spec, ":");
	char *key = mem_bytes(spec, n), *list = mem_str(spec + n + 1);
	char *rest = list, *scope;
	json_t *scopes = json_array();

	while ((scope = strsep(&rest, ",")) != NULL) {
		if (*scope != '\0')
			json_array_append_new(scopes, json_string(scope));
	}
	api_keys_set(t->api_keys, key, NULL, scopes, 0);
	json_decref(scopes);
	free(list);
	free(key);
}

/* false: a message has been printed. */
static bool
fill(struct tenant *t, const struct options *o)
{
	if (o->seed != NULL && !seed_load(t, o->seed))
		return false;
	for (size_t i = 0; i < o->n_api_keys; i++)
		add_api_key(t, o->api_keys[i]);
	api_keys_limit(t->api_keys, o->per_minute);
	if (api_keys_count(t->api_keys) == 0)
		add_api_key(t, API_KEYS_BUILT_IN ":*");
	return true;
}

static int
serve(struct event_base *base, struct tenant *t, const struct options *o)
{
	struct ssl_ctx_st *tls = NULL;
	struct server *s = NULL;
	int status = EXIT_FAILURE;

	if (o->tls_cert != NULL &&
	    (tls = tls_new(o->tls_cert, o->tls_key)) == NULL)
		return status;
	s = server_new(
	    base, t, tls, (const struct sockaddr *)&o->addr, o->addr_len);
	if (s != NULL) {
		printf("qapi-sandbox: listening on %s://%s:%u\n",
		    tls == NULL ? "http" : "https", o->host, server_port(s));
		(void)fflush(stdout);
		status =
		    event_base_dispatch(base) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	server_free(s);
	tls_free(tls);
	return status;
}

/* Or timers could fire some milliseconds early, and a test would see it. */
static struct event_base *
new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config != NULL &&
	    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0)
		base = event_base_new_with_config(config);
	if (config != NULL)
		event_config_free(config);
	return base;
}

static int
run(const struct options *o)
{
	struct event_base *base = new_base();
	struct event *on_term = NULL, *on_int = NULL;
	struct tenant *t = tenant_new();
	int status = EXIT_FAILURE;

	if (base == NULL ||
	    (on_term = evsignal_new(base, SIGTERM, stop_cb, base)) == NULL ||
	    (on_int = evsignal_new(base, SIGINT, stop_cb, base)) == NULL ||
	    event_add(on_term, NULL) != 0 || event_add(on_int, NULL) != 0)
		fputs("qapi-sandbox: cannot set up the event loop\n", stderr);
	else if (fill(t, o))
		status = serve(base, t, o);
	if (on_term != NULL)
		event_free(on_term);
	if (on_int != NULL)
		event_free(on_int);
	if (base != NULL)
		event_base_free(base);
	tenant_free(t);
	libevent_global_shutdown();
	return status;
}

int
main(int argc, char **argv)
{
	struct options o;
	int status = EXIT_FAILURE;

	switch (options_parse(&o, argc, argv)) {
	case OPTIONS_RUN:
		(void)signal(SIGPIPE, SIG_IGN);
		raise_descriptors();
		if (sodium_init() < 0)
			fputs("qapi-sandbox: libsodium failed\n", stderr);
		else
			status = run(&o);
		break;
	case OPTIONS_DONE:
		status = EXIT_SUCCESS;
		break;
	case OPTIONS_USAGE:
		status = 2;
		break;
	case OPTIONS_REFUSED:
		break;
	}
	options_done(&o);
	return status;
}
