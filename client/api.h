/*
 * What the files of public functions share (api.c, service_api.c, request.c).
 */
#ifndef CLIENT_API_H
#define CLIENT_API_H

#include <stdint.h>

#include "msg.h"
#include "qapi-agent.h"

/* What terms say. */
const struct msg_terms *api_terms(const struct qapi_agent_terms *terms);

/*
 * Take the only one of items, which must be its last user.  ret: the caller's.
 * Returns 0, the error of the item, or ERR_NOMEM.
 */
int api_take_item(struct qapi_agent_items *items,
    struct qapi_agent_item **ret);

/* request.c: what poll(2) takes for a time of the boot clock. */
int request_poll_ms(uint64_t wake_boot_ms);

#endif /* CLIENT_API_H */
