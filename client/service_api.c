/*
 * The public functions that reach the service beyond reading, and block.
 */
#include "config.h"

#include "api.h"
#include "err.h"
#include "handle.h"
#include "msg_call.h"
#include "service.h"

_Static_assert((int)QAPI_AGENT_BY_AGENT == (int)MSG_VERIFIED_BY_AGENT &&
    (int)QAPI_AGENT_BY_SERVICE == (int)MSG_VERIFIED_BY_SERVICE,
    "numbers of the protocol");

/* The caller is here until it is done, so nothing is copied. */
static int
ask_service(struct qapi_agent *agent, struct call *call,
    const struct service_ask *ask)
{
	const char *why = NULL;
	int r;

	r = service_set(call, ask, false, &why);
	if (r != 0)
		return handle_fail(agent, r,
		    why != NULL && r != ERR_NOMEM ? why : err_text(r));
	return handle_call(agent, call);
}

int
qapi_agent_call(struct qapi_agent *agent, const char *method,
    const char *target, const char *ref, const struct qapi_agent_terms *terms,
    const char *content_type, const void *body, size_t body_len,
    struct qapi_agent_reply **ret)
{
	const struct service_ask ask = {
		.method = method,
		.target = target,
		.ref = ref,
		.content_type = content_type,
		.data = body,
		.data_len = body_len,
	};
	struct call call;
	int r;

	call_init(&call, FRAME_CALL);
	if (terms != NULL)
		call.terms = *api_terms(terms);
	r = ask_service(agent, &call, &ask);
	if (r == 0) {
		*ret = call.reply;
		call.reply = NULL;
	}
	call_done(&call);
	return r;
}

/* What is answered with one value. */
static int
ask_item(struct qapi_agent *agent, uint8_t type,
    const struct service_ask *ask, struct qapi_agent_item **ret)
{
	struct call call;
	int r;

	call_init(&call, type);
	r = ask_service(agent, &call, ask);
	if (r == 0 && (r = api_take_item(call.items, ret)) != 0)
		(void)handle_fail(agent, r, r == ERR_NOMEM ? err_text(r)
		    : qapi_agent_item_message(&call.items->v[0]));
	call_done(&call);
	return r;
}

int
qapi_agent_encrypt(struct qapi_agent *agent, const char *key,
    const char *algorithm, const void *aad, size_t aad_len, const void *data,
    size_t data_len, struct qapi_agent_item **ret)
{
	const struct service_ask ask = {
		.key = key,
		.algorithm = algorithm,
		.aad = aad,
		.aad_len = aad_len,
		.data = data,
		.data_len = data_len,
	};

	return ask_item(agent, FRAME_ENCRYPT, &ask, ret);
}

int
qapi_agent_decrypt(struct qapi_agent *agent, const char *key,
    const void *aad, size_t aad_len, const void *payload, size_t payload_len,
    struct qapi_agent_item **ret)
{
	const struct service_ask ask = {
		.key = key,
		.aad = aad,
		.aad_len = aad_len,
		.data = payload,
		.data_len = payload_len,
	};

	return ask_item(agent, FRAME_DECRYPT, &ask, ret);
}

int
qapi_agent_sign(struct qapi_agent *agent, const char *key,
    const char *algorithm, const void *data, size_t data_len,
    struct qapi_agent_item **ret)
{
	const struct service_ask ask = {
		.key = key,
		.algorithm = algorithm,
		.data = data,
		.data_len = data_len,
	};

	return ask_item(agent, FRAME_SIGN, &ask, ret);
}

int
qapi_agent_verify(struct qapi_agent *agent, const char *key,
    const void *data, size_t data_len, const void *signature,
    size_t signature_len, bool *ret_valid, enum qapi_agent_by *ret_by)
{
	const struct service_ask ask = {
		.key = key,
		.signature = signature,
		.signature_len = signature_len,
		.data = data,
		.data_len = data_len,
	};
	struct call call;
	int r;

	call_init(&call, FRAME_VERIFY);
	r = ask_service(agent, &call, &ask);
	if (r == 0) {
		*ret_valid = call.verified.valid;
		if (ret_by != NULL)
			*ret_by = (enum qapi_agent_by)call.verified.by;
	}
	call_done(&call);
	return r;
}
