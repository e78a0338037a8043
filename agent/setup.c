#include "config.h"

#include "setup.h"

#include "hostid.h"

struct fetch_config
setup_fetch(const struct settings *s)
{
	return (struct fetch_config){
		.cache = {
			.max_bytes = s->max_memory,
			.refresh_interval_ms = s->refresh_interval_ms,
			.refresh_lead_ms = s->refresh_lead_ms,
			.reread_interval_ms = s->reread_interval_ms,
			.max_stale_ms = s->max_stale_ms,
			.negative_ttl_ms = s->negative_ttl_ms,
			.idle_evict_ms = s->idle_evict_ms,
			.serve_expired_ms = s->serve_expired_ms,
			.phase = hostid_phase(),
		},
		.unauthorized_grace_ms = s->unauthorized_grace_ms,
		.max_in_flight = s->max_in_flight,
	};
}

struct upstream_http_config
setup_http(const struct settings *s)
{
	return (struct upstream_http_config){
		.url = s->url,
		.ca_file = s->ca_file,
		.pinned_public_key = s->pinned_public_key,
		.proxy = s->proxy,
		.connect_timeout_ms = s->connect_timeout_ms,
		.request_timeout_ms = s->request_timeout_ms,
		.max_response = s->max_response,
		/* keys asks too */
		.max_connections = JOBS_CALLS_MAX(s->max_in_flight) + 1,
	};
}

struct listener_config
setup_listener(const struct settings *s)
{
	return (struct listener_config){
		.path = s->socket,
		.mode = s->socket_mode,
		.group = s->socket_group,
	};
}
