/* sign and verify. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "b64.h"
#include "cli.h"
#include "err.h"
#include "errors.h"
#include "input.h"
#include "json.h"
#include "msg_call.h"
#include "out.h"
#include "output.h"

/* A signature in base64, with ends of lines, and more. */
#define SIGNATURE_FILE_MAX (MSG_SIGNATURE_MAX * 2)

static const char too_large[] =
    "too large for one piece: at most 1 MiB, sign a digest of it";

struct signing {
	struct cli *cli;
	const char *key;
	const char *algorithm;
	const char *signature;	/* file */
	const char *input;
	const char *output;
	char *key_store;	/* of key, where it was a reference */
	bool raw;
};

/* Options and data are there: go on.  False: *ret_status, all said. */
static bool
prepare(struct signing *s, const struct option_spec *own, size_t nown,
    int argc, char **argv, int *ret_status)
{
	struct option_list operands = {NULL, 0};
	bool ok;

	ok = cli_options(s->cli, own, nown, argc, argv, &operands, ret_status);
	if (ok && operands.count > 0) {
		*ret_status = cli_usage(s->cli, "%.100s: takes no operand: "
		    "give data on standard input or with -i", operands.v[0]);
		ok = false;
	}
	if (ok && s->key == NULL) {
		*ret_status = cli_usage(s->cli, "no key: name one with --key "
		    "KEY");
		ok = false;
	}
	if (ok)
		ok = (*ret_status = cli_key(s->cli, &s->key,
		    &s->key_store)) == STATUS_DONE;
	options_list_free(&operands);
	return ok;
}

static int
deliver_signature(const struct signing *s, const void *p, size_t len)
{
	struct output to;
	struct out text;
	int r;

	output_init(&to, s->output);
	if (s->raw)
		return output_whole(s->cli, &to, p, len, false);
	out_init(&text);
	b64_encode(&text, p, len);
	out_char(&text, '\n');
	if (text.failed)
		r = errors_report(s->cli->json, NULL, ERR_NOMEM, NULL);
	else
		r = output_whole(s->cli, &to, text.p, text.len, false);
	out_done(&text);
	return r;
}

static int
sign(const struct signing *s)
{
	struct qapi_agent_item *item = NULL;
	struct cli *cli = s->cli;
	struct out data;
	const void *p;
	size_t len;
	int r;

	out_init(&data);
	if ((r = cli_connect_large(cli)) != 0 ||
	    (r = input_read(cli, s->input, MSG_DATA_MAX, too_large, &data)) !=
	    0)
		goto out;
	r = qapi_agent_sign(cli->agent, s->key, s->algorithm, data.p,
	    data.len, &item);
	if (r != 0) {
		r = errors_report(cli->json, s->key, r,
		    qapi_agent_message(cli->agent));
		goto out;
	}
	p = qapi_agent_item_value(item, &len);
	r = deliver_signature(s, p, len);
out:
	qapi_agent_item_free(&item);
	out_done(&data);
	return r;
}

int
cmd_sign(struct cli *cli, int argc, char **argv)
{
	struct signing s = {.cli = cli};
	const struct option_spec own[] = {
		{'\0', "key", OPTION_TEXT, &s.key, "KEY",
		    "its name, id or reference"},
		{'\0', "algorithm", OPTION_TEXT, &s.algorithm, "NAME",
		    "another than the key's usual one"},
		{'\0', "raw", OPTION_FLAG, &s.raw, NULL,
		    "print the bytes of the signature, not base64"},
		{'i', "input", OPTION_TEXT, &s.input, "FILE",
		    "sign FILE, not standard input"},
		{'o', "output", OPTION_TEXT, &s.output, "FILE",
		    "write to FILE, mode 0600, as a whole or not at all"},
		{'\0', "json", OPTION_FLAG, &cli->json, NULL,
		    "errors as JSON objects"},
	};
	int status;

	if (prepare(&s, own, sizeof(own) / sizeof(own[0]), argc, argv,
		&status))
		status = sign(&s);
	free(s.key_store);
	return status;
}

/* --- verify --------------------------------------------------------------- */

/* The bytes of a signature, whichever way it is written. */
static int
read_signature(const struct signing *s, struct out *ret)
{
	struct out text;
	int r;

	out_init(&text);
	r = input_read(s->cli, s->signature, SIGNATURE_FILE_MAX,
	    "too large to be a signature", &text);
	if (r == 0 && text.len == 0)
		r = errors_report(s->cli->json, s->signature, ERR_BAD_REQUEST,
		    "the signature is empty: give what sign printed");
	if (r == 0 && !b64_decode(ret, text.p, text.len)) {
		out_clear(ret);
		out_bytes(ret, text.p, text.len);
	}
	if (r == 0 && (text.failed || ret->failed))
		r = errors_report(s->cli->json, NULL, ERR_NOMEM, NULL);
	out_done(&text);
	return r;
}

static int
say_verdict(const struct signing *s, bool valid, enum qapi_agent_by by)
{
	const char *who = by == QAPI_AGENT_BY_AGENT ? "agent" : "service";
	int status = valid ? STATUS_DONE : STATUS_FAILED;
	char text[256];
	struct json j;
	struct out o;

	if (!s->cli->json) {
		(void)snprintf(text, sizeof(text), valid
		    ? "the signature is valid: verified by the %s"
		    : "the signature is not valid, says the %s: do not "
		      "trust the data", who);
		errors_line(s->key, text);
		return status;
	}
	out_init(&o);
	json_init(&j, &o);
	json_open(&j, NULL);
	json_bool(&j, "valid", valid);
	json_text(&j, "by", who);
	json_close(&j);
	out_char(&o, '\n');
	status = cli_print(s->cli, &o, status);
	out_done(&o);
	return status;
}

static int
verify(const struct signing *s)
{
	struct out data, signature;
	struct cli *cli = s->cli;
	enum qapi_agent_by by = 0;
	bool valid = false;
	int r;

	out_init(&data);
	out_init(&signature);
	if ((r = cli_connect_large(cli)) != 0 ||
	    (r = read_signature(s, &signature)) != 0 ||
	    (r = input_read(cli, s->input, MSG_DATA_MAX, too_large, &data)) !=
	    0)
		goto out;
	r = qapi_agent_verify(cli->agent, s->key, data.p, data.len,
	    signature.p, signature.len, &valid, &by);
	if (r != 0)
		r = errors_report(cli->json, s->key, r,
		    qapi_agent_message(cli->agent));
	else
		r = say_verdict(s, valid, by);
out:
	out_done(&data);
	out_done(&signature);
	return r;
}

static bool
is_stdin(const char *path)
{
	return path == NULL || strcmp(path, "-") == 0;
}

int
cmd_verify(struct cli *cli, int argc, char **argv)
{
	struct signing s = {.cli = cli};
	const struct option_spec own[] = {
		{'\0', "key", OPTION_TEXT, &s.key, "KEY",
		    "its name, id or reference"},
		{'\0', "signature", OPTION_TEXT, &s.signature, "FILE",
		    "the signature, base64 or bytes"},
		{'i', "input", OPTION_TEXT, &s.input, "FILE",
		    "verify FILE, not standard input"},
		{'\0', "json", OPTION_FLAG, &cli->json, NULL,
		    "print a JSON object, errors too"},
	};
	int status;

	if (!prepare(&s, own, sizeof(own) / sizeof(own[0]), argc, argv,
		&status))
		goto out;
	if (s.signature == NULL)
		status = cli_usage(cli, "no signature: name its file with "
		    "--signature FILE");
	else if (is_stdin(s.signature) && is_stdin(s.input))
		status = cli_usage(cli, "signature and data both on standard "
		    "input: name a file for one of them");
	else
		status = verify(&s);
out:
	free(s.key_store);
	return status;
}
