/*
 * All that the service would keep for one customer.
 */
#ifndef SANDBOX_TENANT_H
#define SANDBOX_TENANT_H

#include <jansson.h>

struct api_keys;
struct store;

struct tenant {
	struct api_keys *api_keys;
	struct store *secrets; /* of struct secret */
	struct store *keys;    /* of struct key */
	json_t *seed; /* members of the seed that nothing has used yet */
};

/* An empty tenant. Free with tenant_free(), which accepts NULL. */
struct tenant *tenant_new(void);
void tenant_free(struct tenant *t);

#endif
