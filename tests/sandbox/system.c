/*
 * /health and /version.
 */
#include "call.h"
#include "timefmt.h"

/* The platform whose shapes we give. */
#define SYSTEM_VERSION "0.27.0"

static void
system_health(struct call *c)
{
	int64_t now = timefmt_now_us();

	call_json(c, 200,
	    json_pack("{s:s, s:s, s:s, s:n, s:o}", "status", "Healthy",
		"version", SYSTEM_VERSION, "service", "qapi-sandbox", "gitSha",
		"timestamp", timefmt_json(now - now % 1000000)));
}

static void
system_version(struct call *c)
{
	call_json(c, 200,
	    json_pack(
		"{s:s, s:s}", "version", SYSTEM_VERSION, "build", "sandbox"));
}

const struct route system_routes[] = {
    {"GET", "/health", NULL, system_health},
    {NULL, NULL, NULL, NULL},
};

const struct route system_root_routes[] = {
    {"GET", "/health", NULL, system_health},
    {"GET", "/version", NULL, system_version},
    {NULL, NULL, NULL, NULL},
};
