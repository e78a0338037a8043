#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "cli.h"
#include "err.h"
#include "errors.h"
#include "input.h"
#include "msg_call.h"
#include "out.h"
#include "output.h"

struct asked {
	const char *data;
	const char *ref;
	const char *content_type;
	const char *output;
	bool include;
	char method[MSG_METHOD_MAX + 1];
	const char *path;
	char *what;		/* owned; "GET /x" */
};

/* For those who want to see it: on standard error, as curl -i has it. */
static void
put_head(const struct qapi_agent_reply *reply)
{
	static const char *const from[] = {"", "hit", "stale", "expired"};
	enum qapi_agent_freshness freshness = qapi_agent_reply_freshness(reply);
	const char *type = qapi_agent_reply_content_type(reply);
	uint64_t wait_ms = qapi_agent_reply_retry_after_ms(reply);
	struct out o;

	out_init(&o);
	out_fmt(&o, "HTTP %u\n", qapi_agent_reply_status(reply));
	if (type != NULL) {
		out_text(&o, "Content-Type: ");
		out_printable(&o, type);
		out_char(&o, '\n');
	}
	if (wait_ms > 0)
		out_fmt(&o, "Retry-After: %" PRIu64 "\n",
		    (wait_ms + 999) / 1000);
	if (freshness != QAPI_AGENT_FRESHNESS_NONE)
		out_fmt(&o, "Age: %" PRIu64 "\nX-Qapi-Agent-Cache: %s\n",
		    qapi_agent_reply_age_ms(reply) / 1000, from[freshness]);
	(void)out_write(&o, STDERR_FILENO);
	out_done(&o);
}

static int
deliver(const struct cli *cli, const struct asked *a,
    const struct qapi_agent_reply *reply)
{
	unsigned int http = qapi_agent_reply_status(reply);
	struct output to;
	const char *body;
	size_t len;
	int r;

	if (a->include)
		put_head(reply);
	body = qapi_agent_reply_body(reply, &len);
	/* a file gets what was asked for, not what went wrong */
	output_init(&to, http / 100 == 2 ? a->output : NULL);
	r = output_whole(cli, &to, body, len,
	    len > 0 && body[len - 1] != '\n');
	if (r != 0 || http / 100 == 2)
		return r;
	return answer_report(cli, a->what, reply);
}

/* "@FILE", "@-" or the text itself. */
static int
read_data(const struct cli *cli, const struct asked *a, struct out *ret)
{
	if (*a->data != '@') {
		out_text(ret, a->data);
		return STATUS_DONE;
	}
	return input_read(cli, a->data + 1, MSG_DATA_MAX,
	    "too large for a body: at most 1 MiB", ret);
}

static int
call(struct cli *cli, const struct asked *a)
{
	struct qapi_agent_terms *terms = NULL;
	struct qapi_agent_reply *reply = NULL;
	struct option_list typed = {NULL, 0};
	char **refs = NULL, *one[2] = {NULL, NULL};
	struct out data;
	int r;

	out_init(&data);
	if ((a->data != NULL && (r = read_data(cli, a, &data)) != 0) ||
	    (r = cli_connect_large(cli)) != 0)
		goto out;
	if (a->ref != NULL) {
		one[0] = (char *)(uintptr_t)a->ref;
		typed.v = one;
		typed.count = 1;
		if ((r = cli_refs(cli, &typed, NULL, NULL, &refs)) != 0)
			goto out;
	}
	r = STATUS_FAILED;
	if ((terms = cli_terms(cli)) == NULL)
		goto out;
	r = qapi_agent_call(cli->agent, a->method, a->path,
	    refs != NULL ? refs[0] : NULL, terms, a->content_type,
	    a->data == NULL ? NULL : data.len > 0 ? data.p : "", data.len,
	    &reply);
	if (r != 0)
		r = errors_report(cli->json, a->what, r,
		    qapi_agent_message(cli->agent));
	else
		r = deliver(cli, a, reply);
out:
	qapi_agent_reply_free(&reply);
	qapi_agent_terms_free(&terms);
	cli_refs_free(&refs, typed.count);
	out_done(&data);
	return r;
}

/* As people type them: "get" is GET. */
static bool
take_method(struct asked *a, const char *typed)
{
	size_t i, len = strlen(typed);

	if (len == 0 || len > MSG_METHOD_MAX)
		return false;
	for (i = 0; i < len; i++) {
		if (!isalpha((unsigned char)typed[i]) && typed[i] != '-')
			return false;
		a->method[i] = (char)toupper((unsigned char)typed[i]);
	}
	return true;
}

static int
check(const struct cli *cli, struct asked *a,
    const struct option_list *operands)
{
	if (operands->count != 2)
		return cli_usage(cli, "%s: write qapi-agent call METHOD PATH, "
		    "as in call GET /secrets", operands->count < 2
		    ? "no method or no path" : "too many operands");
	if (!take_method(a, operands->v[0]))
		return cli_usage(cli, "%.40s: no method: write GET, POST, "
		    "PUT, PATCH or DELETE", operands->v[0]);
	a->path = operands->v[1];
	if (*a->path != '/')
		return cli_usage(cli, "%.100s: no path: write one that begins "
		    "with /, as in /secrets", a->path);
	if (a->ref == NULL && strstr(a->path, "{id}") != NULL)
		return cli_usage(cli, "{id}: of what is not said: name it "
		    "with --for REF");
	if (asprintf(&a->what, "%s %s", a->method, a->path) == -1) {
		a->what = NULL;
		return errors_report(cli->json, NULL, ERR_NOMEM, NULL);
	}
	return STATUS_DONE;
}

int
cmd_call(struct cli *cli, int argc, char **argv)
{
	struct asked a = {.data = NULL};
	const struct option_spec own[] = {
		{'\0', "data", OPTION_TEXT, &a.data, "JSON",
		    "the body; @FILE: from a file, @-: standard input"},
		{'\0', "content-type", OPTION_TEXT, &a.content_type, "TYPE",
		    "of the body (default: application/json)"},
		{'\0', "for", OPTION_TEXT, &a.ref, "REF",
		    "put the id of this where PATH has {id}"},
		{'\0', "include", OPTION_FLAG, &a.include, NULL,
		    "print status and headers on standard error"},
		{'o', "output", OPTION_TEXT, &a.output, "FILE",
		    "write to FILE, mode 0600, as a whole or not at all"},
		{'\0', "json", OPTION_FLAG, &cli->json, NULL,
		    "errors as JSON objects"},
	};
	struct option_list operands = {NULL, 0};
	int status;

	if (cli_options(cli, own, sizeof(own) / sizeof(own[0]), argc, argv,
		&operands, &status) &&
	    (status = check(cli, &a, &operands)) == STATUS_DONE)
		status = call(cli, &a);
	free(a.what);
	options_list_free(&operands);
	return status;
}
