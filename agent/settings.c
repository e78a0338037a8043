#include "config.h"

#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "policy.h"
#include "settings_file.h"
#include "settings_parse.h"
#include "settings_table.h"

#define SOCKET_NAME "/qapi-agent/agent.sock"

int
settings_default_socket(char *buf, size_t size)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");
	int n;

	/* services of the system have no $XDG_RUNTIME_DIR, whoever they are */
	if (geteuid() == 0 || dir == NULL || dir[0] != '/')
		dir = "/run";
	n = snprintf(buf, size, "%s%s", dir, SOCKET_NAME);
	return n < 0 || (size_t)n >= size ? ERR_TOO_LARGE : 0;
}

static int
set_defaults(struct settings *s)
{
	const struct settings_key *key;
	char why[200];
	int r;

	for (key = settings_keys; key->name != NULL; key++) {
		r = settings_table_set(key, key->fallback, s, why,
		    sizeof(why));
		if (r != 0)
			return r;
	}
	s->policy = policy_new(false);
	return s->policy == NULL ? ERR_NOMEM : 0;
}

/* Only known when the file did not say it. */
static int
set_socket(struct settings *s, struct settings_faults *faults)
{
	char path[1024];

	if (s->socket != NULL)
		return 0;
	if (settings_default_socket(path, sizeof(path)) != 0) {
		settings_fault(faults, 0,
		    "$XDG_RUNTIME_DIR is too long for a socket: set socket=");
		return 0;
	}
	s->socket = strdup(path);
	return s->socket == NULL ? ERR_NOMEM : 0;
}

/* Beside the socket: under systemd that is its directory for the agent. */
static int
set_token_file(struct settings *s)
{
	const char *slash = strrchr(s->socket, '/');

	if (s->http_listen == NULL || s->http_token_file != NULL)
		return 0;
	if (asprintf(&s->http_token_file, "%.*s/http-token",
	    (int)(slash - s->socket), s->socket) < 0) {
		s->http_token_file = NULL;
		return ERR_NOMEM;
	}
	return 0;
}

/* Two of them cannot be one. */
static void
check_sockets(const struct settings *s, struct settings_faults *faults)
{
	if (s->http_socket != NULL && strcmp(s->http_socket, s->socket) == 0)
		settings_fault(faults, 0,
		    "http-socket= is the path of socket=: choose another");
	if (s->http_socket != NULL && s->credentials_socket != NULL &&
	    strcmp(s->http_socket, s->credentials_socket) == 0)
		settings_fault(faults, 0,
		    "http-socket= is the path of credentials-socket=: choose "
		    "another");
}

int
settings_load(const char *path, FILE *out, struct settings **ret)
{
	struct settings_faults faults = {
	    .out = out, .file = path != NULL ? path : "defaults"};
	struct settings *s;
	int r;

	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return ERR_NOMEM;
	if ((r = set_defaults(s)) != 0)
		goto out;
	if (path != NULL && (r = settings_parse(path, &faults, s)) != 0)
		goto out;
	policy_set_root_needs_rule(s->policy, s->root_needs_rule);
	if ((r = set_socket(s, &faults)) == 0 && s->socket != NULL) {
		check_sockets(s, &faults);
		r = set_token_file(s);
	}
	if (r == 0 && faults.count > 0)
		r = ERR_BAD_REQUEST;
	if (r != 0)
		goto out;
	*ret = s;
	s = NULL; /* the caller's now */
out:
	settings_free(s);
	return r;
}

void
settings_free(struct settings *s)
{
	size_t i;

	if (s == NULL)
		return;
	settings_table_clear(s);
	for (i = 0; i < s->ncredentials; i++) {
		free(s->credentials[i].unit_glob);
		free(s->credentials[i].name);
		free(s->credentials[i].reference);
	}
	free(s->credentials);
	policy_free(s->policy);
	free(s);
}
