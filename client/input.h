/*
 * What a command is given: a file, or standard input; in pieces or as a whole.
 * It may be a value, so the buffer is wiped.
 */
#ifndef CLIENT_INPUT_H
#define CLIENT_INPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "cli.h"
#include "out.h"

struct input {
	const char *name;	/* NULL: standard input */
	int fd;			/* -1: not open */
	char *piece;		/* owned; what was read last */
	size_t len;
};

/*
 * Open path; NULL or "-": standard input.  Returns 0, or an exit status, all
 * said.
 */
int input_open(const struct cli *cli, const char *path, struct input *ret);
void input_close(struct input *in);

/*
 * The next piece, in->piece[0..in->len); 0 bytes: the end.  Returns 0, or an
 * exit status, all said.
 */
int input_next(const struct cli *cli, struct input *in);

/*
 * Append what there is until o has more than max bytes (then there may be
 * more), or the end.  Returns 0, or an exit status, all said.
 */
int input_fill(const struct cli *cli, struct input *in, size_t max,
    struct out *o);

/*
 * Open, append all of it to o, close.  what: of it is too large over max.
 * Returns 0, or an exit status, all said.
 */
int input_read(const struct cli *cli, const char *path, size_t max,
    const char *what, struct out *o);

#endif /* CLIENT_INPUT_H */
