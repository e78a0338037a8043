#include "config.h"

#include "answer.h"

#include <inttypes.h>

#include "err.h"
#include "errors.h"
#include "jsonread.h"
#include "out.h"

/* The nearest error of the agent's own: for the name, and what to do. */
static int
error_of(unsigned int http)
{
	if (http == 404 || http == 410)
		return ERR_NOT_FOUND;
	if (http == 401 || http == 403)
		return ERR_DENIED;
	if (http == 429)
		return ERR_RATE_LIMITED;
	if (http == 413)
		return ERR_TOO_LARGE;
	return ERR_UPSTREAM_ERROR;
}

int
answer_status(unsigned int http)
{
	return http / 100 == 2 ? STATUS_DONE : errors_status(error_of(http));
}

int
answer_report(const struct cli *cli, const char *what,
    const struct qapi_agent_reply *reply)
{
	uint64_t wait_ms = qapi_agent_reply_retry_after_ms(reply);
	unsigned int http = qapi_agent_reply_status(reply);
	char buf[UNITS_DURATION_LEN];
	struct out text;
	const void *body;
	size_t len;

	body = qapi_agent_reply_body(reply, &len);
	out_init(&text);
	out_fmt(&text, "the service answered %u", http);
	/* its sentence, else its code; a body is never shown as it is */
	out_text(&text, " (");
	if (!jsonread_text(body, len, "message", &text) &&
	    !jsonread_text(body, len, "detail", &text) &&
	    !jsonread_text(body, len, "error", &text))
		out_text(&text, "without saying why");
	out_text(&text, "): ");
	if (wait_ms > 0)
		out_fmt(&text, "try again in %s",
		    units_format_duration(wait_ms, buf));
	else if (http == 404 || http == 410)
		out_text(&text, "look at the name, the id or the path");
	else if (http == 401 || http == 403)
		out_text(&text, "it has to be allowed to the agent's API key");
	else if (http == 429)
		out_text(&text, "wait a moment and try again");
	else
		out_text(&text, "look at what was asked, or try again later");
	out_char(&text, '\0');
	(void)errors_report(cli->json, what, error_of(http),
	    text.failed ? NULL : text.p);
	out_done(&text);
	return answer_status(http);
}
