#include "config.h"

#include "crypt.h"

#include <stdlib.h>
#include <string.h>

#include "crypt_json.h"
#include "err.h"
#include "msg_call.h"
#include "oper.h"
#include "request.h"
#include "settings.h"
#include "upstream.h"
#include "verify_local.h"

/* Parts of a message, in the order in which they are kept. */
enum {
	KEEP_KEY,
	KEEP_ALGORITHM,
	KEEP_AAD,
	KEEP_SIGNATURE,
	KEEP_DATA,
	KEEPS,
};

struct crypt {
	struct oper op;		/* first */
	uint8_t type;		/* of the frame */
	struct view part[KEEPS]; /* in op.text */
	char payload_key[MSG_ID_MAX + 1]; /* DECRYPT; "": not told */
	struct msg_verified verified;
};

static struct crypt *
crypt_of(struct oper *op)
{
	return (struct crypt *)(void *)op;
}

static void
crypt_free(struct oper *op)
{
	free(crypt_of(op));
}

/* --- asking the service ------------------------------------------------ */

static struct view
crypt_id(const struct crypt *c)
{
	return (struct view){ (const uint8_t *)c->op.id, strlen(c->op.id) };
}

static void
crypt_send(struct crypt *c, const char *target, const struct crypt_body *b,
    const struct now *now)
{
	struct secmem body = { .mem = NULL };
	int r;

	r = crypt_json_body(b, &body);
	if (r != 0)
		oper_settle(&c->op, r == ERR_NOMEM ? ERR_BUSY : r,
		    "no memory is left for this request; ask again later");
	else
		oper_send(&c->op, "POST", target, &body, now);
}

static void
encrypt_found(struct oper *op, const struct now *now)
{
	struct crypt *c = crypt_of(op);
	const struct crypt_body b = {
		.data_name = "plaintext",
		.data = c->part[KEEP_DATA],
		.says_encoding = true,
		.key_id = crypt_id(c),
		.algorithm = c->part[KEEP_ALGORITHM],
		.aad = c->part[KEEP_AAD],
	};

	crypt_send(c, "/encrypt", &b, now);
}

static void
decrypt_found(struct oper *op, const struct now *now)
{
	struct crypt *c = crypt_of(op);
	const struct crypt_body b = {
		.text_name = "encryptedPayload",
		.text = c->part[KEEP_DATA],
		.aad = c->part[KEEP_AAD],
	};

	/* a key that was named is one that the payload has to be of */
	if (c->payload_key[0] != '\0' && op->id[0] != '\0' &&
	    !upstream_id_same(crypt_id(c), (struct view){
	    (const uint8_t *)c->payload_key, strlen(c->payload_key) }))
		oper_settle(op, ERR_BAD_REQUEST,
		    "this was encrypted with another key");
	else
		crypt_send(c, "/decrypt", &b, now);
}

static void
sign_found(struct oper *op, const struct now *now)
{
	struct crypt *c = crypt_of(op);
	const struct crypt_body b = {
		.data_name = "data",
		.data = c->part[KEEP_DATA],
		.says_encoding = true,
		.key_id = crypt_id(c),
		.algorithm = c->part[KEEP_ALGORITHM],
	};

	crypt_send(c, "/sign", &b, now);
}

static void
verify_ask(struct crypt *c, const struct now *now)
{
	const struct crypt_body b = {
		.data_name = "data",
		.data = c->part[KEEP_DATA],
		.says_encoding = true,
		.signature = c->part[KEEP_SIGNATURE],
		.key_id = crypt_id(c),
	};

	crypt_send(c, "/verify", &b, now);
}

/* --- verifying here ---------------------------------------------------- */

static void
verify_found(struct oper *op, const struct now *now)
{
	oper_read(op, REF_FORMAT_DER, now);
}

static void
verify_done(struct crypt *c, bool valid, enum msg_verified_by by)
{
	c->verified.valid = valid;
	c->verified.by = (uint8_t)by;
	oper_settle(&c->op, 0, NULL);
}

/*
 * Of a version that was replaced, or that is stale, a signature may still be
 * good; and with most keys there is more than one way to sign.
 */
static bool
verify_is_final(enum verify_verdict verdict, const struct fetch_result *result)
{
	return verdict == VERIFY_VALID || (verdict == VERIFY_INVALID &&
	    result->object->version == 1 && result->freshness == MSG_FRESH);
}

static void
verify_read(struct oper *op, struct fetch_result *result,
    const struct now *now)
{
	struct crypt *c = crypt_of(op);
	enum verify_verdict verdict;

	if (result->error == ERR_UPSTREAM_UNAVAILABLE ||
	    result->error == ERR_TIMEOUT || result->error == ERR_NOMEM) {
		oper_settle(op, result->error, result->message);
		return;
	}
	/* it has no public half, or cannot be read: the service may know more */
	if (result->error != 0) {
		verify_ask(c, now);
		return;
	}
	verdict = verify_local(object_value(result->object),
	    c->part[KEEP_DATA], c->part[KEEP_SIGNATURE]);
	if (verify_is_final(verdict, result))
		verify_done(c, verdict == VERIFY_VALID, MSG_VERIFIED_BY_AGENT);
	else
		verify_ask(c, now);
}

/* --- what the service said --------------------------------------------- */

static void
crypt_took(struct crypt *c, int r, struct object *o)
{
	if (r == 0)
		oper_answer(&c->op, o);
	else if (r == ERR_NOMEM)
		oper_settle(&c->op, ERR_BUSY,
		    "no memory is left for the answer; ask again later");
	else
		oper_settle(&c->op, r,
		    "the service's answer is not what it should be");
}

static void
encrypt_replied(struct oper *op, struct view body, const struct now *now)
{
	struct object *o = NULL;
	int r;

	(void)now;
	r = crypt_json_encrypted(body, &o);
	crypt_took(crypt_of(op), r, o);
}

static void
decrypt_replied(struct oper *op, struct view body, const struct now *now)
{
	struct crypt *c = crypt_of(op);
	struct object *o = NULL;
	int r;

	(void)now;
	r = crypt_json_decrypted(body, c->part[KEEP_DATA], &o);
	crypt_took(c, r, o);
}

static void
sign_replied(struct oper *op, struct view body, const struct now *now)
{
	struct object *o = NULL;
	int r;

	(void)now;
	r = crypt_json_signed(body, &o);
	crypt_took(crypt_of(op), r, o);
}

static void
verify_replied(struct oper *op, struct view body, const struct now *now)
{
	struct crypt *c = crypt_of(op);
	bool valid = false;
	int r;

	(void)now;
	r = crypt_json_verified(body, &valid);
	if (r != 0)
		crypt_took(c, r, NULL);
	else
		verify_done(c, valid, MSG_VERIFIED_BY_SERVICE);
}

/* --- answers ----------------------------------------------------------- */

static bool
crypt_render(struct oper *op, struct out *out)
{
	struct crypt *c = crypt_of(op);
	struct msg_result m = {
		.content = c->type == FRAME_ENCRYPT ? MSG_CONTENT_TEXT
		    : MSG_CONTENT_BYTES,
		.value = object_value(op->answer),
	};
	bool external = m.value.len > OUT_INLINE_MAX;
	struct wr wr = out_begin(out);

	msg_meta_init(&m.meta);
	m.meta.id = object_id(op->answer);
	if (m.meta.id.len == 0)
		m.meta.id = crypt_id(c);
	m.meta.version = op->answer->version;
	msg_result_encode(&wr, 0, op->rq->id, &m, external);
	if (wr.failed) {
		session_error(out, op->rq->id, ERR_TOO_LARGE,
		    "the answer is more than a message holds");
		return true;
	}
	out_commit(out, &wr);
	if (external)
		out_external(out, op->answer, m.value);
	return true;
}

static bool
verify_render(struct oper *op, struct out *out)
{
	struct wr wr = out_begin(out);

	msg_verified_encode(&wr, op->rq->id, &crypt_of(op)->verified);
	out_commit(out, &wr);
	return true;
}

static const struct oper_ops crypt_ops[] = {
	{ "encrypt", POLICY_ENCRYPT, encrypt_found, encrypt_replied, NULL,
	    crypt_render, crypt_free },
	{ "decrypt", POLICY_DECRYPT, decrypt_found, decrypt_replied, NULL,
	    crypt_render, crypt_free },
	{ "sign", POLICY_SIGN, sign_found, sign_replied, NULL, crypt_render,
	    crypt_free },
	{ "verify", POLICY_VERIFY, verify_found, verify_replied, verify_read,
	    verify_render, crypt_free },
};

/* --- the beginning ----------------------------------------------------- */

/* Views of the parts where they are kept. */
static void
crypt_keep(struct crypt *c, const struct view *part)
{
	const uint8_t *at = secmem_bytes(&c->op.text);
	size_t i;

	for (i = 0; i < KEEPS; i++) {
		c->part[i] = (struct view){ at, part[i].len };
		at += part[i].len;
	}
}

/*
 * Whose rules cover every key need not be told which one it is.  For all
 * others it is the one that the payload names, whatever else is said: the
 * service goes by the payload too.
 */
static void
decrypt_find(struct crypt *c, const struct now *now)
{
	struct session *s = c->op.s;
	struct view key = c->part[KEEP_KEY];

	if (crypt_json_payload_key(c->part[KEEP_DATA], c->payload_key) != 0)
		c->payload_key[0] = '\0';
	if (!policy_covers_all(s->env->settings->policy, s->peer,
	    POLICY_DECRYPT, REF_KEY)) {
		if (c->payload_key[0] == '\0')
			key.len = 0;
		else if (key.len == 0)
			key = (struct view){ (const uint8_t *)c->payload_key,
			    strlen(c->payload_key) };
	}
	oper_find(&c->op, key, now);
}

/* What it all takes at most: the parts, a body, and its answer. */
static size_t
crypt_need(const struct msg_crypt *m)
{
	return 4 * m->data.len + 3 * m->signature.len + 8 * m->aad.len + 16384;
}

int
crypt_request(struct session *s, const struct frame *frame,
    const struct now *now, struct out *out)
{
	struct view part[KEEPS];
	struct msg_crypt m;
	struct crypt *c;
	int r;

	r = msg_crypt_decode(frame->type, frame->body, &m);
	if (r != 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (c == NULL) {
		session_error(out, frame->id, ERR_BUSY, "out of memory");
		return 0;
	}
	c->type = frame->type;
	part[KEEP_KEY] = m.key;
	part[KEEP_ALGORITHM] = m.algorithm;
	part[KEEP_AAD] = m.aad;
	part[KEEP_SIGNATURE] = m.signature;
	part[KEEP_DATA] = m.data;
	if (oper_begin(&c->op, &crypt_ops[frame->type - FRAME_ENCRYPT], s,
	    frame, m.deadline_ms, part, KEEPS, crypt_need(&m), out) != 0)
		return 0;
	crypt_keep(c, part);
	if (frame->type == FRAME_DECRYPT)
		decrypt_find(c, now);
	else
		oper_find(&c->op, c->part[KEEP_KEY], now);
	return 0;
}
