/*
 * What the tests of rest share: the real fetch over a service that answers what
 * a table says, a stand-in for relay, callers by rule, and how to ask.
 */
#ifndef UNIT_REST_UNIT_H
#define UNIT_REST_UNIT_H

#include "fake_upstream.h"

#include <jansson.h>

#include "err.h"
#include "fake_time.h"
#include "limit.h"
#include "relay.h"
#include "rest.h"
#include "session.h"
#include "settings.h"

#define SECOND 1000u
#define MINUTE (60u * SECOND)
#define HOUR (60u * MINUTE)

/* Callers that are neither root nor whoever runs this. */
#define APP 54321u		/* reads and lists db/, encrypts with app keys */
#define ALL 54322u		/* reads and lists all */
#define CALLER 54323u		/* calls whatever there is */
#define NARROW 54324u		/* calls, about app/ alone */
#define NOBODY 54325u		/* no rule at all */
#define SHORT 54326u		/* reads what has a name without "/" */

#define SEC "sec_1"
#define WEB "sec_2"
#define KEY "key_1"

/* What the service says to one request of the agent's own. */
struct doc {
	enum upstream_op op;
	const char *id;		/* NULL: a list */
	enum ref_format format;
	uint64_t version;
	int status;
	const char *body;
};

#define DOCS 40

struct fixture {
	struct fake_upstream fu;
	struct doc docs[DOCS];
	size_t ndocs;
	struct fetch *fetch;
	struct metrics metrics;
	struct settings settings;
	struct session_env env;
	struct session s;
	bool open;
	struct caller caller;
	bool down;		/* the service: no connection */
	/* the newest answer */
	struct rest *rest;
	struct rest_answer answer;
	unsigned int answers;
	json_t *json;		/* of its body, where it is JSON */
	/* what was handed on last */
	struct relay_request sent;
	char target[512];
	char id[64];
	unsigned int relays;
	unsigned int relays_cancelled;
	relay_cb *relay_cb;
	void *relay_arg;
	bool relay_fails;
};

/* A test with a fixture of its own; group_setup for all. */
int group_setup(void **state);
int set_up(void **state);
int tear_down(void **state);

#define REST_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* What the table has for SEC and KEY, with all members. */
extern const char secret_1[];
extern const char key_1[];
extern const char key_1_der[];
extern const char key_1_jwk[];

/* A rule more: keys and values of it, and NULL. */
void rule(struct policy *pol, const char *title, ...);
/* Another session, of that user. */
void open_as(struct fixture *f, uid_t uid);
/* The newest answer. */
void forget(struct fixture *f);
/* Run timers and answer what is asked until nothing is left. */
void serve(struct fixture *f);
/* On the agent's own terms. */
struct rest_request request(const char *method, const char *target);
/* As rest_start(); its texts are gone right after. */
int start(struct fixture *f, const struct rest_request *from);
/* The body of an answer that came later. */
void parse(struct fixture *f);
/* Start it and serve; unless it was handed on there is an answer. */
void run(struct fixture *f, struct rest_request rq);
void get(struct fixture *f, const char *target);
void send_body(struct fixture *f, const char *method,
    const char *target,
    const char *body);
/* End what was handed on; error 0: with status and this body. */
void relayed(struct fixture *f, int error, int status, const char *body);
/* It was handed on with this target; it ends with 200. */
void expect_sent(struct fixture *f, const char *target);
/* 200 and JSON that means the same. */
void expect_json(struct fixture *f, const char *want);
void expect_error(struct fixture *f, int status, const char *code, int error);
void expect_denied(struct fixture *f);

#endif /* UNIT_REST_UNIT_H */
