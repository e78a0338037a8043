/*
 * The API keys that callers may use, and what each of them may do.
 */
#ifndef SANDBOX_API_KEYS_H
#define SANDBOX_API_KEYS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define API_KEYS_BUILT_IN "qapi_sandbox0000000000000000000000000000"

/* The platform's default; what /rate-limit tells where none is enforced. */
#define API_KEYS_PER_MINUTE 600

struct api_keys;

struct api_key {
	char *key;
	char *name;
	json_t *scopes;     /* array of strings; "*" is all of them */
	int64_t expires_us; /* wall clock; 0: never */
	char *tenant;       /* whose it is; NULL: the first one's */
	int64_t minute_ms;  /* monotonic: when its current minute began */
	int64_t used;       /* requests in that minute */
};

/* What a key may still do this minute. */
struct api_keys_rate {
	int64_t limit; /* 0: there is none; the rest goes by the default */
	int64_t remaining;
	int64_t reset_ms; /* from now */
	int64_t reset_wall_s; /* the same, since 1970, rounded up */
};

struct api_keys *api_keys_new(void);
void api_keys_free(struct api_keys *keys);

/*
 * Add a key, or change the one there is. scopes: an array of strings, kept by
 * reference. name NULL: keeps its name, or gets one.
 */
void api_keys_set(struct api_keys *keys, const char *key, const char *name,
    json_t *scopes, int64_t expires_us);

/* Of a key that there is: whose it is. tenant NULL: the first one's. */
void api_keys_set_tenant(
    struct api_keys *keys, const char *key, const char *tenant);

/* Revoke a key. false: there is none. */
bool api_keys_remove(struct api_keys *keys, const char *key);

/* The key, unless it has expired; NULL: unknown. */
const struct api_key *api_keys_find(
    const struct api_keys *keys, const char *key);

/* Requests a minute for each key; 0, the default: no limit. */
void api_keys_limit(struct api_keys *keys, int64_t per_minute);

/*
 * Count a request against its key's minute. false: it is over the limit, and
 * does not count.
 */
bool api_keys_take(struct api_keys *keys, const char *key,
    struct api_keys_rate *ret_rate);

bool api_key_has_scope(const struct api_key *key, const char *scope);

/* How many there are. */
size_t api_keys_count(const struct api_keys *keys);

#endif
