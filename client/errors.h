/*
 * What the command says when something fails, and its exit status (contract,
 * section 4): one line on stderr,
 *
 *	qapi-agent: REF: what happened: what to do about it
 *
 * or with --json one object {"ref", "error", "message"} a line.
 */
#ifndef CLIENT_ERRORS_H
#define CLIENT_ERRORS_H

#include <stdbool.h>

#define STATUS_DONE 0
#define STATUS_FAILED 1
#define STATUS_USAGE 2
#define STATUS_RUN 125		/* run: failed before the program started */
#define STATUS_RUN_NOT_EXECUTABLE 126
#define STATUS_RUN_NOT_FOUND 127

/* Exit status for 0 or an ERR_*. */
int errors_status(int err);

/*
 * Report one failure.  ref: what it is about, NULL for nothing in particular.
 * message: as of the agent or library; "" or NULL: what err_text() says.  If it
 * does not say what to do, something is added.  Returns errors_status(err).
 */
int errors_report(bool json, const char *ref, int err, const char *message);

/* As above for what failed here: the text is complete, the status 1. */
int errors_say(bool json, const char *ref, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* One line on stderr that is no error: "qapi-agent: REF: TEXT". */
void errors_line(const char *ref, const char *text);

/* One note for a person: nothing unless stderr is a terminal. */
void errors_note(const char *ref, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif /* CLIENT_ERRORS_H */
