#include "config.h"

#include "keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apikey.h"
#include "backoff.h"
#include "cache.h"
#include "clock.h"
#include "err.h"
#include "hash.h"
#include "keyproof.h"
#include "log.h"
#include "timers.h"

#define KEYS_CHECK_MS 5000	/* between two looks at the files' stamps */
#define KEYS_RETRY_BASE_MS 1000	/* of a proof that found no service */
#define KEYS_RETRY_MAX_MS 60000
#define KEYS_FORGIVE_MS 15000	/* until a refused key may be tried again */
#define KEYS_WHY 512

struct keys_file {
	char *path;		/* NULL: the places that apikey.h names */
	struct apikey_stamp stamp;	/* before it was last looked at */
	char *fault;		/* of that; as it was logged; NULL: none */
	struct secmem refused;	/* its key, which the service refuses */
	bool forgiven;		/* and yet it may be tried again */
};

struct keys {
	struct event_base *base;
	struct upstream *up;	/* these NULL until keys_watch() */
	struct fetch *fetch;
	void (*taken)(void *arg, bool dropped);
	void *arg;
	struct keys_file *files;
	size_t nfiles;
	struct secmem in_force;
	bool refused;		/* that one, by the service */
	struct secmem candidate;	/* empty: there is none */
	struct keys_file *from;	/* where it is from */
	bool known;		/* it was refused before */
	struct keyproof *proof;	/* of the candidate, under way */
	bool looking;		/* soon will look at the files */
	bool settling;		/* a file has changed: look once more */
	bool held;		/* by Retry-After, until the next try */
	bool waiting_told;	/* that the candidate cannot be proved yet */
	uint64_t forgiven_boot_ms;	/* when refusals were, last */
	struct backoff backoff;
	struct timer *check;
	struct timer *soon;
	struct timer *retry;
};

static void keys_look(struct keys *k, bool urgent);

/* --- the list of files --- */

static const char *
file_name(const struct keys_file *file)
{
	return file->path != NULL ? file->path : "the file of the API key";
}

static void
files_free(struct keys_file *files, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(files[i].path);
		free(files[i].fault);
		secmem_free_bytes(&files[i].refused);
	}
	free(files);
}

/* No list is one file of no name. */
static int
files_new(char *const *paths, struct keys_file **ret_files, size_t *ret_n)
{
	struct keys_file *files;
	size_t n = 0, i;

	while (paths != NULL && paths[n] != NULL)
		n++;
	if ((files = calloc(n > 0 ? n : 1, sizeof(*files))) == NULL)
		return ERR_NOMEM;
	for (i = 0; i < n; i++) {
		if ((files[i].path = strdup(paths[i])) == NULL) {
			files_free(files, n);
			return ERR_NOMEM;
		}
	}
	*ret_files = files;
	*ret_n = n > 0 ? n : 1;
	return 0;
}

int
keys_check(char *const *paths, char *why, size_t why_size)
{
	struct secmem key = { NULL, 0 };
	char later[KEYS_WHY];
	size_t i;
	int r;

	r = apikey_read(paths != NULL ? paths[0] : NULL, &key, why, why_size);
	for (i = 1; r != 0 && paths != NULL && paths[i] != NULL; i++) {
		if (apikey_read(paths[i], &key, later, sizeof(later)) == 0)
			r = 0;
	}
	secmem_free_bytes(&key);
	return r;
}

/* A fault is logged when it is new, and not each time that it is met. */
static int
file_read(struct keys_file *file, struct secmem *ret_key)
{
	char why[KEYS_WHY];
	int r;

	r = apikey_read(file->path, ret_key, why, sizeof(why));
	if (r == 0) {
		free(file->fault);
		file->fault = NULL;
	} else if (file->fault == NULL || strcmp(file->fault, why) != 0) {
		log_error("%s", why);
		free(file->fault);
		file->fault = strdup(why);
	}
	return r;
}

/* Where it is remembered that the service refused this key; or NULL. */
static const struct keys_file *
refusal_of(const struct keys *k, const struct secmem *key)
{
	size_t i;

	for (i = 0; i < k->nfiles; i++) {
		if (secmem_len(&k->files[i].refused) > 0 &&
		    secmem_equal(&k->files[i].refused, key))
			return &k->files[i];
	}
	return NULL;
}

/* key is moved. */
static void
remember_refusal(struct keys_file *file, struct secmem *key)
{
	secmem_free_bytes(&file->refused);
	secmem_move(&file->refused, key);
	file->forgiven = false;
}

/*
 * What was refused may be good again by now.  Not more often than that, or two
 * refused keys would take turns as fast as the service can refuse them.
 */
static void
forgive_refusals(struct keys *k)
{
	struct now now;
	size_t i;

	clock_read(&now);
	if (k->forgiven_boot_ms != 0 &&
	    now.boot_ms - k->forgiven_boot_ms < KEYS_FORGIVE_MS)
		return;
	k->forgiven_boot_ms = now.boot_ms;
	/* but not the one that was refused just now */
	for (i = 0; i < k->nfiles; i++)
		k->files[i].forgiven = !secmem_equal(&k->files[i].refused,
		    &k->in_force);
}

/* --- the candidate --- */

static void
drop_candidate(struct keys *k)
{
	keyproof_cancel(k->proof);
	k->proof = NULL;
	secmem_free_bytes(&k->candidate);
	k->from = NULL;
	k->waiting_told = k->held = false;
	backoff_succeeded(&k->backoff);
	timer_stop(k->retry);
}

/* What was refused has waited for the last time, if nothing is asked now. */
static void
settle(struct keys *k)
{
	if (!keys_pending(k))
		fetch_key_settled(k->fetch);
}

static void
prove_later(struct keys *k, uint64_t at_least_ms, const char *why)
{
	uint64_t wait = 1 + backoff_failed(&k->backoff, hash_random());

	if (!k->waiting_told)
		log_warning("%s: another API key is in it; whether it is the "
		    "same tenant's cannot be asked now (%s): the one in force "
		    "stays so until that is known", file_name(k->from), why);
	k->waiting_told = true;
	k->held = at_least_ms > 0;
	timer_set(k->retry, wait > at_least_ms ? wait : at_least_ms);
}

/*
 * The candidate is in force from now on.  Requests under way go on with the
 * old key, unless everything is dropped: then they are made once more.
 */
static void
take(struct keys *k, bool drop)
{
	struct secmem copy = {NULL, 0};

	if (secmem_copy(&copy, secmem_bytes(&k->candidate),
	    secmem_len(&k->candidate), SECMEM_LIBRARY) != 0) {
		prove_later(k, 0, "no secret memory left");
		return;
	}
	k->up->ops->set_key(k->up, &copy);
	secmem_free_bytes(&k->in_force);
	secmem_move(&k->in_force, &k->candidate);
	k->refused = false;
	drop_candidate(k);
	if (drop)
		(void)fetch_purge_all(k->fetch);
	fetch_key_changed(k->fetch);
	k->taken(k->arg, drop);
}

static void
candidate_refused(struct keys *k)
{
	if (!k->known)
		log_error("%s: the service refuses the API key in it (HTTP "
		    "401); put a good one in its place", file_name(k->from));
	remember_refusal(k->from, &k->candidate);
	drop_candidate(k);
	keys_look(k, false);
}

static void
keys_proved_cb(void *arg, const struct keyproof_result *result)
{
	struct keys *k = arg;
	const char *name = file_name(k->from);

	k->proof = NULL;
	switch (result->verdict) {
	case KEYPROOF_SAME:
		log_notice("%s: the API key has changed; the service knows "
		    "what is cached under the new one, which is in force now",
		    name);
		take(k, false);
		break;
	case KEYPROOF_OTHER:
		log_warning("%s: the API key has changed, and the new one is "
		    "another tenant's: the service knows nothing of what is "
		    "cached under it.  Everything cached is dropped, and the "
		    "new one is in force now", name);
		take(k, true);
		break;
	case KEYPROOF_FORBIDDEN:
		log_warning("%s: the API key has changed, and the new one may "
		    "not read what is cached (%s), so nothing shows that it is "
		    "the same tenant's.  Everything cached is dropped, and the "
		    "new one is in force now", name, result->message);
		take(k, true);
		break;
	case KEYPROOF_REFUSED:
		candidate_refused(k);
		break;
	case KEYPROOF_NO_ANSWER:
		prove_later(k, result->retry_after_ms, result->message);
		break;
	}
	settle(k);
}

/*
 * Would a request now only show once more that the service is away?  One that
 * refuses the key in force answers, whatever was before.
 */
static bool
service_is_away(const struct keys *k)
{
	struct jobs_stats stats;

	fetch_get_stats(k->fetch, &stats);
	return stats.offline || (stats.state == JOBS_DOWN && !k->refused);
}

/* There may be names all the same, and what was not found. */
static void
take_unproved(struct keys *k)
{
	if (!k->known)
		log_notice("%s: the API key has changed; nothing is cached, "
		    "so the new one is in force now", file_name(k->from));
	take(k, true);
}

static void
keys_prove(struct keys *k)
{
	struct cache *c = fetch_cache(k->fetch);
	struct cache_stats stats;
	int r;

	k->held = false;
	cache_get_stats(c, &stats);
	if (stats.secrets + stats.keys == 0) {
		take_unproved(k);
		return;
	}
	if (service_is_away(k)) {
		prove_later(k, 0, "the service is away");
		return;
	}
	r = keyproof_start(k->up, c, &k->candidate, keys_proved_cb, k,
	    &k->proof);
	if (r == ERR_NOT_FOUND)
		take_unproved(k);
	else if (r != 0)
		prove_later(k, 0, err_text(r));
}

/*
 * key is moved.  urgent: do not wait for the next try of one that could not be
 * asked about, unless the service wants that.
 */
static void
keys_try(struct keys *k, struct keys_file *file, struct secmem *key,
    bool urgent)
{
	if (k->from != NULL && secmem_equal(key, &k->candidate)) {
		k->from = file;
		secmem_free_bytes(key);
		if (k->proof != NULL || k->held || !urgent)
			return;
	} else {
		drop_candidate(k);
		k->from = file;
		k->known = refusal_of(k, key) != NULL;
		secmem_move(&k->candidate, key);
	}
	keys_prove(k);
}

/* May that key be tried, for all that is known of it? */
static bool
is_refused(const struct keys *k, const struct secmem *key)
{
	const struct keys_file *at = refusal_of(k, key);

	return at != NULL && !at->forgiven;
}

/* --- looking --- */

static void
stamp_all(struct keys *k)
{
	size_t i;

	for (i = 0; i < k->nfiles; i++)
		apikey_stamp(k->files[i].path, &k->files[i].stamp);
}

/*
 * The first file with a key that works, or may: that is the one to be in
 * force.  If that is not to be had from any, the one in force stays.
 */
static void
keys_look(struct keys *k, bool urgent)
{
	struct secmem key = {NULL, 0};
	size_t i;

	stamp_all(k);
	for (i = 0; i < k->nfiles; i++) {
		if (file_read(&k->files[i], &key) != 0)
			continue;
		if (secmem_equal(&key, &k->in_force)) {
			if (!k->refused) {
				secmem_free_bytes(&key);
				break;
			}
			remember_refusal(&k->files[i], &key);
		} else if (is_refused(k, &key)) {
			secmem_free_bytes(&key);
		} else {
			keys_try(k, &k->files[i], &key, urgent);
			return;
		}
	}
	drop_candidate(k);
}

static void
keys_soon_cb(void *arg)
{
	struct keys *k = arg;

	k->looking = false;
	keys_look(k, true);
	settle(k);
}

static void
keys_retry_cb(void *arg)
{
	struct keys *k = arg;

	if (k->from != NULL && k->proof == NULL)
		keys_prove(k);
	settle(k);
}

/*
 * Some file systems' times are coarse, so what is written right after it was
 * looked at may look the same: after a change it is read at the next check too.
 */
static void
keys_check_cb(void *arg)
{
	struct keys *k = arg;
	struct apikey_stamp stamp;
	bool look = k->settling;
	size_t i;

	k->settling = false;
	for (i = 0; i < k->nfiles; i++) {
		apikey_stamp(k->files[i].path, &stamp);
		if (apikey_stamp_equal(&stamp, &k->files[i].stamp))
			continue;
		secmem_free_bytes(&k->files[i].refused);
		look = k->settling = true;
	}
	if (look) {
		keys_look(k, false);
		settle(k);
	}
	timer_set(k->check, KEYS_CHECK_MS);
}

/* --- from outside --- */

struct keys *
keys_new(struct event_base *base, char *const *paths)
{
	struct keys *k;

	if ((k = calloc(1, sizeof(*k))) == NULL)
		return NULL;
	k->base = base;
	backoff_init(&k->backoff, KEYS_RETRY_BASE_MS, KEYS_RETRY_MAX_MS);
	if (files_new(paths, &k->files, &k->nfiles) != 0 ||
	    (k->check = timer_new(base, keys_check_cb, k)) == NULL ||
	    (k->soon = timer_new(base, keys_soon_cb, k)) == NULL ||
	    (k->retry = timer_new(base, keys_retry_cb, k)) == NULL) {
		keys_free(k);
		return NULL;
	}
	return k;
}

void
keys_free(struct keys *k)
{
	if (k == NULL)
		return;
	keyproof_cancel(k->proof);
	timer_free(k->check);
	timer_free(k->soon);
	timer_free(k->retry);
	secmem_free_bytes(&k->candidate);
	secmem_free_bytes(&k->in_force);
	files_free(k->files, k->nfiles);
	free(k);
}

int
keys_load(struct keys *k, struct secmem *ret_key)
{
	int first = 0, r = ERR_NOT_FOUND;
	size_t i;

	stamp_all(k);
	for (i = 0; i < k->nfiles; i++) {
		r = file_read(&k->files[i], &k->in_force);
		if (r == 0)
			break;
		if (i == 0)
			first = r;
	}
	if (r != 0)
		return first;
	return secmem_copy(ret_key, secmem_bytes(&k->in_force),
	    secmem_len(&k->in_force), SECMEM_LIBRARY);
}

void
keys_watch(struct keys *k, struct upstream *up, struct fetch *f,
    void (*taken)(void *arg, bool dropped), void *arg)
{
	k->up = up;
	k->fetch = f;
	k->taken = taken;
	k->arg = arg;
	/* what was written while it was read at start is seen then */
	k->settling = true;
	timer_set(k->check, KEYS_CHECK_MS);
}

/* Is it among the first n? */
static bool
is_among(const struct secmem *key, const struct secmem *keys, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (secmem_equal(key, &keys[i]))
			return true;
	}
	return false;
}

size_t
keys_all(const struct keys *k, struct secmem *ret_keys, size_t max)
{
	struct secmem key = {NULL, 0};
	char why[KEYS_WHY];
	size_t n = 0, i;

	if (max == 0 || secmem_copy(&ret_keys[0], secmem_bytes(&k->in_force),
	    secmem_len(&k->in_force), SECMEM_LIBRARY) != 0)
		return 0;
	for (n = 1, i = 0; i < k->nfiles && n < max; i++) {
		if (apikey_read(k->files[i].path, &key, why, sizeof(why)) != 0)
			continue;
		if (!is_among(&key, ret_keys, n)) {
			ret_keys[n] = (struct secmem){NULL, 0};
			secmem_move(&ret_keys[n++], &key);
		}
		secmem_free_bytes(&key);
	}
	return n;
}

int
keys_use(struct keys *k, const struct secmem *key)
{
	struct secmem ours = {NULL, 0}, theirs = {NULL, 0};
	int r;

	if (secmem_equal(key, &k->in_force))
		return 0;
	if ((r = secmem_copy(&ours, secmem_bytes(key), secmem_len(key),
	    SECMEM_LIBRARY)) != 0 ||
	    (r = secmem_copy(&theirs, secmem_bytes(key), secmem_len(key),
	    SECMEM_LIBRARY)) != 0) {
		secmem_free_bytes(&ours);
		return r;
	}
	k->up->ops->set_key(k->up, &theirs);
	secmem_free_bytes(&k->in_force);
	secmem_move(&k->in_force, &ours);
	k->looking = true;
	timer_set(k->soon, 0);
	return 0;
}

int
keys_reload(struct keys *k, char *const *paths)
{
	struct keys_file *files = NULL;
	size_t n = 0;
	int r;

	if ((r = files_new(paths, &files, &n)) != 0)
		return r;
	/* which file a candidate is from is found again below */
	drop_candidate(k);
	files_free(k->files, k->nfiles);
	k->files = files;
	k->nfiles = n;
	k->settling = true;
	keys_look(k, true);
	settle(k);
	return 0;
}

void
keys_refused(struct keys *k)
{
	k->refused = true;
	if (k->proof != NULL || k->looking)
		return;
	forgive_refusals(k);
	k->looking = true;
	timer_set(k->soon, 0);
}

bool
keys_pending(const struct keys *k)
{
	return k->proof != NULL || k->looking;
}

void
keys_service_back(struct keys *k)
{
	/* also to the key that it refused before */
	k->refused = false;
	if (k->from != NULL && k->proof == NULL && !k->held)
		timer_set(k->retry, 0);
}

const struct secmem *
keys_in_force(const struct keys *k)
{
	return &k->in_force;
}
