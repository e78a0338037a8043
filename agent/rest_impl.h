/*
 * Inside of rest: one request on its way, and the parts that its files are to
 * each other.
 *
 * A request begins on the stack of rest_start() and ends there if it can be
 * answered at once.  Else it moves to the heap (rest_keep()), and each thing
 * it waits for calls the step that was set when it began.
 */
#ifndef AGENT_REST_IMPL_H
#define AGENT_REST_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "access.h"
#include "endpoints.h"
#include "policy_path.h"
#include "relay.h"
#include "rest.h"
#include "session.h"

struct rest_json;
struct rest_rows;
struct timer;

/* What was waited for; the one that it was is there. */
struct rest_event {
	struct fetch_result *fetched; /* its object or listing are the step's */
	struct relay_result *relayed; /* its body likewise */
};

/* A step: with *answer filled, ERR_AGAIN, or (before it has done anything)
 * REST_KEEP. */
#define REST_DONE 0
#define REST_KEEP 1

typedef int rest_step(struct rest *r, const struct now *now,
    const struct rest_event *ev, struct rest_answer *answer);

struct rest {
	struct session *s;
	struct rest_request rq;	/* its texts: the caller's, or in store */
	struct endpoint_match m; /* of rq.target */
	rest_step *step;	/* next, when an event comes */
	uint64_t begun_boot_ms;
	bool kept;		/* on the heap */
	bool waited;		/* for the service: no hit */
	bool listed;		/* a newer listing was asked for */
	bool away;		/* the service; the cache answers for it */
	struct fetch_wait *wait;
	struct relay *relay;
	struct timer *deadline;	/* NULL: none */
	struct timer *turn;	/* long work goes on; NULL: none */
	rest_cb *cb;
	void *arg;
	char *expanded;		/* target with the id in it; NULL: none was */
	char *id;		/* what a write is about, decoded; or NULL */
	char *rule;		/* that allows what is handed on; or NULL */

	/* GET of a public key */
	struct object *base;	/* its JSON form */
	enum msg_freshness base_freshness;
	uint64_t base_age_ms;
	unsigned int tries;	/* to have two forms of one version */

	/* GET of a list */
	struct rest_rows *rows;

	char store[];		/* kept: copies of what the caller gave */
};

/* --- rest.c --- */

/*
 * Read as fetch_get() (list: as fetch_list() of that kind).  Returns 0 with
 * *result, or ERR_AGAIN: step will be called with it.
 */
int rest_fetch(struct rest *r, const struct fetch_query *q, enum ref_kind list,
    const struct now *now, struct fetch_result *result, rest_step *step);
/* The caller's terms. */
void rest_terms(const struct rest *r, struct fetch_query *ret);
/* After the target is final: by the way of its endpoint. */
int rest_route(struct rest *r, const struct now *now,
    struct rest_answer *answer);
/* An event has come: the step, and if it ends there, the answer. */
void rest_go_on(struct rest *r, const struct rest_event *ev);
/* Let others have their turn, then call step without an event.  r is kept. */
int rest_later(struct rest *r, rest_step *step);

/*
 * The right that a request needs: op (0: none) or call.  plain: room for the
 * path that call then points to.
 */
struct rest_right {
	struct access_right by;
	struct policy_call call;
	char plain[POLICY_PATH_MAX];
};

void rest_right(const struct rest *r, enum policy_op op,
    struct rest_right *ret);

/* As access_may() and its kin, by op or by call with the path. */
enum policy_verdict rest_may(const struct rest *r, enum policy_op op,
    const struct ref *ref);
bool rest_may_tell(const struct rest *r, enum policy_op op,
    const struct ref *ref);
bool rest_may_have(const struct rest *r, enum policy_op op,
    const struct object *o);

/* The rule that allows it, for the record; owned by the policy, or NULL. */
const char *rest_rule(const struct rest *r, enum policy_op op,
    const struct object *o);

/* --- rest_error.c: all return REST_DONE --- */

/* An error of the agent; message NULL: err_text(). */
int rest_fail(struct rest_answer *answer, int error, const char *message);
/* 400 about one parameter, as the service says it. */
int rest_bad_field(struct rest_answer *answer, const char *field,
    const char *problem);
/* Denied: counted, recorded, and told by the rule that came closest. */
int rest_deny(struct rest *r, enum policy_op op, struct rest_answer *answer);
/* A read has failed: how, if the caller may be told of what was asked for. */
int rest_fail_read(struct rest *r, const struct ref *ref,
    const struct fetch_result *result, struct rest_answer *answer);
/* Freshness and age of what the cache gave. */
void rest_cached(const struct rest *r, enum msg_freshness freshness,
    uint64_t age_ms, struct rest_answer *answer);
/* 200 with the JSON that fn writes. */
int rest_json_answer(struct rest_answer *answer,
    void (*fn)(struct rest_json *j, const void *ctx), const void *ctx);

/* 200 with what the service sent, byte for byte; takes the reference over. */
int rest_whole(struct rest_answer *answer, struct object *body);

/* A read was answered. */
void rest_record_read(struct rest *r, enum policy_op op,
    const struct object *o, enum msg_freshness freshness);
/* One line of the record, unless it was told a moment ago. */
void rest_record(struct rest *r, enum policy_op op, int error,
    const char *rule);

/* --- rest_query.c --- */

/*
 * Walk the parameters of a query.  *pos starts as the query.  False after the
 * last.  name and value as they were sent.
 */
bool rest_query_next(struct view *pos, struct view *ret_name,
    struct view *ret_value);
/* Is that, decoded, this word? */
bool rest_query_is(struct view text, const char *word);
/* Decode a value, "+" as a blank, into ret, with a NUL behind; false: no room. */
bool rest_query_decode(struct view text, char *ret, size_t size,
    size_t *ret_len);
/* A number from min to max, in *ret; false if it is none. */
bool rest_query_number(struct view text, uint64_t min, uint64_t max,
    uint64_t *ret);
/* true or false, in *ret. */
bool rest_query_bool(struct view text, bool *ret);

/* Bits of the words of a table, which ends with NULL. */
#define REST_INCLUDE_ALL UINT32_MAX
/*
 * What include= asks for, all of its lists together.  False if a word is
 * none: the service says 400 then.
 */
bool rest_query_include(struct view query, const char *const *words,
    uint32_t *ret_bits);

/* --- the ways --- */

int rest_secret_start(struct rest *r, const struct now *now,
    struct rest_answer *answer);
int rest_key_start(struct rest *r, const struct now *now,
    struct rest_answer *answer);
int rest_list_start(struct rest *r, const struct now *now,
    struct rest_answer *answer);
int rest_call_start(struct rest *r, const struct now *now,
    struct rest_answer *answer);
void rest_rows_free(struct rest_rows *rows);

/* Send it, which the policy has allowed.  step: with the result. */
int rest_send(struct rest *r, const struct now *now,
    struct rest_answer *answer, rest_step *step);
/* What the service said, as an answer; recorded. */
int rest_sent(struct rest *r, const struct now *now,
    const struct rest_event *ev, struct rest_answer *answer);

#endif /* AGENT_REST_IMPL_H */
