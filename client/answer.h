/*
 * What a command makes of an answer of the service (qapi_agent_call()).
 */
#ifndef CLIENT_ANSWER_H
#define CLIENT_ANSWER_H

#include "cli.h"

/* Exit status for one of HTTP (contract, section 4). */
int answer_status(unsigned int http);

/*
 * Say that the service did not do what was asked: what, as in "GET /x", or the
 * name of a secret.  Returns answer_status().
 */
int answer_report(const struct cli *cli, const char *what,
    const struct qapi_agent_reply *reply);

#endif /* CLIENT_ANSWER_H */
