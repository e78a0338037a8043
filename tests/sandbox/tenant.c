#include "tenant.h"

#include "api_keys.h"
#include "application.h"
#include "audit.h"
#include "compliance.h"
#include "enduser.h"
#include "groups.h"
#include "key.h"
#include "logstreams.h"
#include "mem.h"
#include "pki.h"
#include "role.h"
#include "secret.h"
#include "share.h"
#include "ssh.h"
#include "store.h"
#include "usage.h"

#include <stdlib.h>
#include <string.h>

struct tenant *
tenant_new(void)
{
	struct tenant *t = mem_zero(sizeof(*t));

	t->api_keys = api_keys_new();
	t->applications = store_new(&application_kind);
	t->endusers = endusers_new();
	t->audit = audit_new();
	t->compliance = compliance_new();
	t->groups = store_new(&groups_kind);
	t->log_streams = store_new(&logstreams_kind);
	t->pki = pki_new();
	t->ssh = ssh_new();
	t->keys = store_new(&key_kind);
	t->roles = store_new(&role_kind);
	t->secrets = store_new(&secret_kind);
	t->shares = store_new(&share_kind);
	t->usage = usage_new();
	t->seed = json_object();
	return t;
}

void
tenant_free(struct tenant *t)
{
	if (t == NULL)
		return;
	api_keys_free(t->api_keys);
	store_free(t->applications);
	endusers_free(t->endusers);
	audit_free(t->audit);
	compliance_free(t->compliance);
	store_free(t->groups);
	store_free(t->log_streams);
	pki_free(t->pki);
	ssh_free(t->ssh);
	store_free(t->keys);
	store_free(t->roles);
	store_free(t->secrets);
	store_free(t->shares);
	usage_free(t->usage);
	json_decref(t->seed);
	tenant_free(t->next);
	free(t->name);
	free(t);
}

struct tenant *
tenant_named(struct tenant *first, const char *name)
{
	struct tenant *t = first;

	if (name == NULL)
		return first;
	while (t->next != NULL) {
		t = t->next;
		if (strcmp(t->name, name) == 0)
			return t;
	}
	t->next = tenant_new();
	t->next->name = mem_str(name);
	return t->next;
}
