#include "config.h"

#include "reply.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "items.h"
#include "wipe.h"

int
reply_new(const struct msg_called *m, struct qapi_agent_reply **ret)
{
	struct qapi_agent_reply *reply = calloc(1, sizeof(*reply));
	char *at;

	if (reply == NULL)
		return ERR_NOMEM;
	/* Both are limited by the frame that they came in. */
	reply->store_len = m->content_type.len + m->value.len + 2;
	reply->store = at = malloc(reply->store_len);
	if (at == NULL) {
		free(reply);
		return ERR_NOMEM;
	}
	reply->status = m->status;
	reply->freshness = (enum qapi_agent_freshness)m->freshness;
	reply->age_ms = m->age_ms;
	reply->retry_after_ms = m->retry_after_ms;
	reply->content_type = items_put(&at, m->content_type);
	if (m->value.len > 0)
		memcpy(at, m->value.p, m->value.len);
	at[m->value.len] = '\0';
	reply->body = at;
	reply->body_len = m->value.len;
	*ret = reply;
	return 0;
}

/* --- public --------------------------------------------------------------- */

void
qapi_agent_reply_free(struct qapi_agent_reply **reply)
{
	if (reply == NULL || *reply == NULL)
		return;
	wipe_free((*reply)->store, (*reply)->store_len);
	free(*reply);
	*reply = NULL;
}

unsigned int
qapi_agent_reply_status(const struct qapi_agent_reply *reply)
{
	return reply->status;
}

const char *
qapi_agent_reply_content_type(const struct qapi_agent_reply *reply)
{
	return reply->content_type;
}

const void *
qapi_agent_reply_body(const struct qapi_agent_reply *reply, size_t *ret_len)
{
	if (ret_len != NULL)
		*ret_len = reply->body_len;
	return reply->body;
}

enum qapi_agent_freshness
qapi_agent_reply_freshness(const struct qapi_agent_reply *reply)
{
	return reply->freshness;
}

uint64_t
qapi_agent_reply_age_ms(const struct qapi_agent_reply *reply)
{
	return reply->age_ms;
}

uint64_t
qapi_agent_reply_retry_after_ms(const struct qapi_agent_reply *reply)
{
	return reply->retry_after_ms;
}
