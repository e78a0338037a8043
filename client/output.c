#include "config.h"

#include "output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "errors.h"
#include "out.h"
#include "outfile.h"

void
output_init(struct output *o, const char *path)
{
	o->path = path != NULL && strcmp(path, "-") != 0 ? path : NULL;
	o->file = NULL;
	o->written = 0;
}

void
output_done(struct output *o)
{
	outfile_free(&o->file);
}

int
output_begin(struct output *o, bool slow)
{
	if (o->path == NULL)
		return 0;
	return slow ? outfile_new_slow(o->path, 0600, &o->file)
		    : outfile_new(o->path, 0600, (uid_t)-1, (gid_t)-1,
			  &o->file);
}

int
output_write(struct output *o, const void *p, size_t len)
{
	int r;

	r = o->file != NULL ? outfile_write(o->file, p, len)
			    : out_write_all(STDOUT_FILENO, p, len);
	o->written += len;
	return r;
}

int
output_commit(struct output *o)
{
	int r;

	if (o->file == NULL)
		return 0;
	r = outfile_commit(o->file);
	outfile_free(&o->file);
	return r;
}

int
output_failed(const struct cli *cli, const struct output *o)
{
	return errors_say(cli->json, o->path, "cannot write%s: %s",
	    o->path == NULL ? " to standard output" : "", strerror(errno));
}

int
output_whole(const struct cli *cli, struct output *o, const void *p,
    size_t len, bool newline)
{
	int r;

	r = output_begin(o, false);
	if (r == 0 && len > 0)
		r = output_write(o, p, len);
	if (r == 0 && newline && o->path == NULL && isatty(STDOUT_FILENO))
		r = output_write(o, "\n", 1);
	if (r == 0)
		r = output_commit(o);
	if (r != 0)
		r = output_failed(cli, o);
	output_done(o);
	return r;
}
