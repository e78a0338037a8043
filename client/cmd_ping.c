#include "config.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "errors.h"
#include "out.h"

static uint64_t
now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int
ping(struct cli *cli)
{
	uint64_t took_us;
	struct out o;
	int r;

	if ((r = cli_connect(cli)) != 0)
		return r;
	took_us = now_us();
	if ((r = qapi_agent_ping(cli->agent)) != 0)
		return cli_failed(cli, r, NULL, 0);
	took_us = now_us() - took_us;
	out_init(&o);
	out_printable(&o, *qapi_agent_build(cli->agent) != '\0'
	    ? qapi_agent_build(cli->agent) : "an agent");
	out_text(&o, " at ");
	out_printable(&o, qapi_agent_socket(cli->agent));
	out_fmt(&o, " answered in %" PRIu64 ".%02" PRIu64 " ms\n",
	    took_us / 1000, took_us % 1000 / 10);
	r = STATUS_DONE;
	if (out_write(&o, STDOUT_FILENO) != 0)
		r = errors_say(false, NULL, "cannot write: see where standard "
		    "output goes");
	out_done(&o);
	return r;
}

int
cmd_ping(struct cli *cli, int argc, char **argv)
{
	struct option_list operands = {NULL, 0};
	int status;

	if (cli_options(cli, NULL, 0, argc, argv, &operands, &status)) {
		if (operands.count > 0)
			status = cli_usage(cli, "%.100s: ping takes no "
			    "operand: leave it out", operands.v[0]);
		else
			status = ping(cli);
	}
	options_list_free(&operands);
	return status;
}
