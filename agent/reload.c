#include "config.h"

#include "reload.h"

#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "limit.h"
#include "log.h"
#include "setup.h"

static bool
reload_same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* What stays in force is what the status shows. */
static void
reload_swap_text(char **a, char **b)
{
	char *t = *a;

	*a = *b;
	*b = t;
}

/* What a reload leaves as it was is said, so that nobody waits for it. */
static void
reload_warn_restart(const struct settings *old, const struct settings *fresh)
{
	const struct {
		const char *key;
		bool same;
	} fixed[] = {
		{ "socket", reload_same_text(old->socket, fresh->socket) },
		{ "socket-mode", old->socket_mode == fresh->socket_mode },
		{ "socket-group",
		    reload_same_text(old->socket_group, fresh->socket_group) },
		{ "max-connections",
		    old->max_connections == fresh->max_connections },
		{ "audit-log",
		    reload_same_text(old->audit_log, fresh->audit_log) },
		{ "url", reload_same_text(old->url, fresh->url) },
		{ "ca-file", reload_same_text(old->ca_file, fresh->ca_file) },
		{ "pinned-public-key", reload_same_text(
		    old->pinned_public_key, fresh->pinned_public_key) },
		{ "proxy", reload_same_text(old->proxy, fresh->proxy) },
		{ "connect-timeout",
		    old->connect_timeout_ms == fresh->connect_timeout_ms },
		{ "request-timeout",
		    old->request_timeout_ms == fresh->request_timeout_ms },
		{ "max-in-flight", old->max_in_flight == fresh->max_in_flight },
		{ "max-response", old->max_response == fresh->max_response },
	};
	size_t i;

	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		if (!fixed[i].same)
			log_warning("%s= has changed; that takes a restart",
			    fixed[i].key);
	}
}

bool
reload_run(struct reload *rl)
{
	struct settings *fresh = NULL, *old = *rl->settings;
	struct limit *limit;
	struct fetch_config cfg;

	if (settings_load(rl->path, stderr, &fresh) != 0) {
		log_error("the new configuration is faulty; the running one "
		    "stays in force");
		return false;
	}
	reload_warn_restart(old, fresh);
	reload_swap_text(&fresh->url, &old->url);
	reload_swap_text(&fresh->socket, &old->socket);
	cfg = setup_fetch(fresh);
	fetch_configure(rl->env->fetch, &cfg);
	limit = limit_new(fresh->max_requests_per_second);
	if (limit != NULL) {
		limit_free(rl->env->limit);
		rl->env->limit = limit;
	}
	log_set_level(fresh->log_level);
	audit_reopen(rl->env->audit);
	rl->env->settings = fresh;
	rl->env->policy_generation++;
	settings_free(old);
	*rl->settings = fresh;
	(void)rl->read_key(rl->arg);
	log_notice("configuration read again");
	return true;
}
