/*
 * Requests on /settings: an API key changes none of them, whatever its scopes.
 */
#include "call.h"

static void
settings_patch(struct call *c)
{
	call_error(c, 403, "forbidden",
	    "Settings are changed in a session of an owner or an admin of the "
	    "tenant, not with an API key.",
	    NULL);
}

const struct route settings_routes[] = {
    {"PATCH", "/settings/{name}", "", settings_patch},
    {NULL, NULL, NULL, NULL},
};
