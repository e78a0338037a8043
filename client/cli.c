#include "config.h"

#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "err.h"
#include "errors.h"
#include "help.h"
#include "ref.h"

/* The options that every command takes, after its own. */
#define COMMON_COUNT 4

/* Of locked memory: what the largest of requests and answers take, and more. */
#define LOCK_ENOUGH ((rlim_t)256 << 20)

static void
fill_common(struct cli *cli, struct option_spec common[COMMON_COUNT])
{
	const struct option_spec specs[COMMON_COUNT] = {
		{'\0', "socket", OPTION_TEXT, &cli->socket, "PATH",
		    "socket of the agent"},
		{'\0', "timeout", OPTION_DURATION, &cli->timeout_ms, "D",
		    "wait this long, 0 for ever (default 10s)"},
		{'\0', "max-stale", OPTION_DURATION, &cli->max_stale_ms, "D",
		    "take no stale value older than this"},
		{'h', "help", OPTION_FLAG, &cli->help, NULL,
		    "show this help"},
	};

	memcpy(common, specs, sizeof(specs));
}

static int
usage_status(const struct cli *cli)
{
	return cli->command != NULL && cli->command->is_run ? STATUS_RUN
							    : STATUS_USAGE;
}

int
cli_usage(const struct cli *cli, const char *fmt, ...)
{
	char text[OPTIONS_WHY_LEN];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)errors_report(cli->json, NULL, ERR_BAD_REQUEST, text);
	return usage_status(cli);
}

bool
cli_options(struct cli *cli, const struct option_spec *own, size_t nown,
    int argc, char **argv, struct option_list *ret_operands, int *ret_status)
{
	struct option_spec common[COMMON_COUNT];
	struct options options = {
		.own = own,
		.nown = nown,
		.common = common,
		.ncommon = COMMON_COUNT,
		.stop_at_operand =
		    cli->command == NULL || cli->command->is_run,
	};
	char why[OPTIONS_WHY_LEN];
	int r;

	fill_common(cli, common);
	r = options_parse(&options, argc, argv, ret_operands, why);
	if (r == 0 && cli->help) {
		*ret_status = help_command(cli->command, &options);
		return false;
	}
	if (r == 0)
		return true;
	*ret_status = r == ERR_NOMEM
	    ? errors_report(cli->json, NULL, r, NULL)
	    : cli_usage(cli, "%s", why);
	return false;
}

int
cli_connect(struct cli *cli)
{
	cli->agent = qapi_agent_new();
	if (cli->agent == NULL ||
	    qapi_agent_set_program(cli->agent, "qapi-agent " PACKAGE_VERSION) ==
	    QAPI_AGENT_ERR_NOMEM)
		return errors_report(cli->json, NULL, ERR_NOMEM, NULL);
	if (cli->socket != NULL &&
	    qapi_agent_set_socket(cli->agent, cli->socket) != 0)
		return cli_usage(cli, "--socket %.100s: not a socket path: "
		    "write one of 1 to 107 bytes", cli->socket);
	qapi_agent_set_timeout_ms(cli->agent, cli->timeout_ms);
	harden_self(&cli->harden);
	return 0;
}

struct qapi_agent_terms *
cli_terms(const struct cli *cli)
{
	struct qapi_agent_terms *terms = qapi_agent_terms_new();

	if (terms == NULL)
		(void)errors_report(cli->json, NULL, ERR_NOMEM, NULL);
	else if (cli->max_stale_ms != OPTIONS_NOT_GIVEN)
		qapi_agent_terms_set_max_stale_ms(terms, cli->max_stale_ms);
	return terms;
}

int
cli_failed(const struct cli *cli, int err, char **refs, size_t nrefs)
{
	const char *message = qapi_agent_message(cli->agent);
	size_t i;

	/* Programs want to know of each; people want to be told once. */
	for (i = 1; cli->json && i < nrefs; i++)
		(void)errors_report(true, refs[i], err, message);
	return errors_report(cli->json,
	    nrefs == 1 || (cli->json && nrefs > 0) ? refs[0] : NULL, err,
	    message);
}

int
cli_connect_large(struct cli *cli)
{
	struct rlimit lock;
	int r = cli_connect(cli);

	if (r == 0 && getrlimit(RLIMIT_MEMLOCK, &lock) == 0 &&
	    lock.rlim_cur != RLIM_INFINITY && lock.rlim_cur < LOCK_ENOUGH)
		(void)harden_unlock(&cli->harden);
	return r;
}

/* "NAME=" and the escaped value after what there is, or NULL. */
static char *
add_query(char *query, const char *name, const char *value)
{
	size_t len = query != NULL ? strlen(query) + 1 : 0;
	size_t head = len + strlen(name) + 1;
	size_t size = head + strlen(value) * 3 + 1;
	char *more = malloc(size);

	if (more != NULL) {
		(void)snprintf(more, size, "%s%s%s=",
		    query != NULL ? query : "", query != NULL ? "&" : "",
		    name);
		if (ref_escape(value, strlen(value), more + head,
		    size - head) != 0) {
			free(more);
			more = NULL;
		}
	}
	free(query);
	return more;
}

static char *
complete(enum ref_kind kind, const char *typed, const char *query)
{
	size_t size = strlen(typed) * 3 +
	    sizeof("qapi://secrets/?/public") +
	    (query != NULL ? strlen(query) : 0);
	char *ref = malloc(size);

	if (ref != NULL && ref_complete(kind, typed, query, ref, size) != 0) {
		free(ref);
		return NULL;
	}
	return ref;
}

/* query is freed. */
static int
complete_all(const struct cli *cli, enum ref_kind kind,
    const struct option_list *typed, char *query, char ***ret)
{
	char **refs = calloc(typed->count + 1, sizeof(*refs));
	size_t i = 0;

	for (; refs != NULL && i < typed->count; i++) {
		refs[i] = complete(kind, typed->v[i], query);
		if (refs[i] == NULL)
			break;
	}
	free(query);
	if (refs != NULL && i == typed->count) {
		*ret = refs;
		return 0;
	}
	cli_refs_free(&refs, i);
	return errors_report(cli->json, NULL, ERR_NOMEM, NULL);
}

int
cli_refs(const struct cli *cli, const struct option_list *typed,
    const char *field, const char *version, char ***ret)
{
	char *query = NULL;

	if ((field != NULL &&
	    (query = add_query(query, "field", field)) == NULL) ||
	    (version != NULL &&
	    (query = add_query(query, "version", version)) == NULL))
		return errors_report(cli->json, NULL, ERR_NOMEM, NULL);
	return complete_all(cli, REF_SECRET, typed, query, ret);
}

int
cli_key_refs(const struct cli *cli, const struct option_list *typed,
    const char *format, char ***ret)
{
	char *query = NULL;

	if (format != NULL &&
	    (query = add_query(query, "format", format)) == NULL)
		return errors_report(cli->json, NULL, ERR_NOMEM, NULL);
	return complete_all(cli, REF_KEY, typed, query, ret);
}

int
cli_key(const struct cli *cli, const char **key, char **ret)
{
	const char *typed = *key, *why = NULL;
	struct ref *ref = NULL;
	int r = STATUS_DONE;

	if (typed == NULL || !ref_is_reference(typed, strlen(typed)))
		return STATUS_DONE;
	if ((ref = malloc(sizeof(*ref))) == NULL)
		return errors_report(cli->json, NULL, ERR_NOMEM, NULL);
	if (ref_parse(typed, strlen(typed), ref, &why) != 0)
		r = errors_report(cli->json, typed, ERR_BAD_REQUEST, why);
	else if (ref->kind != REF_KEY)
		r = errors_report(cli->json, typed, ERR_BAD_REQUEST,
		    "this is no key: write its name, its id or "
		    "qapi://keys/NAME/public");
	else if ((*ret = strndup((const char *)ref->name.p,
	    ref->name.len)) == NULL)
		r = errors_report(cli->json, NULL, ERR_NOMEM, NULL);
	else
		*key = *ret;
	free(ref);
	return r;
}

void
cli_refs_free(char ***refs, size_t count)
{
	size_t i;

	if (*refs == NULL)
		return;
	for (i = 0; i < count; i++)
		free((*refs)[i]);
	free(*refs);
	*refs = NULL;
}

int
cli_get(struct cli *cli, char **refs, size_t count,
    const struct qapi_agent_terms *terms, struct qapi_agent_items **ret)
{
	const char *const *asked = (const char *const *)(void *)refs;
	int r;

	r = qapi_agent_get_many(cli->agent, asked, count, terms, ret);
	if (r == QAPI_AGENT_ERR_NOMEM && harden_unlock(&cli->harden))
		r = qapi_agent_get_many(cli->agent, asked, count, terms, ret);
	return r;
}

int
cli_print(const struct cli *cli, const struct out *o, int status)
{
	if (out_write(o, STDOUT_FILENO) == 0)
		return status;
	return errors_say(cli->json, NULL, "cannot write to standard output: "
	    "%s", strerror(errno));
}

uint64_t
cli_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

const char *
cli_age(uint64_t age_ms, char buf[UNITS_DURATION_LEN])
{
	uint64_t unit_ms = 1000;

	if (age_ms < unit_ms)
		return "0s";
	if (age_ms >= 86400000)
		unit_ms = 3600000;
	else if (age_ms >= 3600000)
		unit_ms = 60000;
	return units_format_duration(age_ms - age_ms % unit_ms, buf);
}
