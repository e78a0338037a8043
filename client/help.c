#include "config.h"

#include "help.h"

#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "errors.h"
#include "out.h"

#define HELP_COLUMN 22		/* where the texts begin */

static void
put_option(struct out *o, const struct option_spec *spec)
{
	size_t start = o->len;

	out_text(o, "  ");
	if (spec->letter != '\0')
		out_fmt(o, "-%c", spec->letter);
	if (spec->letter != '\0' && spec->name != NULL)
		out_text(o, ", ");
	if (spec->name != NULL)
		out_fmt(o, "--%s", spec->name);
	if (spec->arg != NULL)
		out_fmt(o, " %s", spec->arg);
	if (o->len - start >= HELP_COLUMN)
		out_text(o, "  ");
	out_pad(o, HELP_COLUMN - (long)(o->len - start));
	out_text(o, spec->help);
	out_char(o, '\n');
}

static void
put_options(struct out *o, const char *title, const struct option_spec *specs,
    size_t count)
{
	size_t i;

	if (count == 0)
		return;
	out_fmt(o, "\n%s:\n", title);
	for (i = 0; i < count; i++)
		put_option(o, &specs[i]);
}

static void
put_commands(struct out *o)
{
	const struct command *c;

	out_text(o, "\nCommands:\n");
	for (c = commands; c->name != NULL; c++) {
		out_fmt(o, "  %s", c->name);
		out_pad(o, HELP_COLUMN - 2 - (long)strlen(c->name));
		out_fmt(o, "%s\n", c->summary);
	}
}

int
help_command(const struct command *command, const struct options *options)
{
	struct out o;
	int status = STATUS_DONE;

	out_init(&o);
	if (command == NULL) {
		out_text(&o, "Usage: qapi-agent [OPTION]... COMMAND ...\n\n"
			     "Reads secrets and public keys from the local "
			     "qapi-agentd.\n");
		put_commands(&o);
		put_options(&o, "Options", options->own, options->nown);
	} else {
		out_fmt(&o, "Usage: qapi-agent %s [OPTION]...%s\n\n",
		    command->name, command->operands);
		out_fmt(&o, "%s.\n", command->summary);
		if (command->details != NULL)
			out_text(&o, command->details);
		put_options(&o, "Options", options->own, options->nown);
	}
	put_options(&o, "Common options", options->common, options->ncommon);
	out_text(&o, "\nqapi-agent(1) says more.\n");
	if (out_write(&o, STDOUT_FILENO) != 0)
		status = STATUS_FAILED;
	out_done(&o);
	return status;
}
