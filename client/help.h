/*
 * --help, made from the tables that the parser goes by.
 */
#ifndef CLIENT_HELP_H
#define CLIENT_HELP_H

#include <stddef.h>

#include "options.h"

struct command;

/* Help of a command, NULL for that of qapi-agent.  Returns the exit status. */
int help_command(const struct command *command, const struct options *options);

#endif /* CLIENT_HELP_H */
