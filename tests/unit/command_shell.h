/*
 * For tests of the command: shell lines in a directory of their own, with the
 * command as $Q and a scripted agent behind QAPI_AGENT_SOCK.
 */
#ifndef UNIT_COMMAND_SHELL_H
#define UNIT_COMMAND_SHELL_H

#include <sys/wait.h>
#include <unistd.h>

#include "fake_agent.h"
#include "unit.h"

#define OUT_MAX 65536

/* The command as built; the Makefile says where. */
#ifndef QAPI_AGENT
#define QAPI_AGENT "./qapi-agent"
#endif

static struct fake *fake;
static char dir[] = "/tmp/qapi-cmd.XXXXXX";

/* What came of a line. */
static char out[OUT_MAX], err[OUT_MAX];
static size_t out_len;

static inline size_t
slurp(const char *name, char *buf)
{
	char path[64];
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(buf, 1, OUT_MAX - 1, f);
	buf[n] = '\0';
	(void)fclose(f);
	return n;
}

static inline void
spit(const char *name, const char *text)
{
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
}

/* Run a shell line in dir.  Fills out and err. */
static inline int
sh_at(const struct fake *agent, const char *line)
{
	static char script[4096];
	int status;

	(void)snprintf(script, sizeof(script),
	    "cd %s; Q='%s'; export QAPI_AGENT_SOCK='%s'; { %s\n} >out 2>err",
	    dir, QAPI_AGENT, fake_path(agent), line);
	status = system(script);
	assert_true(WIFEXITED(status));
	out_len = slurp("out", out);
	(void)slurp("err", err);
	return WEXITSTATUS(status);
}

static inline int
sh(const char *line)
{
	return sh_at(fake, line);
}

static inline unsigned int
lines(const char *text)
{
	unsigned int n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

/* table: what the agent knows. */
static inline int
command_setup(const struct fake_value *table)
{
	fake = fake_start(fake_serve_table, (void *)(uintptr_t)table);
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static inline int
command_teardown(void **state)
{
	char line[64];

	(void)state;
	fake_stop(&fake);
	(void)snprintf(line, sizeof(line), "rm -rf %s", dir);
	return system(line);
}

#endif /* UNIT_COMMAND_SHELL_H */
