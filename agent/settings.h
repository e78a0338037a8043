/*
 * The configuration: read, checked as a whole, immutable afterwards.
 * (Called settings because autoconf's config.h has the other name.)
 *
 * INI by inih.  Every fault is collected with its file and line, so --check
 * prints all of them at once.
 */
#ifndef AGENT_SETTINGS_H
#define AGENT_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <sys/types.h>

#include "log.h"

struct policy;

struct settings {
	/* [agent] */
	char *socket;		/* absolute path */
	mode_t socket_mode;
	char *socket_group;	/* NULL: leave it */
	char *credentials_socket; /* NULL: none; likewise below */
	uint64_t credentials_hold_ms;
	char *http_socket;
	char *http_listen;
	char *http_token_file;
	bool root_needs_rule;
	unsigned int max_connections;
	unsigned int max_requests_per_second; /* per caller; 0: no limit */
	enum log_level log_level;
	char *audit_log;	/* "journal", "off" or a path */
	/* [upstream] */
	char *url;
	char **api_key_files;	/* NULL-terminated; NULL: the places of the
				 * contract */
	char *ca_file;
	char *pinned_public_key;
	char *proxy;
	uint64_t connect_timeout_ms;
	uint64_t request_timeout_ms;
	unsigned int max_in_flight;
	size_t max_response;
	/* [cache] */
	size_t max_memory;
	uint64_t refresh_interval_ms;
	uint64_t refresh_lead_ms;
	uint64_t max_stale_ms;
	uint64_t unauthorized_grace_ms;
	uint64_t negative_ttl_ms;
	uint64_t idle_evict_ms;
	uint64_t reread_interval_ms;
	uint64_t serve_expired_ms;
	char *state_file;
	char *state_key_file;
	char **preload;		/* references or names; NULL-terminated or NULL */
	size_t npreload;
	uint64_t preload_wait_ms;
	/* [allow …] and [credential …] */
	struct policy *policy;	/* owned */
	struct settings_credential *credentials;
	size_t ncredentials;
};

/* One NAME=REFERENCE of a [credential "UNIT-GLOB"]. */
struct settings_credential {
	char *unit_glob;
	char *name;
	char *reference;
};

/*
 * Read a file, or take the defaults if path is NULL.  Each fault is written
 * as one line to faults (may be NULL): FILE:LINE: what is wrong: what to do.
 * Returns 0 and the settings (free with settings_free), or ERR_BAD_REQUEST if
 * there was any fault, ERR_NOMEM.
 */
int settings_load(const char *path, FILE *faults, struct settings **ret);

void settings_free(struct settings *s);

/* The default path of the socket for this user, as clients look for it. */
int settings_default_socket(char *buf, size_t size);

#endif /* AGENT_SETTINGS_H */
