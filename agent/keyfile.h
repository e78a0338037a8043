/*
 * Reading a file that holds a key: one that nobody else can access, straight
 * into secret memory.  What the bytes have to look like is the caller's
 * business.
 */
#ifndef AGENT_KEYFILE_H
#define AGENT_KEYFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "secmem.h"

struct keyfile {
	const char *path;
	const char *what;	/* "API key", for messages */
	const char *setting;	/* "api-key-file", likewise */
	size_t max_bytes;	/* of the file */
	bool credential;	/* below $CREDENTIALS_DIRECTORY */
};

/* Is this path below $CREDENTIALS_DIRECTORY? */
bool keyfile_is_credential(const char *path);

/*
 * The path of a credential of that name, if the service manager gave one: to
 * be freed.  Returns 0, ERR_NOT_FOUND or ERR_NOMEM.
 */
int keyfile_credential(const char *name, char **ret_path);

/*
 * Read the whole file.  One that group or others can access, or that is no
 * regular file, or is owned by neither root nor this user, is refused.  (The
 * group may read a credential of the service manager that is root's: that is
 * how the mask of an access control list looks.)
 * Returns 0, or ERR_NOT_FOUND, ERR_DENIED, ERR_BAD_REQUEST, ERR_NOMEM with a
 * sentence in why: which file, what, what to do; never a byte of it.
 */
int keyfile_read(const struct keyfile *f, struct secmem *ret_bytes, char *why,
    size_t why_size);

#endif /* AGENT_KEYFILE_H */
