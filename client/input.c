#include "config.h"

#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "errors.h"
#include "wipe.h"

#define PIECE 65536

static int
say_failed(const struct cli *cli, const struct input *in)
{
	return errors_say(cli->json, in->name, "cannot be read%s: %s",
	    in->name == NULL ? " (standard input)" : "", strerror(errno));
}

int
input_open(const struct cli *cli, const char *path, struct input *ret)
{
	struct input *in = ret;

	in->name = path != NULL && strcmp(path, "-") != 0 ? path : NULL;
	in->len = 0;
	in->fd = STDIN_FILENO;
	in->piece = malloc(PIECE);
	if (in->piece == NULL)
		return errors_report(cli->json, NULL, ERR_NOMEM, NULL);
	if (in->name == NULL)
		return 0;
	in->fd = open(in->name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return in->fd == -1 ? say_failed(cli, in) : 0;
}

void
input_close(struct input *in)
{
	if (in->name != NULL && in->fd != -1)
		(void)close(in->fd);
	wipe_free(in->piece, in->piece != NULL ? PIECE : 0);
	in->piece = NULL;
	in->fd = -1;
}

int
input_next(const struct cli *cli, struct input *in)
{
	ssize_t n;

	do {
		n = read(in->fd, in->piece, PIECE);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return say_failed(cli, in);
	in->len = (size_t)n;
	return 0;
}

int
input_fill(const struct cli *cli, struct input *in, size_t max, struct out *o)
{
	int r;

	while (o->len <= max) {
		if ((r = input_next(cli, in)) != 0)
			return r;
		if (in->len == 0)
			return 0;
		out_bytes(o, in->piece, in->len);
		if (o->failed)
			return errors_report(cli->json, NULL, ERR_NOMEM, NULL);
	}
	return 0;
}

int
input_read(const struct cli *cli, const char *path, size_t max,
    const char *what, struct out *o)
{
	struct input in;
	int r;

	if ((r = input_open(cli, path, &in)) == 0)
		r = input_fill(cli, &in, max, o);
	if (r == 0 && o->len > max)
		r = errors_report(cli->json, in.name, ERR_TOO_LARGE, what);
	input_close(&in);
	return r;
}
