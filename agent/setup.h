/*
 * From the settings to what each module wants to know: the same at the start
 * and at a reload.  The texts stay the settings'.
 */
#ifndef AGENT_SETUP_H
#define AGENT_SETUP_H

#include "fetch.h"
#include "listener.h"
#include "settings.h"
#include "upstream_http.h"

struct fetch_config setup_fetch(const struct settings *s);
struct upstream_http_config setup_http(const struct settings *s);
struct listener_config setup_listener(const struct settings *s);

#endif /* AGENT_SETUP_H */
