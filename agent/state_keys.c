#include "config.h"

#include "state_keys.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "keyfile.h"

/* Bytes as they are: a key may well end in what looks like a line break. */
static int
read_key(const struct keyfile *f, struct secmem *ret_key, char *why,
    size_t why_size)
{
	struct secmem bytes = {0};
	int r;

	if ((r = keyfile_read(f, &bytes, why, why_size)) != 0)
		return r;
	if (secmem_len(&bytes) < STATE_KEY_MIN) {
		(void)snprintf(why, why_size, "%s: has %zu bytes, a state key "
		    "has at least %d: make one with head -c 32 /dev/urandom",
		    f->path, secmem_len(&bytes), STATE_KEY_MIN);
		r = ERR_BAD_REQUEST;
	} else if (seal_derive(SEAL_STATE_KEY, &bytes, ret_key) != 0) {
		(void)snprintf(why, why_size, "%s: no secret memory left",
		    f->path);
		r = ERR_NOMEM;
	}
	secmem_free_bytes(&bytes);
	return r;
}

static int
find_key(struct state_keys *k, const char *path, char *why, size_t why_size)
{
	struct keyfile f = {
		.path = path,
		.what = "state key",
		.setting = "state-key-file",
		.max_bytes = STATE_KEY_MAX,
	};
	char *credential = NULL;
	int r = 0;

	if (path == NULL) {
		r = keyfile_credential("state-key", &credential);
		if (r == ERR_NOT_FOUND)
			return 0;
		if (r != 0) {
			(void)snprintf(why, why_size, "out of memory");
			return r;
		}
		f.path = credential;
	}
	f.credential = keyfile_is_credential(f.path);
	r = read_key(&f, &k->state_key, why, why_size);
	free(credential);
	return r;
}

int
state_keys_init(struct state_keys *k, const char *path,
    const struct secmem *api_keys, size_t napi_keys, char *why,
    size_t why_size)
{
	int r;

	memset(k, 0, sizeof(*k));
	if ((r = find_key(k, path, why, why_size)) == 0 &&
	    (r = state_keys_set_api(k, api_keys, napi_keys)) != 0)
		(void)snprintf(why, why_size, "no secret memory left");
	if (r != 0)
		state_keys_done(k);
	return r;
}

static void
drop_api(struct secmem *api, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		secmem_free_bytes(&api[i]);
}

void
state_keys_done(struct state_keys *k)
{
	secmem_free_bytes(&k->state_key);
	drop_api(k->api, k->napi);
	k->napi = 0;
}

int
state_keys_set_api(struct state_keys *k, const struct secmem *api_keys,
    size_t napi_keys)
{
	struct secmem api[STATE_API_KEYS_MAX] = {{0}};
	size_t i, n = napi_keys < STATE_API_KEYS_MAX ? napi_keys
	    : STATE_API_KEYS_MAX;

	for (i = 0; i < n; i++) {
		if (seal_derive(SEAL_API_KEY, &api_keys[i], &api[i]) != 0) {
			drop_api(api, i);
			return ERR_NOMEM;
		}
	}
	drop_api(k->api, k->napi);
	for (i = 0; i < n; i++)
		secmem_move(&k->api[i], &api[i]);
	k->napi = n;
	return 0;
}

void
state_keys_use(struct state_keys *k, size_t api)
{
	struct secmem first = {0};

	if (api == 0)
		return;
	secmem_move(&first, &k->api[0]);
	secmem_move(&k->api[0], &k->api[api]);
	secmem_move(&k->api[api], &first);
}

static bool
has_state_key(const struct state_keys *k)
{
	return secmem_len(&k->state_key) > 0;
}

enum seal_source
state_keys_source(const struct state_keys *k)
{
	return has_state_key(k) ? SEAL_STATE_KEY : SEAL_API_KEY;
}

const struct secmem *
state_keys_key(const struct state_keys *k)
{
	return has_state_key(k) ? &k->state_key : state_keys_api(k);
}

const struct secmem *
state_keys_api(const struct state_keys *k)
{
	assert(k->napi > 0);
	return &k->api[0];
}

/* One sealed under the API key can be opened although there is a state key. */
size_t
state_keys_for_load(const struct state_keys *k,
    struct state_load_key ret[STATE_LOAD_KEYS_MAX])
{
	size_t i, n = 0;

	for (i = 0; i < k->napi; i++) {
		if (has_state_key(k))
			ret[n++] = (struct state_load_key){
			    SEAL_STATE_KEY, &k->state_key, &k->api[i], i};
		ret[n++] = (struct state_load_key){
		    SEAL_API_KEY, &k->api[i], &k->api[i], i};
	}
	return n;
}
