#include "tenant.h"

#include "api_keys.h"
#include "key.h"
#include "mem.h"
#include "secret.h"
#include "store.h"

#include <stdlib.h>

struct tenant *
tenant_new(void)
{
	struct tenant *t = mem_zero(sizeof(*t));

	t->api_keys = api_keys_new();
	t->secrets = store_new(&secret_kind);
	t->keys = store_new(&key_kind);
	t->seed = json_object();
	return t;
}

void
tenant_free(struct tenant *t)
{
	if (t == NULL)
		return;
	api_keys_free(t->api_keys);
	store_free(t->secrets);
	store_free(t->keys);
	json_decref(t->seed);
	free(t);
}
