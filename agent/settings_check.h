/*
 * Values that need more than a number's range: addresses, keys, references.
 * For settings only.
 */
#ifndef AGENT_SETTINGS_CHECK_H
#define AGENT_SETTINGS_CHECK_H

#include <stddef.h>

/*
 * Returns 0, or ERR_BAD_REQUEST with what is wrong and the accepted form in
 * why.
 */
typedef int settings_check_fn(const char *value, char *why, size_t why_size);

/* https://HOST[:PORT][/PATH]; http for a loopback address only. */
settings_check_fn settings_check_url;
/* [SCHEME://][USER[:PASSWORD]@]HOST[:PORT], as curl's --proxy. */
settings_check_fn settings_check_proxy;
/* sha256//BASE64[;sha256//BASE64]… */
settings_check_fn settings_check_pin;
/* 127.x.y.z:PORT or [::1]:PORT */
settings_check_fn settings_check_listen;

/*
 * A list of references and names of secrets.  ret_list: NULL-terminated, the
 * caller frees it and its strings, also on error.  May return ERR_NOMEM.
 */
int settings_check_preload(const char *value, char ***ret_list,
    size_t *ret_n, char *why, size_t why_size);

/* A list of absolute paths; otherwise likewise. */
int settings_check_paths(const char *value, char ***ret_list,
    size_t *ret_n, char *why, size_t why_size);

/*
 * One NAME=REFERENCE of [credential "UNIT-GLOB"]: would the manager's address
 * fit, is the reference one?  May return ERR_NOMEM.
 */
int settings_check_credential(const char *unit_glob, const char *name,
    const char *reference, char *why, size_t why_size);

#endif /* AGENT_SETTINGS_CHECK_H */
