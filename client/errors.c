#include "config.h"

#include "errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "json.h"
#include "out.h"

#define SAY_MAX 1024

/* Codes without a line here are failures (1). */
static const struct {
	int err;
	int status;
} statuses[] = {
	{ERR_OK, STATUS_DONE},
	{ERR_BAD_REQUEST, STATUS_USAGE},
	{ERR_NOT_FOUND, 3},
	{ERR_DENIED, 4},
	{ERR_INSUFFICIENT_SCOPE, 4},
	{ERR_UNAUTHORIZED, 4},
	{ERR_UNREACHABLE, 5},
	{ERR_CLOSED, 5},
	{ERR_UPSTREAM_UNAVAILABLE, 6},
	{ERR_RATE_LIMITED, 6},
	{ERR_TIMEOUT, 7},
	{ERR_EXPIRED, 8},
	{ERR_AMBIGUOUS, 9},
};

int
errors_status(int err)
{
	size_t i;

	for (i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		if (statuses[i].err == err)
			return statuses[i].status;
	}
	return STATUS_FAILED;
}

/* No default: the compiler names the code that was forgotten. */
static const char *
what_to_do(int err)
{
	switch ((enum err)err) {
	case ERR_BAD_REQUEST:
		return "qapi-agent(1) says how it is written";
	case ERR_NOT_FOUND:
		return "qapi-agent list shows what there is";
	case ERR_AMBIGUOUS:
		return "use the id in place of the name";
	case ERR_DENIED:
		return "the agent's rules and its API key have to allow it";
	case ERR_EXPIRED:
		return "store a new value with the service";
	case ERR_UNAUTHORIZED:
		return "give the agent a valid API key and reload it";
	case ERR_INSUFFICIENT_SCOPE:
		return "give the agent an API key with that scope";
	case ERR_RATE_LIMITED:
		return "wait a moment and try again";
	case ERR_UPSTREAM_UNAVAILABLE:
		return "qapi-agent status shows the state of the service";
	case ERR_UPSTREAM_ERROR:
		return "the agent's log says more";
	case ERR_TOO_LARGE:
		return "raise the limit in the agent's configuration";
	case ERR_BUSY:
		return "wait a moment and try again";
	case ERR_TIMEOUT:
		return "allow more with --timeout";
	case ERR_UNSUPPORTED:
		return "use an agent and a client of one release";
	case ERR_INTERNAL:
		return "the agent's log says more";
	case ERR_NOMEM:
		return "ask for less at a time";
	case ERR_CLOSED:
		return "it may be restarting, try again";
	case ERR_UNREACHABLE:
		return "start it, or name its socket with --socket";
	case ERR_OK:
	case ERR_AGAIN:
		break;
	}
	return "the agent's log says more";
}

void
errors_line(const char *ref, const char *text)
{
	struct out o;

	out_init(&o);
	out_text(&o, "qapi-agent: ");
	if (ref != NULL) {
		out_printable(&o, ref);
		out_text(&o, ": ");
	}
	out_printable(&o, text);
	out_char(&o, '\n');
	(void)out_write(&o, STDERR_FILENO);
	out_done(&o);
}

static void
put_object(const char *ref, const char *name, const char *text)
{
	struct out o;
	struct json j;

	out_init(&o);
	json_init(&j, &o);
	json_open(&j, NULL);
	json_text(&j, "ref", ref);
	json_text(&j, "error", name);
	json_text(&j, "message", text);
	json_close(&j);
	out_char(&o, '\n');
	(void)out_write(&o, STDERR_FILENO);
	out_done(&o);
}

int
errors_report(bool json, const char *ref, int err, const char *message)
{
	struct out text;

	out_init(&text);
	if (message == NULL || *message == '\0')
		message = err_text(err);
	out_text(&text, message);
	if (strstr(message, ": ") == NULL) {
		out_text(&text, ": ");
		out_text(&text, what_to_do(err));
	}
	out_char(&text, '\0');
	if (!text.failed)
		message = text.p;
	if (json)
		put_object(ref, err_name(err), message);
	else
		errors_line(ref, message);
	out_done(&text);
	return errors_status(err);
}

int
errors_say(bool json, const char *ref, const char *fmt, ...)
{
	char text[SAY_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (json)
		put_object(ref, err_name(ERR_INTERNAL), text);
	else
		errors_line(ref, text);
	return STATUS_FAILED;
}

void
errors_note(const char *ref, const char *fmt, ...)
{
	char text[SAY_MAX];
	va_list ap;

	if (!isatty(STDERR_FILENO))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	errors_line(ref, text);
}
