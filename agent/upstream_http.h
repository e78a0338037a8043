/*
 * The service over HTTP: struct upstream by curl's multi interface.
 *
 * HTTP/1.1, keep-alive, TLS verified always, no redirects, bodies bounded and
 * collected in secret memory.
 */
#ifndef AGENT_UPSTREAM_HTTP_H
#define AGENT_UPSTREAM_HTTP_H

#include "secmem.h"
#include "upstream.h"

struct event_base;

struct upstream_http_config {
	const char *url;	/* base, with /api/v1; no trailing slash */
	const char *ca_file;	/* NULL: the system's */
	const char *pinned_public_key; /* curl's "sha256//…", NULL: none */
	const char *proxy;	/* NULL: none, and none from the environment */
	uint64_t connect_timeout_ms;
	uint64_t request_timeout_ms; /* whole transfer */
	size_t max_response;	/* bytes of a body */
	unsigned int max_connections;
};

/*
 * curl's, OpenSSL's and jansson's allocators into the arena.  Once, after
 * secmem_init() and before any of them is used.  Returns 0 or ERR_INTERNAL.
 */
int upstream_http_global_init(void);
void upstream_http_global_done(void);

/*
 * key: moved into the new object.  cfg is copied.
 * Returns 0, ERR_NOMEM or ERR_INTERNAL.
 */
int upstream_http_new(struct event_base *base,
    const struct upstream_http_config *cfg, struct secmem *key,
    struct upstream **ret_up);

/*
 * Other settings, for calls that start from now on; cfg is copied.  Calls under
 * way end by the old ones.  No connection is used for both, so what is at the
 * same paths (ca-file) is read anew, too.  Not from within a callback of a
 * call.  Returns 0 or ERR_NOMEM: nothing has changed then.
 */
int upstream_http_configure(struct upstream *up,
    const struct upstream_http_config *cfg);

#endif /* AGENT_UPSTREAM_HTTP_H */
