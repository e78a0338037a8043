/*
 * One request on its way to a handler, and what handlers need to answer it.
 */
#ifndef SANDBOX_CALL_H
#define SANDBOX_CALL_H

#include "answer.h"
#include "api_keys.h"
#include "audit.h"
#include "query.h"
#include "route.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CALL_MAX_BODY (1024 * 1024)

struct faults;
struct record;
struct server;
struct tenant;

struct call {
	struct server *server; /* these four outlive every call */
	struct tenant *tenant;
	struct faults *faults;
	struct record *record;
	const char *method;
	const char *path;         /* as sent, without the query */
	const char *api_key_text; /* NULL: none was sent */
	const char *content_type; /* NULL: none was sent */
	const char *peer;         /* its address; NULL: unknown */
	const char *user_agent;   /* NULL: none was sent */
	const char *body;
	size_t body_len;
	const struct api_key *key; /* NULL where no key is asked for */
	struct api_keys_rate rate;
	struct query query;
	struct route_match match;
	json_t *json; /* set by call_body() */
	struct audit_note note;
	struct answer answer;
};

/*
 * Answer the call: find its route, check key, scope and size, run the
 * handler. Afterwards c->answer is set.
 */
void call_run(struct call *c);

/* Free what the call holds, the answer aside. */
void call_done(struct call *c);

/*
 * Shorthands for handlers; see answer.h. v and details are taken over, code is
 * a literal.
 */
void call_json(struct call *c, int status, json_t *v);
void call_empty(struct call *c, int status);
void call_error(struct call *c, int status, const char *code,
    const char *message, json_t *details);

/* 404 in the usual words. */
void call_not_found(struct call *c, const char *what);

/* 400 about one field or parameter: details.fields names it. */
void call_bad_field(struct call *c, const char *field, const char *problem);

/*
 * Read the body as a JSON object into c->json. optional: no body counts as an
 * empty object. false: the answer has been set.
 */
bool call_body(struct call *c, bool optional);

/*
 * Parameters of the query. An absent one leaves *ret_v alone. false: it is
 * malformed or out of range, and the answer has been set.
 */
bool call_query_int(
    struct call *c, const char *name, int64_t min, int64_t max, int64_t *ret_v);
bool call_query_bool(struct call *c, const char *name, bool *ret_v);

/*
 * An integer member of the body, in either spelling; as above.
 * JSON null counts as absent.
 */
bool call_member_int(
    struct call *c, const char *name, int64_t min, int64_t max, int64_t *ret_v);
bool call_member_bool(struct call *c, const char *name, bool *ret_v);

/* Who did it, as audit fields name an actor: "apikey:NAME". New string. */
json_t *call_actor(const struct call *c);

#endif
