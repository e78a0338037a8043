/*
 * The API keys: which file's is in force, when to look at the files again,
 * and what must be shown before another key takes over.
 *
 * The first file whose key works is used.  Files are looked at again when one
 * of them changes (asked of stat(2) every few seconds, no more), at a reload,
 * and when the service refuses the key in force.  Another key then has to
 * prove by keyproof that it is the same tenant's; until that is known the old
 * one stays in force and what is cached goes on being served.  If it is
 * another tenant's, or that cannot be told, everything cached is dropped
 * before the new one is used.
 *
 * Event-loop thread only.
 */
#ifndef AGENT_KEYS_H
#define AGENT_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "fetch.h"
#include "secmem.h"
#include "upstream.h"

struct event_base;
struct keys;

/*
 * paths: NULL-terminated, or NULL for the places that apikey.h names; copied.
 * NULL for no memory.
 */
struct keys *keys_new(struct event_base *base, char *const *paths);
/* Before fetch and upstream are freed.  NULL is fine. */
void keys_free(struct keys *k);

/*
 * At start: the key of the first file that can be read is in force.
 * ret_key: a copy of it.  Returns 0, or what is wrong with the first file
 * (apikey_read()); what is wrong is logged.
 */
int keys_load(struct keys *k, struct secmem *ret_key);

/*
 * Can a key be had from any of these files?  Returns 0, or what is wrong with
 * the first, and a sentence about it in why.
 */
int keys_check(char *const *paths, char *why, size_t why_size);

/*
 * From now on keep an eye on the files.  taken: another key is in force now;
 * dropped: and everything that was cached is gone.
 */
void keys_watch(struct keys *k, struct upstream *up, struct fetch *f,
    void (*taken)(void *arg, bool dropped), void *arg);

/*
 * Copies of the keys that are in the files now: the one in force first, then
 * the others that can be read and differ, in their order; max of them at most.
 * Returns how many; the caller frees each.
 */
size_t keys_all(const struct keys *k, struct secmem *ret_keys, size_t max);

/*
 * At start, after keys_watch(): what was taken over from another run was read
 * with this key, so it is the one in force.  If another file comes first, the
 * key of that one is asked about soon, as if it were new.
 * Returns 0 or ERR_NOMEM, and then nothing has changed.
 */
int keys_use(struct keys *k, const struct secmem *key);

/*
 * Another list of files (as keys_new()), or the same: look at all of them
 * now.  Returns 0 or ERR_NOMEM, and then the list stays as it is.
 */
int keys_reload(struct keys *k, char *const *paths);

/*
 * The service refuses the key in force.  Never finds another one at once;
 * whether one is being tried, keys_pending() tells, and the end of that
 * fetch_key_changed() or fetch_key_settled().
 */
void keys_refused(struct keys *k);
bool keys_pending(const struct keys *k);

/* The service answers again: what could not be asked can be asked now. */
void keys_service_back(struct keys *k);

/* The key in force; dies with the next event. */
const struct secmem *keys_in_force(const struct keys *k);

#endif /* AGENT_KEYS_H */
