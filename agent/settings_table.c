#include "config.h"

#include "settings_table.h"

#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "settings.h"
#include "settings_value.h"

#define DAYS(n) ((uint64_t)(n)*24 * 60 * 60 * 1000)
#define MINUTES(n) ((uint64_t)(n)*60 * 1000)
#define AT(field) offsetof(struct settings, field)

const struct settings_key settings_keys[] = {
    {"agent", "socket", settings_value_socket, AT(socket), 0, 0, "", false},
    {"agent", "socket-mode", settings_value_mode, AT(socket_mode), 0, 0777,
	"0660", false},
    {"agent", "socket-group", settings_value_group, AT(socket_group), 0, 0, "",
	false},
    {"agent", "credentials-socket", settings_value_socket,
	AT(credentials_socket), 0, 0, "", false},
    {"agent", "credentials-hold", settings_value_duration,
	AT(credentials_hold_ms), 0, DAYS(1), "30s", false},
    {"agent", "http-socket", settings_value_socket, AT(http_socket), 0, 0, "",
	false},
    {"agent", "http-listen", settings_value_listen, AT(http_listen), 0, 0, "",
	false},
    {"agent", "http-token-file", settings_value_path, AT(http_token_file), 0, 0,
	"", false},
    {"agent", "root-needs-rule", settings_value_bool, AT(root_needs_rule), 0, 0,
	"no", false},
    {"agent", "max-connections", settings_value_count, AT(max_connections), 1,
	1000000, "4096", false},
    {"agent", "max-requests-per-second-per-caller", settings_value_count,
	AT(max_requests_per_second), 0, 1000000, "", false},
    {"agent", "log-level", settings_value_level, AT(log_level), 0, 0, "info",
	false},
    {"agent", "audit-log", settings_value_audit, AT(audit_log), 0, 0, "journal",
	false},
    {"upstream", "url", settings_value_url, AT(url), 0, 0,
	"https://api.quantumapi.eu/api/v1", false},
    {"upstream", "api-key-file", settings_value_paths, AT(api_key_files), 0,
	8, "", false},
    {"upstream", "ca-file", settings_value_path, AT(ca_file), 0, 0, "", false},
    {"upstream", "pinned-public-key", settings_value_pin, AT(pinned_public_key),
	0, 0, "", false},
    /* may hold a password */
    {"upstream", "proxy", settings_value_proxy, AT(proxy), 0, 0, "", true},
    {"upstream", "connect-timeout", settings_value_duration,
	AT(connect_timeout_ms), 1, MINUTES(10), "5s", false},
    {"upstream", "request-timeout", settings_value_duration,
	AT(request_timeout_ms), 1, MINUTES(60), "30s", false},
    {"upstream", "max-in-flight", settings_value_count, AT(max_in_flight), 1,
	1000, "16", false},
    {"upstream", "max-response", settings_value_size, AT(max_response), 1,
	16 << 20, "16M", false},
    {"cache", "max-memory", settings_value_size, AT(max_memory), 1,
	UINT64_C(64) << 30, "64M", false},
    {"cache", "refresh-interval", settings_value_duration,
	AT(refresh_interval_ms), 10, DAYS(365), "5m", false},
    {"cache", "refresh-lead", settings_value_duration, AT(refresh_lead_ms), 0,
	DAYS(365), "60s", false},
    {"cache", "max-stale", settings_value_duration, AT(max_stale_ms), 0,
	DAYS(3650), "24h", false},
    {"cache", "unauthorized-grace", settings_value_duration,
	AT(unauthorized_grace_ms), 0, DAYS(365), "5m", false},
    {"cache", "negative-ttl", settings_value_duration, AT(negative_ttl_ms), 0,
	DAYS(1), "10s", false},
    {"cache", "idle-evict", settings_value_duration, AT(idle_evict_ms), 1,
	DAYS(3650), "24h", false},
    {"cache", "reread-interval", settings_value_duration,
	AT(reread_interval_ms), 10, DAYS(3650), "24h", false},
    {"cache", "serve-expired", settings_value_duration, AT(serve_expired_ms), 0,
	DAYS(365), "0", false},
    {"cache", "state-file", settings_value_path, AT(state_file), 0, 0, "",
	false},
    {"cache", "state-key-file", settings_value_path, AT(state_key_file), 0, 0,
	"", false},
    {"cache", "preload", settings_value_preload, AT(preload), 0, 0, "", false},
    {"cache", "preload-wait", settings_value_duration, AT(preload_wait_ms), 0,
	DAYS(1), "30s", false},
    {0},
};

/* Is the field a pointer to one string? */
static bool
is_string(const struct settings_key *key)
{
	return key->parse != settings_value_preload &&
	       key->parse != settings_value_paths &&
	       key->parse != settings_value_duration &&
	       key->parse != settings_value_size &&
	       key->parse != settings_value_count &&
	       key->parse != settings_value_mode &&
	       key->parse != settings_value_bool &&
	       key->parse != settings_value_level;
}

int
settings_table_set(const struct settings_key *key, const char *value,
    struct settings *s, char *why, size_t why_size)
{
	void *target = (char *)s + key->offset;

	if (value[0] != '\0' || key->parse == settings_value_count)
		return key->parse(key, value, target, why, why_size);
	if (key->fallback[0] != '\0') {
		(void)snprintf(why, why_size,
		    "write a value, or leave the line out for %s",
		    key->fallback);
		return ERR_BAD_REQUEST;
	}
	return 0; /* unset, as it is: no key can be given twice */
}

void
settings_table_clear(struct settings *s)
{
	const struct settings_key *key;
	char **field;

	for (key = settings_keys; key->name != NULL; key++) {
		if (!is_string(key))
			continue;
		field = (char **)(void *)((char *)s + key->offset);
		free(*field);
		*field = NULL;
	}
	settings_value_list_free(s->api_key_files);
	s->api_key_files = NULL;
	settings_value_list_free(s->preload);
	s->preload = NULL;
	s->npreload = 0;
}
