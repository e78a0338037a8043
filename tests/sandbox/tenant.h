/*
 * All that the service would keep for one customer. There may be others, who
 * have secrets and keys of their own; all API keys are with the first one.
 */
#ifndef SANDBOX_TENANT_H
#define SANDBOX_TENANT_H

#include <jansson.h>
#include <stdint.h>

struct api_keys;
struct audit;
struct compliance;
struct endusers;
struct pki;
struct ssh;
struct store;
struct usage;

/* Entropy drawn in a month; see qrng.c. */
struct tenant_qrng {
	int64_t month_us; /* when it began, wall clock */
	int64_t used;     /* bytes */
};

struct tenant {
	struct api_keys *api_keys;
	struct store *applications;
	struct audit *audit;
	struct compliance *compliance;
	struct store *groups;      /* as groups_kind */
	struct store *log_streams; /* as logstreams_kind */
	struct pki *pki;
	struct ssh *ssh;
	struct endusers *endusers;
	struct store *keys; /* of struct key */
	struct tenant_qrng qrng;
	struct store *roles;
	struct store *secrets; /* of struct secret */
	struct store *shares;
	struct usage *usage;
	json_t *seed; /* members of the seed that nothing has used yet */
	char *name;   /* NULL: the first one */
	struct tenant *next; /* of the others */
};

/* An empty tenant. Free with tenant_free(), which accepts NULL. */
struct tenant *tenant_new(void);
void tenant_free(struct tenant *t);

/* The one of that name; made, and empty, if there is none. NULL: the first. */
struct tenant *tenant_named(struct tenant *first, const char *name);

#endif
