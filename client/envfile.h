/*
 * Files of NAME=VALUE lines, as of docker --env-file, op run and dotenv:
 *
 *	# a comment, also after a value and a blank
 *	export NAME=VALUE		export is ignored
 *	NAME="VALUE"			\n \r \t \" \\ \$ are understood
 *	NAME='VALUE'			as it stands
 *
 * Quoted values may span lines.  Nothing is expanded.  What a value means is
 * the caller's business: a reference is a value like others here.
 */
#ifndef CLIENT_ENVFILE_H
#define CLIENT_ENVFILE_H

#include <stddef.h>

#define ENVFILE_WHY_LEN 512
#define ENVFILE_MAX ((size_t)4 << 20)	/* bytes of a file */

struct envfile_entry {
	char *name;		/* both owned; NUL-terminated */
	char *value;
	unsigned int line;	/* where it began, from 1 */
};

struct envfile {
	struct envfile_entry *v; /* in the order of the file */
	size_t count;
	size_t size;
};

/*
 * Parse text[0..len), adding to ret, which starts zeroed.
 * Returns 0, ERR_NOMEM, or ERR_BAD_REQUEST with a sentence in why and the
 * line in *ret_line.  Free ret in any case.
 */
int envfile_parse(const char *text, size_t len, struct envfile *ret,
    unsigned int *ret_line, char why[ENVFILE_WHY_LEN]);

/*
 * The same of a file.  In why stands all there is to say, "PATH:LINE: …" or
 * "PATH: …", but for ERR_NOMEM.
 */
int envfile_read(const char *path, struct envfile *ret,
    char why[ENVFILE_WHY_LEN]);

/* May this be the name of a variable: not empty, no '=' and no NUL? */
int envfile_name_ok(const char *name, size_t len);

void envfile_free(struct envfile *env);	/* wipes the values */

#endif /* CLIENT_ENVFILE_H */
