/*
 * What the agent tells of itself, kept for the caller: an explanation, and a
 * text of several frames.  The public accessors of an explanation are in
 * reports.c too.
 */
#ifndef CLIENT_REPORTS_H
#define CLIENT_REPORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "items.h"
#include "msg_report.h"

/* So that an agent gone wrong cannot fill the memory of its client. */
#define REPORT_TEXT_MAX ((size_t)1 << 28)

struct qapi_agent_explanation {
	bool allowed;
	bool cached;
	struct qapi_agent_items *items; /* owned; the one item */
	char *store;		/* owned; what the following point into */
	const char *rule;	/* NULL: none */
	const char *why;
	const char *message;
	uint64_t next_refresh_ms; /* MSG_NO_LIMIT: none */
	int last_error;
};

/* Everything is copied.  Returns 0 or ERR_NOMEM. */
int explanation_new(const struct msg_explained *m,
    struct qapi_agent_explanation **ret);

struct report_text {
	char *p;		/* owned; ends in NUL */
	size_t len;
	size_t size;
};

/* Returns 0, ERR_NOMEM, or ERR_TOO_LARGE past REPORT_TEXT_MAX. */
int report_text_add(struct report_text *t, struct view part);
void report_text_done(struct report_text *t);

#endif /* CLIENT_REPORTS_H */
