/*
 * The audit trail of a tenant: what was done with an API key, by which route,
 * with what outcome. call.c writes one record for every call; a handler that
 * does nothing is recorded all the same, under the action that auditname.c has
 * for its route. What the path does not tell (what was created, which key and
 * version were used) a handler adds by the functions below.
 */
#ifndef SANDBOX_AUDIT_H
#define SANDBOX_AUDIT_H

#include "route.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A tenant's records; the oldest make room for the newest. */
#define AUDIT_MAX 10000

/* SDKs read it as a UUID and want one even where there is no resource. */
#define AUDIT_NO_ID "00000000-0000-0000-0000-000000000000"

struct apply_problem;
struct audit;
struct call;
struct key;

/* What a route does by its name. */
struct audit_name {
	const char *method;
	const char *path; /* of the route; names of parameters do not count */
	const char *action;
	const char *type; /* of the resource */
};

/* The part of a record that a call gathers on its way; all zero is none. */
struct audit_note {
	const char *action; /* literals, these five; NULL: see auditname.c */
	const char *type;
	const char *channel; /* "eaas", "transit"; NULL: neither */
	const char *algorithm;
	const char *error; /* code of the answer; NULL: none */
	json_t *id;        /* owned, of the resource; NULL: as the path says */
	json_t *name;      /* owned; NULL: unknown */
	int64_t key_version; /* 0: none */
	int64_t batch_size;
	int64_t failed_items;
	bool has_valid;
	bool valid;
	bool has_batch;
	bool skip; /* leaves no record */
};

struct audit *audit_new(void);
void audit_free(struct audit *a);

/*
 * For handlers. action and type, literals, replace what auditname.c has:
 * "SecretRestored", "Application". id and name are borrowed; name may be NULL.
 */
void audit_action(struct call *c, const char *action);
void audit_resource(
    struct call *c, const char *type, const json_t *id, const json_t *name);

/* The same of a key, with its algorithm. version 0: none in particular. */
void audit_key(struct call *c, const struct key *k, int64_t version);

/* Reading the trail leaves no record, or paging would never end. */
void audit_skip(struct call *c);

/*
 * For call.c: look up what the path names, before the handler may delete it;
 * and write the record of an answered call. Calls of controls and of routes
 * that ask for no key and have no name in auditname.c leave none.
 */
void audit_look(struct call *c);
void audit_record(struct call *c);

void audit_done(struct audit_note *n);

/* One record of a seed. false: *ret_problem is set. */
bool audit_seed(
    struct audit *a, json_t *obj, struct apply_problem *ret_problem);

/* What a route does; NULL where it asks for no key and is not named. */
const struct audit_name *audit_name_of(const struct route *route);

#endif
