/*
 * What an HTTP status of the service means for a read, and for a request that
 * was handed on.
 */
#ifndef AGENT_UPSTREAM_STATUS_H
#define AGENT_UPSTREAM_STATUS_H

#include <stdint.h>

#include "buf.h"
#include "upstream.h"

#define UPSTREAM_RETRY_AFTER_MAX_S 3600

/*
 * Fill in answer for a whole HTTP answer of this status, from the body where
 * the status calls for it.  retry_after_s: of the header, 0 or less if there
 * is none.
 */
void upstream_status_read(const struct upstream_request *req, int status,
    int64_t retry_after_s, struct view body, struct upstream_answer *answer);

#endif /* AGENT_UPSTREAM_STATUS_H */
