#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "envfile.h"
#include "environ.h"
#include "err.h"
#include "errors.h"
#include "memfile.h"
#include "ref.h"

/* What execve(2) takes of one string, its NUL included (MAX_ARG_STRLEN). */
#define STRING_MAX ((size_t)32 * 4096)

struct run {
	struct option_list env;	 /* NAME=REF */
	struct option_list files; /* paths */
	struct option_list memfiles; /* NAME=REF */
	struct option_list program;
	struct environ_set set;
};

static int
fail_nomem(void)
{
	(void)errors_report(false, NULL, ERR_NOMEM, NULL);
	return STATUS_RUN;
}

/* NAME=REF of an option; a bare id or name is completed. */
static int
put_option(const struct cli *cli, struct run *run, const char *option,
    const char *arg, enum environ_kind kind)
{
	const char *equals = strchr(arg, '=');
	size_t name_len = equals != NULL ? (size_t)(equals - arg) : 0;
	size_t size;
	char *ref;
	int r;

	if (name_len == 0 || equals[1] == '\0')
		return cli_usage(cli, "%s %.100s: has no name or no reference: "
		    "write %s NAME=REF", option, arg, option);
	size = strlen(equals) * 3 + sizeof("qapi://secrets/");
	ref = malloc(size);
	if (ref == NULL)
		return fail_nomem();
	r = ref_complete(REF_SECRET, equals + 1, NULL, ref, size);
	if (r == 0)
		r = environ_put(&run->set, arg, name_len, ref, kind);
	free(ref);
	return r == 0 ? STATUS_DONE : fail_nomem();
}

static int
put_file(struct run *run, const char *path)
{
	struct envfile env = {NULL, 0, 0};
	struct envfile_entry *e;
	char why[ENVFILE_WHY_LEN];
	size_t i;
	int r;

	r = envfile_read(path, &env, why);
	for (i = 0; r == 0 && i < env.count; i++) {
		e = &env.v[i];
		r = environ_put(&run->set, e->name, strlen(e->name), e->value,
		    ref_is_reference(e->value, strlen(e->value))
			? ENVIRON_VALUE : ENVIRON_LITERAL);
	}
	envfile_free(&env);
	if (r == ERR_BAD_REQUEST)
		(void)errors_report(false, NULL, r, why);
	else if (r != 0)
		return fail_nomem();
	return r == 0 ? STATUS_DONE : STATUS_RUN;
}

/* All of the environment, references unresolved. */
static int
collect(const struct cli *cli, struct run *run)
{
	int status = STATUS_DONE;
	size_t i;

	if (environ_inherit(&run->set, environ) != 0)
		return fail_nomem();
	for (i = 0; i < run->files.count && status == STATUS_DONE; i++)
		status = put_file(run, run->files.v[i]);
	for (i = 0; i < run->env.count && status == STATUS_DONE; i++)
		status = put_option(cli, run, "--env", run->env.v[i],
		    ENVIRON_VALUE);
	for (i = 0; i < run->memfiles.count && status == STATUS_DONE; i++)
		status = put_option(cli, run, "--file", run->memfiles.v[i],
		    ENVIRON_FILE);
	return status;
}

static int
fill_file(struct environ_entry *e, const void *value, size_t len)
{
	char path[64];
	int fd = memfile_new(e->name, value, len);

	if (fd == -1) {
		(void)errors_say(false, e->value, "cannot make a memory file "
		    "for %.100s: %s", e->name, strerror(errno));
		return STATUS_RUN;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return environ_fill(e, path, strlen(path)) == 0 ? STATUS_DONE
							: fail_nomem();
}

static int
fill_value(struct environ_entry *e, const void *value, size_t len)
{
	if (len > 0 && memchr(value, '\0', len) != NULL) {
		(void)errors_say(false, e->value, "the value holds a NUL byte, "
		    "which an environment variable cannot: write --file "
		    "%.100s=REF", e->name);
		return STATUS_RUN;
	}
	if (len >= STRING_MAX || e->name_len + 2 > STRING_MAX - len) {
		(void)errors_say(false, e->value, "the value is too long for "
		    "an environment variable: write --file %.100s=REF",
		    e->name);
		return STATUS_RUN;
	}
	return environ_fill(e, value, len) == 0 ? STATUS_DONE : fail_nomem();
}

/* The value or failure of one entry. */
static int
take(struct environ_entry *e, const struct qapi_agent_item *item)
{
	const void *value;
	size_t len;
	int err = qapi_agent_item_error(item);

	if (err != 0) {
		(void)errors_report(false, e->value, err,
		    qapi_agent_item_message(item));
		return STATUS_RUN;
	}
	value = qapi_agent_item_value(item, &len);
	if (e->kind == ENVIRON_FILE)
		return fill_file(e, value, len);
	return fill_value(e, value, len);
}

static int
ask(struct cli *cli, char **refs, size_t count, struct qapi_agent_items **ret)
{
	struct qapi_agent_terms *terms;
	int r;

	if (cli_connect(cli) != 0 || (terms = cli_terms(cli)) == NULL)
		return STATUS_RUN;
	r = cli_get(cli, refs, count, terms, ret);
	qapi_agent_terms_free(&terms);
	if (r == 0)
		return STATUS_DONE;
	(void)cli_failed(cli, r, refs, count);
	return STATUS_RUN;
}

/* All values in one round trip; every failure is said. */
static int
resolve(struct cli *cli, struct run *run)
{
	struct qapi_agent_items *items = NULL;
	char **refs = calloc(run->set.count + 1, sizeof(*refs));
	int status = STATUS_DONE;
	size_t i, n = 0;

	if (refs == NULL)
		return fail_nomem();
	for (i = 0; i < run->set.count; i++) {
		if (run->set.v[i].kind != ENVIRON_LITERAL)
			refs[n++] = run->set.v[i].value;
	}
	if (n > 0)
		status = ask(cli, refs, n, &items);
	for (i = 0, n = 0; items != NULL && i < run->set.count; i++) {
		if (run->set.v[i].kind != ENVIRON_LITERAL &&
		    take(&run->set.v[i], qapi_agent_items_at(items, n++)) != 0)
			status = STATUS_RUN;
	}
	qapi_agent_items_free(&items);
	free(refs);
	return status;
}

static int
fill_literals(struct run *run)
{
	struct environ_entry *e;
	size_t i;

	for (i = 0; i < run->set.count; i++) {
		e = &run->set.v[i];
		if (e->kind == ENVIRON_LITERAL &&
		    environ_fill(e, e->value, strlen(e->value)) != 0)
			return fail_nomem();
	}
	return STATUS_DONE;
}

/* Returns only if the program cannot be started. */
static int
start(struct cli *cli, struct run *run)
{
	char **envp, **program = run->program.v;
	int saved;

	envp = environ_build(&run->set);
	if (envp == NULL)
		return fail_nomem();
	/* From here on there is nothing but exec. */
	qapi_agent_free(&cli->agent);
	harden_undo(&cli->harden);
	/*
	 * The program is looked for in the PATH that it will have, as env(1)
	 * does.  /proc/self/environ goes on showing what we were given.
	 */
	environ = envp;
	(void)execvp(program[0], program);
	saved = errno;
	environ = NULL;
	free(envp);
	(void)errors_say(false, program[0], "cannot be started: %s",
	    saved == ENOENT ? "there is no such command" : strerror(saved));
	return saved == ENOENT ? STATUS_RUN_NOT_FOUND
			       : STATUS_RUN_NOT_EXECUTABLE;
}

int
cmd_run(struct cli *cli, int argc, char **argv)
{
	struct run run = {.set = {NULL, 0, 0}};
	const struct option_spec own[] = {
		{'\0', "env", OPTION_LIST, &run.env, "NAME=REF",
		    "set NAME to the value"},
		{'\0', "env-file", OPTION_LIST, &run.files, "FILE",
		    "set what the NAME=VALUE lines of FILE say"},
		{'\0', "file", OPTION_LIST, &run.memfiles, "NAME=REF",
		    "set NAME to the path of a file with the value"},
	};
	int status;

	if (!cli_options(cli, own, sizeof(own) / sizeof(own[0]), argc, argv,
		&run.program, &status))
		goto out;
	if (run.program.count == 0)
		status = cli_usage(cli, "no program to start: write qapi-agent "
		    "run [OPTION]... -- COMMAND");
	else if ((status = collect(cli, &run)) == STATUS_DONE &&
	    (status = resolve(cli, &run)) == STATUS_DONE &&
	    (status = fill_literals(&run)) == STATUS_DONE)
		status = start(cli, &run);
out:
	environ_free(&run.set);
	options_list_free(&run.env);
	options_list_free(&run.files);
	options_list_free(&run.memfiles);
	options_list_free(&run.program);
	return status;
}
