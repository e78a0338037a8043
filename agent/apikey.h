/*
 * Reading the API key from where the contract says: a file that nobody else
 * can read, straight into secret memory.
 */
#ifndef AGENT_APIKEY_H
#define AGENT_APIKEY_H

#include <stddef.h>

#include "secmem.h"

#define APIKEY_MAX 4096		/* bytes of the file */

/*
 * path: api-key-file of the settings, or NULL for
 * $CREDENTIALS_DIRECTORY/api-key, else /etc/qapi-agent/api-key.
 * White space at either end is dropped; what is left must be printable ASCII
 * without blanks.  A file that group or others can access, or that is no
 * regular file, or is owned by neither root nor this user, is refused.  (The
 * group may read a credential of the service manager that is root's: that is
 * how the mask of an access control list looks.)
 * Returns 0, or ERR_NOT_FOUND, ERR_DENIED, ERR_BAD_REQUEST, ERR_NOMEM with a
 * sentence in why: which file, what, what to do.
 */
int apikey_read(const char *path, struct secmem *ret_key, char *why,
    size_t why_size);

#endif /* AGENT_APIKEY_H */
