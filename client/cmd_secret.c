/* secret create, set and rotate.  Values never come from the command line. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "answer.h"
#include "cli.h"
#include "err.h"
#include "errors.h"
#include "input.h"
#include "json.h"
#include "jsonread.h"
#include "msg_call.h"
#include "out.h"
#include "text.h"
#include "wipe.h"

#define LENGTH_DEFAULT 32
#define LENGTH_MAX 4096

static const char alphanumeric[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz0123456789";

struct change {
	struct cli *cli;
	const char *name;
	const char *input;
	/* create */
	const char *content_type;
	const char *description;
	const char *username;
	const char *expires_at;
	struct option_list labels;
	/* rotate */
	const char *length;
	const char *alphabet;
};

/* --- the answer ----------------------------------------------------------- */

/* id, version: text that ends with NUL, empty for what was not said. */
static int
print_made(const struct change *c, const char *id, const char *version)
{
	struct out o;
	struct json j;
	int r;

	out_init(&o);
	if (c->cli->json) {
		json_init(&j, &o);
		json_open(&j, NULL);
		json_text(&j, "name", c->name);
		json_text(&j, "id", *id != '\0' ? id : NULL);
		if (*version != '\0')
			json_uint(&j, "version", strtoull(version, NULL, 10));
		else
			json_null(&j, "version");
		json_close(&j);
	} else {
		out_printable(&o, *id != '\0' ? id : "-");
		out_char(&o, '\t');
		out_printable(&o, *version != '\0' ? version : "-");
	}
	out_char(&o, '\n');
	r = cli_print(c->cli, &o, STATUS_DONE);
	out_done(&o);
	return r;
}

/* The id and the version that it has now; without either it is no answer. */
static int
report_made(const struct change *c, const struct qapi_agent_reply *reply)
{
	struct out id, version;
	const void *body;
	size_t len;
	int r;

	out_init(&id);
	out_init(&version);
	body = qapi_agent_reply_body(reply, &len);
	if (!jsonread_text(body, len, "id", &id))
		out_clear(&id);
	if (!jsonread_text(body, len, "version", &version))
		out_clear(&version);
	out_char(&id, '\0');
	out_char(&version, '\0');
	if (id.failed || version.failed)
		r = errors_report(c->cli->json, NULL, ERR_NOMEM, NULL);
	else if (*id.p == '\0' && *version.p == '\0')
		r = errors_report(c->cli->json, c->name, ERR_UPSTREAM_ERROR,
		    "the service's answer has neither id nor version; whether "
		    "it was done is not known: look before it is tried again");
	else
		r = print_made(c, id.p, version.p);
	out_done(&id);
	out_done(&version);
	return r;
}

/* ref: what {id} stands for, or NULL. */
static int
ask(const struct change *c, const char *method, const char *target,
    const char *ref, const struct out *body)
{
	struct qapi_agent_reply *reply = NULL;
	int r;

	if (body->failed)
		return errors_report(c->cli->json, NULL, ERR_NOMEM, NULL);
	if (body->len > MSG_DATA_MAX)
		return errors_report(c->cli->json, c->name, ERR_TOO_LARGE,
		    "the value is too large: at most 1 MiB with all that goes "
		    "with it");
	r = qapi_agent_call(c->cli->agent, method, target, ref, NULL, NULL,
	    body->p, body->len, &reply);
	if (r != 0)
		r = errors_report(c->cli->json, c->name, r,
		    qapi_agent_message(c->cli->agent));
	else if (qapi_agent_reply_status(reply) / 100 == 2)
		r = report_made(c, reply);
	else
		r = answer_report(c->cli, c->name, reply);
	qapi_agent_reply_free(&reply);
	return r;
}

/* --- the value ------------------------------------------------------------ */

static int
read_value(const struct change *c, struct out *ret)
{
	int r;

	r = input_read(c->cli, c->input, MSG_DATA_MAX,
	    "the value is too large: at most 1 MiB", ret);
	if (r == 0 && !text_is_utf8(ret->p, ret->len))
		r = errors_report(c->cli->json, c->name, ERR_BAD_REQUEST,
		    "the value is not UTF-8 text: encode it first, say by "
		    "base64");
	return r;
}

static size_t
value_length(const struct change *c)
{
	char *end;
	unsigned long n;

	if (c->length == NULL)
		return LENGTH_DEFAULT;
	if (*c->length < '0' || *c->length > '9')
		return 0;
	n = strtoul(c->length, &end, 10);
	return *end == '\0' && n <= LENGTH_MAX ? n : 0;
}

/* Characters that a person may have meant: ASCII, each once, at least two. */
static bool
is_alphabet(const char *text)
{
	size_t i, n = strlen(text);

	for (i = 0; i < n; i++) {
		if (text[i] < 0x20 || text[i] > 0x7e ||
		    strchr(text + i + 1, text[i]) != NULL)
			return false;
	}
	return n >= 2;
}

/* Each character as likely as the others. */
static int
random_value(const struct change *c, struct out *ret)
{
	const char *alphabet = c->alphabet != NULL ? c->alphabet
						   : alphanumeric;
	unsigned int n = (unsigned int)strlen(alphabet);
	unsigned int limit = 256 / n * n;
	size_t want = value_length(c), i;
	unsigned char bytes[64];

	while (ret->len < want && !ret->failed) {
		if (getrandom(bytes, sizeof(bytes), 0) !=
		    (ssize_t)sizeof(bytes)) {
			if (errno == EINTR)
				continue;
			return errors_say(c->cli->json, NULL, "no random "
			    "numbers: %s", strerror(errno));
		}
		for (i = 0; i < sizeof(bytes) && ret->len < want; i++) {
			if (bytes[i] < limit)
				out_char(ret, alphabet[bytes[i] % n]);
		}
	}
	wipe(bytes, sizeof(bytes));
	return STATUS_DONE;
}

/* --- the requests --------------------------------------------------------- */

static int
create(const struct change *c)
{
	struct out value, body;
	struct json j;
	size_t i;
	int r;

	out_init(&value);
	out_init(&body);
	if ((r = read_value(c, &value)) != 0)
		goto out;
	json_init(&j, &body);
	json_open(&j, NULL);
	json_text(&j, "name", c->name);
	json_value(&j, "value", "value", value.p, value.len);
	if (c->content_type != NULL)
		json_text(&j, "contentType", c->content_type);
	if (c->description != NULL)
		json_text(&j, "description", c->description);
	if (c->username != NULL)
		json_text(&j, "username", c->username);
	if (c->expires_at != NULL)
		json_text(&j, "expiresAt", c->expires_at);
	if (c->labels.count > 0) {
		json_open_list(&j, "labels");
		for (i = 0; i < c->labels.count; i++)
			json_text(&j, NULL, c->labels.v[i]);
		json_close_list(&j);
	}
	json_close(&j);
	r = ask(c, "POST", "/secrets", NULL, &body);
out:
	out_done(&value);
	out_done(&body);
	return r;
}

/* The next version of one that is there. */
static int
put_value(const struct change *c, const struct out *value)
{
	char *name[2] = {(char *)(uintptr_t)c->name, NULL};
	const struct option_list typed = {name, 1};
	char **refs = NULL;
	struct out body;
	struct json j;
	int r;

	out_init(&body);
	json_init(&j, &body);
	json_open(&j, NULL);
	json_value(&j, "value", "value", value->p, value->len);
	json_close(&j);
	if (value->failed)
		body.failed = true;
	if ((r = cli_refs(c->cli, &typed, NULL, NULL, &refs)) == 0)
		r = ask(c, "PUT", "/secrets/{id}/value", refs[0], &body);
	cli_refs_free(&refs, 1);
	out_done(&body);
	return r;
}

static int
set(const struct change *c)
{
	struct out value;
	int r;

	out_init(&value);
	if ((r = read_value(c, &value)) == 0)
		r = put_value(c, &value);
	out_done(&value);
	return r;
}

static int
rotate(const struct change *c)
{
	struct out value;
	int r;

	out_init(&value);
	if ((r = random_value(c, &value)) == 0)
		r = put_value(c, &value);
	out_done(&value);
	return r;
}

/* --- the command ---------------------------------------------------------- */

#define CREATE 1u
#define SET 2u
#define ROTATE 4u

static const struct {
	const char *name;
	unsigned int which;
	int (*run)(const struct change *);
} verbs[] = {
	{"create", CREATE, create},
	{"set", SET, set},
	{"rotate", ROTATE, rotate},
};

#define NVERBS (sizeof(verbs) / sizeof(verbs[0]))

/* What belongs to another verb is no option of this one. */
static int
check_options(const struct change *c, unsigned int which, const char *verb)
{
	const struct {
		bool given;
		unsigned int of;
		const char *name;
	} rows[] = {
		{c->input != NULL, CREATE | SET, "--input"},
		{c->content_type != NULL, CREATE, "--content-type"},
		{c->description != NULL, CREATE, "--description"},
		{c->username != NULL, CREATE, "--username"},
		{c->expires_at != NULL, CREATE, "--expires-at"},
		{c->labels.count > 0, CREATE, "--label"},
		{c->length != NULL, ROTATE, "--length"},
		{c->alphabet != NULL, ROTATE, "--alphabet"},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].given && !(rows[i].of & which))
			return cli_usage(c->cli, "%s: not of secret %s: leave "
			    "it out", rows[i].name, verb);
	}
	if (value_length(c) == 0)
		return cli_usage(c->cli, "--length %.40s: not a length: write "
		    "1 to 4096", c->length);
	if (c->alphabet != NULL && !is_alphabet(c->alphabet))
		return cli_usage(c->cli, "--alphabet: not one: write at least "
		    "two different characters of ASCII, each once");
	return STATUS_DONE;
}

static int
change(struct change *c, const struct option_list *operands)
{
	size_t i;
	int r;

	for (i = 0; operands->count > 0 && i < NVERBS; i++) {
		if (strcmp(operands->v[0], verbs[i].name) == 0)
			break;
	}
	if (operands->count == 0 || i == NVERBS)
		return cli_usage(c->cli, "%.40s: unknown: write secret create "
		    "NAME, set NAME or rotate NAME", operands->count > 0
		    ? operands->v[0] : "no verb");
	if (operands->count != 2)
		return cli_usage(c->cli, "%s: write secret %s NAME; the value "
		    "comes from standard input or a file",
		    operands->count < 2 ? "no name" : "too many operands",
		    verbs[i].name);
	c->name = operands->v[1];
	if (*c->name == '\0')
		return cli_usage(c->cli, "the name is empty: write one");
	if ((r = check_options(c, verbs[i].which, verbs[i].name)) != 0 ||
	    (r = cli_connect_large(c->cli)) != 0)
		return r;
	return verbs[i].run(c);
}

int
cmd_secret(struct cli *cli, int argc, char **argv)
{
	struct change c = {.cli = cli};
	const struct option_spec own[] = {
		{'i', "input", OPTION_TEXT, &c.input, "FILE",
		    "the value is in FILE, not on standard input"},
		{'\0', "content-type", OPTION_TEXT, &c.content_type, "TYPE",
		    "create: what it is, as password or certificate"},
		{'\0', "description", OPTION_TEXT, &c.description, "TEXT",
		    "create: what it is for"},
		{'\0', "username", OPTION_TEXT, &c.username, "NAME",
		    "create: who logs in with it"},
		{'\0', "label", OPTION_LIST, &c.labels, "LABEL",
		    "create: one of its labels"},
		{'\0', "expires-at", OPTION_TEXT, &c.expires_at, "TIME",
		    "create: as 2027-05-08T12:00:00Z"},
		{'\0', "length", OPTION_TEXT, &c.length, "N",
		    "rotate: so many characters (default 32)"},
		{'\0', "alphabet", OPTION_TEXT, &c.alphabet, "CHARACTERS",
		    "rotate: of these (default: letters and digits)"},
		{'\0', "json", OPTION_FLAG, &cli->json, NULL,
		    "print a JSON object, errors too"},
	};
	struct option_list operands = {NULL, 0};
	int status;

	if (cli_options(cli, own, sizeof(own) / sizeof(own[0]), argc, argv,
		&operands, &status))
		status = change(&c, &operands);
	options_list_free(&c.labels);
	options_list_free(&operands);
	return status;
}
