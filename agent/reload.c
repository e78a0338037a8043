#include "config.h"

#include "reload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "conn.h"
#include "err.h"
#include "harden.h"
#include "httpsock.h"
#include "keys.h"
#include "limit.h"
#include "log.h"
#include "preload.h"
#include "setup.h"

/* What is to take the place of what is in force. */
struct reload_next {
	struct settings *settings;
	bool from_file;
	bool upstream_stays;	/* the url is another one */
	struct audit *audit;
	struct limit *limit;	/* NULL: the same rate, the old one stays */
	struct preload *preload;
	struct listener *listener; /* NULL: the old one stays */
	struct httpsock_next *http;
};

/* --- the file --- */

#define RELOAD_MORE "; more in the log"

/* Another sentence for the status, as far as it fits; the log has them all. */
static void
reload_add_why(struct reload *rl, const char *text, size_t len)
{
	size_t used = strlen(rl->why);
	size_t room = sizeof(rl->why) - used;

	if (used == 0)
		(void)snprintf(rl->why, room - sizeof(RELOAD_MORE), "%.*s",
		    (int)len, text);
	else if (len + 2 + sizeof(RELOAD_MORE) <= room)
		(void)snprintf(rl->why + used, room, "; %.*s", (int)len, text);
	else if (strstr(rl->why, RELOAD_MORE) == NULL)
		(void)snprintf(rl->why + used, room, "%s", RELOAD_MORE);
}

/* Each line of the faults goes to the log. */
static void
reload_tell_faults(struct reload *rl, const char *text)
{
	size_t len;

	for (; *text != '\0'; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		log_error("%.*s", (int)len, text);
		reload_add_why(rl, text, len);
	}
	if (rl->why[0] == '\0')
		reload_add_why(rl, "out of memory", 13);
}

/* Not through standard error: it may be a pipe that nobody reads. */
static int
reload_load(struct reload *rl, struct reload_next *next)
{
	const char *path = rl->path;
	char *faults = NULL;
	size_t len;
	FILE *f;
	int r;

	if (*rl->may_lack && access(path, F_OK) != 0 && errno == ENOENT)
		path = NULL;
	f = open_memstream(&faults, &len);
	if (f == NULL) {
		reload_tell_faults(rl, "");
		return ERR_NOMEM;
	}
	r = settings_load(path, f, &next->settings);
	(void)fclose(f);
	if (r != 0)
		reload_tell_faults(rl, faults != NULL ? faults : "");
	next->from_file = path != NULL;
	free(faults);
	return r;
}

/* --- what takes a restart --- */

static void __attribute__((format(printf, 2, 3)))
reload_note(struct reload *rl, const char *fmt, ...)
{
	char text[RELOAD_WHY];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_warning("%s", text);
	reload_add_why(rl, text, strlen(text));
}

static bool
reload_same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* What stays in force is what the settings say.  0 or ERR_NOMEM. */
static int
reload_keep_text(char **fresh, const char *old)
{
	char *copy = NULL;

	if (old != NULL && (copy = strdup(old)) == NULL)
		return ERR_NOMEM;
	free(*fresh);
	*fresh = copy;
	return 0;
}

/*
 * Another url is another service, with a key, a proxy and certificates of its
 * own: none of them must be tried on the one in force, the key least of all.
 */
static int
reload_keep_upstream(struct settings *fresh, const struct settings *old)
{
	int r;

	fresh->connect_timeout_ms = old->connect_timeout_ms;
	fresh->request_timeout_ms = old->request_timeout_ms;
	fresh->max_in_flight = old->max_in_flight;
	fresh->max_response = old->max_response;
	if ((r = reload_keep_text(&fresh->url, old->url)) != 0 ||
	    (r = reload_keep_text(&fresh->ca_file, old->ca_file)) != 0 ||
	    (r = reload_keep_text(&fresh->pinned_public_key,
	    old->pinned_public_key)) != 0)
		return r;
	return reload_keep_text(&fresh->proxy, old->proxy);
}

static int
reload_keep_socket(struct settings *fresh, const struct settings *old)
{
	int r;

	fresh->socket_mode = old->socket_mode;
	r = reload_keep_text(&fresh->socket, old->socket);
	return r != 0 ? r : reload_keep_text(&fresh->socket_group,
	    old->socket_group);
}

static bool
reload_same_access(const struct settings *a, const struct settings *b)
{
	return a->socket_mode == b->socket_mode &&
	    reload_same_text(a->socket_group, b->socket_group);
}

static bool
reload_same_socket(const struct settings *a, const struct settings *b)
{
	return strcmp(a->socket, b->socket) == 0;
}

/* One that comes from the service manager stays, as socket= does. */
static int
reload_keep_http(struct reload *rl, struct settings *fresh,
    const struct settings *old)
{
	if (!httpsock_is_inherited(rl->http) ||
	    reload_same_text(fresh->http_socket, old->http_socket))
		return 0;
	reload_note(rl, "http-socket= has changed: the socket in use comes "
	    "from the service manager and stays as it is; see its .socket "
	    "unit");
	return reload_keep_text(&fresh->http_socket, old->http_socket);
}

/* The snapshot of this cache stays where it is looked for at the next start. */
static int
reload_keep_state(struct reload *rl, struct settings *fresh,
    const struct settings *old)
{
	int r;

	if (reload_same_text(fresh->state_file, old->state_file) &&
	    reload_same_text(fresh->state_key_file, old->state_key_file))
		return 0;
	reload_note(rl, "state-file= or state-key-file= has changed: that "
	    "takes a restart");
	r = reload_keep_text(&fresh->state_file, old->state_file);
	return r != 0 ? r : reload_keep_text(&fresh->state_key_file,
	    old->state_key_file);
}

static int
reload_find_fixed(struct reload *rl, struct reload_next *next)
{
	const struct settings *old = *rl->settings;
	struct settings *fresh = next->settings;
	int r = 0;

	if (!reload_same_text(fresh->url, old->url)) {
		reload_note(rl, "url= has changed: another service takes a "
		    "restart, and until then all of [upstream] and the API "
		    "key stay as they are");
		next->upstream_stays = true;
		r = reload_keep_upstream(fresh, old);
	}
	if (fresh->max_memory > rl->max_memory) {
		reload_note(rl, "max-memory= is more than twice what it was "
		    "at the start: that takes a restart");
		fresh->max_memory = old->max_memory;
	}
	if (listener_is_inherited(*rl->listener) &&
	    (!reload_same_socket(fresh, old) ||
	    !reload_same_access(fresh, old))) {
		reload_note(rl, "socket=, socket-mode= or socket-group= has "
		    "changed: the socket in use comes from the service manager "
		    "and stays as it is; see its .socket unit");
		if (r == 0)
			r = reload_keep_socket(fresh, old);
	}
	if (r == 0)
		r = reload_keep_http(rl, fresh, old);
	if (r == 0)
		r = reload_keep_state(rl, fresh, old);
	return r;
}

/* --- what can fail --- */

static int
reload_no_memory(struct reload *rl)
{
	(void)snprintf(rl->why, sizeof(rl->why), "out of memory");
	return ERR_NOMEM;
}

/*
 * The new socket, before the old one is taken away.  Mode and group of the
 * same one are changed where it is.
 */
static int
reload_prepare_socket(struct reload *rl, struct reload_next *next)
{
	const struct settings *fresh = next->settings, *old = *rl->settings;
	const struct listener_config cfg = setup_listener(fresh);

	if (listener_is_inherited(*rl->listener))
		return 0;
	if (!reload_same_socket(fresh, old))
		return listener_new(rl->base, &cfg, conns_accept, rl->conns,
		    rl->why, sizeof(rl->why), &next->listener);
	if (!reload_same_access(fresh, old))
		return listener_set_access(*rl->listener, &cfg, rl->why,
		    sizeof(rl->why));
	return 0;
}

/* And back, because something else failed. */
static void
reload_restore_access(struct reload *rl, const struct reload_next *next)
{
	const struct listener_config cfg = setup_listener(*rl->settings);
	char why[RELOAD_WHY];

	if (next->listener == NULL &&
	    !listener_is_inherited(*rl->listener) &&
	    !reload_same_access(next->settings, *rl->settings) &&
	    listener_set_access(*rl->listener, &cfg, why, sizeof(why)) != 0)
		log_error("%s", why);
}

static int
reload_prepare_upstream(struct reload *rl, const struct reload_next *next)
{
	const struct upstream_http_config cfg = setup_http(next->settings);

	if (next->upstream_stays ||
	    upstream_http_configure(rl->upstream, &cfg) == 0)
		return 0;
	return reload_no_memory(rl);
}

/* Whatever of it was done already is undone if it fails. */
static int
reload_prepare(struct reload *rl, struct reload_next *next)
{
	const struct settings *fresh = next->settings, *old = *rl->settings;
	char why[300];
	int r;

	if (!next->upstream_stays && (r = keys_check(fresh->api_key_files,
	    rl->why, sizeof(rl->why))) != 0)
		return r;
	next->audit = audit_new(fresh->audit_log, why, sizeof(why));
	if (next->audit == NULL) {
		(void)snprintf(rl->why, sizeof(rl->why), "audit-log: %s", why);
		return ERR_BAD_REQUEST;
	}
	if (fresh->max_requests_per_second != old->max_requests_per_second &&
	    (next->limit = limit_new(fresh->max_requests_per_second)) == NULL)
		return reload_no_memory(rl);
	next->preload = preload_new(rl->base, rl->env->fetch, fresh,
	    rl->preloaded, rl->arg);
	if (next->preload == NULL)
		return reload_no_memory(rl);
	if ((r = reload_prepare_socket(rl, next)) != 0)
		return r;
	r = httpsock_prepare(rl->http, fresh, rl->why, sizeof(rl->why),
	    &next->http);
	if (r == 0)
		r = reload_prepare_upstream(rl, next);
	if (r != 0)
		reload_restore_access(rl, next);
	return r;
}

static void
reload_discard(struct reload *rl, struct reload_next *next)
{
	audit_free(next->audit);
	limit_free(next->limit);
	preload_free(next->preload);
	listener_free(next->listener);
	httpsock_discard(rl->http, next->http);
	settings_free(next->settings);
}

/* --- what cannot --- */

static void
reload_switch_parts(struct reload *rl, struct reload_next *next)
{
	audit_free(*rl->audit);
	*rl->audit = rl->env->audit = next->audit;
	audit_set_flood(next->audit, rl->env->flood);
	if (next->limit != NULL) {
		limit_free(rl->env->limit);
		rl->env->limit = next->limit;
	}
	if (next->listener != NULL) {
		listener_retire(*rl->listener);
		*rl->listener = next->listener;
	}
	httpsock_switch(rl->http, next->http);
}

static void
reload_switch(struct reload *rl, struct reload_next *next)
{
	struct settings *fresh = next->settings, *old = *rl->settings;
	const struct fetch_config cfg = setup_fetch(fresh);

	if (next->listener != NULL)
		log_notice("now on %s, no longer on %s", fresh->socket,
		    old->socket);
	reload_switch_parts(rl, next);
	rl->env->settings = fresh;
	rl->env->policy_generation++;
	*rl->settings = fresh;
	if (next->from_file)
		*rl->may_lack = false;
	log_set_level(fresh->log_level);
	if (fresh->max_connections != old->max_connections)
		harden_descriptors(fresh->max_connections);
	conns_set_max(rl->conns, harden_connections(fresh->max_connections));
	fetch_configure(rl->env->fetch, &cfg);
	if (!next->upstream_stays &&
	    keys_reload(rl->keys, fresh->api_key_files) != 0)
		log_error("out of memory: api-key-file= stays as it was");
	preload_release(*rl->preload, next->preload);
	preload_start(next->preload);
	preload_free(*rl->preload);
	*rl->preload = next->preload;
	settings_free(old);
}

bool
reload_run(struct reload *rl)
{
	struct reload_next next = { .settings = NULL };
	int r;

	rl->why[0] = '\0';
	if (reload_load(rl, &next) != 0) {
		log_error("reload failed: the new configuration is faulty; "
		    "the running one stays in force");
		return false;
	}
	if (reload_find_fixed(rl, &next) != 0)
		r = reload_no_memory(rl);
	else
		r = reload_prepare(rl, &next);
	if (r != 0) {
		log_error("reload failed: %s; the running configuration stays "
		    "in force", rl->why);
		reload_discard(rl, &next);
		return false;
	}
	reload_switch(rl, &next);
	log_notice("configuration read again");
	return true;
}
