/*
 * Reading the API key from where the contract says: a file that nobody else
 * can read, straight into secret memory.
 */
#ifndef AGENT_APIKEY_H
#define AGENT_APIKEY_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/types.h>
#include <time.h>

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

/* What tells that a file is another one, or was written. */
struct apikey_stamp {
	bool exists;
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
	struct timespec ctime;
};

/*
 * As apikey_read() would find it now.  Symbolic links are followed, so one
 * that is led elsewhere, as Kubernetes replaces mounted secrets, is another
 * file.  No more than stat(2).
 */
void apikey_stamp(const char *path, struct apikey_stamp *ret_stamp);
bool apikey_stamp_equal(const struct apikey_stamp *a,
    const struct apikey_stamp *b);

#endif /* AGENT_APIKEY_H */
