/*
 * encrypt and decrypt: what is small by the service itself, what is larger as
 * an envelope, in bounded memory.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "err.h"
#include "errors.h"
#include "input.h"
#include "msg_call.h"
#include "out.h"
#include "output.h"
#include "text.h"

/*
 * Up to this many bytes go to the service as they are.  The payload that it
 * makes of them is in base64 twice, and has to fit a request to decrypt it.
 */
#define SMALL_MAX 524288

struct crypt {
	const char *key;
	const char *algorithm;
	const char *aad;
	const char *aad_file;
	const char *input;
	const char *output;
	struct out aad_bytes;
	struct cli *cli;
	struct output to;
};

static int
fail(const struct crypt *c, int err, const char *message)
{
	return errors_report(c->cli->json, c->key, err, message);
}

/* Bytes that come out of a stream. */
static int
sink(void *arg, const void *bytes, size_t len)
{
	struct crypt *c = arg;

	/* a positive number is not an error of the library's */
	return output_write(&c->to, bytes, len) == 0 ? 0 : 1;
}

static int
stream_failed(const struct crypt *c, int r,
    const struct qapi_agent_stream *stream)
{
	char text[1024];

	if (r > 0)
		return output_failed(c->cli, &c->to);
	if (c->to.written == 0 || c->to.path != NULL)
		return fail(c, r, qapi_agent_stream_message(stream));
	(void)snprintf(text, sizeof(text), "%.800s; what was printed is not "
	    "all of it: do not trust it", qapi_agent_stream_message(stream));
	return fail(c, r, text);
}

/* head is what was read so far. */
static int
pass_on(struct crypt *c, struct input *in, const struct out *head,
    struct qapi_agent_stream *stream)
{
	int r, status;

	r = qapi_agent_stream_write(stream, head->p, head->len);
	while (r == 0) {
		if ((status = input_next(c->cli, in)) != 0)
			return status;
		if (in->len == 0)
			break;
		r = qapi_agent_stream_write(stream, in->piece, in->len);
	}
	if (r == 0)
		r = qapi_agent_stream_end(stream);
	if (r != 0)
		return stream_failed(c, r, stream);
	if (output_commit(&c->to) != 0)
		return output_failed(c->cli, &c->to);
	return STATUS_DONE;
}

static int
by_stream(struct crypt *c, bool seal, struct input *in, const struct out *head)
{
	struct qapi_agent *agent = c->cli->agent;
	struct qapi_agent_stream *stream = NULL;
	int r;

	if (seal && c->algorithm != NULL)
		return cli_usage(c->cli, "--algorithm: only for what the "
		    "service encrypts, at most 512 KiB: leave it out");
	if (output_begin(&c->to, true) != 0)
		return output_failed(c->cli, &c->to);
	r = seal ? qapi_agent_seal(agent, c->key, c->aad_bytes.p,
		       c->aad_bytes.len, sink, c, &stream)
		 : qapi_agent_open(agent, c->aad_bytes.p, c->aad_bytes.len,
		       sink, c, &stream);
	if (r > 0)
		r = output_failed(c->cli, &c->to);
	else if (r != 0)
		r = fail(c, r, qapi_agent_message(agent));
	else
		r = pass_on(c, in, head, stream);
	qapi_agent_stream_free(&stream);
	return r;
}

static int
by_service(struct crypt *c, bool encrypt, const struct out *data)
{
	struct qapi_agent *agent = c->cli->agent;
	struct qapi_agent_item *item = NULL;
	const void *p;
	size_t len;
	int r;

	r = encrypt ? qapi_agent_encrypt(agent, c->key, c->algorithm,
			  c->aad_bytes.p, c->aad_bytes.len, data->p, data->len,
			  &item)
		    : qapi_agent_decrypt(agent, c->key, c->aad_bytes.p,
			  c->aad_bytes.len, data->p, data->len, &item);
	if (r != 0)
		return fail(c, r, qapi_agent_message(agent));
	p = qapi_agent_item_value(item, &len);
	r = output_whole(c->cli, &c->to, p, len, encrypt);
	qapi_agent_item_free(&item);
	return r;
}

static int
encrypt(struct crypt *c)
{
	struct input in = {.fd = -1};
	struct out data;
	int r;

	out_init(&data);
	if ((r = input_open(c->cli, c->input, &in)) == 0 &&
	    (r = input_fill(c->cli, &in, SMALL_MAX, &data)) == 0)
		r = data.len > SMALL_MAX ? by_stream(c, true, &in, &data)
					 : by_service(c, true, &data);
	input_close(&in);
	out_done(&data);
	return r;
}

/* A payload is a text, with the end of its line, or without. */
static int
decrypt_payload(struct crypt *c, struct input *in, struct out *data)
{
	int r;

	if ((r = input_fill(c->cli, in, MSG_DATA_MAX, data)) != 0)
		return r;
	while (data->len > 0 && strchr(" \t\r\n", data->p[data->len - 1]) !=
	    NULL && data->p[data->len - 1] != '\0')
		data->len--;
	if (data->len == 0)
		return fail(c, ERR_BAD_REQUEST, "nothing to decrypt: give "
		    "what encrypt printed");
	if (data->len > MSG_DATA_MAX)
		return fail(c, ERR_BAD_REQUEST, "this does not begin as an "
		    "envelope does, and is too long for a payload: give what "
		    "encrypt printed");
	if (!text_is_text(data->p, data->len))
		return fail(c, ERR_BAD_REQUEST, "this is neither an envelope "
		    "nor a payload: give what encrypt printed, unchanged");
	return by_service(c, false, data);
}

static int
decrypt(struct crypt *c)
{
	struct input in = {.fd = -1};
	struct out data;
	int r;

	out_init(&data);
	if ((r = input_open(c->cli, c->input, &in)) == 0 &&
	    (r = input_fill(c->cli, &in, 7, &data)) == 0)
		r = qapi_agent_is_envelope(data.p, data.len)
		    ? by_stream(c, false, &in, &data)
		    : decrypt_payload(c, &in, &data);
	input_close(&in);
	out_done(&data);
	return r;
}

static int
take_aad(struct crypt *c)
{
	if (c->aad != NULL && c->aad_file != NULL)
		return cli_usage(c->cli, "--aad and --aad-file: contradict "
		    "each other: leave out one");
	if (c->aad != NULL)
		out_text(&c->aad_bytes, c->aad);
	else if (c->aad_file != NULL)
		return input_read(c->cli, c->aad_file, MSG_AAD_MAX,
		    "too large for additional data: at most 32 KiB",
		    &c->aad_bytes);
	return STATUS_DONE;
}

static int
run(struct cli *cli, struct crypt *c, const struct option_spec *own,
    size_t nown, int argc, char **argv, int (*how)(struct crypt *))
{
	struct option_list operands = {NULL, 0};
	char *key = NULL;
	int status;

	c->cli = cli;
	out_init(&c->aad_bytes);
	if (cli_options(cli, own, nown, argc, argv, &operands, &status)) {
		output_init(&c->to, c->output);
		if (operands.count > 0)
			status = cli_usage(cli, "%.100s: takes no operand: "
			    "give data on standard input or with -i",
			    operands.v[0]);
		else if ((status = cli_key(cli, &c->key, &key)) ==
		    STATUS_DONE && (status = take_aad(c)) == STATUS_DONE &&
		    (status = cli_connect_large(cli)) == 0)
			status = how(c);
		output_done(&c->to);
	}
	free(key);
	out_done(&c->aad_bytes);
	options_list_free(&operands);
	return status;
}

int
cmd_encrypt(struct cli *cli, int argc, char **argv)
{
	struct crypt c = {.key = NULL};
	const struct option_spec own[] = {
		{'\0', "key", OPTION_TEXT, &c.key, "KEY",
		    "name, id or reference (default: the tenant's default key)"},
		{'\0', "algorithm", OPTION_TEXT, &c.algorithm, "NAME",
		    "another than the usual one, for small data"},
		{'\0', "aad", OPTION_TEXT, &c.aad, "TEXT",
		    "additional data, to be given to decrypt again"},
		{'\0', "aad-file", OPTION_TEXT, &c.aad_file, "FILE",
		    "the same from a file"},
		{'i', "input", OPTION_TEXT, &c.input, "FILE",
		    "encrypt FILE, not standard input"},
		{'o', "output", OPTION_TEXT, &c.output, "FILE",
		    "write to FILE, mode 0600, as a whole or not at all"},
		{'\0', "json", OPTION_FLAG, &cli->json, NULL,
		    "errors as JSON objects"},
	};

	return run(cli, &c, own, sizeof(own) / sizeof(own[0]), argc, argv,
	    encrypt);
}

int
cmd_decrypt(struct cli *cli, int argc, char **argv)
{
	struct crypt c = {.key = NULL};
	const struct option_spec own[] = {
		{'\0', "key", OPTION_TEXT, &c.key, "KEY",
		    "name, id or reference (default: what the payload says)"},
		{'\0', "aad", OPTION_TEXT, &c.aad, "TEXT",
		    "additional data that were given to encrypt"},
		{'\0', "aad-file", OPTION_TEXT, &c.aad_file, "FILE",
		    "the same from a file"},
		{'i', "input", OPTION_TEXT, &c.input, "FILE",
		    "decrypt FILE, not standard input"},
		{'o', "output", OPTION_TEXT, &c.output, "FILE",
		    "write to FILE, mode 0600, as a whole or not at all"},
		{'\0', "json", OPTION_FLAG, &cli->json, NULL,
		    "errors as JSON objects"},
	};

	return run(cli, &c, own, sizeof(own) / sizeof(own[0]), argc, argv,
	    decrypt);
}
