#include "api_keys.h"

#include "mem.h"
#include "table.h"
#include "timefmt.h"

#include <stdlib.h>
#include <string.h>

struct api_keys {
	struct table *by_key;
	unsigned int n_made; /* numbers the names */
	int64_t per_minute;  /* 0: no limit */
};

struct api_keys *
api_keys_new(void)
{
	struct api_keys *keys = mem_zero(sizeof(*keys));

	keys->by_key = table_new();
	return keys;
}

static void
free_key(void *item, void *arg)
{
	struct api_key *k = item;

	(void)arg;
	free(k->key);
	free(k->name);
	free(k->tenant);
	json_decref(k->scopes);
	free(k);
}

void
api_keys_free(struct api_keys *keys)
{
	if (keys == NULL)
		return;
	table_each(keys->by_key, free_key, NULL);
	table_free(keys->by_key);
	free(keys);
}

void
api_keys_set(struct api_keys *keys, const char *key, const char *name,
    json_t *scopes, int64_t expires_us)
{
	struct api_key *k = table_get(keys->by_key, key);

	if (k == NULL) {
		k = mem_zero(sizeof(*k));
		k->key = mem_str(key);
		k->name = mem_printf("sandbox-%u", ++keys->n_made);
		table_add(keys->by_key, k->key, k);
	}
	if (name != NULL) {
		free(k->name);
		k->name = mem_str(name);
	}
	json_incref(scopes);
	json_decref(k->scopes);
	k->scopes = scopes;
	k->expires_us = expires_us;
}

void
api_keys_set_tenant(struct api_keys *keys, const char *key, const char *tenant)
{
	struct api_key *k = table_get(keys->by_key, key);

	free(k->tenant);
	k->tenant = tenant == NULL ? NULL : mem_str(tenant);
}

bool
api_keys_remove(struct api_keys *keys, const char *key)
{
	struct api_key *k = table_get(keys->by_key, key);

	if (k == NULL)
		return false;
	table_del(keys->by_key, k->key, k);
	free_key(k, NULL);
	return true;
}

const struct api_key *
api_keys_find(const struct api_keys *keys, const char *key)
{
	const struct api_key *k = table_get(keys->by_key, key);

	if (k != NULL && k->expires_us != 0 &&
	    k->expires_us <= timefmt_now_us())
		return NULL;
	return k;
}

#define MINUTE_MS 60000

static void
begin_anew(void *item, void *arg)
{
	struct api_key *k = item;

	(void)arg;
	k->minute_ms = 0;
}

void
api_keys_limit(struct api_keys *keys, int64_t per_minute)
{
	/* What was used while nobody minded does not count. */
	if (keys->per_minute == 0)
		table_each(keys->by_key, begin_anew, NULL);
	keys->per_minute = per_minute;
}

bool
api_keys_take(
    struct api_keys *keys, const char *key, struct api_keys_rate *ret_rate)
{
	struct api_key *k = table_get(keys->by_key, key);
	int64_t now = timefmt_monotonic_ms();
	int64_t limit =
	    keys->per_minute == 0 ? API_KEYS_PER_MINUTE : keys->per_minute;
	bool granted;

	memset(ret_rate, 0, sizeof(*ret_rate));
	if (k == NULL)
		return true;
	if (k->minute_ms == 0 || now - k->minute_ms >= MINUTE_MS) {
		k->minute_ms = now;
		k->used = 0;
	}
	granted = k->used < limit;
	if (granted)
		k->used++;
	ret_rate->limit = keys->per_minute;
	ret_rate->remaining = k->used < limit ? limit - k->used : 0;
	ret_rate->reset_ms = k->minute_ms + MINUTE_MS - now;
	ret_rate->reset_wall_s =
	    (timefmt_now_us() / 1000 + ret_rate->reset_ms + 999) / 1000;
	return granted || keys->per_minute == 0;
}

bool
api_key_has_scope(const struct api_key *key, const char *scope)
{
	for (size_t i = 0; i < json_array_size(key->scopes); i++) {
		const char *s =
		    json_string_value(json_array_get(key->scopes, i));

		if (s != NULL && (strcmp(s, "*") == 0 || strcmp(s, scope) == 0))
			return true;
	}
	return false;
}

size_t
api_keys_count(const struct api_keys *keys)
{
	return table_count(keys->by_key);
}
