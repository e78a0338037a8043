#include "config.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "errors.h"
#include "text.h"

#define COMMANDS_MAX 32	/* more would not be suggested */

/*
 * Descriptors 0 to 2 have to exist, or the socket or a value could become
 * what somebody takes for standard output.
 */
static void
open_std_fds(void)
{
	struct pollfd fds[3] = {{.fd = 0}, {.fd = 1}, {.fd = 2}};
	int i, fd;

	if (poll(fds, 3, 0) <= 0)
		return;
	for (i = 0; i < 3; i++) {
		if (!(fds[i].revents & POLLNVAL))
			continue;
		fd = open("/dev/null", O_RDWR);
		if (fd == -1 || fd > 2)
			return;
	}
}

static const struct command *
find_command(const char *name)
{
	const struct command *c;

	for (c = commands; c->name != NULL; c++) {
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

static int
unknown_command(const struct cli *cli, const char *typed)
{
	const char *names[COMMANDS_MAX], *near;
	char shown[64];
	size_t n = 0;

	while (n < COMMANDS_MAX && commands[n].name != NULL) {
		names[n] = commands[n].name;
		n++;
	}
	(void)text_printable(typed, strlen(typed), shown, sizeof(shown));
	near = text_nearest(typed, names, n);
	if (near != NULL)
		return cli_usage(cli, "%s: unknown command: did you mean %s?",
		    shown, near);
	return cli_usage(cli, "%s: unknown command: qapi-agent --help lists "
	    "them", shown);
}

static int
run(struct cli *cli, int argc, char **argv, struct option_list *operands)
{
	const struct option_spec own[] = {
		{'V', "version", OPTION_FLAG, &cli->version, NULL,
		    "show the version"},
	};
	int status;

	if (!cli_options(cli, own, 1, argc - 1, argv + 1, operands, &status))
		return status;
	if (cli->version) {
		(void)puts("qapi-agent " PACKAGE_VERSION);
		return fflush(stdout) == 0 ? STATUS_DONE : STATUS_FAILED;
	}
	if (operands->count == 0)
		return cli_usage(cli, "no command: qapi-agent --help lists "
		    "them");
	cli->command = find_command(operands->v[0]);
	if (cli->command == NULL)
		return unknown_command(cli, operands->v[0]);
	return cli->command->run(cli, (int)operands->count - 1,
	    operands->v + 1);
}

int
main(int argc, char **argv)
{
	struct option_list operands = {NULL, 0};
	struct cli cli = {
		.timeout_ms = QAPI_AGENT_TIMEOUT_DEFAULT_MS,
		.max_stale_ms = OPTIONS_NOT_GIVEN,
	};
	int status;

	open_std_fds();
	status = argc > 0 ? run(&cli, argc, argv, &operands) : STATUS_USAGE;
	qapi_agent_free(&cli.agent);
	options_list_free(&operands);
	return status;
}
