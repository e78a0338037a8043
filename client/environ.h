/*
 * The environment of a program that is about to be started, put together from
 * several places; some values are still references.
 */
#ifndef CLIENT_ENVIRON_H
#define CLIENT_ENVIRON_H

#include <stdbool.h>
#include <stddef.h>

enum environ_kind {
	ENVIRON_LITERAL,	/* value is the value */
	ENVIRON_VALUE,		/* value is a reference to it */
	ENVIRON_FILE,		/* the same, but it goes into a memory file */
};

struct environ_entry {
	char *name;		/* owned; NULL: no NAME=, value is all of it */
	size_t name_len;
	char *value;		/* owned */
	enum environ_kind kind;
	char *string;		/* owned, wiped; NAME=VALUE, once it is known */
	size_t string_len;
};

struct environ_set {
	struct environ_entry *v;
	size_t count;
	size_t size;
};

/*
 * Set a name; a later one replaces an earlier one, in its place.
 * Returns 0 or ERR_NOMEM.
 */
int environ_put(struct environ_set *set, const char *name, size_t name_len,
    const char *value, enum environ_kind kind);

/* Everything of envp; references in it are found.  0 or ERR_NOMEM. */
int environ_inherit(struct environ_set *set, char *const *envp);

/* The value of entry e has come.  0 or ERR_NOMEM. */
int environ_fill(struct environ_entry *e, const void *value, size_t len);

/*
 * An array for execve(2), ended by NULL; the strings stay the set's.
 * All entries are filled.  NULL: out of memory.
 */
char **environ_build(struct environ_set *set);

void environ_free(struct environ_set *set);

#endif /* CLIENT_ENVIRON_H */
