/*
 * Where a command puts its bytes: standard output, or a file that is there as
 * a whole or not at all (outfile.h).
 */
#ifndef CLIENT_OUTPUT_H
#define CLIENT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "cli.h"

struct outfile;

struct output {
	const char *path;	/* NULL: standard output */
	struct outfile *file;	/* owned; with path, once it has begun */
	size_t written;
};

/* path: NULL or "-" is standard output.  Nothing is opened so far. */
void output_init(struct output *o, const char *path);

/* Unless it was committed nothing is left of a file. */
void output_done(struct output *o);

/*
 * Open the file, if it is one.  slow: it may take any time until it is
 * complete, so signals have to end the command meanwhile.
 * Returns 0 or -1 with errno set, as the next two.
 */
int output_begin(struct output *o, bool slow);

/* It has begun, or it is standard output. */
int output_write(struct output *o, const void *p, size_t len);

int output_commit(struct output *o);

/* Say that one of these failed.  Returns the exit status; uses errno. */
int output_failed(const struct cli *cli, const struct output *o);

/*
 * Begin, write all of it, commit; a newline follows where it goes to a
 * terminal and newline says so.  Returns 0, or an exit status, all said.
 */
int output_whole(const struct cli *cli, struct output *o, const void *p,
    size_t len, bool newline);

#endif /* CLIENT_OUTPUT_H */
